//! What operators and viewers read of the registry.

use axum::Json;
use axum::extract::{Query, State};
use jiff::Timestamp;
use serde::Deserialize;
use tributary_flow::http::Problem;
use tributary_schemas::records::cases::{AuditEntry, Queue, RegistryAction};
use utoipa::IntoParams;

use super::Shared;
use super::views::{
    AuditEntryView, AuditView, ClientView, ClientsView, GrantView, GrantsView, OriginView, OriginsView, QueueView,
    QueuesView,
};
use crate::problems::invalid_query;
use crate::query::optional;

const DEFAULT_LIMIT: usize = 100;
const LARGEST_LIMIT: usize = 10_000;

/// How many rows.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// 1 to 10000, by default 100.
    limit: Option<String>,
}

/// All origin systems.
#[utoipa::path(get, path = "/api/admin/cases/origins", tag = "cases",
    responses((status = 200, description = "Origin systems", body = OriginsView)))]
pub(super) async fn origins(State(service): Shared) -> Result<Json<OriginsView>, Problem> {
    service.following.catch_up_cases().await?;
    let rows = service.following.rows();
    let origins = rows.origins.values().map(|origin| OriginView {
        name: origin.name.to_string(),
        client_id: origin.client_id.clone(),
        details: origin.details.clone(),
    });
    Ok(Json(OriginsView { version: rows.version.version, origins: origins.collect() }))
}

/// All clients.
#[utoipa::path(get, path = "/api/admin/cases/clients", tag = "cases",
    responses((status = 200, description = "Clients", body = ClientsView)))]
pub(super) async fn clients(State(service): Shared) -> Result<Json<ClientsView>, Problem> {
    service.following.catch_up_cases().await?;
    let rows = service.following.rows();
    let clients = rows.clients.values().map(|client| ClientView {
        name: client.name.to_string(),
        client_id: client.client_id.clone(),
        channel: client.channel.symbol(),
        format: client.format.symbol(),
    });
    Ok(Json(ClientsView { version: rows.version.version, clients: clients.collect() }))
}

/// All grants.
#[utoipa::path(get, path = "/api/admin/cases/grants", tag = "cases",
    responses((status = 200, description = "Grants", body = GrantsView)))]
pub(super) async fn grants(State(service): Shared) -> Result<Json<GrantsView>, Problem> {
    service.following.catch_up_cases().await?;
    let rows = service.following.rows();
    let grants = rows.grants.iter().map(|(client, origin, case)| GrantView {
        client: client.to_string(),
        origin: origin.to_string(),
        case_id: case.map(|case| case.to_string()),
    });
    Ok(Json(GrantsView { version: rows.version.version, grants: grants.collect() }))
}

/// Who has changed what, the newest first.
#[utoipa::path(get, path = "/api/admin/cases/audit", tag = "cases", params(Asked),
    responses((status = 200, description = "Changes", body = AuditView),
        (status = 400, description = "`InvalidQuery`", body = Problem)))]
pub(super) async fn audit(
    State(service): Shared,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<AuditView>, Problem> {
    let limit = limit(asked)?;
    service.following.catch_up_cases().await?;
    let rows = service.following.rows();
    Ok(Json(AuditView { entries: rows.audit.values().take(limit).map(entry).collect() }))
}

/// The largest number of rows of an answer.
pub(super) fn limit(asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>) -> Result<usize, Problem> {
    let Query(asked) = asked.map_err(|_| invalid_query("limit", "may be given once"))?;
    let limit = optional("limit", asked.limit.as_deref(), "a whole number")?.unwrap_or(DEFAULT_LIMIT);
    if !(1..=LARGEST_LIMIT).contains(&limit) {
        return Err(invalid_query("limit", format!("expected a number from 1 to {LARGEST_LIMIT}")));
    }
    Ok(limit)
}

fn entry(entry: &AuditEntry) -> AuditEntryView {
    AuditEntryView {
        version: entry.version,
        time: Timestamp::from_millisecond(entry.time).unwrap_or_default(),
        by: entry.by.clone(),
        action: action(entry.action),
        client: entry.client.as_ref().map(ToString::to_string),
        origin: entry.origin.as_ref().map(ToString::to_string),
        case_id: entry.case_id.map(|case| case.to_string()),
        queue: entry.queue.map(Queue::symbol),
    }
}

/// `GRANT_ADD` is shown as `grant.add`.
fn action(action: RegistryAction) -> String {
    action.symbol().to_ascii_lowercase().replace('_', ".")
}

/// The queues of commands.
#[utoipa::path(get, path = "/api/admin/cases/queues", tag = "cases",
    responses((status = 200, description = "Queues", body = QueuesView)))]
pub(super) async fn queues(State(service): Shared) -> Result<Json<QueuesView>, Problem> {
    service.following.catch_up_cases().await?;
    let rows = service.following.rows();
    let view = |queue: &Queue| {
        let partitions = || rows.queues.values().filter(|state| state.queue == *queue);
        QueueView {
            queue: queue.symbol(),
            paused: partitions().any(|state| state.paused),
            waiting: partitions().map(|state| state.waiting).sum(),
        }
    };
    Ok(Json(QueuesView { queues: Queue::ALL.iter().map(view).collect() }))
}
