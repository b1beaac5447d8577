//! `tributary cases ...` at a running service on the embedded log: what each command says, and its exit code.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use tributary_harness::service::Service;

/// The example that the flow comes with.
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../cases/config/example.toml");

const CASE: &str = "6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e";

/// What a command answered.
#[derive(Debug)]
struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Answer {
    fn document(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A state folder, and the service that may run in it.
struct World(TempDir);

impl World {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }

    fn serve(&self, config: &Path) -> (Service, String) {
        let mut command = tributary("run --flow cases --log embedded --http 127.0.0.1:0");
        let mut service = Service::start(command.arg("--state").arg(self.state()).arg("--config").arg(config));
        let url = service.ready();
        (service, url)
    }

    fn ask(&self, line: &str) -> Answer {
        run(tributary("cases").args(line.split_whitespace()).arg("--state").arg(self.state()))
    }

    /// What a command says that succeeds.
    fn said(&self, line: &str) -> String {
        let answer = self.ask(line);
        assert_eq!(answer.code, 0, "{line}: {answer:?}");
        answer.stdout
    }

    fn document(&self, line: &str) -> Value {
        self.ask(&format!("{line} --output json")).document()
    }

    /// A command that the service or the command line refuses.
    fn refused(&self, line: &str, said: &str) {
        let answer = self.ask(line);
        assert_eq!(answer.code, 2, "{line}: {answer:?}");
        assert!(answer.stderr.contains(said), "{line}: {answer:?}");
    }
}

fn tributary(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    command.args(line.split_whitespace()).env_remove("TRIBUTARY_LOG_LEVEL").env_remove("TRIBUTARY_TOKEN");
    command
}

fn run(command: &mut Command) -> Answer {
    let output = command.output().unwrap();
    Answer {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Sends a command of an origin system, and waits for its outcome.
fn send(url: &str, origin: &str, kind: &str, body: &Value) -> Value {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(format!("{url}/api/Commands/{kind}")).header("content-type", "application/json");
        let request = request.header("tributary-client", origin).header("prefer", "wait=20").body(body.to_string());
        serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap()
    })
}

#[test]
fn operators_read_and_change_everything_at_a_running_service() {
    let world = World::new();
    let (service, url) = world.serve(Path::new(EXAMPLE));
    let origins = world.document("origins list");
    assert_eq!((&origins["version"], &origins["origins"][0]["name"]), (&json!(7), &json!("esdh-a")), "{origins}");
    assert_eq!(
        world.said("clients list"),
        "client     client id  channel  format\n\
         archive-1  archive-1  api      masstransit\n\
         journal-1  journal-1  api      masstransit\n"
    );

    assert_eq!(world.said("grants add archive-1 esdh-test"), "archive-1 now sees all cases of esdh-test\n");
    assert_eq!(world.said("grants add archive-1 esdh-test"), "archive-1 saw already all cases of esdh-test\n");
    assert!(world.said("grants list").contains("archive-1  esdh-test  all\n"));
    world.refused("grants add nobody esdh-a", "there is no such client");
    world.refused("grants revoke journal-1 nobody", "there is no such origin system");
    world.refused(&format!("grants revoke journal-1 esdh-a {CASE}"), "there is no such grant");
    world.said("grants revoke archive-1 esdh-test");

    assert!(world.said("clients put journal-2 --client-id j2").contains("is added"));
    assert!(world.said("clients put journal-2 --client-id j2").contains("was there"));
    world.refused("clients put JOURNAL-2 --client-id j3", "another one has the name");
    world.refused("clients put journal-2 --client-id j2 --channel rabbitmq", "no external broker");
    world.refused("clients put a/b --client-id x", "invalid value 'a/b'");
    assert_eq!(world.document("clients remove journal-2"), json!({"name": "journal-2", "removed": true}));
    world.refused("clients remove journal-2", "there is no such client");
    world.said("origins put esdh-b --client-id b --details https://b.example https://c.example");
    assert!(world.said("origins list").contains("https://b.example, https://c.example"));
    world.refused("origins put esdh-b --client-id b --details b.example", "details");
    world.said("origins remove esdh-b");
    let audit = world.document("audit list --limit 1");
    assert_eq!(audit["entries"].as_array().unwrap().len(), 1, "{audit}");
    assert_eq!(audit["entries"][0]["action"], "origin.delete", "{audit}");

    let create = json!({"caseId": CASE, "created": "2026-11-20T10:00:00Z",
        "caseDetailsUri": "https://esdh-a.example/1", "consumers": ["archive-1"]});
    assert_eq!(send(&url, "esdh-a", "CreateCase", &create)["status"], "applied");
    let shown = world.said(&format!("show {CASE}"));
    assert!(shown.contains("origin     esdh-a\n") && shown.contains("seen by    archive-1\n"), "{shown}");
    world.refused("show 00000000-0000-4000-8000-000000000000", "there is no case");

    let (code, log) = service.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("registry apply"), "nothing differs: {log}");
}

#[test]
fn an_invented_case_of_a_test_origin_lives_through_held_queues_too() {
    let world = World::new();
    let (service, _) = world.serve(Path::new(EXAMPLE));
    let tried = world.document("try esdh-test");
    let statuses: Vec<&str> =
        tried["commands"].as_array().unwrap().iter().map(|command| command["status"].as_str().unwrap()).collect();
    assert_eq!((statuses, &tried["clients"]), (vec!["applied"; 4], &json!(["journal-1"])), "{tried}");
    let case = tried["caseId"].as_str().unwrap();
    let told = world.document(&format!("show {case}"));
    let types: Vec<i64> = told["notifications"]
        .as_array()
        .unwrap()
        .iter()
        .map(|told| told["notificationType"].as_i64().unwrap())
        .collect();
    assert_eq!((types, &told["case"]), (vec![3, 2, 1, 0], &Value::Null), "{told}");
    world.refused("try esdh-a", "no test origin");
    world.refused("try nobody", "there is no origin system nobody");

    world.said("queues pause close");
    assert!(world.said("queues list").contains("close   yes           0\n"), "{}", world.said("queues list"));
    let held = world.document("try esdh-test");
    assert_eq!(held["commands"][2]["status"], "accepted", "{held}");
    let case = held["caseId"].as_str().unwrap();
    assert_eq!(world.document("queues list")["queues"][2]["waiting"], 1);
    assert!(world.said("queues resume close").contains("goes on"));
    let shown = world.document(&format!("show {case}"));
    assert_eq!(shown["case"], Value::Null, "no invented case stays: {shown}");
    assert_eq!(service.end().0, Some(0));
}

#[test]
fn the_registry_is_made_like_the_file_only_by_apply() {
    let world = World::new();
    let (service, _) = world.serve(Path::new(EXAMPLE));
    let apply = format!("registry apply --config {EXAMPLE}");
    assert_eq!(world.said(&apply), "the registry is as in the file\n");
    world.said("grants revoke archive-1 esdh-a");
    world.said("clients put guest --client-id guest");
    assert_eq!(service.end().0, Some(0));

    let (mut service, _) = world.serve(Path::new(EXAMPLE));
    let warning = service.wait_until_said("clients of the registry that the file does not have: 1 (guest)");
    assert!(warning.contains(&format!("tributary cases registry apply --config {EXAMPLE}")), "{warning}");
    service.wait_until_said("grants of the file that the registry does not have: 1 (archive-1 on esdh-a)");
    assert!(!world.said("grants list").contains("archive-1"), "a restart undoes no revocation");
    let differences =
        "remove the client guest, its grants and its queue\ngrant archive-1 the cases of esdh-a\n\n2 changes";
    assert_eq!(world.said(&apply), format!("{differences}: add --yes to carry this out\n"));
    assert_eq!(world.document(&apply)["changes"][1]["action"], "grant.add");
    assert_eq!(world.said(&format!("{apply} --yes")), format!("{differences} carried out\n"));
    assert_eq!(world.said(&apply), "the registry is as in the file\n");
    world.refused("registry apply", "--config FILE");
    let wrong = world.0.path().join("wrong.toml");
    fs::write(&wrong, "[cases]\nlist_limit = 0\n").unwrap();
    world.refused(&format!("registry apply --config {}", wrong.display()), "wrong.toml:2:");
    assert_eq!(service.end().0, Some(0));
}

#[test]
fn without_a_service_a_command_says_how_to_name_one() {
    let world = World::new();
    world.refused("grants list", "--server");
    let away = world.ask("grants list --server http://127.0.0.1:1");
    assert_eq!(away.code, 1, "{away:?}");
    assert!(away.stderr.contains("does not answer"), "{away:?}");
}

#[test]
fn the_example_is_checked_and_shown() {
    let checked = run(tributary("config check --config").arg(EXAMPLE));
    assert_eq!(checked.code, 0, "{checked:?}");
    let shown = run(tributary("config show --config").arg(EXAMPLE));
    assert_eq!(shown.code, 0, "{shown:?}");
    let table: toml::Table = shown.stdout.parse().unwrap();
    assert_eq!(table["cases"]["origins"]["esdh-test"]["test"].as_bool(), Some(true), "{shown:?}");
}

#[test]
fn the_demo_shows_who_is_notified_of_what_and_what_waits_for_the_broker() {
    let folder = tempfile::tempdir().unwrap();
    let demo = run(tributary("demo cases --dir").arg(folder.path()));
    assert_eq!(demo.code, 0, "{demo:?}");
    let after = |start: &str, part: &str| demo.stdout.split_once(start).is_some_and(|(_, rest)| rest.contains(part));
    assert!(after("2. ", "partner-1  rabbitmq  2 waiting"), "{demo:?}");
    let back = demo.stdout.split_once("3. ").unwrap().1.split_once("4. ").unwrap().0;
    let delivered: Vec<&str> = back.lines().filter(|line| line.contains("partner-1")).collect();
    assert!(delivered.len() == 2 && delivered[0].contains("Updated") && delivered[1].contains("Closed"), "{back}");
    let revoked = demo.stdout.split_once("4. ").unwrap().1.split_once("5. ").unwrap().0;
    assert!(revoked.contains("archive-1  api       Closed") && !revoked.contains("     journal-1"), "{revoked}");
    let next = folder.path().join("dis.toml");
    assert_eq!(run(tributary("config check --config").arg(next)).code, 0);
}
