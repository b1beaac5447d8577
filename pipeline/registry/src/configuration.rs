//! The settings of the flow: kinds of jobs as data, and how their calls are made. A user's file overrides built-in
//! values.
//!
//! Addresses, certificates, keys, clients and limits of GraphQL are settings of the edge, and read there.

mod checking;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use tributary_flow::configuration::{self, ConfigurationError, Source};
use tributary_runtime::Topic;
use tributary_schemas::records::registry::JobStatus;
use tributary_schemas::types::registry::KindName;

use table::Table;

/// The top-level table of the flow.
pub const TABLE: &str = "registry";

/// The built-in settings as a file with explanations.
pub const DEFAULTS: &str = include_str!("../config/registry.toml");

/// The settings that decide what stages and callers do. Times are in milliseconds.
#[derive(Clone, Debug)]
pub struct RegistrySettings {
    /// The resolution of waits and deadlines.
    pub tick: i64,
    /// How long after its last change a row that is not pending is purged. `None`: never.
    pub purge_after: Option<i64>,
    /// Rows of one kind that may be pending.
    pub max_pending: i64,
    /// The names of the statuses.
    pub statuses: StatusNames,
    /// The way to all registers.
    pub trembita: Trembita,
    /// The kinds of jobs by name.
    pub kinds: BTreeMap<KindName, Kind>,
}

/// The names of the statuses, as others see them (R 4). Two may be the same.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusNames {
    pending: String,
    processed: String,
    failed: String,
    failed_with_error: String,
}

impl StatusNames {
    /// The name of a status.
    pub fn name(&self, status: JobStatus) -> &str {
        match status {
            JobStatus::Pending => &self.pending,
            JobStatus::Processed => &self.processed,
            JobStatus::Failed => &self.failed,
            JobStatus::FailedWithError => &self.failed_with_error,
        }
    }

    fn all(&self) -> [(&'static str, &str); 4] {
        [
            ("pending", &self.pending),
            ("processed", &self.processed),
            ("failed", &self.failed),
            ("failed_with_error", &self.failed_with_error),
        ]
    }
}

/// The exchange of the state, as our side of it is known there (R 9.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trembita {
    /// The instance.
    pub instance: String,
    /// The class of our organisation.
    pub member_class: String,
    /// Its code.
    pub member_code: String,
    /// Our subsystem.
    pub subsystem: String,
    /// Who asks.
    pub user_id: UserIdRule,
    /// The version of the message protocol.
    pub protocol_version: String,
    /// The largest answer in bytes.
    pub max_answer: usize,
}

/// Who asks, as the register sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserIdRule {
    /// The UUID of the user who has triggered the run.
    User,
    /// Always this text.
    Constant(String),
}

/// A kind of job: one service of a register that answers about one number.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Its name.
    pub name: KindName,
    /// Its names in GraphQL.
    pub graphql: GraphqlNames,
    /// The scopes that its callers need.
    pub scopes: Scopes,
    /// Its number.
    pub number: NumberRule,
    /// The service that is called.
    pub service: Service,
    /// What its answers hold.
    pub answer: AnswerRule,
    /// How calls are made.
    pub calls: CallSettings,
    /// Its open calls.
    pub call_topic: &'static Topic,
}

/// The names of a kind in GraphQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphqlNames {
    /// The argument with the number, and the field that shows it.
    pub argument: String,
    /// The type of the row.
    pub object: String,
    /// The query.
    pub query: String,
    /// The mutation.
    pub mutation: String,
}

/// The scopes that callers need (R 5.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes {
    /// To read rows.
    pub read: String,
    /// To start jobs.
    pub write: String,
}

/// How a number is sent and checked (R 8).
#[derive(Clone, Debug)]
pub struct NumberRule {
    /// The element that carries it.
    pub element: String,
    /// What is checked before it is sent.
    pub check: NumberCheck,
}

/// What is checked of a number beyond its length and characters.
#[derive(Clone, Debug)]
pub enum NumberCheck {
    /// Nothing.
    Off,
    /// Its form.
    Format(Regex),
    /// Its form, its date and its control digit. Only for the UNZR.
    Strict(Regex),
}

/// A service of the exchange (R 9.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The class of its organisation.
    pub member_class: String,
    /// The code of its organisation.
    pub member_code: String,
    /// Its subsystem.
    pub subsystem: String,
    /// Its own code, which names the wrapper in the body of a request.
    pub code: String,
    /// Its version. `None`: it has none.
    pub version: Option<String>,
    /// The namespace of the wrapper. `None`: it has none.
    pub namespace: Option<String>,
    /// The version of SOAP that it is called with.
    pub soap: tributary_soap::Version,
    /// The SOAP action.
    pub action: String,
}

/// What answers of a service hold, and what their codes mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerRule {
    /// Where the data is: names of elements below the wrapper.
    pub at: Vec<String>,
    /// Fields in the order of their names.
    pub fields: BTreeMap<String, String>,
    /// Lists in the order of their names.
    pub lists: BTreeMap<String, ListRule>,
    /// Codes of a service after which it is asked again.
    pub retry_codes: Vec<String>,
    /// The element that says whether something was found, if there is one.
    pub status: Option<StatusRule>,
}

/// A list of an answer: elements of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRule {
    /// The name of its elements.
    pub element: String,
    /// The type of an item in GraphQL.
    pub object: String,
    /// The field with all items. The name of the list itself is the field with the first one (R 5.3).
    pub list: String,
    /// Fields of an item, in the order of their names.
    pub fields: BTreeMap<String, String>,
}

/// An element that says what an answer means.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusRule {
    /// Its name.
    pub element: String,
    /// Values that mean that something was found.
    pub found: Vec<String>,
    /// Values that mean that nothing was found.
    pub empty: Vec<String>,
    /// Values after which the service is asked again.
    #[serde(default)]
    pub retry: Vec<String>,
}

/// How calls of a kind are made (R 7). Times are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CallSettings {
    /// From the connection to the last byte of the answer.
    pub timeout: i64,
    /// Calls in flight, in each process.
    pub max_in_flight: usize,
    /// Technical errors in a row after which no call is made for a while. 0: never.
    pub breaker_failures: u32,
    /// For how long.
    pub breaker_pause: i64,
    /// Calls of one run.
    pub attempts: i32,
    /// The part of a wait that is always the same.
    pub wait_base: i64,
    /// The part that doubles after each failure.
    pub wait_factor: i64,
    /// The longest wait.
    pub wait_cap: i64,
    /// How much longer a wait may be, as a part of itself.
    pub jitter: f64,
    /// How long a run lasts.
    pub deadline: i64,
    /// How often a run starts again.
    pub restarts: i32,
}

impl RegistrySettings {
    /// Reads the settings. The built-in ones alone lack the code of the organisation that is called.
    ///
    /// # Errors
    /// The first wrong entry, with file, line, key and expectation.
    pub fn load(user: Option<&Source>) -> Result<Self, ConfigurationError> {
        let defaults = Source::new("the built-in settings", DEFAULTS);
        let table: Table = configuration::read_table(TABLE, &defaults, user)?;
        let source = user.unwrap_or(&defaults);
        let given = kinds_in(user);
        checking::settings(table, &given).map_err(|wrong| source.error_at(wrong.offset, wrong.problem))
    }

    /// A kind that is configured.
    pub fn kind(&self, name: &KindName) -> Option<&Kind> {
        self.kinds.get(name)
    }
}

/// The kinds that a user's file has a table for. It was read before.
fn kinds_in(user: Option<&Source>) -> BTreeSet<String> {
    let table: Option<toml::Table> = user.and_then(|user| user.text.parse().ok());
    let jobs = table.as_ref().and_then(|table| table.get(TABLE)?.get("job")?.as_table());
    jobs.map(|jobs| jobs.keys().cloned().collect()).unwrap_or_default()
}
