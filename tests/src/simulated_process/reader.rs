//! Reads topics of the memory log outside any group.

use tributary_runtime::memory::Broker;
use tributary_runtime::{EachChange, LogError, Topic, TopicReader};

/// Reads what is committed.
pub(super) struct BrokerReader(pub(super) Broker);

impl TopicReader for BrokerReader {
    fn read(&self, topic: &Topic, flow_partitions: i32, each: EachChange<'_>) -> Result<(), LogError> {
        for partition in 0..topic.partition_count(flow_partitions) {
            for record in self.0.read_committed(topic.name, partition) {
                each(&record.key, record.value.as_deref());
            }
        }
        Ok(())
    }

    fn ends(&self, topic: &Topic, flow_partitions: i32) -> Result<Vec<i64>, LogError> {
        let end = |partition| self.0.read_committed(topic.name, partition).last().map_or(0, |last| last.offset + 1);
        Ok((0..topic.partition_count(flow_partitions)).map(end).collect())
    }
}
