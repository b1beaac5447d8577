//! One process on the embedded log, or several on Kafka, and requests to any of them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tributary_harness::service::Service;
use tributary_harness::{Cassandra, Services};

use crate::PATIENCE;

const CONFIGURATION: &str = r#"
[cases.origins.esdh-a]
client_id = "esdh-a"
details = ["https://esdh.example"]
[cases.origins.esdh-b]
client_id = "esdh-b"
details = ["https://esdh.example"]
[cases.clients.journal-1]
client_id = "journal-1"
sees = ["esdh-a", "esdh-b"]
[cases.clients.journal-2]
client_id = "journal-2"
sees = ["esdh-a"]
"#;

/// The processes.
pub struct Cluster {
    folder: TempDir,
    log: Vec<String>,
    http: reqwest::Client,
    members: Vec<Mutex<Member>>,
    next: AtomicUsize,
}

struct Member {
    service: Option<Service>,
    url: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

impl Cluster {
    /// One process. Its tables are in the database, if there is one.
    pub fn embedded(tables: Option<&Cassandra>) -> Self {
        Self::start(vec!["--log".to_owned(), "embedded".to_owned()], tables, 1)
    }

    /// Processes that share a namespace, and tables in the database, if there is one.
    pub fn on_kafka(services: &Services, namespace: &str, tables: Option<&Cassandra>, count: usize) -> Self {
        Self::start(services.flags(namespace), tables, count)
    }

    fn start(log: Vec<String>, tables: Option<&Cassandra>, count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tables = tables.map_or_else(String::new, |cassandra| {
            std::fs::write(folder.path().join("password"), &cassandra.password).unwrap();
            format!(
                "[cql]\nnodes = [\"{}\"]\nkeyspace = \"cases_kills\"\nreplication = 1\nuser = \"{}\"\n\
                 password = {{ file = \"password\" }}\ntimeout = \"20s\"\n[cases]\nviews = \"cql\"\n",
                cassandra.node, cassandra.user
            )
        });
        std::fs::write(folder.path().join("dis.toml"), format!("{tables}{CONFIGURATION}")).unwrap();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).no_proxy().build().unwrap();
        let members = (0..count).map(|_| Mutex::new(Member { service: None, url: None })).collect();
        let cluster = Self { folder, log, http, members, next: AtomicUsize::new(0) };
        for number in 0..count {
            cluster.start_member(number);
        }
        cluster
    }

    /// Kills a process and starts it again.
    pub fn kill_and_start(&self, number: u32) {
        let number = number as usize % self.members.len();
        {
            let mut member = self.member(number);
            member.url = None;
            // Dropping it kills it.
            member.service = None;
        }
        self.start_member(number);
    }

    /// Asks all processes to end, and expects that they do.
    pub fn end(&self) {
        for number in 0..self.members.len() {
            let service = self.member(number).service.take();
            let Some((code, said)) = service.map(Service::end) else { continue };
            assert!(code == Some(0) && !said.contains("panicked"), "process {number}: {said}");
        }
    }

    /// Sends a request to any process until one answers. `accepts` says which answers count; others are asked for again.
    pub async fn ask(
        &self,
        method: reqwest::Method,
        caller: &str,
        path: &str,
        body: Option<&Value>,
        accepts: impl Fn(&Answer) -> bool,
    ) -> Answer {
        let deadline = Instant::now() + PATIENCE;
        let mut last = "no process was there".to_owned();
        loop {
            assert!(Instant::now() < deadline, "{method} {path} as {caller}: {last}");
            match self.try_once(&method, caller, path, body).await {
                Some(Ok(answer)) if accepts(&answer) => return answer,
                Some(Ok(answer)) => last = format!("{answer:?}"),
                Some(Err(error)) => last = error.to_string(),
                None => {}
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn try_once(
        &self,
        method: &reqwest::Method,
        caller: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Option<Result<Answer, reqwest::Error>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed) % self.members.len();
        let url = self.member(number).url.clone()?;
        let request = self.http.request(method.clone(), format!("{url}{path}")).header("Tributary-Client", caller);
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        };
        Some(Self::answer(request).await)
    }

    async fn answer(request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or_default() })
    }

    fn start_member(&self, number: usize) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command.args(["run", "--flow", "cases", "--http", "127.0.0.1:0", "--instance", &number.to_string()]);
        command.args(&self.log).arg("--config").arg(self.path("dis.toml"));
        command.arg("--state").arg(self.path(&format!("state-{number}")));
        let mut service = Service::start(&mut command);
        // Origins and clients go on meanwhile.
        let url = tokio::task::block_in_place(|| service.ready());
        let mut member = self.member(number);
        (member.service, member.url) = (Some(service), Some(url));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn member(&self, number: usize) -> std::sync::MutexGuard<'_, Member> {
        self.members[number].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
