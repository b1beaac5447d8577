//! Records that are retried until they succeed, because something that the processor needs is not available.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::commit::Transaction;
use super::{Step, Worker, WorkerError, back_off};
use crate::events;
use crate::task::Task;
use crate::topic::TopicPartition;
use crate::trouble::Troubles;

/// The records that are retried. Several partitions may wait for the same thing outside.
#[derive(Debug, Default)]
pub(super) struct Retries {
    /// The offset of each partition's record.
    waiting: BTreeMap<TopicPartition, i64>,
    /// Attempts since something succeeded.
    attempts: u32,
    /// Why records are retried, by partition.
    troubles: Troubles,
}

impl Worker {
    /// Commits everything before the record, and returns to it: the log delivers it again.
    pub(super) fn pause_for_retry(
        &mut self,
        stage: usize,
        origin: TopicPartition,
        offset: i64,
        text: String,
    ) -> Result<Step, WorkerError> {
        if self.commit_all()? == Transaction::Aborted {
            return Ok(Step::Aborted);
        }
        self.log.abort()?;
        self.tasks.iter_mut().for_each(Task::discard);
        if let Some(report) = self.retries.troubles.note(&origin.to_string(), text, Instant::now()) {
            events::record_retried(self.topology.stages[stage].name, origin, offset, &report);
        }
        self.retries.waiting.insert(origin, offset);
        let attempts = self.retries.attempts;
        self.retries.attempts = attempts.saturating_add(1);
        Ok(Step::Retry(back_off(Duration::from_millis(100), Duration::from_secs(30), attempts)))
    }

    pub(super) fn forget_retries_that_succeeded(&mut self) {
        if self.retries.waiting.is_empty() {
            return;
        }
        let Self { retries: Retries { waiting, attempts, troubles }, tasks, .. } = self;
        let is_over = |origin: &TopicPartition, offset: i64| {
            let task = tasks.iter().find(|task| task.inbox == *origin);
            task.is_none_or(|task| task.has_passed(offset))
        };
        for (origin, offset) in waiting.extract_if(.., |origin, offset| is_over(origin, *offset)) {
            *attempts = 0;
            if let Some(report) = troubles.end(&origin.to_string(), Instant::now()) {
                events::retry_succeeded(origin, offset, &report);
            }
        }
    }
}
