//! Records that are tried again until they succeed, because something that the processor needs is not available.

use std::time::Duration;

use super::commit::Transaction;
use super::{Step, Worker, WorkerError, back_off};
use crate::events;
use crate::task::Task;
use crate::topic::TopicPartition;

/// A record that is tried again.
#[derive(Debug)]
pub(super) struct Retry {
    origin: TopicPartition,
    offset: i64,
    text: String,
    attempts: u32,
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
        let attempts = match self.retry.take() {
            Some(retry) if retry.origin == origin && retry.offset == offset => {
                if retry.text != text {
                    self.log_retry(stage, origin, offset, &text);
                }
                retry.attempts + 1
            }
            _ => {
                self.log_retry(stage, origin, offset, &text);
                0
            }
        };
        self.retry = Some(Retry { origin, offset, text, attempts });
        Ok(Step::Retry(back_off(Duration::from_millis(100), Duration::from_secs(30), attempts)))
    }

    pub(super) fn forget_retry_that_succeeded(&mut self) {
        let Some(Retry { origin, offset, .. }) = self.retry else { return };
        let task = self.tasks.iter().find(|task| task.inbox == origin);
        if task.is_none_or(|task| task.has_passed(offset)) {
            events::retry_succeeded(origin, offset);
            self.retry = None;
        }
    }

    fn log_retry(&self, stage: usize, origin: TopicPartition, offset: i64, text: &str) {
        events::record_retried(self.topology.stages[stage].name, origin, offset, text);
    }
}
