//! What operators see and do.

use reqwest::Method;
use serde_json::{Value, json};
use tributary_registry_sample::Answer;

use crate::world::{NUMBER, OTHER_KEY, World, run_in};

fn path(row: &Value, verb: &str) -> String {
    format!("jobs/{}{verb}", row["databaseId"].as_str().unwrap())
}

#[tokio::test]
async fn jobs_are_listed_in_pages_and_none_shows_a_number() {
    let world = World::start().await;
    world.register.otherwise(Answer::Empty);
    for number in 0..5 {
        world.sync(&format!("19910824-{number:05}"), Some(20)).await;
    }
    let (_, first) = world.admin(Method::GET, "jobs?status=processed&limit=3", None).await;
    let next = first["next"].as_str().unwrap();
    let (_, second) = world.admin(Method::GET, &format!("jobs?kind=unzr&limit=3&cursor={next}"), None).await;
    assert_eq!((first["jobs"].as_array().unwrap().len(), second["jobs"].as_array().unwrap().len()), (3, 2));
    assert_eq!(second["next"], Value::Null);
    assert!(!format!("{first}{second}").contains("19910824"));
    for wrong in ["jobs?status=done", "jobs?kind=other", "jobs?limit=0", "jobs?cursor=x"] {
        assert_eq!(world.admin(Method::GET, wrong, None).await.0, 400, "{wrong}");
    }
    assert_eq!(world.admin(Method::GET, "jobs/0ca5e000-0000-4000-8000-000000000009", None).await.0, 404);
    assert_eq!(world.admin(Method::GET, "jobs/x", None).await.0, 404);
}

#[tokio::test]
async fn a_job_is_retried_cancelled_and_purged() {
    let world = World::start().await;
    world.register.set(NUMBER, [Answer::Fault(500, "Client.X".to_owned(), None), Answer::Hanging, Answer::Found]);
    world.sync(NUMBER, None).await;
    let row = world.row_with(NUMBER, "failed").await;
    let (status, job) = world.admin(Method::POST, &path(&row, "/retry"), None).await;
    assert_eq!((status, &job["status"]), (202, &json!("pending")));
    assert_eq!(world.admin(Method::POST, &path(&row, "/retry"), None).await.0, 409);
    assert_eq!(world.admin(Method::DELETE, &path(&row, ""), None).await.0, 409);
    let (status, job) = world.admin(Method::POST, &path(&row, "/cancel"), None).await;
    assert_eq!((status, &job["status"], &job["error"]["class"]), (200, &json!("failed"), &json!("cancelled")));
    assert_eq!(world.admin(Method::POST, &path(&row, "/cancel"), None).await.0, 409);
    let (status, all) = world.admin(Method::POST, "jobs/retry", Some(json!({"status": "failed"}))).await;
    assert_eq!((status, &all["count"]), (202, &json!(1)));
    world.row_with(NUMBER, "processed").await;
    assert_eq!(world.admin(Method::DELETE, &path(&row, ""), None).await.0, 204);
    assert_eq!(world.row(NUMBER).await, Value::Null);
    assert_eq!(world.admin(Method::GET, &path(&row, ""), None).await.0, 404);
    let (_, audit) =
        world.admin(Method::GET, &format!("audit?resource_id={}", row["databaseId"].as_str().unwrap()), None).await;
    let entries = audit["entries"].as_array().unwrap();
    let mut actions: Vec<&str> = entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    actions.retain(|action| *action != "read");
    assert_eq!(actions, ["sync", "outcome", "retry", "cancel", "outcome", "retry", "outcome", "purge"], "{audit}");
    assert_ne!(world.sync(NUMBER, Some(20)).await["id"], row["id"], "asked again it is a new row");
}

/// A pause survives a restart, and the register is not called meanwhile.
#[tokio::test]
async fn a_kind_that_is_paused_is_not_called() {
    let world = World::start().await;
    let (status, kind) = world.admin(Method::POST, "kinds/unzr/pause", None).await;
    assert_eq!((status, &kind["paused"]), (200, &json!(true)));
    let world = world.restart();
    assert_eq!(world.sync(NUMBER, Some(1)).await["jobStatus"], "pending");
    assert_eq!(world.register.calls_of(NUMBER), 0);
    let (_, kinds) = world.admin(Method::GET, "kinds", None).await;
    let expected = json!([{"kind": "unzr", "paused": true, "breaker": "closed", "in_flight": 0, "pending": 1}]);
    assert_eq!(kinds, expected);
    assert_eq!(world.admin(Method::POST, "kinds/other/pause", None).await.0, 404);
    world.admin(Method::POST, "kinds/unzr/resume", None).await;
    world.row_with(NUMBER, "processed").await;
}

/// As many rows as may be are pending: one more is told to ask again, and no row is made.
#[tokio::test]
async fn more_than_may_be_pending_are_refused() {
    let world = World::start_with("max_pending = 2", "").await;
    world.register.otherwise(Answer::Hanging);
    for number in 0..2 {
        world.sync(&format!("19910824-{number:05}"), None).await;
    }
    let document = "mutation { syncUnzrInfoRegister(input: {unzr: \"19910824-00009\"}) { unzrInfo { id } } }";
    let answer = world.graphql(document, json!({}), None).await;
    let error = &answer["errors"][0]["extensions"];
    assert_eq!(error["code"], "SERVICE_UNAVAILABLE", "{answer}");
    assert!(error["exception"]["retryAfter"].as_i64().unwrap() > 0);
    assert_eq!(world.row("19910824-00009").await, Value::Null);
    // Who joins needs no room.
    assert_eq!(world.sync("19910824-00001", None).await["jobStatus"], "pending");
}

/// Rows are sealed with the first key, on demand, and the former key can then go.
#[tokio::test]
async fn keys_are_rotated() {
    let world = World::start().await;
    let row = world.sync(NUMBER, Some(20)).await;
    let keys = world.folder.path().join("keys.txt");
    let old = std::fs::read_to_string(&keys).unwrap();
    std::fs::write(&keys, format!("k2 {OTHER_KEY}\n{old}")).unwrap();
    let world = world.restart();
    assert_eq!(world.row(NUMBER).await["info"], row["info"]);
    assert_eq!(world.admin(Method::POST, "rekey", None).await, (202, json!({"count": 1})));
    assert_eq!(world.row(NUMBER).await["updatedAt"], row["updatedAt"]);
    // The command is processed once the next one finds nothing.
    while world.admin(Method::POST, "rekey", None).await.1 != json!({"count": 0}) {}
    std::fs::write(&keys, format!("k2 {OTHER_KEY}\n")).unwrap();
    let world = world.restart();
    assert_eq!(world.row(NUMBER).await["info"], row["info"]);
}

/// Keys that do not fit the state: the process ends with 2 and says so.
#[tokio::test]
async fn keys_that_do_not_fit_are_refused() {
    let world = World::start().await;
    world.sync(NUMBER, Some(20)).await;
    let World { process, folder, .. } = world;
    assert_eq!(process.end().0, Some(0));
    for (file, content, named) in [
        ("keys.txt", format!("k2 {OTHER_KEY}\n"), "registry.encryption_keys"),
        ("keys.txt", format!("k1 {OTHER_KEY}\n"), "registry.encryption_keys"),
        ("lookup.key", crate::world::KEY.to_owned(), "registry.lookup_key"),
    ] {
        let path = folder.path().join(file);
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, content).unwrap();
        let output = run_in(&folder, &["--log", "embedded"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), said.contains(named)), (Some(2), true), "{said}");
        std::fs::write(&path, before).unwrap();
    }
}

#[tokio::test]
async fn commands_do_what_the_paths_do() {
    let world = World::start().await;
    world.register.set(NUMBER, [Answer::Fault(500, "Client.X".to_owned(), None), Answer::Found]);
    world.sync(NUMBER, None).await;
    let row = world.row_with(NUMBER, "failed").await;
    let id = row["databaseId"].as_str().unwrap();
    let said = |arguments: &[&str]| {
        let output = world.command(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), text)
    };
    let (code, text) = said(&["jobs", "list", "--status", "failed"]);
    assert_eq!((code, text.contains(id)), (Some(0), true), "{text}");
    assert!(said(&["jobs", "show", id]).1.contains("Client.X"));
    assert!(said(&["jobs", "retry", "--status", "failed"]).1.contains("1 jobs are failed"));
    assert_eq!(world.register.calls_of(NUMBER), 1, "it only counts");
    assert!(said(&["jobs", "retry", "--status", "failed", "--yes"]).1.contains("1 jobs"));
    world.row_with(NUMBER, "processed").await;
    assert!(said(&["kinds"]).1.contains("unzr"));
    assert!(said(&["pause", "unzr"]).1.contains("unzr is paused"));
    assert!(said(&["resume", "unzr"]).1.contains("unzr is called"));
    assert!(said(&["audit", "--action", "retry"]).1.contains(id));
    assert!(said(&["rekey"]).1.contains("0 rows"));
    assert_eq!(said(&["jobs", "cancel", id]).0, Some(2));
    assert!(said(&["jobs", "purge", id]).1.contains("is gone"));
    assert_eq!(said(&["jobs", "show", "../kinds"]).0, Some(2));
}
