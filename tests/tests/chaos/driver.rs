//! The driver: injects one fault after the other, as a seed decides.

use std::time::{Duration, Instant};

use tributary_connectors::kafka::KafkaLag;
use tributary_runtime::Lag;
use tributary_runtime::memory::SimulationRng;
use tributary_tests::services::Services;

use crate::fault::{Fault, Plan, SESSION_TIMEOUT_MILLIS, TRANSACTION_TIMEOUT_MILLIS};
use crate::outbox::Outbox;
use crate::processes::Processes;
use crate::proxy::Proxy;

const MEMBERS: usize = 3;
const MOST_MEMBERS: usize = 5;
const SETTLE_LIMIT: Duration = Duration::from_mins(3);
/// For so long nothing must be left to do until all counts as done.
const QUIET: Duration = Duration::from_secs(1);

pub struct Driver {
    pub processes: Processes,
    pub plan: Plan,
    services: Services,
    proxy: Proxy,
    outbox: Option<Outbox>,
    rng: SimulationRng,
}

impl Driver {
    /// Starts the processes, behind a proxy.
    pub fn start(seed: u64, services: &Services, plan: Plan, processes: Processes, outbox: Option<Outbox>) -> Self {
        let proxy = Proxy::start(&services.proxied, &services.proxy_target);
        let (services, rng) = (services.clone(), SimulationRng::new(seed));
        let mut driver = Self { processes, plan, services, proxy, outbox, rng };
        (0..MEMBERS).for_each(|_| driver.processes.add());
        driver
    }

    /// Up to so long.
    pub fn sleep(&mut self, most_millis: u64) {
        std::thread::sleep(Duration::from_millis(self.rng.below(most_millis)));
    }

    /// The next fault, from its beginning to its end; `work` is what the processes are given to do meanwhile.
    pub fn inject(&mut self, work: &mut dyn FnMut()) {
        let fault = self.plan.next(&mut self.rng);
        if fault == Fault::FillOutbox {
            self.fill_outbox(work);
        } else {
            work();
            self.disturb(fault);
        }
        self.processes.check();
    }

    fn disturb(&mut self, fault: Fault) {
        let number = self.rng.below(self.processes.count() as u64) as usize;
        match fault {
            Fault::Kill => {
                self.processes.kill(number);
                self.sleep(3_000);
                self.processes.start(number);
            }
            Fault::Pause => self.pause(number, SESSION_TIMEOUT_MILLIS),
            Fault::Expire => self.expire(number),
            Fault::End => {
                self.processes.end(number);
                self.sleep(8_000);
                self.processes.start(number);
            }
            Fault::Remove if self.processes.count() > MEMBERS => {
                self.processes.end(number);
                self.processes.forget(number);
            }
            Fault::Add if self.processes.count() == MOST_MEMBERS => self.pause(number, SESSION_TIMEOUT_MILLIS),
            Fault::Add | Fault::Remove => self.processes.add(),
            Fault::RestartBroker => self.restart("kafka"),
            Fault::RestartRegistry => self.restart("registry"),
            Fault::Cut => {
                self.proxy.refuse(true);
                self.proxy.cut();
                self.sleep(4_000);
                self.proxy.refuse(false);
            }
            Fault::Delay => {
                self.proxy.delay(Duration::from_millis(20 + self.rng.below(280)));
                self.sleep(8_000);
                self.proxy.delay(Duration::ZERO);
            }
            Fault::FillOutbox => unreachable!("it comes before the work"),
        }
    }

    fn pause(&mut self, number: usize, timeout_millis: u64) {
        self.processes.signal(number, "STOP");
        std::thread::sleep(Duration::from_millis(timeout_millis + 1_000));
        self.sleep(2_000);
        self.processes.signal(number, "CONT");
    }

    /// With slow connections a process is hardly ever without a transaction.
    fn expire(&mut self, number: usize) {
        self.proxy.delay(Duration::from_millis(200));
        std::thread::sleep(Duration::from_millis(1_500));
        self.processes.signal(number, "STOP");
        self.proxy.delay(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(TRANSACTION_TIMEOUT_MILLIS + 2_000));
        self.sleep(2_000);
        self.processes.signal(number, "CONT");
    }

    fn restart(&mut self, service: &str) {
        let pause = Duration::from_millis(self.rng.below(3_000));
        self.services.restart(service, pause);
    }

    fn fill_outbox(&mut self, work: &mut dyn FnMut()) {
        let millis = 3_000 + self.rng.below(4_000);
        let full = self.outbox.as_ref().expect("only those with an outbox meet this").fill();
        work();
        std::thread::sleep(Duration::from_millis(millis));
        drop(full);
    }

    /// Waits, without faults, until nothing is left to read.
    pub fn settle(&mut self, lag: &KafkaLag) {
        let deadline = Instant::now() + SETTLE_LIMIT;
        let mut quiet = Instant::now();
        while quiet.elapsed() < QUIET {
            let left = lag.lag();
            if left != Ok(0) {
                quiet = Instant::now();
            }
            self.processes.check();
            assert!(Instant::now() < deadline, "does not settle: {left:?}\n{}", self.processes.last_lines());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Transactions of the namespace that the broker has ended because nobody did.
    pub fn expired_transactions(&self, namespace: &str) -> usize {
        let log = self.services.broker_log();
        let is_expiry = |line: &&str| line.contains("due to timeout") && line.contains(namespace);
        log.lines().filter(is_expiry).count()
    }
}
