//! `/api/admin/registry/...`: what operators look at and do.

mod acting;
mod audit;
mod views;

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tributary_flow::http::{FieldError, Mount, Page, Problem, Role, require};
use tributary_registry::row_key::RowKey;
use tributary_schemas::records::registry::{JobRow, JobStatus};
use tributary_schemas::types::registry::{KindName, RowId};
use utoipa::{IntoParams, OpenApi};

use crate::lookups::LookupError;
use crate::platform::Shared;
use crate::rows::Filter;
use views::{JobList, JobView, KindView};

/// The largest body, in bytes.
const LARGEST_BODY: usize = 16 * 1024;

type Platform = State<Arc<Shared>>;

#[derive(OpenApi)]
#[openapi(
    paths(
        jobs,
        job,
        kinds,
        audit::list,
        acting::retry,
        acting::retry_all,
        acting::cancel,
        acting::purge,
        acting::pause,
        acting::resume,
        acting::rekey
    ),
    components(schemas(
        JobView,
        JobList,
        KindView,
        views::ErrorView,
        views::CountView,
        views::AuditView,
        views::AuditList,
        acting::Which
    ))
)]
struct Api;

/// The paths.
pub(crate) fn mount(shared: &Arc<Shared>) -> Mount {
    let path = |name: &str| format!("/api/admin/registry/{name}");
    let looking = Router::new()
        .route(&path("jobs"), get(jobs))
        .route(&path("jobs/{id}"), get(job))
        .route(&path("kinds"), get(kinds))
        .route_layer(require(Role::VIEWER));
    let acting = Router::new()
        .route(&path("jobs/retry"), post(acting::retry_all))
        .route(&path("jobs/{id}/retry"), post(acting::retry))
        .route(&path("jobs/{id}/cancel"), post(acting::cancel))
        .route(&path("jobs/{id}"), delete(acting::purge))
        .route(&path("kinds/{kind}/pause"), post(acting::pause))
        .route(&path("kinds/{kind}/resume"), post(acting::resume))
        .route(&path("rekey"), post(acting::rekey))
        .route_layer(require(Role::OPERATOR));
    let audit = Router::new().route(&path("audit"), get(audit::list)).route_layer(require(Role::AUDITOR));
    let router = looking.merge(acting).merge(audit).with_state(Arc::clone(shared));
    Mount::new(router).described(Api::openapi()).max_body(LARGEST_BODY)
}

/// Which jobs.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// The kind.
    kind: Option<String>,
    /// The status, as the configuration names it.
    status: Option<String>,
}

/// Jobs, in the order of their ids.
#[utoipa::path(get, path = "/api/admin/registry/jobs", tag = "registry", params(Asked, Page),
    responses((status = 200, description = "A piece of the list", body = JobList),
        (status = 400, description = "A wrong parameter", body = Problem)))]
async fn jobs(State(shared): Platform, Query(asked): Query<Asked>, page: Page) -> Result<Json<JobList>, Problem> {
    let filter = filter(&shared, asked.kind.as_deref(), asked.status.as_deref())?;
    let after = page.cursor.as_deref().map(|cursor| parsed::<RowId>("cursor", cursor)).transpose()?;
    caught_up(&shared).await?;
    let codec = shared.process.codec();
    let rows = shared.following().look(|views| views.rows.page(codec, &filter, after, page.limit + 1));
    let mut rows = rows.map_err(|error| unreadable(&error))?;
    let has_more = rows.len() > page.limit;
    rows.truncate(page.limit);
    let next = rows.last().filter(|_| has_more).map(|(_, row)| row.id.to_string());
    let statuses = &shared.settings().statuses;
    Ok(Json(JobList { jobs: rows.iter().map(|(_, row)| JobView::of(row, statuses)).collect(), next }))
}

/// A job.
#[utoipa::path(get, path = "/api/admin/registry/jobs/{id}", tag = "registry",
    params(("id" = String, Path, description = "The id of the row")),
    responses((status = 200, description = "The job", body = JobView),
        (status = 404, description = "No such job", body = Problem)))]
async fn job(State(shared): Platform, Path(id): Path<String>) -> Result<Json<JobView>, Problem> {
    let (_, row) = current(&shared, &id).await?;
    Ok(Json(JobView::of(&row, &shared.settings().statuses)))
}

/// The kinds of jobs, with the calls of this process.
#[utoipa::path(get, path = "/api/admin/registry/kinds", tag = "registry",
    responses((status = 200, description = "By name", body = [KindView])))]
async fn kinds(State(shared): Platform) -> Result<Json<Vec<KindView>>, Problem> {
    caught_up(&shared).await?;
    Ok(Json(shared.settings().kinds.keys().map(|kind| kind_of(&shared, kind)).collect()))
}

fn kind_of(shared: &Shared, kind: &KindName) -> KindView {
    let (is_paused, pending) = shared.following().look(|views| {
        let is_paused = views.kinds.get(kind).is_some_and(|state| state.paused);
        (is_paused, views.rows.count(kind, JobStatus::Pending))
    });
    KindView::new(kind, is_paused, pending, shared.calling.status(kind).as_ref())
}

/// The row with this id, as the log has it now.
async fn current(shared: &Shared, id: &str) -> Result<(RowKey, JobRow), Problem> {
    let absent = || Problem::not_found("there is no job with this id");
    let id: RowId = id.parse().map_err(|_| absent())?;
    let found = shared.service.current(|following| following.look(|views| views.rows.key(id))).await;
    found.map_err(unavailable)?.ok_or_else(absent)
}

async fn caught_up(shared: &Shared) -> Result<(), Problem> {
    if shared.following().catch_up().await { Ok(()) } else { Err(unavailable(LookupError::Unavailable)) }
}

fn unavailable(error: LookupError) -> Problem {
    let retry_after = match error {
        LookupError::Full { retry_after } => retry_after,
        LookupError::Unavailable => std::time::Duration::from_secs(1),
    };
    Problem::unavailable("lookups_unavailable", error.to_string(), retry_after)
}

fn unreadable(error: &tributary_schemas::DecodeError) -> Problem {
    Problem::unavailable("row_unreadable", error.to_string(), std::time::Duration::from_secs(10))
}

fn parsed<T: FromStr>(field: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::bad_request(vec![FieldError::new(field, "it does not have the form")]))
}

/// The rows of a kind and a status. Statuses that are called alike are one.
fn filter(shared: &Shared, kind: Option<&str>, status: Option<&str>) -> Result<Filter, Problem> {
    let wrong = |field: &str, reason: String| Problem::bad_request(vec![FieldError::new(field, reason)]);
    let settings = shared.settings();
    let kind = match kind {
        None => None,
        Some(text) => {
            let name: KindName = parsed("kind", text)?;
            if settings.kind(&name).is_none() {
                let known: Vec<&str> = settings.kinds.keys().map(KindName::as_str).collect();
                return Err(wrong("kind", format!("expected one of {}", known.join(", "))));
            }
            Some(name)
        }
    };
    let Some(text) = status else { return Ok(Filter { kind, status: None }) };
    let named = |status: &&JobStatus| settings.statuses.name(**status) == text;
    let statuses: Vec<JobStatus> = JobStatus::ALL.iter().filter(named).copied().collect();
    if statuses.is_empty() {
        let known: Vec<&str> = JobStatus::ALL.iter().map(|status| settings.statuses.name(*status)).collect();
        return Err(wrong("status", format!("expected one of {}", known.join(", "))));
    }
    Ok(Filter { kind, status: Some(statuses) })
}
