//! A piece of a view, as a flow is given it to show.

use tributary_runtime::TimestampMillis;

use crate::http::AsOf;

/// The newest record of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The key without the prefix of the view.
    pub key: String,
    /// The time of the record, in milliseconds since 1970.
    pub timestamp: TimestampMillis,
    /// The framed record.
    pub value: Vec<u8>,
}

/// A piece of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// The rows, in the order of their keys.
    pub rows: Vec<Row>,
    /// The cursor of the next piece; absent after the last.
    pub next: Option<String>,
    /// Up to when the view is complete.
    pub as_of: AsOf,
}
