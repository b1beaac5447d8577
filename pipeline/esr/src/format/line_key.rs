//! The key of state about a line of a file.

use tributary_runtime::state_key;

use super::FileName;

/// A line of a file. Sorts by file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LineKey {
    pub(crate) file: FileName,
    /// The number of the line, from 1.
    pub(crate) line: i32,
}

state_key!(LineKey { file, line });
