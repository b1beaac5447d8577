//! Keys of records, as the topics spell them.

use tributary_runtime::{ProcessError, Record};

/// The id in a key of decimal text, as in topics for other programs.
///
/// # Errors
/// A dead letter for anything else.
pub fn decimal_id(record: &Record<'_>) -> Result<i64, ProcessError> {
    std::str::from_utf8(record.key).ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
        let key = String::from_utf8_lossy(record.key);
        ProcessError::dead_letter("key-not-an-id", format!("the key must be an id as decimal text, it is {key:?}"))
    })
}

/// The key as text.
///
/// # Errors
/// A dead letter for a key that is not UTF-8.
pub fn text<'a>(record: &Record<'a>) -> Result<&'a str, ProcessError> {
    std::str::from_utf8(record.key).map_err(|_| {
        let key = String::from_utf8_lossy(record.key);
        ProcessError::dead_letter("key-not-text", format!("the key must be UTF-8 text, it is {key:?}"))
    })
}

/// The id in a key of eight big-endian bytes, as in internal inboxes.
///
/// # Errors
/// A dead letter for another length.
pub fn id(record: &Record<'_>) -> Result<i64, ProcessError> {
    record.key.try_into().map(i64::from_be_bytes).map_err(|_| {
        ProcessError::dead_letter("key-not-an-id", format!("the key must be 8 bytes, it has {}", record.key.len()))
    })
}
