//! The flow with its workers on the memory log, and callers of its HTTP paths.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream, to_bytes};
use axum::http::{Method, Request, StatusCode};
use axum::response::Response;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tower::ServiceExt;
use tributary_cases::flow::DECLARATION;
use tributary_connectors::rabbitmq::Broker as External;
use tributary_connectors::views::ViewStore;
use tributary_flow::configuration::Source;
use tributary_flow::http::{Caller, Roles};
use tributary_flow::{ClockDoubt, ClockReading, Failure, Round, RunningFlow};
use tributary_runtime::memory::{Broker, BrokerConfig};
use tributary_runtime::{Shutdown, Topic, WorkerConfig, WorkerPool};
use tributary_schemas::{Codec, CodecBuilder, LocalRegistry};

use super::memory_process::MemoryProcess;
use crate::service::Distribution;
use crate::settings::EdgeSettings;

pub(super) const PARTITIONS: i32 = 3;

/// How long tests wait for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Two origins, two clients; only one client has a grant.
pub(crate) const CONFIGURATION: &str = "
[cases]
[cases.origins.esdh-a]
client_id = \"esdh-a-id\"
details = [\"https://esdh.example\"]
[cases.origins.esdh-b]
client_id = \"esdh-b-id\"
details = [\"https://b.example\"]
[cases.clients.journal-1]
client_id = \"journal-id\"
sees = [\"esdh-a\"]
[cases.clients.blind]
client_id = \"blind-id\"
";

/// Settings of a file.
pub(crate) fn settings(text: &str) -> EdgeSettings {
    EdgeSettings::load(Some(&Source::new("dis.toml", text))).unwrap()
}

/// A log with its state, which outlives the processes on it.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) broker: Broker,
    pub(crate) codec: Codec,
    state: Arc<TempDir>,
    /// Whether other processes may share the log.
    is_shared: bool,
    /// Whether processes compute.
    has_workers: bool,
    /// Whether the clock is in doubt in the first round of a process.
    begins_in_doubt: bool,
}

/// The running flow.
pub(crate) struct World {
    router: Router,
    flow: Arc<Distribution>,
    pub(crate) site: Site,
    settings: Arc<EdgeSettings>,
    shutdown: Shutdown,
    rounds: JoinHandle<()>,
    /// Changes that fill the registry.
    filling: usize,
    pools: Vec<WorkerPool>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.rounds.abort();
    }
}

/// An open stream of notifications.
pub(crate) struct Events {
    body: BodyDataStream,
    text: String,
}

impl Events {
    /// The next event: `id`, `event` and `data`. `None` if the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<(String, String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                let Some(id) = field("id: ") else { continue };
                let data = serde_json::from_str(&field("data: ").unwrap()).unwrap();
                return Some((id, field("event: ").unwrap(), data));
            }
            let more = tokio::time::timeout(PATIENCE, self.body.next()).await.expect("an event, or the end");
            self.text += str::from_utf8(&more?.unwrap()).unwrap();
        }
    }

    /// The positions and types of the next events.
    pub(crate) async fn next_few(&mut self, count: usize) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for _ in 0..count {
            let (id, kind, _) = self.next().await.expect("an event");
            found.push((id, kind));
        }
        found
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// The code of a problem.
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

impl Site {
    pub(crate) fn new() -> Self {
        let broker = Broker::new(BrokerConfig::like_kafka());
        broker.create_topics(&DECLARATION.topics(), PARTITIONS);
        let codec = CodecBuilder::new(Arc::new(LocalRegistry::in_memory())).topics(DECLARATION.topics());
        Self {
            broker,
            codec: codec.build().unwrap(),
            state: Arc::new(tempfile::tempdir().unwrap()),
            is_shared: false,
            has_workers: true,
            begins_in_doubt: false,
        }
    }

    /// A log that other processes may share.
    pub(crate) fn shared() -> Self {
        Self { is_shared: true, ..Self::new() }
    }

    /// The same log. Processes that start on it from now on do not compute.
    pub(crate) fn without_workers(&self) -> Self {
        Self { has_workers: false, ..self.clone() }
    }

    /// The clock is in doubt in the first round of each process.
    pub(crate) fn with_first_rounds_in_doubt(self) -> Self {
        Self { begins_in_doubt: true, ..self }
    }

    /// The values of the records of a topic that is not partitioned by the test.
    pub(crate) fn values(&self, topic: &Topic) -> Vec<Vec<u8>> {
        let records = (0..PARTITIONS).flat_map(|partition| self.broker.read_committed(topic.name, partition));
        records.filter_map(|record| record.value).collect()
    }

    /// Starts a process that runs the rounds, with an external broker.
    pub(crate) fn open(&self, settings: EdgeSettings, external: Option<Arc<dyn External>>) -> World {
        self.open_with(settings, external, None)
    }

    /// Starts a process that runs the rounds, with tables of cases.
    pub(crate) fn open_with_tables(&self, settings: EdgeSettings, tables: Arc<dyn ViewStore>) -> World {
        self.open_with(settings, None, Some(tables))
    }

    fn open_with(
        &self,
        settings: EdgeSettings,
        external: Option<Arc<dyn External>>,
        tables: Option<Arc<dyn ViewStore>>,
    ) -> World {
        let settings = Arc::new(settings);
        let shutdown = Shutdown::new();
        let process = self.process(&shutdown);
        let filling = settings.fill.origins.len() + settings.fill.clients.len() + settings.fill.grants.len();
        let flow = Arc::new(Distribution::open(&settings, process, external, tables).unwrap());
        let pools = DECLARATION.groups.iter().map(|group| {
            let running = Arc::clone(&flow);
            let processor = move |stage: &'static str, partition: i32| running.processor(stage, partition);
            let topology = group.topology(DECLARATION.dead_letters, PARTITIONS, processor);
            let (broker, inboxes) = (self.broker.clone(), group.inboxes());
            WorkerPool::start(Arc::new(topology), WorkerConfig::default(), 2, move |slot| {
                Ok(Box::new(broker.open(group.name, &format!("{}-{slot}", group.name), &inboxes)?))
            })
            .unwrap()
        });
        let pools = if self.has_workers { pools.collect() } else { Vec::new() };
        if self.begins_in_doubt {
            round_in_doubt(&flow);
        } else {
            round(&flow, true);
        }
        let router = flow.mounts().into_iter().fold(Router::new(), |all, mount| all.merge(mount.router));
        let running = Arc::clone(&flow);
        let rounds = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(500)).await;
                round(&running, false);
            }
        });
        World { router, settings, filling, flow, site: self.clone(), shutdown, rounds, pools }
    }

    /// Why a process does not start.
    pub(crate) fn refused(&self, settings: EdgeSettings) -> String {
        let process = self.process(&Shutdown::new());
        match Distribution::open(&Arc::new(settings), process, None, None) {
            Err(Failure::Refused(cause)) => cause.to_string(),
            Err(other) => panic!("it is not refused: {other}"),
            Ok(_) => panic!("it starts"),
        }
    }

    /// The folder of the flow.
    pub(crate) fn state_folder(&self) -> PathBuf {
        self.state.path().to_owned()
    }

    /// What a process on this log gives to the flow.
    pub(crate) fn process(&self, shutdown: &Shutdown) -> Arc<MemoryProcess> {
        Arc::new(MemoryProcess {
            broker: self.broker.clone(),
            codec: self.codec.clone(),
            state: Arc::clone(&self.state),
            shutdown: shutdown.clone(),
            tokio: Handle::current(),
            is_shared: self.is_shared,
        })
    }
}

fn round(flow: &Distribution, is_first: bool) {
    let clock = ClockReading { now: Timestamp::now(), doubt: None, believed: None };
    flow.round(&Round { clock, is_first, is_clock_due: is_first }).unwrap();
}

fn round_in_doubt(flow: &Distribution) {
    let doubt = Some(Arc::new(ClockDoubt { reason: "a test".to_owned(), since_start: true }));
    let clock = ClockReading { now: Timestamp::now(), doubt, believed: None };
    flow.round(&Round { clock, is_first: true, is_clock_due: true }).unwrap();
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(CONFIGURATION)
    }

    pub(crate) fn with(configuration: &str) -> Self {
        Site::new().open(settings(configuration), None)
    }

    /// Ends the workers. What comes from now on waits in the inboxes.
    pub(crate) fn stop_workers(&mut self) {
        self.pools.drain(..).for_each(|pool| pool.stop().unwrap());
    }

    /// With this configuration, on a log that other processes may share.
    pub(crate) fn shared(configuration: &str) -> Self {
        Site::shared().open(settings(configuration), None)
    }

    /// This process leads for some seconds.
    pub(crate) fn lead(&self) {
        round(&self.flow, false);
    }

    /// Another process on the same log takes over.
    pub(crate) fn take_over(&self) -> Distribution {
        let other = Distribution::open(&self.settings, self.site.process(&Shutdown::new()), None, None).unwrap();
        round(&other, true);
        other
    }

    /// Ends the process, and starts another one on the same log.
    pub(crate) fn restart(self) -> Self {
        self.restart_with(settings(CONFIGURATION))
    }

    /// Ends the process, and starts another one with these settings on the same log.
    pub(crate) fn restart_with(self, settings: EdgeSettings) -> Self {
        let site = self.site.clone();
        self.shutdown.trigger();
        drop(self);
        site.open(settings, None)
    }

    /// Runs a round of the process.
    pub(crate) fn round(&self) {
        round(&self.flow, true);
    }

    /// Asks the process to end.
    pub(crate) fn end(&self) {
        self.shutdown.trigger();
    }

    /// What `/metrics` shows of the flow.
    pub(crate) fn metrics(&self) -> String {
        let registry = prometheus::Registry::new_custom(Some("tributary".to_owned()), None).unwrap();
        self.flow.collectors().unwrap().into_iter().for_each(|collector| registry.register(collector).unwrap());
        prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    /// Opens a stream of notifications. `last` is the header `Last-Event-ID`.
    pub(crate) async fn stream(&self, caller: Caller, query: &str, last: Option<&str>) -> Result<Events, Answer> {
        let request = Request::get(format!("/api/Notifications/Stream{query}")).extension(caller);
        let request = last.into_iter().fold(request, |request, last| request.header("last-event-id", last));
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        if response.status() == StatusCode::OK {
            assert_eq!(response.headers()["content-type"], "text/event-stream");
            return Ok(Events { body: response.into_body().into_data_stream(), text: String::new() });
        }
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Err(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or_default() })
    }

    /// Sends a request as a caller.
    pub(crate) async fn send(&self, method: Method, caller: &str, path: &str, body: Option<Value>) -> Answer {
        self.ask((method, "wait=10"), caller, path, body).await
    }

    /// Sends a request as a caller who does not wait for an outcome.
    pub(crate) async fn send_on(&self, method: Method, caller: &str, path: &str, body: Value) -> Answer {
        self.ask((method, "wait=0"), caller, path, Some(body)).await
    }

    async fn ask(&self, (method, prefer): (Method, &str), caller: &str, path: &str, body: Option<Value>) -> Answer {
        let roles = Roles::from_iter(["operator"]);
        let request = Request::builder().method(method).uri(path).extension(Caller::new(caller, roles));
        let request = request.header("content-type", "application/json").header("prefer", prefer);
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let response = self.answer(request.body(body).unwrap()).await;
        let status: StatusCode = response.status();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Answer { status: status.as_u16(), body: serde_json::from_slice(&bytes).unwrap_or_default() }
    }

    /// Sends a request as it is.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn get(&self, caller: &str, path: &str) -> Answer {
        self.send(Method::GET, caller, path, None).await
    }

    /// Sends a command and waits for its outcome.
    pub(crate) async fn command(&self, caller: &str, kind: &str, body: Value) -> Answer {
        self.send(Method::POST, caller, &format!("/api/Commands/{kind}"), Some(body)).await
    }

    /// Waits until the queue of close commands keeps this number.
    pub(crate) async fn until_held(&self, expected: i64) {
        for _ in 0..500 {
            let queues = self.get("operator", "/api/admin/cases/queues").await.body;
            if queues["queues"][2]["waiting"] == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the queue does not keep {expected} commands");
    }

    /// Waits until the registry of the configuration is in force.
    pub(crate) async fn filled(&self) {
        for _ in 0..500 {
            let audit = self.get("operator", "/api/admin/cases/audit").await.body;
            if audit["entries"].as_array().is_some_and(|entries| entries.len() == self.filling) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the registry is not filled");
    }
}
