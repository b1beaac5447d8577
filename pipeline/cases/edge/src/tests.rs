//! The flow from its configuration to the notifications of its clients, over HTTP.

mod details;
mod disk;
mod kafka;
mod memory_process;
mod notifications;
mod tables;
pub(crate) mod world;

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use jiff::Timestamp;
use serde_json::json;
use tributary_flow::http::{Caller, Roles};

use world::{CONFIGURATION, Site, World, settings};

const CASE: &str = "6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e";
const COMMAND: &str = "7b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e";
const URI: &str = "https://esdh.example/cases/1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_case_lives_from_its_create_to_its_delete_command_and_its_client_is_notified() {
    let world = World::new();
    world.filled().await;
    let create =
        json!({"caseId": CASE, "commandId": COMMAND, "created": "2026-11-20T10:00:00Z", "caseDetailsUri": URI});
    let created = world.command("esdh-a-id", "CreateCase", create.clone()).await;
    let status = (created.status, created.body["status"].as_str(), created.body["duplicate"].as_bool());
    assert_eq!(status, (200, Some("applied"), Some(false)), "{}", created.body);
    let repeated = world.command("esdh-a-id", "CreateCase", create).await;
    assert_eq!(repeated.body["duplicate"], true, "{}", repeated.body);
    let update = json!({"caseId": CASE, "updated": "2026-11-20T11:00:00+01:00"});
    assert_eq!(world.command("esdh-b-id", "UpdateCase", update.clone()).await.body["code"], "NotOwner");
    assert_eq!(world.command("esdh-a-id", "UpdateCase", update).await.body["status"], "applied");
    assert_eq!(world.command("esdh-a-id", "CloseCase", json!({"caseId": CASE})).await.body["status"], "applied");

    let path = format!("/api/Cases/{CASE}");
    let seen = world.get("journal-id", &path).await;
    assert_eq!((seen.status, seen.body["status"].as_str()), (200, Some("Closed")));
    assert_eq!(world.get("blind-id", &path).await.code(), "CaseNotFound");
    assert_eq!(world.get("nobody", &path).await.code(), "UnknownClient");
    assert_eq!(world.get("journal-id", "/api/Cases/x").await.code(), "InvalidQuery");
    let list = world.get("journal-id", "/api/Cases?updatedFrom=2026-11-20T00:00:00Z&status=Closed").await;
    assert_eq!(list.body.as_array().map(Vec::len), Some(1));
    assert_eq!(world.get("blind-id", "/api/Cases").await.body, json!([]));
    let outcome = world.get("esdh-a-id", &format!("/api/Commands/{COMMAND}")).await;
    assert_eq!((outcome.status, outcome.body["type"].as_str()), (200, Some("CreateCase")));
    assert_eq!(world.get("esdh-b-id", &format!("/api/Commands/{COMMAND}")).await.code(), "CommandNotFound");

    assert_eq!(world.command("esdh-a-id", "DeleteCase", json!({"caseId": CASE})).await.body["status"], "applied");
    assert_eq!(world.get("journal-id", &path).await.code(), "CaseNotFound");
    assert_eq!(world.get("journal-id", "/api/Cases/Deleted").await.body[0]["id"], CASE);

    let last = world.get("journal-id", "/api/Notifications?after=3&wait=10").await.body;
    assert_eq!(last["items"][0]["notificationType"], 3, "{last}");
    let told = world.get("journal-id", "/api/Notifications").await.body;
    let items = told["items"].as_array().cloned().unwrap_or_default();
    let types: Vec<Option<i64>> = items.iter().map(|item| item["notificationType"].as_i64()).collect();
    assert_eq!(types, [Some(0), Some(1), Some(2), Some(3)], "{told}");
    assert_eq!((&items[0]["caseDetailsUri"], &items[3]["caseDetailsUri"]), (&json!(URI), &json!(null)));
    assert_eq!(world.get("esdh-a-id", "/api/Notifications").await.code(), "NotAClient");
    assert_eq!(world.get("blind-id", "/api/Notifications").await.body["items"], json!([]));
    let acknowledge = |position: i64| {
        world.send(Method::PUT, "journal-id", "/api/Notifications/Acknowledged", Some(json!({"position": position})))
    };
    assert_eq!(acknowledge(1).await.body, json!({"acknowledged": 1}));
    assert_eq!(acknowledge(0).await.body, json!({"acknowledged": 1}));
    assert_eq!(acknowledge(99).await.code(), "PositionUnknown");
    let rest = world.get("journal-id", "/api/Notifications").await.body;
    assert_eq!(rest["items"].as_array().map(Vec::len), Some(3), "{rest}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_a_case_leaves_out_is_not_shown_its_notifications_after_its_end_either() {
    let world = World::new();
    world.filled().await;
    let create = json!({"caseId": CASE, "created": "2026-11-20T10:00:00Z", "caseDetailsUri": URI});
    assert_eq!(world.command("esdh-a-id", "CreateCase", create).await.body["status"], "applied");
    let created = world.get("journal-id", "/api/Notifications?wait=10").await.body;
    assert_eq!(created["items"].as_array().map(Vec::len), Some(1), "{created}");
    let leave_out = json!({"caseId": CASE, "updated": "2026-11-20T11:00:00Z", "consumers": []});
    assert_eq!(world.command("esdh-a-id", "UpdateCase", leave_out).await.body["status"], "applied");
    assert_eq!(world.get("journal-id", "/api/Notifications").await.body["items"], json!([]));
    assert_eq!(world.command("esdh-a-id", "DeleteCase", json!({"caseId": CASE})).await.body["status"], "applied");
    assert_eq!(world.get("journal-id", "/api/Notifications").await.body["items"], json!([]));
    assert_eq!(world.get("journal-id", "/api/Cases/Deleted").await.body, json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_registry_is_answered_when_it_is_in_force() {
    let world = World::new();
    world.filled().await;
    let put = |path: &'static str, body| world.send(Method::PUT, "operator", path, body);
    let delete = |path: &'static str| world.send(Method::DELETE, "operator", path, None);
    let client = json!({"clientId": "new-id"});
    let path = "/api/admin/cases/clients/journal-2";
    assert_eq!(
        (put(path, Some(client.clone())).await.status, put(path, Some(client.clone())).await.status),
        (201, 200)
    );
    assert_eq!(put("/api/admin/cases/clients/Journal-2", Some(client)).await.code(), "NameTaken");
    assert_eq!(put("/api/admin/cases/clients/a%20b", Some(json!({"clientId": "x"}))).await.code(), "InvalidName");
    let rabbit = json!({"clientId": "x", "channel": "rabbitmq"});
    assert_eq!(put("/api/admin/cases/clients/r", Some(rabbit)).await.code(), "NoExternalBroker");
    assert_eq!(put("/api/admin/cases/grants/journal-2/esdh-b", None).await.status, 201);
    assert_eq!(put("/api/admin/cases/grants/journal-2/none", None).await.code(), "UnknownOrigin");
    let create = json!({"caseId": CASE, "created": "2026-11-20T10:00:00Z", "caseDetailsUri": "https://b.example/1"});
    assert_eq!(world.command("esdh-b-id", "CreateCase", create).await.body["status"], "applied");
    let path = format!("/api/Cases/{CASE}");
    assert_eq!(world.get("new-id", &path).await.status, 200);
    assert_eq!(delete("/api/admin/cases/grants/journal-2/esdh-b").await.status, 204);
    assert_eq!(delete("/api/admin/cases/grants/journal-2/esdh-b").await.code(), "UnknownGrant");
    assert_eq!(world.get("new-id", &path).await.code(), "CaseNotFound");
    assert_eq!(world.get("new-id", "/api/Notifications").await.body["items"], json!([]));
    assert_eq!(world.command("journal-id", "DeleteCase", json!({"caseId": CASE})).await.code(), "NotAnOrigin");

    assert_eq!(put("/api/admin/cases/queues/delete", Some(json!({"paused": true}))).await.status, 200);
    let audit = world.get("operator", "/api/admin/cases/audit?limit=1").await;
    assert_eq!(audit.body["entries"][0]["action"], "queue.pause");
    let queues = world.get("operator", "/api/admin/cases/queues").await;
    assert_eq!(queues.body["queues"][3], json!({"queue": "delete", "paused": true, "waiting": 0}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_left_out_sees_no_notification_of_the_case_not_even_after_its_end() {
    let world = World::new();
    world.filled().await;
    let create = json!({"caseId": CASE, "created": "2026-11-20T10:00:00Z", "caseDetailsUri": URI});
    assert_eq!(world.command("esdh-a-id", "CreateCase", create.clone()).await.body["status"], "applied");
    let repeated = world.command("esdh-a-id", "CreateCase", create).await;
    assert_eq!(repeated.body["code"], "AlreadyExists");
    let count = async || world.get("journal-id", "/api/Notifications").await.body["items"].as_array().map(Vec::len);
    assert_eq!(count().await, Some(1));
    let update = json!({"caseId": CASE, "updated": "2026-11-20T11:00:00Z", "consumers": ["blind"]});
    assert_eq!(world.command("esdh-a-id", "UpdateCase", update).await.body["status"], "applied");
    assert_eq!(count().await, Some(0));
    assert_eq!(world.command("esdh-a-id", "DeleteCase", json!({"caseId": CASE})).await.body["status"], "applied");
    assert_eq!(count().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_a_repeat_is_the_first_outcome_whatever_it_was() {
    let world = World::new();
    world.filled().await;
    let update = json!({"caseId": CASE, "commandId": COMMAND, "updated": "2026-11-20T11:00:00Z"});
    for (status, is_repeat) in [("parked", false), ("parked", true)] {
        let answer = world.command("esdh-a-id", "UpdateCase", update.clone()).await.body;
        assert_eq!((answer["status"].as_str(), answer["duplicate"].as_bool()), (Some(status), Some(is_repeat)));
    }
    let create = json!({"caseId": CASE, "created": "2026-11-20T10:00:00Z", "caseDetailsUri": URI});
    world.command("esdh-a-id", "CreateCase", create.clone()).await;
    let mut second = create;
    second["commandId"] = "8b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e".into();
    for is_repeat in [false, true] {
        let answer = world.command("esdh-a-id", "CreateCase", second.clone()).await.body;
        assert_eq!((answer["code"].as_str(), answer["duplicate"].as_bool()), (Some("AlreadyExists"), Some(is_repeat)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_says_up_to_when_it_is_complete() {
    let world = World::new();
    world.filled().await;
    let create = json!({"caseId": CASE, "created": "2026-11-20T10:00:00Z", "caseDetailsUri": URI});
    let before = Timestamp::now();
    world.command("esdh-a-id", "CreateCase", create).await;
    for path in ["/api/Cases", "/api/Cases?limit=1", "/api/Cases/Deleted", &format!("/api/Cases/{CASE}")] {
        let request = Request::get(path).extension(Caller::new("journal-id", Roles::from_iter([""; 0])));
        let answer = world.answer(request.body(Body::empty()).unwrap()).await;
        let as_of = answer.headers().get("x-as-of").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let as_of: Timestamp = as_of.parse().unwrap_or_else(|_| panic!("{path}: {as_of}"));
        assert!(as_of >= before.round(jiff::Unit::Millisecond).unwrap() - Duration::from_millis(1), "{path}: {as_of}");
        assert!(as_of <= Timestamp::now(), "{path}: {as_of}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_waits_in_its_queue_is_known_to_a_process_that_did_not_take_it() {
    let mut world = World::new();
    world.filled().await;
    world.stop_workers();
    let create =
        json!({"caseId": CASE, "commandId": COMMAND, "created": "2026-11-20T10:00:00Z", "caseDetailsUri": URI});
    let sent = world.send_on(Method::POST, "esdh-a-id", "/api/Commands/CreateCase", create).await;
    assert_eq!((sent.status, sent.body["status"].as_str()), (202, Some("accepted")), "{}", sent.body);
    let other = world.site.without_workers().open(settings(CONFIGURATION), None);
    let path = format!("/api/Commands/{COMMAND}");
    let found = other.get("esdh-a-id", &path).await;
    let said = (found.status, found.body["status"].as_str(), found.body["type"].as_str());
    assert_eq!(said, (200, Some("accepted"), Some("CreateCase")), "{}", found.body);
    assert_eq!(other.get("esdh-b-id", &path).await.code(), "CommandNotFound");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_queue_that_is_full_refuses_commands_and_takes_them_when_it_goes_on() {
    let mut settings = settings(CONFIGURATION);
    settings.most_held = 2;
    let world = Site::new().open(settings, None);
    world.filled().await;
    let pause = |paused: bool| {
        world.send(Method::PUT, "operator", "/api/admin/cases/queues/close", Some(json!({"paused": paused})))
    };
    assert_eq!(pause(true).await.status, 200);
    let close = || world.send_on(Method::POST, "esdh-a-id", "/api/Commands/CloseCase", json!({"caseId": CASE}));
    for waiting in 1..=2 {
        assert_eq!(close().await.status, 202);
        world.until_held(waiting).await;
    }
    let full = close().await;
    assert_eq!((full.status, full.code()), (503, "QueueFull"), "{}", full.body);
    let update = json!({"caseId": CASE, "updated": "2026-11-20T11:00:00Z"});
    assert_eq!(world.command("esdh-a-id", "UpdateCase", update).await.body["status"], "parked", "the others go on");
    assert_eq!(pause(false).await.status, 200);
    world.until_held(0).await;
    assert_eq!(close().await.status, 202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_registry_is_filled_by_a_later_round_if_the_first_one_could_not() {
    let world = Site::new().with_first_rounds_in_doubt().open(settings(CONFIGURATION), None);
    world.filled().await;
}
