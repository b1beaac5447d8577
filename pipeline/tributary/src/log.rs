//! Opening the log that the settings name, and what else depends on which it is: registry, workers, producer, lag.

use std::path::Path;
use std::sync::Arc;

use tributary_connectors::compatibility::{Compatibility, LevelChange};
use tributary_connectors::embedded::{EmbeddedLog, Fsync, GroupInboxes, StateFolder};
use tributary_connectors::kafka::{KafkaConfiguration, KafkaLag, KafkaLog, KafkaProducer, KafkaReader, TopicPlan};
use tributary_esr::{flow, topics};
use tributary_runtime::{EachChange, Lag, Log, LogError, Producer, Topic};
use tributary_schemas::{
    Codec, CodecBuilder, ConfluentRegistry, ConfluentSettings, LocalRegistry, Registry, RegistryError,
};

use crate::base_line::{BASE_LINE, BaseLineEnds};
use crate::configuration::FsyncKind;
use crate::failure::Failure;
use crate::settings::{KafkaSettings, Settings};
use crate::worker_log::WorkerLog;

/// The file in the state folder that numbers the schemas of the embedded log.
const SCHEMAS_FILE: &str = "schemas.json";

/// An open log.
#[derive(Clone)]
pub enum OpenLog {
    /// In a folder, for this process alone.
    Embedded(Arc<EmbeddedLog>),
    /// On Kafka.
    Kafka(Arc<OpenKafka>),
}

/// What belongs to an open log on Kafka.
pub struct OpenKafka {
    cluster: KafkaConfiguration,
    base_line: Arc<BaseLineEnds>,
    /// It holds what only shortens a restart, and belongs to this process all the same.
    _folder: StateFolder,
}

/// The groups of the flow with the inboxes that they read.
pub fn groups() -> [(&'static str, Vec<&'static Topic>); 2] {
    let main = vec![
        &topics::TIS_POST,
        &topics::TIS_PLACEMENT,
        &topics::TIS_PERSON,
        &topics::INBOUND,
        &topics::TRAINEE,
        &topics::POSITION_INBOX,
        &topics::POST,
        &topics::SCHEDULE,
        &topics::EXPORTS,
        &topics::EVENT,
    ];
    [(flow::FLOW, main), (flow::WRITER_FLOW, vec![&topics::WRITER])]
}

impl OpenLog {
    /// Opens the log. With Kafka, missing topics are created.
    ///
    /// # Errors
    /// [`Failure::Refused`] for a state folder that cannot be used or topics that do not fit, [`Failure::Unfinished`]
    /// for a broker that does not answer.
    pub fn open(settings: &Settings) -> Result<Self, Failure> {
        match &settings.kafka {
            Some(kafka) => {
                let folder = StateFolder::open(&settings.folders.state).map_err(Failure::refused)?;
                check_topics(kafka, settings.partitions)?;
                let cluster = kafka.cluster.clone();
                let ends = BaseLineEnds::of_namespace(&cluster, i32::from(settings.partitions)).map_err(log_failure)?;
                Ok(Self::Kafka(Arc::new(OpenKafka { cluster, base_line: Arc::new(ends), _folder: folder })))
            }
            None => open_embedded(settings),
        }
    }

    /// The codec, bound to the registry that belongs to the log.
    ///
    /// # Errors
    /// [`Failure`] when the registry cannot be used.
    pub fn codec(&self, settings: &Settings) -> Result<Codec, Failure> {
        let registry: Arc<dyn Registry> = match &settings.kafka {
            None => Arc::new(LocalRegistry::open(settings.folders.state.join(SCHEMAS_FILE)).map_err(refused)?),
            Some(kafka) => {
                // Who asks tries again by itself, and says so once.
                let once = ConfluentSettings { attempts: 1, ..ConfluentSettings::new(&kafka.registry) };
                Arc::new(ConfluentRegistry::connect(once).map_err(refused)?)
            }
        };
        let prefix = match self {
            Self::Kafka(kafka) => kafka.cluster.name(""),
            Self::Embedded(_) => String::new(),
        };
        let builder = CodecBuilder::new(registry).namespace(&prefix).topics(topics::ALL);
        match builder.build() {
            Err(error) if error.is_transient() => Err(Failure::unfinished(error)),
            built => built.map_err(Failure::refused),
        }
    }

    /// The log of one worker.
    ///
    /// # Errors
    /// As the log says.
    pub fn worker(
        &self,
        group: &'static str,
        slot: usize,
        inboxes: &[&'static Topic],
    ) -> Result<Box<dyn Log>, LogError> {
        match self {
            Self::Embedded(log) => Ok(Box::new(log.worker(group, &format!("{group}-{slot}"), inboxes)?)),
            Self::Kafka(kafka) => {
                let log = KafkaLog::open(&kafka.cluster, group, &slot.to_string(), inboxes)?;
                Ok(Box::new(WorkerLog::new(Box::new(log), Arc::clone(&kafka.base_line))))
            }
        }
    }

    /// What this process is called among those of its groups.
    pub fn instance(&self) -> &str {
        match self {
            Self::Embedded(_) => "",
            Self::Kafka(kafka) => &kafka.cluster.instance,
        }
    }

    /// The cluster, with Kafka.
    pub fn cluster(&self) -> Option<&KafkaConfiguration> {
        match self {
            Self::Embedded(_) => None,
            Self::Kafka(kafka) => Some(&kafka.cluster),
        }
    }

    /// Calls `each` with key and value of every record of a topic, with Kafka; the embedded log has no need of it.
    ///
    /// # Errors
    /// As the log says.
    pub fn read(&self, topic: &Topic, flow_partitions: i32, each: EachChange<'_>) -> Result<(), LogError> {
        let Some(cluster) = self.cluster() else { return Ok(()) };
        KafkaReader::open(cluster, flow::FLOW)?.read(topic, flow_partitions, each)
    }

    /// Brings everything so far to the disk, where that is the log's own matter.
    ///
    /// # Errors
    /// As the log says.
    pub fn sync(&self) -> Result<(), LogError> {
        match self {
            Self::Embedded(log) => log.sync(),
            Self::Kafka(_) => Ok(()),
        }
    }

    /// The producer of what is brought in. On Kafka there is one for all processes: it belongs to the one that reads the
    /// folders, and whoever takes over from it ends what it still had in hand.
    ///
    /// # Errors
    /// As the log says.
    pub fn producer(&self) -> Result<Box<dyn Producer>, LogError> {
        match self {
            Self::Embedded(log) => Ok(Box::new(log.producer("sources"))),
            Self::Kafka(kafka) => Ok(Box::new(KafkaProducer::open_shared(&kafka.cluster, flow::FLOW, "sources")?)),
        }
    }

    /// What all groups have left to read.
    ///
    /// # Errors
    /// As the log says.
    pub fn lag(&self, flow_partitions: i32) -> Result<Box<dyn Lag>, LogError> {
        match self {
            Self::Embedded(log) => {
                let inboxes = groups()
                    .into_iter()
                    .flat_map(|(group, inboxes)| inboxes.into_iter().map(move |inbox| (group.to_owned(), inbox)));
                Ok(Box::new(log.lag(inboxes.collect())))
            }
            Self::Kafka(kafka) => Ok(Box::new(KafkaLag::open(&kafka.cluster, &groups(), flow_partitions)?)),
        }
    }

    /// What tells this log from others, for snapshots of state.
    pub fn identity(&self) -> String {
        match self {
            Self::Embedded(_) => "embedded".to_owned(),
            Self::Kafka(kafka) => format!("kafka {} {}", kafka.cluster.bootstrap, kafka.cluster.name("")),
        }
    }
}

fn open_embedded(settings: &Settings) -> Result<OpenLog, Failure> {
    let state: &Path = &settings.folders.state;
    let fsync = match settings.configuration.process.embedded.fsync {
        FsyncKind::Interval => Fsync::default(),
        FsyncKind::Always => Fsync::Always,
    };
    let groups = groups();
    let readers: Vec<GroupInboxes<'_>> =
        groups.iter().map(|(group, inboxes)| GroupInboxes { group, inboxes }).collect();
    let log = EmbeddedLog::open(state, fsync, &topics::ALL, i32::from(settings.partitions), &readers);
    Ok(OpenLog::Embedded(Arc::new(log.map_err(Failure::refused)?)))
}

fn check_topics(kafka: &KafkaSettings, partitions: u16) -> Result<(), Failure> {
    let mut plan = compare_topics(kafka, partitions)?;
    if plan.changes().is_empty() {
        return Ok(());
    }
    if !kafka.create_topics {
        let changes: Vec<String> = plan.changes().iter().map(ToString::to_string).collect();
        let text = format!("topics are missing or differ; run `tributary topics apply`:\n{}", changes.join("\n"));
        return Err(Failure::refused(text));
    }
    plan.apply().map_err(log_failure)
}

/// The topics of the flow against those of the cluster.
///
/// # Errors
/// [`Failure`] when the broker cannot be asked.
pub fn compare_topics(kafka: &KafkaSettings, partitions: u16) -> Result<TopicPlan, Failure> {
    let replication = i32::from(kafka.replication);
    let topics: Vec<&'static Topic> = topics::ALL.into_iter().chain([&BASE_LINE]).collect();
    TopicPlan::compare(&kafka.cluster, &topics, i32::from(partitions), replication).map_err(log_failure)
}

/// The registry and those subjects of the flow whose schemas may change in ways that topics kept for ever do not allow;
/// `None` when no registry is named.
///
/// # Errors
/// [`Failure`] when the registry cannot be asked.
pub fn compare_compatibility(kafka: &KafkaSettings) -> Result<Option<(Compatibility, Vec<LevelChange>)>, Failure> {
    if kafka.registry.is_empty() {
        return Ok(None);
    }
    let compatibility = Compatibility::new(&kafka.registry).map_err(Failure::unfinished)?;
    let records = topics::ALL.iter().flat_map(|topic| topic.records.iter().map(|record| (topic.name, *record)));
    let subjects: Vec<String> =
        records.map(|(topic, record)| format!("{}-{record}", kafka.cluster.name(topic))).collect();
    let differences = compatibility.differences(&subjects).map_err(Failure::unfinished)?;
    Ok(Some((compatibility, differences)))
}

/// Configuration and conflicts are refusals, everything else may pass.
pub fn log_failure(error: LogError) -> Failure {
    match error {
        LogError::Fatal(reason) => Failure::Refused(reason.into()),
        other => Failure::unfinished(other),
    }
}

fn refused(error: RegistryError) -> Failure {
    Failure::refused(error)
}
