//! The log events of this crate: each message, level and set of fields is here, once.

use std::fmt::Display;

/// An error of the program: the record type is declared on no topic.
pub(crate) fn record_not_encoded(record_type: &str, error: &dyn Display) {
    tracing::error!(record_type, %error, "record cannot be encoded");
}

pub(crate) fn progress(what: &str) {
    tracing::debug!("{what}");
}

#[cfg(feature = "edge")]
pub(crate) fn not_published(error: &dyn Display) {
    tracing::error!("requests are not published: {error}");
}
