//! The log events of this crate: each message, level and set of fields is here, once. None has a patient or contents.

use std::fmt::Display;

use tributary_runtime::trouble::{Change, Report};

pub(crate) fn views_trouble(error: &dyn Display) {
    tracing::error!("the outputs of the flow are not followed for now, what changes is not seen: {error}");
}

pub(crate) fn views_panicked() {
    tracing::error!("the thread that follows the outputs of the flow panicked");
}

pub(crate) fn row_unreadable(topic: &str, partition: i32, offset: i64, error: &dyn Display) {
    tracing::error!(%topic, partition, offset, "a record cannot be read and is left out: {error}");
}

pub(crate) fn audit_trouble(report: &Report) {
    if report.change == Change::Ended {
        tracing::info!("the audit is written again: {report}");
    } else {
        tracing::error!("the audit is not written for now, questions wait when its queue is full: {report}");
    }
}

pub(crate) fn audit_lost(count: usize) {
    tracing::error!(count, "entries of the audit are lost, because the log did not take them before the end");
}

pub(crate) fn audit_ended_early() {
    tracing::error!("the process ends before its last questions do, the audit lacks them");
}

pub(crate) fn cache_trouble(report: &Report) {
    if report.change == Change::Ended {
        tracing::info!("the cache is written to the log again: {report}");
    } else {
        tracing::error!("the cache is not written to the log for now, entries may be left out: {report}");
    }
}

pub(crate) fn tak_loaded(routes: usize, permissions: usize, subscribers: usize) {
    tracing::info!(routes, permissions, subscribers, "TAK is loaded");
}

pub(crate) fn tak_not_loaded(reason: &dyn Display) {
    tracing::error!("TAK is not loaded, what was loaded before stays: {reason}");
}

pub(crate) fn tak_copy_used(reason: &dyn Display) {
    tracing::warn!("TAK does not answer, its copy in the file is used: {reason}");
}

pub(crate) fn tak_copy_not_written(reason: &dyn Display) {
    tracing::warn!("the copy of TAK is not written: {reason}");
}

pub(crate) fn subscriber_left_out(reason: &dyn Display) {
    tracing::warn!("a subscriber of TAK is not notified, because its address is none: {reason}");
}

pub(crate) fn tak_entries_left_out(count: usize) {
    tracing::warn!(count, "entries of TAK cannot be read and are left out");
}

pub(crate) fn notifying_trouble(report: &Report) {
    if report.change == Change::Ended {
        tracing::info!("subscribers are notified again: {report}");
    } else {
        tracing::error!("subscribers are not notified for now: {report}");
    }
}

pub(crate) fn delivery_not_stored(error: &dyn Display) {
    tracing::warn!("what a subscriber has taken is not stored, it will be notified again: {error}");
}

pub(crate) fn progress_unreadable(error: &dyn Display) {
    tracing::error!("how far a subscriber is cannot be read, it is notified from the start: {error}");
}

pub(crate) fn notification_without_subscriber(partition: i32, offset: i64) {
    tracing::error!(partition, offset, "a notification has no subscriber that is an address, and is left out");
}

pub(crate) fn notifications_expired(subscriber: &dyn Display, count: u64) {
    tracing::error!(%subscriber, count, "notifications have left the log before they could be delivered");
}
