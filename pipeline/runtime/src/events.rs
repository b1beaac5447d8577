//! The log events of this crate: each message, level and set of fields is here, once. Events about an error carry its
//! `error_code`; see [`crate::error_code`].

use std::time::Duration;

use crate::error_code;
use crate::log_error::LogError;
use crate::snapshot::SnapshotError;
use crate::topic::TopicPartition;
use crate::trouble::{Change, Report};
use crate::worker::WorkerError;

pub(crate) fn worker_ended(slot: usize, error: &WorkerError) {
    tracing::error!(slot, error_code = error.code(), "worker ended: {error}");
}

pub(crate) fn worker_restarts(slot: usize, error_code: &str, report: &Report) {
    tracing::warn!(slot, error_code, "worker restarts from the last commit: {report}");
}

/// A restart for the same reason as before.
pub(crate) fn worker_restarts_again(slot: usize, pause: Duration, error_code: &str) {
    tracing::debug!(slot, ?pause, error_code, "worker restarts from the last commit");
}

pub(crate) fn worker_runs_again(slot: usize, report: &Report) {
    tracing::info!(slot, "worker runs: {report}");
}

pub(crate) fn transaction_aborted(reason: &str) {
    tracing::debug!(reason, error_code = error_code::TRANSACTION_ABORTED, "aborting the transaction");
}

pub(crate) fn log_trouble(report: &Report) {
    match report.change {
        Change::Ended => tracing::info!("the log answers: {report}"),
        Change::Begun | Change::Changed | Change::Lasting => {
            tracing::warn!(
                error_code = error_code::LOG_UNAVAILABLE,
                "the log is not available, trying again: {report}"
            );
        }
    }
}

/// The table of a store does not take what is committed, or takes it again. The writes wait in memory.
pub(crate) fn table_trouble(store: &str, error_code: Option<&str>, report: &Report) {
    match error_code {
        None => tracing::info!(store, "the table takes writes again: {report}"),
        Some(error_code) => {
            tracing::warn!(
                store,
                error_code,
                "committed writes wait in memory, because the table does not take them: {report}"
            );
        }
    }
}

pub(crate) fn partitions_assigned(partitions: &[TopicPartition]) {
    tracing::debug!(?partitions, "the group assigns partitions");
}

pub(crate) fn partitions_revoked(partitions: &[TopicPartition]) {
    tracing::debug!(?partitions, "the group revokes partitions");
}

pub(crate) fn partitions_lost(partitions: &[TopicPartition]) {
    tracing::warn!(?partitions, "partitions were lost to another worker");
}

/// A fault of the log: it delivered a record of a partition that it has not assigned.
pub(crate) fn record_without_task(partition: TopicPartition) {
    let error_code = error_code::UNEXPECTED_RECORD;
    tracing::error!(%partition, error_code, "a record arrived for a partition without a task");
}

pub(crate) fn record_retried(stage: &str, partition: TopicPartition, offset: i64, report: &Report) {
    let error_code = error_code::RECORD_RETRIED;
    tracing::warn!(stage, %partition, offset, error_code, "trying again until it succeeds: {report}");
}

pub(crate) fn retry_succeeded(partition: TopicPartition, offset: i64, report: &Report) {
    tracing::info!(%partition, offset, "the retried record has succeeded: {report}");
}

pub(crate) fn state_restored(tasks: usize, entries: u64, time: Duration) {
    tracing::debug!(tasks, entries, ?time, "state is restored");
}

pub(crate) fn warm_state_not_used(partition: TopicPartition, reason: &str) {
    let error_code = error_code::OFFSET_OUT_OF_RANGE;
    tracing::warn!(%partition, error_code, "state read before joining does not fit the changelog: {reason}");
}

pub(crate) fn snapshot_does_not_fit(partition: TopicPartition, reason: &str) {
    let error_code = error_code::OFFSET_OUT_OF_RANGE;
    tracing::warn!(%partition, error_code, "snapshot does not fit the changelog, restoring all of it: {reason}");
}

/// A snapshot is too old, which is ordinary where runs are hours apart.
pub(crate) fn snapshot_too_old(error: &SnapshotError) {
    tracing::debug!(error_code = error.code(), "restoring the whole changelog: {error}");
}

/// Snapshots that cannot be used. The first is named, and the others only counted: they usually have the same cause.
pub(crate) fn snapshots_not_read(number: u64, first: &SnapshotError) {
    let error_code = first.code();
    tracing::warn!(number, error_code, "snapshots of the state are not used, restoring whole changelogs: {first}");
}

pub(crate) fn snapshot_not_read(error: &SnapshotError) {
    tracing::debug!(error_code = error.code(), "restoring the whole changelog: {error}");
}

pub(crate) fn snapshots_trouble(report: &Report) {
    match report.change {
        Change::Ended => tracing::info!("snapshots are written: {report}"),
        Change::Begun | Change::Changed | Change::Lasting => {
            tracing::warn!("snapshots of the state are not written, a restart will take longer: {report}");
        }
    }
}

pub(crate) fn snapshot_not_written(stage: &str, error: &SnapshotError) {
    tracing::debug!(stage, error_code = error.code(), "no snapshot was written: {error}");
}

pub(crate) fn empty_offsets_not_passed(error: &LogError) {
    tracing::debug!(error_code = error.code(), "offsets without records are not passed: {error}");
}

pub(crate) fn warm_up_skipped(error: &LogError) {
    tracing::debug!(error_code = error.code(), "joining the group without reading state first: {error}");
}

pub(crate) fn warm_up_of_task_skipped(partition: TopicPartition, error: &WorkerError) {
    let error_code = error.code();
    tracing::info!(%partition, error_code, "its state is not read before joining the group: {error}");
}

pub(crate) fn warm_up_done(partitions: usize, entries: u64, time: Duration) {
    tracing::info!(partitions, entries, ?time, "read the state of partitions that others have; joining the group");
}
