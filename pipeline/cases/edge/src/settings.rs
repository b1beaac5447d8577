//! The settings of `[cases]`: those of the stages, and those of the edge. Names, client ids and places are checked
//! before anything is opened.

mod broker;
mod details;
mod registry;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use tributary_cases::configuration::{CasesSettings, DEFAULTS, TABLE};
use tributary_connectors::origin::OriginLimits;
use tributary_connectors::views::cql::CqlConfig;
use tributary_flow::configuration::{self, ConfigurationError, ConfigurationFile, CqlConsistency, CqlTable, Source};
use tributary_schemas::records::cases::RegistryFill;

use crate::rows::folded;
pub(crate) use broker::BrokerSettings;
pub(crate) use registry::check_client_id;
use table::{Oversize, Sender, Table, Views};

/// Commands that a held queue keeps, before it takes no more over HTTP. They are in memory.
const MOST_HELD: i64 = 100_000;

/// The settings of the flow in one process.
#[derive(Debug, Clone)]
pub(crate) struct EdgeSettings {
    /// Those of the stages.
    pub(crate) stages: Arc<CasesSettings>,
    /// The largest number of rows of a list.
    pub(crate) list_limit: usize,
    /// The status of a list that is larger: 404 or 413.
    pub(crate) oversize: u16,
    /// Commands that a held queue keeps.
    pub(crate) most_held: i64,
    /// The external broker, if there is one.
    pub(crate) broker: Option<BrokerSettings>,
    /// The database whose tables answer queries of cases, if they do.
    cql: Option<CqlTable>,
    /// Why these settings need Kafka.
    pub(crate) needs_kafka: Option<ConfigurationError>,
    /// Whether the header `origin` of a record on Kafka names its sender. Else its token does.
    pub(crate) trusts_origin_header: bool,
    /// The limits of calls of origin systems.
    pub(crate) details: OriginLimits,
    /// What fills an empty registry.
    pub(crate) fill: RegistryFill,
    /// The file with these settings, if there is one.
    pub(crate) file: Option<String>,
    /// Names, in lower case, of the origin systems whose cases may be invented.
    pub(crate) test_origins: BTreeSet<String>,
    /// The settings in effect as TOML, without secrets.
    pub(crate) effective: String,
}

#[derive(Serialize)]
struct Effective<'a> {
    cases: &'a Table,
}

impl EdgeSettings {
    /// Reads and checks the table.
    ///
    /// # Errors
    /// The first wrong entry, with file and line.
    pub(crate) fn load(user: Option<&Source>) -> Result<Self, ConfigurationError> {
        let stages = CasesSettings::load(user)?;
        let defaults = Source::new("the built-in settings", DEFAULTS);
        let table: Table = configuration::read_table(TABLE, &defaults, user)?;
        let source = user.unwrap_or(&defaults);
        let fill = registry::fill(&table).map_err(|wrong| source.error_at(wrong.offset, wrong.problem))?;
        let effective = toml::to_string_pretty(&Effective { cases: &table })
            .map_err(|error| source.error_at(0, format!("[cases] cannot be shown: {error}")))?;
        let is_test = |name: &str| table.origins.get(name).is_some_and(|origin| origin.get_ref().test);
        let oversize = match table.oversize {
            Oversize::NotFound => 404,
            Oversize::TooLarge => 413,
        };
        let cql = match table.views.get_ref() {
            Views::Local => None,
            Views::Cql => Some(CqlTable::load(user)?.ok_or_else(|| {
                source.error_at(table.views.span().start, "`views = \"cql\"` needs the table [cql] with `nodes`")
            })?),
        };
        Ok(Self {
            stages: Arc::new(stages),
            cql,
            list_limit: table.list_limit.0,
            oversize,
            most_held: MOST_HELD,
            needs_kafka: registry::needs_kafka(&table).map(|wrong| source.error_at(wrong.offset, wrong.problem)),
            trusts_origin_header: table.kafka.as_ref().is_some_and(|kafka| kafka.sender == Sender::Header),
            broker: table.rabbitmq.map(BrokerSettings::of),
            file: user.map(|user| user.name.clone()),
            test_origins: table.origins.keys().filter(|name| is_test(name)).map(folded).collect(),
            details: table.details.limits(),
            fill,
            effective,
        })
    }

    /// Where the tables of cases are, if they answer queries, with the password and the authorities that the
    /// configuration names. The log is not known yet. Nothing is connected.
    ///
    /// # Errors
    /// What cannot be read, with file and line.
    pub(crate) fn tables(&self, file: &ConfigurationFile) -> Result<Option<CqlConfig>, ConfigurationError> {
        let Some(table) = &self.cql else { return Ok(None) };
        let user = table.user(file)?.map(|(user, password)| (user, password.expose().to_owned()));
        Ok(Some(CqlConfig {
            nodes: table.nodes.clone(),
            keyspace: table.keyspace.clone(),
            create: table.create.then_some(table.replication),
            user,
            ca: table.ca(file)?,
            datacenter: table.datacenter.clone(),
            spans_datacenters: table.consistency == CqlConsistency::Quorum,
            timeout: table.timeout,
            log: String::new(),
        }))
    }
}
