//! Commits and aborts: the one place where outputs, state changes and input offsets become one transaction.

use std::time::Instant;

use super::{Uncommitted, Worker, WorkerError};
use crate::log::LogError;
use crate::metrics::add;
use crate::record::Headers;
use crate::task::Task;
use crate::topic::TopicPartition;

impl Worker {
    /// Hands what was collected to the log. False when the transaction had to be aborted.
    pub(super) fn send_output(&mut self) -> Result<bool, WorkerError> {
        if self.output.is_empty() {
            return Ok(true);
        }
        self.uncommitted.bytes += self.output.byte_size();
        let sent = self.log.send(&self.output);
        self.output.clear();
        self.unless_abortable(sent)
    }

    /// Turns an abortable error into an abort.
    pub(super) fn unless_abortable(&mut self, result: Result<(), LogError>) -> Result<bool, WorkerError> {
        match result {
            Ok(()) => Ok(true),
            Err(LogError::Abortable(text)) => self.roll_back(&text).map(|()| false),
            Err(error) => Err(error.into()),
        }
    }

    /// Drops the open transaction everywhere.
    pub(super) fn roll_back(&mut self, reason: &str) -> Result<(), WorkerError> {
        tracing::debug!(reason, "aborting the transaction");
        self.output.clear();
        self.tasks.iter_mut().for_each(Task::discard);
        self.uncommitted = Uncommitted::default();
        self.aborts += 1;
        add(&self.metrics.aborts, 1);
        Ok(self.log.abort()?)
    }

    /// Under load: whether the limits are reached. A transaction of offsets alone waits ten times longer, because the
    /// broker is slow with those; it is committed with later output or when there is nothing to read.
    pub(super) fn is_commit_due(&mut self) -> bool {
        let limits = self.config.limits;
        let Uncommitted { since: Some(since), records, bytes, .. } = self.uncommitted else { return false };
        if records < limits.records && bytes < limits.bytes && since.elapsed() < limits.time {
            return false;
        }
        records / 10 >= limits.records || bytes > 0 || self.tasks.iter_mut().any(Task::has_changes)
    }

    pub(super) fn commit_if_open(&mut self) -> Result<bool, WorkerError> {
        if self.uncommitted.since.is_none() { Ok(true) } else { self.commit() }
    }

    /// Commits outputs, state changes and input offsets together. False when it had to be aborted.
    pub(super) fn commit(&mut self) -> Result<bool, WorkerError> {
        let started = Instant::now();
        self.collect_changes()?;
        if !self.send_output()? {
            return Ok(false);
        }
        let offsets: Vec<(TopicPartition, i64)> = self.tasks.iter().filter_map(Task::progress).collect();
        let committed = self.log.commit(&offsets);
        if !self.unless_abortable(committed)? {
            return Ok(false);
        }
        self.tasks.iter_mut().for_each(Task::merge);
        self.uncommitted = Uncommitted::default();
        self.aborts = 0;
        self.has_committed = true;
        add(&self.metrics.commits, 1);
        add(&self.metrics.commit_nanos, started.elapsed().as_nanos() as u64);
        self.write_due_snapshot();
        Ok(true)
    }

    pub(super) fn collect_changes(&mut self) -> Result<(), WorkerError> {
        self.output.inherit(self.uncommitted.timestamp, Headers::default());
        for task in &mut self.tasks {
            let stage = &self.topology.stages[task.stage];
            let partition = task.inbox.partition;
            task.write_changes(stage, &mut self.output).map_err(|error| WorkerError::State {
                stage: stage.name,
                partition,
                error,
            })?;
        }
        Ok(())
    }
}
