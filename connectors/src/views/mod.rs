//! Views: the newest value of each key of some topics, kept where it can be looked up and listed. It names no flow.
//!
//! A row is stored in the same atomic change as the position up to which its partition was read. So a view that is
//! continued from its positions is as if it had never been interrupted.

mod embedded;

use tributary_runtime::TimestampMillis;

pub use embedded::{EmbeddedViews, EmbeddedViewsConfig};

/// How far a partition was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadPosition {
    /// The next offset to read.
    pub offset: i64,
    /// The time of the last record that was read.
    pub timestamp: TimestampMillis,
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

/// What a record does to its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Sets the row.
    Put(StoredRow),
    /// Removes the row with this key, if there is one.
    Delete(Vec<u8>),
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
}

/// Rows of topics with the positions of their partitions. A key always comes from one partition of its topic.
pub trait ViewStore: Send + Sync {
    /// The position of each partition in `0..partitions`; `None` for one of which nothing was read.
    ///
    /// # Errors
    /// [`ViewError`].
    fn positions(&self, topic: &str, partitions: i32) -> Result<Vec<Option<ReadPosition>>, ViewError>;

    /// Stores changes, in order, with the position after them, all or nothing.
    ///
    /// # Errors
    /// [`ViewError`]; nothing is stored then.
    fn apply(&self, topic: &str, partition: i32, changes: Vec<Change>, position: ReadPosition)
    -> Result<(), ViewError>;

    /// Forgets all rows and positions of a topic, all or nothing.
    ///
    /// # Errors
    /// [`ViewError`]; nothing is forgotten then.
    fn clear(&self, topic: &str) -> Result<(), ViewError>;

    /// The rows of a range.
    ///
    /// # Errors
    /// [`ViewError`].
    fn rows(&self, range: Range<'_>) -> Result<Vec<StoredRow>, ViewError>;
}
