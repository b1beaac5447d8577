//! How Tributary talks to Kafka: names, and the client settings that differ from librdkafka's own.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;

use super::broken_connections::BrokenConnections;

/// What the client ids of this program start with. The name of the process follows.
pub(super) const CLIENT_PREFIX: &str = "tributary-";

/// How often a client reports its statistics.
const STATISTICS: &str = "statistics.interval.ms";
const STATISTICS_MILLIS: &str = "5000";

/// The address of the cluster, the name of this process in it, and settings that differ from the defaults.
#[derive(Debug, Clone)]
pub struct KafkaConfiguration {
    /// The first brokers to ask, `host:port,host:port`.
    pub bootstrap: String,
    /// Prefix of the names of topics, groups and transactional ids, with a full stop after it; may be empty.
    pub namespace: String,
    /// The name of this process in its groups. It must stay the same over restarts, so that a restart ends the
    /// transactions that the previous process left open. Two processes must not share it: they would fence each other.
    pub instance: String,
    /// Whether workers join their group under a fixed name, so that a restart within the session timeout moves no
    /// partitions. A process that never returns keeps its partitions until that timeout.
    pub static_membership: bool,
    /// When the broker aborts a transaction that nobody ends. It must be below `session_timeout`, so that a late commit
    /// cannot arrive after the partitions have moved to another worker.
    pub transaction_timeout: Duration,
    /// How long a worker may send no heartbeat before its partitions go to others.
    pub session_timeout: Duration,
    /// librdkafka properties for every client, such as `security.protocol`. They override the defaults.
    pub client: BTreeMap<String, String>,
    /// librdkafka properties for consumers. They override `client`.
    pub consumer: BTreeMap<String, String>,
    /// librdkafka properties for producers. They override `client`.
    pub producer: BTreeMap<String, String>,
}

impl KafkaConfiguration {
    /// The default settings for a cluster.
    pub fn new(bootstrap: impl Into<String>, namespace: impl Into<String>, instance: impl Into<String>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            namespace: namespace.into(),
            instance: instance.into(),
            static_membership: true,
            transaction_timeout: Duration::from_secs(10),
            session_timeout: Duration::from_secs(15),
            client: BTreeMap::new(),
            consumer: BTreeMap::new(),
            producer: BTreeMap::new(),
        }
    }

    /// The name of a topic, group or transactional id on the broker.
    pub fn name(&self, logical: &str) -> String {
        if self.namespace.is_empty() { logical.to_owned() } else { format!("{}.{logical}", self.namespace) }
    }

    /// The transactional id of the producer called `slot` in `group`, the same after every restart.
    pub fn transactional_id(&self, group: &str, slot: &str) -> String {
        self.name(&format!("{group}.{}.{slot}", self.instance))
    }

    /// How long a call that waits for the broker may take.
    pub(super) fn call_timeout(&self) -> Duration {
        self.transaction_timeout + Duration::from_secs(5)
    }

    /// A client that only asks for metadata, offsets or topics.
    pub(super) fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", format!("{CLIENT_PREFIX}{}", self.instance))
            .set("allow.auto.create.topics", "false")
            // The broker closes idle connections, which is not worth a line in the log.
            .set("log.connection.close", "false")
            // A client looks for a broker to connect to at most once in half of this time, and does so three times when
            // it starts.
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "2000");
        set_all(&mut config, &self.client);
        // Only members take statistics; those that nobody takes pile up in the client.
        config.remove(STATISTICS);
        config
    }

    /// A consumer of `group`. It reads committed records from where it is set to, and commits nothing by itself.
    pub(super) fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.base();
        config
            .set("group.id", self.name(group))
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            // With the default of 1000, fetching stops for a second whenever the local queue is full.
            .set("fetch.queue.backoff.ms", "10")
            .set("fetch.wait.max.ms", "10")
            .set("fetch.message.max.bytes", "1048576")
            // Records that are fetched ahead take memory. With a short queue they are still in the processor's caches
            // when the worker reads them.
            .set("queued.max.messages.kbytes", "8192")
            .set("max.poll.interval.ms", "600000");
        set_all(&mut config, &self.consumer);
        config.remove(STATISTICS);
        config
    }

    /// The consumer of a worker, which shares the partitions of its inboxes with the other members of `group`.
    pub(super) fn member(&self, group: &str, slot: &str) -> ClientConfig {
        let mut config = self.consumer(group);
        let defaults = [
            // Each stage reads one inbox, so partitions of different topics need not move together.
            ("partition.assignment.strategy", "cooperative-sticky".to_owned()),
            ("session.timeout.ms", self.session_timeout.as_millis().to_string()),
            // A member learns of a rebalance from its next heartbeat. Until then the partitions that move are frozen.
            ("heartbeat.interval.ms", (self.session_timeout.as_millis() / 5).clamp(1, 100).to_string()),
        ];
        for (key, value) in defaults {
            self.default_for(&self.consumer, &mut config, key, value);
        }
        if self.static_membership {
            let name = self.name(&format!("{group}.{}.{slot}", self.instance));
            self.default_for(&self.consumer, &mut config, "group.instance.id", name);
        }
        config
            .set(STATISTICS, STATISTICS_MILLIS)
            // A record that is gone before it was read stops its task. The client must not skip it.
            .set("auto.offset.reset", "error");
        config
    }

    /// A transactional producer.
    pub(super) fn producer(&self, transactional_id: &str) -> ClientConfig {
        let timeout = self.transaction_timeout.as_millis().to_string();
        let mut config = self.base();
        config
            .set("transactional.id", transactional_id)
            .set("transaction.timeout.ms", &timeout)
            .set("message.timeout.ms", &timeout)
            // The broker refuses the next transaction while it still writes the markers of the previous one. With the
            // default, the client would try again only after 100 ms.
            .set("retry.backoff.ms", "2")
            // The commit says whether everything has arrived. A report for each record would cost a sixth of the work.
            .set("delivery.report.only.error", "true")
            // A commit sends at once what lingers. The client sends a request for each batch, at most five of a
            // partition at a time, and its thread spins while more are ready: so few and large ones, as large as the
            // broker takes.
            .set("linger.ms", "20")
            .set("batch.size", "1000000")
            // Enough to keep the broker busy. Further records of a transaction wait in the worker's buffer, which needs
            // less memory.
            .set("queue.buffering.max.messages", "40000")
            .set("queue.buffering.max.kbytes", "262144")
            // Partitions are always explicit. This matters only to a reader who copies these settings.
            .set("partitioner", "murmur2_random");
        set_all(&mut config, &self.producer);
        BrokenConnections::configure(&mut config);
        config
    }

    /// Sets a property unless the user has set it.
    fn default_for(&self, own: &BTreeMap<String, String>, config: &mut ClientConfig, key: &str, value: String) {
        if !own.contains_key(key) && !self.client.contains_key(key) {
            config.set(key, value);
        }
    }
}

fn set_all(config: &mut ClientConfig, properties: &BTreeMap<String, String>) {
    for (key, value) in properties {
        config.set(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_is_in_front_of_every_name() {
        let configuration = KafkaConfiguration::new("localhost:9092", "test", "a");
        assert_eq!(configuration.name("esr.position"), "test.esr.position");
        assert_eq!(configuration.transactional_id("esr", "0"), "test.esr.a.0");
        assert_eq!(KafkaConfiguration::new("localhost:9092", "", "a").name("esr.position"), "esr.position");
    }

    #[test]
    fn what_the_user_sets_wins_over_the_defaults() {
        let mut configuration = KafkaConfiguration::new("localhost:9092", "test", "a");
        configuration.client.insert("security.protocol".into(), "ssl".into());
        configuration.consumer.insert("session.timeout.ms".into(), "6000".into());
        configuration.producer.insert("linger.ms".into(), "20".into());
        assert_eq!(configuration.member("esr", "0").get("session.timeout.ms"), Some("6000"));
        assert_eq!(configuration.member("esr", "0").get("security.protocol"), Some("ssl"));
        assert_eq!(configuration.producer("x").get("linger.ms"), Some("20"));
    }
}
