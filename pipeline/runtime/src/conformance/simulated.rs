//! Workers of one group on a broker in memory. One of them at a time does one thing; a seed decides the order.

use std::sync::Arc;
use std::time::Duration;

use crate::memory::{Broker, SimulationRng};
use crate::{Lag, Log, Metrics, Step, Topic, Topology, Worker, WorkerConfig};

const MOST_TURNS: u32 = 100_000;

/// A configuration in which nothing depends on time. What it leaves open, a seed may decide.
pub fn without_time() -> WorkerConfig {
    let mut config = WorkerConfig {
        poll_timeout: Duration::ZERO,
        linger: Duration::ZERO,
        unavailable: Duration::from_hours(1),
        ..WorkerConfig::default()
    };
    config.limits.time = Duration::from_hours(1);
    config
}

/// The workers, each of which may be up or down.
pub struct SimulatedWorkers {
    broker: Broker,
    topology: Arc<Topology>,
    metrics: Arc<Metrics>,
    config: WorkerConfig,
    inboxes: Vec<&'static Topic>,
    workers: Vec<Option<Worker>>,
    deaths: u32,
    traced: bool,
}

impl SimulatedWorkers {
    /// This many workers, all of them down.
    pub fn new(broker: Broker, topology: Arc<Topology>, config: WorkerConfig, count: u64) -> Self {
        let metrics = Arc::new(Metrics::new(&topology));
        let inboxes = topology.stages.iter().map(|stage| stage.inbox).collect();
        let workers = (0..count).map(|_| None).collect();
        Self { broker, topology, metrics, config, inboxes, workers, deaths: 0, traced: false }
    }

    /// Reports each step on standard error.
    pub fn trace(&mut self) {
        self.traced = true;
    }

    /// The counters of all workers so far.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// How many workers have died.
    pub fn deaths(&self) -> u32 {
        self.deaths
    }

    /// Lets one worker do one thing, or start, or end.
    pub fn turn(&mut self, rng: &mut SimulationRng) {
        let slot = rng.below(self.workers.len() as u64) as usize;
        let Some(mut worker) = self.workers[slot].take() else {
            self.tell(slot, &"starts");
            self.workers[slot] = Some(self.start(&name(slot)));
            return;
        };
        if rng.chance(0.003) {
            self.tell(slot, &"ends");
            if let Err(error) = worker.close() {
                assert!(error.can_restart(), "{error}");
            }
            return;
        }
        let step = worker.step();
        self.tell(slot, &step);
        match step {
            // The simulated process is gone: its log no longer responds.
            Ok(Step::Unavailable(_)) if rng.chance(0.2) => self.deaths += 1,
            Ok(_) => self.workers[slot] = Some(worker),
            Err(error) => {
                assert!(error.can_restart(), "{error}");
                self.deaths += 1;
            }
        }
    }

    fn tell(&self, slot: usize, what: &dyn std::fmt::Debug) {
        if self.traced {
            eprintln!("{}: {what:?}", name(slot));
        }
    }

    /// Runs the workers until nothing is left to read.
    pub fn settle(&mut self, rng: &mut SimulationRng) {
        let lag = self.broker.lag(self.inboxes.iter().map(|inbox| (self.topology.flow.to_owned(), *inbox)).collect());
        let mut turns = 0;
        while lag.lag().unwrap() > 0 {
            self.turn(rng);
            turns += 1;
            assert!(turns < MOST_TURNS, "does not settle: {:?}", lag.lag());
        }
    }

    /// Ends all workers and the faults. Afterwards no transaction is open and no response is late.
    pub fn end(&mut self) {
        self.workers.iter_mut().for_each(|worker| *worker = None);
        self.broker.stop_faults();
        (0..self.workers.len()).for_each(|slot| self.broker.expire(self.topology.flow, &name(slot)));
    }

    /// A worker besides the others.
    pub fn start(&self, id: &str) -> Worker {
        let log: Box<dyn Log> = Box::new(self.broker.open(self.topology.flow, id, &self.inboxes).unwrap());
        Worker::new(Arc::clone(&self.topology), self.config.clone(), log, Arc::clone(&self.metrics))
    }
}

fn name(slot: usize) -> String {
    format!("worker-{slot}")
}
