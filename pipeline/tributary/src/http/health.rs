//! `/livez`, `/readyz`, `/startupz`: 200, or 503 with the reason. They need neither a token nor a free place.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use tributary_flow::http::Problem;

use super::site::Shared;

/// When a probe may retry.
const ASK_AGAIN: Duration = Duration::from_secs(1);

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/startupz", get(startupz))
        .with_state(shared)
}

/// Whether the process works.
#[utoipa::path(get, path = "/livez", tag = "process", security(()),
    responses((status = 200, description = "It works"), (status = 503, description = "Why not", body = Problem)))]
pub(super) async fn livez(State(shared): State<Arc<Shared>>) -> Result<&'static str, Problem> {
    answer(shared.status.live(), "not_live")
}

/// Whether requests can be served.
#[utoipa::path(get, path = "/readyz", tag = "process", security(()),
    responses((status = 200, description = "They can"), (status = 503, description = "Why not", body = Problem)))]
pub(super) async fn readyz(State(shared): State<Arc<Shared>>) -> Result<&'static str, Problem> {
    let ready = if shared.is_ending() { Err("the process is ending".to_owned()) } else { shared.status.ready() };
    answer(ready, "not_ready")
}

/// Whether all flows have been opened.
#[utoipa::path(get, path = "/startupz", tag = "process", security(()),
    responses((status = 200, description = "They have"), (status = 503, description = "Why not", body = Problem)))]
pub(super) async fn startupz(State(shared): State<Arc<Shared>>) -> Result<&'static str, Problem> {
    answer(shared.status.started(), "not_started")
}

fn answer(state: Result<(), String>, code: &'static str) -> Result<&'static str, Problem> {
    state.map(|()| "ok\n").map_err(|reason| Problem::unavailable(code, reason, ASK_AGAIN))
}
