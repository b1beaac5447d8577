//! State that cannot be read.

use crate::error_code;
use crate::table::TableError;

/// State that cannot be read. It is never guessed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// An entry of a store that the stage does not have.
    #[error(
        "the entry with the key {key} is of the store number {number}, which this stage does not have: it is damaged, \
         or of a newer release. Start the release that wrote it"
    )]
    UnknownStore {
        /// The number of the store.
        number: u8,
        /// The key, printable.
        key: String,
    },
    /// A key that has not the layout of its store.
    #[error(
        "the key {key} is not a key of the store {store}: it is damaged, or was written before state had schemas. \
         Restore the state from a backup, or start with new state"
    )]
    Key {
        /// The store.
        store: &'static str,
        /// The key, printable.
        key: String,
    },
    /// A value whose schema is not in the changelog.
    #[error(
        "the value of the key {key} of the store {store} has the schema {fingerprint:016x}, which is not in the \
         changelog: it is damaged, or was written before state had schemas. Restore the state from a backup, or start \
         with new state"
    )]
    NoSchema {
        /// The store.
        store: &'static str,
        /// The key, printable.
        key: String,
        /// The schema's fingerprint.
        fingerprint: u64,
    },
    /// A value under a schema that today's schema cannot read.
    #[error(
        "the value of the key {key} of the store {store} was written by release {release} with a schema that this \
         release ({reader}) cannot read: {reason}. Start release {release}"
    )]
    Unreadable {
        /// The store.
        store: &'static str,
        /// The key, printable.
        key: String,
        /// The release that wrote the schema.
        release: String,
        /// This release.
        reader: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// A value that is not what its schema says.
    #[error(
        "the value of the key {key} of the store {store} is not what its schema says ({schema}, as in this release): \
         {reason}. It is damaged; restore the state from a backup"
    )]
    Damaged {
        /// The store.
        store: &'static str,
        /// The key, printable.
        key: String,
        /// The name of the record.
        schema: String,
        /// What is wrong.
        reason: String,
    },
    /// The table of a store cannot be read or written.
    #[error("the store {store}: {error}")]
    Table {
        /// The store.
        store: &'static str,
        /// What is wrong.
        #[source]
        error: TableError,
    },
    /// An entry of the runtime itself, such as a schema, that is not readable.
    #[error(
        "the entry {key} is not one that the runtime wrote: {reason}. It is damaged; restore the state from a backup"
    )]
    Entry {
        /// The key, printable.
        key: String,
        /// What is wrong.
        reason: &'static str,
    },
}

impl StateError {
    /// The stable name of this kind of error; see [`error_code`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::Table { error, .. } => error.code(),
            _ => error_code::STATE_INVALID,
        }
    }

    /// Whether the same may succeed later.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Table { error: TableError::Unavailable(_), .. })
    }

    /// A key as text, at most 80 bytes of it.
    pub(crate) fn printable(key: &[u8]) -> String {
        const MOST: usize = 80;
        let text = key[..key.len().min(MOST)].escape_ascii();
        if key.len() > MOST { format!("{text}...") } else { text.to_string() }
    }
}
