//! The topics on the broker compared with those that the code declares, and the changes that make them equal.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use futures_executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use tributary_runtime::{Cleanup, LogError, Role, Topic};

use super::configuration::KafkaConfiguration;
use super::log_error;

/// How long the broker may take for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the broker may take to list its topics. This is the first request.
const METADATA_TIMEOUT: Duration = Duration::from_secs(5);

/// How long it may take until a new topic is visible everywhere.
const VISIBLE_TIMEOUT: Duration = Duration::from_secs(30);

/// One difference between the broker and the declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicChange {
    /// The topic is missing.
    Create {
        /// Its name on the broker.
        topic: String,
        /// Its partitions.
        partitions: i32,
        /// Its settings.
        config: BTreeMap<String, String>,
    },
    /// A setting differs.
    AlterConfig {
        /// The topic's name on the broker.
        topic: String,
        /// The setting.
        key: String,
        /// Its value on the broker.
        from: String,
        /// Its declared value.
        to: String,
    },
    /// A difference that cannot be removed without losing or mixing up data.
    Conflict {
        /// The topic's name on the broker.
        topic: String,
        /// The difference, and what to do.
        explanation: String,
    },
}

impl fmt::Display for TopicChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { topic, partitions, config } => {
                write!(f, "create   {topic} ({partitions} partitions")?;
                for (key, value) in config {
                    write!(f, ", {key}={value}")?;
                }
                f.write_str(")")
            }
            Self::AlterConfig { topic, key, from, to } => write!(f, "alter    {topic}: {key} from {from} to {to}"),
            Self::Conflict { topic, explanation } => write!(f, "CONFLICT {topic}: {explanation}"),
        }
    }
}

/// The changes on the broker that a flow needs to run.
pub struct TopicPlan {
    admin: AdminClient<DefaultClientContext>,
    replication: i32,
    expected: Vec<Expected>,
    changes: Vec<TopicChange>,
}

/// A topic as declared.
struct Expected {
    name: String,
    partitions: i32,
    config: BTreeMap<String, String>,
}

impl TopicPlan {
    /// Compares the declared topics with the broker.
    ///
    /// # Errors
    /// [`LogError`] when the broker cannot be asked.
    pub fn compare(
        configuration: &KafkaConfiguration,
        topics: &[&'static Topic],
        flow_partitions: i32,
        replication: i32,
    ) -> Result<Self, LogError> {
        let admin = configuration
            .base()
            .create()
            .map_err(|error| log_error::from_creation("the client that manages topics", &error))?;
        let expected = topics.iter().map(|topic| expect(configuration, topic, flow_partitions, replication)).collect();
        let mut plan = Self { admin, replication, expected, changes: Vec::new() };
        plan.changes = plan.differences()?;
        Ok(plan)
    }

    /// The differences, in the order of the declarations.
    pub fn changes(&self) -> &[TopicChange] {
        &self.changes
    }

    /// Makes all changes and waits until the topics can be used. With a conflict among them, it changes nothing.
    ///
    /// # Errors
    /// [`LogError::Fatal`] with the conflicts, or when the broker refuses a change.
    pub fn apply(&mut self) -> Result<(), LogError> {
        let conflicts: Vec<String> = self
            .changes
            .iter()
            .filter(|change| matches!(change, TopicChange::Conflict { .. }))
            .map(ToString::to_string)
            .collect();
        if !conflicts.is_empty() {
            return Err(LogError::fatal(conflicts.join("; ")));
        }
        self.create()?;
        self.alter()?;
        self.wait_until_visible()?;
        self.changes.clear();
        Ok(())
    }

    fn differences(&self) -> Result<Vec<TopicChange>, LogError> {
        let present = self.present()?;
        let configs = self.describe(present.keys().map(String::as_str).collect())?;
        let mut changes = Vec::new();
        for expected in &self.expected {
            let Some(partitions) = present.get(&expected.name) else {
                changes.push(TopicChange::Create {
                    topic: expected.name.clone(),
                    partitions: expected.partitions,
                    config: expected.config.clone(),
                });
                continue;
            };
            if *partitions != expected.partitions {
                changes.push(partition_conflict(expected, *partitions));
            }
            let empty = BTreeMap::new();
            changes.extend(config_changes(expected, configs.get(&expected.name).unwrap_or(&empty)));
        }
        Ok(changes)
    }

    /// The numbers of partitions of the expected topics that exist.
    fn present(&self) -> Result<BTreeMap<String, i32>, LogError> {
        let metadata = self
            .admin
            .inner()
            .fetch_metadata(None, METADATA_TIMEOUT)
            .map_err(|error| log_error::from_call("asking for topics", &error))?;
        let expected = |name: &str| self.expected.iter().any(|expected| expected.name == name);
        Ok(metadata
            .topics()
            .iter()
            .filter(|topic| topic.error().is_none() && expected(topic.name()))
            .map(|topic| (topic.name().to_owned(), topic.partitions().len() as i32))
            .collect())
    }

    /// The settings of topics.
    fn describe(&self, names: Vec<&str>) -> Result<BTreeMap<String, BTreeMap<String, Setting>>, LogError> {
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let what = "asking for the settings of topics";
        let resources: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let answers = block_on(self.admin.describe_configs(&resources, &options()))
            .map_err(|error| log_error::from_call(what, &error))?;
        let mut configs = BTreeMap::new();
        for (name, answer) in names.into_iter().zip(answers) {
            let resource = answer.map_err(|code| log_error::from_call(what, &KafkaError::AdminOp(code)))?;
            let settings = resource.entries.into_iter().filter_map(|entry| {
                let own = matches!(entry.source, ConfigSource::DynamicTopic);
                Some((entry.name, Setting { value: entry.value?, own }))
            });
            configs.insert(name.to_owned(), settings.collect());
        }
        Ok(configs)
    }

    fn create(&self) -> Result<(), LogError> {
        let creations: Vec<NewTopic<'_>> = self
            .changes
            .iter()
            .filter_map(|change| match change {
                TopicChange::Create { topic, partitions, config } => {
                    let new = NewTopic::new(topic, *partitions, TopicReplication::Fixed(self.replication));
                    Some(config.iter().fold(new, |new, (key, value)| new.set(key, value)))
                }
                _ => None,
            })
            .collect();
        if creations.is_empty() {
            return Ok(());
        }
        let answers = block_on(self.admin.create_topics(&creations, &options()))
            .map_err(|error| log_error::from_call("creating topics", &error))?;
        for answer in answers {
            match answer {
                // Another process was quicker, with the same declaration.
                Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
                Err((topic, code)) => {
                    return Err(log_error::from_call(
                        &format!("creating the topic {topic}"),
                        &KafkaError::AdminOp(code),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Sets what differs. The request replaces all settings of a topic, so it repeats those that others have made.
    fn alter(&self) -> Result<(), LogError> {
        let mut topics: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
        for change in &self.changes {
            if let TopicChange::AlterConfig { topic, key, to, .. } = change {
                topics.entry(topic).or_default().insert(key.clone(), to.clone());
            }
        }
        if topics.is_empty() {
            return Ok(());
        }
        let present = self.describe(topics.keys().copied().collect())?;
        for (topic, settings) in &mut topics {
            for (key, setting) in present.get(*topic).into_iter().flatten().filter(|(_, setting)| setting.own) {
                settings.entry(key.clone()).or_insert_with(|| setting.value.clone());
            }
        }
        let alterations: Vec<AlterConfig<'_>> = topics
            .iter()
            .map(|(topic, settings)| {
                let altered = AlterConfig::new(ResourceSpecifier::Topic(topic));
                settings.iter().fold(altered, |altered, (key, value)| altered.set(key, value))
            })
            .collect();
        let answers = block_on(self.admin.alter_configs(&alterations, &options()))
            .map_err(|error| log_error::from_call("altering topics", &error))?;
        for answer in answers {
            answer.map_err(|(topic, code)| {
                log_error::from_call(&format!("altering the topic {topic:?}"), &KafkaError::AdminOp(code))
            })?;
        }
        Ok(())
    }

    /// Waits until every expected partition has a leader. A new topic is not visible everywhere at once.
    fn wait_until_visible(&self) -> Result<(), LogError> {
        let deadline = Instant::now() + VISIBLE_TIMEOUT;
        loop {
            let missing = self.without_leader()?;
            let Some(first) = missing.first() else { return Ok(()) };
            if Instant::now() > deadline {
                return Err(LogError::unavailable(format!(
                    "the topic {first} was created but has no leader; are enough brokers up?"
                )));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn without_leader(&self) -> Result<Vec<String>, LogError> {
        let metadata = self
            .admin
            .inner()
            .fetch_metadata(None, REQUEST_TIMEOUT)
            .map_err(|error| log_error::from_call("asking for topics", &error))?;
        let ready = |expected: &Expected| {
            metadata.topics().iter().any(|topic| {
                topic.name() == expected.name
                    && topic.partitions().len() as i32 == expected.partitions
                    && topic.partitions().iter().all(|partition| partition.leader() >= 0)
            })
        };
        Ok(self.expected.iter().filter(|expected| !ready(expected)).map(|expected| expected.name.clone()).collect())
    }
}

/// A setting as the broker has it.
struct Setting {
    value: String,
    /// Whether it is set on the topic rather than a default.
    own: bool,
}

/// A declared topic as the broker should have it.
fn expect(configuration: &KafkaConfiguration, topic: &Topic, flow_partitions: i32, replication: i32) -> Expected {
    Expected {
        name: configuration.name(topic.name),
        partitions: topic.partition_count(flow_partitions),
        config: settings(topic, replication),
    }
}

/// The settings of a declared topic.
fn settings(topic: &Topic, replication: i32) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    let mut set = |key: &str, value: String| settings.insert(key.to_owned(), value);
    // With three replicas one may be down. With one there is no choice.
    set("min.insync.replicas", (replication - 1).max(1).to_string());
    match topic.cleanup {
        Cleanup::Compact => {
            set("cleanup.policy", "compact".to_owned());
            // A reader that was away this long still sees deletions. A snapshot of state must not be older.
            set("delete.retention.ms", days(7));
        }
        Cleanup::Delete(retention) => {
            set("cleanup.policy", "delete".to_owned());
            set("retention.ms", retention.as_millis().to_string());
        }
    }
    if topic.role == Role::ForeignInbox {
        set("message.timestamp.type", "LogAppendTime".to_owned());
    }
    if topic.role == Role::Changelog {
        // The newest segment is never compacted. With small segments, a restart reads little more than the state.
        set("segment.bytes", (64 * 1024 * 1024).to_string());
        set("segment.ms", Duration::from_hours(6).as_millis().to_string());
        set("min.cleanable.dirty.ratio", "0.2".to_owned());
    }
    settings
}

fn days(days: u64) -> String {
    Duration::from_hours(days * 24).as_millis().to_string()
}

fn partition_conflict(expected: &Expected, present: i32) -> TopicChange {
    TopicChange::Conflict {
        topic: expected.name.clone(),
        explanation: format!(
            "has {present} partitions and {} are configured; keys would move to other partitions than their history. \
             Configure {present} partitions, or use another namespace and load the data again",
            expected.partitions
        ),
    }
}

/// The differences in the settings of a topic.
fn config_changes(expected: &Expected, present: &BTreeMap<String, Setting>) -> Vec<TopicChange> {
    let mut changes = Vec::new();
    for (key, to) in &expected.config {
        let from = present.get(key).map_or("", |setting| setting.value.as_str());
        if same(from, to) {
            continue;
        }
        let topic = expected.name.clone();
        changes.push(if key == "cleanup.policy" && to == "compact" {
            TopicChange::Conflict {
                topic,
                explanation: format!(
                    "has cleanup.policy={from} and must be compacted: records may already be gone. Load the data again \
                     into another namespace, or set cleanup.policy=compact by hand if you know that none are"
                ),
            }
        } else {
            TopicChange::AlterConfig { topic, key: key.clone(), from: from.to_owned(), to: to.clone() }
        });
    }
    changes
}

/// Whether two settings mean the same.
fn same(left: &str, right: &str) -> bool {
    match (left.parse::<f64>(), right.parse::<f64>()) {
        (Ok(left), Ok(right)) => (left - right).abs() < f64::EPSILON,
        _ => left == right,
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT)).operation_timeout(Some(REQUEST_TIMEOUT))
}
