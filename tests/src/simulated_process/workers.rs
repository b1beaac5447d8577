//! The workers of all groups, one step at a time, and looks into what they hold.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use tributary_flow::declaration::{self, Declaration};
use tributary_flow::process::Visit;
use tributary_runtime::memory::{Broker, Faults, SimulationRng};
use tributary_runtime::{
    CommitLimits, Lag, Log, LogError, Metrics, Output, Processor, Producer, SnapshotConfig, Step, Topic, Topology,
    Worker, WorkerConfig,
};

use super::delivery::Scattered;
use super::snapshots::Snapshots;

const SETTLE_LIMIT: u32 = 2_000_000;

/// Turns after which the faults pause, so that the flow can settle.
const FAULTY_TURNS: u32 = 200_000;

/// Steps in which a worker that is alone has restored all its partitions.
const RESTORE_STEPS: usize = 50;

struct Group {
    topology: Arc<Topology>,
    inboxes: Vec<&'static Topic>,
    metrics: Arc<Metrics>,
    config: WorkerConfig,
    /// Whether its stages compute, and can be looked into.
    computes: bool,
}

impl Group {
    fn worker(&self, broker: &Broker, id: &str) -> Worker {
        let log: Box<dyn Log> = Box::new(broker.open(self.topology.flow, id, &self.inboxes).unwrap());
        Worker::new(Arc::clone(&self.topology), self.config.clone(), log, Arc::clone(&self.metrics))
    }
}

/// The workers, and what decides their order.
#[expect(clippy::struct_field_names, reason = "the workers are what it is about")]
pub(super) struct Workers {
    declaration: &'static Declaration,
    broker: Broker,
    partitions: i32,
    rng: SimulationRng,
    faults: Option<Faults>,
    scattered: Option<Scattered>,
    groups: Vec<Group>,
    /// Workers with the number of their group; `None` while a worker is down.
    workers: Vec<(usize, Option<Worker>)>,
    /// Workers that have all partitions, while the flow is looked at.
    looking: Vec<Worker>,
    /// Whether the log is compacted now and then.
    compacted: bool,
    /// Snapshots of tasks, in some runs.
    snapshots: Option<Snapshots>,
    /// Whether each step is written to standard error.
    traced: bool,
}

impl Workers {
    pub(super) fn new(
        declaration: &'static Declaration,
        broker: Broker,
        partitions: i32,
        mut rng: SimulationRng,
        faults: Option<Faults>,
        scattered: Option<Scattered>,
    ) -> Self {
        let compacted = rng.chance(0.5);
        let snapshots = rng.chance(0.1).then(Snapshots::new);
        Self {
            declaration,
            broker,
            partitions,
            rng,
            faults,
            scattered,
            groups: Vec::new(),
            workers: Vec::new(),
            looking: Vec::new(),
            compacted,
            snapshots,
            traced: false,
        }
    }

    /// Makes the workers: one to three of each group that computes, one of each other.
    pub(super) fn start(
        &mut self,
        processor: impl Fn(&'static str, i32) -> Box<dyn Processor> + Clone + Send + Sync + 'static,
    ) {
        for (number, group) in self.declaration.groups.iter().enumerate() {
            let topology = group.topology(self.declaration.dead_letters, self.partitions, processor.clone());
            let topology = Arc::new(topology);
            let computes = group.workers == declaration::Workers::Configured;
            self.groups.push(Group {
                inboxes: group.inboxes(),
                metrics: Arc::new(Metrics::new(&topology)),
                topology,
                config: worker_config(&mut self.rng, self.snapshots.as_ref()),
                computes,
            });
            let configured = 1 + self.rng.below(3) as usize;
            self.workers.extend((0..group.workers.count(configured)).map(|_| (number, None)));
        }
    }

    pub(super) fn end(&mut self) {
        self.looking.clear();
        self.workers.clear();
        self.groups.clear();
    }

    pub(super) fn trace(&mut self) {
        self.traced = true;
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.rng.chance(probability)
    }

    pub(super) fn metrics(&self) -> Vec<Arc<Metrics>> {
        self.groups.iter().map(|group| Arc::clone(&group.metrics)).collect()
    }

    /// Publishes at once, or keeps what sources send until something follows that must come after it.
    pub(super) fn publish(&mut self, output: &Output, lag: &dyn Lag) -> Result<(), LogError> {
        self.end_look();
        let leader = self.declaration.leader.map(|topic| topic.name);
        if let Some(scattered) = &mut self.scattered {
            if scattered.keep(output, leader) {
                return Ok(());
            }
            for piece in scattered.pieces(&mut self.rng, self.partitions) {
                self.send(&piece)?;
                (0..self.rng.below(40)).for_each(|_| self.turn());
            }
            self.settle(lag);
        }
        self.send(output)
    }

    fn send(&self, output: &Output) -> Result<(), LogError> {
        self.broker.producer("sources").publish(output)
    }

    /// Runs workers in a random order until nothing is left to do, except what is kept for later.
    pub(super) fn settle(&mut self, lag: &dyn Lag) {
        let mut turns = 0;
        while lag.lag().unwrap() > 0 {
            self.turn();
            turns += 1;
            if turns == FAULTY_TURNS {
                // Some faults strike before each commit. What is left must be done once they end.
                self.broker.stop_faults();
            }
            assert!(turns < SETTLE_LIMIT, "does not settle: {:?} records are left", lag.lag());
        }
        if turns >= FAULTY_TURNS {
            self.start_faults();
        }
    }

    fn turn(&mut self) {
        self.end_look();
        if self.compacted && self.rng.chance(0.002) {
            self.say(|| "the log is compacted".to_owned());
            self.broker.compact();
        }
        let slot = self.rng.below(self.workers.len() as u64) as usize;
        let group = &self.groups[self.workers[slot].0];
        let id = format!("{}-{slot}", group.topology.flow);
        let Some(mut worker) = self.workers[slot].1.take() else {
            self.workers[slot].1 = Some(group.worker(&self.broker, &id));
            self.say(|| format!("{id} starts"));
            return;
        };
        let step = worker.step();
        self.say(|| format!("{id}: {step:?}"));
        match step {
            Ok(Step::Unavailable(_)) if self.rng.chance(0.2) => self.worker_is_gone(),
            Ok(_) => self.workers[slot].1 = Some(worker),
            Err(error) => {
                assert!(error.can_restart(), "{error}");
                self.worker_is_gone();
            }
        }
    }

    fn worker_is_gone(&mut self) {
        let Some(snapshots) = &mut self.snapshots else { return };
        for text in snapshots.disturb(&mut self.rng) {
            self.say(|| text.clone());
        }
    }

    /// Shows every processor while none is at work, with all partitions assigned.
    pub(super) fn visit(&mut self, visit: &Visit) -> Vec<Box<dyn Any + Send>> {
        self.begin_look();
        let mut seen = Vec::new();
        for worker in &mut self.looking {
            worker.inspect(&mut |stage, partition, processor| seen.extend(visit(stage, partition, processor))).unwrap();
        }
        seen
    }

    fn begin_look(&mut self) {
        if !self.looking.is_empty() {
            return;
        }
        self.broker.stop_faults();
        for (slot, (number, worker)) in self.workers.iter_mut().enumerate() {
            if let Some(mut worker) = worker.take() {
                let _ = worker.close();
            }
            let group = self.groups[*number].topology.flow;
            self.broker.expire(group, &format!("{group}-{slot}"));
        }
        for group in self.groups.iter().filter(|group| group.computes) {
            let mut worker = group.worker(&self.broker, "look");
            for _ in 0..RESTORE_STEPS {
                worker.step().unwrap();
            }
            self.looking.push(worker);
        }
    }

    fn end_look(&mut self) {
        if self.looking.is_empty() {
            return;
        }
        self.looking.drain(..).for_each(|mut worker| worker.close().unwrap());
        self.start_faults();
    }

    fn start_faults(&self) {
        if let Some(faults) = self.faults {
            self.broker.start_faults(faults);
        }
    }

    fn say(&self, text: impl Fn() -> String) {
        if self.traced {
            eprintln!("{}", text());
        }
    }
}

/// Time must not decide anything.
fn worker_config(rng: &mut SimulationRng, snapshots: Option<&Snapshots>) -> WorkerConfig {
    let limits = CommitLimits { time: Duration::from_hours(1), records: 1 + rng.below(200) as usize, bytes: 1 << 20 };
    WorkerConfig {
        limits,
        poll_timeout: Duration::ZERO,
        linger: Duration::ZERO,
        poll_records: 1 + rng.below(100) as usize,
        unavailable: Duration::from_hours(1),
        snapshots: snapshots.map(|folder| SnapshotConfig {
            every: Duration::ZERO,
            ..SnapshotConfig::new(folder.folder().to_owned(), "simulation")
        }),
        ..WorkerConfig::default()
    }
}
