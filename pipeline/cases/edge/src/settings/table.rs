//! The table `[cases]` as it is written. Unknown entries and values are refused.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::Spanned;
use tributary_cases::uri;

use super::broker::RabbitMqTable;
use super::details::Details;

/// The largest `list_limit`.
const LARGEST_LIST: usize = 1_000_000;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    // These entries are checked where the settings of the stages are read.
    ordering: String,
    updated: String,
    tombstones: String,
    park_for: String,
    #[serde(default = "local_views")]
    pub(super) views: Spanned<Views>,
    pub(super) list_limit: ListLimit,
    pub(super) oversize: Oversize,
    pub(super) details: Details,
    notifications: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) origins: BTreeMap<String, Spanned<OriginTable>>,
    #[serde(default)]
    pub(super) clients: BTreeMap<String, Spanned<ClientTable>>,
    pub(super) rabbitmq: Option<RabbitMqTable>,
    pub(super) kafka: Option<Kafka>,
}

/// What answers queries of cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Views {
    /// Rows in the memory of each process.
    Local,
    /// Tables in a CQL database.
    Cql,
}

fn local_views() -> Spanned<Views> {
    Spanned::new(0..0, Views::Local)
}

/// The largest number of rows of a list.
#[derive(Debug, Serialize)]
pub(super) struct ListLimit(pub(super) usize);

impl<'de> Deserialize<'de> for ListLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let limit = usize::deserialize(deserializer)?;
        let wrong = || format!("expected a number from 1 to {LARGEST_LIST}, found {limit}");
        let is_right = (1..=LARGEST_LIST).contains(&limit);
        is_right.then_some(Self(limit)).ok_or_else(|| serde::de::Error::custom(wrong()))
    }
}

/// The answer to a list that is too large.
#[derive(Debug, Clone, Copy)]
pub(super) enum Oversize {
    NotFound,
    TooLarge,
}

impl<'de> Deserialize<'de> for Oversize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u16::deserialize(deserializer)? {
            404 => Ok(Self::NotFound),
            413 => Ok(Self::TooLarge),
            other => Err(serde::de::Error::custom(format!("expected 404 or 413, found {other}"))),
        }
    }
}

impl Serialize for Oversize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(match self {
            Self::NotFound => 404,
            Self::TooLarge => 413,
        })
    }
}

/// A duration with units, such as `30s`.
#[derive(Debug, Clone)]
pub(super) struct Period {
    text: String,
    pub(super) duration: Duration,
}

/// The longest duration.
const LONGEST_PERIOD: Duration = Duration::from_hours(10 * 366 * 24);

impl Period {
    pub(super) fn seconds(seconds: u64) -> Self {
        Self { text: format!("{seconds}s"), duration: Duration::from_secs(seconds) }
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span = text.parse::<jiff::Span>().ok();
        let total = span.and_then(|span| span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok());
        let duration = total.and_then(|total| Duration::try_from(total).ok());
        let is_right = |duration: &Duration| !duration.is_zero() && *duration <= LONGEST_PERIOD;
        let wrong = || format!("expected a duration such as \"30s\" or \"1h\", up to 10 years, found \"{text}\"");
        Ok(Self { text: text.to_owned(), duration: duration.filter(is_right).ok_or_else(wrong)? })
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// A place of case details: scheme, host and port.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Place(pub(super) String);

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match uri::place(&text) {
            Ok(_) => Ok(Self(text)),
            Err(error) => {
                Err(serde::de::Error::custom(format!("expected a URI such as \"https://esdh.example\": {error}")))
            }
        }
    }
}

/// An origin system.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OriginTable {
    pub(super) client_id: String,
    pub(super) details: Vec<Place>,
    /// Whether operators may play an invented case of it.
    #[serde(default)]
    pub(super) test: bool,
}

/// A client.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientTable {
    pub(super) client_id: String,
    #[serde(default)]
    pub(super) channel: Channel,
    #[serde(default)]
    pub(super) format: Format,
    #[serde(default)]
    pub(super) sees: Vec<String>,
}

/// How a client receives notifications.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Channel {
    #[default]
    Api,
    Kafka,
    Rabbitmq,
}

/// Form of messages on an external broker.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    #[default]
    Masstransit,
    RawJson,
    Cloudevents,
}

/// The inboxes on Kafka.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kafka {
    pub(super) sender: Sender,
}

/// What says which origin system sends a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Sender {
    Token,
    Header,
}
