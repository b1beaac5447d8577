//! The table `[aggregation]` of the configuration. Unknown keys are refused here. What the flow itself decides with is
//! read by the flow's own crate; here it is only known.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;
use tributary_aggregation::cache::StoreKind;
use tributary_flow::configuration::SecretSource;

/// The longest time, in milliseconds.
const LONGEST_MS: u64 = 24 * 3600 * 1000;

/// The most attempts to deliver a notification again.
const MOST_REDELIVERIES: u32 = 1_000;

/// The table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub(super) services: Option<Vec<Spanned<String>>>,
    pub(super) service_folder: Option<Spanned<PathBuf>>,
    /// The key of the hashes of patients in the audit.
    pub(super) audit_key: Option<Spanned<SecretSource>>,
    pub(super) vp: Platform,
    pub(super) notification: Notification,
    pub(super) tak: Option<Spanned<TakTable>>,
    pub(super) cache: Cache,
    /// Read by the index settings, which refuse unknown keys themselves.
    #[serde(rename = "ei")]
    _ei: IgnoredAny,
    #[serde(rename = "logical_address")]
    _logical_address: IgnoredAny,
    #[serde(rename = "service_timeout_ms")]
    _service_timeout_ms: IgnoredAny,
    #[serde(rename = "aggregate_timeout_ms")]
    _aggregate_timeout_ms: IgnoredAny,
    #[serde(rename = "aggregated_service_timeout_ms")]
    _aggregated_service_timeout_ms: IgnoredAny,
    #[serde(rename = "check_soap_action")]
    _check_soap_action: IgnoredAny,
    #[serde(rename = "max_request_bytes")]
    _max_request_bytes: IgnoredAny,
    #[serde(rename = "max_answer_bytes")]
    _max_answer_bytes: IgnoredAny,
    #[serde(rename = "max_questions")]
    _max_questions: IgnoredAny,
    #[serde(rename = "memory_bytes")]
    _memory_bytes: IgnoredAny,
}

/// The platform that calls go through.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Platform {
    pub(super) connect_timeout_ms: Milliseconds,
    pub(super) tls: Option<Spanned<TlsTable>>,
    pub(super) url: Option<Spanned<String>>,
    #[serde(rename = "instance_id")]
    _instance_id: IgnoredAny,
    #[serde(rename = "in_flight_per_address")]
    _in_flight_per_address: IgnoredAny,
    #[serde(rename = "waiting_per_address")]
    _waiting_per_address: IgnoredAny,
    #[serde(rename = "breaker_failures")]
    _breaker_failures: IgnoredAny,
    #[serde(rename = "breaker_open_ms")]
    _breaker_open_ms: IgnoredAny,
}

/// Files of TLS, in PEM.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsTable {
    pub(super) ca: Option<PathBuf>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

/// How subscribers are notified.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Notification {
    pub(super) redeliveries: Redeliveries,
    pub(super) redelivery_delay_ms: Milliseconds,
    pub(super) timeout_ms: Milliseconds,
}

/// Where permissions and routes come from.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TakTable {
    pub(super) file: Option<PathBuf>,
    pub(super) url: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) off: bool,
}

/// The cache of answers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cache {
    #[serde(rename = "enabled")]
    _enabled: IgnoredAny,
    pub(super) store: Spanned<StoreKind>,
    /// The key that seals entries in the log.
    pub(super) key: Option<Spanned<SecretSource>>,
    #[serde(rename = "ttl_ms")]
    _ttl_ms: IgnoredAny,
    #[serde(rename = "max_entries")]
    _max_entries: IgnoredAny,
    #[serde(rename = "expiration_interval_ms")]
    _expiration_interval_ms: IgnoredAny,
    #[serde(rename = "failure_ttl_ms")]
    _failure_ttl_ms: IgnoredAny,
}

/// A time in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "u64")]
pub(super) struct Milliseconds(pub(super) Duration);

impl TryFrom<u64> for Milliseconds {
    type Error = String;

    fn try_from(number: u64) -> Result<Self, String> {
        let duration = (1..=LONGEST_MS).contains(&number).then(|| Duration::from_millis(number));
        duration.map(Self).ok_or_else(|| format!("expected 1 to {LONGEST_MS} milliseconds, found {number}"))
    }
}

/// How often a notification is tried again.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "u32")]
pub(super) struct Redeliveries(pub(super) u32);

impl TryFrom<u32> for Redeliveries {
    type Error = String;

    fn try_from(number: u32) -> Result<Self, String> {
        let is_fitting = number <= MOST_REDELIVERIES;
        is_fitting.then_some(Self(number)).ok_or_else(|| format!("expected 0 to {MOST_REDELIVERIES}, found {number}"))
    }
}
