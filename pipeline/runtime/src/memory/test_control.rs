//! What tests see of a broker and do to it: compaction, deletions, expulsions and rebalances at a moment of their
//! choice.

use super::broker::{Broker, OwnedRecord};
use super::faults::Faults;
use super::member::MemoryLog;
use super::partition::Chunk;
use crate::log_error::LogError;
use crate::topic::TopicPartition;

impl Broker {
    /// All visible records of a partition.
    pub fn read_committed(&self, topic: &str, partition: i32) -> Vec<OwnedRecord> {
        let mut state = self.0.lock();
        let Ok(number) = state.topic_number(topic) else { return Vec::new() };
        let tick = state.tick;
        let Some(log) = state.topics[number].partitions.get_mut(partition as usize) else { return Vec::new() };
        let stable = log.stable(tick);
        let chunks: Vec<Chunk> = log.chunks_from(0).cloned().collect();
        drop(state);
        let records = chunks.iter().flat_map(Chunk::records);
        records.filter(|record| record.offset < stable).map(OwnedRecord::from).collect()
    }

    /// The next offset that a group reads.
    pub fn committed_offset(&self, group: &str, partition: TopicPartition) -> i64 {
        let state = self.0.lock();
        state.place(partition).map_or(0, |place| state.next_offset(group, place))
    }

    /// Forgets the offsets of a group, as Kafka does when the group has had no member for a week.
    pub fn forget_offsets(&self, group: &str) {
        if let Some(group) = self.0.lock().groups.get_mut(group) {
            group.offsets.clear();
        }
    }

    /// Keeps only the newest record of each key in compact topics and changelogs.
    pub fn compact(&self) {
        let mut state = self.0.lock();
        let tick = state.tick;
        for topic in &mut state.topics {
            let changelog = topic.topic.role == crate::Role::Changelog;
            if topic.topic.cleanup != crate::Cleanup::Compact && !changelog {
                continue;
            }
            for log in &mut topic.partitions {
                log.compact(tick);
            }
        }
    }

    /// Expels a member from its group and ends its transaction, as the broker does when a member stays silent.
    pub fn expire(&self, group: &str, transactional_id: &str) {
        let mut state = self.0.lock();
        state.change_group(group, |group, partitions| group.leave(transactional_id, partitions));
        state.end_transactions_of(transactional_id);
        if let Some(producer) = state.producers.get_mut(transactional_id) {
            producer.epoch += 1;
        }
        drop(state);
        self.0.changed.notify_all();
    }

    /// Stops the injection of faults, and ends the delays that are under way.
    pub fn stop_faults(&self) {
        let mut state = self.0.lock();
        state.injection.faults = None;
        state.tick += 1000;
    }

    /// Starts the injection of faults again.
    pub fn start_faults(&self, faults: Faults) {
        self.0.lock().injection.faults = Some(faults);
    }

    /// How many moments have passed at which a process could die of [`Faults::die_at`].
    pub fn moments(&self) -> u64 {
        self.0.lock().injection.moments
    }

    /// What was happening when a process died of [`Faults::die_at`].
    pub fn death(&self) -> Option<String> {
        self.0.lock().injection.death.clone()
    }

    /// Moves the partitions of a group among its members.
    pub fn rebalance(&self, group: &str) {
        self.0.lock().change_group(group, |group, partitions| group.rotate(partitions));
        self.0.changed.notify_all();
    }

    /// Deletes the records below `before`, as retention and `kafka-delete-records.sh` do. Unlike compaction, this moves
    /// the partition's start.
    ///
    /// # Errors
    /// [`LogError::Fatal`] when the partition does not exist.
    pub fn delete_records(&self, partition: TopicPartition, before: i64) -> Result<(), LogError> {
        let mut state = self.0.lock();
        let place = state.place(partition)?;
        state.partition(place).delete_below(before);
        Ok(())
    }

    /// Loses the records at and after `end`, as an election of a leader that lags behind does.
    ///
    /// # Errors
    /// [`LogError::Fatal`] when the partition does not exist.
    pub fn lose_end(&self, partition: TopicPartition, end: i64) -> Result<(), LogError> {
        let mut state = self.0.lock();
        let place = state.place(partition)?;
        state.partition(place).cut(end);
        Ok(())
    }
}

impl MemoryLog {
    /// Ends as a killed process does: it stays a member of its group, and its transaction stays open.
    pub fn kill(mut self) {
        self.dead = true;
    }
}
