//! The state of every release stays readable: the folder that a release left after a few cases lies in
//! `tests/cases/state`, with an entry in each store, and the cases go on from its changelogs and from its snapshots.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use tributary_cases::flow::DECLARATION;
use tributary_connectors::embedded::{EmbeddedLog, Fsync};
use tributary_harness::process::program;
use tributary_harness::released_state::{NOT_USED, check_newest, date_snapshots, declared, released, unpack};
use tributary_harness::service::Service;

const PARTITIONS: i32 = 2;

/// Nothing is old before 2034.
const CONFIGURATION: &str = r#"
[cases]
tombstones = "3000d"
park_for = "3000d"
notifications = { retention = "3000d", unread = "3000d" }
[cases.origins.esdh-a]
client_id = "esdh-a"
details = ["https://esdh.example"]
[cases.clients.journal-1]
client_id = "journal-1"
sees = ["esdh-a"]
[cases.clients.journal-2]
client_id = "journal-2"
"#;

fn archives() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("state")
}

fn guid(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// The program at work on a state folder.
struct Running {
    service: Service,
    url: String,
    client: Client,
}

impl Running {
    fn start(folder: &Path) -> Self {
        std::fs::write(folder.join("dis.toml"), CONFIGURATION).unwrap();
        let mut command = Command::new(program().unwrap_or_else(|text| panic!("{text}")));
        command.args(["run", "--flow", "cases", "--log", "embedded", "--http", "127.0.0.1:0", "--log-level", "debug"]);
        command.args(["--partitions", &PARTITIONS.to_string()]);
        command.arg("--config").arg(folder.join("dis.toml")).arg("--state").arg(folder.join("state"));
        let mut service = Service::start(&mut command);
        let url = service.ready();
        let client = Client::builder().no_proxy().timeout(Duration::from_mins(1)).build().unwrap();
        Self { service, url, client }
    }

    /// The status and the body of an answer.
    async fn ask(&self, method: Method, caller: &str, path: &str, body: Value) -> (u16, Value) {
        let request = self.client.request(method, format!("{}{path}", self.url));
        let request = request.header("tributary-client", caller);
        let json = (!body.is_null()).then(|| body.to_string());
        let request = json
            .into_iter()
            .fold(request, |request, json| request.header("content-type", "application/json").body(json));
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
    }

    async fn get(&self, caller: &str, path: &str) -> Value {
        self.ask(Method::GET, caller, path, Value::Null).await.1
    }

    async fn operate(&self, method: Method, path: &str, body: Value) -> u16 {
        self.ask(method, "operator", &format!("/api/admin/cases/{path}"), body).await.0
    }

    /// Waits until the registry of the configuration is in force.
    async fn filled(&self) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while self.get("operator", "/api/admin/cases/audit").await["entries"].as_array().map(Vec::len) != Some(4) {
            assert!(Instant::now() < deadline, "the registry is not filled");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sends a command of this number about a case, without waiting for its outcome.
    async fn send(&self, number: u32, kind: &str, case: u32) {
        let time = format!("2026-11-20T10:00:{number:02}Z");
        let mut body = json!({"caseId": guid(case), "commandId": guid(number)});
        if kind == "CreateCase" {
            body["created"] = time.into();
            body["caseDetailsUri"] = format!("https://esdh.example/{case}").into();
        } else if kind == "UpdateCase" {
            body["updated"] = time.into();
        }
        let (status, answer) = self.ask(Method::POST, "esdh-a", &format!("/api/Commands/{kind}"), body).await;
        assert_eq!(status, 202, "{answer}");
    }

    /// Sends a command, and waits until its status is as expected.
    async fn command(&self, number: u32, kind: &str, case: u32, expected: &str) {
        self.send(number, kind, case).await;
        self.until(number, expected).await;
    }

    async fn until(&self, command: u32, expected: &str) {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let status = self.status(command).await;
            if status == expected {
                return;
            }
            assert!(Instant::now() < deadline, "the command {command} is {status}, and not {expected}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn status(&self, command: u32) -> String {
        let outcome = self.get("esdh-a", &format!("/api/Commands/{}", guid(command))).await;
        outcome["status"].as_str().unwrap_or_else(|| panic!("{outcome}")).to_owned()
    }

    /// The position, the case and the type of each notification that a client can see.
    async fn told(&self, client: &str) -> Vec<(i64, u32, i64)> {
        let answer = self.get(client, "/api/Notifications?after=0").await;
        let number = |text: &str| text.rsplit('-').next().unwrap().parse().unwrap();
        let items = answer["items"].as_array().unwrap().iter().map(|item| {
            let position = item["position"].as_i64().unwrap();
            (position, number(item["id"].as_str().unwrap()), item["notificationType"].as_i64().unwrap())
        });
        items.collect()
    }
}

/// Leaves an entry in each store of each stage.
async fn fill(running: &Running) {
    for (number, kind, case, expected) in [
        (1, "CreateCase", 1, "applied"),
        (2, "UpdateCase", 1, "applied"),
        (3, "UpdateCase", 2, "parked"),
        (4, "CreateCase", 3, "applied"),
        (5, "DeleteCase", 3, "applied"),
    ] {
        running.command(number, kind, case, expected).await;
    }
    let grant = format!("grants/journal-2/esdh-a/{}", guid(1));
    assert_eq!(running.operate(Method::PUT, &grant, Value::Null).await, 201);
    for kind in ["origins", "clients"] {
        let details =
            if kind == "origins" { json!({"clientId": "x", "details": []}) } else { json!({"clientId": "x"}) };
        assert_eq!(running.operate(Method::PUT, &format!("{kind}/former"), details).await, 201);
        assert_eq!(running.operate(Method::DELETE, &format!("{kind}/former"), Value::Null).await, 204);
    }
    running.get("journal-1", "/api/Notifications?after=3&wait=20").await;
    running.ask(Method::PUT, "journal-1", "/api/Notifications/Acknowledged", json!({"position": 1})).await;
    let again = json!({"client": "journal-1", "caseId": guid(1)});
    assert_eq!(running.operate(Method::POST, "replay", again).await, 200);
    for (number, queue, kind, case) in HELD {
        assert_eq!(running.operate(Method::PUT, &format!("queues/{queue}"), json!({"paused": true})).await, 200);
        running.send(number, kind, case).await;
    }
    let all_wait = |queues: &Value| queues["queues"].as_array().unwrap().iter().all(|queue| queue["waiting"] == 1);
    while !all_wait(&running.get("operator", "/api/admin/cases/queues").await) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Commands that held queues keep: number, queue, type and case.
const HELD: [(u32, &str, &str, u32); 4] = [
    (6, "create", "CreateCase", 4),
    (7, "update", "UpdateCase", 1),
    (8, "close", "CloseCase", 1),
    (9, "delete", "DeleteCase", 5),
];

/// Everything is as it was left, and goes on.
async fn check(running: &Running) {
    check_left(running).await;
    for (_, queue, _, _) in HELD {
        assert_eq!(running.operate(Method::PUT, &format!("queues/{queue}"), json!({"paused": false})).await, 200);
    }
    for (number, expected) in [(6, "applied"), (7, "applied"), (8, "applied"), (9, "unchanged")] {
        running.until(number, expected).await;
    }
    running.command(10, "CreateCase", 2, "applied").await;
    running.until(3, "applied").await;
    running.command(11, "UpdateCase", 3, "dropped").await;
    running.command(12, "CloseCase", 1, "unchanged").await;
    running.command(13, "DeleteCase", 3, "unchanged").await;
    // A repeat has no effect: the case has the time of its update, and nobody is told.
    running.command(1, "CreateCase", 1, "applied").await;
    running.get("journal-1", "/api/Notifications?after=10&wait=20").await;
    let told: BTreeSet<(u32, i64)> =
        running.told("journal-1").await.into_iter().skip(6).map(|(_, case, kind)| (case, kind)).collect();
    assert_eq!(told, BTreeSet::from([(1, 1), (1, 2), (2, 0), (2, 1), (4, 0)]));
    assert_eq!(running.told("journal-2").await.len(), 2, "journal-2 sees one case");
    for (kind, body) in [("origins", json!({"clientId": "y", "details": []})), ("clients", json!({"clientId": "y"}))] {
        assert_eq!(running.operate(Method::PUT, &format!("{kind}/FORMER"), body).await, 409, "{kind}");
    }
    assert_eq!(running.operate(Method::DELETE, "grants/journal-1/esdh-a", Value::Null).await, 204);
    // What is acknowledged is kept, and not seen any more.
    assert_eq!(running.told("journal-1").await, []);
}

async fn check_left(running: &Running) {
    let list = running.get("journal-1", "/api/Cases").await;
    let listed: Vec<(&str, &str)> = list.as_array().unwrap().iter().map(row).collect();
    assert_eq!(listed, [(guid(1).as_str(), "2026-11-20T10:00:02Z")]);
    assert_eq!(running.get("journal-2", "/api/Cases").await, list);
    assert_eq!(running.get("journal-1", "/api/Cases/Deleted").await[0]["id"], guid(3));
    for (number, expected) in [(1, "applied"), (3, "parked"), (5, "applied"), (6, "accepted"), (9, "accepted")] {
        assert_eq!(running.status(number).await, expected, "command {number}");
    }
    let told = [(1, 1, 0), (2, 1, 1), (3, 3, 0), (4, 3, 3), (5, 1, 0), (6, 1, 1)];
    assert_eq!(running.told("journal-1").await, told);
    assert_eq!(running.get("journal-1", "/api/Notifications").await["acknowledged"], 1);
    let queues = running.get("operator", "/api/admin/cases/queues").await;
    let held = |queue: &Value| queue["paused"] == true && queue["waiting"] == 1;
    assert!(queues["queues"].as_array().unwrap().iter().all(held), "{queues}");
    let audit = running.get("operator", "/api/admin/cases/audit").await;
    assert_eq!(audit["entries"].as_array().map(Vec::len), Some(13), "{audit}");
}

fn row(case: &Value) -> (&str, &str) {
    (case["id"].as_str().unwrap(), case["updated"].as_str().unwrap())
}

/// The folder of a release, unpacked.
fn unpacked(archive: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    unpack(archive, folder.path());
    folder
}

async fn check_folder(folder: &Path) -> String {
    let running = Running::start(folder);
    check(&running).await;
    let (code, said) = running.service.end();
    assert_eq!(code, Some(0), "{said}");
    said
}

#[tokio::test]
async fn the_changelogs_of_every_release_are_read() {
    let archives = released(&archives());
    assert!(!archives.is_empty());
    for archive in archives {
        let folder = unpacked(&archive);
        std::fs::remove_dir_all(folder.path().join("state/snapshots")).unwrap();
        check_folder(folder.path()).await;
    }
}

#[tokio::test]
async fn the_snapshots_of_every_release_are_read() {
    for archive in released(&archives()) {
        let folder = unpacked(&archive);
        date_snapshots(&folder.path().join("state"), SystemTime::now());
        let said = check_folder(folder.path()).await;
        assert!(!said.contains(NOT_USED), "a snapshot was not used: {said}");
    }
}

#[tokio::test]
async fn the_newest_folder_holds_the_schemas_that_this_program_writes_and_an_entry_of_each_store() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    running.filled().await;
    fill(&running).await;
    let (code, said) = running.service.end();
    assert_eq!(code, Some(0), "{said}");
    check_newest(&archives(), folder.path());
    let newest = unpacked(released(&archives()).last().unwrap());
    assert_eq!(stores(&newest.path().join("state")), declared(include_str!("../../../pipeline/cases/src/stores.txt")));
}

/// The stores that the changelogs of a state folder have values of.
fn stores(state: &Path) -> BTreeSet<(String, u8)> {
    let log = EmbeddedLog::open(state, Fsync::default(), &DECLARATION.topics(), PARTITIONS, &[]).unwrap();
    let mut found = BTreeSet::new();
    for stage in DECLARATION.stages() {
        let Some(changelog) = stage.changelog else { continue };
        for partition in 0..changelog.partition_count(PARTITIONS) {
            for record in log.read_committed(changelog, partition).unwrap() {
                // The first byte of a key is the number of the store. Those of the runtime begin at 240.
                let number = record.key.first().copied().filter(|number| *number < 240 && record.value.is_some());
                found.extend(number.map(|number| (stage.name.to_owned(), number)));
            }
        }
    }
    found
}
