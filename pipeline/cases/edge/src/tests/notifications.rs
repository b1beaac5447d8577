//! Streams, revocations, replays and numbers.

use axum::http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tributary_flow::http::{Caller, Roles};

use super::world::{Answer, World};

const GRANT: &str = "/api/admin/cases/grants/journal-1/esdh-a";

/// The case of this number.
fn case(number: u32) -> String {
    format!("6b1f3c1e-0f5b-4a53-9d0c-{number:012}")
}

fn journal() -> Caller {
    Caller::new("journal-id", Roles::from_iter(["-"]))
}

/// The case is created, and updated some times.
async fn tell(world: &World, number: u32, updates: usize) {
    let uri = "https://esdh.example/1";
    let create = json!({"caseId": case(number), "created": "2026-11-20T10:00:00Z", "caseDetailsUri": uri});
    assert_eq!(world.command("esdh-a-id", "CreateCase", create).await.body["status"], "applied");
    for _ in 0..updates {
        let update = json!({"caseId": case(number), "updated": "2026-11-20T11:00:00Z"});
        assert_eq!(world.command("esdh-a-id", "UpdateCase", update).await.body["status"], "applied");
    }
}

/// Waits until the client has this last position.
async fn told(world: &World, position: i64) {
    let path = format!("/api/Notifications?after={}&wait=20", position - 1);
    let items = world.get("journal-id", &path).await.body;
    assert_eq!(items["items"][0]["position"], position, "{items}");
}

async fn items(world: &World) -> Vec<Value> {
    let answer = world.get("journal-id", "/api/Notifications?after=0").await.body;
    answer["items"].as_array().cloned().unwrap()
}

async fn act(world: &World, method: Method, path: &str) -> u16 {
    world.send(method, "operator", path, None).await.status
}

async fn replay(world: &World, body: Value) -> Answer {
    world.send(Method::POST, "operator", "/api/admin/cases/replay", Some(body)).await
}

fn pairs(expected: &[(i64, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(id, kind)| (id.to_string(), (*kind).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_has_each_notification_and_continues_where_its_client_says() {
    let world = World::new();
    world.filled().await;
    let mut live = world.stream(journal(), "", None).await.unwrap();
    tell(&world, 1, 1).await;
    assert_eq!(live.next_few(2).await, pairs(&[(1, "created"), (2, "updated")]));
    let close = world.command("esdh-a-id", "CloseCase", json!({"caseId": case(1)})).await;
    assert_eq!(close.body["status"], "applied");
    let delete = world.command("esdh-a-id", "DeleteCase", json!({"caseId": case(1)})).await;
    assert_eq!(delete.body["status"], "applied");
    assert_eq!(live.next_few(2).await, pairs(&[(3, "closed"), (4, "deleted")]));

    let mut resumed = world.stream(journal(), "?after=1", Some("3")).await.unwrap();
    let (_, _, data) = resumed.next().await.unwrap();
    assert_eq!(data, items(&world).await[3], "an item as in the list");
    let mut after = world.stream(journal(), "?after=1", None).await.unwrap();
    assert_eq!(after.next_few(3).await, pairs(&[(2, "updated"), (3, "closed"), (4, "deleted")]));
    let acknowledge = Some(json!({"position": 3}));
    world.send(Method::PUT, "journal-id", "/api/Notifications/Acknowledged", acknowledge).await;
    let mut rest = world.stream(journal(), "", Some("")).await.unwrap();
    assert_eq!(rest.next_few(1).await, pairs(&[(4, "deleted")]));

    let refused = |query: &'static str, last: Option<&'static str>| world.stream(journal(), query, last);
    for (query, last) in [("?after=x", None), ("?after=-1", None), ("", Some("x")), ("", Some("-1"))] {
        assert_eq!(refused(query, last).await.err().unwrap().code(), "InvalidQuery", "{query} {last:?}");
    }
    let origin = Caller::new("esdh-a-id", Roles::All);
    assert_eq!(world.stream(origin, "", None).await.err().unwrap().code(), "NotAClient");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocation_between_making_and_reading() {
    let world = World::new();
    world.filled().await;
    tell(&world, 1, 2).await;
    told(&world, 3).await;
    assert_eq!(act(&world, Method::DELETE, GRANT).await, 204);
    assert_eq!(items(&world).await, Vec::<Value>::new());
    // What was dropped does not come back with the grant.
    assert_eq!(act(&world, Method::PUT, GRANT).await, 201);
    tell(&world, 2, 0).await;
    told(&world, 4).await;
    let found: Vec<Value> = items(&world).await.iter().map(|item| item["id"].clone()).collect();
    assert_eq!(found, [json!(case(2))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocation_in_an_open_stream() {
    let world = World::new();
    world.filled().await;
    let mut stream = world.stream(journal(), "", None).await.unwrap();
    tell(&world, 1, 3).await;
    told(&world, 4).await;
    assert_eq!(stream.next_few(1).await, pairs(&[(1, "created")]));
    // Three more are made, and the client has not taken them yet.
    assert_eq!(act(&world, Method::DELETE, GRANT).await, 204);
    tell(&world, 2, 0).await;
    assert_eq!(act(&world, Method::PUT, "/api/admin/cases/grants/journal-1/esdh-b").await, 201);
    let create = json!({"caseId": case(3), "created": "2026-11-20T10:00:00Z", "caseDetailsUri": "https://b.example/1"});
    assert_eq!(world.command("esdh-b-id", "CreateCase", create).await.body["status"], "applied");
    let (_, _, data) = stream.next().await.unwrap();
    assert_eq!(data["id"], case(3), "nothing of the revoked origin in between");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocation_over_a_restart() {
    let world = World::new();
    world.filled().await;
    tell(&world, 1, 2).await;
    told(&world, 3).await;
    assert_eq!(act(&world, Method::DELETE, GRANT).await, 204);
    // The registry of the configuration, which has the grant, is offered again.
    let world = world.restart();
    let mut stream = world.stream(journal(), "?after=0", None).await.unwrap();
    assert_eq!(items(&world).await, Vec::<Value>::new());
    tell(&world, 2, 0).await;
    assert_eq!(items(&world).await, Vec::<Value>::new());
    assert_eq!(act(&world, Method::PUT, GRANT).await, 201);
    tell(&world, 3, 0).await;
    let (id, _, data) = stream.next().await.unwrap();
    assert_eq!((id.as_str(), &data["id"]), ("4", &json!(case(3))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_token_with_its_client_and_with_the_process() {
    let world = World::new();
    world.filled().await;
    tell(&world, 1, 0).await;
    let from = |seconds| journal().until(Timestamp::now() + SignedDuration::from_secs(seconds));
    let mut short = world.stream(from(2), "", None).await.unwrap();
    assert_eq!(short.next_few(1).await, pairs(&[(1, "created")]));
    assert_eq!(short.next().await, None, "the token has expired");
    assert_eq!(world.stream(from(-1), "", None).await.err().unwrap().status, 401);
    let list = std::sync::Arc::new(());
    let mut listed = world.stream(journal().listed(std::sync::Arc::downgrade(&list)), "?after=1", None).await.unwrap();
    drop(list);
    assert_eq!(listed.next().await, None, "the list of tokens was replaced");

    let mut last = world.stream(Caller::new("blind-id", Roles::All), "", None).await.unwrap();
    let mut removed = world.stream(journal(), "?after=1", None).await.unwrap();
    assert_eq!(act(&world, Method::DELETE, "/api/admin/cases/clients/journal-1").await, 204);
    assert_eq!(removed.next().await, None, "the client is removed");
    world.end();
    assert_eq!(last.next().await, None, "the process ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_has_a_bounded_number_of_streams_and_others_feel_nothing() {
    let world = World::new();
    world.filled().await;
    let mut open = Vec::new();
    let refused = loop {
        match world.stream(journal(), "", None).await {
            Ok(stream) => open.push(stream),
            Err(refused) => break refused,
        }
        assert!(open.len() < 10_000, "no bound");
    };
    assert_eq!((refused.status, refused.code()), (429, "TooManyStreams"));
    assert_eq!(world.get("journal-id", "/api/Notifications?wait=1").await.status, 429);
    assert_eq!(world.get("journal-id", "/api/Notifications").await.status, 200);
    assert!(world.stream(Caller::new("blind-id", Roles::All), "", None).await.is_ok());
    open.pop();
    assert!(world.stream(journal(), "", None).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_tells_again_what_the_client_may_still_see() {
    let world = World::new();
    world.filled().await;
    tell(&world, 1, 1).await;
    tell(&world, 2, 0).await;
    told(&world, 3).await;
    let acknowledge = Some(json!({"position": 2}));
    world.send(Method::PUT, "journal-id", "/api/Notifications/Acknowledged", acknowledge).await;
    let dry = replay(&world, json!({"client": "Journal-1", "dryRun": true})).await;
    assert_eq!((dry.status, dry.body), (200, json!({"count": 3})));
    let one = replay(&world, json!({"client": "journal-1", "caseId": case(1)})).await;
    assert_eq!(one.body, json!({"count": 2}));
    let all = items(&world).await;
    let ids =
        |range: std::ops::Range<usize>| all[range].iter().map(|item| item["messageId"].clone()).collect::<Vec<_>>();
    assert_eq!((all.len(), ids(3..5)), (5, ids(0..2)), "the same message ids at the end of the queue");
    let past = json!({"client": "journal-1", "to": "2026-01-01T00:00:00Z"});
    assert_eq!(replay(&world, past).await.body, json!({"count": 0}));
    assert_eq!(replay(&world, json!({"client": "blind"})).await.body, json!({"count": 0}));
    assert_eq!(replay(&world, json!({"client": "nobody"})).await.code(), "UnknownClient");
    assert_eq!(replay(&world, json!({"client": "journal-1", "caseId": "x"})).await.code(), "InvalidQuery");
    let backwards = json!({"client": "journal-1", "from": "2026-02-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"});
    assert_eq!(replay(&world, backwards).await.code(), "InvalidQuery");
    assert_eq!(act(&world, Method::DELETE, GRANT).await, 204);
    assert_eq!(replay(&world, json!({"client": "journal-1"})).await.body, json!({"count": 0}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_shown_by_the_process_that_runs_the_rounds() {
    let world = World::new();
    world.filled().await;
    tell(&world, 1, 1).await;
    told(&world, 2).await;
    let acknowledge = Some(json!({"position": 1}));
    world.send(Method::PUT, "journal-id", "/api/Notifications/Acknowledged", acknowledge).await;
    world.round();
    let text = world.metrics();
    let expected = [
        r#"tributary_cases_commands_total{type="CreateCase",status="applied"} 1"#,
        r#"tributary_cases_commands_total{type="UpdateCase",status="applied"} 1"#,
        r#"tributary_cases_notifications_total{client="journal-1"} 2"#,
        r#"tributary_cases_notifications_unread_total{client="journal-1"} 0"#,
        r#"tributary_cases_waiting{client="journal-1"} 1"#,
        r#"tributary_cases_waiting{client="blind"} 0"#,
    ];
    for line in expected {
        assert!(text.contains(line), "{line}: {text}");
    }
    // What stood in the log before is not counted again.
    let world = world.restart();
    world.get("journal-id", "/api/Notifications").await;
    world.round();
    let text = world.metrics();
    assert!(!text.contains("cases_commands_total"), "{text}");
    assert!(text.contains(expected[2]), "{text}");
}
