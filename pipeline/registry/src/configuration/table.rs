//! The table of the flow as it is written.

use std::collections::BTreeMap;

use bytesize::ByteSize;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::{StatusNames, StatusRule};

/// The table. Entries that only the edge reads are read there.
#[derive(Debug, Deserialize)]
pub(super) struct Table {
    pub(super) tick: Period,
    pub(super) purge_after: Never<Period>,
    pub(super) max_pending: u32,
    pub(super) statuses: Spanned<StatusNames>,
    pub(super) calls: Spanned<CallTable>,
    pub(super) trembita: Spanned<TrembitaTable>,
    pub(super) job: BTreeMap<String, Spanned<JobTable>>,
}

/// Entries of `[registry.trembita]` that requests are built from.
#[derive(Debug, Deserialize)]
pub(super) struct TrembitaTable {
    pub(super) instance: String,
    pub(super) client: ClientTable,
    pub(super) user_id: String,
    pub(super) protocol_version: String,
    pub(super) max_answer: ByteSize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientTable {
    pub(super) member_class: String,
    pub(super) member_code: String,
    pub(super) subsystem: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JobTable {
    pub(super) graphql: Option<GraphqlTable>,
    pub(super) scopes: Option<ScopeTable>,
    pub(super) number: Option<NumberTable>,
    pub(super) service: Option<ServiceTable>,
    #[serde(default)]
    pub(super) answer: AnswerTable,
    #[serde(default)]
    pub(super) calls: CallTable,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GraphqlTable {
    pub(super) argument: String,
    #[serde(rename = "type")]
    pub(super) object: String,
    pub(super) query: String,
    pub(super) mutation: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScopeTable {
    pub(super) read: String,
    pub(super) write: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NumberTable {
    pub(super) element: String,
    pub(super) check: Option<CheckName>,
    pub(super) format: Option<String>,
}

/// How much of a number is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CheckName {
    Off,
    Format,
    Strict,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceTable {
    #[serde(default = "government")]
    pub(super) member_class: String,
    #[serde(default)]
    pub(super) member_code: String,
    #[serde(default)]
    pub(super) subsystem: String,
    #[serde(default)]
    pub(super) code: String,
    #[serde(default)]
    pub(super) version: String,
    #[serde(default)]
    pub(super) namespace: String,
    #[serde(default)]
    pub(super) soap: SoapVersion,
    #[serde(default)]
    pub(super) action: String,
}

/// The class of organisations of the state.
fn government() -> String {
    "GOV".to_owned()
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) enum SoapVersion {
    #[serde(rename = "1.1")]
    Soap11,
    #[default]
    #[serde(rename = "1.2")]
    Soap12,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerTable {
    #[serde(default)]
    pub(super) at: String,
    pub(super) fields: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(super) lists: BTreeMap<String, ListTable>,
    #[serde(default)]
    pub(super) retry_codes: Vec<String>,
    pub(super) status: Option<StatusRule>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListTable {
    pub(super) element: Option<String>,
    #[serde(rename = "type")]
    pub(super) object: Option<String>,
    pub(super) list: Option<String>,
    pub(super) fields: Option<BTreeMap<String, String>>,
}

/// Settings of calls: all of them in `[registry.calls]`, some in the table of a kind.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CallTable {
    pub(super) timeout: Option<Period>,
    pub(super) max_in_flight: Option<u32>,
    pub(super) breaker_failures: Option<u32>,
    pub(super) breaker_pause: Option<Period>,
    pub(super) attempts: Option<u16>,
    pub(super) wait_base: Option<Period>,
    pub(super) wait_factor: Option<Period>,
    pub(super) wait_cap: Option<Period>,
    pub(super) jitter: Option<f64>,
    pub(super) deadline: Option<Period>,
    pub(super) restarts: Option<u16>,
}

impl CallTable {
    /// These entries over those of `base`.
    pub(super) fn over(self, base: Self) -> Self {
        Self {
            timeout: self.timeout.or(base.timeout),
            max_in_flight: self.max_in_flight.or(base.max_in_flight),
            breaker_failures: self.breaker_failures.or(base.breaker_failures),
            breaker_pause: self.breaker_pause.or(base.breaker_pause),
            attempts: self.attempts.or(base.attempts),
            wait_base: self.wait_base.or(base.wait_base),
            wait_factor: self.wait_factor.or(base.wait_factor),
            wait_cap: self.wait_cap.or(base.wait_cap),
            jitter: self.jitter.or(base.jitter),
            deadline: self.deadline.or(base.deadline),
            restarts: self.restarts.or(base.restarts),
        }
    }
}

/// A duration with units, such as `30s`, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period(pub(super) i64);

/// Ten years in milliseconds, so that no time can overflow.
const LONGEST: f64 = 10.0 * 366.0 * 24.0 * 3600.0 * 1000.0;

impl Period {
    fn read(text: &str) -> Option<Self> {
        let span: jiff::Span = text.parse().ok()?;
        let total = span.total(jiff::SpanTotal::from(jiff::Unit::Millisecond).days_are_24_hours()).ok()?;
        ((1.0..=LONGEST).contains(&total)).then_some(Self(total as i64))
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || format!("expected a duration such as \"30s\" or \"15m\", up to 10 years, found \"{text}\"");
        Self::read(&text).ok_or_else(|| serde::de::Error::custom(wrong()))
    }
}

/// A value, or "off".
#[derive(Clone, Copy, Debug)]
pub(super) struct Never<T>(pub(super) Option<T>);

impl<'de> Deserialize<'de> for Never<Period> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "off" {
            return Ok(Self(None));
        }
        let wrong = || format!("expected \"off\" or a duration such as \"365d\", up to 10 years, found \"{text}\"");
        Period::read(&text).map(|period| Self(Some(period))).ok_or_else(|| serde::de::Error::custom(wrong()))
    }
}
