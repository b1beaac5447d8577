//! The log events of this crate: each message, level and set of fields is here, once. Those of HTTP have a stable
//! `code`.

use std::fmt::Display;
use std::path::Path;

use axum::http::Method;
use tributary_connectors::trouble::{Change, Report};
use tributary_flow::http::Correlation;
use tributary_runtime::LogError;

// ---------------------------------------------------------------- the process

pub(crate) fn waiting_for_kafka(reason: &str) {
    tracing::warn!("waiting for Kafka and the schema registry: {reason}");
}

pub(crate) fn kafka_answers_again() {
    tracing::info!("Kafka and the schema registry answer again");
}

pub(crate) fn ready() {
    tracing::info!("ready: all partitions of this process are assigned and restored");
}

pub(crate) fn ending() {
    tracing::info!("ending: committing, writing snapshots of the state");
}

pub(crate) fn rounds_are_elsewhere(flow: &str) {
    tracing::info!(flow, "another process runs the rounds now");
}

pub(crate) fn round_trouble(flow: &str, report: &Report) {
    match report.change {
        Change::Ended => tracing::info!(flow, "{report}"),
        Change::Begun | Change::Changed | Change::Lasting => tracing::error!(flow, "will be retried: {report}"),
    }
}

pub(crate) fn clock_in_doubt(reason: &str) {
    tracing::error!("{reason}");
}

pub(crate) fn clock_believed(why: &str) {
    tracing::warn!("{why}");
}

pub(crate) fn publishing_trouble(report: &Report) {
    match report.change {
        Change::Ended => tracing::info!("publishing succeeds: {report}"),
        Change::Begun | Change::Changed | Change::Lasting => {
            tracing::warn!("publishing failed and will be retried: {report}");
        }
    }
}

pub(crate) fn abandoned_files_stay(folder: &Path, error: &std::io::Error) {
    tracing::warn!(%error, "temporary files of an earlier run stay in {}", folder.display());
}

/// Commands on this machine do not find the service by its state folder.
pub(crate) fn address_not_noted(path: &Path, url: &str, error: &std::io::Error) {
    tracing::warn!(%error, "{} cannot be written: commands need --server {url}", path.display());
}

pub(crate) fn address_stays(path: &Path, error: &std::io::Error) {
    tracing::debug!(%error, "{} stays", path.display());
}

// ---------------------------------------------------------------- views

pub(crate) fn views_begin_again(error: &dyn Display) {
    tracing::warn!(%error, "the views are read again from the start");
}

pub(crate) fn views_of_topic_begin_again(flow: &str, topic: &str, error: &LogError) {
    tracing::warn!(flow, error_code = error.code(), "the views of {topic} are read again from the start: {error}");
}

pub(crate) fn views_trouble(flow: &str, report: &Report) {
    match report.change {
        Change::Ended => tracing::info!(flow, "the views are read: {report}"),
        Change::Begun | Change::Changed | Change::Lasting => {
            tracing::warn!(flow, "reading the views failed and will be retried: {report}");
        }
    }
}

pub(crate) fn views_folder_stays(folder: &Path, error: &std::io::Error) {
    tracing::warn!(%error, "{} cannot be removed", folder.display());
}

pub(crate) fn view_unavailable(error: &dyn Display) {
    tracing::error!(%error, "a view cannot be read");
}

/// An error of the program.
pub(crate) fn views_panicked() {
    tracing::error!("the thread that keeps the views has panicked; this is an error of the program");
}

// ---------------------------------------------------------------- HTTP

/// A line of the log for a request. It names the route and not the address, because the address may hold anything.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a Method,
    pub(crate) route: &'a str,
    pub(crate) client: &'a str,
    pub(crate) status: u16,
    pub(crate) millis: u64,
    pub(crate) problem: &'a str,
    pub(crate) correlation: &'a Correlation,
}

pub(crate) fn request_failed(request: &Request<'_>, detail: &str) {
    let Request { method, route, client, status, millis, problem, correlation } = request;
    tracing::warn!(code = "http_request_failed", %method, route, status, millis, client, problem, %correlation,
        "{detail}");
}

pub(crate) fn request_answered(request: &Request<'_>) {
    let Request { method, route, client, status, millis, problem, correlation } = request;
    tracing::info!(code = "http_request", %method, route, status, millis, client, problem, %correlation, "answered");
}

/// A request that is only for debugging, such as a probe.
pub(crate) fn request_answered_quietly(request: &Request<'_>) {
    let Request { method, route, client, status, millis, problem, correlation } = request;
    tracing::debug!(code = "http_request", %method, route, status, millis, client, problem, %correlation, "answered");
}

pub(crate) fn requests_dropped(connections: usize) {
    tracing::warn!(code = "http_requests_dropped", connections, "requests in work were dropped");
}

pub(crate) fn accept_trouble(report: &Report) {
    match report.change {
        Change::Ended => tracing::info!(code = "http_accept_failed", "{report}"),
        Change::Begun | Change::Changed | Change::Lasting => {
            tracing::warn!(code = "http_accept_failed", "cannot accept a connection: {report}");
        }
    }
}

pub(crate) fn handshake_failed() {
    tracing::debug!(code = "http_handshake_failed", "a client did not complete the TLS handshake");
}

pub(crate) fn connection_failed(error: &dyn Display) {
    tracing::debug!(code = "http_connection_failed", "a connection has ended early: {error}");
}

pub(crate) fn files_not_looked_at(error: &dyn Display) {
    tracing::error!(code = "http_files_unusable", "cannot look at certificates and tokens: {error}");
}

pub(crate) fn files_reloaded(names: &[&str]) {
    tracing::info!(code = "http_files_reloaded", "{} changed: in effect now", names.join(", "));
}

pub(crate) fn files_unusable(names: &[&str], error: &dyn Display) {
    tracing::error!(
        code = "http_files_unusable",
        "{} changed but cannot be used, so the former content stays in effect: {error}",
        names.join(", ")
    );
}

pub(crate) fn keys_read(issuer: &str, keys: usize) {
    tracing::debug!(code = "oidc_keys_read", keys, "read the keys of {issuer}");
}

pub(crate) fn keys_trouble(report: &Report) {
    match report.change {
        Change::Ended => tracing::info!(code = "oidc_keys_unavailable", "{report}"),
        Change::Begun | Change::Changed | Change::Lasting => {
            tracing::warn!(code = "oidc_keys_unavailable", "known keys stay in use: {report}");
        }
    }
}
