//! The port to a schema registry.
//!
//! [`LocalRegistry`] lives in this process, for the embedded log and for tests. `ConfluentRegistry`, of the feature
//! `client`, calls a server. Subjects follow the `TopicRecordName` strategy, since an inbox holds several record types.

#[cfg(feature = "client")]
mod confluent;
#[cfg(feature = "client")]
mod levels;
mod local;

use std::path::PathBuf;

#[cfg(feature = "client")]
pub use confluent::{ConfluentRegistry, ConfluentSettings, RegisteredVersion};
#[cfg(feature = "client")]
pub use levels::{Compatibility, CompatibilityError, LEVEL, LevelChange};
pub use local::LocalRegistry;

use crate::records::RecordType;

/// A schema registry. An id stands for one schema; several ids may stand for the same schema.
pub trait Registry: Send + Sync + std::fmt::Debug {
    /// Registers `schema` under `subject` and returns its id. A schema that is already there keeps its id.
    ///
    /// # Errors
    /// [`RegistryError::Incompatible`] when earlier versions forbid it. Others when the registry refuses or does not
    /// answer.
    fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError>;

    /// The id of `schema` under `subject`, or `None` when it is not registered there. Writes nothing.
    ///
    /// # Errors
    /// When the registry refuses or does not answer.
    fn lookup(&self, subject: &str, schema: &str) -> Result<Option<u32>, RegistryError>;

    /// The schema with this id, or `None` when there is none.
    ///
    /// # Errors
    /// When the registry refuses or does not answer.
    fn schema(&self, id: u32) -> Result<Option<RegisteredSchema>, RegistryError>;

    /// Checks that `schema` could be registered under `subject`. A new subject accepts any schema.
    ///
    /// # Errors
    /// [`RegistryError::Incompatible`] when it could not. Others when the registry refuses or does not answer.
    fn check_compatible(&self, subject: &str, schema: &str) -> Result<(), RegistryError>;

    /// Registers several schemas, given as subject and schema, in order.
    ///
    /// # Errors
    /// As [`Registry::register`], at the first that fails.
    fn register_all(&self, schemas: &[(String, &str)]) -> Result<Vec<u32>, RegistryError> {
        schemas.iter().map(|(subject, schema)| self.register(subject, schema)).collect()
    }

    /// Where it is, for messages.
    fn location(&self) -> String;
}

/// A schema as a registry holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredSchema {
    /// The schema as JSON.
    pub json: String,
    /// The schemas that it refers to, directly or through others, as JSON.
    pub references: Vec<String>,
}

/// The subject of a record on a topic: `TopicRecordName` strategy.
pub fn subject(topic: &str, record: RecordType) -> String {
    format!("{topic}-{}", record.full_name())
}

/// One or more URLs, separated by commas, as messages show them: without user and password.
pub fn without_credentials(urls: &str) -> String {
    let shown = |url: &str| {
        let (scheme, rest) = url.split_at(url.find("://").map_or(0, |at| at + "://".len()));
        let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
        format!("{scheme}{rest}")
    };
    urls.split(',').map(shown).collect::<Vec<_>>().join(",")
}

/// Why a registry could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It does not answer. A retry may succeed.
    #[error(
        "the schema registry {location} does not answer ({attempts} attempts): {reason}. Start it, or correct its URL"
    )]
    Unavailable {
        /// The URL of the registry.
        location: String,
        /// The number of attempts.
        attempts: u32,
        /// The error of the last attempt.
        reason: String,
    },
    /// It answered with a refusal.
    #[error("the schema registry {location} refused to {action}: {reason}")]
    Refused {
        /// The URL of the registry.
        location: String,
        /// The refused action.
        action: String,
        /// The reason that the registry gave.
        reason: String,
    },
    /// The schema cannot replace an earlier version.
    #[error(
        "the schema of {subject} does not fit its earlier versions: {reason}. Only fields with defaults may come and go"
    )]
    Incompatible {
        /// The subject.
        subject: String,
        /// What does not fit.
        reason: String,
    },
    /// Schemas are not registered, and this process registers none.
    #[error(
        "the schema registry {location} lacks {}, and this process registers no schemas (kafka.register_schemas)",
        listed(subjects)
    )]
    NotRegistered {
        /// The URL of the registry.
        location: String,
        /// The subjects without today's schema.
        subjects: Vec<String>,
    },
    /// A topic names a record that the contract does not have.
    #[error("the topic {topic} declares the record {record}, which is not in schemas/avro")]
    NoSuchRecord {
        /// The topic's name.
        topic: String,
        /// The record's full name.
        record: String,
    },
    /// A schema is not Avro.
    #[error("the schema of {subject} is not valid Avro: {reason}")]
    InvalidSchema {
        /// The subject.
        subject: String,
        /// Why it is not Avro.
        reason: String,
    },
    /// The file of the local registry cannot be used.
    #[error("the schema registry file {} {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        reason: String,
    },
}

/// A few subjects by name, and the number of the others.
fn listed(subjects: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = subjects.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match subjects.len().saturating_sub(SHOWN) {
        0 => format!("the schema of {shown}"),
        others => format!("the schemas of {shown} and {others} others"),
    }
}

impl RegistryError {
    /// Whether a retry may succeed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_user_and_password() {
        for (url, shown) in [
            ("http://u:secret@host:8081/apis", "http://host:8081/apis"),
            ("http://u:se@cret@a,https://b", "http://a,https://b"),
            ("http://host", "http://host"),
            ("u:secret@host", "host"),
            ("", ""),
        ] {
            assert_eq!(without_credentials(url), shown);
        }
    }
}
