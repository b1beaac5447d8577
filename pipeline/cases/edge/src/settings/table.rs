//! The table `[cases]` as it is written. Unknown entries and values are refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::Spanned;
use tributary_cases::uri;

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
    #[serde(default)]
    views: Views,
    pub(super) list_limit: ListLimit,
    pub(super) oversize: Oversize,
    details: Details,
    notifications: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) origins: BTreeMap<String, Spanned<OriginTable>>,
    #[serde(default)]
    pub(super) clients: BTreeMap<String, Spanned<ClientTable>>,
    pub(super) rabbitmq: Option<RabbitMq>,
    kafka: Option<Kafka>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Views {
    #[default]
    Local,
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

/// Settings of the proxy of case details.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Details {
    timeout: Period,
    body_limit: String,
    private_networks: Vec<Network>,
}

/// A duration with units, such as `30s`.
#[derive(Debug, Serialize)]
struct Period(String);

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_right = text.parse::<jiff::Span>().is_ok_and(|span| span.is_positive());
        let wrong = || format!("expected a duration such as \"30s\" or \"1h\", found \"{text}\"");
        if is_right { Ok(Self(text)) } else { Err(serde::de::Error::custom(wrong())) }
    }
}

/// A network such as `10.1.0.0/16`.
#[derive(Debug, Serialize)]
struct Network(String);

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_network = |text: &str| {
            let (address, bits) = text.split_once('/')?;
            let address: std::net::IpAddr = address.parse().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            bits.parse::<u8>().ok().filter(|bits| *bits <= most)
        };
        let wrong = || format!("expected a network such as \"10.1.0.0/16\", found \"{text}\"");
        if is_network(&text).is_some() { Ok(Self(text)) } else { Err(serde::de::Error::custom(wrong())) }
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

/// The external broker.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RabbitMq {
    url: String,
    user: String,
    password: Secret,
    ca: Option<String>,
    #[serde(default = "queue_template")]
    queue: QueueTemplate,
    #[serde(default = "probe")]
    probe: Period,
    #[serde(default = "retry")]
    retry: Vec<Period>,
    #[serde(default = "alarm")]
    alarm: Period,
}

fn queue_template() -> QueueTemplate {
    QueueTemplate("dis_notifications_{CLIENT_NAME}".to_owned())
}

fn probe() -> Period {
    Period("5s".to_owned())
}

fn retry() -> Vec<Period> {
    ["5s", "30s", "1m", "5m", "15m"].map(|text| Period(text.to_owned())).into()
}

fn alarm() -> Period {
    Period("1h".to_owned())
}

/// The name of the queue of a client.
#[derive(Debug, Serialize)]
struct QueueTemplate(String);

impl<'de> Deserialize<'de> for QueueTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || format!("expected a name with {{CLIENT_NAME}}, found \"{text}\"");
        if text.contains("{CLIENT_NAME}") { Ok(Self(text)) } else { Err(serde::de::Error::custom(wrong())) }
    }
}

/// A password. It is never shown.
#[derive(Deserialize)]
struct Secret(#[allow(dead_code, reason = "the connector of the broker reads it")] String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

/// The inboxes on Kafka.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Kafka {
    sender: Sender,
}

/// What says which origin system sends a record.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Sender {
    Token,
    Header,
}
