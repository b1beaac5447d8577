//! `/metrics` and `/api/admin/...`, for operators.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use tributary_flow::http::{Caller, List, Page, Problem, Role, require};
use utoipa::ToSchema;

use super::metrics;
use super::site::Shared;
use super::status::{FlowLag, FlowStatus};

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/metrics", get(metrics_text))
        .route("/api/admin/flows", get(flows))
        .route("/api/admin/lag", get(lag))
        .route_layer(require(Role::VIEWER))
        .merge(
            Router::new().route("/api/admin/clock/confirm", post(confirm_clock)).route_layer(require(Role::OPERATOR)),
        )
        .with_state(shared)
}

/// All counters, in the text form of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "process",
    responses((status = 200, description = "Counters", content_type = "text/plain", body = String)))]
pub(super) async fn metrics_text(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let registry = shared.registry.clone();
    let (content_type, text) =
        look(&shared, move || metrics::text(&registry).map_err(|error| error.to_string())).await?;
    Ok(([(CONTENT_TYPE, content_type)], text).into_response())
}

/// The flows of this process.
#[utoipa::path(get, path = "/api/admin/flows", tag = "administration", params(Page),
    responses((status = 200, description = "Flows by name", body = List<FlowStatus>)))]
pub(super) async fn flows(State(shared): State<Arc<Shared>>, page: Page) -> Result<Json<List<FlowStatus>>, Problem> {
    let mut flows = shared.status.flows();
    flows.sort_by(|left, right| left.name.cmp(&right.name));
    page.of(flows).map(Json)
}

/// How far the flows are behind.
#[utoipa::path(get, path = "/api/admin/lag", tag = "administration", params(Page),
    responses((status = 200, description = "By flow", body = List<FlowLag>),
        (status = 503, description = "Why the log does not say", body = Problem)))]
pub(super) async fn lag(State(shared): State<Arc<Shared>>, page: Page) -> Result<Json<List<FlowLag>>, Problem> {
    let status = Arc::clone(&shared.status);
    let mut lag = look(&shared, move || status.lag()).await?;
    let place = |it: &FlowLag| it.flow.clone();
    lag.sort_by_cached_key(place);
    page.of(lag).map(Json)
}

/// A confirmation of the clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct ClockConfirmed {
    /// Who has confirmed it.
    by: String,
}

/// Confirms the clock of this process, which is in doubt. What is due then takes place.
#[utoipa::path(post, path = "/api/admin/clock/confirm", tag = "administration",
    responses((status = 200, description = "The clock is believed", body = ClockConfirmed),
        (status = 409, description = "It is not in doubt", body = Problem)))]
pub(super) async fn confirm_clock(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
) -> Result<Json<ClockConfirmed>, Problem> {
    let confirmed = shared.status.confirm_clock(caller.name());
    confirmed.map_err(|reason| Problem::new(StatusCode::CONFLICT, "clock_not_in_doubt", reason))?;
    Ok(Json(ClockConfirmed { by: caller.name().to_owned() }))
}

/// Runs a call that may block on a thread for blocking calls. A call that hangs keeps its permit, so hanging calls
/// cannot take all threads.
async fn look<T: Send + 'static>(
    shared: &Shared,
    look: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, Problem> {
    let busy = || Problem::unavailable("busy", "earlier requests still wait for the log", Duration::from_secs(2));
    let place = Arc::clone(&shared.looks).try_acquire_owned().map_err(|_| busy())?;
    let looked = tokio::task::spawn_blocking(move || {
        let result = look();
        drop(place);
        result
    });
    let panicked = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "panic", "the request failed");
    looked
        .await
        .map_err(panicked)?
        .map_err(|reason| Problem::unavailable("log_unavailable", reason, Duration::from_secs(2)))
}
