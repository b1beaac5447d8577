//! `tributary run --flow cases` as a process, and requests to its HTTP port.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part of it")]

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use tempfile::TempDir;

/// How long the tests wait for what must become true.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A folder with a configuration file, and the state of the service.
pub struct Folder(TempDir);

impl Folder {
    pub fn new(configuration: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("dis.toml", configuration);
        folder
    }

    pub fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command.args(["run", "--flow", "cases", "--http", "127.0.0.1:0", "--config"]);
        command.arg(self.path("dis.toml")).arg("--state").arg(self.path("state"));
        command
    }

    /// The exit code and the errors of a service that does not start.
    pub fn refusal(&self) -> (Option<i32>, String) {
        let output = self.command().output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// A running service. It is killed when the test ends.
pub struct Service {
    pub process: tributary_harness::service::Service,
    url: String,
    client: Client,
    folder: Folder,
}

impl Service {
    /// Starts the service and waits until it is ready.
    pub fn start(folder: Folder) -> Self {
        let mut process = tributary_harness::service::Service::start(&mut folder.command());
        let url = process.ready();
        let client = Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(PATIENCE).build().unwrap();
        Self { process, url, client, folder }
    }

    /// Ends the service, and starts it again on its state.
    pub fn restart(self) -> Self {
        Self::start(self.stop())
    }

    /// Ends the service. Its folder stays.
    pub fn stop(self) -> Folder {
        let (code, said) = self.process.end();
        assert_eq!(code, Some(0), "{said}");
        self.folder
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// Asks until the answer is the wanted one.
    pub async fn wait_until(&self, what: &str, request: impl Fn() -> RequestBuilder, is_it: impl Fn(&Answer) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = Answer::of(request()).await;
            if is_it(&answer) {
                return;
            }
            assert!(Instant::now() < deadline, "{what} is still not so: {} {}", answer.status, answer.body);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// An answer, with its body as JSON if it is that.
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default();
        Self { status, headers, body }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Checks a problem: its status and code, its form, and what belongs to its status.
    #[track_caller]
    pub fn assert_problem(&self, status: u16, code: &str, about: &str) {
        let found = (self.status, self.body["code"].as_str().unwrap_or_default());
        assert_eq!(found, (status, code), "{about}: {}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json", "{about}");
        assert_eq!(self.body["status"], status, "{about}: {}", self.body);
        assert_eq!(self.body["type"], format!("urn:tributary:problem:{code}"), "{about}");
        assert_eq!(self.body["correlation_id"].as_str(), Some(self.header("x-correlation-id")), "{about}");
        assert_eq!(self.body["errors"].is_array(), status == 400, "{about}: {}", self.body);
        assert_eq!(self.header("www-authenticate") == "Bearer", status == 401, "{about}");
        assert_eq!(self.headers.contains_key("retry-after"), matches!(status, 429 | 503), "{about}");
    }
}

/// Checks the problem that a request ends with.
pub async fn problem(request: RequestBuilder, status: u16, code: &str, about: &str) -> Answer {
    let answer = Answer::of(request).await;
    answer.assert_problem(status, code, about);
    answer
}
