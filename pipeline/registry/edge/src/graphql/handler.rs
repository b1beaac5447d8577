//! The paths: `POST /graphql`, and a page to try documents.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::header::{ACCEPT, ALLOW, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use tokio::time::Instant;
use tributary_flow::http::{Caller, Mount, Problem, Wait};
use tributary_registry::configuration::RegistrySettings;
use tributary_schemas::types::registry::UserId;
use uuid::Uuid;

use super::document::Rules;
use super::failure::{Body, Failed, Failure};
use super::schema::{self, SchemaError};
use super::session::{Session, Shared};
use crate::clients::Clients;
use crate::events;
use crate::lookups::{Asker, Lookups};
use crate::settings::GraphqlSettings;

/// The longest wait for the end of a job.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// How long a request may take: the longest wait, and what is done besides.
const DEADLINE: Duration = Duration::from_secs(45);

const JSON: &str = "application/json";
const GRAPHQL_JSON: &str = "application/graphql-response+json";

/// The page to try documents. It is complete in itself.
const PAGE: &str = include_str!("graphiql.html");

/// What the page may do: run itself, and ask the server it is from.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                           connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Lookups as GraphQL.
pub struct Graphql {
    schema: async_graphql::dynamic::Schema,
    rules: Rules,
    shared: Arc<Shared>,
    limits: GraphqlSettings,
}

impl Graphql {
    /// GraphQL of these kinds. Without `clients`, they are not checked, which is told.
    ///
    /// # Errors
    /// Kinds that do not make a schema.
    pub fn new(
        settings: Arc<RegistrySettings>,
        limits: GraphqlSettings,
        clients: Option<Arc<Clients>>,
        lookups: Arc<dyn Lookups>,
    ) -> Result<Self, SchemaError> {
        if clients.is_none() {
            events::clients_not_checked();
        }
        let schema = schema::build(&settings, limits.introspection)?;
        let rules = Rules::new(&settings, &limits);
        Ok(Self { schema, rules, shared: Arc::new(Shared { settings, lookups, clients }), limits })
    }

    /// The paths.
    pub fn mounts(self: Arc<Self>) -> Vec<Mount> {
        let (max_body, has_page) = (self.limits.max_body, self.limits.graphiql);
        let paths = Router::new()
            .route("/graphql", post(answer).fallback(|| async { refuse(StatusCode::METHOD_NOT_ALLOWED) }))
            .layer(DefaultBodyLimit::max(max_body))
            .with_state(self);
        let lookups = Mount::new(paths).max_body(max_body).deadline(DEADLINE).faults(|problem| Some(fault(problem)));
        // The page has nothing to hide. What it asks needs a token.
        let page = Router::new().route("/graphiql", get(move || async move { page(has_page) }));
        vec![lookups, Mount::new(page).open()]
    }

    /// Executes a request.
    async fn execute(&self, asker: Asker, caller: Caller, wait: Duration, body: &[u8]) -> Response {
        let request_id = asker.request;
        let request = match self.rules.read(body) {
            Ok(request) => request,
            Err(malformed) => return written(StatusCode::BAD_REQUEST, request_id, None, vec![malformed.into()]),
        };
        let wait = wait.min(MAX_WAIT);
        let until = (!wait.is_zero()).then(|| Instant::now() + wait);
        let session = Arc::new(Session::new(Arc::clone(&self.shared), caller, asker, until));
        let answer = self.schema.execute(request.data(Arc::clone(&session))).await;
        let mut failed = session.failed();
        for error in answer.errors {
            // Without a path it is one of validation, and nothing was executed.
            let failure = if error.path.is_empty() { Failure::Malformed } else { Failure::Internal };
            let path = error.path.iter().filter_map(|segment| serde_json::to_value(segment).ok()).collect();
            failed.push(Failed { failure, path, locations: error.locations });
        }
        if let Some(place) = failed.iter().position(|failed| failed.failure == Failure::Malformed) {
            return written(StatusCode::BAD_REQUEST, request_id, None, vec![failed.swap_remove(place)]);
        }
        written(StatusCode::OK, request_id, Some(answer.data), failed)
    }
}

/// Answers a request. The server has checked its token before.
async fn answer(State(graphql): State<Arc<Graphql>>, Wait(wait): Wait, request: Request) -> Response {
    let wants_graphql = prefers_graphql(request.headers());
    let mut response = answer_as_json(&graphql, wait, request).await;
    if wants_graphql {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(GRAPHQL_JSON));
    }
    response
}

async fn answer_as_json(graphql: &Graphql, wait: Duration, request: Request) -> Response {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return refuse(StatusCode::UNAUTHORIZED);
    };
    if !is_json(request.headers()) {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let body = match Bytes::from_request(request, &()).await {
        Ok(body) => body,
        Err(rejection) => return refuse(rejection.status()),
    };
    let asker = Asker {
        user: UserId::from_bytes(*caller.user_id().as_bytes()),
        client: caller.name().to_owned(),
        request: Uuid::new_v4(),
    };
    graphql.execute(asker, caller, wait, &body).await
}

/// An answer. What it says is that of the status alone.
fn refuse(status: StatusCode) -> Response {
    let failure = match status {
        StatusCode::UNAUTHORIZED => Failure::Unauthenticated,
        StatusCode::FORBIDDEN => Failure::Forbidden,
        StatusCode::NOT_FOUND => Failure::NotFound,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            Failure::unavailable(None)
        }
        status if status.is_client_error() => Failure::Malformed,
        _ => Failure::Internal,
    };
    refuse_with(status, failure)
}

fn refuse_with(status: StatusCode, failure: Failure) -> Response {
    let mut response = written(status, Uuid::new_v4(), None, vec![failure.into()]);
    let header = match status {
        StatusCode::UNAUTHORIZED => Some((WWW_AUTHENTICATE, "Bearer")),
        StatusCode::METHOD_NOT_ALLOWED => Some((ALLOW, "POST")),
        _ => None,
    };
    if let Some((name, value)) = header {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// What the server itself refuses, in the form of all other answers.
fn fault(problem: &Problem) -> Response {
    let status = problem.status();
    let Some(seconds) = problem.retry_after_seconds() else { return refuse(status) };
    let mut response = refuse_with(status, Failure::unavailable(Some(seconds)));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn written(status: StatusCode, request_id: Uuid, data: Option<async_graphql::Value>, failed: Vec<Failed>) -> Response {
    let body = serde_json::to_vec(&Body::new(request_id, data, failed)).unwrap_or_default();
    (status, [(CONTENT_TYPE, JSON)], body).into_response()
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(JSON))
}

/// Whether the newer type of answers is accepted, and not less than the older one.
fn prefers_graphql(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<&str> = values.flat_map(|value| value.split(',')).collect();
    let weight = |wanted: &str| ranges.iter().find_map(|range| weight_of(range, wanted));
    let newer = weight(GRAPHQL_JSON).unwrap_or(0.0);
    newer > 0.0 && newer >= weight(JSON).unwrap_or(0.0)
}

/// The weight of a range of types, if it is this one.
fn weight_of(range: &str, wanted: &str) -> Option<f32> {
    let mut parts = range.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(wanted) {
        return None;
    }
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    Some(weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0)))
}

fn page(is_on: bool) -> Response {
    if !is_on {
        return Problem::not_found("there is nothing at this address").into_response();
    }
    ([(CONTENT_SECURITY_POLICY, PAGE_POLICY)], Html(PAGE)).into_response()
}
