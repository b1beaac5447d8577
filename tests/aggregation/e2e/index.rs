//! The own index over HTTP (A 7.5).

use serde_json::json;

use crate::messages::{Engaged, LABORATORY_DOMAIN, find_content, notification, texts, update};
use crate::systems::Systems;
use crate::world::{Answered, Platform, configuration};

const PATIENT: &str = "191212121212";
const UPDATE: &str = "/skltp-ei/update-service/v1";
const NOTIFY: &str = "/skltp-ei/notification-service/v1";

async fn platform(more: &str) -> Platform {
    let systems = Systems::start().await;
    Platform::start(&configuration(&systems.url, more))
}

fn engaged(object: &str) -> Engaged {
    Engaged::laboratory(PATIENT, "SE-UNIT", object)
}

async fn sent(platform: &Platform, path: &str, body: String) -> Answered {
    platform.send(platform.soap(path, body)).await
}

async fn objects(platform: &Platform, others: &str) -> Vec<String> {
    let found = platform.find(PATIENT, LABORATORY_DOMAIN, others).await;
    texts(&found, "businessObjectInstanceIdentifier")
}

#[tokio::test]
async fn an_update_is_found_with_the_times_and_the_owner_of_the_index() {
    let platform = platform("").await;
    platform.update(&[engaged("1"), engaged("2")]).await;
    let found = platform.find(PATIENT, LABORATORY_DOMAIN, "").await;
    assert_eq!(texts(&found, "owner"), ["SE-EI"; 2]);
    assert!(texts(&found, "creationTime").iter().all(|time| time.len() == 14), "{found}");
    assert!(texts(&found, "updateTime").is_empty());
    // R4: a repeat does not double. A change of mostRecentContent sets updateTime.
    platform.update(&[Engaged { content: "20261127000000".to_owned(), ..engaged("1") }]).await;
    platform
        .wait_until("the change is seen", async || {
            let found = platform.find(PATIENT, LABORATORY_DOMAIN, "").await;
            texts(&found, "updateTime").len() == 1 && texts(&found, "engagement").len() == 2
        })
        .await;
    let filters = [
        ("categorization", "other", 0),
        ("categorization", "und-kkm-ure", 2),
        ("logicalAddress", "SE-UNIT", 2),
        ("businessObjectInstanceIdentifier", "2", 1),
        ("mostRecentContent", "20261125000000", 1),
        ("owner", "SE-EI", 2),
    ];
    for (field, value, count) in filters {
        let others = format!("<r:{field}>{value}</r:{field}>");
        assert_eq!(objects(&platform, &others).await.len(), count, "{others}");
    }
    let empty = find_content(PATIENT, "", "");
    assert!(sent(&platform, "/skltp-ei/find-content-service/v1", empty).await.fault().0.starts_with("EI000: "));
    // R2
    platform.update(&[Engaged { is_deleted: true, ..engaged("2") }]).await;
    assert_eq!(objects(&platform, "").await, ["1"]);
}

#[tokio::test]
async fn a_wrong_update_is_refused_whole_and_says_why() {
    let platform = platform("").await;
    let many: Vec<Engaged> = (0..1_001).map(|number| engaged(&number.to_string())).collect();
    for (body, code, words) in [
        (update("SE-OTHER", &[engaged("1")]), "EI003", "SE-OTHER"),
        (update("SE-EI", &[]), "EI000", ""),
        (update("SE-EI", &many), "EI000", ""),
        (update("SE-EI", &[engaged("1"), engaged("2"), engaged("1")]), "EI002", "#1 and #3"),
        (update("SE-EI", &[engaged("1"), Engaged { address: " x".to_owned(), ..engaged("2") }]), "EI004", ""),
        (
            update("SE-EI", &[engaged("1"), Engaged { category: String::new(), ..engaged("2") }]),
            "EI004",
            "\"categorization\"",
        ),
        (update("SE-EI", &[engaged("1"), Engaged { content: "2026".to_owned(), ..engaged("2") }]), "EI004", ""),
    ] {
        let answered = sent(&platform, UPDATE, body).await;
        let (text, faultcode) = answered.fault();
        assert_eq!((answered.status, faultcode.as_str()), (500, "Server"));
        assert!(text.starts_with(&format!("{code}: ")) && text.contains(words), "{code}: {text}");
        assert!(!text.contains(PATIENT), "{text}");
    }
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(objects(&platform, "").await.is_empty());
}

#[tokio::test]
async fn a_notification_of_another_index_changes_this_one() {
    let platform = platform("").await;
    platform.update(&[engaged("1")]).await;
    let circular = sent(&platform, NOTIFY, notification("SE-EI", "SE-EI", &[engaged("7")])).await;
    assert_eq!(texts(&circular.body, "ResultCode"), ["OK"]);
    // R5: another index owns it now.
    let moved = sent(&platform, NOTIFY, notification("SE-EI", "SE-OTHER-EI", &[engaged("1")])).await;
    assert_eq!(texts(&moved.body, "ResultCode"), ["OK"]);
    platform
        .wait_until("the owner has changed", async || {
            texts(&platform.find(PATIENT, LABORATORY_DOMAIN, "").await, "owner") == ["SE-OTHER-EI"]
        })
        .await;
    assert_eq!(objects(&platform, "").await, ["1"]);
}

#[tokio::test]
async fn a_locked_index_accepts_and_waits_also_over_a_restart() {
    let platform = platform("").await;
    platform.update(&[engaged("1")]).await;
    let (status, locked) = platform.post("/api/aggregation/index/lock", &json!({})).await;
    assert_eq!((status, locked), (200, json!({"locked": true})));
    let accepted = sent(&platform, UPDATE, update("SE-EI", &[engaged("2")])).await;
    assert_eq!(texts(&accepted.body, "ResultCode"), ["OK"]);
    platform
        .wait_until("the update waits", async || platform.get("/api/aggregation/index").await["waiting"] == 1)
        .await;
    let platform = platform.restart();
    assert_eq!(objects(&platform, "").await, ["1"]);
    let expected = json!({"engagements": 1, "locked": true, "waiting": 1});
    assert_eq!(platform.get("/api/aggregation/index").await, expected);
    assert_eq!(platform.get("/skltp-ei/writelock/status").await["writeLockEnabled"], true);
    let unlocked = platform.get("/skltp-ei/writelock/disable").await;
    assert_eq!(unlocked["writeLockEnabled"], false, "{unlocked}");
    platform.wait_until("what has waited is applied", async || objects(&platform, "").await.len() == 2).await;
    let (status, found) = platform.post("/api/aggregation/index/find", &json!({"patient": PATIENT})).await;
    assert_eq!((status, found.as_array().map(Vec::len)), (200, Some(2)));
    assert_eq!(found[0]["logicalAddress"], "SE-UNIT");
    assert_eq!(found[0]["id"].as_str().map(str::len), Some(64));
}

#[tokio::test]
async fn updates_of_one_transaction_are_merged_within_the_window() {
    let systems = Systems::start().await;
    let text = configuration(&systems.url, "").replace("hsa_id", "collect_window_ms = 1000\nhsa_id");
    let platform = Platform::start(&text);
    // Delete wins over a later add in one window (A 6.2).
    for one in [engaged("1"), Engaged { is_deleted: true, ..engaged("1") }, engaged("1"), engaged("2")] {
        let answered = sent(&platform, UPDATE, update("SE-EI", &[one])).await;
        assert_eq!(texts(&answered.body, "ResultCode"), ["OK"]);
    }
    platform.wait_until("the window has ended", async || objects(&platform, "").await == ["2"]).await;
}
