//! The external broker, `[cases.rabbitmq]`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::Spanned;
use tributary_connectors::rabbitmq::{Access, Address, RabbitMq};
use tributary_flow::configuration::{ConfigurationError, ConfigurationFile, SecretSource, Source};
use tributary_schemas::types::cases::ClientName;

use super::table::Period;

/// Stands for the name of the client in the name of its queue.
const PLACEHOLDER: &str = "{CLIENT_NAME}";

/// The longest template of a queue. A name of AMQP has at most 255 bytes, that of a client 64.
const LONGEST_TEMPLATE: usize = 180;

/// The table as it is written.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RabbitMqTable {
    url: BrokerUrl,
    user: String,
    password: Spanned<SecretSource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<Spanned<PathBuf>>,
    #[serde(default)]
    queue: QueueTemplate,
    #[serde(default = "probe")]
    probe: Period,
    #[serde(default)]
    retry: Schedule,
    #[serde(default = "alarm")]
    alarm: Period,
}

/// How notifications reach clients on the external broker.
#[derive(Debug, Clone)]
pub(crate) struct BrokerSettings {
    table: Arc<RabbitMqTable>,
    /// The pause between two probes, and between two attempts to connect.
    pub(crate) probe: Duration,
    /// The pauses after failed attempts for a client. The last one is for all further attempts.
    pub(crate) retry: Vec<Duration>,
    /// After this time a notification that is delayed is reported.
    pub(crate) alarm: Duration,
    /// How long confirmations are collected before the positions are noted in the log. After a crash these are
    /// repeated. It is no setting of the file.
    pub(crate) note_pause: Duration,
}

/// The usual pause before positions are noted.
const NOTE_PAUSE: Duration = Duration::from_millis(100);

impl BrokerSettings {
    pub(super) fn of(table: RabbitMqTable) -> Self {
        let (probe, alarm) = (table.probe.duration, table.alarm.duration);
        let retry = table.retry.0.iter().map(|period| period.duration).collect();
        Self { table: Arc::new(table), probe, retry, alarm, note_pause: NOTE_PAUSE }
    }

    /// The queue of a client.
    pub(crate) fn queue_of(&self, client: &ClientName) -> String {
        self.table.queue.0.replace(PLACEHOLDER, client.as_str())
    }

    /// The broker, with the password and the authorities that the configuration names. Nothing is connected.
    ///
    /// # Errors
    /// What cannot be read, with file and line.
    pub(crate) fn client(&self, file: &ConfigurationFile) -> Result<RabbitMq, ConfigurationError> {
        let table = &self.table;
        let wrong = |offset: usize, problem: String| match &file.source {
            Some(source) => source.error_at(offset, problem),
            None => Source::new("the built-in settings", "").error_at(0, problem),
        };
        let at = table.password.span().start;
        let password = table.password.get_ref().read(&file.folder);
        let password = password.map_err(|problem| wrong(at, format!("the password of [cases.rabbitmq]: {problem}")))?;
        let (at, name) = table.ca.as_ref().map_or((0, None), |ca| (ca.span().start, Some(ca.get_ref())));
        let of_ca = |problem: String| {
            let name = name.map_or_else(String::new, |name| name.display().to_string());
            wrong(at, format!("the ca \"{name}\" of [cases.rabbitmq]: {problem}"))
        };
        if name.is_some() && !table.url.0.is_encrypted() {
            return Err(of_ca("it is only for a url that begins with amqps".to_owned()));
        }
        let read = |name: &PathBuf| std::fs::read_to_string(file.folder.join(name)).map_err(|error| error.to_string());
        let access = Access {
            address: table.url.0.clone(),
            user: table.user.clone(),
            password: password.expose().to_owned(),
            ca: name.map(read).transpose().map_err(of_ca)?,
            connection_name: "tributary".to_owned(),
        };
        RabbitMq::new(access).map_err(of_ca)
    }
}

/// The address of the broker.
#[derive(Debug, Clone)]
struct BrokerUrl(Address);

impl<'de> Deserialize<'de> for BrokerUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

impl Serialize for BrokerUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// The name of the queue of a client.
#[derive(Debug, Clone, Serialize)]
struct QueueTemplate(String);

impl Default for QueueTemplate {
    fn default() -> Self {
        Self(format!("dis_notifications_{PLACEHOLDER}"))
    }
}

impl<'de> Deserialize<'de> for QueueTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = |what: &str| Err(serde::de::Error::custom(format!("expected {what}, found \"{text}\"")));
        if !text.contains(PLACEHOLDER) {
            return wrong("a name with {CLIENT_NAME}");
        }
        if text.len() > LONGEST_TEMPLATE || text.matches(PLACEHOLDER).count() > 1 {
            return wrong("a name of at most 180 characters with one {CLIENT_NAME}");
        }
        if text.starts_with("amq.") {
            return wrong("a name that does not begin with amq., which the broker keeps for itself");
        }
        Ok(Self(text))
    }
}

/// Pauses after failed attempts.
#[derive(Debug, Clone, Serialize)]
struct Schedule(Vec<Period>);

impl Default for Schedule {
    fn default() -> Self {
        Self(["5s", "30s", "1m", "5m", "15m"].into_iter().filter_map(|text| text.parse().ok()).collect())
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let periods = Vec::deserialize(deserializer)?;
        if periods.is_empty() {
            return Err(serde::de::Error::custom("expected at least one duration, found an empty list"));
        }
        Ok(Self(periods))
    }
}

fn probe() -> Period {
    Period::seconds(5)
}

fn alarm() -> Period {
    Period::seconds(3_600)
}
