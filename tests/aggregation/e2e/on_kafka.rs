//! Two processes of one namespace on Kafka.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use tributary_harness::{Services, fresh_namespace};

use crate::messages::{Engaged, LABORATORY_DOMAIN, statuses, texts};
use crate::systems::Systems;
use crate::world::{Platform, configuration, folder};

const PATIENT: &str = "191212121212";

const SETTINGS: &str = "[aggregation.tak]\nfile = \"tak.json\"\n[aggregation.cache]\nenabled = true\nttl_ms = 60000\n\
    [kafka.consumer]\n\"session.timeout.ms\" = \"6000\"\n\"heartbeat.interval.ms\" = \"1000\"\n";

/// Subscribers are notified of nothing that came before they were told to the stages, which takes a round.
async fn told(platform: &Platform, systems: &Systems, name: &str) -> Vec<String> {
    for number in 0.. {
        platform.update(&[Engaged::laboratory(PATIENT, "SE-3", &format!("{name}-{number}"))]).await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let objects = objects(systems);
        if objects.iter().any(|object| object.starts_with(name)) {
            return objects;
        }
        assert!(number < 300, "the subscriber is never told");
    }
    unreachable!("the loop ends by itself")
}

fn objects(systems: &Systems) -> Vec<String> {
    let calls = systems.calls().into_iter().filter(|call| call.address == "SE-ALL");
    calls.flat_map(|call| texts(&call.body, "businessObjectInstanceIdentifier")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_the_index_and_one_notifies_after_the_other() {
    let Some(services) = Services::find() else { return };
    let namespace = fresh_namespace("aggregation");
    let systems = Systems::start().await;
    let contract = "urn:riv:clinicalprocess:healthcond:actoutcome:GetLaboratoryOrderOutcomeResponder:4";
    let tak = format!(
        "{{\"subscribers\": [{{\"address\": \"SE-ALL\"}}], \"routes\": [{{\"contract\": \"{contract}\", \"receiver\": \"*\"}}],
          \"permissions\": [{{\"contract\": \"{contract}\", \"receiver\": \"*\", \"sender\": \"sample-sender-id\"}}]}}"
    );
    let start = |instance: &str| {
        let folder = folder(&configuration(&systems.url, SETTINGS));
        std::fs::write(folder.path().join("tak.json"), &tak).unwrap();
        let mut flags = services.flags(&namespace);
        flags.extend(["--instance".to_owned(), instance.to_owned()]);
        Platform::start_with(folder, &flags)
    };
    let (first, second) = (start("one"), start("two"));
    let known = [Engaged::laboratory(PATIENT, "SE-1", "1"), Engaged::laboratory(PATIENT, "SE-2", "2")];
    first.update(&known).await;
    second
        .wait_until("the other process sees the update", async || statuses(&second.ask(PATIENT).await.body).len() == 2)
        .await;
    second.ask(PATIENT).await;
    let cached = statuses(&second.ask(PATIENT).await.body);
    assert!(cached.iter().all(|one| one.status == "DataFromCache"), "{cached:?}");
    // A change that one process takes in marks the cache of the other.
    first.update(&[Engaged { content: "20261127000000".to_owned(), ..known[0].clone() }]).await;
    second
        .wait_until("the other process asks the changed address again", async || {
            let statuses = statuses(&second.ask(PATIENT).await.body);
            statuses[0].status == "DataFromSource" && statuses[1].status == "DataFromCache"
        })
        .await;
    let before = told(&first, &systems, "before").await;
    // Whichever process notifies, the other takes over.
    drop(first);
    let after = told(&second, &systems, "after").await;
    assert!(after.len() > before.len());
    let objects: BTreeSet<_> = after.iter().filter(|object| object.starts_with("before")).collect();
    assert!(!objects.is_empty());
    let (code, said) = second.process.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains(PATIENT), "{said}");
}

/// The cache in the log: both processes read it, and a change while one is down marks what it takes back.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_the_cache_in_the_log() {
    let Some(services) = Services::find() else { return };
    let namespace = fresh_namespace("aggregation-cache");
    let systems = Systems::start().await;
    let cache = "[aggregation.tak]\noff = true\n[aggregation.cache]\nenabled = true\nstore = \"log\"\n\
                 key = { file = \"cache.key\" }\nttl_ms = 600000\n";
    let start = |instance: &str| {
        let folder = folder(&configuration(&systems.url, cache));
        std::fs::write(folder.path().join("cache.key"), "5a".repeat(32)).unwrap();
        let mut flags = services.flags(&namespace);
        flags.extend(["--instance".to_owned(), instance.to_owned()]);
        Platform::start_with(folder, &flags)
    };
    let (first, second) = (start("one"), start("two"));
    let known = [Engaged::laboratory(PATIENT, "SE-1", "1"), Engaged::laboratory(PATIENT, "SE-2", "2")];
    first.update(&known).await;
    // What an entry was made of is marked, if the marks of the update come after it.
    tokio::time::sleep(Duration::from_secs(1)).await;
    first.ask(PATIENT).await;
    let states = async |platform: &Platform| {
        let statuses = statuses(&platform.ask(PATIENT).await.body);
        statuses.into_iter().map(|one| one.status).collect::<Vec<_>>()
    };
    let entries = async |platform: &Platform| platform.get("/api/aggregation/cache").await["entries"].clone();
    second.wait_until("the other process reads the entry", async || entries(&second).await == json!(1)).await;
    assert_eq!((states(&second).await, systems.called().len()), (vec!["DataFromCache".to_owned(); 2], 2));
    let (code, said) = first.process.end();
    assert_eq!(code, Some(0), "{said}");
    second.update(&[Engaged { content: "20261127000000".to_owned(), ..known[0].clone() }]).await;
    second
        .wait_until("the index has the change", async || {
            texts(&second.find(PATIENT, LABORATORY_DOMAIN, "").await, "updateTime").len() == 1
        })
        .await;
    let first = start("one");
    assert_eq!(states(&first).await, ["DataFromSource", "DataFromCache"]);
    assert_eq!(systems.called(), ["SE-1", "SE-1", "SE-2"]);
    // Clearing in one process reaches the other.
    let (status, _) = first.post("/api/aggregation/cache/clear", &json!({})).await;
    assert_eq!(status, 200);
    second.wait_until("the other process has let it go", async || entries(&second).await == json!(0)).await;
}
