//! The cache in the log: what a restart keeps, and what it does not.

use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use crate::messages::{Engaged, statuses, texts};
use crate::systems::Systems;
use crate::world::{Answered, Platform, configuration, folder, refusal};

const PATIENT: &str = "191212121212";

const CACHE: &str =
    "[aggregation.cache]\nenabled = true\nstore = \"log\"\nkey = { file = \"cache.key\" }\nttl_ms = 600000\n";

fn two() -> Vec<Engaged> {
    [1, 2].map(|number| Engaged::laboratory(PATIENT, &format!("SE-{number}"), &number.to_string())).into()
}

fn folder_with_key(configuration: &str) -> TempDir {
    let folder = folder(configuration);
    set_key(folder.path(), &"5a".repeat(32));
    folder
}

fn set_key(folder: &Path, key: &str) {
    std::fs::write(folder.join("cache.key"), key).unwrap();
}

async fn platform() -> (Platform, Systems) {
    let systems = Systems::start().await;
    let platform = Platform::start_in(folder_with_key(&configuration(&systems.url, CACHE)));
    platform.update(&two()).await;
    (platform, systems)
}

/// The state of both addresses.
fn states(answered: &Answered) -> Vec<String> {
    statuses(&answered.body).into_iter().map(|one| one.status).collect()
}

const SOURCE: [&str; 2] = ["DataFromSource"; 2];
const CACHED: [&str; 2] = ["DataFromCache"; 2];

/// A metric that counts.
async fn metric(platform: &Platform, name: &str) -> u64 {
    let shown = platform.send(platform.request(reqwest::Method::GET, "/metrics")).await.body;
    let line = shown.lines().find(|line| line.starts_with(&format!("tributary_aggregation_{name} ")));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("no {name}: {shown}"))
}

#[tokio::test]
async fn a_restart_serves_from_the_cache_with_the_time_of_the_real_call() {
    let (platform, systems) = platform().await;
    let first = platform.ask(PATIENT).await;
    assert_eq!(states(&first), SOURCE);
    let platform = platform.restart();
    // The stamps have seconds: a time of the restart would be another one.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let second = platform.ask(PATIENT).await;
    assert_eq!((states(&second), systems.called().len()), (CACHED.map(str::to_owned).into(), 2), "{}", second.body);
    assert_eq!(texts(&second.body, "lastSuccessfulSynch"), texts(&first.body, "lastSuccessfulSynch"));
    let (mut rows, mut again) = (texts(&first.body, "system"), texts(&second.body, "system"));
    rows.sort();
    again.sort();
    assert_eq!(again, rows);
    // A process that is killed has written it too.
    platform.ask("202002020202").await;
    assert_eq!(metric(&platform, "cache_log_entries").await, 2);
    let platform = platform.kill();
    assert_eq!(states(&platform.ask(PATIENT).await), CACHED);
}

#[tokio::test]
async fn a_change_that_no_process_has_seen_marks_the_cache_after_a_restart() {
    let (platform, systems) = platform().await;
    platform.ask(PATIENT).await;
    platform.wait_until("the answer is in the log", async || metric(&platform, "cache_log_entries").await == 1).await;
    // Accepted, and perhaps applied, but the cache in memory is gone before another question comes.
    platform.update(&[Engaged { content: "20261127000000".to_owned(), ..two()[0].clone() }]).await;
    let platform = platform.kill();
    let answered = platform.ask(PATIENT).await;
    assert_eq!(states(&answered), ["DataFromSource", "DataFromCache"], "{}", answered.body);
    assert_eq!(systems.called(), ["SE-1", "SE-1", "SE-2"]);
    // What was fetched then is what the next start has.
    let platform = platform.restart();
    assert_eq!(states(&platform.ask(PATIENT).await), CACHED);
    assert_eq!(systems.called().len(), 3);
}

#[tokio::test]
async fn with_another_key_all_is_asked_again_and_the_process_goes_on() {
    let (platform, systems) = platform().await;
    platform.ask(PATIENT).await;
    set_key(platform.folder.path(), &"6b".repeat(32));
    let platform = platform.restart();
    assert_eq!((states(&platform.ask(PATIENT).await), systems.called().len()), (SOURCE.map(str::to_owned).into(), 4));
    assert_eq!(metric(&platform, "cache_log_unreadable_total").await, 1);
    let platform = platform.restart();
    // The new one is read, and the old one is there until it is over.
    assert_eq!(states(&platform.ask(PATIENT).await), CACHED);
    let (code, said) = platform.process.end();
    assert_eq!((code, said.matches("an entry of the cache in the log cannot be read").count()), (Some(0), 1), "{said}");
    assert!(said.contains("another key") && !said.contains(PATIENT), "{said}");
}

#[tokio::test]
async fn what_is_cleared_and_what_another_tak_has_admitted_does_not_come_back() {
    let (platform, systems) = platform().await;
    platform.ask(PATIENT).await;
    let (status, cleared) = platform.post("/api/aggregation/cache/clear", &json!({ "patient": PATIENT })).await;
    assert_eq!((status, cleared["cleared"].as_u64()), (200, Some(1)), "{cleared}");
    // It is gone from the log when the request is answered.
    let platform = platform.kill();
    assert_eq!(states(&platform.ask(PATIENT).await), SOURCE);
    let contract = crate::messages::LABORATORY;
    let tak = format!(
        "{{\"routes\": [{{\"contract\": \"{contract}\", \"receiver\": \"*\"}}], \"permissions\": [
            {{\"contract\": \"{contract}\", \"receiver\": \"SE-1\", \"sender\": \"sample-sender-id\"}}]}}"
    );
    std::fs::write(platform.folder.path().join("tak.json"), tak).unwrap();
    let with_tak = configuration(&systems.url, &format!("{CACHE}[aggregation.tak]\nfile = \"tak.json\"\n"));
    std::fs::write(platform.folder.path().join("agp.toml"), with_tak).unwrap();
    let platform = platform.restart();
    // The other address may not be seen any more, in the cache or not.
    assert_eq!(states(&platform.ask(PATIENT).await), ["DataFromSource"]);
    assert_eq!(states(&platform.ask(PATIENT).await), ["DataFromCache"]);
    let (status, _) = platform.post("/api/aggregation/tak/reload", &json!({})).await;
    assert_eq!(status, 200);
    let platform = platform.restart();
    assert_eq!(states(&platform.ask(PATIENT).await), ["DataFromSource"]);
}

/// The index is elsewhere, so nothing but the cache would write the patient.
#[tokio::test]
async fn no_patient_and_no_row_is_in_the_state_folder() {
    let (index, systems) = platform().await;
    let ei = format!(
        "[aggregation.ei]\nmode = \"external\"\nurl = \"{}/skltp-ei/find-content-service/v1\"\nlogical_address = \"SE-EI\"\n\
         [aggregation.tak]\noff = true\n[aggregation.vp]\nurl = \"{}\"\n{CACHE}",
        index.url, systems.url
    );
    let platform = Platform::start_in(folder_with_key(&ei));
    assert_eq!(states(&platform.ask(PATIENT).await), SOURCE);
    let platform = platform.restart();
    assert_eq!(states(&platform.ask(PATIENT).await), CACHED);
    let (code, said) = platform.process.end();
    assert_eq!(code, Some(0), "{said}");
    let state = platform.folder.path().join("state");
    for secret in [PATIENT, "laboratoryOrderOutcome", "GetLaboratoryOrderOutcomeResponse", &"5a".repeat(32)] {
        assert_eq!(files_with(&state, secret), Vec::<String>::new(), "{secret}");
    }
    // The audit is there, so the files can be searched.
    assert!(!files_with(&state, "test-corr-id").is_empty());
}

/// The files below a folder that hold a text.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if std::fs::read(&path).unwrap().windows(text.len()).any(|bytes| bytes == text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn a_key_that_is_missing_or_not_64_digits_is_refused() {
    for (key, expected) in [
        (None, "key: cannot read"),
        (Some("5a"), "key: expected 64 hexadecimal digits in the environment or in a file, found something else"),
        (Some("zz"), "key: expected 64 hexadecimal digits in the environment or in a file, found something else"),
    ] {
        let folder = folder(&configuration("http://127.0.0.1:9/vp", CACHE));
        if let Some(key) = key {
            set_key(folder.path(), &key.repeat(if key == "zz" { 32 } else { 31 }));
        }
        let line =
            configuration("http://127.0.0.1:9/vp", CACHE).lines().position(|line| line.starts_with("key")).unwrap();
        let (code, said) = refusal(&folder);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(&format!("agp.toml:{}: {expected}", line + 1)), "{said}");
        assert!(!said.contains("5a5a") && !said.contains("zzzz"), "{said}");
    }
    let folder = folder(&configuration("http://127.0.0.1:9/vp", "[aggregation.cache]\nstore = \"log\"\n"));
    let (code, said) = refusal(&folder);
    assert!(code == Some(2) && said.contains("expected `key` beside `store = \"log\"`"), "{said}");
}
