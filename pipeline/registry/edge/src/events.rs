//! What the edge tells operators. No line has a number, a name or a token.

use std::fmt::Display;

use crate::clients::ClientsError;

/// No file of clients is configured.
pub(crate) fn clients_not_checked() {
    tracing::warn!("registry.clients is not set: type and status of clients are not checked");
}

/// A changed file of clients is in effect.
pub(crate) fn clients_read(count: usize) {
    tracing::info!(count, "the file of registry.clients was read");
}

/// A changed file of clients cannot be used.
pub(crate) fn clients_unusable(error: &ClientsError) {
    tracing::error!(%error, "the file of registry.clients cannot be used; the former clients stay in effect");
}

pub(crate) fn views_trouble(error: &dyn Display) {
    tracing::error!("the outputs of the flow are not followed for now, what changes is not seen: {error}");
}

pub(crate) fn views_panicked() {
    tracing::error!("the thread that follows the outputs of the flow panicked");
}

pub(crate) fn record_unreadable(topic: &str, partition: i32, offset: i64, error: &dyn Display) {
    tracing::error!(%topic, partition, offset, "a record cannot be read and is left out: {error}");
}

/// A call fails on our side.
pub(crate) fn call_not_made(kind: &dyn Display, reason: &dyn Display) {
    tracing::error!(%kind, "a call fails because of the keys: {reason}");
}

pub(crate) fn answer_not_published(kind: &dyn Display, reason: &str) {
    tracing::error!(%kind, "the answer of a call is not in the log yet, it is offered again: {reason}");
}

pub(crate) fn row_not_shown(error: &dyn Display) {
    tracing::error!("a row cannot be shown: {error}");
}

pub(crate) fn number_not_sealed(error: &dyn Display) {
    tracing::error!("a request is not taken, because its number cannot be sealed: {error}");
}

/// A request was answered with `SERVICE_UNAVAILABLE`.
pub(crate) fn log_unavailable(reason: &str) {
    tracing::error!("a request is not taken: {reason}");
}
