//! One case as operators see it: its metadata, who can see it, and its last notifications.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use jiff::Timestamp;
use serde::Serialize;
use tributary_cases::permission::{Grants, sees};
use tributary_flow::http::Problem;
use tributary_schemas::records::cases::{CaseState, DeletedCase};
use tributary_schemas::types::cases::{CaseId, ClientName};
use utoipa::ToSchema;

use crate::kept_queues::Entry;
use crate::problems::case_not_found;
use crate::queries::CaseView;
use crate::query::{guid, shown};
use crate::rows::Rows;
use crate::service::Service;

/// Notifications that are shown.
const MOST_SHOWN: usize = 20;

/// Queue entries of all clients together, the newest of each, among which those of the case are sought.
const MOST_SOUGHT: usize = 200_000;

/// Those of them that are read while changes of the rows wait.
const SOUGHT_AT_ONCE: usize = 2_000;

/// A case, as operators see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CaseForOperatorsView {
    /// Its metadata. Null when it is deleted.
    case: Option<CaseView>,
    /// The clients that its origin system names. Null: no limit.
    consumers: Option<Vec<String>>,
    /// The clients that can see it; of a deleted one those that could, and still have a grant.
    clients: Vec<String>,
    /// Deleted cases of this id, one for each origin system.
    deleted: Vec<DeletedCaseView>,
    /// Its last notifications, the newest first: at most 20, of those that are not long ago.
    notifications: Vec<ToldView>,
}

/// A deleted case.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeletedCaseView {
    /// The origin system that owned it.
    origin_system: String,
    /// RFC 3339.
    #[schema(value_type = String, format = DateTime)]
    deleted: Timestamp,
}

/// A notification of a client.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToldView {
    /// The client.
    client: String,
    /// Its position in the queue of the client.
    position: i64,
    /// The same for repeats, formats and replays.
    message_id: String,
    /// Created 0, Updated 1, Closed 2, Deleted 3.
    notification_type: i32,
    /// RFC 3339.
    #[schema(value_type = Option<String>, format = DateTime)]
    event_time: Option<Timestamp>,
    /// When it was put into the queue: RFC 3339.
    #[schema(value_type = String, format = DateTime)]
    made: Timestamp,
    /// Whether the client has acknowledged it.
    acknowledged: bool,
}

/// One case: its metadata, who can see it, and its last notifications.
#[utoipa::path(get, path = "/api/admin/cases/cases/{id}", tag = "cases",
    params(("id" = String, Path, description = "A GUID")),
    responses((status = 200, description = "The case", body = CaseForOperatorsView),
        (status = 400, description = "`InvalidQuery`", body = Problem),
        (status = 404, description = "`CaseNotFound`: never created, or deleted and forgotten", body = Problem)))]
pub(super) async fn case(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
) -> Result<Json<CaseForOperatorsView>, Problem> {
    let id: CaseId = guid("id", &id)?;
    service.following.catch_up().await?;
    let case = service.living_case(id).await?;
    let mut view = view(&service.following.rows(), id, case.as_ref()).ok_or_else(|| case_not_found(&id.to_string()))?;
    view.notifications = told(&service, id).await?;
    Ok(Json(view))
}

/// Without the notifications.
fn view(rows: &Rows, id: CaseId, case: Option<&CaseState>) -> Option<CaseForOperatorsView> {
    let deleted: Vec<&DeletedCase> = rows.deleted.values().filter(|deleted| deleted.id == id).collect();
    if case.is_none() && deleted.is_empty() {
        return None;
    }
    let names = |names: &[ClientName]| names.iter().map(ToString::to_string).collect();
    Some(CaseForOperatorsView {
        case: case.map(CaseView::new),
        consumers: case.and_then(|case| case.consumers.as_deref()).map(names),
        clients: viewers(rows, case, &deleted),
        deleted: deleted.iter().map(|deleted| deleted_view(deleted)).collect(),
        notifications: Vec::new(),
    })
}

fn viewers(rows: &Rows, case: Option<&CaseState>, deleted: &[&DeletedCase]) -> Vec<String> {
    let could_see = |client: &ClientName, deleted: &DeletedCase| {
        deleted.clients.contains(client) && rows.cover(client, &deleted.origin_system, deleted.id)
    };
    let can_see = |client: &ClientName| match case {
        Some(case) => sees(rows, case, client),
        None => deleted.iter().any(|deleted| could_see(client, deleted)),
    };
    let clients = rows.clients.values().map(|client| &client.name);
    clients.filter(|client| can_see(client)).map(ToString::to_string).collect()
}

fn deleted_view(deleted: &DeletedCase) -> DeletedCaseView {
    DeletedCaseView {
        origin_system: deleted.origin_system.to_string(),
        deleted: Timestamp::from_millisecond(deleted.deleted).unwrap_or_default(),
    }
}

async fn told(service: &Service, id: CaseId) -> Result<Vec<ToldView>, Problem> {
    let clients: Vec<ClientName> = {
        let rows = service.following.rows();
        rows.clients.values().map(|client| client.name.clone()).collect()
    };
    let most = MOST_SOUGHT / clients.len().max(1);
    let mut entries = Vec::new();
    for client in clients {
        let found = newest(service, &client, id, most).await?;
        entries.extend(found.into_iter().map(|entry| (client.clone(), entry)));
    }
    entries.sort_by_key(|(_, entry)| std::cmp::Reverse((entry.made, entry.position)));
    entries.truncate(MOST_SHOWN);
    let rows = service.following.rows();
    Ok(entries.into_iter().map(|(client, entry)| told_view(&rows, &client, &entry)).collect())
}

/// The newest entries of a client that are of the case, among this number of all.
async fn newest(service: &Service, client: &ClientName, id: CaseId, most: usize) -> Result<Vec<Entry>, Problem> {
    let (mut found, mut left, mut before) = (Vec::new(), most, i64::MAX);
    while left > 0 && found.len() < MOST_SHOWN {
        let (client, limit) = (client.clone(), left.min(SOUGHT_AT_ONCE));
        let piece = service.following.look(move |rows| rows.entries.newest(&client, before, limit)).await?;
        let Some(last) = piece.last() else { break };
        (before, left) = (last.position, left - piece.len());
        found.extend(piece.into_iter().filter(|entry| entry.notification.id == id));
    }
    Ok(found)
}

fn told_view(rows: &Rows, client: &ClientName, entry: &Entry) -> ToldView {
    let told = &entry.notification;
    ToldView {
        client: client.to_string(),
        position: entry.position,
        message_id: told.message_id.to_string(),
        notification_type: told.notification_type.number(),
        event_time: told.event_time.map(shown),
        made: Timestamp::from_millisecond(entry.made).unwrap_or_default(),
        acknowledged: entry.position <= rows.position(client).acknowledged,
    }
}
