//! Counters of the workers of one topology, shared by all of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::stage::Topology;

/// Counters that only rise. Work that was aborted and done again counts again.
#[derive(Debug)]
pub struct Metrics {
    stages: Vec<StageCounters>,
    pub(crate) commits: AtomicU64,
    pub(crate) commit_nanos: AtomicU64,
    pub(crate) aborts: AtomicU64,
    pub(crate) restarts: AtomicU64,
    pub(crate) restored_tasks: AtomicU64,
    pub(crate) restored_entries: AtomicU64,
    pub(crate) restore_nanos: AtomicU64,
}

#[derive(Debug)]
struct StageCounters {
    name: &'static str,
    records_in: AtomicU64,
    records_out: AtomicU64,
    dead_letters: AtomicU64,
    busy_nanos: AtomicU64,
}

/// The counters of one stage at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageFigures {
    /// The stage's name.
    pub name: &'static str,
    /// Records processed.
    pub records_in: u64,
    /// Records sent, dead letters included, changelog records not.
    pub records_out: u64,
    /// Records dead-lettered.
    pub dead_letters: u64,
    /// Time spent in processing, over all workers.
    pub busy: Duration,
}

/// The counters of all workers at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerFigures {
    /// Transactions committed.
    pub commits: u64,
    /// Time spent in commits, over all workers.
    pub commit_time: Duration,
    /// Transactions aborted.
    pub aborts: u64,
    /// Times a worker began anew with a new log.
    pub restarts: u64,
    /// Tasks restored.
    pub restored_tasks: u64,
    /// Entries restored, from snapshots and changelogs.
    pub restored_entries: u64,
    /// Time spent restoring, over all workers.
    pub restore_time: Duration,
}

/// What one run of records of one stage adds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StageRun {
    pub(crate) records_in: u64,
    pub(crate) records_out: u64,
    pub(crate) dead_letters: u64,
    pub(crate) busy: Duration,
}

impl Metrics {
    /// Counters for the stages of `topology`, all zero.
    pub fn new(topology: &Topology) -> Self {
        let counters = |name| StageCounters {
            name,
            records_in: AtomicU64::new(0),
            records_out: AtomicU64::new(0),
            dead_letters: AtomicU64::new(0),
            busy_nanos: AtomicU64::new(0),
        };
        Self {
            stages: topology.stages.iter().map(|stage| counters(stage.name)).collect(),
            commits: AtomicU64::new(0),
            commit_nanos: AtomicU64::new(0),
            aborts: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            restored_tasks: AtomicU64::new(0),
            restored_entries: AtomicU64::new(0),
            restore_nanos: AtomicU64::new(0),
        }
    }

    /// The counters by stage, in the order of the topology.
    pub fn stages(&self) -> Vec<StageFigures> {
        let read = |stage: &StageCounters| StageFigures {
            name: stage.name,
            records_in: stage.records_in.load(Ordering::Relaxed),
            records_out: stage.records_out.load(Ordering::Relaxed),
            dead_letters: stage.dead_letters.load(Ordering::Relaxed),
            busy: Duration::from_nanos(stage.busy_nanos.load(Ordering::Relaxed)),
        };
        self.stages.iter().map(read).collect()
    }

    /// The counters of the workers.
    pub fn workers(&self) -> WorkerFigures {
        let nanos = |counter: &AtomicU64| Duration::from_nanos(counter.load(Ordering::Relaxed));
        WorkerFigures {
            commits: self.commits.load(Ordering::Relaxed),
            commit_time: nanos(&self.commit_nanos),
            aborts: self.aborts.load(Ordering::Relaxed),
            restarts: self.restarts.load(Ordering::Relaxed),
            restored_tasks: self.restored_tasks.load(Ordering::Relaxed),
            restored_entries: self.restored_entries.load(Ordering::Relaxed),
            restore_time: nanos(&self.restore_nanos),
        }
    }

    pub(crate) fn add_run(&self, stage: usize, run: StageRun) {
        let counters = &self.stages[stage];
        counters.records_in.fetch_add(run.records_in, Ordering::Relaxed);
        counters.records_out.fetch_add(run.records_out, Ordering::Relaxed);
        counters.dead_letters.fetch_add(run.dead_letters, Ordering::Relaxed);
        counters.busy_nanos.fetch_add(run.busy.as_nanos() as u64, Ordering::Relaxed);
    }
}

pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}
