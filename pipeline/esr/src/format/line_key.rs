//! The key of state about a line of a file.

use serde::{Deserialize, Serialize};

use super::FileName;

/// A line of a file. Sorts by file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct LineKey {
    pub(crate) file: FileName,
    /// The number of the line, from 1.
    pub(crate) line: i32,
}
