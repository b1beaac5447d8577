//! Notifications on the disk of the process.

use axum::http::Method;
use serde_json::{Value, json};
use tributary_flow::http::{Caller, Roles};

use super::world::{CONFIGURATION, Site, World, settings};

const GRANT: &str = "/api/admin/cases/grants/journal-1/esdh-a";

/// The usual configuration with notifications on the disk.
fn on_disk() -> String {
    CONFIGURATION.replacen("[cases]\n", "[cases]\nnotifications = { store = \"disk\" }\n", 1)
}

/// The case of this number.
fn case(number: u32) -> String {
    format!("6b1f3c1e-0f5b-4a53-9d0c-{number:012}")
}

async fn send(world: &World, kind: &str, body: Value) {
    assert_eq!(world.command("esdh-a-id", kind, body).await.body["status"], "applied");
}

/// The case is created, and updated some times.
async fn tell(world: &World, number: u32, updates: usize) {
    let uri = "https://esdh.example/1";
    let create = json!({"caseId": case(number), "created": "2026-11-20T10:00:00Z", "caseDetailsUri": uri});
    send(world, "CreateCase", create).await;
    for _ in 0..updates {
        send(world, "UpdateCase", json!({"caseId": case(number), "updated": "2026-11-20T11:00:00Z"})).await;
    }
}

/// The notifications of the client, once it has this last position.
async fn items(world: &World, last: i64) -> Vec<Value> {
    let answer = world.get("journal-id", &format!("/api/Notifications?after={}&wait=20", last - 1)).await.body;
    assert_eq!(answer["items"][0]["position"], last, "{answer}");
    let all = world.get("journal-id", "/api/Notifications?after=0&limit=1000").await.body;
    all["items"].as_array().cloned().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_on_the_disk_is_read_as_from_memory_and_either_may_follow_the_other() {
    let world = World::with(&on_disk());
    world.filled().await;
    tell(&world, 1, 30).await;
    tell(&world, 2, 2).await;
    let first = items(&world, 34).await;
    let positions: Vec<i64> = first.iter().map(|item| item["position"].as_i64().unwrap()).collect();
    assert_eq!(positions, (1..=34).collect::<Vec<_>>());
    let page = world.get("journal-id", "/api/Notifications?after=10&limit=5").await.body;
    assert_eq!(page["items"].as_array().unwrap()[..], first[10..15]);
    let mut stream = world.stream(Caller::new("journal-id", Roles::All), "?after=32", None).await.unwrap();
    assert_eq!(stream.next_few(2).await.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["33", "34"]);
    let acknowledge = Some(json!({"position": 20}));
    world.send(Method::PUT, "journal-id", "/api/Notifications/Acknowledged", acknowledge).await;
    let wanted = json!({"client": "journal-1", "caseId": case(2)});
    let replay = world.send(Method::POST, "operator", "/api/admin/cases/replay", Some(wanted)).await;
    assert_eq!(replay.body, json!({"count": 3}));
    let told = world.get("operator", &format!("/api/admin/cases/cases/{}", case(2))).await.body;
    let newest: Vec<i64> =
        told["notifications"].as_array().unwrap().iter().map(|told| told["position"].as_i64().unwrap()).collect();
    assert_eq!(newest, [37, 36, 35, 34, 33, 32]);
    let kept = items(&world, 37).await;
    // It holds what the process has.
    drop(stream);
    let tables = world.site.state_folder().join("tables/database");
    assert!(tables.exists());

    let world = world.restart_with(settings(CONFIGURATION));
    assert_eq!(items(&world, 37).await, kept);
    assert!(!tables.exists(), "what the disk had is not needed any more");
    let world = world.restart_with(settings(&on_disk()));
    assert_eq!(items(&world, 37).await, kept);
    assert_eq!(world.send(Method::DELETE, "operator", GRANT, None).await.status, 204);
    let left = world.get("journal-id", "/api/Notifications?after=0").await.body;
    assert_eq!(left["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_with_one_folder_are_refused() {
    let site = Site::new();
    let world = site.open(settings(&on_disk()), None);
    let refused = site.refused(settings(&on_disk()));
    assert!(refused.contains("notifications.store = \"disk\" needs a folder of its own"), "{refused}");
    assert!(refused.contains("in use by another process") && refused.contains("--state"), "{refused}");
    drop(world);
}
