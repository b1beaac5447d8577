//! Reading and writing of topics, as a program beside the engines does it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use tributary_connectors::kafka::KafkaConfiguration;
use tributary_position_join::sample::Input;
use tributary_runtime::{Topic, partition_for_key};

use crate::Failure;

/// The producer of inputs.
pub(crate) type Producer = ThreadedProducer<DefaultProducerContext>;

/// Where the topics are.
pub(crate) struct Cluster {
    pub(crate) kafka: KafkaConfiguration,
    pub(crate) partitions: i32,
}

impl Cluster {
    pub(crate) fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.kafka.bootstrap).set("log.connection.close", "false");
        client
    }

    /// A producer that collects records for this number of milliseconds.
    pub(crate) fn producer(&self, linger: u32) -> Result<Producer, KafkaError> {
        self.client()
            .set("enable.idempotence", "true")
            .set("linger.ms", linger.to_string())
            .set("batch.size", "262144")
            .set("queue.buffering.max.messages", "200000")
            .create()
    }

    /// Sends an input. The time of the record is when it is sent, as with most producers; that of the change is in the
    /// value.
    pub(crate) fn send(&self, producer: &Producer, input: &Input<'_>) -> Result<(), KafkaError> {
        let name = self.kafka.name(input.topic.name);
        let partition = partition_for_key(input.key, self.partitions);
        let mut record = BaseRecord::<[u8], [u8]>::to(&name).partition(partition).key(input.key);
        record.payload = input.value;
        while let Err((error, rejected)) = producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(error);
            }
            record = rejected;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// A reader of what is committed, without partitions.
    pub(crate) fn reader(&self) -> Result<BaseConsumer, KafkaError> {
        self.client()
            .set("group.id", "position-join-data")
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .create()
    }

    /// A reader of what is committed in a topic from now on.
    pub(crate) fn follow(&self, topic: &Topic) -> Result<BaseConsumer, KafkaError> {
        let consumer = self.reader()?;
        let name = self.kafka.name(topic.name);
        let mut assigned = TopicPartitionList::new();
        for partition in 0..self.partitions {
            let end = consumer.fetch_watermarks(&name, partition, Duration::from_secs(10))?.1;
            assigned.add_partition_offset(&name, partition, Offset::Offset(end))?;
        }
        consumer.assign(&assigned)?;
        Ok(consumer)
    }

    /// Reads what is committed in a topic, from its start to its end; gives the number of records.
    pub(crate) fn read(&self, topic: &Topic, mut each: impl FnMut(i32, &[u8], Option<&[u8]>)) -> Result<u64, Failure> {
        let consumer = self.reader()?;
        let name = self.kafka.name(topic.name);
        let mut assigned = TopicPartitionList::new();
        for partition in 0..self.partitions {
            assigned.add_partition_offset(&name, partition, Offset::Beginning)?;
        }
        consumer.assign(&assigned)?;
        let (mut open, mut records) = (self.partitions, 0);
        while open > 0 {
            match consumer.poll(Duration::from_secs(30)) {
                Some(Ok(message)) => {
                    records += 1;
                    each(message.partition(), message.key().unwrap_or_default(), message.payload());
                }
                Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
                Some(Err(error)) => return Err(error.into()),
                None => return Err(format!("{name} cannot be read to its end").into()),
            }
        }
        Ok(records)
    }
}

/// Now, in milliseconds since 1970.
pub(crate) fn epoch_millis() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
