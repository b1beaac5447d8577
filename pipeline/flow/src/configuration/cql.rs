//! The table `[cql]`: a CQL database for what flows keep in tables.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact::required as duration_text;
use serde::{Deserialize, Serialize};

use super::{ConfigurationError, ConfigurationFile, Secret, SecretSource, Source, read_table, top_level_keys};

/// The name of the table.
const TABLE: &str = "cql";

/// The longest time for a request.
const LONGEST_TIMEOUT: Duration = Duration::from_mins(10);

/// A CQL database, such as Apache Cassandra.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CqlTable {
    /// `host:port` of some of its nodes.
    pub nodes: Vec<String>,
    /// The keyspace of the tables.
    #[serde(default = "keyspace")]
    pub keyspace: String,
    /// Whether a missing keyspace and missing tables are created.
    #[serde(default = "create")]
    pub create: bool,
    /// Replicas in each data centre of a keyspace that is created.
    #[serde(default = "replication")]
    pub replication: u16,
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The user's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretSource>,
    /// PEM of the certification authorities of the nodes. If absent, connections are not encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// The data centre whose nodes are asked. If absent, those of all are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datacenter: Option<String>,
    /// What reads and writes wait for.
    #[serde(default)]
    pub consistency: CqlConsistency,
    /// How long a request may take.
    #[serde(default = "timeout", with = "duration_text")]
    pub timeout: Duration,
}

/// How many replicas answer before a read or a write counts. A write is seen by all later reads with each of these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CqlConsistency {
    /// Most replicas of the data centre of the node that is asked. For processes in one data centre.
    #[default]
    LocalQuorum,
    /// Most replicas of all data centres.
    Quorum,
}

impl CqlTable {
    /// Reads the table, if the file has it.
    ///
    /// # Errors
    /// The first wrong entry, with file and line.
    pub fn load(user: Option<&Source>) -> Result<Option<Self>, ConfigurationError> {
        let Some(user) = user else { return Ok(None) };
        let Some((_, offset)) = top_level_keys(user)?.into_iter().find(|(key, _)| key == TABLE) else {
            return Ok(None);
        };
        let table: Self = read_table(TABLE, &Source::new("the built-in settings", ""), Some(user))?;
        table.check().map_err(|problem| user.error_at(offset, problem))?;
        Ok(Some(table))
    }

    fn check(&self) -> Result<(), String> {
        if self.nodes.is_empty() {
            return Err("[cql] needs `nodes`, such as [\"cassandra.example:9042\"]".to_owned());
        }
        if self.user.is_some() != self.password.is_some() {
            return Err("[cql] needs both `user` and `password`, or neither".to_owned());
        }
        if self.replication == 0 {
            return Err("[cql] needs a `replication` of at least 1".to_owned());
        }
        if self.timeout.is_zero() || self.timeout > LONGEST_TIMEOUT {
            return Err("[cql] needs a `timeout` of more than 0, up to 10 minutes".to_owned());
        }
        Ok(())
    }

    /// User and password, if the table has them.
    ///
    /// # Errors
    /// Why the password cannot be read, with the name of the file.
    pub fn user(&self, file: &ConfigurationFile) -> Result<Option<(String, Secret)>, ConfigurationError> {
        let (Some(user), Some(password)) = (&self.user, &self.password) else { return Ok(None) };
        let password = password.read(&file.folder);
        let password = password.map_err(|problem| at_table(file, &format!("the password of [cql]: {problem}")))?;
        Ok(Some((user.clone(), password)))
    }

    /// The PEM of the authorities, if the table names one.
    ///
    /// # Errors
    /// Why it cannot be read, with the name of the file.
    pub fn ca(&self, file: &ConfigurationFile) -> Result<Option<String>, ConfigurationError> {
        let read = |name: &PathBuf| {
            let text = std::fs::read_to_string(file.folder.join(name as &Path));
            text.map_err(|error| at_table(file, &format!("the ca \"{}\" of [cql]: {error}", name.display())))
        };
        self.ca.as_ref().map(read).transpose()
    }
}

/// A problem with what the table names.
fn at_table(file: &ConfigurationFile, problem: &str) -> ConfigurationError {
    let none = Source::new("the built-in settings", "");
    let source = file.source.as_ref().unwrap_or(&none);
    let tables = top_level_keys(source).unwrap_or_default();
    let offset = tables.into_iter().find(|(key, _)| key == TABLE).map_or(0, |(_, offset)| offset);
    source.error_at(offset, problem)
}

fn keyspace() -> String {
    "tributary".to_owned()
}

fn create() -> bool {
    true
}

fn replication() -> u16 {
    3
}

fn timeout() -> Duration {
    Duration::from_secs(5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Option<CqlTable>, String> {
        CqlTable::load(Some(&Source::new("my.toml", text))).map_err(|error| error.to_string())
    }

    #[test]
    fn nodes_are_enough() {
        let table = load("[cql]\nnodes = [\"cassandra.example:9042\"]\n").unwrap().unwrap();
        assert_eq!((table.keyspace.as_str(), table.replication, table.create), ("tributary", 3, true));
        assert_eq!((table.timeout, table.consistency), (Duration::from_secs(5), CqlConsistency::LocalQuorum));
        assert_eq!(load("[cases]\n"), Ok(None));
    }

    #[test]
    fn the_table_can_be_shown_and_read_again_without_its_password() {
        let text = "[cql]\nnodes = [\"a:1\"]\nkeyspace = \"k\"\nuser = \"u\"\npassword = \"${CARGO_PKG_NAME}\"\n\
                    ca = \"ca.pem\"\ndatacenter = \"one\"\nconsistency = \"quorum\"\ntimeout = \"2s\"\n";
        let table = load(text).unwrap().unwrap();
        let shown = format!("[cql]\n{}", toml::to_string(&table).unwrap());
        assert!(shown.contains("password = \"${CARGO_PKG_NAME}\""), "{shown}");
        assert_eq!(load(&shown).unwrap().unwrap(), table);
        let user = table.user(&ConfigurationFile::default()).unwrap().unwrap();
        assert_eq!((user.0.as_str(), user.1.expose()), ("u", env!("CARGO_PKG_NAME")));
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_line() {
        for (text, part) in [
            ("[cql]\n", "my.toml:1: "),
            ("[cql]\nnodes = []\n", "needs `nodes`"),
            ("\n[cql]\nnodes = [\"a:1\"]\nuser = \"u\"\n", "my.toml:2: [cql] needs both"),
            ("[cql]\nnodes = [\"a:1\"]\npassword = \"plain\"\n", "my.toml:3: expected a secret"),
            ("[cql]\nnodes = [\"a:1\"]\nnode = 1\n", "my.toml:3: "),
            ("[cql]\nnodes = [\"a:1\"]\ntimeout = \"11m\"\n", "up to 10 minutes"),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.contains(part) && !error.contains("plain"), "{error}");
        }
    }
}
