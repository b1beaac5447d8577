//! The flow on the memory log under a seeded schedule with every kind of fault, against the batch join.

#![expect(clippy::unwrap_used, reason = "a test states what must hold")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tributary_position_join::flow;
use tributary_position_join::message::{Event, Message};
use tributary_position_join::oracle::{Difference, Inputs, Rows};
use tributary_position_join::sample::{Input, Sample, Size, placement, position, post};
use tributary_position_join::topics::{APP_RECORDS, DEANERY, INTERNAL, OPEN, PLACEMENTS, POSITIONS, POSTS};
use tributary_runtime::conformance::{SimulatedWorkers, without_time};
use tributary_runtime::memory::{Broker, BrokerConfig, Faults, Retention, SimulationRng};
use tributary_runtime::{CommitLimits, Headers, Output, Producer, SnapshotConfig, WorkerConfig};

const PARTITIONS: i32 = 4;

struct Simulation {
    broker: Broker,
    rng: SimulationRng,
    workers: SimulatedWorkers,
    inputs: Inputs,
    /// Whether records of pairs may be gone that later ones replaced.
    compacted: bool,
}

impl Simulation {
    fn new(seed: u64, retention: Retention, faults: Faults, folder: &std::path::Path) -> Self {
        let mut rng = SimulationRng::new(seed ^ 0x704a);
        let config = BrokerConfig { retention, faults: Some(faults), ..BrokerConfig::like_kafka() };
        let broker = Broker::new(config);
        broker.create_topics(&OPEN, PARTITIONS);
        broker.create_topics(&INTERNAL, PARTITIONS);
        let snapshots = rng.chance(0.1).then(|| SnapshotConfig {
            every: Duration::ZERO,
            ..SnapshotConfig::new(folder.to_owned(), format!("{seed}"))
        });
        let base = without_time();
        let limits = CommitLimits { records: 1 + rng.below(60) as usize, bytes: 1 << 14, ..base.limits };
        let config = WorkerConfig { limits, poll_records: 1 + rng.below(30) as usize, snapshots, ..base };
        let topology = Arc::new(flow::topology(PARTITIONS));
        let workers = SimulatedWorkers::new(broker.clone(), topology, config, 1 + rng.below(3));
        let compacted = retention == Retention::ByKey;
        Self { broker, rng, workers, inputs: Inputs::default(), compacted }
    }

    fn publish(&mut self, records: &[Recorded]) {
        let mut output = Output::new(PARTITIONS);
        for (topic, key, value, timestamp) in records {
            output.inherit(*timestamp, Headers::default());
            match value {
                Some(value) => output.send(topic, key, |buffer| buffer.extend_from_slice(value)),
                None => output.tombstone(topic, key),
            }
            match topic.name {
                "positions" => self.inputs.position(key, value.as_deref()),
                "posts" => self.inputs.post(key, value.as_deref()),
                _ => self.inputs.placement(key, value.as_deref()),
            }
        }
        self.broker.producer("sample").publish(&output).unwrap();
    }

    fn run(&mut self, records: &[Recorded]) {
        for chunk in records.chunks(12) {
            self.publish(chunk);
            for _ in 0..self.rng.below(10) {
                self.workers.turn(&mut self.rng);
            }
            if self.rng.chance(0.05) {
                self.broker.compact();
                self.compacted = true;
            }
        }
        self.workers.settle(&mut self.rng);
    }

    /// The last row of every pair. While reading, no row may go back to what it was before, nor be deleted twice.
    fn rows(&mut self) -> Rows {
        // Readers see what is committed once no transaction is open and no answer is late.
        self.workers.end();
        let (mut rows, mut seen) = (Rows::new(), BTreeMap::new());
        for partition in 0..PARTITIONS {
            for record in self.broker.read_committed(APP_RECORDS.name, partition) {
                let pair = record.key.as_slice().try_into().unwrap();
                let Some(row) = record.value else {
                    let was_there = rows.remove(&pair).is_some();
                    assert!(was_there || self.compacted, "deleted without having been there");
                    continue;
                };
                let revision = |at: usize| u32::from_be_bytes(row[at..at + 4].try_into().unwrap());
                let now = (revision(98), revision(90));
                let before = seen.insert(pair, now).unwrap_or_default();
                assert!(before.0 <= now.0 && before.1 <= now.1, "a row went back from {before:?} to {now:?}");
                rows.insert(pair, row);
            }
        }
        rows
    }
}

type Recorded = (&'static tributary_runtime::Topic, Vec<u8>, Option<Vec<u8>>, i64);

fn sample(seed: u64) -> Vec<Recorded> {
    let size = Size { positions: 16, bucket: 8, changes: 4.0, bucket_changes: 3 };
    let mut sample = Sample::new(seed, size);
    let mut records = Vec::new();
    let mut sink = |input: Input<'_>| {
        records.push((input.topic, input.key.to_vec(), input.value.map(<[u8]>::to_vec), input.timestamp));
    };
    sample.load(&mut sink);
    sample.change(&mut sink);
    records
}

#[test]
fn faults_leave_the_rows_as_the_batch_join_has_them() {
    let (mut deaths, mut aborts, mut pairs) = (0, 0, 0);
    for seed in 0..300 {
        let folder = tempfile::tempdir().unwrap();
        let retention = if seed % 4 == 3 { Retention::ByKey } else { Retention::All };
        let mut simulation = Simulation::new(seed, retention, Faults::all(seed), folder.path());
        simulation.run(&sample(seed));
        deaths += simulation.workers.deaths();
        aborts += simulation.workers.metrics().workers().aborts;
        let expected = simulation.inputs.join();
        pairs += expected.len();
        let difference = Difference::between(&simulation.rows(), &expected);
        assert!(difference.is_none(), "seed {seed}: {difference:?}");
    }
    assert!(deaths > 300 && aborts > 300, "the faults must bite: {deaths} deaths, {aborts} aborts");
    assert!(pairs > 300 * 10, "{pairs} pairs");
}

fn position_at(id: i64, at: usize, revision: u32) -> Recorded {
    (&POSITIONS, id.to_be_bytes().to_vec(), Some(position(at, b'U', revision).0.to_vec()), 0)
}

fn placement_at(id: i64, at: usize, revision: u32) -> Recorded {
    (&PLACEMENTS, id.to_be_bytes().to_vec(), Some(placement(at, b'A', revision).0.to_vec()), 0)
}

/// Posts, and pairs that appear, merge, are deleted and return elsewhere.
fn few_changes() -> Vec<Recorded> {
    let post_of = |number: usize, revision| -> Recorded {
        let (dpn, value) = post(number, b'C', revision);
        (&POSTS, dpn.0.to_vec(), Some(value.0.to_vec()), 0)
    };
    let deleted = |(topic, key, _, at): Recorded| -> Recorded { (topic, key, None, at) };
    let mut records: Vec<Recorded> = (5..8).map(|number| post_of(number, 0)).collect();
    records.extend([position_at(1, 5, 0), placement_at(2, 5, 0), position_at(3, 6, 0), placement_at(4, 6, 0)]);
    records.extend([position_at(1, 6, 1), placement_at(2, 6, 1), post_of(6, 1), position_at(1, 7, 2)]);
    records.extend([placement_at(2, 7, 2), position_at(1, 6, 3), placement_at(2, 6, 3), deleted(position_at(3, 6, 0))]);
    records.extend([position_at(3, 7, 1), placement_at(4, 7, 1), deleted(placement_at(2, 6, 0)), post_of(7, 1)]);
    records.extend([position_at(1, 7, 4), placement_at(2, 7, 3), placement_at(4, 5, 2), position_at(3, 5, 2)]);
    records
}

/// Runs a few changes with a process that dies at this moment; how many moments there were.
fn run_with_death(seed: u64, moment: Option<u64>) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let faults = Faults { die_at: moment, ..Faults::none(seed) };
    let mut simulation = Simulation::new(seed, Retention::All, faults, folder.path());
    if std::env::var("TRIBUTARY_MOMENT").is_ok() {
        simulation.workers.trace();
    }
    simulation.run(&few_changes());
    let difference = Difference::between(&simulation.rows(), &simulation.inputs.join());
    let death = simulation.broker.death();
    assert_eq!(death.is_some(), moment.is_some());
    assert!(
        difference.is_none(),
        "seed {seed}, death at moment {moment:?} ({death:?}): {difference:?}; with TRIBUTARY_MOMENT={} in the environment \
         this test replays it and tells each step",
        moment.unwrap_or_default()
    );
    simulation.broker.moments()
}

#[test]
fn a_death_at_any_moment_changes_nothing() {
    let chosen: Option<u64> = std::env::var("TRIBUTARY_MOMENT").ok().map(|text| text.parse().unwrap());
    let mut all = 0;
    // Of these the one but last has snapshots.
    for seed in 4..16 {
        let moments = run_with_death(seed, None);
        all += moments;
        for moment in (1..=moments).filter(|moment| chosen.is_none_or(|chosen| *moment == chosen)) {
            run_with_death(seed, Some(moment));
        }
    }
    assert!(all > 1000, "only {all} moments");
}

/// How many messages about a stay came before the row itself, which another partition hands on.
fn overtaking(broker: &Broker) -> usize {
    let mut arrived = BTreeSet::new();
    let mut overtaking = 0;
    for record in (0..PARTITIONS).flat_map(|partition| broker.read_committed(DEANERY.name, partition)) {
        let value = record.value.unwrap();
        let Some(Message::Row { side, id, stay, event }) = Message::read(&value) else { continue };
        match event {
            Event::Arrives(_) => assert!(arrived.insert((side, id, stay)), "a row arrives once for each stay"),
            Event::Changes(_) | Event::Leaves(_) => overtaking += usize::from(!arrived.contains(&(side, id, stay))),
        }
    }
    overtaking
}

#[test]
fn messages_that_overtake_a_row_on_its_way_change_nothing() {
    let mut messages = 0;
    for seed in 0..300 {
        let folder = tempfile::tempdir().unwrap();
        let faults = Faults { delay: 0.7, few_records: 0.5, ..Faults::none(seed) };
        let mut simulation = Simulation::new(seed, Retention::All, faults, folder.path());
        simulation.run(&if seed % 10 == 0 { sample(seed) } else { few_changes() });
        messages += overtaking(&simulation.broker);
        let difference = Difference::between(&simulation.rows(), &simulation.inputs.join());
        assert!(difference.is_none(), "seed {seed}: {difference:?}");
    }
    assert!(messages > 300, "only {messages} messages have overtaken a row");
}
