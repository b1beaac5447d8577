//! The platform as a process on the embedded log, and a consumer of it.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;
use tempfile::TempDir;
use tributary_harness::service::Service;

use crate::messages::{self, Engaged, LABORATORY_PATH};

/// How long the tests wait for what must become true.
const PATIENCE: Duration = Duration::from_secs(30);

/// What most tests configure, beside where calls go. Source systems answer soon, so time-outs are short.
const CONFIGURATION: &str = "
[aggregation]
service_timeout_ms = 1500
aggregate_timeout_ms = 2000
aggregated_service_timeout_ms = 2500
[aggregation.ei]
hsa_id = \"SE-EI\"
";

/// A running platform.
pub(crate) struct Platform {
    pub(crate) process: Service,
    pub(crate) url: String,
    pub(crate) client: Client,
    pub(crate) folder: TempDir,
}

/// An answer to a SOAP request.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Answered {
    pub(crate) async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.text().await.unwrap() }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The text and the code of the fault.
    #[track_caller]
    pub(crate) fn fault(&self) -> (String, String) {
        let first = |local: &str| messages::texts(&self.body, local).into_iter().next();
        let code = first("faultcode").unwrap_or_else(|| panic!("no fault: {self:?}"));
        (first("faultstring").unwrap().replace("&quot;", "\""), code.rsplit(':').next().unwrap().to_owned())
    }
}

/// The configuration with where calls go, and further text.
pub(crate) fn configuration(vp: &str, more: &str) -> String {
    let tak = if more.contains("[aggregation.tak]") { "" } else { "[aggregation.tak]\noff = true\n" };
    format!("{CONFIGURATION}{tak}[aggregation.vp]\nurl = \"{vp}\"\ninstance_id = \"test\"\n{more}")
}

pub(crate) fn folder(configuration: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("agp.toml"), configuration).unwrap();
    folder
}

fn run_in(folder: &TempDir, log: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    command.args(["run", "--flow", "aggregation", "--http", "127.0.0.1:0"]).args(log).arg("--config");
    command.arg(folder.path().join("agp.toml")).arg("--state").arg(folder.path().join("state"));
    command
}

/// The exit code and the errors of a platform that does not start.
pub(crate) fn refusal(folder: &TempDir) -> (Option<i32>, String) {
    let output = run_in(folder, &[]).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

impl Platform {
    pub(crate) fn start(configuration: &str) -> Self {
        Self::start_in(folder(configuration))
    }

    pub(crate) fn start_in(folder: TempDir) -> Self {
        Self::start_with(folder, &["--log".to_owned(), "embedded".to_owned()])
    }

    /// Starts it with the options that select a log.
    pub(crate) fn start_with(folder: TempDir, log: &[String]) -> Self {
        let mut process = Service::start(&mut run_in(&folder, log));
        let url = process.ready();
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { process, url, client, folder }
    }

    /// Ends the process, and starts it again on its state.
    pub(crate) fn restart(self) -> Self {
        let (code, said) = self.process.end();
        assert_eq!(code, Some(0), "{said}");
        Self::start_in(self.folder)
    }

    /// Kills the process, and starts it again on its state.
    pub(crate) fn kill(self) -> Self {
        drop(self.process);
        Self::start_in(self.folder)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// A SOAP request with the headers of a consumer.
    pub(crate) fn soap(&self, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        let request = self.request(Method::POST, path).header("content-type", "text/xml; charset=UTF-8");
        request
            .header("x-vp-sender-id", "sample-sender-id")
            .header("x-rivta-original-serviceconsumer-hsaid", "sample-original-consumer-hsaid")
            .header("x-skltp-correlation-id", "test-corr-id")
            .body(body)
    }

    pub(crate) async fn ask(&self, patient: &str) -> Answered {
        self.send(self.soap(LABORATORY_PATH, messages::laboratory_question(patient))).await
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answered {
        Answered::of(request.send().await.unwrap()).await
    }

    /// Sends an update, which must be accepted, and waits until the index shows it.
    pub(crate) async fn update(&self, engagements: &[Engaged]) {
        if engagements.is_empty() {
            return;
        }
        let answered =
            self.send(self.soap("/skltp-ei/update-service/v1", messages::update("SE-EI", engagements))).await;
        assert_eq!((answered.status, messages::texts(&answered.body, "ResultCode")), (200, vec!["OK".to_owned()]));
        for engaged in engagements {
            self.wait_until("the index shows the update", async || {
                let found = self.find(&engaged.patient, &engaged.domain, "").await;
                let objects = messages::texts(&found, "businessObjectInstanceIdentifier");
                objects.contains(&engaged.object) != engaged.is_deleted
            })
            .await;
        }
    }

    /// The answer of the index.
    pub(crate) async fn find(&self, patient: &str, domain: &str, others: &str) -> String {
        let question = messages::find_content(patient, domain, others);
        let answered = self.send(self.soap("/skltp-ei/find-content-service/v1", question)).await;
        assert_eq!(answered.status, 200, "{}", answered.body);
        answered.body
    }

    pub(crate) async fn json(&self, request: RequestBuilder) -> (u16, Value) {
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.json(self.request(Method::GET, path)).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = self.request(Method::POST, path).header("content-type", "application/json");
        self.json(request.body(body.to_string())).await
    }

    pub(crate) async fn wait_until(&self, what: &str, is_it: impl AsyncFn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is_it().await {
            assert!(Instant::now() < end, "{what}: still not");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs `tributary aggregation ...` against it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command.arg("aggregation").args(arguments).args(["--server", &self.url]);
        command.output().unwrap()
    }
}
