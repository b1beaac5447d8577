//! Following topics of the embedded log from positions that the reader keeps.

use std::sync::Arc;

use tributary_runtime::memory::Broker;
use tributary_runtime::{EachRecord, LogError, Record, Topic, TopicFollower, TopicPartition};

use super::record_batch::Records;
use super::stored_log::StoredLog;

/// Follows topics that are not dropped once they are read: outputs of a flow.
pub struct EmbeddedFollower {
    broker: Broker,
    stored: Arc<StoredLog>,
}

impl EmbeddedFollower {
    pub(super) fn new(broker: Broker, stored: Arc<StoredLog>) -> Self {
        Self { broker, stored }
    }
}

impl TopicFollower for EmbeddedFollower {
    fn ends(&self, topic: &'static Topic, flow_partitions: i32) -> Result<Vec<i64>, LogError> {
        let partitions = 0..topic.partition_count(flow_partitions);
        partitions.map(|partition| self.broker.stable_end(TopicPartition { topic: topic.name, partition })).collect()
    }

    fn read_from(&self, partition: TopicPartition, from: i64, each: EachRecord<'_>) -> Result<i64, LogError> {
        // Commits are stored in any order, so what is stored may have gaps that are filled later. There are none below
        // this end.
        let end = self.broker.stable_end(partition)?;
        self.stored.follow(partition, from, &mut |_, bytes| {
            let mut records = Records::new(bytes);
            for stored in records.by_ref().filter(|stored| (from..end).contains(&stored.offset)) {
                each(&Record {
                    origin: partition,
                    offset: stored.offset,
                    timestamp: stored.timestamp,
                    key: stored.key,
                    value: stored.value,
                    headers: stored.headers,
                })?;
            }
            self.stored.check_sound(&records)
        })?;
        Ok(end)
    }
}
