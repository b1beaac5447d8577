//! The log events of this crate: each message, level and set of fields is here, once. None has a token or a body.

use std::fmt::Display;

use tributary_runtime::trouble::{Change, Report};

pub(crate) fn rows_trouble(report: &Report) {
    if report.change == Change::Ended {
        tracing::info!("the outputs of the flow are followed again: {report}");
    } else {
        tracing::error!("the outputs of the flow are not followed for now, queries wait: {report}");
    }
}

pub(crate) fn tables_trouble(report: &Report) {
    if report.change == Change::Ended {
        tracing::info!("the tables of cases are filled again: {report}");
    } else {
        tracing::error!("the tables of cases are not filled for now, queries of cases fail: {report}");
    }
}

pub(crate) fn tables_unreadable(error: &dyn Display) {
    tracing::error!("the tables of cases cannot be read, a query fails: {error}");
}

pub(crate) fn notifications_trouble(report: &Report) {
    if report.change == Change::Ended {
        tracing::info!("notifications can be read from the disk again: {report}");
    } else {
        tracing::error!("notifications cannot be read from the disk, requests for them fail: {report}");
    }
}

pub(crate) fn notifications_unwritten(report: &Report) {
    if report.change == Change::Ended {
        tracing::info!("notifications are written to the disk again: {report}");
    } else {
        tracing::error!("notifications cannot be written to the disk, requests for them wait: {report}");
    }
}

/// Tables that this process does not need take space on the disk.
pub(crate) fn tables_stay(error: &dyn Display) {
    tracing::warn!("notifications of an earlier process stay on the disk: {error}");
}

pub(crate) fn tables_panicked() {
    tracing::error!("the thread that fills the tables of cases panicked");
}

pub(crate) fn queues_not_read(error: &dyn Display) {
    tracing::error!("the queues of commands are not read for a command without outcome: {error}");
}

pub(crate) fn rows_panicked() {
    tracing::error!("the thread that follows the outputs of the flow panicked");
}

pub(crate) fn row_unreadable(topic: &str, key: &str, error: &dyn Display) {
    tracing::error!(%topic, %key, "a row cannot be read and is left out: {error}");
}

pub(crate) fn kafka_delivery_trouble(report: &Report) {
    let Report { change, subject, .. } = report;
    if *change == Change::Ended {
        tracing::info!(%subject, "notifications are copied to Kafka again: {report}");
    } else {
        tracing::error!(%subject, "notifications are not copied to Kafka for now, and wait: {report}");
    }
}

pub(crate) fn kafka_delivery_taken_over() {
    tracing::info!("another process copies the notifications of clients on Kafka");
}

pub(crate) fn kafka_delivery_panicked() {
    tracing::error!("the thread that copies notifications to Kafka panicked");
}

pub(crate) fn registry_differs(file: &str, difference: &str) {
    tracing::warn!(
        "{difference}. The registry holds, whatever {file} says. `tributary cases registry apply --config {file}` \
         lists the differences, and carries them out with --yes"
    );
}

pub(crate) fn tried(origin: &dyn Display, case: &dyn Display, by: &str) {
    tracing::info!(%origin, %case, %by, "an invented case is played");
}

pub(crate) fn told_again(by: &str, client: &dyn Display, count: usize) {
    tracing::info!(%by, %client, count, "notifications are told again");
}

pub(crate) fn broker_trouble(report: &Report) {
    tracing::warn!("the external broker is down, notifications for its clients wait: {report}");
}

pub(crate) fn broker_returned(report: &Report) {
    tracing::info!("the external broker is up: {report}");
}

pub(crate) fn client_trouble(report: &Report) {
    tracing::warn!("{report}");
}

pub(crate) fn client_returned(report: &Report) {
    tracing::info!("{report}");
}

pub(crate) fn delayed_for_long(text: &str) {
    tracing::warn!("{text}");
}

/// An origin system gave no case details. `failure` has no URI, header or body.
pub(crate) fn no_details(origin: &str, error_code: &str, failure: &dyn Display) {
    tracing::warn!(error_code, origin, "the origin system gave no case details: {failure}");
}
