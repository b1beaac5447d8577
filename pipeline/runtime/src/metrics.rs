//! Counters of the workers of one topology, shared by all of them, and the names under which they are exported.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::stage::Topology;

/// A counter as Prometheus shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// The name. It begins with `tributary_` and ends with the unit, where there is one, and `_total`.
    pub name: &'static str,
    /// What is counted, in one sentence.
    pub help: &'static str,
    /// The unit.
    pub unit: Unit,
}

/// The unit of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Occurrences.
    Count,
    /// Time, in seconds.
    Seconds,
}

/// The value of one counter at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// The counter.
    pub definition: &'static Definition,
    /// The stage, for counters of stages: the label `stage`.
    pub stage: Option<&'static str>,
    /// The value, in the counter's unit.
    pub value: f64,
}

/// Declares each counter once, and the list of all.
macro_rules! definitions {
    ($($constant:ident, $name:literal, $unit:ident, $help:literal;)+) => {
        $(
            #[doc = $help]
            pub static $constant: Definition = Definition { name: $name, help: $help, unit: Unit::$unit };
        )+

        /// All counters of this crate.
        pub static ALL: &[&Definition] = &[$(&$constant),+];
    };
}

definitions! {
    RECORDS_IN, "tributary_stage_records_in_total", Count, "Records processed by a stage.";
    RECORDS_OUT, "tributary_stage_records_out_total", Count, "Records sent by a stage, dead letters included.";
    DEAD_LETTERS, "tributary_stage_dead_letters_total", Count, "Records that a stage could not process.";
    BUSY, "tributary_stage_busy_seconds_total", Seconds, "Time that a stage spent processing, over all workers.";
    COMMITS, "tributary_commits_total", Count, "Transactions committed.";
    COMMIT_TIME, "tributary_commit_seconds_total", Seconds, "Time spent in commits, over all workers.";
    ABORTS, "tributary_aborts_total", Count, "Transactions aborted; their records were processed again.";
    RESTARTS, "tributary_worker_restarts_total", Count, "Restarts of workers with a new log.";
    RESTORED_TASKS, "tributary_restored_tasks_total", Count, "Tasks whose state was restored.";
    RESTORED_ENTRIES, "tributary_restored_entries_total", Count, "State entries read from snapshots and changelogs.";
    RESTORE_TIME, "tributary_restore_seconds_total", Seconds, "Time spent restoring state, over all workers.";
}

/// Counters that only rise. Records that were aborted and processed again count again.
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
pub struct StageStatistics {
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
pub struct WorkerStatistics {
    /// Transactions committed.
    pub commits: u64,
    /// Time spent in commits, over all workers.
    pub commit_time: Duration,
    /// Transactions aborted.
    pub aborts: u64,
    /// Times a worker restarted with a new log.
    pub restarts: u64,
    /// Tasks restored.
    pub restored_tasks: u64,
    /// Entries restored, from snapshots and changelogs.
    pub restored_entries: u64,
    /// Time spent restoring, over all workers.
    pub restore_time: Duration,
}

/// The amounts that one run of records of one stage adds.
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
    pub fn stages(&self) -> Vec<StageStatistics> {
        let read = |stage: &StageCounters| StageStatistics {
            name: stage.name,
            records_in: stage.records_in.load(Ordering::Relaxed),
            records_out: stage.records_out.load(Ordering::Relaxed),
            dead_letters: stage.dead_letters.load(Ordering::Relaxed),
            busy: Duration::from_nanos(stage.busy_nanos.load(Ordering::Relaxed)),
        };
        self.stages.iter().map(read).collect()
    }

    /// The counters of the workers.
    pub fn workers(&self) -> WorkerStatistics {
        let nanos = |counter: &AtomicU64| Duration::from_nanos(counter.load(Ordering::Relaxed));
        WorkerStatistics {
            commits: self.commits.load(Ordering::Relaxed),
            commit_time: nanos(&self.commit_nanos),
            aborts: self.aborts.load(Ordering::Relaxed),
            restarts: self.restarts.load(Ordering::Relaxed),
            restored_tasks: self.restored_tasks.load(Ordering::Relaxed),
            restored_entries: self.restored_entries.load(Ordering::Relaxed),
            restore_time: nanos(&self.restore_nanos),
        }
    }

    /// All counters, as an exporter shows them.
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples = Vec::new();
        let mut add = |definition, stage, value| samples.push(Sample { definition, stage, value });
        for stage in self.stages() {
            let name = Some(stage.name);
            add(&RECORDS_IN, name, stage.records_in as f64);
            add(&RECORDS_OUT, name, stage.records_out as f64);
            add(&DEAD_LETTERS, name, stage.dead_letters as f64);
            add(&BUSY, name, stage.busy.as_secs_f64());
        }
        let workers = self.workers();
        add(&COMMITS, None, workers.commits as f64);
        add(&COMMIT_TIME, None, workers.commit_time.as_secs_f64());
        add(&ABORTS, None, workers.aborts as f64);
        add(&RESTARTS, None, workers.restarts as f64);
        add(&RESTORED_TASKS, None, workers.restored_tasks as f64);
        add(&RESTORED_ENTRIES, None, workers.restored_entries as f64);
        add(&RESTORE_TIME, None, workers.restore_time.as_secs_f64());
        samples
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::conformance::word_count;

    #[test]
    fn each_counter_has_a_name_of_its_own_and_is_exported() {
        let names: BTreeSet<&str> = ALL.iter().map(|definition| definition.name).collect();
        assert_eq!(names.len(), ALL.len());
        for definition in ALL {
            let end = if definition.unit == Unit::Seconds { "_seconds_total" } else { "_total" };
            assert!(definition.name.starts_with("tributary_") && definition.name.ends_with(end), "{definition:?}");
        }
        let samples = Metrics::new(&word_count::topology(&Arc::default())).samples();
        let exported: BTreeSet<&str> = samples.iter().map(|sample| sample.definition.name).collect();
        assert_eq!(exported, names);
    }

    #[test]
    fn samples_hold_what_was_counted() {
        let metrics = Metrics::new(&word_count::topology(&Arc::default()));
        metrics.add_run(1, StageRun { records_in: 3, busy: Duration::from_millis(1500), ..StageRun::default() });
        add(&metrics.commits, 2);
        let samples = metrics.samples();
        let value = |definition: &Definition, stage: Option<&str>| {
            let found = samples.iter().find(|sample| sample.definition == definition && sample.stage == stage);
            found.map(|sample| sample.value)
        };
        let stage = Some(metrics.stages()[1].name);
        assert_eq!(value(&RECORDS_IN, stage), Some(3.0));
        assert_eq!(value(&BUSY, stage), Some(1.5));
        assert_eq!(value(&COMMITS, None), Some(2.0));
    }
}
