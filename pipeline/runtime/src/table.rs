//! Tables: ordered maps of bytes outside the memory of the process, for state that is larger than it.
//!
//! A table holds a copy of what the log has. So a table that is lost costs a restore, and nothing else.

#[cfg(any(test, feature = "faults"))]
mod memory;

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::error_code;
use crate::processor::ProcessError;

#[cfg(any(test, feature = "faults"))]
pub use memory::{MemoryTables, TableFaults};

/// Values by key; `None` removes the key.
pub type TableWrites = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A key and its value.
pub type TableEntry = (Vec<u8>, Vec<u8>);

/// A range of keys, in the order of their bytes. One whose end is before its begin holds no key.
#[derive(Debug, Clone, Copy)]
pub struct KeyRange<'a> {
    /// Where it begins.
    pub from: Bound<&'a [u8]>,
    /// Where it ends.
    pub to: Bound<&'a [u8]>,
}

impl KeyRange<'_> {
    /// Whether it can hold no key.
    pub fn is_empty(&self) -> bool {
        match (self.from, self.to) {
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => from >= to,
            _ => false,
        }
    }
}

/// Why a table cannot be used. It says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// The same call may succeed later.
    #[error("{0}")]
    Unavailable(String),
    /// What is stored cannot be understood.
    #[error("{0}")]
    Damaged(String),
}

impl TableError {
    /// The stable name of this kind of error; see [`error_code`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => error_code::TABLE_UNAVAILABLE,
            Self::Damaged(_) => error_code::STATE_INVALID,
        }
    }
}

/// A record waits for a table that may come back. A damaged one does not.
impl From<TableError> for ProcessError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Unavailable(text) => Self::Retry(text),
            TableError::Damaged(text) => Self::Stop(text),
        }
    }
}

/// An ordered map of bytes. Its functions wait for a disk, so an async task must not call them. Several threads may use
/// it at once.
pub trait Table: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// [`TableError`].
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError>;

    /// The first entries of a range, at most `limit`, in ascending order.
    ///
    /// # Errors
    /// [`TableError`].
    fn first(&self, range: KeyRange<'_>, limit: usize) -> Result<Vec<TableEntry>, TableError>;

    /// The last entries of a range, at most `limit`, in descending order.
    ///
    /// # Errors
    /// [`TableError`].
    fn last(&self, range: KeyRange<'_>, limit: usize) -> Result<Vec<TableEntry>, TableError>;

    /// Applies all writes or none. Readers see all of them or none.
    ///
    /// # Errors
    /// [`TableError`]. Whether the writes are there is not known then: the same writes must be applied again before
    /// any others of their keys.
    fn apply(&self, writes: &TableWrites) -> Result<(), TableError>;

    /// Removes all entries.
    ///
    /// # Errors
    /// [`TableError`]. Whether the entries are there is not known then.
    fn clear(&self) -> Result<(), TableError>;
}

/// Makes tables. Two tables are never the same, whatever their names: a process may have two tasks of one partition.
pub trait Tables: Send + Sync {
    /// An empty table. It is removed when it is dropped. `name` helps whoever looks at the disk. Nothing is written
    /// before the first call of the table, so this cannot fail.
    fn create(&self, name: &str) -> Box<dyn Table>;
}
