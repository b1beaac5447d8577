//! Whether the application is reachable.

use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Serialize;
use tributary_flow::http::Mount;
use utoipa::{OpenApi, ToSchema};

/// A sign of life.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Canary {
    /// `tributary`.
    service: &'static str,
    /// `cases`.
    flow: &'static str,
    /// The version of the program.
    version: &'static str,
    /// The time of the machine: RFC 3339.
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
}

#[derive(OpenApi)]
#[openapi(paths(canary), components(schemas(Canary)))]
struct CanaryApi;

/// The path, for callers without a token.
pub(crate) fn mount() -> Mount {
    Mount::new(Router::new().route("/api/Canary", get(canary))).described(CanaryApi::openapi()).open()
}

/// Whether the application is reachable. It needs no token.
#[utoipa::path(get, path = "/api/Canary", tag = "cases", security(()),
    responses((status = 200, description = "It is", body = Canary)))]
async fn canary() -> Json<Canary> {
    let version = env!("CARGO_PKG_VERSION");
    Json(Canary { service: "tributary", flow: "cases", version, time: Timestamp::now() })
}
