//! Every event that this crate logs: one function each, which fixes level, message and fields.
//!
//! An event about an error has its `error_code`: that of the runtime, that of librdkafka, or a name given here.

use std::time::Duration;

use rdkafka::error::KafkaError;
use tributary_runtime::trouble::{Change, Report};
use tributary_runtime::{LogError, TableError};

/// librdkafka's name of an error, such as `BrokerTransportFailure`.
fn kafka_code(error: &KafkaError) -> String {
    error.rdkafka_error_code().map_or_else(|| "none".to_owned(), |code| format!("{code:?}"))
}

/// The consumer of a worker reports an error that librdkafka handles by itself.
pub(crate) fn consumer_reported_error(group: &str, error: &LogError, report: &Report) {
    let error_code = error.code();
    tracing::warn!(error_code, group, "the consumer reports an error and continues: {report}");
}

pub(crate) fn consumer_is_quiet(group: &str, report: &Report) {
    tracing::info!(group, "the consumer reports no error: {report}");
}

/// The brokers of resumed partitions were asked for offsets, to wake their connections, and did not answer.
pub(crate) fn resumed_partitions_unanswered(error: &LogError) {
    tracing::debug!(error_code = error.code(), %error, "the brokers of resumed partitions do not answer");
}

/// A worker joins its group without knowing what the other members have.
pub(crate) fn joining_without_knowing_others(group: &str, error: &LogError) {
    tracing::debug!(error_code = error.code(), group, %error, "joining without knowing what other members have");
}

/// A topic was looked up again and the broker did not answer.
pub(crate) fn topic_lookup_failed(topic: &str, error: &KafkaError) {
    tracing::debug!(error_code = kafka_code(error), topic, %error, "the topic cannot be looked up");
}

/// librdkafka's log says that a connection of a producer broke.
pub(crate) fn connection_broken(facility: &str, message: &str) {
    tracing::debug!(target: "librdkafka", facility, "{message}");
}

/// The statistics of a consumer are not in the expected form.
pub(crate) fn statistics_unreadable(error: &serde_json::Error) {
    tracing::debug!(error_code = "statistics-unreadable", %error, "the statistics of a consumer cannot be read");
}

/// A decision of the group could not be answered while its member was leaving.
pub(crate) fn leaving_rebalance_failed(error: &KafkaError) {
    tracing::debug!(error_code = kafka_code(error), %error, "a rebalance failed while leaving the group");
}

/// A reader outside any group reports an error that librdkafka handles by itself.
pub(crate) fn reader_reported_error(error: &LogError) {
    tracing::debug!(error_code = error.code(), %error, "a reader reports an error and continues");
}

/// A call of librdkafka has not returned in time and is given up together with its client.
pub(crate) fn call_given_up(id: &str, call: &str) {
    tracing::warn!(
        error_code = "call-given-up",
        id,
        call,
        "the client did not return from a call; a new one replaces it"
    );
}

/// A new producer replaces one with a broken connection.
pub(crate) fn producer_replaced(id: &str) {
    tracing::debug!(id, "a new producer, because a request of the previous one may still arrive");
}

/// A transactional id was not granted in time, and a new client asks again.
pub(crate) fn transactional_id_requested_again(id: &str, timeout: Duration, error: &KafkaError) {
    tracing::debug!(error_code = kafka_code(error), id, ?timeout, %error, "asking again for the transactional id");
}

/// An open transaction could not be aborted when its producer ended.
pub(crate) fn transaction_left_open(id: &str, error: &KafkaError) {
    tracing::debug!(error_code = kafka_code(error), id, %error, "the transaction is left for the broker to abort");
}

/// The group could not be described, to find partitions without a member.
pub(crate) fn group_not_described(group: &str, error: &LogError) {
    tracing::debug!(error_code = error.code(), group, %error, "the group cannot be described");
}

/// The group redistributes partitions without a member.
pub(crate) fn orphans_redistributed(group: &str, partitions: usize) {
    tracing::info!(
        group,
        partitions,
        "a restart during a rebalance left partitions without a member; the group distributes them again"
    );
}

/// After a failed write, the database of the state folder could not be opened again.
pub(crate) fn state_folder_trouble(report: &Report) {
    let error_code = "state-folder-not-reopened";
    match report.change {
        Change::Ended => tracing::info!(error_code, "the state folder is open: {report}"),
        Change::Begun | Change::Changed | Change::Lasting => {
            tracing::warn!(error_code, "the state folder could not be opened again after a failed write: {report}");
        }
    }
}

/// After a failed write, the database of the tables could not be opened again.
pub(crate) fn tables_trouble(report: &Report) {
    let error_code = "tables-not-reopened";
    match report.change {
        Change::Ended => tracing::info!(error_code, "the tables are open: {report}"),
        Change::Begun | Change::Changed | Change::Lasting => {
            tracing::warn!(error_code, "the tables could not be opened again after a failed write: {report}");
        }
    }
}

/// The tables of a partition that this process has left are still on the disk. The next start removes them.
pub(crate) fn table_not_removed(name: &str, error: &TableError) {
    tracing::debug!(error_code = error.code(), name, %error, "a table is not removed yet");
}

/// Syncing, compacting or expiring stored records failed. It is retried.
pub(crate) fn upkeep_trouble(report: &Report) {
    match report.change {
        Change::Ended => tracing::info!("upkeep of the state folder succeeds: {report}"),
        Change::Begun | Change::Changed | Change::Lasting => {
            tracing::warn!("upkeep of the state folder failed and will be retried: {report}");
        }
    }
}

/// The last sync before the end failed.
pub(crate) fn last_commits_not_synced(error: &LogError) {
    tracing::error!(error_code = error.code(), %error, "the last commits may not be on the disk");
}

/// The upkeep thread panicked.
pub(crate) fn upkeep_panicked() {
    tracing::error!(error_code = "upkeep-panicked", "upkeep of the state folder ended with a panic");
}

/// Without certificates of the operating system, no https of an origin or another service is trusted.
pub(crate) fn no_system_certificates(what: &str, error: &reqwest::Error) {
    tracing::warn!(error_code = "no_certificates", "no {what} can be called over https: {error:?}");
}

/// The rest of an answer was not passed on to its caller.
pub(crate) fn answer_cut_off(origin: &str, error: &crate::origin::OriginError) {
    tracing::warn!(error_code = "answer_cut_off", origin, "an answer was cut off: {error}");
}

/// The files of a client certificate cannot be used, and the certificate before them is still shown.
pub(crate) fn client_certificate_trouble(report: &Report) {
    let error_code = "client-certificate-unusable";
    match report.change {
        Change::Ended => tracing::info!(error_code, "the files of a client certificate can be used: {report}"),
        Change::Begun | Change::Changed | Change::Lasting => {
            tracing::warn!(error_code, "new files of a client certificate cannot be used, the old ones are: {report}");
        }
    }
}

/// The files of a client certificate were replaced.
pub(crate) fn client_certificate_replaced(certificate: &str) {
    tracing::info!(certificate, "a client certificate, its key or its authority was replaced; new connections use it");
}
