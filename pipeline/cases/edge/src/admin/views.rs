//! The documents that operators read.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// All origin systems.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OriginsView {
    /// Version of the registry.
    pub(super) version: i64,
    /// By name.
    pub(super) origins: Vec<OriginView>,
}

/// An origin system.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OriginView {
    /// Its name.
    pub(super) name: String,
    /// The client id of its token.
    pub(super) client_id: String,
    /// Where its case details may be.
    pub(super) details: Vec<String>,
}

/// All clients.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClientsView {
    /// Version of the registry.
    pub(super) version: i64,
    /// By name.
    pub(super) clients: Vec<ClientView>,
}

/// A client.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClientView {
    /// Its name.
    pub(super) name: String,
    /// The client id of its token.
    pub(super) client_id: String,
    /// `api`, `kafka` or `rabbitmq`.
    #[schema(value_type = String)]
    pub(super) channel: &'static str,
    /// `masstransit`, `raw_json` or `cloudevents`.
    #[schema(value_type = String)]
    pub(super) format: &'static str,
}

/// All grants.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GrantsView {
    /// Version of the registry.
    pub(super) version: i64,
    /// By client and origin.
    pub(super) grants: Vec<GrantView>,
}

/// A grant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GrantView {
    /// The client.
    pub(super) client: String,
    /// The origin system.
    pub(super) origin: String,
    /// The case. Null: all cases of the origin system.
    pub(super) case_id: Option<String>,
}

/// Changes of the registry.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditView {
    /// The newest first.
    pub(super) entries: Vec<AuditEntryView>,
}

/// A change of the registry.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditEntryView {
    /// Version of the registry after it.
    pub(super) version: i64,
    /// RFC 3339.
    #[schema(value_type = String, format = DateTime)]
    pub(super) time: Timestamp,
    /// Who asked.
    pub(super) by: String,
    /// `grant.add`, `grant.revoke`, `client.put` and so on.
    pub(super) action: String,
    /// The client.
    pub(super) client: Option<String>,
    /// The origin system.
    pub(super) origin: Option<String>,
    /// The case.
    pub(super) case_id: Option<String>,
    /// The queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(super) queue: Option<&'static str>,
}

/// The queues of commands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueuesView {
    /// All four.
    pub(super) queues: Vec<QueueView>,
}

/// A queue of commands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueueView {
    /// `create`, `update`, `close` or `delete`.
    #[schema(value_type = String)]
    pub(super) queue: &'static str,
    /// Whether it is held.
    pub(super) paused: bool,
    /// Commands that it keeps.
    pub(super) waiting: i64,
}
