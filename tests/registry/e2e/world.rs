//! The program on the embedded log, a register, and the administration panel.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use tributary_harness::service::Service;
use tributary_registry_sample::Register;

/// How long the tests wait for what must become true.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// 32 bytes in Base64, and others.
pub(crate) const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub(crate) const OTHER_KEY: &str = "IAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// An invented number.
pub(crate) const NUMBER: &str = "19910824-00026";

/// All of a row that a test looks at.
const FIELDS: &str = "id databaseId unzr jobStatus syncedAt insertedAt insertedBy updatedAt updatedBy \
    info { firstName lastName documents { number } documentList { number type } }";

/// Calls are repeated soon, so that tests need not wait.
const CALLS: &str =
    "calls = { timeout = \"2s\", wait_base = \"50ms\", wait_factor = \"1ms\", breaker_pause = \"300ms\" }";

/// The running program, its register and its state.
pub(crate) struct World {
    pub(crate) process: Service,
    pub(crate) url: String,
    pub(crate) client: Client,
    pub(crate) folder: TempDir,
    pub(crate) register: Register,
}

/// The configuration, with further entries of `[registry]` and further tables.
pub(crate) fn configuration(register: &Register, entries: &str, tables: &str) -> String {
    let calls = if entries.contains("calls =") { "" } else { CALLS };
    format!(
        "[registry]\nencryption_keys = {{ file = \"keys.txt\" }}\nlookup_key = {{ file = \"lookup.key\" }}\n\
         tick = \"50ms\"\n{calls}\n{entries}\n[registry.trembita]\nurl = \"{}\"\n\
         [registry.job.unzr.service]\nmember_code = \"00000001\"\n{tables}",
        register.url()
    )
}

pub(crate) fn folder(configuration: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_in(&folder, configuration);
    folder
}

/// Writes the configuration and the keys.
pub(crate) fn write_in(folder: &TempDir, configuration: &str) {
    for (name, content) in
        [("registry.toml", configuration), ("keys.txt", &format!("k1 {KEY}\n")), ("lookup.key", OTHER_KEY)]
    {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
}

pub(crate) fn run_in<T: AsRef<std::ffi::OsStr>>(folder: &TempDir, log: &[T]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    command.args(["run", "--flow", "registry", "--http", "127.0.0.1:0"]).args(log).arg("--config");
    command.arg(folder.path().join("registry.toml")).arg("--state").arg(folder.path().join("state"));
    command
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with("", "").await
    }

    /// Starts it with further entries of `[registry]` and further tables.
    pub(crate) async fn start_with(entries: &str, tables: &str) -> Self {
        let register = Register::start(None).await.unwrap();
        let folder = folder(&configuration(&register, entries, tables));
        Self::start_in(folder, register)
    }

    pub(crate) fn start_in(folder: TempDir, register: Register) -> Self {
        Self::start_on(folder, register, &["--log", "embedded"])
    }

    /// Starts it with the options that select a log.
    pub(crate) fn start_on<T: AsRef<std::ffi::OsStr>>(folder: TempDir, register: Register, log: &[T]) -> Self {
        let mut process = Service::start(&mut run_in(&folder, log));
        let url = process.ready();
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { process, url, client, folder, register }
    }

    /// Ends the process, and starts it again on its state.
    pub(crate) fn restart(self) -> Self {
        let (code, said) = self.process.end();
        assert_eq!(code, Some(0), "{said}");
        Self::start_in(self.folder, self.register)
    }

    /// Kills the process, and starts it again on its state.
    pub(crate) fn kill(self) -> Self {
        drop(self.process);
        Self::start_in(self.folder, self.register)
    }

    /// Executes a document. `wait`: seconds.
    pub(crate) async fn graphql(&self, document: &str, variables: Value, wait: Option<u32>) -> Value {
        let mut request = self.client.post(format!("{}/graphql", self.url));
        if let Some(wait) = wait {
            request = request.header("prefer", format!("wait={wait}"));
        }
        let response = request.json(&json!({"query": document, "variables": variables})).send().await.unwrap();
        let status = response.status();
        let answer: Value = response.json().await.unwrap();
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Starts a job, and answers the row.
    pub(crate) async fn sync(&self, number: &str, wait: Option<u32>) -> Value {
        let document = format!(
            "mutation($unzr: String!) {{ syncUnzrInfoRegister(input: {{unzr: $unzr}}) {{ unzrInfo {{ {FIELDS} }} }} }}"
        );
        let mut answer = self.graphql(&document, json!({"unzr": number}), wait).await;
        assert!(answer["errors"].is_null(), "{answer}");
        answer["data"]["syncUnzrInfoRegister"]["unzrInfo"].take()
    }

    /// The row of a number.
    pub(crate) async fn row(&self, number: &str) -> Value {
        let document = format!("query($unzr: String!) {{ unzrInfoRegister(unzr: $unzr) {{ {FIELDS} }} }}");
        let mut answer = self.graphql(&document, json!({"unzr": number}), None).await;
        assert!(answer["errors"].is_null(), "{answer}");
        answer["data"]["unzrInfoRegister"].take()
    }

    /// The row of a number, once its job has this status.
    pub(crate) async fn row_with(&self, number: &str, status: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let row = self.row(number).await;
            if row["jobStatus"] == status {
                return row;
            }
            assert!(Instant::now() < deadline, "expected {status}, found {row}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A job, as operators see it.
    pub(crate) async fn job(&self, row: &Value) -> Value {
        self.admin(Method::GET, &format!("jobs/{}", row["databaseId"].as_str().unwrap()), None).await.1
    }

    /// A request of an operator: its status and its answer.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.client.request(method, format!("{}/api/admin/registry/{path}", self.url));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    /// What `/metrics` says.
    pub(crate) async fn metrics(&self) -> String {
        self.client.get(format!("{}/metrics", self.url)).send().await.unwrap().text().await.unwrap()
    }

    /// A command of the program about the running service.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command.args(["registry"]).args(arguments).args(["--server", &self.url]).output().unwrap()
    }
}
