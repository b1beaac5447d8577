//! Reading topics outside any group: their records and their ends.

use rdkafka::Message;
use rdkafka::message::BorrowedMessage;
use tributary_runtime::{
    EachChange, EachRecord, Headers, LogError, OffsetRange, Record, Topic, TopicFollower, TopicPartition, TopicReader,
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
        self.reader.follow(&on_broker, from, &mut |message| pass(message, partition, &mut buffer, each))
    }

    fn read_ranges(&self, ranges: &[OffsetRange], each: EachRecord<'_>) -> Result<(), LogError> {
        let Some(first) = ranges.first() else { return Ok(()) };
        let topic = first.partition.topic;
        let name = self.configuration.name(topic);
        let offsets = ranges.iter().map(|range| (range.partition.partition, range.from..range.end)).collect();
        let mut buffer = Vec::new();
        self.reader.follow_together(&name, offsets, &mut |message| {
            let origin = TopicPartition { topic, partition: message.partition() };
            pass(message, origin, &mut buffer, each)
        })
    }
}

/// Passes a message on as a record.
fn pass(
    message: &BorrowedMessage<'_>,
    origin: TopicPartition,
    buffer: &mut Vec<u8>,
    each: EachRecord<'_>,
) -> Result<(), LogError> {
    let timestamp = message.timestamp().to_millis();
    let timestamp = headers::from_wire(timestamp, message.headers(), headers::TimeHeader::Trusted, buffer);
    each(&Record {
        origin,
        offset: message.offset(),
        timestamp,
        key: message.key().unwrap_or_default(),
        value: message.payload(),
        headers: Headers::from_bytes(buffer),
    })
}
