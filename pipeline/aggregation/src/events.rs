//! The log events of this crate: each message, level and set of fields is here, once. The six events of a question have
//! the names of the original (A 5.3). None has the id of a patient, a text of a source system, or a content.

use tributary_schemas::types::aggregation::Address;

use crate::caller::Caller;
use crate::delivery::Undelivered;
use crate::status::Failure;

/// A question has come.
pub(crate) fn question_came(service: &str, caller: &Caller) {
    let Caller { sender, original_consumer, correlation, .. } = caller;
    tracing::info!(service, correlation, sender, original_consumer, "req-in");
}

/// A call goes out.
pub(crate) fn call_made(service: &str, correlation: &str, receiver: &str) {
    tracing::info!(service, correlation, receiver, "req-out");
}

/// A good answer has come.
pub(crate) fn call_answered(service: &str, correlation: &str, receiver: &str, bytes: usize) {
    tracing::info!(service, correlation, receiver, bytes, "resp-in");
}

/// A call has failed.
pub(crate) fn call_failed(service: &str, correlation: &str, receiver: &str, failure: &Failure) {
    tracing::info!(service, correlation, receiver, code = failure.code.code(), "error-in");
}

/// An answer goes out, with so many records, and so many of them of failures.
pub(crate) fn question_answered(service: &str, correlation: &str, records: usize, failed: usize) {
    tracing::info!(service, correlation, records, failed, "resp-out");
}

/// A fault goes out.
pub(crate) fn question_failed(service: &str, correlation: Option<&str>, code: &str) {
    tracing::info!(service, correlation, code, "error-out");
}

/// An engagement with our own address is not called.
pub(crate) fn own_address(service: &str, correlation: &str, count: usize) {
    tracing::warn!(service, correlation, count, "engagements with our own address are left out");
}

/// A subscriber has not taken a notification, which is sent to it so many times more.
pub(crate) fn notification_failed(subscriber: &Address, correlation: &str, reason: &Undelivered, left: u32) {
    let (subscriber, code) = (subscriber.as_str(), reason.code());
    tracing::warn!(subscriber, correlation, code, left, "a notification was not taken: {reason}");
}

/// An entry of the cache in the log cannot be read. Only the first one is told.
pub(crate) fn cache_entry_unreadable(reason: &str) {
    tracing::error!(
        "an entry of the cache in the log cannot be read and is left out, others like it are only counted: {reason}"
    );
}

/// The own index has found more than an answer has.
pub(crate) fn answer_cut(correlation: Option<&str>, left_out: usize) {
    tracing::warn!(correlation, left_out, "an answer of the index is cut");
}

/// The index has sent engagements that cannot be called.
pub(crate) fn engagements_left_out(service: &str, correlation: &str, without_address: usize, too_many: usize) {
    tracing::warn!(service, correlation, without_address, too_many, "engagements of the index are left out");
}
