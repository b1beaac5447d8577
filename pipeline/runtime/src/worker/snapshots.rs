//! Writes snapshots of tasks: one from time to time, all at the end, and those of partitions that are released.

use std::time::Instant;

use super::Worker;
use crate::events;
use crate::log_error::LogError;
use crate::snapshot::SnapshotFile;
use crate::task::{Place, Task};
use crate::topic::TopicPartition;

/// The subject of troubles with writing snapshots.
const SNAPSHOTS: &str = "snapshots";

/// The inboxes of tasks whose snapshots are to be written, each with the changelog offset up to which its state goes.
pub(super) type Covered = Vec<(TopicPartition, i64)>;

impl Worker {
    /// The inbox of a task whose snapshot is to be written.
    pub(super) fn task_with_due_snapshot(&self) -> Option<TopicPartition> {
        let every = self.config.snapshots.as_ref()?.every;
        let due = |task: &&Task| is_changed(task) && task.snapshot_at.elapsed() >= every;
        self.tasks.iter().find(due).map(|task| task.inbox)
    }

    /// Writes the snapshot of at most one task, so that the pause stays short. Must be called between two transactions.
    pub(super) fn write_due_snapshot(&mut self) {
        if let Some(inbox) = self.task_with_due_snapshot() {
            self.write_snapshots(|task| task.inbox == inbox);
        }
    }

    /// Writes the snapshots of changed tasks that `wanted` picks. Must be called between two transactions.
    pub(super) fn write_snapshots(&mut self, wanted: impl Fn(&Task) -> bool) {
        let covered = self.covered_by(wanted);
        let mut tasks = std::mem::take(&mut self.tasks);
        self.write_covered(&mut tasks, &covered);
        self.tasks = tasks;
    }

    /// The changelog offsets up to which the state of changed tasks goes, for those that `wanted` picks. Must be called
    /// between two transactions, by their owner. Empty when the offsets are not known; no snapshot is written then.
    pub(super) fn covered_by(&mut self, wanted: impl Fn(&Task) -> bool) -> Covered {
        if self.config.snapshots.is_none() {
            return Covered::new();
        }
        self.covered_offsets(|task| is_changed(task) && wanted(task)).unwrap_or_else(|error| {
            self.note_snapshots(Some(error.to_string()));
            Covered::new()
        })
    }

    fn covered_offsets(&mut self, wanted: impl Fn(&Task) -> bool) -> Result<Covered, LogError> {
        let Self { tasks, log, .. } = self;
        let (mut covered, mut committed) = (Covered::new(), Vec::new());
        for task in tasks.iter().filter(|task| wanted(task)) {
            let offset = match (task.committed(), task.changelog) {
                (Some(_), Some(changelog)) => log.end_offset(changelog)?,
                _ => task.restored_to,
            };
            covered.push((task.inbox, offset));
            committed.extend(task.committed());
        }
        // After a pause another worker may own the partitions and may have written changes that this state lacks. Only
        // an owner can commit, so a commit proves that there was no other owner when the end offsets were read.
        if !committed.is_empty() {
            log.commit(&committed)?;
        }
        Ok(covered)
    }

    /// Writes snapshots of tasks. This worker need not own them any more: their state stays true of that offset.
    pub(super) fn write_covered(&mut self, tasks: &mut [Task], covered: &Covered) {
        let Some(config) = self.config.snapshots.clone().filter(|_| !covered.is_empty()) else { return };
        let mut failed = None;
        for (inbox, offset) in covered {
            let Some(task) = tasks.iter_mut().find(|task| task.inbox == *inbox) else { continue };
            let stage = self.topology.stages[task.stage].name;
            let file = SnapshotFile::new(&config, self.topology.flow, stage, inbox.partition);
            let written = file.write(task, *offset);
            task.snapshot_at = Instant::now();
            match written {
                Ok(()) => task.changed_since_snapshot = false,
                Err(error) => {
                    events::snapshot_not_written(stage, &error);
                    failed = Some(error.without_file());
                }
            }
        }
        self.note_snapshots(failed);
    }

    /// Reports what has changed about failures to write snapshots: the disk concerns all tasks alike.
    fn note_snapshots(&mut self, failure: Option<String>) {
        let report = match failure {
            Some(text) => self.troubles.note(SNAPSHOTS, text, Instant::now()),
            None => self.troubles.end(SNAPSHOTS, Instant::now()),
        };
        report.iter().for_each(events::snapshots_trouble);
    }
}

/// Whether a task has state that its last snapshot lacks. One with tables has no snapshots: they would lack the tables.
fn is_changed(task: &Task) -> bool {
    task.restored && task.changed_since_snapshot && task.changelog.is_some() && task.place == Place::Memory
}
