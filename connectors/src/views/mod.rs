//! Views: the newest value of each key of some topics, kept where it can be looked up and listed. It names no flow.
//!
//! A position is never stored before the rows up to it. Rows are last values, and a change of an older record never
//! overwrites that of a newer one. So a view that is continued from its positions is as if it had never been
//! interrupted.

#[cfg(feature = "cql")]
pub mod cql;
mod embedded;
#[cfg(feature = "cql")]
#[cfg(test)]
mod tests;

use tributary_runtime::{Record, TimestampMillis};

#[cfg(feature = "cql")]
use cql::CqlError;
pub use embedded::{EmbeddedViews, EmbeddedViewsConfig};

/// How far a partition was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadPosition {
    /// The next offset to read.
    pub offset: i64,
    /// The time of the last record that was read.
    pub timestamp: TimestampMillis,
}

/// A piece of a partition that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The offset at which it begins: an earlier position of the partition, or 0.
    pub from: i64,
    /// The position after it.
    pub to: ReadPosition,
}

/// The newest value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow {
    /// The key of the record.
    pub key: Vec<u8>,
    /// The time of the record.
    pub timestamp: TimestampMillis,
    /// The value of the record.
    pub value: Vec<u8>,
}

/// What a record does to rows. Readers see all of it or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key of the record. Its rows are stored together, under this name.
    pub of: Vec<u8>,
    /// The offset of the record. The rows of a key change only with the records of one partition.
    pub offset: i64,
    /// The time of the record.
    pub timestamp: TimestampMillis,
    /// Keys and values of rows that it sets.
    pub put: Vec<(Vec<u8>, Vec<u8>)>,
    /// Keys of rows that it removes, if they are there; none of those that it sets.
    pub delete: Vec<Vec<u8>>,
}

impl Change {
    /// The change of a record whose only row has the key of the record. Without a value it removes the row.
    pub fn of_record(record: &Record<'_>) -> Self {
        let of = record.key.to_vec();
        let (put, delete) = match record.value {
            Some(value) => (vec![(of.clone(), value.to_vec())], Vec::new()),
            None => (Vec::new(), vec![of.clone()]),
        };
        Self { of, offset: record.offset, timestamp: record.timestamp, put, delete }
    }
}

/// The key of a row, and the key of the record that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowKey {
    /// The key of the record.
    pub of: Vec<u8>,
    /// The key of the row.
    pub key: Vec<u8>,
}

/// Which rows are listed: those whose key begins with `prefix`, in the order of their keys.
#[derive(Debug, Clone, Copy)]
pub struct Range<'a> {
    /// The topic.
    pub topic: &'a str,
    /// What the keys begin with.
    pub prefix: &'a [u8],
    /// Only keys after this one; `None` begins with the first.
    pub after: Option<&'a [u8]>,
    /// At most this number of rows.
    pub limit: usize,
}

impl Piece {
    /// Fails if the position that is stored is before the piece.
    fn check(&self, topic: &str, stored: Option<ReadPosition>) -> Result<(), ViewError> {
        if stored.map_or(0, |stored| stored.offset) >= self.from {
            return Ok(());
        }
        Err(ViewError::Cleared { topic: topic.to_owned() })
    }
}

/// Why rows cannot be read or written. It says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The folder of the views cannot be used.
    #[error(
        "the views in {folder} cannot be {action}: {source}; check that disk. The folder holds copies only: when it is \
         removed while no process uses it, the next start reads them from the log again"
    )]
    Folder {
        /// The folder.
        folder: String,
        /// What was tried: opened, read, written.
        action: &'static str,
        /// What the database said.
        source: fjall::Error,
    },
    /// What is stored cannot be understood.
    #[error("the views in {folder} are damaged: remove that folder while no process uses it; it holds copies only")]
    Damaged {
        /// The folder.
        folder: String,
    },
    /// Rows before a piece are not there any more.
    #[error("the rows of {topic} were removed meanwhile: they have to be read again from the position that is stored")]
    Cleared {
        /// The topic.
        topic: String,
    },
    /// The tables in the CQL database cannot be used.
    #[cfg(feature = "cql")]
    #[error(transparent)]
    Cql(#[from] CqlError),
}

/// Rows of topics with the positions of their partitions. Its functions wait for a disk or a database, so an async task
/// must not call them.
pub trait ViewStore: Send + Sync {
    /// The position of each partition in `0..partitions`; `None` for one of which nothing was read.
    ///
    /// # Errors
    /// [`ViewError`].
    fn positions(&self, topic: &str, partitions: i32) -> Result<Vec<Option<ReadPosition>>, ViewError>;

    /// Stores the changes of a piece, in order, and then the position after it. Done again, it changes nothing.
    ///
    /// # Errors
    /// [`ViewError::Cleared`] if the stored position is before the piece. Other [`ViewError`]s: the position is not
    /// stored then, and of the changes any may be, each one whole.
    fn apply(&self, topic: &str, partition: i32, changes: Vec<Change>, piece: Piece) -> Result<(), ViewError>;

    /// Forgets all rows and positions of a topic, all or nothing.
    ///
    /// # Errors
    /// [`ViewError`]; nothing is forgotten then.
    fn clear(&self, topic: &str) -> Result<(), ViewError>;

    /// The rows with these keys, in this order; `None` for one that is not there.
    ///
    /// # Errors
    /// [`ViewError`].
    fn get(&self, topic: &str, keys: &[RowKey]) -> Result<Vec<Option<StoredRow>>, ViewError>;

    /// The rows of a range.
    ///
    /// # Errors
    /// [`ViewError`].
    fn rows(&self, range: Range<'_>) -> Result<Vec<StoredRow>, ViewError>;
}
