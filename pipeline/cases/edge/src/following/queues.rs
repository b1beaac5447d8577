//! Reads the topic of queues, whose table may be on a disk. A table that takes no writes delays queues, and nothing
//! else.

use std::time::Instant;

use tributary_cases::topics;
use tributary_runtime::{LogError, TopicFollower};

use super::{FAILURE_PAUSE, Look, MOST_BEHIND_CASES, Reader};
use crate::events;
use crate::rows::Rows;

/// The subject of troubles with writing to the disk.
const WRITING: &str = "writing";

/// Writes to the table what has changed.
pub(super) fn write(rows: &mut Rows) -> Result<(), LogError> {
    rows.entries.write().map_err(|error| LogError::unavailable(error.to_string()).caused_by(error))
}

impl Reader {
    /// Reads what is new of queues up to these ends. After a failure of the table it waits for a while. What the table
    /// did not take is read again then.
    pub(super) fn read_queues(&mut self, follower: &dyn TopicFollower, ends: &[i64]) -> Result<Look, LogError> {
        if self.queues_failed.is_some_and(|failed| failed.elapsed() < FAILURE_PAUSE) {
            return Ok(Look::Waiting);
        }
        let read = self.write_rest().and_then(|()| self.read(follower, &topics::QUEUE, ends, MOST_BEHIND_CASES));
        let failure = match &read {
            Err(error) if !self.shared.read().entries.is_written() => Some(error.to_string()),
            _ => None,
        };
        self.queues_failed = failure.is_some().then(Instant::now);
        self.shared.note(WRITING, failure).iter().for_each(events::notifications_unwritten);
        if self.queues_failed.is_some() { Ok(Look::Waiting) } else { read }
    }

    /// Writes what an earlier look has left.
    fn write_rest(&self) -> Result<(), LogError> {
        if self.shared.read().entries.is_written() {
            return Ok(());
        }
        write(&mut self.shared.change())
    }
}
