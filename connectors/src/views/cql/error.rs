//! Why tables cannot be used.

use std::error::Error as StdError;
use std::time::Duration;

use scylla::errors::{ExecutionError, NewSessionError, PrepareError};

/// Why the tables cannot be used. It says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CqlError {
    /// A setting that can never work.
    #[error("{setting} of the CQL database is wrong: {problem}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// No node can be connected to.
    #[error(
        "the CQL database at {nodes} cannot be connected to: {source}; check its addresses, the user and the network"
    )]
    Connect {
        /// The nodes.
        nodes: String,
        /// What the driver said.
        source: Box<NewSessionError>,
    },
    /// There was no connection in time.
    #[error("the CQL database at {nodes} gave no connection within {after:?}; check its addresses and the network")]
    ConnectTimeout {
        /// The nodes.
        nodes: String,
        /// The time.
        after: Duration,
    },
    /// The keyspace and its tables cannot be created or prepared.
    #[error(
        "{subject} cannot be used: {source}; if the user may not create it, an administrator does, as \
         docs/cases.md shows"
    )]
    Schema {
        /// What was created.
        subject: String,
        /// What the database said.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A table has other columns.
    #[error(
        "the table {table} is not the one that this release uses: {difference}; give the views a keyspace of their own, \
         or remove the table, which holds copies only"
    )]
    Differs {
        /// The table.
        table: String,
        /// Expected and found columns.
        difference: String,
    },
    /// A request failed.
    #[error("the CQL database did not carry out a request: {0}; it is tried again")]
    Request(#[from] Box<ExecutionError>),
    /// The process ends.
    #[error("the process ends, and waits for the CQL database no longer")]
    Ending,
    /// An answer cannot be understood.
    #[error("the CQL database gave an answer of another form: {0}; check the tables of the views")]
    Answer(Box<dyn StdError + Send + Sync>),
}

impl CqlError {
    pub(super) fn answer(error: impl StdError + Send + Sync + 'static) -> Self {
        Self::Answer(Box::new(error))
    }

    pub(super) fn schema(subject: impl Into<String>, source: impl StdError + Send + Sync + 'static) -> Self {
        Self::Schema { subject: subject.into(), source: Box::new(source) }
    }

    pub(super) fn prepare(error: PrepareError) -> Self {
        Self::schema("the tables of the views", error)
    }
}
