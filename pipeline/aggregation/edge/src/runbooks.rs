//! The paths that runbooks of the original platform call, with its answers (A 3.10). Keys that are about Java are left
//! out. What changes something needs the role `operator`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Value, json};
use tributary_aggregation::tak::SubscriberFilter;
use tributary_flow::http::{Mount, Problem, Role, require};

use crate::platform::Shared;

type Platform = State<Arc<Shared>>;

/// The paths.
pub(crate) fn mount(shared: &Arc<Shared>) -> Mount {
    let mut looking = Router::new().route("/status", get(status));
    let mut acting = Router::new().route("/resetcache", get(reset_cache));
    if shared.own.is_some() {
        looking = looking
            .route("/skltp-ei/status", get(index_status))
            .route("/skltp-ei/subscriber/status", get(subscribers))
            .route("/skltp-ei/writelock/status", get(lock_status));
        acting = acting
            .route("/skltp-ei/resetcache", get(reset_subscribers))
            .route("/skltp-ei/writelock/enable", get(lock))
            .route("/skltp-ei/writelock/disable", get(unlock));
    }
    let looking = looking.route_layer(require(Role::VIEWER));
    let acting = acting.route_layer(from_fn(no_head)).route_layer(require(Role::OPERATOR));
    Mount::new(looking.merge(acting).with_state(Arc::clone(shared)))
}

/// A HEAD is answered as a GET is, and must change nothing.
async fn no_head(request: Request, next: Next) -> Response {
    if request.method() != Method::HEAD {
        return next.run(request).await;
    }
    let detail = "this path changes something, and only a GET does that";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail).into_response()
}

async fn status(State(shared): Platform) -> Json<Value> {
    let services: Vec<&str> =
        shared.settings.services.iter().map(|offered| offered.service.descriptor().name.as_str()).collect();
    let paths: Vec<&str> =
        shared.settings.services.iter().map(|offered| offered.service.descriptor().path.as_str()).collect();
    Json(json!({
        "Name": "aggregating-services",
        "Version": env!("CARGO_PKG_VERSION"),
        "ServiceStatus": "Started",
        "Uptime": uptime(&shared),
        "ManagementName": "tributary",
        "TakCacheInitialized": shared.tak.is_off() || shared.tak.loaded().is_some(),
        "TakCacheResetInfo": reset_info(&shared),
        "Endpoints": paths,
        "ServiceImplementations": services,
    }))
}

fn uptime(shared: &Shared) -> String {
    let seconds = Timestamp::now().as_second() - shared.started.as_second();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    format!("{days}d{hours}h{minutes}m{}s", seconds % 60)
}

fn reset_info(shared: &Shared) -> String {
    let Some(loaded) = shared.tak.loaded() else { return "Not initialized".to_owned() };
    let (routes, permissions) = loaded.tak.counts();
    let at = loaded.at.strftime("%Y-%m-%dT%H:%M");
    format!("Date:{at} Status:REFRESH_OK vagval:{routes} behorigheter:{permissions}")
}

/// Reads TAK again.
async fn reset_cache(State(shared): Platform) -> Response {
    let reloaded = shared.reload_tak().await;
    let mut lines = vec!["Start a reset of the TAK cache".to_owned()];
    match &reloaded {
        Ok(()) => {
            let (routes, permissions) = shared.tak.loaded().map(|loaded| loaded.tak.counts()).unwrap_or_default();
            lines.push(format!("{routes} vagval, {permissions} behorigheter"));
            lines.push("Init done, was successful: true".to_owned());
        }
        Err(reason) => {
            lines.push(escaped(reason));
            lines.push("Init done, was successful: false".to_owned());
        }
    }
    let status = if reloaded.is_ok() { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    (status, Html(lines.join("<br>"))).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

async fn index_status(State(shared): Platform) -> Json<Value> {
    let states = shared.following.states();
    Json(json!({
        "Name": "skltp-ei",
        "HsaId": shared.own.as_ref().map(|own| own.context.settings.hsa_id.as_str()),
        "Version": env!("CARGO_PKG_VERSION"),
        "ServiceStatus": "Started",
        "Uptime": uptime(&shared),
        "Engagements": shared.engagements(),
        "writeLockEnabled": states.is_locked(),
        "Waiting": states.waiting(),
    }))
}

async fn subscribers(State(shared): Platform) -> Json<Value> {
    let tak = shared.flow.tak();
    let subscribers = tak.as_ref().map(|tak| tak.subscribers()).unwrap_or_default();
    let filter =
        |filter: &SubscriberFilter| json!({"serviceDomain": filter.domain, "categorizations": filter.categories});
    let listed = subscribers.iter().map(|subscriber| {
        let filters: Vec<Value> = subscriber.filters.iter().map(filter).collect();
        json!({"logicalAddress": subscriber.address, "filterList": filters})
    });
    Json(listed.collect())
}

/// Reads the subscribers again. They come from TAK.
async fn reset_subscribers(State(shared): Platform) -> Result<&'static str, Problem> {
    let reloaded = shared.reload_tak().await;
    reloaded.map_err(|reason| Problem::new(StatusCode::BAD_GATEWAY, "tak_not_loaded", reason))?;
    Ok("Subscriber cache reset")
}

async fn lock_status(State(shared): Platform) -> Json<Value> {
    lock_view(&shared)
}

async fn lock(State(shared): Platform) -> Result<Json<Value>, Problem> {
    shared.set_lock(true).await?;
    Ok(lock_view(&shared))
}

async fn unlock(State(shared): Platform) -> Result<Json<Value>, Problem> {
    shared.set_lock(false).await?;
    Ok(lock_view(&shared))
}

/// The two stages stand for the routes that the original suspends.
fn lock_view(shared: &Shared) -> Json<Value> {
    let is_locked = shared.following.states().is_locked();
    let state = if is_locked { "Suspended" } else { "Started" };
    let routes = ["collect", "index"].map(|stage| json!({"route": stage, "status": state}));
    Json(json!({"writeLockEnabled": is_locked, "routes": routes}))
}
