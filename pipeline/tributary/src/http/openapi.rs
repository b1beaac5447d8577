//! `/openapi.json`, and `/swagger` to read it in a browser.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tributary_flow::http::Problem;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi, SecurityRequirement};
use utoipa_swagger_ui::Config;

use super::{admin, health};

/// The name of the only authentication scheme in the description.
const BEARER: &str = "bearer";

/// The paths of the process. Those of the flows are added.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Tributary", description = "Integrations as exactly-once streams on Kafka."),
    paths(
        health::livez,
        health::readyz,
        health::startupz,
        admin::metrics_text,
        admin::flows,
        admin::lag,
        admin::confirm_clock
    ),
    components(schemas(Problem))
)]
struct ProcessApi;

/// The description of all paths.
pub(super) fn document(flows: impl Iterator<Item = OpenApi>) -> OpenApi {
    let mut document = <ProcessApi as utoipa::OpenApi>::openapi();
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
    document.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>(BEARER, [])]);
    for flow in flows {
        document.merge(flow);
    }
    document
}

struct Pages {
    document: String,
    config: Arc<Config<'static>>,
}

pub(super) fn router(document: &OpenApi) -> Router {
    let document = serde_json::to_string(document).unwrap_or_default();
    let config = Arc::new(Config::new(["/openapi.json"]).validator_url("none"));
    Router::new()
        .route(
            "/openapi.json",
            get(async |State(pages): State<Arc<Pages>>| ([(CONTENT_TYPE, "application/json")], pages.document.clone())),
        )
        .route("/swagger", get(async |State(pages): State<Arc<Pages>>| page(&pages, "index.html")))
        .route("/swagger/", get(async |State(pages): State<Arc<Pages>>| page(&pages, "index.html")))
        .route(
            "/swagger/{*file}",
            get(async |State(pages): State<Arc<Pages>>, Path(file): Path<String>| page(&pages, &file)),
        )
        .with_state(Arc::new(Pages { document, config }))
}

fn page(pages: &Pages, name: &str) -> Result<Response, Problem> {
    let missing = || Problem::not_found("there is no such page");
    let served = utoipa_swagger_ui::serve(name, Arc::clone(&pages.config));
    let file = served.ok().flatten().ok_or_else(missing)?;
    let mut content = file.bytes.into_owned();
    if name == "index.html" {
        content = with_base(&String::from_utf8_lossy(&content)).into_bytes();
    }
    let mut response = ([(CONTENT_TYPE, file.content_type)], content).into_response();
    if file.gzpipped {
        response.headers_mut().insert(CONTENT_ENCODING, axum::http::HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// The page is also shown at `/swagger`, where its relative addresses would be wrong.
fn with_base(page: &str) -> String {
    page.replacen("<head>", "<head><base href=\"/swagger/\">", 1)
}
