//! Commands into topics, and what the topics hold.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use clap::Args;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::commands::{Kind, case, command};
use crate::numbers::now_ms;
use crate::{Broker, Outcome};

const PATIENCE: Duration = Duration::from_secs(30);

/// Writes commands to the topics of origin systems.
#[derive(Debug, Args)]
pub(crate) struct Produce {
    #[command(flatten)]
    broker: Broker,
    /// What the commands do.
    #[arg(long)]
    kind: Kind,
    /// The first case.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Cases.
    #[arg(long)]
    cases: u64,
    /// Commands for each case.
    #[arg(long, default_value_t = 1)]
    rounds: u64,
    /// The token of the origin system.
    #[arg(long, env = "TRIBUTARY_TOKEN")]
    token: String,
}

impl Produce {
    pub(crate) fn run(&self) -> Outcome {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.broker.kafka).set("enable.idempotence", "true").set("linger.ms", "20");
        let producer: ThreadedProducer<DefaultProducerContext> = config.create()?;
        let topic = format!("{}.dis-{}Command", self.broker.namespace, self.kind.name());
        let bearer = format!("Bearer {}", self.token);
        for number in (0..self.rounds).flat_map(|_| self.from..self.from + self.cases) {
            let (key, value) = (case(number), command(self.kind, number));
            let headers = OwnedHeaders::new().insert(Header { key: "authorization", value: Some(&bearer) });
            let mut record = BaseRecord::to(&topic).key(&key).payload(&value).headers(headers);
            while let Err((error, refused)) = producer.send(record) {
                if error.rdkafka_error_code() != Some(rdkafka::types::RDKafkaErrorCode::QueueFull) {
                    return Err(error.into());
                }
                std::thread::sleep(Duration::from_millis(5));
                record = refused;
            }
        }
        producer.flush(PATIENCE)?;
        println!("produced={}", self.cases * self.rounds);
        Ok(())
    }
}

/// Waits until no more is written to a topic, and counts what is in it.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    #[command(flatten)]
    broker: Broker,
    /// The topic.
    #[arg(long, default_value = "cases.queue")]
    topic: String,
    /// How long nothing is written at its end.
    #[arg(long, default_value_t = 3000)]
    quiet_ms: u64,
    /// Gives up when nothing has come so long.
    #[arg(long, default_value_t = 60_000)]
    first_ms: u64,
    /// Counts records whose keys begin so; each key counts once.
    #[arg(long, default_value = "entry/")]
    prefix: String,
    /// When the work began, in milliseconds since 1970.
    #[arg(long)]
    since: u64,
    /// Only records from these offsets on are counted, one for each partition.
    #[arg(long, value_delimiter = ',')]
    starts: Vec<i64>,
}

impl Watch {
    pub(crate) fn run(&self) -> Outcome {
        let consumer = consumer(&self.broker)?;
        let topic = format!("{}.{}", self.broker.namespace, self.topic);
        let mut last = ends(&consumer, &topic)?;
        let (mut changed, began, mut done) = (None, Instant::now(), now_ms());
        loop {
            std::thread::sleep(Duration::from_millis(20));
            let ends = ends(&consumer, &topic)?;
            if ends != last {
                (last, changed, done) = (ends, Some(Instant::now()), now_ms());
            }
            let patience = if changed.is_some() { self.quiet_ms } else { self.first_ms };
            if changed.unwrap_or(began).elapsed() >= Duration::from_millis(patience) {
                break;
            }
        }
        let (records, keys) = self.count(&consumer, &topic, &last)?;
        let ends: Vec<_> = last.iter().map(i64::to_string).collect();
        let seconds = done.saturating_sub(self.since) as f64 / 1000.0;
        println!("seconds={seconds:.2} records={records} keys={keys} ends={}", ends.join(","));
        Ok(())
    }

    fn count(
        &self,
        consumer: &BaseConsumer,
        topic: &str,
        ends: &[i64],
    ) -> Result<(u64, usize), Box<dyn std::error::Error>> {
        let mut list = TopicPartitionList::new();
        for partition in 0..ends.len() {
            let start = self.starts.get(partition).map_or(Offset::Beginning, |start| Offset::Offset(*start));
            list.add_partition_offset(topic, partition as i32, start)?;
        }
        consumer.assign(&list)?;
        let (mut records, mut keys) = (0, HashSet::new());
        let mut last = Instant::now();
        while last.elapsed() < Duration::from_secs(2) {
            let Some(message) = consumer.poll(Duration::from_millis(100)).transpose()? else { continue };
            last = Instant::now();
            if message.key().is_some_and(|key| key.starts_with(self.prefix.as_bytes())) && message.payload().is_some() {
                records += 1;
                keys.insert(message.key().map(<[u8]>::to_vec));
            }
        }
        Ok((records, keys.len()))
    }
}

/// The end of each partition of a topic.
fn ends(consumer: &BaseConsumer, topic: &str) -> Result<Vec<i64>, Box<dyn std::error::Error>> {
    let partitions = partitions(consumer, topic)?;
    (0..partitions).map(|partition| Ok(consumer.fetch_watermarks(topic, partition, PATIENCE)?.1)).collect()
}

/// Prints the records and bytes of each topic of a namespace.
pub(crate) fn sizes(broker: &Broker) -> Outcome {
    let consumer = consumer(broker)?;
    let metadata = consumer.fetch_metadata(None, PATIENCE)?;
    let own = format!("{}.", broker.namespace);
    for topic in metadata.topics().iter().filter(|topic| topic.name().starts_with(&own)) {
        let mut list = TopicPartitionList::new();
        for partition in 0..topic.partitions().len() {
            list.add_partition_offset(topic.name(), partition as i32, Offset::Beginning)?;
        }
        consumer.assign(&list)?;
        let (mut records, mut bytes, mut last) = (0_u64, 0, Instant::now());
        while last.elapsed() < Duration::from_secs(1) {
            let Some(message) = consumer.poll(Duration::from_millis(50)).transpose()? else { continue };
            last = Instant::now();
            records += 1;
            bytes += message.key_len() + message.payload_len();
        }
        if let Some(each) = (bytes as u64).checked_div(records) {
            println!("topic={} records={records} bytes_each={each}", &topic.name()[own.len()..]);
        }
    }
    Ok(())
}

/// A reader of what is committed.
pub(crate) fn consumer(broker: &Broker) -> Result<BaseConsumer, rdkafka::error::KafkaError> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &broker.kafka).set("group.id", "reader-of-the-load");
    config.set("isolation.level", "read_committed").set("enable.auto.commit", "false").set("fetch.wait.max.ms", "5");
    config.create()
}

/// The partitions of a topic.
pub(crate) fn partitions(consumer: &BaseConsumer, topic: &str) -> Result<i32, Box<dyn std::error::Error>> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    Ok(metadata.topics().first().map_or(0, |topic| topic.partitions().len() as i32))
}
