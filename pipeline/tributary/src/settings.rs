//! The settings of one process: the configuration file with the options of the command line over it.

use std::path::PathBuf;
use std::time::Duration;

use tributary_connectors::kafka::KafkaConfiguration;
use tributary_flow::Failure;

use crate::cli::{KafkaOptions, LogKind, LogOptions};
use crate::configuration::{FsyncKind, KafkaTable, ProcessConfiguration};

/// The default number of partitions on the embedded log. More partitions than cores bring no gain there.
const EMBEDDED_PARTITIONS: u16 = 4;

/// The default number of partitions on Kafka.
const KAFKA_PARTITIONS: u16 = 8;

/// The connection to Kafka.
#[derive(Debug, Clone)]
pub(crate) struct KafkaSettings {
    /// The cluster.
    pub(crate) cluster: KafkaConfiguration,
    /// URL of the registry.
    pub(crate) registry: String,
    /// Whether missing topics are created at start.
    pub(crate) create_topics: bool,
    /// Whether missing schemas are registered at start.
    pub(crate) register_schemas: bool,
    /// Replicas of new topics.
    pub(crate) replication: u16,
}

/// The settings of one process.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The folder of the state that is kept between runs.
    pub(crate) state: PathBuf,
    /// Kafka; `None` for the embedded log.
    pub(crate) kafka: Option<KafkaSettings>,
    /// The configuration file, for messages that name a command.
    pub(crate) config: Option<PathBuf>,
    /// When commits of the embedded log reach the disk.
    pub(crate) fsync: FsyncKind,
    /// Partitions of the flows.
    pub(crate) partitions: u16,
    /// Worker threads of each flow.
    pub(crate) workers: usize,
    /// How long to wait without progress before giving up.
    pub(crate) give_up_after: Duration,
    /// The pause between two rounds of the service.
    pub(crate) pause: Duration,
    /// How often the time is published.
    pub(crate) clock: Duration,
    /// Whether the views are kept: somebody can ask for them.
    pub(crate) serves_views: bool,
}

impl Settings {
    /// The configuration of the process with the options of the command line over it.
    ///
    /// # Errors
    /// [`Failure::Refused`] when a setting is wrong or missing.
    pub(crate) fn new(process: &ProcessConfiguration, options: &LogOptions, state: PathBuf) -> Result<Self, Failure> {
        let kafka = match options.log.unwrap_or(process.log.kind) {
            LogKind::Kafka => Some(kafka_settings(&options.kafka, &process.kafka, Registry::Needed)?),
            LogKind::Embedded if options.log.is_none() && options.kafka.kafka.is_some() => {
                return Err(Failure::refused("--kafka is given, but the log is embedded: add --log kafka"));
            }
            LogKind::Embedded => None,
        };
        let give_up_after = options.give_up_after.unwrap_or(process.service.give_up_seconds).max(1);
        Ok(Self {
            state,
            fsync: process.embedded.fsync,
            partitions: partitions(options.partitions.unwrap_or(process.log.partitions), kafka.is_some()),
            workers: workers(options.workers.unwrap_or(process.log.workers)),
            kafka,
            config: None,
            give_up_after: Duration::from_secs(give_up_after),
            pause: Duration::from_secs(process.service.poll_seconds.max(1)),
            clock: Duration::from_secs(process.service.clock_seconds.max(1)),
            serves_views: false,
        })
    }
}

impl Settings {
    /// The command that resets offsets on Kafka, up to the group. `None` for the embedded log.
    pub(crate) fn offsets_reset(&self) -> Option<String> {
        let cluster = &self.kafka.as_ref()?.cluster;
        let mut command = "tributary offsets reset".to_owned();
        let config = self.config.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let options = [("config", &config), ("kafka", &cluster.bootstrap), ("namespace", &cluster.namespace)];
        for (name, value) in options.into_iter().filter(|(_, value)| !value.is_empty()) {
            let quote = if value.contains(char::is_whitespace) { "'" } else { "" };
            command.push_str(&format!(" --{name} {quote}{value}{quote}"));
        }
        Some(command)
    }
}

/// Whether a command needs the schema registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registry {
    /// The command writes or reads records.
    Needed,
    /// The command only checks topics.
    NotNeeded,
}

/// The settings of Kafka, from the command line and the configuration file.
///
/// # Errors
/// [`Failure::Refused`] when brokers or registry are not named.
pub(crate) fn kafka_settings(
    options: &KafkaOptions,
    table: &KafkaTable,
    needed: Registry,
) -> Result<KafkaSettings, Failure> {
    let or_table = |given: &Option<String>, table: &str| given.clone().unwrap_or_else(|| table.to_owned());
    let bootstrap = or_table(&options.kafka, &table.bootstrap);
    let registry = or_table(&options.registry, &table.registry);
    if bootstrap.is_empty() {
        return Err(Failure::refused(
            "the brokers are not named: add --kafka HOST:PORT, or kafka.bootstrap in --config",
        ));
    }
    if registry.is_empty() && needed == Registry::Needed {
        let text = "the schema registry is not named: add --registry URL, or kafka.registry in --config";
        return Err(Failure::refused(text));
    }
    let namespace = or_table(&options.namespace, &table.namespace);
    let instance = or_table(&options.instance, &table.instance);
    let mut cluster = KafkaConfiguration::new(bootstrap, namespace, instance);
    cluster.client.clone_from(&table.client);
    cluster.consumer.clone_from(&table.consumer);
    cluster.producer.clone_from(&table.producer);
    let create_topics = table.create_topics && !options.no_create_topics;
    let register_schemas = table.register_schemas && !options.no_register_schemas;
    Ok(KafkaSettings { cluster, registry, create_topics, register_schemas, replication: table.replication })
}

/// The number of partitions of a flow. 0 means the log's default.
pub(crate) fn partitions(asked: u16, on_kafka: bool) -> u16 {
    match (asked, on_kafka) {
        (0, false) => EMBEDDED_PARTITIONS,
        (0, true) => KAFKA_PARTITIONS,
        (asked, _) => asked,
    }
}

/// The number of worker threads. 0 means one for each core.
fn workers(asked: u16) -> usize {
    match asked {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        asked => usize::from(asked),
    }
}
