//! The fields of a row of the output that measuring needs.

use tributary_runtime::TimestampMillis;

/// The time of the newest change that made this row.
pub(crate) fn newest_change(row: &[u8]) -> TimestampMillis {
    row.get(102..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

/// The revisions of placement and position in this row.
pub(crate) fn revisions(row: &[u8]) -> (u32, u32) {
    let revision =
        |at: usize| row.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_be_bytes(*bytes));
    (revision(98), revision(90))
}

/// The DPN of this row.
pub(crate) fn dpn(row: &[u8]) -> &[u8] {
    row.get(2..26).unwrap_or_default()
}
