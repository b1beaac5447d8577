//! Simulation: the word count on the memory log under a seeded schedule with every kind of fault. However often
//! workers die, abort, are fenced or lose partitions, state and outputs must equal a plain loop, exactly once.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use crate::conformance::word_count::{self, COUNTS, Count, DEAD_LETTERS, GROUP, INBOXES, LINES, Outcome, Split};
use crate::memory::{Broker, BrokerConfig, Faults, Retention, SimulationRng};
use crate::{CommitLimits, Lag, Log, LogError, Metrics, Output, Producer, SnapshotConfig, Step, Topology};
use crate::{Worker, WorkerConfig};

const PARTITIONS: i32 = word_count::PARTITIONS;

struct Simulation {
    broker: Broker,
    rng: SimulationRng,
    topology: Arc<Topology>,
    metrics: Arc<Metrics>,
    config: WorkerConfig,
    lines: Vec<(String, Option<String>)>,
    workers: Vec<Option<Worker>>,
    deaths: u32,
}

impl Simulation {
    fn new(seed: u64, retention: Retention, folder: &std::path::Path) -> Self {
        let mut rng = SimulationRng::new(seed ^ 0x5eed);
        let config = BrokerConfig { retention, faults: Some(Faults::all(seed)), ..BrokerConfig::like_kafka() };
        let broker = Broker::new(config);
        broker.create_topics(&word_count::TOPICS, PARTITIONS);
        let topology = word_count::topology(&Arc::new(AtomicU32::new(5)));
        let metrics = Arc::new(Metrics::new(&topology));
        // Few, because each snapshot is forced to disk.
        let snapshots = rng.chance(0.1).then(|| SnapshotConfig {
            every: Duration::ZERO,
            ..SnapshotConfig::new(folder.to_owned(), format!("{seed}"))
        });
        // Time must not decide anything.
        let limits = CommitLimits { time: Duration::from_hours(1), records: 1 + rng.below(40) as usize, bytes: 4096 };
        let config = WorkerConfig {
            limits,
            poll_timeout: Duration::ZERO,
            poll_records: 1 + rng.below(20) as usize,
            unavailable: Duration::from_hours(1),
            snapshots,
            ..WorkerConfig::default()
        };
        let workers = (0..=rng.below(3)).map(|_| None).collect();
        Self { broker, rng, topology, metrics, config, lines: Vec::new(), workers, deaths: 0 }
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

    /// Lets one worker do one thing, or start, or end.
    fn turn(&mut self) {
        let slot = self.rng.below(self.workers.len() as u64) as usize;
        let Some(mut worker) = self.workers[slot].take() else {
            let log = self.broker.open(GROUP, &format!("worker-{slot}"), &INBOXES).unwrap();
            let log: Box<dyn Log> = Box::new(log);
            let (topology, metrics) = (Arc::clone(&self.topology), Arc::clone(&self.metrics));
            self.workers[slot] = Some(Worker::new(topology, self.config.clone(), log, metrics));
            return;
        };
        if self.rng.chance(0.003) {
            if let Err(error) = worker.close() {
                assert!(error.can_restart(), "{error}");
            }
            return;
        }
        match worker.step() {
            // The simulated process is gone: its log answers nothing any more.
            Ok(Step::Unavailable(_)) if self.rng.chance(0.2) => self.deaths += 1,
            Ok(_) => self.workers[slot] = Some(worker),
            Err(error) => {
                assert!(error.can_restart(), "{error}");
                self.deaths += 1;
            }
        }
    }

    fn run(&mut self) {
        for _ in 0..40 {
            self.publish();
            for _ in 0..self.rng.below(12) {
                self.turn();
            }
            if self.rng.chance(0.1) {
                self.broker.compact();
            }
        }
        let lag = self.broker.lag(INBOXES.iter().map(|inbox| (GROUP.to_owned(), *inbox)).collect());
        let mut turns = 0;
        while lag.lag().unwrap() > 0 {
            self.turn();
            turns += 1;
            assert!(turns < 100_000, "does not settle: {:?}", lag.lag());
        }
    }

    /// The state as a new worker restores it, on a broker without faults, and what readers see.
    fn outcome(mut self) -> Outcome {
        self.workers.clear();
        self.broker.stop_faults();
        for slot in 0..3 {
            self.broker.expire(GROUP, &format!("worker-{slot}"));
        }
        let log = Box::new(self.broker.open(GROUP, "last", &INBOXES).unwrap());
        let mut worker = Worker::new(self.topology, self.config, log, self.metrics);
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
        deaths += simulation.deaths;
        aborts += simulation.metrics.workers().aborts;
        let expected = Outcome::expected(simulation.lines.iter());
        assert_eq!(simulation.outcome(), expected, "seed {seed}");
    }
    assert!(deaths > 600 && aborts > 600, "the faults must bite: {deaths} deaths, {aborts} aborts");
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
        let figures = simulation.metrics.workers();
        (simulation.deaths, figures.commits, figures.aborts, figures.restored_entries, simulation.rng.next_u64())
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
