//! What every request passes before its handler: limits, authentication, and the log of requests.

use std::any::Any;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use prometheus::IntGauge;
use tokio::sync::OwnedSemaphorePermit;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tributary_flow::http::{Correlation, Problem, RenderFault};

use super::certificates::Subject;
use super::problems;
use super::site::Shared;
use crate::events;

/// When a caller may retry while the server is full.
const COME_BACK_AFTER: Duration = Duration::from_secs(1);

/// The route of a request without a route, in logs and metrics.
const NO_ROUTE: &str = "none";

/// Whether the paths need credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Credentials are ignored.
    Anybody,
    /// Credentials may be absent. Wrong credentials are refused.
    Optional,
    /// Credentials are required.
    Required,
}

/// The guard of some paths.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) shared: Arc<Shared>,
    pub(super) access: Access,
    /// Whether a request needs one of the limited places. Probes need none.
    pub(super) takes_place: bool,
    /// Whether requests are logged.
    pub(super) is_logged: bool,
    pub(super) max_body: usize,
    pub(super) deadline: Duration,
    pub(super) render_fault: Option<RenderFault>,
    pub(super) echoed: &'static [&'static str],
}

impl Guard {
    /// A guard with the configured limits.
    pub(super) fn new(shared: &Arc<Shared>, access: Access) -> Self {
        let (max_body, deadline) = (shared.max_body, shared.deadline);
        let shared = Arc::clone(shared);
        Self { shared, access, takes_place: true, is_logged: true, max_body, deadline, render_fault: None, echoed: &[] }
    }

    pub(super) fn protect(self, router: Router) -> Router {
        let max_body = self.max_body;
        let guard = Arc::new(self);
        // The last layer is the outermost.
        router
            .layer(DefaultBodyLimit::disable())
            .layer(RequestBodyLimitLayer::new(max_body))
            .layer(from_fn_with_state(Arc::clone(&guard), admit))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(from_fn_with_state(guard, observe))
    }

    fn place(&self) -> Result<Option<RequestInWork>, Problem> {
        if !self.takes_place {
            return Ok(None);
        }
        let full = |_| {
            let detail = "the server already works on as many requests as it may; retry in a moment";
            Problem::unavailable("overloaded", detail, COME_BACK_AFTER)
        };
        let permit = Arc::clone(&self.shared.places).try_acquire_owned().map_err(full)?;
        Ok(Some(RequestInWork::new(permit, &self.shared.metrics.in_work)))
    }

    async fn identify(&self, request: &mut Request) -> Result<(), Problem> {
        if self.access == Access::Anybody {
            return Ok(());
        }
        let peer = request.extensions().get::<Arc<Subject>>().cloned();
        let caller = self.shared.authenticator.caller(request.headers(), peer.as_deref()).await?;
        let Some(caller) = caller else {
            let detail = "the request carries no credentials: send a token as `Authorization: Bearer TOKEN`";
            let is_needed = self.access == Access::Required;
            return if is_needed { Err(Problem::unauthenticated(detail)) } else { Ok(()) };
        };
        if let Some(client) = request.extensions().get::<Client>() {
            client.0.get_or_init(|| caller.name().to_owned());
        }
        if let Some(token) = self.shared.authenticator.bearer(request.headers(), peer.as_deref()) {
            request.extensions_mut().insert(token);
        }
        request.extensions_mut().insert(caller);
        Ok(())
    }
}

/// A request in progress. The drop frees its place.
struct RequestInWork {
    _permit: OwnedSemaphorePermit,
    in_work: IntGauge,
}

impl RequestInWork {
    fn new(permit: OwnedSemaphorePermit, in_work: &IntGauge) -> Self {
        in_work.inc();
        Self { _permit: permit, in_work: in_work.clone() }
    }
}

impl Drop for RequestInWork {
    fn drop(&mut self) {
        self.in_work.dec();
    }
}

/// The caller's name for the log. It is set once the request is identified.
#[derive(Clone, Default)]
struct Client(Arc<OnceLock<String>>);

/// Admits a request if there is a place and the caller has the rights. Ends it at its deadline.
async fn admit(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let place = match guard.place() {
        Ok(place) => place,
        Err(problem) => return problem.into_response(),
    };
    let work = async {
        match guard.identify(&mut request).await {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        }
    };
    let done = tokio::time::timeout(guard.deadline, work).await;
    drop(place);
    done.unwrap_or_else(|_| {
        let detail = format!("the request was not done within {} s", guard.deadline.as_secs_f64());
        Problem::new(StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded", detail).into_response()
    })
}

/// The panic hook has printed the text of the panic. That text may hold data of the request, so the answer leaves it
/// out.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    let detail = "the request failed because of a bug in the program";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "panic", detail).into_response()
}

/// The outermost layer: gives the request its id and the answer its form, counts and logs.
async fn observe(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let correlation = correlation(request.headers());
    let client = Client::default();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    request.extensions_mut().insert(correlation.clone());
    request.extensions_mut().insert(client.clone());
    let echoed: Vec<(&'static str, HeaderValue)> =
        (guard.echoed.iter()).filter_map(|name| Some((*name, request.headers().get(*name)?.clone()))).collect();
    let mut response = next.run(request).await;
    for (name, value) in echoed {
        response.headers_mut().insert(name, value);
    }
    let response = problems::finish(response, &correlation, guard.render_fault).await;
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let took = started.elapsed();
    guard.shared.metrics.answered(route, &method, response.status(), took);
    let client = client.0.get().map_or("-", String::as_str);
    let entry = Entry { method, route, client, took, correlation: &correlation };
    entry.write(&response, guard.is_logged);
    response
}

/// A request, for the log.
struct Entry<'a> {
    method: Method,
    route: &'a str,
    client: &'a str,
    took: Duration,
    correlation: &'a Correlation,
}

impl Entry<'_> {
    fn write(self, response: &Response, is_logged: bool) {
        let problem = response.extensions().get::<Problem>();
        let request = events::Request {
            method: &self.method,
            route: self.route,
            client: self.client,
            status: response.status().as_u16(),
            millis: self.took.as_millis() as u64,
            problem: problem.map_or("-", Problem::code),
            correlation: self.correlation,
        };
        match is_logged {
            true if request.status >= 500 => events::request_failed(&request, problem.map_or("", Problem::detail)),
            true => events::request_answered(&request),
            false => events::request_answered_quietly(&request),
        }
    }
}

fn correlation(headers: &HeaderMap) -> Correlation {
    let given = headers.get("traceparent").map(HeaderValue::to_str);
    given.and_then(Result::ok).and_then(Correlation::from_traceparent).unwrap_or_else(Correlation::generate)
}
