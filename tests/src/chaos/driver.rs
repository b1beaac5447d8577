//! The driver: injects one fault after the other, as a seed decides.

use std::time::{Duration, Instant};

use tributary_connectors::kafka::KafkaLag;
use tributary_harness::Services;
use tributary_runtime::Lag;
use tributary_runtime::memory::SimulationRng;

use super::disk::SmallDisk;
use super::fault::{Fault, Plan};
use super::members::Members;
use super::processes::Processes;
use super::proxy::Proxy;
use super::{SESSION_TIMEOUT_MILLIS, TRANSACTION_TIMEOUT_MILLIS};

const MEMBERS: usize = 3;
const MOST_MEMBERS: usize = 5;
const SETTLE_LIMIT: Duration = Duration::from_mins(3);
/// How long processes may take to recover from a fault, where that matters.
const REST: Duration = Duration::from_secs(10);
/// How long a driver waits for a process to begin a transaction: longer than a service needs to notice new input.
const TRANSACTION_LIMIT: Duration = Duration::from_secs(8);
/// All is done once nothing has been left to do for this time.
const QUIET: Duration = Duration::from_secs(1);

/// What is driven.
pub(super) struct Work {
    pub(super) processes: Processes,
    /// The disk that may be filled.
    pub(super) disk: Option<SmallDisk>,
    /// What the processes have left to do.
    pub(super) lag: KafkaLag,
    pub(super) members: Members,
}

/// How often a process returned too late.
#[derive(Debug, Clone, Copy, Default)]
pub struct Zombies {
    /// Its partitions had gone to another process.
    pub partitions_lost: usize,
    /// The broker had ended a transaction.
    pub transactions_expired: usize,
    /// Another process had taken over its transactional id.
    pub fenced: usize,
}

impl Zombies {
    /// How often a process had lost a transaction that it had begun.
    pub fn without_transaction(self) -> usize {
        self.transactions_expired + self.fenced
    }
}

/// Drives the processes of a subject through faults.
pub struct Driver {
    /// The processes.
    pub processes: Processes,
    /// Which faults are injected.
    pub plan: Plan,
    services: Services,
    proxy: Proxy,
    disk: Option<SmallDisk>,
    lag: KafkaLag,
    members: Members,
    rng: SimulationRng,
    namespace: String,
    started: Instant,
}

impl Driver {
    /// Starts the processes, behind a proxy.
    pub(super) fn start(seed: u64, services: &Services, namespace: &str, plan: Plan, work: Work) -> Self {
        let mut driver = Self {
            processes: work.processes,
            plan,
            services: services.clone(),
            proxy: Proxy::start(&services.proxied, &services.proxy_target),
            disk: work.disk,
            lag: work.lag,
            members: work.members,
            rng: SimulationRng::new(seed),
            namespace: namespace.to_owned(),
            started: Instant::now(),
        };
        (0..MEMBERS).for_each(|_| driver.processes.add());
        driver
    }

    /// Prints what happens, with the time since the start.
    pub fn tell(&self, what: &str) {
        println!("{:7.1} s  {what}", self.started.elapsed().as_secs_f64());
    }

    /// Sleeps for a random time up to `most_millis`.
    fn sleep(&mut self, most_millis: u64) {
        std::thread::sleep(Duration::from_millis(self.rng.below(most_millis)));
    }

    /// Injects faults during a time, and until each kind has been injected; see [`Self::inject`].
    pub fn run(&mut self, during: Duration, work: &mut dyn FnMut()) {
        let started = Instant::now();
        while started.elapsed() < during || !self.plan.missing().is_empty() {
            self.inject(work);
        }
    }

    /// Waits, without faults, until all is done and every worker is at work; then ends the processes in good order.
    pub fn finish(&mut self) {
        self.settle();
        self.wait_for_members();
        self.processes.end_all();
    }

    /// The next fault, from its beginning to its end; `work` gives the processes something to do meanwhile.
    pub fn inject(&mut self, work: &mut dyn FnMut()) {
        let fault = self.next_fault();
        self.plan.note(fault);
        self.tell(&format!("{fault:?}"));
        match fault {
            Fault::FillDisk => self.fill_disk(work),
            Fault::Expire => self.expire(work),
            _ => {
                work();
                // The processes need a moment to begin with it.
                self.sleep(2_500);
                self.disturb(fault);
            }
        }
        self.processes.check();
    }

    /// There are never fewer processes than at the start, and never too many.
    fn next_fault(&mut self) -> Fault {
        match self.plan.next(&mut self.rng) {
            Fault::Add if self.processes.count() == MOST_MEMBERS => Fault::Remove,
            Fault::Remove if self.processes.count() == MEMBERS => Fault::Add,
            fault => fault,
        }
    }

    fn disturb(&mut self, fault: Fault) {
        let number = self.rng.below(self.processes.count() as u64) as usize;
        match fault {
            Fault::Kill => {
                self.processes.kill(number);
                self.sleep(3_000);
                self.processes.start(number);
            }
            Fault::Pause => self.pause(number),
            Fault::End => {
                self.processes.end(number);
                self.sleep(8_000);
                self.processes.start(number);
            }
            Fault::Remove => {
                self.processes.end(number);
                self.processes.forget(number);
            }
            Fault::Add => self.processes.add(),
            Fault::RestartBroker => self.restart("kafka"),
            Fault::FreezeBroker => self.freeze(),
            Fault::RestartRegistry => self.restart("registry"),
            Fault::Cut => {
                self.proxy.refuse(true);
                self.proxy.cut();
                self.sleep(4_000);
                self.proxy.refuse(false);
            }
            Fault::Lose => {
                self.proxy.delay(Duration::from_millis(20 + self.rng.below(80)));
                self.sleep(1_000);
                self.proxy.lose(Duration::from_millis(self.rng.below(4_000)));
                self.proxy.delay(Duration::ZERO);
                self.sleep(4_000);
            }
            Fault::Delay => {
                self.proxy.delay(Duration::from_millis(20 + self.rng.below(280)));
                self.sleep(8_000);
                self.proxy.delay(Duration::ZERO);
            }
            Fault::FillDisk | Fault::Expire => unreachable!("they begin before the work"),
        }
    }

    fn pause(&mut self, number: usize) {
        self.processes.signal(number, "STOP");
        std::thread::sleep(Duration::from_millis(SESSION_TIMEOUT_MILLIS + 1_000));
        self.sleep(2_000);
        self.processes.signal(number, "CONT");
    }

    /// Pauses all processes but one until the broker ends their transactions, or another process does.
    ///
    /// The pause begins as one of them begins a transaction. Connections are slow, so that the process is still inside
    /// the transaction when it stops. A process may also have no work at all, so there is a second attempt.
    fn expire(&mut self, work: &mut dyn FnMut()) {
        self.rest();
        let before = self.zombies().without_transaction();
        work();
        for _ in 0..2 {
            self.proxy.delay(Duration::from_millis(200));
            let paused = self.pause_in_transaction();
            self.proxy.delay(Duration::ZERO);
            std::thread::sleep(Duration::from_millis(TRANSACTION_TIMEOUT_MILLIS + 2_000));
            for number in paused {
                self.processes.signal(number, "CONT");
            }
            // Those that return have to notice, and to continue before they are paused again.
            std::thread::sleep(Duration::from_millis(SESSION_TIMEOUT_MILLIS));
            if self.zombies().without_transaction() > before {
                return;
            }
        }
    }

    /// Waits for the next transaction, then pauses all processes but one that did not begin it; gives those paused.
    fn pause_in_transaction(&mut self) -> Vec<usize> {
        let processes = &self.processes;
        let owner = self.proxy.next_transaction(TRANSACTION_LIMIT, |id| processes.by_transactional_id(id));
        self.tell(if owner.is_some() { "a transaction begins: Pause" } else { "no transaction begins: Pause" });
        let mut others: Vec<usize> = (0..self.processes.count()).filter(|number| Some(*number) != owner).collect();
        others.swap_remove(self.rng.below(others.len() as u64) as usize);
        others.extend(owner);
        for number in &others {
            self.processes.signal(*number, "STOP");
        }
        others
    }

    fn restart(&mut self, service: &str) {
        let pause = Duration::from_millis(self.rng.below(3_000));
        self.services.restart(service, pause);
    }

    fn freeze(&mut self) {
        let millis = SESSION_TIMEOUT_MILLIS + self.rng.below(6_000);
        self.services.freeze("kafka", Duration::from_millis(millis));
    }

    fn fill_disk(&mut self, work: &mut dyn FnMut()) {
        let millis = 3_000 + self.rng.below(4_000);
        let full = self.disk.as_ref().expect("a plan that fills the disk needs one").fill();
        work();
        std::thread::sleep(Duration::from_millis(millis));
        drop(full);
    }

    /// Gives the processes time to recover from the fault before.
    fn rest(&self) {
        let deadline = Instant::now() + REST;
        while Instant::now() < deadline && self.lag.lag() != Ok(0) {
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits, without faults, until nothing is left to read.
    pub fn settle(&mut self) {
        self.wait_while(QUIET, |driver| match driver.lag.lag() {
            Ok(0) => None,
            left => Some(format!("does not settle: {left:?}")),
        });
    }

    /// Waits until every worker is a member of its group, and has been for a session: a silent one is expelled by then.
    pub fn wait_for_members(&mut self) {
        let session = Duration::from_millis(SESSION_TIMEOUT_MILLIS);
        self.wait_while(session + QUIET, |driver| driver.members.wrong(driver.processes.count()));
    }

    /// Waits until nothing has been wrong for as long as `quiet`.
    fn wait_while(&mut self, quiet: Duration, wrong: impl Fn(&Self) -> Option<String>) {
        let deadline = Instant::now() + SETTLE_LIMIT;
        let mut right_since = Instant::now();
        while right_since.elapsed() < quiet {
            let found = wrong(self);
            if found.is_some() {
                right_since = Instant::now();
            }
            self.processes.check();
            let text = found.unwrap_or_else(|| "right only now".to_owned());
            assert!(Instant::now() < deadline, "{text}\n{}", self.processes.last_lines());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What broker and processes have logged about processes that returned too late.
    pub fn zombies(&self) -> Zombies {
        let (broker, processes) = (self.services.broker_log(), self.processes.log());
        let is_expiry = |line: &&str| line.contains("due to timeout") && line.contains(&self.namespace);
        Zombies {
            partitions_lost: processes.matches("partitions were lost to another worker").count(),
            transactions_expired: broker.lines().filter(is_expiry).count(),
            fenced: processes.matches("fenced by another process").count(),
        }
    }
}
