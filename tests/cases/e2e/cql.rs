//! The distribution of cases with its metadata in tables of Cassandra: queries, restarts, and the database away.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod service;

use std::sync::{Mutex, MutexGuard, PoisonError};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use service::{Answer, Folder, Service, problem};
use tributary_harness::Cassandra;

/// One test stops the database, so they run one after the other.
static ALONE: Mutex<()> = Mutex::new(());

const CASES: &str = r#"
[cases]
views = "cql"
list_limit = 30
[cases.origins.esdh-a]
client_id = "esdh-a"
details = ["https://esdh.example"]
[cases.origins.esdh-b]
client_id = "esdh-b"
details = ["https://b.example"]
[cases.clients.journal-1]
client_id = "journal-1"
sees = ["esdh-a"]
"#;

struct World {
    service: Service,
    _alone: MutexGuard<'static, ()>,
}

impl World {
    fn new(cassandra: &Cassandra) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let configuration = format!(
            "[cql]\nnodes = [\"{}\"]\nkeyspace = \"cases_e2e\"\nreplication = 1\nuser = \"{}\"\n\
             password = {{ file = \"password\" }}\ntimeout = \"5s\"\n{CASES}",
            cassandra.node, cassandra.user
        );
        let folder = Folder::new(&configuration);
        folder.write("password", &cassandra.password);
        Self { service: Service::start(folder), _alone: alone }
    }

    fn request(&self, method: Method, caller: &str, path: &str) -> RequestBuilder {
        self.service.request(method, path).header("tributary-client", caller)
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, "journal-1", path)
    }

    async fn command(&self, origin: &str, kind: &str, body: Value) {
        let request = self.request(Method::POST, origin, &format!("/api/Commands/{kind}"));
        let request = request.header("content-type", "application/json").header("prefer", "wait=30");
        let answer = Answer::of(request.body(body.to_string())).await;
        assert_eq!((answer.status, answer.body["status"].as_str()), (200, Some("applied")), "{}", answer.body);
    }

    async fn create(&self, number: u32) {
        let origin = if number % 10 == 9 { "esdh-b" } else { "esdh-a" };
        let host = if origin == "esdh-b" { "b" } else { "esdh" };
        let body = json!({"caseId": case(number), "created": time(number),
            "caseDetailsUri": format!("https://{host}.example/{number}")});
        self.command(origin, "CreateCase", body).await;
    }

    /// The ids of a list.
    async fn listed(&self, query: &str) -> Vec<String> {
        ids(&Answer::of(self.get(&format!("/api/Cases{query}"))).await)
    }
}

fn ids(answer: &Answer) -> Vec<String> {
    let rows = answer.body.as_array().unwrap_or_else(|| panic!("{} {}", answer.status, answer.body));
    rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

fn case(number: u32) -> String {
    format!("6b1f3c1e-0f5b-4a53-9d0c-{:012x}", u64::from(number) * 0x9e37)
}

fn cases(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    numbers.into_iter().map(case).collect()
}

/// A minute each.
fn time(number: u32) -> String {
    format!("2026-11-20T10:{number:02}:00Z")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_and_cases_come_from_tables_also_after_changes_and_a_restart() {
    let Some(cassandra) = Cassandra::find() else { return };
    let mut world = World::new(&cassandra);
    for number in 0..25 {
        world.create(number).await;
    }
    let visible = || (0..25).filter(|number| number % 10 != 9);
    assert_eq!(world.listed("").await, cases(visible()));
    assert_eq!(world.listed("?originSystem=esdh-b").await, cases([]));
    let interval = format!("?updatedFrom={}&updatedTo={}", time(3), time(7));
    assert_eq!(world.listed(&interval).await, cases(3..7));

    // Pages put together are the list.
    let (mut path, mut found) = ("/api/Cases?limit=4".to_owned(), Vec::new());
    loop {
        let answer = Answer::of(world.get(&path)).await;
        found.extend(ids(&answer));
        let link = answer.header("link");
        if link.is_empty() {
            break;
        }
        path = link.trim_start_matches('<').split('>').next().unwrap().to_owned();
    }
    assert_eq!(found, cases(visible()));

    // A case moves in the list, is closed, and is deleted; another is limited to others.
    world.command("esdh-a", "UpdateCase", json!({"caseId": case(3), "updated": time(40)})).await;
    world.command("esdh-a", "CloseCase", json!({"caseId": case(4)})).await;
    world.command("esdh-a", "DeleteCase", json!({"caseId": case(5)})).await;
    let hidden = json!({"caseId": case(6), "updated": time(6), "consumers": ["nobody"]});
    world.command("esdh-a", "UpdateCase", hidden).await;
    for is_restarted in [false, true] {
        if is_restarted {
            world.service = world.service.restart();
        }
        let expected = cases(visible().filter(|number| ![3, 5, 6].contains(number)).chain([3]));
        assert_eq!(world.listed("").await, expected, "restarted: {is_restarted}");
        assert_eq!(world.listed("?status=Closed").await, cases([4]));
        let one = Answer::of(world.get(&format!("/api/Cases/{}", case(3)))).await;
        let (updated, uri) = (one.body["updated"].as_str(), one.body["caseDetailsUri"].as_str());
        assert_eq!((one.status, updated, uri), (200, Some(time(40).as_str()), Some("https://esdh.example/3")));
        for absent in [5, 6, 9, 99] {
            problem(world.get(&format!("/api/Cases/{}", case(absent))), 404, "CaseNotFound", "not visible").await;
        }
        let own = world.request(Method::GET, "esdh-b", &format!("/api/Cases/{}", case(9)));
        assert_eq!(Answer::of(own).await.status, 200);
        assert_eq!(ids(&Answer::of(world.get("/api/Cases/Deleted")).await), cases([5]));
        let shown = Answer::of(world.get(&format!("/api/admin/cases/cases/{}", case(6)))).await.body;
        assert_eq!(shown["consumers"], json!(["nobody"]), "{shown}");
    }
    for number in 30..41 {
        world.create(number).await;
    }
    problem(world.get("/api/Cases"), 404, "ResultTooLarge", "31 cases").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_database_only_queries_of_cases_fail_and_they_return_with_it() {
    let Some(cassandra) = Cassandra::find() else { return };
    let mut world = World::new(&cassandra);
    world.create(1).await;
    let path = |number: u32| format!("/api/Cases/{}", case(number));
    assert_eq!(Answer::of(world.get(&path(1))).await.status, 200);

    let stopped = cassandra.stop();
    world.create(2).await;
    world.command("esdh-a", "DeleteCase", json!({"caseId": case(1)})).await;
    let told = Answer::of(world.get("/api/Notifications?after=2&wait=30")).await.body;
    assert_eq!(told["items"][0]["notificationType"], 3, "{told}");
    problem(world.get("/api/Cases"), 503, "ViewUnavailable", "a list").await;
    problem(world.get(&path(2)), 503, "ViewUnavailable", "a living case").await;
    problem(world.get(&path(1)), 404, "CaseNotFound", "a deleted case").await;
    // A service starts without it, too.
    world.service = world.service.restart();
    problem(world.get(&path(2)), 503, "ViewUnavailable", "after the restart").await;
    world.create(3).await;
    drop(stopped);

    let is_there = |answer: &Answer| {
        assert!(matches!(answer.status, 200 | 503), "{}", answer.body);
        answer.status == 200
    };
    world.service.wait_until("the case is there", || world.get(&path(3)), is_there).await;
    assert_eq!(world.listed("").await, cases(2..4));
    let said = world.service.process.said();
    assert!(said.contains("the tables of cases are not filled for now"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn tables_without_a_database_are_refused_with_the_line() {
    let (code, said) = Folder::new(CASES).refusal();
    assert!(code == Some(2) && said.contains("dis.toml:3: ") && said.contains("needs the table [cql]"), "{said}");
}
