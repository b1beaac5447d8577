//! What one process works with: the configuration file, with the flags laid over it.

use std::path::PathBuf;
use std::time::Duration;

use tributary_connectors::kafka::KafkaConfiguration;
use tributary_esr::format::Office;

use crate::command_line::{KafkaArguments, LogKind, RunArguments};
use crate::configuration::{Configuration, KafkaTable};
use crate::failure::Failure;

/// Default number of partitions with the embedded log, where nothing is gained by more than there are cores.
const EMBEDDED_PARTITIONS: u16 = 4;

/// Default number of partitions with Kafka.
const KAFKA_PARTITIONS: u16 = 8;

/// The folders of the exchange.
#[derive(Debug, Clone)]
pub struct Folders {
    /// Files from ESR.
    pub inbox: PathBuf,
    /// Snapshot of TIS.
    pub tis: PathBuf,
    /// Files for ESR.
    pub outbox: PathBuf,
    /// What is remembered.
    pub state: PathBuf,
}

/// Where Kafka is and how it is used.
#[derive(Debug, Clone)]
pub struct KafkaSettings {
    /// The cluster.
    pub cluster: KafkaConfiguration,
    /// URL of the registry.
    pub registry: String,
    /// Whether missing topics are created at start.
    pub create_topics: bool,
    /// Replicas of new topics.
    pub replication: u16,
}

/// What one process works with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The configuration in effect.
    pub configuration: Configuration,
    /// The folders.
    pub folders: Folders,
    /// Offices served, in the order in which they take numbers (D50).
    pub offices: Vec<Office>,
    /// Kafka; `None` for the embedded log.
    pub kafka: Option<KafkaSettings>,
    /// Partitions of the flow.
    pub partitions: u16,
    /// Worker threads of the flow.
    pub workers: usize,
    /// How long to wait without getting on.
    pub give_up_after: Duration,
}

impl Settings {
    /// The settings of `tributary run`.
    ///
    /// # Errors
    /// [`Failure::Refused`] when something is wrong or missing.
    pub fn of_run(arguments: &RunArguments) -> Result<Self, Failure> {
        let configuration = Configuration::load(arguments.config.as_deref())?;
        let process = &configuration.process;
        for (flag, folder) in [("--inbox", &arguments.inbox), ("--tis", &arguments.tis)] {
            if !folder.is_dir() {
                return Err(Failure::refused(format!("{flag} {} is not a folder", folder.display())));
            }
        }
        let folders = Folders {
            inbox: arguments.inbox.clone(),
            tis: arguments.tis.clone(),
            outbox: arguments.outbox.clone(),
            state: arguments.state.clone(),
        };
        let kafka = match arguments.log.unwrap_or(process.log.kind) {
            LogKind::Kafka => Some(kafka_settings(&arguments.kafka, &process.kafka, Registry::Needed)?),
            LogKind::Embedded if arguments.log.is_none() && arguments.kafka.kafka.is_some() => {
                return Err(Failure::refused("--kafka is given, but the log is embedded: add --log kafka"));
            }
            LogKind::Embedded => None,
        };
        let offices = served_offices(&configuration, &arguments.offices)?;
        let partitions = partitions(arguments.partitions.unwrap_or(process.log.partitions), kafka.is_some());
        let workers = workers(arguments.workers.unwrap_or(process.log.workers));
        let give_up_after = arguments.give_up_after.unwrap_or(process.service.give_up_seconds).max(1);
        let give_up_after = Duration::from_secs(give_up_after);
        Ok(Self { configuration, folders, offices, kafka, partitions, workers, give_up_after })
    }
}

/// Whether a schema registry is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registry {
    /// Records are read or written.
    Needed,
    /// Only topics are looked at.
    NotNeeded,
}

/// Where Kafka is: flags over configuration.
///
/// # Errors
/// [`Failure::Refused`] when brokers or registry are not named.
pub fn kafka_settings(
    arguments: &KafkaArguments,
    table: &KafkaTable,
    needed: Registry,
) -> Result<KafkaSettings, Failure> {
    let or_table = |flag: &Option<String>, value: &String| flag.clone().unwrap_or_else(|| value.clone());
    let bootstrap = or_table(&arguments.kafka, &table.bootstrap);
    let registry = or_table(&arguments.registry, &table.registry);
    if bootstrap.is_empty() {
        return Err(Failure::refused(
            "the brokers are not named: add --kafka HOST:PORT, or kafka.bootstrap in --config",
        ));
    }
    if registry.is_empty() && needed == Registry::Needed {
        let text = "the schema registry is not named: add --registry URL, or kafka.registry in --config";
        return Err(Failure::refused(text));
    }
    let namespace = or_table(&arguments.namespace, &table.namespace);
    let instance = or_table(&arguments.instance, &table.instance);
    let mut cluster = KafkaConfiguration::new(bootstrap, namespace, instance);
    cluster.client.clone_from(&table.client);
    cluster.consumer.clone_from(&table.consumer);
    cluster.producer.clone_from(&table.producer);
    let create_topics = table.create_topics && !arguments.no_create_topics;
    Ok(KafkaSettings { cluster, registry, create_topics, replication: table.replication })
}

/// All configured offices, or those asked for.
fn served_offices(configuration: &Configuration, asked: &[Office]) -> Result<Vec<Office>, Failure> {
    let configured = &configuration.esr.configuration.offices;
    if asked.is_empty() {
        return Ok(configured.keys().copied().collect());
    }
    let mut offices: Vec<Office> = Vec::with_capacity(asked.len());
    for office in asked {
        if !configured.contains_key(office) {
            let known: Vec<&str> = configured.keys().map(Office::as_str).collect();
            let text = format!("--offices: {office} is not a configured office; there are {}", known.join(", "));
            return Err(Failure::refused(text));
        }
        if !offices.contains(office) {
            offices.push(*office);
        }
    }
    Ok(offices)
}

/// Partitions of the flow; 0 asks for the log's default.
pub fn partitions(asked: u16, on_kafka: bool) -> u16 {
    match (asked, on_kafka) {
        (0, false) => EMBEDDED_PARTITIONS,
        (0, true) => KAFKA_PARTITIONS,
        (asked, _) => asked,
    }
}

/// Worker threads; 0 asks for one per core.
pub fn workers(asked: u16) -> usize {
    match asked {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        asked => usize::from(asked),
    }
}
