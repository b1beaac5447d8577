//! A running port with the paths of an invented flow.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tributary::http::{
    AuthSettings, FlowLag, FlowState, FlowStatus, HttpError, HttpSettings, ProcessStatus, Server, Site,
};
use tributary_flow::http::{
    AsOf, BearerToken, Caller, Correlation, JsonBody, List, Mount, Page, Problem, Role, require,
};

/// How long the tests wait for a condition.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The status of an invented process.
pub(crate) struct Status {
    pub(crate) reason: Mutex<Option<String>>,
    /// Whether a request for the lag hangs.
    pub(crate) lag_hangs: AtomicBool,
}

impl Status {
    fn state(&self) -> Result<(), String> {
        self.reason.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

impl ProcessStatus for Status {
    fn live(&self) -> Result<(), String> {
        self.state()
    }

    fn started(&self) -> Result<(), String> {
        self.state()
    }

    fn ready(&self) -> Result<(), String> {
        self.state()
    }

    fn confirm_clock(&self, _: &str) -> Result<(), String> {
        self.state()
    }

    fn flows(&self) -> Vec<FlowStatus> {
        let flow = |name: &str| FlowStatus {
            name: name.to_owned(),
            state: FlowState::Running,
            reason: None,
            stages: Vec::new(),
        };
        vec![flow("toy"), flow("esr")]
    }

    fn lag(&self) -> Result<Vec<FlowLag>, String> {
        while self.lag_hangs.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let lag = |flow: &str| FlowLag { flow: flow.to_owned(), records: 7 };
        Ok(["toy", "esr", "other"].map(lag).to_vec())
    }
}

pub(crate) struct World {
    pub(crate) url: String,
    pub(crate) status: Arc<Status>,
    pub(crate) site: Arc<Site>,
    pub(crate) client: Client,
    pub(crate) shutdown: Option<oneshot::Sender<()>>,
    pub(crate) served: JoinHandle<()>,
}

/// Settings with a short deadline, so that tests are quick.
pub(crate) fn settings() -> HttpSettings {
    HttpSettings { deadline: Duration::from_secs(10), ..HttpSettings::default() }
}

pub(crate) fn bind(
    listen: &str,
    settings: &HttpSettings,
    auth: &AuthSettings,
) -> Result<(Server, Arc<Status>), HttpError> {
    let status = Arc::new(Status { reason: Mutex::new(None), lag_hangs: AtomicBool::new(false) });
    let port = Arc::clone(&status) as Arc<dyn ProcessStatus>;
    Ok((Server::bind(listen, settings, auth, port, &Handle::current())?, status))
}

impl World {
    pub(crate) fn open(settings: &HttpSettings, auth: &AuthSettings) -> Self {
        let world = Self::starting(settings, auth);
        world.site.mount(mounts()).unwrap();
        world
    }

    /// A world before the flows are mounted.
    pub(crate) fn starting(settings: &HttpSettings, auth: &AuthSettings) -> Self {
        let (server, status) = bind("127.0.0.1:0", settings, auth).unwrap();
        let (url, site) = (server.url(), server.site());
        let (shutdown, ended) = oneshot::channel();
        let ended = async {
            let _ = ended.await;
        };
        let served = tokio::spawn(server.serve(ended, Duration::from_secs(2)));
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { url, status, site, client, shutdown: Some(shutdown), served }
    }

    pub(crate) fn plain() -> Self {
        Self::open(&settings(), &AuthSettings::default())
    }

    /// Host and port, for raw connections.
    pub(crate) fn address(&self) -> &str {
        self.url.split_once("//").unwrap().1
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url))
    }

    pub(crate) async fn status(&self, path: &str) -> StatusCode {
        self.get(path).send().await.unwrap().status()
    }
}

/// The problem in an answer. Checks what all problems have.
pub(crate) async fn problem(request: RequestBuilder, status: u16, code: &str) -> Value {
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status().as_u16(), status);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let id = answer.headers()["x-correlation-id"].to_str().unwrap().to_owned();
    let authenticate = answer.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(authenticate.as_deref(), (status == 401).then_some("Bearer"));
    assert_eq!(answer.headers().contains_key("retry-after"), matches!(status, 429 | 503));
    let problem: Value = answer.json().await.unwrap();
    let common = (&problem["status"], &problem["code"], &problem["correlation_id"]);
    assert_eq!(common, (&json!(status), &json!(code), &json!(id)), "{problem}");
    assert_eq!(problem["type"], format!("urn:tributary:problem:{code}"));
    assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
    assert_eq!(problem.get("errors").is_some(), status == 400, "{problem}");
    problem
}

#[derive(serde::Deserialize)]
struct Note {
    text: String,
}

fn mounts() -> Vec<Mount> {
    let acting = Router::new().route("/toy/act", post(|| async { "done" })).route_layer(require(Role::OPERATOR));
    let paths = Router::new()
        .route("/toy/who", get(who))
        .route("/toy/token", get(token))
        .route("/toy/notes", post(async |JsonBody(note): JsonBody<Note>| note.text))
        .route("/toy/names", get(names))
        .route("/toy/echo", post(async |body: Bytes| body.len().to_string()))
        .route("/toy/slow", get(slow))
        .route("/toy/endless", get(async || endless(Duration::from_millis(20), b"again\n")))
        .route("/toy/flood", get(async || endless(Duration::ZERO, &FLOOD)))
        .route("/toy/panic", get(panic))
        .route("/toy/items/{id}", get(async || axum::http::StatusCode::NOT_FOUND))
        .route("/toy/trace", get(async |correlation: Correlation| correlation.traceparent()))
        .fallback(async || "a fallback of a flow is not used")
        .merge(acting);
    let soap = Router::new().route("/soap", post(async |body: Bytes| body.len().to_string()));
    let public = Router::new().route("/toy/canary", get(async || "sings"));
    vec![
        Mount::new(paths).described(toy_api()),
        Mount::new(soap).max_body(10).deadline(Duration::from_secs(1)).faults(fault),
        Mount::new(public).open(),
    ]
}

fn toy_api() -> utoipa::openapi::OpenApi {
    #[derive(utoipa::OpenApi)]
    #[openapi(paths(names))]
    struct ToyApi;
    <ToyApi as utoipa::OpenApi>::openapi()
}

async fn who(caller: Caller) -> Json<Value> {
    let roles = ["viewer", "operator", "data", "auditor"].map(|name| caller.has(Role::of_flow(name)));
    Json(json!({"name": caller.name(), "roles": roles, "user": caller.user_id().to_string()}))
}

/// The header that a call in the name of the caller would have.
async fn token(token: Option<Extension<BearerToken>>) -> String {
    token.and_then(|token| token.authorization().to_str().map(str::to_owned).ok()).unwrap_or_default()
}

#[utoipa::path(get, path = "/toy/names", params(Page), responses((status = 200, body = List<String>)))]
async fn names(page: Page) -> Result<(AsOf, Json<List<String>>), Problem> {
    let list = page.of(["a", "b", "c"].map(str::to_owned).to_vec())?;
    Ok((AsOf(jiff::Timestamp::UNIX_EPOCH), Json(list)))
}

/// Open bodies without an end.
pub(crate) static ENDLESS: AtomicUsize = AtomicUsize::new(0);

/// More than a socket and the server keep for a client that does not read.
static FLOOD: [u8; 65_536] = [b'x'; 65_536];

/// Counts while it lives.
struct Open;

impl Drop for Open {
    fn drop(&mut self) {
        ENDLESS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A body without an end.
fn endless(pause: Duration, piece: &'static [u8]) -> Body {
    ENDLESS.fetch_add(1, Ordering::SeqCst);
    Body::from_stream(futures_util::stream::unfold(Open, move |open| async move {
        tokio::time::sleep(pause).await;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from_static(piece)), open))
    }))
}

async fn slow() -> &'static str {
    tokio::time::sleep(PATIENCE).await;
    "late"
}

async fn panic() -> &'static str {
    panic!("as the test wants")
}

fn fault(problem: &Problem) -> Option<Response> {
    let is_ours = problem.status().as_u16() != 401;
    let text = format!("<fault code=\"{}\"/>", problem.code());
    is_ours.then(|| (problem.status(), [("content-type", "text/xml")], text).into_response())
}
