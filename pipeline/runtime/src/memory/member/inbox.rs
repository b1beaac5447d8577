//! Where the group of a member is in its inboxes, and what they hold.

use std::sync::Arc;

use super::MemoryLog;
use crate::log::InboxOffsets;
use crate::log_error::LogError;
use crate::memory::state::State;
use crate::topic::TopicPartition;

impl MemoryLog {
    /// An error if the next record of a partition that this member reads was deleted.
    pub(super) fn check_next_records(&self, state: &mut State) -> Result<(), LogError> {
        for reading in self.readings.iter().filter(|reading| !reading.paused) {
            let log = state.partition(reading.place);
            if reading.position < log.start || reading.position > log.end {
                let (partition, position) = (reading.partition, reading.position);
                let text = format!("{partition} holds offsets {} to {}, not {position}", log.start, log.end);
                return Err(LogError::offset_out_of_range(text));
            }
        }
        Ok(())
    }

    /// See [`crate::Log::inbox_offsets`].
    pub(super) fn offsets_of(&mut self, partitions: &[TopicPartition]) -> Result<Vec<InboxOffsets>, LogError> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        self.check(&state)?;
        let mut offsets = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let place = state.place(*partition)?;
            let committed = state.committed_offset(&self.config.group, place);
            let log = state.partition(place);
            offsets.push(InboxOffsets { committed, start: log.start, end: log.end });
        }
        Ok(offsets)
    }

    /// See [`crate::Log::pass_empty`].
    pub(super) fn ends_of_empty(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<Vec<i64>, LogError> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        self.check(&state)?;
        let mut passed = Vec::with_capacity(offsets.len());
        for (partition, offset) in offsets {
            let (place, tick) = (state.place(*partition)?, state.tick);
            let log = state.partition(place);
            let is_empty = log.stable(tick) == log.end && log.count_from(*offset) == 0;
            passed.push(if is_empty { log.end.max(*offset) } else { *offset });
        }
        Ok(passed)
    }
}
