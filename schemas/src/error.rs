//! What can go wrong between records and bytes.

use crate::records::RecordType;

/// Bytes that are not the record they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{defect}, at byte {offset} of the body")]
pub struct Malformed {
    /// What is wrong.
    pub defect: Defect,
    /// Where, counted from the start of the body.
    pub offset: usize,
}

impl Malformed {
    pub(crate) const fn new(defect: Defect) -> Self {
        Self { defect, offset: 0 }
    }

    pub(crate) const fn at(self, offset: usize) -> Self {
        Self { offset, ..self }
    }
}

/// What is wrong with the bytes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// The input ends within the record.
    #[error("it ends too early")]
    TooShort,
    /// Bytes follow the record.
    #[error("bytes are left over after the record")]
    LeftOver,
    /// A number is too large for its type.
    #[error("a number is too large")]
    Number,
    /// A length is negative or too large.
    #[error("a length is impossible")]
    Length,
    /// A boolean is neither 0 nor 1.
    #[error("a boolean is neither 0 nor 1")]
    Boolean,
    /// A string is not UTF-8.
    #[error("a text is not UTF-8")]
    Text,
    /// A union has no such branch.
    #[error("a union has no such branch")]
    Branch,
    /// A number stands for nothing.
    #[error("a number is not one of those that have a meaning here")]
    Code,
    /// A text, or bytes, do not fit the type of their field.
    #[error("the value of the field {field} does not fit its type, {of}")]
    Value {
        /// The field, as the schema names it.
        field: &'static str,
        /// Its type.
        of: &'static str,
    },
    /// An enum has no such symbol.
    #[error("an enum has no such symbol")]
    Symbol,
    /// An enum has a symbol that only a newer release knows.
    #[error("an enum has a symbol that this release does not know")]
    NewerSymbol,
}

/// Why a value could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The value is not in the Confluent wire format.
    #[error(
        "the value ({length} bytes) does not start with a zero byte and a schema id: its writer does not use the \
         schema registry's format; expected {expected}"
    )]
    NotFramed {
        /// Length of the value.
        length: usize,
        /// The records that the topic holds.
        expected: String,
    },
    /// The registry does not know the schema id.
    #[error(
        "schema id {id} is not in the schema registry; expected {expected}. Register the writer's schema, or let the \
         writer use the registry that this process uses"
    )]
    UnknownSchema {
        /// The schema id.
        id: u32,
        /// The records that the topic holds.
        expected: String,
    },
    /// The writer's schema is known but cannot be read as one of our records.
    #[error(
        "schema id {id} ({writer}) cannot be read: {reason}; expected {expected}. Correct the writer's schema, or send \
         the record to the topic where it belongs"
    )]
    Unresolvable {
        /// The schema id.
        id: u32,
        /// Full name of the writer's schema.
        writer: String,
        /// What does not fit.
        reason: String,
        /// The records that the topic holds.
        expected: String,
    },
    /// The value does not hold the requested record.
    #[error("the value (schema id {id}) holds {found}, not {wanted}")]
    OtherRecord {
        /// The schema id.
        id: u32,
        /// The record that the value holds.
        found: RecordType,
        /// The requested record.
        wanted: RecordType,
    },
    /// The body is not what its schema says.
    #[error("the body of {record} (schema id {id}) is damaged: {reason}")]
    Damaged {
        /// The schema id.
        id: u32,
        /// The record it should be.
        record: RecordType,
        /// What is wrong.
        reason: String,
    },
    /// The registry does not answer. A retry may succeed.
    #[error("the schema with id {id} could not be fetched: {reason}")]
    RegistryUnavailable {
        /// The schema id.
        id: u32,
        /// Why it could not be fetched.
        reason: String,
    },
}

impl DecodeError {
    /// Whether a retry may read the same value.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::RegistryUnavailable { .. })
    }

    /// A short stable code, for dead letters and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFramed { .. } => "not-framed",
            Self::UnknownSchema { .. } => "unknown-schema",
            Self::Unresolvable { .. } => "unresolvable-schema",
            Self::OtherRecord { .. } => "unexpected-record",
            Self::Damaged { .. } => "damaged-record",
            Self::RegistryUnavailable { .. } => "registry-unavailable",
        }
    }
}

/// Why a record could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// No topic of the codec holds the record, so its schema has no id.
    #[error(
        "{record} is in none of the topics that the codec was built for, so its schema has no id: declare it on a topic"
    )]
    NotDeclared {
        /// The record.
        record: RecordType,
    },
}

impl From<DecodeError> for tributary_runtime::ProcessError {
    fn from(error: DecodeError) -> Self {
        if error.is_transient() {
            Self::Retry(error.to_string())
        } else {
            Self::dead_letter(error.code(), error.to_string())
        }
    }
}

impl From<Malformed> for tributary_runtime::ProcessError {
    fn from(error: Malformed) -> Self {
        Self::dead_letter("damaged-record", error.to_string())
    }
}

impl From<EncodeError> for tributary_runtime::ProcessError {
    fn from(error: EncodeError) -> Self {
        Self::Stop(error.to_string())
    }
}
