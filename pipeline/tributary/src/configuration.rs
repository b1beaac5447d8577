//! The configuration file: the tables of this process, and what the ESR flow reads from the same file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tributary_esr::configuration::{EsrSettings, Source, read_over};

use crate::command_line::LogKind;
use crate::failure::Failure;

/// Top-level tables of this process; everything else in a file is for the flow.
const OWN_TABLES: &[&str] = &["log", "embedded", "kafka", "service"];

const DEFAULTS: &str = include_str!("../config/tributary.toml");

/// The configuration in effect.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// How the process runs.
    pub process: ProcessConfiguration,
    /// What the flow does.
    pub esr: Arc<EsrSettings>,
}

/// How the process runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessConfiguration {
    /// Where records travel.
    pub log: LogTable,
    /// How the embedded log works.
    pub embedded: EmbeddedTable,
    /// Where Kafka is.
    pub kafka: KafkaTable,
    /// How the service works.
    pub service: ServiceTable,
}

/// Where records travel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogTable {
    /// Which log.
    pub kind: LogKind,
    /// Partitions of the flow's topics; 0 for the log's default.
    pub partitions: u16,
    /// Worker threads; 0 for one per core.
    pub workers: u16,
}

/// How the embedded log works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddedTable {
    /// When commits reach the disk.
    pub fsync: FsyncKind,
}

/// When the commits of the embedded log reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FsyncKind {
    /// Several times a second, and before anything leaves that rests on them.
    Interval,
    /// Each one before it counts.
    Always,
}

/// Where Kafka is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaTable {
    /// Brokers to start from.
    pub bootstrap: String,
    /// URL of the schema registry.
    pub registry: String,
    /// Prefix of names.
    pub namespace: String,
    /// What tells this process from others.
    pub instance: String,
    /// Replicas of new topics.
    pub replication: u16,
    /// Whether missing topics are created at start.
    pub create_topics: bool,
    /// librdkafka properties of all clients.
    pub client: BTreeMap<String, String>,
    /// librdkafka properties of consumers.
    pub consumer: BTreeMap<String, String>,
    /// librdkafka properties of producers.
    pub producer: BTreeMap<String, String>,
}

/// How the service works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceTable {
    /// How often folders are looked at.
    pub poll_seconds: u64,
    /// How often the schedule is told the time.
    pub clock_seconds: u64,
    /// How long a batch waits without getting on.
    pub give_up_seconds: u64,
}

impl Configuration {
    /// The built-in configuration, with the entries of `file` laid over it.
    ///
    /// # Errors
    /// [`Failure::Refused`] with the first wrong entry, with file and line.
    pub fn load(file: Option<&Path>) -> Result<Self, Failure> {
        let user = file.map(read_source).transpose()?;
        let defaults = Source::new("tributary.toml", DEFAULTS);
        let own = user.clone().map(|user| user.only(OWN_TABLES));
        let process = read_over(&defaults, own.as_ref()).map_err(Failure::refused)?;
        let folder = file.and_then(Path::parent).unwrap_or(Path::new(""));
        let read_file = |name: &str| fs::read_to_string(folder.join(name)).map_err(|error| error.to_string());
        let rest = user.map(|user| user.without(OWN_TABLES));
        let esr = EsrSettings::load(rest.as_ref(), &read_file).map_err(Failure::refused)?;
        Ok(Self { process, esr: Arc::new(esr) })
    }

    /// The settings in effect as TOML. Values that look like secrets are not shown.
    pub fn to_toml(&self) -> String {
        let mut process = self.process.clone();
        for properties in [&mut process.kafka.client, &mut process.kafka.consumer, &mut process.kafka.producer] {
            for (key, value) in properties.iter_mut() {
                if is_secret(key) {
                    "(not shown)".clone_into(value);
                }
            }
        }
        let own = toml::to_string_pretty(&process).unwrap_or_default();
        // The flow's keys come first: it has some outside of any table.
        format!("{}\n{own}", self.esr.configuration.to_toml())
    }
}

/// The built-in settings with their explanations.
pub fn explained_defaults() -> String {
    format!("{}\n{}", tributary_esr::configuration::DEFAULTS, DEFAULTS)
}

fn read_source(path: &Path) -> Result<Source, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::refused(format!("cannot read the configuration file {}: {error}", path.display())))?;
    Ok(Source::new(path.display().to_string(), text))
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["password", "secret", "jaas", "key.pem", "token", "certificate.pem"].iter().any(|part| key.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Configuration, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("my.toml");
        fs::write(&file, text).unwrap();
        Configuration::load(Some(&file))
    }

    #[test]
    fn the_built_in_settings_are_right_and_can_be_given_back() {
        let built_in = Configuration::load(None).unwrap();
        let explained = load(&explained_defaults()).unwrap();
        assert_eq!((&explained.process, &explained.esr), (&built_in.process, &built_in.esr));
        let shown = load(&built_in.to_toml()).unwrap();
        assert_eq!((shown.process, shown.esr), (built_in.process, built_in.esr));
    }

    #[test]
    fn one_file_holds_settings_of_process_and_flow() {
        let text =
            "[applicants]\nmax_rows_per_post = 3\n[log]\nworkers = 5\n[kafka.client]\n\"sasl.password\" = \"x\"\n";
        let configuration = load(text).unwrap();
        assert_eq!(configuration.process.log.workers, 5);
        assert_eq!(configuration.esr.configuration.applicants.max_rows_per_post, 3);
        assert!(configuration.to_toml().contains("\"sasl.password\" = \"(not shown)\""));
    }

    #[test]
    fn a_wrong_entry_is_named_with_its_line() {
        for (text, line) in [("[log]\nkind = \"carrier pigeon\"\n", "my.toml:2:"), ("\n[logs]\n", "my.toml:2:")] {
            let error = load(text).unwrap_err().to_string();
            assert!(error.contains(line), "{error}");
        }
        assert!(matches!(Configuration::load(Some(Path::new("absent.toml"))), Err(Failure::Refused(_))));
    }
}
