//! Restores tasks from snapshot and changelog.

use std::time::Instant;

use super::{Worker, WorkerError};
use crate::events;
use crate::log::Log;
use crate::log_error::LogError;
use crate::metrics::add;
use crate::snapshot::{SnapshotConfig, SnapshotError, SnapshotFile};
use crate::stage::Topology;
use crate::state::StateError;
use crate::task::Task;
use crate::topic::TopicPartition;

/// The progress of restoring tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Restoring {
    /// All tasks are restored.
    Done,
    /// Some tasks are still to be restored.
    More,
    /// A changelog cannot be read yet, for this reason.
    Unavailable(String),
}

/// After this many entries the restored partitions resume, before others are restored. Tasks with little state resume
/// together, so that none of them runs ahead of the others.
const ENTRIES_IN_ONE_STEP: u64 = 10_000;

impl Worker {
    /// Restores tasks that are not restored yet, and resumes their partitions. The last stages come first: they process
    /// what earlier stages have sent them while those are restored.
    pub(super) fn restore_some(&mut self) -> Result<Restoring, WorkerError> {
        let mut waiting: Vec<usize> = (0..self.tasks.len()).filter(|number| !self.tasks[*number].restored).collect();
        waiting.sort_by_key(|number| std::cmp::Reverse(self.tasks[*number].stage));
        if waiting.is_empty() {
            self.unusable.report();
            self.end_warm_up();
            return Ok(Restoring::Done);
        }
        let started = Instant::now();
        let (mut restored, mut entries, mut missing) = (Vec::new(), 0, None);
        for &number in &waiting {
            let (mut source, tasks) = self.source();
            match source.restore(&mut tasks[number]) {
                Err(WorkerError::Log(LogError::Unavailable(text))) => {
                    missing = Some(format!("{} cannot be restored yet: {text}", tasks[number].inbox));
                    break;
                }
                count => entries += count?,
            }
            restored.push(number);
            if entries >= ENTRIES_IN_ONE_STEP {
                break;
            }
        }
        match self.resume_restored(&restored) {
            Err(WorkerError::Log(LogError::Unavailable(reason))) => return Ok(Restoring::Unavailable(reason.into())),
            flowing => flowing?,
        }
        events::state_restored(restored.len(), entries, started.elapsed());
        add(&self.metrics.restored_tasks, restored.len() as u64);
        add(&self.metrics.restored_entries, entries);
        add(&self.metrics.restore_nanos, started.elapsed().as_nanos() as u64);
        Ok(match missing {
            Some(text) => Restoring::Unavailable(text),
            None if restored.len() < waiting.len() => Restoring::More,
            None => Restoring::Done,
        })
    }

    fn resume_restored(&mut self, restored: &[usize]) -> Result<(), WorkerError> {
        let inboxes: Vec<TopicPartition> = restored.iter().map(|number| self.tasks[*number].inbox).collect();
        self.check_inboxes(restored)?;
        self.log.resume(&inboxes)?;
        for &number in restored {
            self.tasks[number].restored = true;
            self.tasks[number].snapshot_at = Instant::now();
        }
        Ok(())
    }

    /// The source to restore from, and the tasks.
    fn source(&mut self) -> (Source<'_>, &mut [Task]) {
        let Self { log, topology, config, tasks, unusable, .. } = self;
        (Source { log: &mut **log, topology, snapshots: config.snapshots.as_ref(), unusable }, tasks)
    }
}

/// What tasks are restored from.
pub(super) struct Source<'a> {
    pub(super) log: &'a mut dyn Log,
    pub(super) topology: &'a Topology,
    pub(super) snapshots: Option<&'a SnapshotConfig>,
    pub(super) unusable: &'a mut Unusable,
}

/// Snapshots that could not be used, for one message about all of them.
#[derive(Debug, Default)]
pub(super) struct Unusable {
    number: u64,
    first: Option<SnapshotError>,
}

impl Unusable {
    fn add(&mut self, error: SnapshotError) {
        if matches!(error, SnapshotError::TooOld(_)) {
            events::snapshot_too_old(&error);
            return;
        }
        events::snapshot_not_read(&error);
        self.number += 1;
        self.first.get_or_insert(error);
    }

    /// Reports the snapshots since the last report, if there are any.
    fn report(&mut self) {
        if let Some(first) = self.first.take() {
            events::snapshots_not_read(self.number, &first);
            self.number = 0;
        }
    }
}

impl Source<'_> {
    /// Fills a task from snapshot and changelog, or continues from the offset up to which it was read before. Returns
    /// the number of entries read.
    pub(super) fn restore(&mut self, task: &mut Task) -> Result<u64, WorkerError> {
        let Some(changelog) = task.changelog else { return Ok(0) };
        if task.restored_to > 0 {
            match self.read_changelog(task, changelog, task.restored_to) {
                Err(WorkerError::Log(LogError::OffsetOutOfRange(text))) => {
                    events::warm_state_not_used(task.inbox, &text);
                }
                newer => return newer,
            }
        }
        let (from, entries) = self.read_snapshot(task)?;
        match self.read_changelog(task, changelog, from) {
            Err(WorkerError::Log(LogError::OffsetOutOfRange(text))) if from > 0 => {
                events::snapshot_does_not_fit(task.inbox, &text);
                self.forget_snapshot(task)?;
                self.clear(task)?;
                self.read_changelog(task, changelog, 0)
            }
            newer => Ok(entries + newer?),
        }
    }

    /// Fills a task from its snapshot, if there is a valid one. Returns the changelog offset to continue from, and the
    /// number of entries.
    fn read_snapshot(&mut self, task: &mut Task) -> Result<(i64, u64), WorkerError> {
        self.clear(task)?;
        let Some(file) = self.snapshot_file(task) else { return Ok((0, 0)) };
        match file.read(task) {
            Ok(found) => Ok(found.unwrap_or_default()),
            Err(error) => {
                self.unusable.add(error);
                self.clear(task)?;
                Ok((0, 0))
            }
        }
    }

    fn clear(&self, task: &mut Task) -> Result<(), WorkerError> {
        task.clear().map_err(|error| self.state_error(task, error))
    }

    /// A table that does not answer is awaited as the log is.
    fn state_error(&self, task: &Task, error: StateError) -> WorkerError {
        if error.may_pass() {
            return LogError::unavailable(error.to_string()).caused_by(error).into();
        }
        let (stage, partition) = (self.topology.stages[task.stage].name, task.inbox.partition);
        WorkerError::State { stage, partition, error: Box::new(error) }
    }

    /// Removes the snapshot of a task: it is ahead of a changelog that lost its end, and would seem to fit again as
    /// soon as the changelog has grown past it.
    fn forget_snapshot(&self, task: &Task) -> Result<(), LogError> {
        let Some(file) = self.snapshot_file(task) else { return Ok(()) };
        file.remove().map_err(|error| LogError::unavailable(error.to_string()).caused_by(error))
    }

    fn snapshot_file(&self, task: &Task) -> Option<SnapshotFile<'_>> {
        let stage = self.topology.stages[task.stage].name;
        Some(SnapshotFile::new(self.snapshots?, self.topology.flow, stage, task.inbox.partition))
    }

    /// Brings a task up to the end of its changelog. Returns the number of entries read. After an error the task has to
    /// be restored from the start.
    fn read_changelog(&mut self, task: &mut Task, changelog: TopicPartition, from: i64) -> Result<u64, WorkerError> {
        let (stage, partition) = (self.topology.stages[task.stage].name, task.inbox.partition);
        let mut failed = None;
        let mut entries = 0;
        task.restored_to = 0;
        let restored = self.log.restore(changelog, from, &mut |key, value| {
            entries += 1;
            if failed.is_none() {
                failed = task.restore(key, value).err();
            }
        });
        let restored_to = restored.map_err(|error| match error {
            LogError::Truncated(reason) => WorkerError::Truncated { stage, partition, text: reason.into() },
            error => error.into(),
        })?;
        if let Some(error) = failed {
            return Err(self.state_error(task, error));
        }
        task.restored_to = restored_to;
        task.changed_since_snapshot |= entries > 0;
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use crate::conformance::word_count::{self, COUNT_CHANGELOG, Count, GROUP, INBOXES, LINES};
    use crate::memory::{Broker, BrokerConfig};
    use crate::{
        Lag, Metrics, Output, Producer, SnapshotConfig, Step, TopicPartition, Worker, WorkerConfig, WorkerError,
    };

    const PARTITIONS: i32 = 1;

    fn publish(broker: &Broker, words: std::ops::Range<u32>) {
        let mut output = Output::new(PARTITIONS);
        for number in words {
            output.send(&LINES, b"line", |buffer| buffer.extend_from_slice(format!("word{number}").as_bytes()));
        }
        broker.producer("lines").publish(&output).unwrap();
    }

    fn worker(broker: &Broker, id: &str, snapshots: Option<&SnapshotConfig>) -> Worker {
        let mut topology = word_count::topology(&Arc::default());
        Arc::get_mut(&mut topology).unwrap().flow_partitions = PARTITIONS;
        let log = Box::new(broker.open(GROUP, id, &INBOXES).unwrap());
        let snapshots = snapshots.cloned();
        let config = WorkerConfig { poll_timeout: Duration::ZERO, snapshots, ..WorkerConfig::default() };
        let metrics = Arc::new(Metrics::new(&topology));
        Worker::new(topology, config, log, metrics)
    }

    /// The words that a new worker holds once nothing is left to read. It writes snapshots at its end.
    fn words(broker: &Broker, snapshots: Option<&SnapshotConfig>) -> Result<BTreeMap<String, u64>, WorkerError> {
        settle(broker, &mut worker(broker, "worker", snapshots))
    }

    fn read_all(broker: &Broker, worker: &mut Worker) -> Result<(), WorkerError> {
        let lag = broker.lag(INBOXES.iter().map(|inbox| (GROUP.to_owned(), *inbox)).collect());
        while worker.step()? != Step::Idle || lag.lag()? > 0 {}
        Ok(())
    }

    fn settle(broker: &Broker, worker: &mut Worker) -> Result<BTreeMap<String, u64>, WorkerError> {
        read_all(broker, worker)?;
        let mut words = BTreeMap::new();
        worker.inspect(&mut |_, _, processor| {
            if let Some(count) = processor.downcast_ref::<Count>() {
                words.extend(count.words.iter().map(|(word, count)| (word.clone(), *count)));
            }
        })?;
        worker.close()?;
        Ok(words)
    }

    fn broker_with_snapshots(folder: &tempfile::TempDir) -> (Broker, SnapshotConfig) {
        let broker = Broker::new(BrokerConfig::like_kafka());
        broker.create_topics(&word_count::TOPICS, PARTITIONS);
        publish(&broker, 0..10);
        let snapshots = SnapshotConfig::new(folder.path().to_owned(), "log");
        assert_eq!(words(&broker, Some(&snapshots)).unwrap().len(), 10);
        (broker, snapshots)
    }

    const CHANGELOG: TopicPartition = TopicPartition { topic: COUNT_CHANGELOG.name, partition: 0 };

    #[test]
    fn a_snapshot_ahead_of_a_changelog_that_lost_its_end_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let (broker, snapshots) = broker_with_snapshots(&folder);
        let records = broker.read_committed(CHANGELOG.topic, 0);
        broker.lose_end(CHANGELOG, records[5].offset).unwrap();
        let left = words(&broker, None).unwrap();
        assert!(!left.is_empty() && left.len() < 10, "{left:?}");
        assert_eq!(words(&broker, Some(&snapshots)).unwrap(), left);
        // It is not used either once the changelog has grown past it.
        publish(&broker, 20..40);
        let grown = words(&broker, None).unwrap();
        assert_eq!(grown.len(), left.len() + 20);
        assert_eq!(words(&broker, Some(&snapshots)).unwrap(), grown);
    }

    #[test]
    fn a_changelog_without_its_start_is_refused_unless_a_snapshot_covers_the_deleted_records() {
        let folder = tempfile::tempdir().unwrap();
        let (broker, snapshots) = broker_with_snapshots(&folder);
        let end = broker.read_committed(CHANGELOG.topic, 0).last().unwrap().offset + 1;
        broker.delete_records(CHANGELOG, end).unwrap();
        publish(&broker, 20..21);
        assert_eq!(words(&broker, Some(&snapshots)).unwrap().len(), 11);
        let error = words(&broker, None).unwrap_err();
        assert!(!error.can_restart());
        let text = error.to_string();
        assert!(
            text.starts_with("state of stage count, partition 0, cannot be restored: conformance.count.changelog-0")
        );
        assert!(
            text.contains(&format!("holds offsets {end} to ")) && text.contains("not 0. Records were deleted"),
            "{text}"
        );
        assert!(text.ends_with("load the data again into another namespace"), "{text}");
    }

    #[test]
    fn a_worker_that_lost_a_partition_without_noticing_writes_no_snapshot_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let (broker, snapshots) = broker_with_snapshots(&folder);
        let mut paused = worker(&broker, "worker", Some(&snapshots));
        publish(&broker, 20..30);
        read_all(&broker, &mut paused).unwrap();
        // It is silent for too long, so another worker takes over. Then it returns, about to write its snapshots.
        broker.expire(GROUP, "worker");
        publish(&broker, 40..50);
        let now = settle(&broker, &mut worker(&broker, "other", None)).unwrap();
        assert_eq!(now.len(), 30);
        paused.write_snapshots(|_| true);
        drop(paused);
        assert_eq!(words(&broker, Some(&snapshots)).unwrap(), now);
    }
}
