//! The configuration file: the tables of the process, and a table for each flow.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tributary_flow::configuration::{
    ConfigurationError, ConfigurationFile, CqlTable, Override, Source, nearest, read, top_level_keys,
};
use tributary_flow::{Failure, Flow};
use tributary_schemas::registry::without_credentials;

use crate::cli::LogKind;
use crate::flows::Flows;
use crate::http::{AuthSettings, HttpSettings};

/// Top-level tables of the process.
const OWN_TABLES: &[&str] = &["log", "embedded", "kafka", "service", "http", "auth", "cql"];

const DEFAULTS: &str = include_str!("../config/tributary.toml");

/// The configuration in effect.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    flows: Flows,
    /// The file, from which the flows read their tables.
    pub(crate) file: ConfigurationFile,
    /// The tables of the process.
    pub(crate) process: ProcessConfiguration,
}

/// The tables of the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProcessConfiguration {
    /// The table `[log]`.
    pub(crate) log: LogTable,
    /// The table `[embedded]`.
    pub(crate) embedded: EmbeddedTable,
    /// The table `[kafka]`.
    pub(crate) kafka: KafkaTable,
    /// The table `[service]`.
    pub(crate) service: ServiceTable,
    /// The table `[http]`.
    #[serde(default)]
    pub(crate) http: HttpSettings,
    /// The table `[auth]`.
    #[serde(default)]
    pub(crate) auth: AuthSettings,
    /// The table `[cql]`. Flows that use it read it themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cql: Option<CqlTable>,
}

/// The log that holds the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogTable {
    /// The kind of log.
    pub(crate) kind: LogKind,
    /// Partitions of the flow's topics; 0 for the log's default.
    pub(crate) partitions: u16,
    /// Worker threads; 0 for one per core.
    pub(crate) workers: u16,
}

/// The embedded log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmbeddedTable {
    /// When commits reach the disk.
    pub(crate) fsync: FsyncKind,
}

/// When the commits of the embedded log reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FsyncKind {
    /// Several times a second, and before anything that depends on them leaves the process.
    Interval,
    /// Each commit, before it counts.
    Always,
}

/// The connection to Kafka.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KafkaTable {
    /// Bootstrap brokers.
    pub(crate) bootstrap: String,
    /// URL of the schema registry.
    pub(crate) registry: String,
    /// Prefix of the names of topics, groups and transactional ids.
    pub(crate) namespace: String,
    /// The name of this process in its groups.
    pub(crate) instance: String,
    /// Replicas of new topics.
    pub(crate) replication: u16,
    /// Whether missing topics are created at start.
    pub(crate) create_topics: bool,
    /// Whether missing schemas are registered at start.
    pub(crate) register_schemas: bool,
    /// librdkafka properties of all clients.
    pub(crate) client: BTreeMap<String, String>,
    /// librdkafka properties of consumers.
    pub(crate) consumer: BTreeMap<String, String>,
    /// librdkafka properties of producers.
    pub(crate) producer: BTreeMap<String, String>,
}

/// The rounds of the service.
#[expect(clippy::struct_field_names, reason = "the unit stands in the name of the setting")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceTable {
    /// How often the flows read their sources.
    pub(crate) poll_seconds: u64,
    /// How often the service publishes the time.
    pub(crate) clock_seconds: u64,
    /// How long a clock in doubt must be steady before it is believed.
    pub(crate) clock_steady_seconds: u64,
    /// How long a batch waits without progress before it gives up.
    pub(crate) give_up_seconds: u64,
}

impl Configuration {
    /// The built-in configuration with the entries of `path` over it. The tables of all flows are checked, also of
    /// flows that do not run.
    ///
    /// # Errors
    /// [`Failure::Refused`] with the first wrong entry, with file and line.
    pub(crate) fn load(flows: Flows, path: Option<&Path>) -> Result<Self, Failure> {
        let file = ConfigurationFile::read(path).map_err(Failure::refused)?;
        let defaults = Source::new("tributary.toml", DEFAULTS);
        if let Some(user) = &file.source {
            check_tables(flows, user).map_err(Failure::refused)?;
            CqlTable::load(Some(user)).map_err(Failure::refused)?;
        }
        let own = file.source.clone().map(|user| user.only(OWN_TABLES));
        let mut process: ProcessConfiguration =
            read(&defaults, own.as_ref(), Override::SingleKeys).map_err(Failure::refused)?;
        process.http = process.http.in_folder(&file.folder);
        process.auth = process.auth.in_folder(&file.folder);
        for flow in flows.iter() {
            flow.effective_configuration(&file).map_err(Failure::refused)?;
        }
        Ok(Self { flows, file, process })
    }

    /// The settings in effect as TOML. Values that look like secrets are hidden.
    ///
    /// # Errors
    /// [`Failure::Refused`] when a flow's table is wrong.
    pub(crate) fn to_toml(&self) -> Result<String, Failure> {
        let mut process = self.process.clone();
        process.kafka.registry = without_credentials(&process.kafka.registry);
        for properties in [&mut process.kafka.client, &mut process.kafka.consumer, &mut process.kafka.producer] {
            for (key, value) in properties.iter_mut() {
                if is_secret(key) {
                    "(not shown)".clone_into(value);
                }
            }
        }
        let mut text = toml::to_string_pretty(&process).map_err(Failure::refused)?;
        for flow in self.flows.iter() {
            text.push('\n');
            text.push_str(&flow.effective_configuration(&self.file).map_err(Failure::refused)?);
        }
        Ok(text)
    }
}

/// The built-in settings with their comments.
pub(crate) fn explained_defaults(flows: Flows) -> String {
    let flows = flows.iter().map(|flow| flow.declaration().defaults);
    [DEFAULTS].into_iter().chain(flows).collect::<Vec<_>>().join("\n")
}

/// Refuses unknown top-level tables, and names the table that the user probably means.
fn check_tables(known: Flows, user: &Source) -> Result<(), ConfigurationError> {
    let flows = || known.iter().map(Flow::declaration);
    let names = || OWN_TABLES.iter().copied().chain(flows().map(|flow| flow.name));
    for (key, offset) in top_level_keys(user)? {
        if names().any(|name| name == key) {
            continue;
        }
        if let Some(flow) = flows().find(|flow| flow.former_tables.contains(&key.as_str())) {
            let problem = format!("expected `{}.{key}`, which is what `{key}` is called now", flow.name);
            return Err(user.error_at(offset, problem));
        }
        let expected: Vec<String> = names().map(|name| format!("`{name}`")).collect();
        let hint = nearest(&key, names()).map(|name| format!("; `{name}` is the nearest")).unwrap_or_default();
        let problem = format!("expected one of {}, found the unknown entry `{key}`{hint}", expected.join(", "));
        return Err(user.error_at(offset, problem));
    }
    Ok(())
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["password", "secret", "jaas", "key.pem", "token", "certificate.pem"].iter().any(|part| key.contains(part))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::flows::FLOWS;

    fn load(text: &str) -> Result<Configuration, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("my.toml");
        fs::write(&file, text).unwrap();
        Configuration::load(FLOWS, Some(&file))
    }

    #[test]
    fn the_built_in_settings_are_right_and_can_be_given_back() {
        let built_in = Configuration::load(FLOWS, None).unwrap();
        let explained = load(&explained_defaults(FLOWS)).unwrap();
        assert_eq!(explained.process, built_in.process);
        assert_eq!(explained.to_toml(), built_in.to_toml());
        let shown = load(&built_in.to_toml().unwrap()).unwrap();
        assert_eq!(shown.to_toml(), built_in.to_toml());
    }

    #[test]
    fn one_file_holds_settings_of_process_and_flow() {
        let text =
            "[esr.applicants]\nmax_rows_per_post = 3\n[log]\nworkers = 5\n[kafka.client]\n\"sasl.password\" = \"x\"\n";
        let configuration = load(text).unwrap();
        assert_eq!(configuration.process.log.workers, 5);
        let shown = configuration.to_toml().unwrap();
        assert!(shown.contains("max_rows_per_post = 3"), "{shown}");
        assert!(shown.contains("\"sasl.password\" = \"(not shown)\""));
    }

    #[test]
    fn the_password_of_the_registry_is_not_shown() {
        let shown = load("[kafka]\nregistry = \"http://user:secret@host\"\n").unwrap().to_toml().unwrap();
        assert!(shown.contains("registry = \"http://host\"") && !shown.contains("secret"), "{shown}");
    }

    #[test]
    fn a_table_under_its_former_name_is_refused_with_the_new_one() {
        let error = load("[log]\n[inbound]\nafter = \"keep\"\n").unwrap_err().to_string();
        assert!(error.ends_with("my.toml:2: expected `esr.inbound`, which is what `inbound` is called now"), "{error}");
        let error = load("[office.EOE]\n").unwrap_err().to_string();
        assert!(error.contains(":1: expected `esr.office`"), "{error}");
    }

    #[test]
    fn an_unknown_table_is_refused_with_the_nearest_known_one() {
        let error = load("[kafak]\n").unwrap_err().to_string();
        assert!(error.contains(":1: ") && error.ends_with("`kafka` is the nearest"), "{error}");
    }

    #[test]
    fn a_wrong_entry_is_named_with_its_line() {
        for (text, line) in [("[log]\nkind = \"carrier pigeon\"\n", "my.toml:2:"), ("\n[logs]\n", "my.toml:2:")] {
            let error = load(text).unwrap_err().to_string();
            assert!(error.contains(line), "{error}");
        }
        assert!(matches!(Configuration::load(FLOWS, Some(Path::new("absent.toml"))), Err(Failure::Refused(_))));
    }
}
