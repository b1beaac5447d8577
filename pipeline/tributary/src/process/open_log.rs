//! Opens the configured log. Registry, workers, producers and lag depend on the kind of log.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::runtime::Handle;
use tributary_connectors::embedded::{EmbeddedLog, Fsync, GroupInboxes, StateFolder};
use tributary_connectors::kafka::{
    KafkaConfiguration, KafkaLag, KafkaLog, KafkaProducer, KafkaReader, NamedMember, TopicChange, TopicPlan,
    named_members,
};
use tributary_flow::declaration::Declaration;
use tributary_flow::{Failure, log_failure};
use tributary_runtime::{EachChange, Lag, Log, LogError, Producer, Topic, TopicFollower, TopicReader};
use tributary_schemas::registry::{Compatibility, LevelChange, without_credentials};
use tributary_schemas::{
    Codec, CodecBuilder, ConfluentRegistry, ConfluentSettings, LocalRegistry, Registry, RegistryError,
};

use crate::configuration::FsyncKind;
use crate::settings::{KafkaSettings, Settings};

/// The file in the state folder that numbers the schemas of the embedded log.
const SCHEMAS_FILE: &str = "schemas.json";

/// An open log.
#[derive(Clone)]
pub(crate) enum OpenLog {
    /// In a folder, for this process only.
    Embedded(Arc<EmbeddedLog>),
    /// On Kafka.
    Kafka(Arc<OpenKafka>),
}

/// An open log on Kafka.
pub(crate) struct OpenKafka {
    cluster: KafkaConfiguration,
    /// Whether missing topics are created.
    creates_topics: bool,
    /// Replicas of new topics.
    replication: u16,
    /// Locks the state folder. It holds only what makes a restart faster, but no other process may use it. `None` for a
    /// command that does not use it.
    _folder: Option<StateFolder>,
}

impl OpenKafka {
    fn new(kafka: &KafkaSettings, folder: Option<StateFolder>) -> Self {
        let (creates_topics, replication) = (kafka.create_topics, kafka.replication);
        Self { cluster: kafka.cluster.clone(), creates_topics, replication, _folder: folder }
    }

    fn provide_topic(&self, topic: &'static Topic, flow_partitions: i32) -> Result<(), LogError> {
        let mut plan = TopicPlan::compare(&self.cluster, &[topic], flow_partitions, i32::from(self.replication))?;
        match plan.changes() {
            [] => Ok(()),
            [change, ..] if !self.creates_topics => Err(LogError::fatal(format!(
                "the topic is missing or differs, and [kafka] create_topics is false: {change}"
            ))),
            _ => plan.apply(),
        }
    }
}

impl OpenLog {
    /// Opens the log for these flows, with the topics that their configuration adds. On Kafka it creates missing
    /// topics.
    ///
    /// # Errors
    /// [`Failure::Refused`] for a state folder that cannot be used or for topics that do not fit.
    /// [`Failure::Unfinished`] for a broker that does not answer.
    pub(crate) fn open(
        settings: &Settings,
        flows: &[&'static Declaration],
        configured: &[&'static Topic],
    ) -> Result<Self, Failure> {
        match &settings.kafka {
            Some(kafka) => {
                let folder = StateFolder::open(&settings.state).map_err(Failure::refused)?;
                check_topics(kafka, flows, settings.partitions)?;
                let kafka = OpenKafka::new(kafka, Some(folder));
                let partitions = i32::from(settings.partitions);
                for topic in configured {
                    kafka.provide_topic(topic, partitions).map_err(log_failure)?;
                }
                Ok(Self::Kafka(Arc::new(kafka)))
            }
            None => open_embedded(settings, flows, configured),
        }
    }

    /// Opens the log for a command that works beside the processes of the namespace. It creates nothing: on Kafka the
    /// topics must be as the flows need them, and the embedded log must be there and not in use.
    ///
    /// # Errors
    /// As [`OpenLog::open`].
    pub(crate) fn open_beside(settings: &Settings, flows: &[&'static Declaration]) -> Result<Self, Failure> {
        let Some(kafka) = &settings.kafka else {
            if !settings.state.is_dir() {
                let folder = settings.state.display();
                return Err(Failure::refused(format!("there is no state folder {folder}: name it with --state")));
            }
            return open_embedded(settings, flows, &[]);
        };
        let plan = compare_topics(kafka, flows, settings.partitions)?;
        if !plan.changes().is_empty() {
            return Err(topics_differ(&plan));
        }
        Ok(Self::Kafka(Arc::new(OpenKafka::new(kafka, None))))
    }

    /// The members of the groups of a flow now. Nobody on the embedded log, which only this process has.
    ///
    /// # Errors
    /// The error of the log.
    pub(crate) fn members(&self, flow: &Declaration) -> Result<BTreeSet<NamedMember>, LogError> {
        match self {
            Self::Embedded(_) => Ok(BTreeSet::new()),
            Self::Kafka(kafka) => {
                let groups: Vec<&str> = flow.groups.iter().map(|group| group.name).collect();
                named_members(&kafka.cluster, &groups)
            }
        }
    }

    /// The codec, bound to the registry of the log.
    ///
    /// # Errors
    /// [`Failure`] when the registry cannot be used.
    pub(crate) fn codec(&self, settings: &Settings, flows: &[&'static Declaration]) -> Result<Codec, Failure> {
        self.codec_for(settings, topics(flows))
    }

    /// A codec for the control topics alone. A command that looks must not register the schemas of its release.
    ///
    /// # Errors
    /// [`Failure`] when the registry cannot be used.
    pub(crate) fn codec_of_control(
        &self,
        settings: &Settings,
        flows: &[&'static Declaration],
    ) -> Result<Codec, Failure> {
        self.codec_for(settings, flows.iter().map(|flow| flow.control).collect())
    }

    fn codec_for(&self, settings: &Settings, topics: Vec<&'static Topic>) -> Result<Codec, Failure> {
        let registry: Arc<dyn Registry> = match &settings.kafka {
            None => Arc::new(LocalRegistry::open(settings.state.join(SCHEMAS_FILE)).map_err(refused)?),
            Some(kafka) => {
                // The caller retries and logs, so one attempt is enough.
                let once = ConfluentSettings { attempts: 1, ..ConfluentSettings::new(&kafka.registry) };
                Arc::new(ConfluentRegistry::connect(once).map_err(refused)?)
            }
        };
        let prefix = match self {
            Self::Kafka(kafka) => kafka.cluster.name(""),
            Self::Embedded(_) => String::new(),
        };
        let registers = settings.kafka.as_ref().is_none_or(|kafka| kafka.register_schemas);
        let builder = CodecBuilder::new(registry).namespace(&prefix).topics(topics).registers(registers);
        match builder.build() {
            Err(error) if error.is_transient() => Err(Failure::unfinished(error)),
            Err(error @ RegistryError::NotRegistered { .. }) => Err(not_registered(&error, settings)),
            built => built.map_err(Failure::refused),
        }
    }

    /// The log of one worker.
    ///
    /// # Errors
    /// The error of the log.
    pub(crate) fn worker(
        &self,
        group: &'static str,
        slot: usize,
        inboxes: &[&'static Topic],
    ) -> Result<Box<dyn Log>, LogError> {
        match self {
            Self::Embedded(log) => Ok(Box::new(log.worker(group, &format!("{group}-{slot}"), inboxes)?)),
            Self::Kafka(kafka) => Ok(Box::new(KafkaLog::open(&kafka.cluster, group, &slot.to_string(), inboxes)?)),
        }
    }

    /// The name of this process in its groups.
    pub(crate) fn instance(&self) -> &str {
        match self {
            Self::Embedded(_) => "",
            Self::Kafka(kafka) => &kafka.cluster.instance,
        }
    }

    /// A reader of topics outside any group. Only for a shared log: no other process writes to the embedded log.
    ///
    /// # Errors
    /// The error of the log.
    pub(crate) fn reader(&self, flow: &str) -> Result<Box<dyn TopicReader>, LogError> {
        match self {
            Self::Embedded(_) => Ok(Box::new(NothingToRead)),
            Self::Kafka(kafka) => Ok(Box::new(KafkaReader::open(&kafka.cluster, flow)?)),
        }
    }

    /// Follows topics outside any group, from positions that the caller keeps.
    ///
    /// # Errors
    /// As the log says.
    pub(crate) fn follower(&self, flow: &str) -> Result<Box<dyn TopicFollower>, LogError> {
        match self {
            Self::Embedded(log) => Ok(Box::new(log.follower())),
            Self::Kafka(kafka) => Ok(Box::new(KafkaReader::open(&kafka.cluster, flow)?)),
        }
    }

    /// Writes everything so far to the disk, if the log is embedded.
    ///
    /// # Errors
    /// The error of the log.
    pub(crate) fn sync(&self) -> Result<(), LogError> {
        match self {
            Self::Embedded(log) => log.sync(),
            Self::Kafka(_) => Ok(()),
        }
    }

    /// A producer that fences the previous producer of this name. On Kafka that may be in another process.
    ///
    /// # Errors
    /// The error of the log.
    pub(crate) fn producer(&self, flow: &str, name: &str) -> Result<Box<dyn Producer>, LogError> {
        match self {
            Self::Embedded(log) => Ok(Box::new(log.producer(name))),
            Self::Kafka(kafka) => Ok(Box::new(KafkaProducer::open_shared(&kafka.cluster, flow, name)?)),
        }
    }

    /// Makes sure that a topic is there which no flow declares.
    ///
    /// # Errors
    /// The error of the log. [`LogError::Fatal`] when the topic is missing or differs, and may not be changed.
    pub(crate) fn provide_topic(&self, topic: &'static Topic, flow_partitions: i32) -> Result<(), LogError> {
        match self {
            Self::Embedded(_) => Ok(()),
            Self::Kafka(kafka) => kafka.provide_topic(topic, flow_partitions),
        }
    }

    /// A producer that only this process has.
    ///
    /// # Errors
    /// The error of the log.
    pub(crate) fn own_producer(&self, flow: &str, name: &str) -> Result<Box<dyn Producer>, LogError> {
        match self {
            Self::Embedded(log) => Ok(Box::new(log.producer(name))),
            Self::Kafka(kafka) => Ok(Box::new(KafkaProducer::open(&kafka.cluster, flow, name)?)),
        }
    }

    /// The lag of all groups of a flow.
    ///
    /// # Errors
    /// The error of the log.
    pub(crate) fn lag(&self, flow: &Declaration, flow_partitions: i32) -> Result<Box<dyn Lag>, LogError> {
        match self {
            Self::Embedded(log) => {
                let inboxes = flow
                    .groups
                    .iter()
                    .flat_map(|group| group.stages.iter().map(|stage| (group.name.to_owned(), stage.inbox)));
                Ok(Box::new(log.lag(inboxes.collect())))
            }
            Self::Kafka(kafka) => {
                let groups: Vec<(&'static str, Vec<&'static Topic>)> =
                    flow.groups.iter().map(|group| (group.name, group.inboxes())).collect();
                Ok(Box::new(KafkaLag::open(&kafka.cluster, &groups, flow_partitions)?))
            }
        }
    }

    /// What distinguishes this log from others, for snapshots of state.
    pub(crate) fn identity(&self) -> String {
        match self {
            Self::Embedded(_) => "embedded".to_owned(),
            Self::Kafka(kafka) => format!("kafka {} {}", kafka.cluster.bootstrap, kafka.cluster.name("")),
        }
    }
}

/// Only this process writes to the embedded log, so a reader would find nothing new.
struct NothingToRead;

impl TopicReader for NothingToRead {
    fn read(&self, _: &Topic, _: i32, _: EachChange<'_>) -> Result<(), LogError> {
        Ok(())
    }

    fn ends(&self, topic: &Topic, flow_partitions: i32) -> Result<Vec<i64>, LogError> {
        Ok(vec![0; topic.partition_count(flow_partitions) as usize])
    }
}

/// The topics of these flows, without duplicates.
fn topics(flows: &[&'static Declaration]) -> Vec<&'static Topic> {
    let mut topics: Vec<&'static Topic> = Vec::new();
    for topic in flows.iter().flat_map(|flow| flow.topics()) {
        if !topics.contains(&topic) {
            topics.push(topic);
        }
    }
    topics
}

fn open_embedded(
    settings: &Settings,
    flows: &[&'static Declaration],
    configured: &[&'static Topic],
) -> Result<OpenLog, Failure> {
    let fsync = match settings.fsync {
        FsyncKind::Interval => Fsync::default(),
        FsyncKind::Always => Fsync::Always,
    };
    let groups: Vec<(&'static str, Vec<&'static Topic>)> =
        flows.iter().flat_map(|flow| flow.groups).map(|group| (group.name, group.inboxes())).collect();
    let readers: Vec<GroupInboxes<'_>> =
        groups.iter().map(|(group, inboxes)| GroupInboxes { group, inboxes }).collect();
    let topics = [&topics(flows), configured].concat();
    let log = EmbeddedLog::open(&settings.state, fsync, &topics, i32::from(settings.partitions), &readers);
    Ok(OpenLog::Embedded(Arc::new(log.map_err(Failure::refused)?)))
}

fn check_topics(kafka: &KafkaSettings, flows: &[&'static Declaration], partitions: u16) -> Result<(), Failure> {
    let mut plan = compare_topics(kafka, flows, partitions)?;
    if plan.changes().is_empty() {
        return Ok(());
    }
    if !kafka.create_topics {
        return Err(topics_differ(&plan));
    }
    plan.apply().map_err(log_failure)
}

fn topics_differ(plan: &TopicPlan) -> Failure {
    let changes: Vec<String> = plan.changes().iter().map(ToString::to_string).collect();
    Failure::refused(format!("topics are missing or differ; run `tributary topics apply`:\n{}", changes.join("\n")))
}

/// The flows that have run in the namespace: those whose control topic is there. All of them in a new namespace, so that
/// the message about what is missing is complete.
///
/// # Errors
/// [`Failure`] when the broker cannot be asked.
pub(crate) fn flows_of_namespace(
    kafka: &KafkaSettings,
    flows: &[&'static Declaration],
    flow_partitions: u16,
) -> Result<Vec<&'static Declaration>, Failure> {
    let plan = compare_topics(kafka, flows, flow_partitions)?;
    let is_missing = |name: &str| {
        plan.changes().iter().any(|change| matches!(change, TopicChange::Create { topic, .. } if topic == name))
    };
    let is_there = |flow: &&&'static Declaration| !is_missing(&kafka.cluster.name(flow.control.name));
    let there: Vec<_> = flows.iter().filter(is_there).copied().collect();
    Ok(if there.is_empty() { flows.to_vec() } else { there })
}

/// Compares the topics of the flows with those of the cluster.
///
/// # Errors
/// [`Failure`] when the broker does not answer.
pub(crate) fn compare_topics(
    kafka: &KafkaSettings,
    flows: &[&'static Declaration],
    partitions: u16,
) -> Result<TopicPlan, Failure> {
    let replication = i32::from(kafka.replication);
    TopicPlan::compare(&kafka.cluster, &topics(flows), i32::from(partitions), replication).map_err(log_failure)
}

/// The registry, and the subjects of the flow whose schemas may change in ways that compacted topics do not allow.
/// `None` when no registry is named.
///
/// # Errors
/// [`Failure`] when the registry does not answer.
pub(crate) fn compare_compatibility(
    kafka: &KafkaSettings,
    flows: &[&'static Declaration],
    tokio: Handle,
) -> Result<Option<(Compatibility, Vec<LevelChange>)>, Failure> {
    if kafka.registry.is_empty() {
        return Ok(None);
    }
    let compatibility = Compatibility::new(&kafka.registry, tokio).map_err(Failure::unfinished)?;
    let topics = topics(flows);
    let records = topics.iter().flat_map(|topic| topic.records.iter().map(|record| (topic.name, *record)));
    let subjects: Vec<String> =
        records.map(|(topic, record)| format!("{}-{record}", kafka.cluster.name(topic))).collect();
    let differences = compatibility.differences(&subjects).map_err(Failure::unfinished)?;
    Ok(Some((compatibility, differences)))
}

/// The missing schemas, with the line to type.
fn not_registered(error: &RegistryError, settings: &Settings) -> Failure {
    let mut line = "tributary schemas apply".to_owned();
    if let Some(kafka) = &settings.kafka {
        line = format!("{line} --registry {}", without_credentials(&kafka.registry));
        if !kafka.cluster.namespace.is_empty() {
            line = format!("{line} --namespace {}", kafka.cluster.namespace);
        }
    }
    Failure::refused(format!("{error}:\n  {line}"))
}

fn refused(error: RegistryError) -> Failure {
    Failure::refused(error)
}
