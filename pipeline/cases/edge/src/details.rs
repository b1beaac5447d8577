//! Case details: a streaming proxy to the origin system of a case. Nothing of them is kept or logged.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    ETAG, IF_NONE_MATCH,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use tributary_cases::uri;
use tributary_connectors::origin::{OriginAnswer, OriginError, OriginRequest};
use tributary_flow::http::{BearerToken, Caller, Mount, Problem};
use tributary_schemas::types::cases::CaseId;
use utoipa::OpenApi;

use crate::events;
use crate::problems;
use crate::query::guid;
use crate::rows::folded;
use crate::service::Service;

/// The headers that the origin system receives, with the token. All others stay here.
const FORWARDED: [HeaderName; 4] = [ACCEPT, ACCEPT_LANGUAGE, IF_NONE_MATCH, HeaderName::from_static("traceparent")];

/// What a request may take beyond the call of the origin system: it waits until the view has caught up.
const BESIDE_THE_CALL: Duration = Duration::from_secs(30);

#[derive(OpenApi)]
#[openapi(paths(details))]
struct DetailsApi;

/// The path. The deadline of the server ends when the body begins; from then on the client of origin systems limits it.
pub(crate) fn mount(service: Arc<Service>) -> Mount {
    let deadline = service.settings.details.timeout + BESIDE_THE_CALL;
    let router = Router::new().route("/api/Cases/{id}/CaseDetails", get(details)).with_state(service);
    Mount::new(router).described(DetailsApi::openapi()).faults(problems::QUERIES).deadline(deadline)
}

/// The contents of a case, from its origin system. The bearer token, `Accept`, `Accept-Language`, `If-None-Match` and
/// `traceparent` are forwarded. A body that ends too early or is too large is cut off.
#[utoipa::path(get, path = "/api/Cases/{id}/CaseDetails", tag = "cases",
    params(
        ("id" = String, Path, description = "A GUID"),
        ("Accept" = Option<String>, Header, description = "Forwarded"),
        ("Accept-Language" = Option<String>, Header, description = "Forwarded"),
        ("If-None-Match" = Option<String>, Header, description = "Forwarded"),
        ("traceparent" = Option<String>, Header, description = "Forwarded")),
    responses(
        (status = 200, description = "The contents, in the data model of the origin system",
            content_type = "application/octet-stream", body = Vec<u8>,
            headers(("ETag" = String, description = "That of the origin system"))),
        (status = 304, description = "Not modified since `If-None-Match`"),
        (status = 400, description = "`InvalidQuery`", body = Problem),
        (status = 401, description = "`OriginRefusedToken`", body = Problem),
        (status = 403, description = "`UnknownClient`, `OriginForbids`", body = Problem),
        (status = 404, description = "`CaseNotFound`: deleted, or nothing that the caller may see; \
            `CaseDetailsNotFound`: the origin system says so", body = Problem),
        (status = 502, description = "`OriginFailed`, `OriginUnreachable`, `DetailsTooLarge`, `AddressRefused`",
            body = Problem),
        (status = 503, description = "`DetailsBusy`: retry after `Retry-After`", body = Problem),
        (status = 504, description = "`OriginTimeout`", body = Problem)))]
async fn details(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
    caller: Caller,
    token: Option<Extension<BearerToken>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let case: CaseId = guid("id", &id)?;
    let place = Place::of(&service, &caller, case).await?;
    if !place.is_listed {
        return Err(place.failed(&Failure::NotListed));
    }
    let forwarded = forwarded(&headers, token.map(|Extension(token)| token));
    let is_conditional = forwarded.contains_key(IF_NONE_MATCH);
    let request = OriginRequest { uri: &place.uri, headers: forwarded, origin: &place.origin, caller: caller.name() };
    let answer = service.origins.fetch(request).await.map_err(|error| place.failed(&Failure::NoAnswer(error)))?;
    match (answer.status, answer.body.is_some()) {
        (200, true) => Ok(contents(answer)),
        (304, _) if is_conditional => Ok(not_modified(answer)),
        (status, _) => Err(place.failed(&Failure::Status(status))),
    }
}

/// Where the contents of a case are.
struct Place {
    uri: String,
    origin: String,
    /// Whether the origin system has still registered the host of the URI.
    is_listed: bool,
}

impl Place {
    /// The place of a case that the caller sees.
    ///
    /// # Errors
    /// Those of a query of the case.
    async fn of(service: &Service, caller: &Caller, case: CaseId) -> Result<Self, Problem> {
        let found = service.visible_case(caller, case).await?;
        let rows = service.following.rows();
        let origin = rows.origins.get(&folded(&found.origin_system));
        let uri = found.case_details_uri;
        let is_listed = origin.is_some_and(|origin| uri::is_listed(&uri, &origin.details) == Ok(true));
        Ok(Self { uri, origin: found.origin_system.to_string(), is_listed })
    }

    /// The problem, which is logged if the caller has no part in it.
    fn failed(&self, failure: &Failure) -> Problem {
        let (status, code, text) = failure.shown();
        if status.is_server_error() {
            events::no_details(&self.origin, code, failure);
        }
        let problem = Problem::new(status, code, format!("{}: {text}", self.origin));
        if status == StatusCode::SERVICE_UNAVAILABLE { problem.retry_after(Duration::from_secs(1)) } else { problem }
    }
}

/// Why there are no details.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the origin system has not registered the host of the case's URI, or no longer")]
    NotListed,
    #[error("the origin system answers {0}")]
    Status(u16),
    #[error("{0}")]
    NoAnswer(#[source] OriginError),
}

impl Failure {
    /// Status, code and text for the caller. The text has no address and no cause: those would show who can be reached
    /// from here.
    fn shown(&self) -> (StatusCode, &'static str, String) {
        let bad = StatusCode::BAD_GATEWAY;
        let (status, code, text) = match self {
            Self::Status(401) => {
                (StatusCode::UNAUTHORIZED, "OriginRefusedToken", "the origin system refuses the token of the request")
            }
            Self::Status(403) => {
                (StatusCode::FORBIDDEN, "OriginForbids", "the origin system does not let the caller see the details")
            }
            Self::Status(404) => {
                (StatusCode::NOT_FOUND, "CaseDetailsNotFound", "the origin system has no details of the case")
            }
            Self::Status(status) => {
                return (bad, "OriginFailed", format!("the origin system answers {status}; retry later"));
            }
            Self::NotListed | Self::NoAnswer(OriginError::AddressRefused(_) | OriginError::Uri) => {
                (bad, "AddressRefused", "the URI of the case is at no place that may be called; ask the operator")
            }
            Self::NoAnswer(error) => return unanswered(error),
        };
        (status, code, text.to_owned())
    }
}

fn unanswered(error: &OriginError) -> (StatusCode, &'static str, String) {
    let bad = StatusCode::BAD_GATEWAY;
    match error {
        OriginError::Unreachable(_) => {
            (bad, "OriginUnreachable", "there is no connection to the origin system; retry later".to_owned())
        }
        OriginError::TooSlow(_) | OriginError::Paused(_) | OriginError::NotTaken(_) => {
            (StatusCode::GATEWAY_TIMEOUT, "OriginTimeout", format!("{error}; retry later"))
        }
        OriginError::TooLarge(_) => (bad, "DetailsTooLarge", error.to_string()),
        OriginError::Busy => {
            (StatusCode::SERVICE_UNAVAILABLE, "DetailsBusy", format!("{error} for it or its caller; retry in a moment"))
        }
        _ => (bad, "OriginFailed", "the answer of the origin system is broken; retry later".to_owned()),
    }
}

/// The headers for the origin system.
fn forwarded(given: &HeaderMap, token: Option<BearerToken>) -> HeaderMap {
    let mut forwarded = HeaderMap::new();
    for name in &FORWARDED {
        for value in given.get_all(name) {
            forwarded.append(name, value.clone());
        }
    }
    if let Some(token) = token {
        forwarded.insert(AUTHORIZATION, token.authorization());
    }
    forwarded
}

/// The contents. They are somebody else's, so a browser must not run them as a page of this service, and nobody on the
/// way keeps them.
fn contents(answer: OriginAnswer) -> Response {
    let mut response = Response::new(answer.body.map_or_else(Body::empty, Body::new));
    let headers = response.headers_mut();
    let unknown = || HeaderValue::from_static("application/octet-stream");
    headers.insert(CONTENT_TYPE, answer.content_type.unwrap_or_else(unknown));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    if let Some(encoding) = answer.content_encoding {
        headers.insert(CONTENT_ENCODING, encoding);
    }
    revalidated(headers, answer.etag);
    response
}

fn not_modified(answer: OriginAnswer) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    revalidated(response.headers_mut(), answer.etag);
    response
}

fn revalidated(headers: &mut HeaderMap, etag: Option<HeaderValue>) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(etag) = etag {
        headers.insert(ETAG, etag);
    }
}
