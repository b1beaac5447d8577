//! The same with state on tables that fail now and then.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::PARTITIONS;
use crate::conformance::word_count::{COUNT_CHANGELOG, COUNTS, DEAD_LETTERS, GROUP, LINES, TOPICS};
use crate::conformance::{SimulatedWorkers, without_time};
use crate::memory::{Broker, BrokerConfig, Faults, SimulationRng};
use crate::{
    CommitLimits, Levels, MemoryTables, Output, ProcessError, Processor, Producer, Record, SnapshotConfig, Stage,
    StateStore, Step, TableFaults, TableStore, Tables, Topology, WorkerConfig,
};

/// Counts keys, and sends the number of different keys. A record without a value forgets the key.
struct Tally(TableStore<String, u64>);

impl Processor for Tally {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let key = String::from_utf8(record.key.to_vec()).unwrap();
        match record.value {
            Some(_) => {
                let count = self.0.get(&key)?.unwrap_or(0) + 1;
                self.0.put(&key, &count)?;
            }
            None => self.0.delete(&key)?,
        }
        let different = self.0.count(..)?;
        output.send(&COUNTS, record.key, |buffer| buffer.extend_from_slice(&different.to_be_bytes()));
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![&mut self.0]
    }
}

fn topology(tables: MemoryTables) -> Topology {
    let stages = vec![Stage {
        name: "tally",
        inbox: &LINES,
        changelog: Some(&COUNT_CHANGELOG),
        processor: Box::new(move |_| Box::new(Tally(TableStore::new(0, "keys", tables.create("keys"))))),
    }];
    Topology { flow: GROUP, stages, dead_letters: &DEAD_LETTERS, flow_partitions: PARTITIONS, levels: Levels::ONE }
}

struct Run {
    broker: Broker,
    rng: SimulationRng,
    workers: SimulatedWorkers,
    tables: MemoryTables,
    counted: BTreeMap<String, u64>,
}

impl Run {
    fn new(seed: u64, folder: &Path) -> Self {
        let mut rng = SimulationRng::new(seed ^ 0x7ab1e);
        let broker = Broker::new(BrokerConfig { faults: Some(Faults::all(seed)), ..BrokerConfig::like_kafka() });
        broker.create_topics(&TOPICS, PARTITIONS);
        let tables = MemoryTables::failing(TableFaults { seed, read: 0.05, write: 0.2 });
        let snapshots = SnapshotConfig { every: Duration::ZERO, ..SnapshotConfig::new(folder.to_owned(), "log") };
        let limits = CommitLimits { records: 1 + rng.below(20) as usize, ..without_time().limits };
        let config = WorkerConfig { limits, snapshots: Some(snapshots), ..without_time() };
        let topology = Arc::new(topology(tables.clone()));
        let workers = SimulatedWorkers::new(broker.clone(), topology, config, 1 + rng.below(3));
        Self { broker, rng, workers, tables, counted: BTreeMap::new() }
    }

    fn publish(&mut self) {
        let mut output = Output::new(PARTITIONS);
        for _ in 0..=self.rng.below(4) {
            let key = format!("key{}", self.rng.below(12));
            if self.rng.chance(0.2) {
                self.counted.remove(&key);
                output.tombstone(&LINES, key.as_bytes());
            } else {
                output.send(&LINES, key.as_bytes(), |buffer| buffer.push(1));
                *self.counted.entry(key).or_default() += 1;
            }
        }
        self.broker.producer("lines").publish(&output).unwrap();
    }

    fn run(&mut self) {
        for _ in 0..30 {
            self.publish();
            (0..self.rng.below(12)).for_each(|_| self.workers.turn(&mut self.rng));
            if self.rng.chance(0.1) {
                self.broker.compact();
            }
        }
        self.workers.settle(&mut self.rng);
        self.workers.end();
    }

    /// What a new worker restores.
    fn restored(&self) -> BTreeMap<String, u64> {
        let mut worker = self.workers.start("last");
        while worker.step().unwrap() != Step::Idle {}
        self.tables.set_faults(None);
        let mut keys = BTreeMap::new();
        let mut collect = |_: &str, _, processor: &dyn std::any::Any| {
            let tally: &Tally = processor.downcast_ref().unwrap();
            keys.extend(tally.0.range(..).map(Result::unwrap));
        };
        worker.inspect(&mut collect).unwrap();
        keys
    }
}

#[test]
fn state_on_tables_that_fail_is_exact_and_no_snapshot_claims_to_have_it() {
    let (mut deaths, mut failed) = (0, 0);
    for seed in 0..150 {
        let folder = tempfile::tempdir().unwrap();
        let mut run = Run::new(seed, folder.path());
        run.run();
        assert_eq!(run.restored(), run.counted, "seed {seed}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        (deaths, failed) = (deaths + run.workers.deaths(), failed + run.tables.failed());
    }
    assert!(deaths > 150 && failed > 1_000, "too few faults had an effect: {deaths} deaths, {failed} failed calls");
}
