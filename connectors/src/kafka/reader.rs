//! Reading topics outside any group: their records and their ends.

use rdkafka::Message;
use tributary_runtime::{
    EachChange, EachRecord, Headers, LogError, Record, Topic, TopicFollower, TopicPartition, TopicReader,
};

use super::configuration::KafkaConfiguration;
use super::headers;
use super::offsets::BrokerPartition;
use super::restore::ChangelogReader;

/// Reads the committed records of topics, from the start or from positions that the caller keeps.
pub struct KafkaReader {
    reader: ChangelogReader,
    configuration: KafkaConfiguration,
}

impl KafkaReader {
    /// A reader. `group` is only a name for access rights: nothing joins it.
    ///
    /// # Errors
    /// [`LogError::Fatal`] when the configuration is wrong.
    pub fn open(configuration: &KafkaConfiguration, group: &str) -> Result<Self, LogError> {
        Ok(Self { reader: ChangelogReader::new(configuration, group)?, configuration: configuration.clone() })
    }

    fn partitions(&self, topic: &Topic, flow_partitions: i32) -> Vec<BrokerPartition> {
        let name = self.configuration.name(topic.name);
        (0..topic.partition_count(flow_partitions)).map(|partition| (name.clone(), partition)).collect()
    }
}

impl TopicReader for KafkaReader {
    fn read(&self, topic: &Topic, flow_partitions: i32, each: EachChange<'_>) -> Result<(), LogError> {
        for partition in self.partitions(topic, flow_partitions) {
            self.reader.restore(&partition, 0, each)?;
        }
        Ok(())
    }

    fn ends(&self, topic: &Topic, flow_partitions: i32) -> Result<Vec<i64>, LogError> {
        self.reader.ends(&self.partitions(topic, flow_partitions))
    }
}

impl TopicFollower for KafkaReader {
    fn ends(&self, topic: &'static Topic, flow_partitions: i32) -> Result<Vec<i64>, LogError> {
        self.reader.stable_ends(&self.partitions(topic, flow_partitions))
    }

    fn read_from(&self, partition: TopicPartition, from: i64, each: EachRecord<'_>) -> Result<i64, LogError> {
        let on_broker = (self.configuration.name(partition.topic), partition.partition);
        let mut buffer = Vec::new();
        self.reader.follow(&on_broker, from, &mut |message| {
            let timestamp = headers::from_wire(
                message.timestamp().to_millis(),
                message.headers(),
                headers::TimeHeader::Trusted,
                &mut buffer,
            );
            each(&Record {
                origin: partition,
                offset: message.offset(),
                timestamp,
                key: message.key().unwrap_or_default(),
                value: message.payload(),
                headers: Headers::from_bytes(&buffer),
            })
        })
    }
}
