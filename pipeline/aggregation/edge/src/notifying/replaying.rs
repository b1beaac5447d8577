//! Sends dead letters again.

use jiff::Timestamp;
use tributary_aggregation::delivery::{DeadNotification, dead_notification};
use tributary_aggregation::topics;
use tributary_runtime::{LogError, OffsetRange, TopicPartition};
use tributary_schemas::types::aggregation::Address;

use super::term::Term;

/// Dead letters that are sent again in one transaction.
const MOST_AT_ONCE: usize = 500;

impl Term<'_> {
    /// Sends all dead letters of a subscriber again. Returns how many.
    ///
    /// # Errors
    /// The error of the log. What was sent before it stays sent.
    pub(super) fn replay(&self, subscriber: &Address) -> Result<u64, LogError> {
        let Some(lane) = self.lanes.get(subscriber) else { return Ok(0) };
        let number = lane.partition();
        let partition = TopicPartition { topic: topics::DEAD_LETTER.name, partition: number };
        let ends =
            self.follower.ends(&topics::DEAD_LETTER, self.ledger.output().partition_count(&topics::DEAD_LETTER))?;
        let end = ends.get(number as usize).copied().unwrap_or_default();
        let (mut from, mut count) = (lane.queue().replayed(), 0);
        while from < end {
            let mut dead = Vec::new();
            let mut next = end;
            let read = self.follower.read_ranges(&[OffsetRange { partition, from, end }], &mut |record| {
                if dead.len() == MOST_AT_ONCE {
                    next = record.offset;
                    return Err(LogError::unavailable("the end of this piece"));
                }
                let value = record.value.unwrap_or_default();
                if dead_notification(self.ledger.codec(), subscriber.as_str(), record.key, value) {
                    dead.push(DeadNotification { offset: record.offset, value: value.into() });
                }
                Ok(())
            });
            if next == end {
                read?;
            }
            if !dead.is_empty() {
                let _storing = lane.storing.blocking_lock();
                let mut output = self.ledger.output();
                let now = Timestamp::now().as_millisecond();
                let replay = lane.queue().write_replay(self.ledger.codec(), &mut output, now, &dead);
                self.ledger.publish(&output)?;
                count += lane.queue().finish_replay(replay);
            }
            from = next;
        }
        Ok(count)
    }
}
