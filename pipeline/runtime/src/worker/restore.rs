//! Restores tasks from snapshot and changelog, and writes snapshots.

use std::time::Instant;

use super::{Worker, WorkerError};
use crate::log::LogError;
use crate::metrics::add;
use crate::snapshot::SnapshotFile;
use crate::task::Task;
use crate::topic::TopicPartition;

impl Worker {
    /// Restores what is not restored yet. False when the log cannot answer yet.
    pub(super) fn restore_tasks(&mut self) -> Result<bool, WorkerError> {
        for number in 0..self.tasks.len() {
            if self.tasks[number].restored {
                continue;
            }
            let started = Instant::now();
            match self.restore_task(number) {
                Ok(()) => {}
                Err(WorkerError::Log(LogError::Unavailable(_))) => return Ok(false),
                Err(error) => return Err(error),
            }
            add(&self.metrics.restored_tasks, 1);
            add(&self.metrics.restore_nanos, started.elapsed().as_nanos() as u64);
        }
        Ok(true)
    }

    pub(super) fn restore_task(&mut self, number: usize) -> Result<(), WorkerError> {
        let inbox = self.tasks[number].inbox;
        if let Some(changelog) = self.tasks[number].changelog {
            let from = self.read_snapshot(number);
            match self.read_changelog(number, changelog, from) {
                Err(WorkerError::Log(LogError::OffsetOutOfRange(text))) if from > 0 => {
                    tracing::warn!(partition = %inbox, "snapshot does not fit the changelog, restoring all of it: {text}");
                    self.tasks[number].clear();
                    self.read_changelog(number, changelog, 0)?;
                    self.forget_snapshot(number)?;
                }
                result => result?,
            }
        }
        self.log.resume(&[inbox])?;
        let task = &mut self.tasks[number];
        task.restored = true;
        task.snapshot_at = Instant::now();
        Ok(())
    }

    /// Fills a task from its snapshot, if there is a good one, and returns where in the changelog to go on.
    pub(super) fn read_snapshot(&mut self, number: usize) -> i64 {
        let task = &mut self.tasks[number];
        task.clear();
        let Some(config) = &self.config.snapshots else { return 0 };
        let stage = self.topology.stages[task.stage].name;
        match SnapshotFile::new(config, self.topology.flow, stage, task.inbox.partition).read(task) {
            Ok(Some((offset, entries))) => {
                add(&self.metrics.restored_entries, entries);
                offset
            }
            Ok(None) => 0,
            Err(error) => {
                tracing::warn!("restoring the whole changelog: {error}");
                task.clear();
                0
            }
        }
    }

    /// Removes the snapshot of a task: it is ahead of a changelog that has lost its end, and would seem to fit once the
    /// changelog has grown past it again.
    fn forget_snapshot(&self, number: usize) -> Result<(), LogError> {
        let Some(config) = &self.config.snapshots else { return Ok(()) };
        let task = &self.tasks[number];
        let stage = self.topology.stages[task.stage].name;
        let file = SnapshotFile::new(config, self.topology.flow, stage, task.inbox.partition);
        file.remove().map_err(|error| LogError::Unavailable(error.to_string()))
    }

    pub(super) fn read_changelog(
        &mut self,
        number: usize,
        changelog: TopicPartition,
        from: i64,
    ) -> Result<(), WorkerError> {
        let task = &mut self.tasks[number];
        let (stage, partition) = (self.topology.stages[task.stage].name, task.inbox.partition);
        let mut failed = None;
        let mut entries = 0;
        let restored = self.log.restore(changelog, from, &mut |key, value| {
            entries += 1;
            if failed.is_none() {
                failed = task.restore(key, value).err();
            }
        });
        restored.map_err(|error| match error {
            LogError::Truncated(text) => WorkerError::Truncated { stage, partition, text },
            error => error.into(),
        })?;
        task.changed_since_snapshot = entries > 0;
        add(&self.metrics.restored_entries, entries);
        failed.map_or(Ok(()), |error| Err(WorkerError::State { stage, partition, error }))
    }

    /// Writes the snapshot of at most one task, so that the pause stays short.
    pub(super) fn write_due_snapshot(&mut self) {
        let Some(every) = self.config.snapshots.as_ref().map(|config| config.every) else { return };
        let due = |task: &Task| {
            task.restored
                && task.changed_since_snapshot
                && task.changelog.is_some()
                && task.snapshot_at.elapsed() >= every
        };
        if let Some(inbox) = self.tasks.iter().find(|task| due(task)).map(|task| task.inbox) {
            self.write_snapshots(|task| task.inbox == inbox);
        }
    }

    /// Writes the snapshots of changed tasks that `wanted` picks. Must be called between two transactions.
    pub(super) fn write_snapshots(&mut self, wanted: impl Fn(&Task) -> bool) {
        let Some(config) = &self.config.snapshots else { return };
        for task in &mut self.tasks {
            let Some(changelog) = task.changelog else { continue };
            if !task.restored || !task.changed_since_snapshot || !wanted(task) {
                continue;
            }
            let stage = self.topology.stages[task.stage].name;
            let file = SnapshotFile::new(config, self.topology.flow, stage, task.inbox.partition);
            let written = match self.log.end_offset(changelog) {
                Ok(offset) => file.write(task, offset).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            task.snapshot_at = Instant::now();
            match written {
                Ok(()) => task.changed_since_snapshot = false,
                Err(error) => tracing::warn!(stage, "no snapshot was written, a restart will take longer: {error}"),
            }
        }
    }
}
