//! Programs of others: an origin system that produces, and a client that reads what is committed.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::member::Namespace;

/// An origin system.
pub(crate) struct OriginSystem {
    producer: ThreadedProducer<DefaultProducerContext>,
}

impl OriginSystem {
    pub(crate) fn new(namespace: &Namespace) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &namespace.services.kafka).set("enable.idempotence", "true");
        Self { producer: config.create().unwrap() }
    }

    /// Sends a command, with this value of `authorization`.
    pub(crate) fn send(&self, topic: &str, key: &str, value: &str, authorization: &str) {
        let headers = OwnedHeaders::new().insert(Header { key: "authorization", value: Some(authorization) });
        let record = BaseRecord::to(topic).key(key).payload(value).headers(headers);
        self.producer.send(record).map_err(|(error, _)| error).unwrap();
        self.producer.flush(Duration::from_secs(30)).unwrap();
    }
}

/// A record as a client sees it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) key: String,
    headers: Vec<(String, String)>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn of(message: &BorrowedMessage<'_>) -> Self {
        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        let headers = headers.map(|header| (header.key.to_owned(), text(header.value))).collect();
        Self { key: text(message.key()), headers }
    }
}

/// Reads the committed records of a topic from its start: until there are `count`, and for `longer` after that.
pub(crate) fn read(namespace: &Namespace, topic: &str, partitions: i32, count: usize, longer: Duration) -> Vec<Seen> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &namespace.services.kafka).set("group.id", format!("{topic}-reader"));
    config.set("isolation.level", "read_committed").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut seen = Vec::new();
    let mut deadline = Instant::now() + crate::member::PATIENCE;
    let mut complete = false;
    while Instant::now() < deadline {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            seen.push(Seen::of(&message));
        }
        if seen.len() >= count && !complete {
            complete = true;
            deadline = Instant::now() + longer;
        }
    }
    seen
}
