//! Notifications of subscribers of the own index (A 6.6).

use serde_json::{Value, json};

use crate::messages::{Engaged, texts, update};
use crate::systems::{Answer, Systems};
use crate::world::{Platform, configuration, folder};

const PATIENT: &str = "191212121212";

const TAK: &str = "{\"subscribers\": [
    {\"address\": \"SE-ALL\"}, {\"address\": \"SE-DOWN\"},
    {\"address\": \"SE-SOME\", \"filters\": [{\"domain\": \"RIV:CLINICALPROCESS:HEALTHCOND:ACTOUTCOME\",
                                          \"categories\": [\"other\"]}]}]}";

const FAST: &str = "[aggregation.tak]\nfile = \"tak.json\"\n[aggregation.notification]\nredelivery_delay_ms = 50\n\
                    timeout_ms = 500\n";

async fn platform() -> (Platform, Systems) {
    let systems = Systems::start().await;
    let folder = folder(&configuration(&systems.url, FAST));
    std::fs::write(folder.path().join("tak.json"), TAK).unwrap();
    let platform = Platform::start_in(folder);
    wait_until_it_notifies(&platform).await;
    (platform, systems)
}

/// Subscribers are told to the stages with the first round.
async fn wait_until_it_notifies(platform: &Platform) {
    platform
        .wait_until("the process notifies", async || {
            let request = platform.request(reqwest::Method::GET, "/api/aggregation/subscribers");
            platform.json(request).await.0 == 200
        })
        .await;
}

fn engaged(object: &str) -> Engaged {
    Engaged::laboratory(PATIENT, "SE-UNIT", object)
}

/// The objects that a subscriber was told of, in order.
fn told(systems: &Systems, subscriber: &str) -> Vec<String> {
    let calls = systems.calls().into_iter().filter(|call| call.address == subscriber);
    calls.flat_map(|call| texts(&call.body, "businessObjectInstanceIdentifier")).collect()
}

async fn subscriber(platform: &Platform, address: &str) -> Value {
    let all = platform.get("/api/aggregation/subscribers").await;
    all.as_array().unwrap().iter().find(|one| one["address"] == address).cloned().unwrap_or_default()
}

#[tokio::test]
async fn subscriber_down_delays_nobody() {
    let (platform, systems) = platform().await;
    systems.set("SE-DOWN", Answer::Raw(503, vec![], Vec::new()));
    platform.update(&[engaged("1")]).await;
    // Unchanged: nobody is told. Changed and deleted: everybody.
    platform.update(&[engaged("1")]).await;
    platform.update(&[Engaged { content: "20261127000000".to_owned(), ..engaged("1") }]).await;
    platform.update(&[Engaged { is_deleted: true, ..engaged("1") }]).await;
    platform.wait_until("the one that is up is told", async || told(&systems, "SE-ALL") == ["1"; 3]).await;
    platform
        .wait_until("what the other has not taken are dead letters", async || {
            subscriber(&platform, "SE-DOWN").await["dead"] == 3
        })
        .await;
    // Three notifications, each with two redeliveries. The second and the third may be in one call.
    let calls = systems.calls().iter().filter(|call| call.address == "SE-DOWN").count();
    assert_eq!((calls, told(&systems, "SE-DOWN").len() - calls < 3), (9, true));
    assert_eq!(
        subscriber(&platform, "SE-SOME").await,
        json!({"address": "SE-SOME", "waiting": 0, "delivered": 0, "dead": 0})
    );
    let call = systems.calls().into_iter().find(|call| call.address == "SE-ALL").unwrap();
    let header = |name: &str| call.headers.get(name).map(String::as_str);
    assert_eq!((header("x-vp-sender-id"), header("x-vp-instance-id")), (Some("tributary"), Some("test")));
    assert_eq!(texts(&call.body, "owner"), ["SE-EI"]);
    // It is up again.
    systems.set("SE-DOWN", Answer::Rows(0));
    let (status, replayed) = platform.post("/api/aggregation/subscribers/SE%2DDOWN/replay", &json!({})).await;
    assert_eq!((status, replayed), (200, json!({"replayed": 3})));
    platform
        .wait_until("it is told again", async || {
            let one = subscriber(&platform, "SE-DOWN").await;
            (one["delivered"].as_u64(), one["dead"].as_u64()) == (Some(3), Some(0))
        })
        .await;
    let (status, replayed) = platform.post("/api/aggregation/subscribers/SE-DOWN/replay", &json!({})).await;
    assert_eq!((status, replayed), (200, json!({"replayed": 0})));
    assert_eq!(platform.post("/api/aggregation/subscribers/SE-NOBODY/replay", &json!({})).await.0, 404);
}

#[tokio::test]
async fn a_clean_stop_repeats_nothing_and_what_waits_comes_after_it() {
    let (platform, systems) = platform().await;
    platform.update(&[engaged("1"), engaged("2")]).await;
    platform.wait_until("it is delivered", async || subscriber(&platform, "SE-ALL").await["delivered"] == 1).await;
    systems.set("SE-ALL", Answer::Late(60_000, 0));
    platform.send(platform.soap("/skltp-ei/update-service/v1", update("SE-EI", &[engaged("3")]))).await;
    platform.wait_until("it is tried", async || told(&systems, "SE-ALL").contains(&"3".to_owned())).await;
    let before = told(&systems, "SE-ALL").len();
    let platform = platform.restart();
    systems.set("SE-ALL", Answer::Rows(0));
    wait_until_it_notifies(&platform).await;
    platform.wait_until("it is delivered", async || subscriber(&platform, "SE-ALL").await["delivered"] == 2).await;
    let after = told(&systems, "SE-ALL");
    assert_eq!(after.iter().filter(|object| *object == "1").count(), 1, "{after:?}");
    assert!(after.len() > before && after[2..].iter().all(|object| object == "3"), "{after:?}");
}

/// What an index says reaches the cache of a platform that asks it.
#[tokio::test]
async fn an_index_notifies_a_platform_which_refreshes_its_cache() {
    use crate::messages::{LABORATORY_PATH, laboratory_question, statuses};
    let systems = Systems::start().await;
    let index_folder = folder(&configuration(&systems.url, FAST).replace(&format!("url = \"{}\"\n", systems.url), ""));
    std::fs::write(index_folder.path().join("tak.json"), "{}").unwrap();
    let index = Platform::start_in(index_folder);
    index.update(&[Engaged::laboratory(PATIENT, "SE-1", "1"), Engaged::laboratory(PATIENT, "SE-2", "2")]).await;
    let text = format!(
        "[aggregation.ei]\nmode = \"external\"\nurl = \"{}/skltp-ei/find-content-service/v1\"\nlogical_address = \"SE-EI\"\n\
         [aggregation.tak]\noff = true\n[aggregation.vp]\nurl = \"{}\"\n[aggregation.cache]\nenabled = true\nttl_ms = 60000\n",
        index.url, systems.url
    );
    let platform = Platform::start(&text);
    let tak = format!(
        "{{\"routes\": [{{\"contract\": \"urn:riv:itintegration:engagementindex:ProcessNotificationResponder:1\",
            \"receiver\": \"SE-AGP\", \"url\": \"{}/aggregation/process-notification/v1\"}}],
          \"subscribers\": [{{\"address\": \"SE-AGP\"}}]}}",
        platform.url
    );
    std::fs::write(index.folder.path().join("tak.json"), tak).unwrap();
    assert_eq!(index.post("/api/aggregation/tak/reload", &json!({})).await.0, 200);
    let ask = async || platform.send(platform.soap(LABORATORY_PATH, laboratory_question(PATIENT))).await;
    ask().await;
    assert!(statuses(&ask().await.body).iter().all(|one| one.status == "DataFromCache"));
    // The subscribers reach the stages with the next round, so the change is made until it is heard of.
    let mut minute = 10;
    loop {
        let content = format!("202611271200{minute}");
        index.update(&[Engaged { content, ..Engaged::laboratory(PATIENT, "SE-1", "1") }]).await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let statuses = statuses(&ask().await.body);
        if statuses[0].status == "DataFromSource" {
            assert_eq!(statuses[1].status, "DataFromCache");
            break;
        }
        minute += 1;
        assert!(minute < 60, "the platform is never told");
    }
}

#[tokio::test]
async fn without_a_catalogue_nobody_is_notified_any_more() {
    let (platform, systems) = platform().await;
    platform.update(&[engaged("1")]).await;
    platform.wait_until("it is told", async || told(&systems, "SE-ALL") == ["1"]).await;
    std::fs::write(platform.folder.path().join("agp.toml"), configuration(&systems.url, "")).unwrap();
    let platform = platform.restart();
    wait_until_it_notifies(&platform).await;
    platform.update(&[engaged("2")]).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(told(&systems, "SE-ALL"), ["1"]);
}
