//! The port to a schema registry, and what a registry is asked.
//!
//! [`LocalRegistry`] lives in this process, for the embedded log and for tests; `ConfluentRegistry`, of the feature
//! `client`, calls a server. Subjects follow the `TopicRecordName` strategy, since an inbox holds several record types.

#[cfg(feature = "client")]
mod confluent;
#[cfg(feature = "client")]
mod levels;
mod local;

use std::path::PathBuf;

#[cfg(feature = "client")]
pub use confluent::{ConfluentRegistry, ConfluentSettings};
#[cfg(feature = "client")]
pub use levels::{Compatibility, CompatibilityError, LevelChange};
pub use local::LocalRegistry;

use crate::records::RecordType;

/// A schema registry. Ids stand for contents: the same schema may be asked for by several ids.
pub trait Registry: Send + Sync + std::fmt::Debug {
    /// Registers `schema` under `subject`, or finds it there, and gives its id.
    ///
    /// # Errors
    /// [`RegistryError::Incompatible`] when earlier versions forbid it, others when the registry cannot do it now.
    fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError>;

    /// The id of `schema` under `subject`, or `None` when it is not registered there.
    ///
    /// # Errors
    /// When the registry cannot be asked.
    fn lookup(&self, subject: &str, schema: &str) -> Result<Option<u32>, RegistryError>;

    /// The schema with this id, or `None` when there is none.
    ///
    /// # Errors
    /// When the registry cannot be asked.
    fn schema(&self, id: u32) -> Result<Option<RegisteredSchema>, RegistryError>;

    /// Whether `schema` could be registered under `subject`; a new subject takes anything.
    ///
    /// # Errors
    /// [`RegistryError::Incompatible`] when it could not, others when the registry cannot be asked.
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
    /// The schemas it refers to, as JSON, those that they refer to included.
    pub references: Vec<String>,
}

/// The subject of a record on a topic: `TopicRecordName` strategy.
pub fn subject(topic: &str, record: RecordType) -> String {
    format!("{topic}-{}", record.full_name())
}

/// Why a registry did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It does not answer; trying again later may help.
    #[error(
        "the schema registry {location} does not answer ({attempts} attempts): {reason}. Start it, or correct its URL"
    )]
    Unavailable {
        /// Where it should be.
        location: String,
        /// How often it was tried.
        attempts: u32,
        /// The last answer.
        reason: String,
    },
    /// It answered with a refusal.
    #[error("the schema registry {location} refused to {action}: {reason}")]
    Refused {
        /// Where it is.
        location: String,
        /// What it was asked to do.
        action: String,
        /// Its answer.
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
    /// A topic names a record that the contract does not have.
    #[error("the topic {topic} declares the record {record}, which is not in schemas/avro")]
    NoSuchRecord {
        /// The topic.
        topic: String,
        /// The record.
        record: String,
    },
    /// A schema is not Avro.
    #[error("the schema of {subject} is not valid Avro: {reason}")]
    InvalidSchema {
        /// The subject.
        subject: String,
        /// What is wrong.
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

impl RegistryError {
    /// Whether trying again later may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
