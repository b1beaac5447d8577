//! Opening the log that the settings name, and what else depends on which it is: registry, workers, producer, lag.

use std::path::Path;
use std::sync::Arc;

use tributary_connectors::embedded::{EmbeddedLog, Fsync, Reader, StateFolder};
use tributary_connectors::kafka::{KafkaConfiguration, KafkaLag, KafkaLog, KafkaProducer, TopicPlan};
use tributary_esr::{flow, topics};
use tributary_runtime::{Lag, Log, LogError, Producer, Topic};
use tributary_schemas::{
    Codec, CodecBuilder, ConfluentRegistry, ConfluentSettings, LocalRegistry, Registry, RegistryError,
};

use crate::failure::Failure;
use crate::settings::{KafkaSettings, Settings};

/// The file in the state folder that numbers the schemas of the embedded log.
const SCHEMAS_FILE: &str = "schemas.json";

/// An open log.
#[derive(Clone)]
pub enum OpenLog {
    /// In a folder, for this process alone.
    Embedded(Arc<EmbeddedLog>),
    /// On Kafka; the state folder holds what only shortens a restart, and belongs to this process all the same.
    Kafka(KafkaConfiguration, Arc<StateFolder>),
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
                Ok(Self::Kafka(kafka.cluster.clone(), Arc::new(folder)))
            }
            None => open_embedded(&settings.folders.state, settings.partitions),
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
                let connected = ConfluentRegistry::connect(ConfluentSettings::new(&kafka.registry));
                Arc::new(connected.map_err(Failure::unfinished)?)
            }
        };
        let prefix = match self {
            Self::Kafka(cluster, _) => cluster.name(""),
            Self::Embedded(_) => String::new(),
        };
        let builder = CodecBuilder::new(registry).namespace(&prefix).topics(topics::ALL);
        builder.build().map_err(Failure::unfinished)
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
            Self::Kafka(cluster, _) => Ok(Box::new(KafkaLog::open(cluster, group, &slot.to_string(), inboxes)?)),
        }
    }

    /// The producer of what this process brings in.
    ///
    /// # Errors
    /// As the log says.
    pub fn producer(&self) -> Result<Box<dyn Producer>, LogError> {
        match self {
            Self::Embedded(log) => Ok(Box::new(log.producer("sources"))),
            Self::Kafka(cluster, _) => Ok(Box::new(KafkaProducer::open(cluster, flow::FLOW, "sources")?)),
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
            Self::Kafka(cluster, _) => Ok(Box::new(KafkaLag::open(cluster, &groups(), flow_partitions)?)),
        }
    }

    /// What tells this log from others, for snapshots of state.
    pub fn identity(&self) -> String {
        match self {
            Self::Embedded(_) => "embedded".to_owned(),
            Self::Kafka(cluster, _) => format!("kafka {} {}", cluster.bootstrap, cluster.name("")),
        }
    }
}

fn open_embedded(state: &Path, partitions: u16) -> Result<OpenLog, Failure> {
    let groups = groups();
    let readers: Vec<Reader<'_>> = groups.iter().map(|(group, inboxes)| Reader { group, inboxes }).collect();
    let log = EmbeddedLog::open(state, Fsync::default(), &topics::ALL, i32::from(partitions), &readers);
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
    TopicPlan::compare(&kafka.cluster, &topics::ALL, i32::from(partitions), replication).map_err(log_failure)
}

/// Configuration and conflicts are refusals, everything else may pass.
pub fn log_failure(error: LogError) -> Failure {
    match error {
        LogError::Fatal(text) => Failure::Refused(text),
        other => Failure::unfinished(other),
    }
}

fn refused(error: RegistryError) -> Failure {
    Failure::refused(error)
}
