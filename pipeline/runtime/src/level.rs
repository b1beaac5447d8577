//! The level of a namespace: which of two rules holds, and which records may be written, while two releases run side by
//! side.
//!
//! A release knows the levels that it can run. The level arrives in every inbox partition as a record, so stages stay
//! deterministic. It only rises.

use std::fmt;

use crate::record::Record;
use crate::state::{RELEASE, StateError};

/// Key and header of the record that sets the level of a partition. The header holds the number as text. The record has
/// no value, so programs that read the topic need no schema for it. A record with another key, or with a value, is no
/// such record, whatever its headers are.
pub const LEVEL_HEADER: &str = "tributary.level";

/// The first byte of the key of the level in a changelog, and the whole key. The number follows in the value, as text.
pub(crate) const LEVEL_ENTRY: u8 = 0xfe;

/// The level of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(pub u32);

impl Level {
    /// The level of a partition that no level has reached yet.
    pub const FIRST: Self = Self(1);

    fn parse(text: &[u8]) -> Option<Self> {
        std::str::from_utf8(text).ok()?.parse().ok().map(Self)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The levels that a release can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// The lowest.
    pub min: Level,
    /// The highest, at which a new namespace starts.
    pub max: Level,
}

impl Levels {
    /// The first level alone.
    pub const ONE: Self = Self { min: Level::FIRST, max: Level::FIRST };

    /// Whether the release can run this level.
    pub fn contains(self, level: Level) -> bool {
        self.min <= level && level <= self.max
    }
}

/// The level of a task.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TaskLevel {
    now: Level,
    sealed: Level,
    committed: Level,
}

/// A partition whose level this release cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LevelError {
    #[error(
        "the partition is at level {level}, and release {RELEASE} runs levels up to {max}: start the release that \
         raised the level, or a later one"
    )]
    TooHigh { level: Level, max: Level },
    #[error(
        "the partition is at level {level}, and release {RELEASE} runs levels from {min} on: let a release that runs \
         level {level} read what came before the level was raised, or type `tributary upgrade finalize` again if it has \
         missed that record"
    )]
    TooLow { level: Level, min: Level },
}

impl Default for TaskLevel {
    fn default() -> Self {
        Self { now: Level::FIRST, sealed: Level::FIRST, committed: Level::FIRST }
    }
}

impl TaskLevel {
    pub(crate) fn now(self) -> Level {
        self.now
    }

    /// Takes the level of a record, if it sets one. Returns whether it does.
    pub(crate) fn take(&mut self, record: &Record<'_>) -> bool {
        // Every record comes here, so the headers are searched only for the right key.
        if record.key != LEVEL_HEADER.as_bytes() || record.value.is_some() {
            return false;
        }
        let Some(level) = record.headers.get(LEVEL_HEADER).and_then(Level::parse) else { return false };
        self.now = self.now.max(level);
        true
    }

    /// Whether this release may process records at this level. It is asked before every record, because the level may
    /// also come from the changelog, or have missed this task.
    pub(crate) fn check(self, levels: Levels) -> Result<(), LevelError> {
        let level = self.now;
        if level > levels.max {
            return Err(LevelError::TooHigh { level, max: levels.max });
        }
        if level < levels.min {
            return Err(LevelError::TooLow { level, min: levels.min });
        }
        Ok(())
    }

    /// Whether the open transaction has raised the level.
    pub(crate) fn has_changed(self) -> bool {
        self.now != self.sealed
    }

    pub(crate) fn seal(&mut self) {
        self.sealed = self.now;
    }

    pub(crate) fn settle(&mut self) {
        self.committed = self.sealed;
    }

    pub(crate) fn discard(&mut self) {
        *self = Self { now: self.committed, sealed: self.committed, committed: self.committed };
    }

    /// Its entry, if a level has ever reached the task.
    pub(crate) fn entry(self) -> Option<String> {
        (self.now > Level::FIRST).then(|| self.now.to_string())
    }

    pub(crate) fn restore(&mut self, value: Option<&[u8]>) -> Result<(), StateError> {
        let wrong = || StateError::Entry { key: "of the level".to_owned(), reason: "it is not a level" };
        let level = value.and_then(Level::parse).ok_or_else(wrong)?;
        *self = Self { now: level, sealed: level, committed: level };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::conformance::word_count::{COUNT_CHANGELOG, COUNTS, DEAD_LETTERS, LINES, TOPICS};
    use crate::memory::{Broker, BrokerConfig};
    use crate::{
        Headers, Metrics, Output, ProcessError, Processor, Producer, SnapshotConfig, Stage, StateStore, Step, Topology,
        Worker, WorkerConfig, WorkerError, append_header,
    };

    /// Answers each record with the level of its partition.
    struct Tell;

    impl Processor for Tell {
        fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
            let level = output.level().to_string();
            output.send(&COUNTS, record.key, |buffer| buffer.extend_from_slice(level.as_bytes()));
            Ok(())
        }

        fn stores(&mut self) -> Vec<&mut dyn StateStore> {
            Vec::new()
        }
    }

    fn broker() -> Broker {
        let broker = Broker::new(BrokerConfig::like_kafka());
        broker.create_topics(&TOPICS, 1);
        broker
    }

    fn worker(broker: &Broker, max: u32, snapshots: Option<&SnapshotConfig>) -> Worker {
        let processor = Box::new(|_| Box::new(Tell) as Box<dyn Processor>);
        let stages = vec![Stage { name: "tell", inbox: &LINES, changelog: Some(&COUNT_CHANGELOG), processor }];
        let levels = Levels { min: Level::FIRST, max: Level(max) };
        let topology = Topology { flow: "tell", stages, dead_letters: &DEAD_LETTERS, flow_partitions: 1, levels };
        let metrics = Arc::new(Metrics::new(&topology));
        let snapshots = snapshots.cloned();
        let config = WorkerConfig { poll_timeout: Duration::ZERO, snapshots, ..WorkerConfig::default() };
        Worker::new(Arc::new(topology), config, Box::new(broker.open("tell", "worker", &[&LINES]).unwrap()), metrics)
    }

    fn publish(broker: &Broker, key: &str, level: Option<&str>) {
        let mut output = Output::new(1);
        let mut headers = Vec::new();
        if let Some(level) = level {
            append_header(&mut headers, LEVEL_HEADER, level.as_bytes());
            output.set_headers(Headers::from_bytes(&headers));
            output.tombstone(&LINES, key.as_bytes());
        } else {
            output.send(&LINES, key.as_bytes(), |_| {});
        }
        broker.producer("lines").publish(&output).unwrap();
    }

    fn settle(worker: &mut Worker) -> Result<(), WorkerError> {
        let mut idle = 0;
        while idle < 5 {
            idle = if worker.step()? == Step::Idle { idle + 1 } else { 0 };
        }
        Ok(())
    }

    /// Key and level of each answer.
    fn answers(broker: &Broker) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let records = broker.read_committed(COUNTS.name, 0);
        records
            .iter()
            .map(|record| format!("{} {}", text(&record.key), text(record.value.as_deref().unwrap())))
            .collect()
    }

    #[test]
    fn the_level_holds_from_its_record_on_after_every_restart_and_never_falls() {
        for with_snapshots in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let snapshots = SnapshotConfig::new(folder.path().to_owned(), "log");
            let snapshots = with_snapshots.then_some(&snapshots);
            let broker = broker();
            publish(&broker, "a", None);
            publish(&broker, LEVEL_HEADER, Some("2"));
            publish(&broker, "b", None);
            let mut first = worker(&broker, 2, snapshots);
            settle(&mut first).unwrap();
            first.close().unwrap();
            publish(&broker, "c", None);
            publish(&broker, LEVEL_HEADER, Some("1"));
            publish(&broker, "d", None);
            settle(&mut worker(&broker, 2, snapshots)).unwrap();
            assert_eq!(answers(&broker), ["a 1", "b 2", "c 2", "d 2"]);
        }
    }

    #[test]
    fn a_level_that_this_release_cannot_run_stops_before_any_record_after_it() {
        let broker = broker();
        publish(&broker, LEVEL_HEADER, Some("3"));
        publish(&broker, "a", None);
        let error = settle(&mut worker(&broker, 2, None)).unwrap_err();
        assert!(!error.can_restart());
        let text = error.to_string();
        assert!(text.contains("at level 3") && text.contains("runs levels up to 2"), "{text}");
        assert!(answers(&broker).is_empty());
        settle(&mut worker(&broker, 3, None)).unwrap();
        assert_eq!(answers(&broker), ["a 3"]);
    }

    #[test]
    fn only_a_tombstone_with_its_key_sets_the_level() {
        let broker = broker();
        publish(&broker, "other", Some("2"));
        let mut output = Output::new(1);
        let mut headers = Vec::new();
        append_header(&mut headers, LEVEL_HEADER, b"2");
        output.set_headers(Headers::from_bytes(&headers));
        output.send(&LINES, LEVEL_HEADER.as_bytes(), |buffer| buffer.push(1));
        broker.producer("lines").publish(&output).unwrap();
        publish(&broker, LEVEL_HEADER, Some("two"));
        settle(&mut worker(&broker, 2, None)).unwrap();
        assert_eq!(answers(&broker), ["other 1", "tributary.level 1", "tributary.level 1"]);
    }

    #[test]
    fn a_task_of_a_later_level_is_not_processed_by_an_earlier_release() {
        let broker = broker();
        publish(&broker, LEVEL_HEADER, Some("2"));
        let mut later = worker(&broker, 2, None);
        settle(&mut later).unwrap();
        later.close().unwrap();
        publish(&broker, "a", None);
        let error = settle(&mut worker(&broker, 1, None)).unwrap_err().to_string();
        assert!(error.contains("at level 2") && error.contains("runs levels up to 1"), "{error}");
        assert!(answers(&broker).is_empty());
    }

    #[test]
    fn an_aborted_transaction_does_not_raise_the_level() {
        let mut headers = Vec::new();
        append_header(&mut headers, LEVEL_HEADER, b"4");
        let mut level = TaskLevel::default();
        let origin = crate::TopicPartition { topic: LINES.name, partition: 0 };
        let headers = Headers::from_bytes(&headers);
        let record = Record { origin, offset: 0, timestamp: 0, key: LEVEL_HEADER.as_bytes(), value: None, headers };
        assert!(level.take(&record));
        assert!(level.now() == Level(4) && level.has_changed());
        level.seal();
        assert!(!level.has_changed());
        level.discard();
        assert_eq!((level.now(), level.entry()), (Level::FIRST, None));
    }
}
