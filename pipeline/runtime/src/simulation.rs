//! Simulation: the word count on the memory log under a seeded schedule with every kind of fault. However often
//! workers die, abort, are fenced or lose partitions, state and outputs must equal a plain loop, exactly once.

mod tables;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use crate::conformance::word_count::{self, COUNTS, Count, DEAD_LETTERS, GROUP, INBOXES, LINES, Outcome, Split};
use crate::conformance::{SimulatedWorkers, without_time};
use crate::memory::{Broker, BrokerConfig, Faults, Retention, SimulationRng};
use crate::{CommitLimits, Log, LogError, Output, Producer, SnapshotConfig, WorkerConfig};

const PARTITIONS: i32 = word_count::PARTITIONS;

struct Simulation {
    broker: Broker,
    rng: SimulationRng,
    lines: Vec<(String, Option<String>)>,
    workers: SimulatedWorkers,
}

impl Simulation {
    fn new(seed: u64, retention: Retention, folder: &std::path::Path) -> Self {
        let mut rng = SimulationRng::new(seed ^ 0x5eed);
        let config = BrokerConfig { retention, faults: Some(Faults::all(seed)), ..BrokerConfig::like_kafka() };
        let broker = Broker::new(config);
        broker.create_topics(&word_count::TOPICS, PARTITIONS);
        // Few, because each snapshot is forced to disk.
        let snapshots = rng.chance(0.1).then(|| SnapshotConfig {
            every: Duration::ZERO,
            ..SnapshotConfig::new(folder.to_owned(), format!("{seed}"))
        });
        let base = without_time();
        let limits = CommitLimits { records: 1 + rng.below(40) as usize, bytes: 4096, ..base.limits };
        let config = WorkerConfig { limits, poll_records: 1 + rng.below(20) as usize, snapshots, ..base };
        let topology = word_count::topology(&Arc::new(AtomicU32::new(5)));
        let workers = SimulatedWorkers::new(broker.clone(), topology, config, 1 + rng.below(3));
        Self { broker, rng, lines: Vec::new(), workers }
    }

    fn publish(&mut self) {
        let mut output = Output::new(PARTITIONS);
        for _ in 0..=self.rng.below(4) {
            let key = self.rng.below(6);
            let text = match self.rng.below(10) {
                0 => None,
                1 => Some(format!("own{key} poison all")),
                2 => Some(format!("own{key} -own{key} own{key}")),
                3 => Some(format!("flaky shared{key} all")),
                number => Some(format!("all own{key} shared{} all", number % 3)),
            };
            let line = format!("line{key}");
            match &text {
                Some(text) => output.send(&LINES, line.as_bytes(), |buffer| buffer.extend_from_slice(text.as_bytes())),
                None => output.tombstone(&LINES, line.as_bytes()),
            }
            self.lines.push((line, text));
        }
        self.broker.producer("lines").publish(&output).unwrap();
    }

    fn run(&mut self) {
        for _ in 0..40 {
            self.publish();
            for _ in 0..self.rng.below(12) {
                self.workers.turn(&mut self.rng);
            }
            if self.rng.chance(0.1) {
                self.broker.compact();
            }
        }
        self.workers.settle(&mut self.rng);
    }

    /// The state that a new worker restores on a broker without faults, and the outputs that readers see.
    fn outcome(mut self) -> Outcome {
        self.workers.end();
        let mut worker = self.workers.start("last");
        for _ in 0..200 {
            worker.step().unwrap();
        }
        let mut outcome = Outcome::default();
        let mut tasks = 0;
        worker
            .inspect(&mut |_, _, processor| {
                tasks += 1;
                if let Some(split) = processor.downcast_ref::<Split>() {
                    outcome.lines.extend(split.lines.iter().map(|(line, seen)| (line.clone(), *seen)));
                }
                if let Some(count) = processor.downcast_ref::<Count>() {
                    outcome.words.extend(count.words.iter().map(|(word, count)| (word.clone(), *count)));
                    assert_eq!(count.words.iter().count(), count.by_length.iter().count());
                }
            })
            .unwrap();
        assert_eq!(tasks, 2 * PARTITIONS, "all tasks are restored");
        for partition in 0..PARTITIONS {
            for record in self.broker.read_committed(COUNTS.name, partition) {
                let count = record.value.map(|value| u64::from_be_bytes(value.try_into().unwrap()));
                outcome.counts.entry(String::from_utf8(record.key).unwrap()).or_default().push(count);
            }
            for record in self.broker.read_committed(DEAD_LETTERS.name, partition) {
                outcome.dead_letters.push(String::from_utf8(record.key).unwrap());
            }
        }
        outcome.dead_letters.sort();
        outcome
    }
}

#[test]
fn five_hundred_seeds_of_faults_leave_state_and_outputs_exactly_once() {
    let (mut deaths, mut aborts) = (0, 0);
    for seed in 0..600 {
        let folder = tempfile::tempdir().unwrap();
        let mut simulation = Simulation::new(seed, Retention::All, folder.path());
        simulation.run();
        deaths += simulation.workers.deaths();
        aborts += simulation.workers.metrics().workers().aborts;
        let expected = Outcome::expected(simulation.lines.iter());
        assert_eq!(simulation.outcome(), expected, "seed {seed}");
    }
    assert!(deaths > 600 && aborts > 600, "too few faults had an effect: {deaths} deaths, {aborts} aborts");
}

#[test]
fn faults_leave_the_state_exact_when_only_the_newest_of_each_key_is_kept() {
    for seed in 1000..1150 {
        let folder = tempfile::tempdir().unwrap();
        let mut simulation = Simulation::new(seed, Retention::ByKey, folder.path());
        simulation.run();
        let expected = Outcome::expected(simulation.lines.iter());
        let outcome = simulation.outcome();
        assert_eq!((outcome.lines, outcome.words), (expected.lines, expected.words), "seed {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let folder = tempfile::tempdir().unwrap();
        let mut simulation = Simulation::new(seed, Retention::All, folder.path());
        simulation.run();
        let figures = simulation.workers.metrics().workers();
        (
            simulation.workers.deaths(),
            figures.commits,
            figures.aborts,
            figures.restored_entries,
            simulation.rng.next_u64(),
        )
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn a_lost_answer_to_a_commit_is_not_taken_for_an_abort() {
    let faults = Faults { crash_after_commit: 1.0, ..Faults::none(1) };
    let broker = Broker::new(BrokerConfig { faults: Some(faults), ..BrokerConfig::like_kafka() });
    broker.create_topics(&word_count::TOPICS, PARTITIONS);
    let mut log = broker.open(GROUP, "worker-0", &INBOXES).unwrap();
    let mut output = Output::new(PARTITIONS);
    output.send(&COUNTS, b"a", |buffer| buffer.push(1));
    log.send(&output).unwrap();
    assert!(matches!(log.commit(&[]), Err(LogError::Unavailable(_))));
    let visible: usize = (0..PARTITIONS).map(|partition| broker.read_committed(COUNTS.name, partition).len()).sum();
    assert_eq!(visible, 1);
}
