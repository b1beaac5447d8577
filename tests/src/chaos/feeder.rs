//! Sends input at a steady rate, each record once, whatever happens to the broker.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use tributary_runtime::{Topic, partition_for_key};

use super::subject::Site;

/// How long the broker may take to accept what is still in flight.
const FLUSH_LIMIT: Duration = Duration::from_mins(2);
/// The rate is kept over this number of records.
const BATCH: u64 = 50;

/// An idempotent producer. It is not behind the proxy.
pub struct Feeder {
    producer: ThreadedProducer<DefaultProducerContext>,
    namespace: String,
    partitions: i32,
    per_second: f64,
    started: Instant,
    sent: u64,
}

impl Feeder {
    /// Begins to feed the topics of a site.
    pub fn start(site: &Site, per_second: f64) -> Self {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &site.services.kafka)
            .set("log.connection.close", "false")
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .create()
            .unwrap();
        let (namespace, partitions) = (site.namespace.clone(), site.subject.partitions);
        Self { producer, namespace, partitions, per_second, started: Instant::now(), sent: 0 }
    }

    /// Sends a record to the partition of its key, not before its time has come.
    pub fn send(&mut self, topic: &Topic, key: &[u8], value: Option<&[u8]>) {
        let name = format!("{}.{}", self.namespace, topic.name);
        let partition = partition_for_key(key, self.partitions);
        let mut record = BaseRecord::<[u8], [u8]>::to(&name).partition(partition).key(key);
        record.payload = value;
        // The queue is full while the broker is away.
        while let Err((_, rejected)) = self.producer.send(record) {
            record = rejected;
            std::thread::sleep(Duration::from_millis(1));
        }
        self.sent += 1;
        if self.sent.is_multiple_of(BATCH) {
            let due = Duration::from_secs_f64(self.sent as f64 / self.per_second);
            std::thread::sleep(due.saturating_sub(self.started.elapsed()));
        }
    }

    /// Waits until the broker has everything; gives the number of records.
    pub fn finish(self) -> u64 {
        self.producer.flush(FLUSH_LIMIT).unwrap();
        self.sent
    }
}
