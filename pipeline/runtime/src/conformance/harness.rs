//! Drives the word count over a log under test and collects its results.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use super::LogFactory;
use super::word_count::{self, COUNTS, Count, DEAD_LETTERS, GROUP, INBOXES, LINES, Outcome, PARTITIONS, Split};
use crate::memory::OwnedRecord;
use crate::{Lag, LogError, Metrics, Output, Producer, SnapshotConfig, Step, Topic, Worker, WorkerConfig, WorkerError};

/// How long anything may take before a test fails.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// One flow on the log under test.
pub(super) struct Harness<'a> {
    pub(super) factory: &'a mut dyn LogFactory,
    producer: Box<dyn Producer>,
    lag: Box<dyn Lag>,
    pub(super) lines: Vec<(String, Option<String>)>,
    pub(super) outside: Arc<AtomicU32>,
    pub(super) config: WorkerConfig,
    pub(super) metrics: Arc<Metrics>,
}

impl<'a> Harness<'a> {
    pub(super) fn new(factory: &'a mut dyn LogFactory) -> Self {
        factory.reset();
        factory.create_topics(&word_count::TOPICS, PARTITIONS);
        let producer = factory.producer("conformance-producer");
        let lag = factory.lag(GROUP, &INBOXES);
        let outside = Arc::new(AtomicU32::new(0));
        let metrics = Arc::new(Metrics::new(&word_count::topology(&outside)));
        let config = WorkerConfig { poll_timeout: Duration::from_millis(50), ..WorkerConfig::default() };
        Self { factory, producer, lag, lines: Vec::new(), outside, config, metrics }
    }

    pub(super) fn with_snapshots(&mut self) -> PathBuf {
        let folder = self.factory.folder();
        self.config.snapshots = Some(SnapshotConfig::new(folder.clone(), "conformance"));
        folder
    }

    /// Publishes lines in one transaction.
    pub(super) fn publish(&mut self, lines: &[(&str, Option<&str>)]) {
        let mut output = Output::new(PARTITIONS);
        output.inherit(1_700_000_000_000, crate::Headers::default());
        for (key, value) in lines {
            match value {
                Some(value) => output.send(&LINES, key.as_bytes(), |buffer| buffer.extend_from_slice(value.as_bytes())),
                None => output.tombstone(&LINES, key.as_bytes()),
            }
            self.lines.push(((*key).to_owned(), value.map(str::to_owned)));
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.producer.publish(&output) {
                Ok(()) => return,
                Err(LogError::Unavailable(_) | LogError::Abortable(_)) if Instant::now() < deadline => {}
                Err(error) => panic!("publish: {error}"),
            }
        }
    }

    /// Publishes `count` lines that share words and have words of their own.
    pub(super) fn publish_many(&mut self, count: usize) {
        let first = self.lines.len();
        let lines: Vec<(String, String)> = (first..first + count)
            .map(|number| {
                let key = number % 7;
                (format!("line{key}"), format!("shared{} own{key} -own{key} other{key} all", number % 3))
            })
            .collect();
        let lines: Vec<(&str, Option<&str>)> =
            lines.iter().map(|(key, value)| (key.as_str(), Some(value.as_str()))).collect();
        self.publish(&lines);
    }

    pub(super) fn worker(&mut self, id: &str) -> Worker {
        let log = self.factory.open(GROUP, id, &INBOXES);
        let topology = word_count::topology(&self.outside);
        Worker::new(topology, self.config.clone(), log, Arc::clone(&self.metrics))
    }

    /// Ends a worker as a killed process does.
    pub(super) fn kill(&mut self, id: &str, worker: Worker) {
        self.factory.kill(GROUP, id);
        drop(worker);
    }

    pub(super) fn unread(&self) -> u64 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lag.lag() {
                Ok(lag) => return lag,
                Err(error) => assert!(Instant::now() < deadline, "lag: {error}"),
            }
        }
    }

    /// Steps the workers in turn until nothing is left to do.
    pub(super) fn settle(&mut self, workers: &mut [&mut Worker]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let steps: Vec<Step> = workers.iter_mut().map(|worker| step(worker)).collect();
            if steps.iter().all(|step| *step == Step::Idle) && self.unread() == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "not settled: {} records unread", self.unread());
        }
    }

    /// The results, with the states of these workers.
    pub(super) fn outcome(&mut self, workers: &mut [&mut Worker]) -> Outcome {
        let mut outcome = Outcome::default();
        for worker in workers {
            let visit = &mut |_: &str, _: i32, processor: &dyn std::any::Any| {
                if let Some(split) = processor.downcast_ref::<Split>() {
                    outcome.lines.extend(split.lines.iter().map(|(line, seen)| (line.clone(), *seen)));
                }
                if let Some(count) = processor.downcast_ref::<Count>() {
                    assert_eq!(count.words.iter().count(), count.by_length.iter().count());
                    outcome.words.extend(count.words.iter().map(|(word, count)| (word.clone(), *count)));
                }
            };
            worker.inspect(visit).expect("inspect");
        }
        outcome.counts = self.counts();
        outcome.dead_letters = self.read(&DEAD_LETTERS).iter().map(|record| as_text(&record.key)).collect();
        outcome.dead_letters.sort();
        outcome
    }

    fn counts(&mut self) -> BTreeMap<String, Vec<Option<u64>>> {
        let mut counts: BTreeMap<String, Vec<Option<u64>>> = BTreeMap::new();
        for record in self.read(&COUNTS) {
            let count = record.value.map(|value| u64::from_be_bytes(value.try_into().expect("eight bytes")));
            counts.entry(as_text(&record.key)).or_default().push(count);
        }
        counts
    }

    pub(super) fn read(&mut self, topic: &'static Topic) -> Vec<OwnedRecord> {
        (0..PARTITIONS).flat_map(|partition| self.factory.read_committed(topic, partition)).collect()
    }

    /// Compares all results with a plain loop over the lines. Records may become visible late.
    pub(super) fn check(&mut self, workers: &mut [&mut Worker]) {
        let expected = Outcome::expected(self.lines.iter());
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let outcome = self.outcome(workers);
            if outcome == expected || Instant::now() >= deadline {
                assert_eq!(outcome, expected);
                return;
            }
        }
    }
}

/// One step; the worker must not fail.
pub(super) fn step(worker: &mut Worker) -> Step {
    match try_step(worker) {
        Ok(step) => step,
        Err(error) => panic!("worker failed: {error}"),
    }
}

pub(super) fn try_step(worker: &mut Worker) -> Result<Step, WorkerError> {
    let step = worker.step()?;
    if let Step::Retry(pause) | Step::Unavailable(pause) = step {
        std::thread::sleep(pause.min(Duration::from_millis(200)));
    }
    Ok(step)
}

/// Steps until the worker has restored all partitions of both stages.
pub(super) fn step_until_restored(worker: &mut Worker) {
    let deadline = Instant::now() + PATIENCE;
    let mut restored = 0;
    while restored < 2 * PARTITIONS {
        assert!(Instant::now() < deadline, "only {restored} partitions are restored");
        step(worker);
        restored = 0;
        worker.inspect(&mut |_, _, _| restored += 1).expect("inspect");
    }
}

/// Steps until the worker fails.
pub(super) fn failure(worker: &mut Worker) -> WorkerError {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Err(error) = try_step(worker) {
            return error;
        }
        assert!(Instant::now() < deadline, "the worker did not fail");
    }
}

pub(super) fn as_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
