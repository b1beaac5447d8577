//! Case details from an origin system on a port of the test.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tributary_flow::http::{BearerToken, Caller, Roles};
use uuid::Uuid;

use super::world::World;

const TOKEN: &str = "hush-token";
const QUERY: &str = "hush-query";
const CONTENTS: &str = "hush-contents";

/// An origin system, and the headers that it has received.
struct Origin {
    address: SocketAddr,
    received: Received,
}

type Received = Arc<Mutex<Vec<BTreeMap<String, String>>>>;

impl Origin {
    async fn start() -> Self {
        let received = Received::default();
        let router = Router::new()
            .route("/good", get(good))
            .route("/gzip", get(async || ([("content-encoding", "gzip")], CONTENTS)))
            .route("/status/{status}", get(with_status))
            .route("/endless", get(async || Body::new(Endless)))
            .route("/large", get(async || Body::from(vec![b'x'; 2000])))
            .route("/silent", get(async || std::future::pending::<()>().await))
            .with_state(Arc::clone(&received));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { address, received }
    }

    /// A world whose first origin system this is.
    async fn world(&self, host: &str, details: &str) -> World {
        let place = format!("http://{host}:{}", self.address.port());
        let configuration = super::world::CONFIGURATION.replace("https://esdh.example", &place);
        let configuration = configuration.replace("[cases]\n", &format!("[cases]\ndetails = {{ {details} }}\n"));
        let world = World::with(&configuration);
        world.filled().await;
        world
    }

    async fn open_world(&self) -> World {
        self.world("127.0.0.1", "private_networks = [\"127.0.0.0/8\"], body_limit = \"1KiB\"").await
    }
}

async fn good(State(received): State<Received>, headers: HeaderMap) -> Response {
    let of = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    let given: BTreeMap<String, String> = headers.iter().map(|(name, value)| (name.to_string(), of(value))).collect();
    let is_known = given.get("if-none-match").is_some_and(|etag| etag == "\"7\"");
    received.lock().unwrap().push(given);
    let kept = [("etag", "\"7\""), ("content-type", "text/x-case"), ("set-cookie", "a=b"), ("server", "esdh")];
    if is_known { (StatusCode::NOT_MODIFIED, kept).into_response() } else { (kept, CONTENTS).into_response() }
}

async fn with_status(Path(status): Path<u16>) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, [("location", "/good"), ("www-authenticate", "Negotiate")], CONTENTS).into_response()
}

/// A body without an end.
struct Endless;

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(&[b'x'; 100])))))
    }
}

/// Creates a case with these details.
async fn case(world: &World, uri: &str) -> String {
    let id = Uuid::new_v4().to_string();
    let create = json!({"caseId": id, "created": "2026-11-20T10:00:00Z", "caseDetailsUri": uri});
    let created = world.command("esdh-a-id", "CreateCase", create).await;
    assert_eq!(created.body["status"], "applied", "{}", created.body);
    id
}

/// The request of a consumer, with more headers than are forwarded.
fn request(case: &str) -> Request<Body> {
    let token = BearerToken::of(&HeaderValue::from_str(&format!("Bearer {TOKEN}")).unwrap()).unwrap();
    let request = Request::builder().uri(format!("/api/Cases/{case}/CaseDetails")).extension(token);
    let request = request.extension(Caller::new("journal-id", Roles::from_iter(["viewer"])));
    let request = request.header("authorization", format!("Bearer {TOKEN}")).header("accept", "text/x-case");
    let request = request.header("accept-language", "da").header("traceparent", "00-1-2-3").header("cookie", "a=b");
    let request =
        request.header("accept-encoding", "gzip").header("x-forwarded-for", "10.0.0.1").header("range", "bytes=0-1");
    request.body(Body::empty()).unwrap()
}

/// Status and code of the answer about a new case whose details are there.
async fn answered(world: &World, uri: &str) -> (u16, String) {
    let answer = world.answer(request(&case(world, uri).await)).await;
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), 10_000).await.unwrap_or_default();
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    assert!(!String::from_utf8_lossy(&body).contains(QUERY), "{problem}");
    (status, problem["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn details_come_from_the_origin_with_the_token_and_four_headers_of_the_caller() {
    let origin = Origin::start().await;
    let world = origin.open_world().await;
    let id = case(&world, &format!("http://{}/good?key={QUERY}", origin.address)).await;
    let answer = world.answer(request(&id)).await;
    let headers = answer.headers().clone();
    assert_eq!(to_bytes(answer.into_body(), 10_000).await.unwrap(), CONTENTS);
    let shown: Vec<&str> = ["content-type", "etag", "cache-control", "content-security-policy"]
        .map(|name| headers[name].to_str().unwrap())
        .to_vec();
    assert_eq!(shown, ["text/x-case", "\"7\"", "no-store", "default-src 'none'; sandbox"]);
    assert_eq!((headers.len(), &headers["content-length"]), (5, &HeaderValue::from_static("13")), "{headers:?}");
    let host = origin.address.to_string();
    let bearer = format!("Bearer {TOKEN}");
    let expected = [
        ("accept", "text/x-case"),
        ("accept-language", "da"),
        ("authorization", &bearer),
        ("host", &host),
        ("traceparent", "00-1-2-3"),
    ];
    let expected = BTreeMap::from(expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(origin.received.lock().unwrap().remove(0), expected);

    let mut again = request(&id);
    again.headers_mut().insert("if-none-match", HeaderValue::from_static("\"7\""));
    let unchanged = world.answer(again).await;
    assert_eq!((unchanged.status().as_u16(), &unchanged.headers()["etag"]), (304, &HeaderValue::from_static("\"7\"")));
    let mut without = request(&id);
    without.extensions_mut().remove::<BearerToken>();
    assert_eq!(world.answer(without).await.status(), 200);
    assert!(!origin.received.lock().unwrap()[1].contains_key("authorization"), "a token that nobody has checked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn details_are_for_those_who_see_the_case() {
    let origin = Origin::start().await;
    let world = origin.open_world().await;
    let id = case(&world, &format!("http://{}/good", origin.address)).await;
    let path = format!("/api/Cases/{id}/CaseDetails");
    assert_eq!(world.get("esdh-a-id", &path).await.status, 200);
    assert_eq!(world.get("blind-id", &path).await.code(), "CaseNotFound");
    assert_eq!(world.get("esdh-b-id", &path).await.code(), "CaseNotFound");
    assert_eq!(world.get("nobody", &path).await.code(), "UnknownClient");
    assert_eq!(world.get("journal-id", "/api/Cases/Deleted/CaseDetails").await.code(), "InvalidQuery");
    world.command("esdh-a-id", "DeleteCase", json!({"caseId": id})).await;
    assert_eq!(world.get("journal-id", &path).await.code(), "CaseNotFound");
    assert_eq!(origin.received.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_answer_of_an_origin_has_its_own_and_only_404_is_404() {
    let origin = Origin::start().await;
    let world = origin.open_world().await;
    let expected = [
        (401, 401, "OriginRefusedToken"),
        (403, 403, "OriginForbids"),
        (404, 404, "CaseDetailsNotFound"),
        (201, 502, "OriginFailed"),
        (204, 502, "OriginFailed"),
        (206, 502, "OriginFailed"),
        (301, 502, "OriginFailed"),
        (302, 502, "OriginFailed"),
        (307, 502, "OriginFailed"),
        (304, 502, "OriginFailed"),
        (400, 502, "OriginFailed"),
        (410, 502, "OriginFailed"),
        (429, 502, "OriginFailed"),
        (500, 502, "OriginFailed"),
        (503, 502, "OriginFailed"),
    ];
    for (given, status, code) in expected {
        let uri = format!("http://{}/status/{given}?key={QUERY}", origin.address);
        assert_eq!(answered(&world, &uri).await, (status, code.to_owned()), "{given}");
    }
    assert!(origin.received.lock().unwrap().is_empty(), "a redirect was followed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_is_down_slow_or_endless_is_never_404() {
    let origin = Origin::start().await;
    let limits = "private_networks = [\"127.0.0.0/8\"], body_limit = \"1KiB\", timeout = \"900ms\"";
    let world = origin.world("127.0.0.1", limits).await;
    let uri = |path: &str| format!("http://{}/{path}?key={QUERY}", origin.address);
    assert_eq!(answered(&world, &uri("silent")).await, (504, "OriginTimeout".to_owned()));
    assert_eq!(answered(&world, &uri("large")).await, (502, "DetailsTooLarge".to_owned()));
    let endless = world.answer(request(&case(&world, &uri("endless")).await)).await;
    // It is cut off, unless its first piece is too large already.
    let is_refused = endless.status() == StatusCode::BAD_GATEWAY;
    assert!(is_refused || to_bytes(endless.into_body(), 10_000).await.is_err());
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let other = Origin { address: free, received: Received::default() };
    let world = other.open_world().await;
    assert_eq!(answered(&world, &format!("http://{free}/")).await, (502, "OriginUnreachable".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ssrf_the_address_of_the_origin_must_be_allowed_in_every_form() {
    let origin = Origin::start().await;
    let port = origin.address.port();
    let hosts =
        ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "0.0.0.0"];
    for host in hosts {
        let world = origin.world(host, "private_networks = [\"10.0.0.0/8\"]").await;
        let answer = answered(&world, &format!("http://{host}:{port}/good")).await;
        assert_eq!(answer, (502, "AddressRefused".to_owned()), "{host}");
    }
    assert!(origin.received.lock().unwrap().is_empty());
    let world = origin.world("localhost", "private_networks = [\"127.0.0.0/8\"]").await;
    assert_eq!(answered(&world, &format!("http://LOCALHOST:{port}/good")).await.0, 200);
    let id = Uuid::new_v4();
    let create = json!({"caseId": id, "created": "2026-11-20T10:00:00Z",
        "caseDetailsUri": format!("http://me@localhost:{port}/")});
    let refused = world.send(Method::POST, "esdh-a-id", "/api/Commands/CreateCase", Some(create)).await;
    assert_eq!((refused.status, refused.code()), (400, "UriNotAllowed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ssrf_a_host_that_the_origin_has_no_longer_registered_is_not_called() {
    let origin = Origin::start().await;
    let world = origin.open_world().await;
    let id = case(&world, &format!("http://{}/good", origin.address)).await;
    let path = format!("/api/Cases/{id}/CaseDetails");
    assert_eq!(world.get("journal-id", &path).await.status, 200);
    let moved = json!({"clientId": "esdh-a-id", "details": ["https://elsewhere.example"]});
    let put = world.send(Method::PUT, "operator", "/api/admin/cases/origins/esdh-a", Some(moved)).await;
    assert_eq!(put.status, 200, "{}", put.body);
    let refused = world.get("journal-id", &path).await;
    assert_eq!((refused.status, refused.code()), (502, "AddressRefused"));
    assert_eq!(origin.received.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_stays_encoded_as_it_came() {
    let origin = Origin::start().await;
    let world = origin.open_world().await;
    let id = case(&world, &format!("http://{}/gzip", origin.address)).await;
    let answer = world.answer(request(&id)).await;
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    assert_eq!(to_bytes(answer.into_body(), 10_000).await.unwrap(), CONTENTS);
}

/// Every event of this process, of every crate and level. Only those with a secret are kept.
#[derive(Default)]
struct Events {
    seen: AtomicUsize,
    with_secret: Mutex<Vec<String>>,
}

impl Events {
    fn of_process() -> &'static Self {
        static EVENTS: OnceLock<Events> = OnceLock::new();
        EVENTS.get_or_init(|| {
            let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
            subscriber.with_ansi(false).with_writer(|| Line).try_init().unwrap();
            Self::default()
        })
    }
}

struct Line;

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let events = Events::of_process();
        events.seen.fetch_add(1, Ordering::Relaxed);
        if [TOKEN, QUERY, CONTENTS].iter().any(|secret| text.contains(secret)) {
            events.with_secret.lock().unwrap().push(text.into_owned());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_of_any_level_has_a_token_a_body_or_the_query_of_a_uri() {
    let events = Events::of_process();
    let origin = Origin::start().await;
    let world = origin.open_world().await;
    for path in ["good", "status/404", "status/500", "status/302", "endless", "large"] {
        answered(&world, &format!("http://{}/{path}?key={QUERY}", origin.address)).await;
    }
    let closed = origin.world("127.0.0.1", "").await;
    answered(&closed, &format!("http://{}/good?key={QUERY}", origin.address)).await;
    tracing::info!("a line of this test with {TOKEN}");
    let leaks = events.with_secret.lock().unwrap().clone();
    assert_eq!(leaks.len(), 1, "{leaks:?}");
    assert!(leaks[0].contains("of this test") && events.seen.load(Ordering::Relaxed) > 10, "{leaks:?}");
}
