//! The state of every release stays readable: the folder that a release left lies in `tests/aggregation/state`, with an
//! entry in each store, and the index goes on from its changelogs and from its snapshots.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::json;
use tempfile::TempDir;
use tributary_aggregation::declaration::DECLARATION;
use tributary_connectors::embedded::{EmbeddedLog, Fsync};
use tributary_harness::released_state::{NOT_USED, check_newest, date_snapshots, declared, released, unpack};

use crate::messages::{Engaged, LABORATORY_DOMAIN, texts, update};
use crate::systems::Systems;
use crate::world::{Platform, configuration};

const PATIENT: &str = "191212121212";

const PARTITIONS: i32 = 2;

const NOTIFIED: &str = "[aggregation.tak]\nfile = \"tak.json\"\n";

/// What the subscriber wants is in the state of the index.
const TAK: &str = "{\"subscribers\": [{\"address\": \"SE-ALL\", \"filters\": [{\"domain\":      \"riv:clinicalprocess:healthcond:actoutcome\"}]}]}";

fn archives() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/aggregation/state")
}

fn engaged(object: &str) -> Engaged {
    Engaged::laboratory(PATIENT, "SE-UNIT", object)
}

fn start(folder: TempDir, systems: &Systems) -> Platform {
    // A transaction that is sent alone waits in the window while the folder is filled. When the folder is unpacked later,
    // the window is over.
    let configured = configuration(&systems.url, NOTIFIED).replace("hsa_id", "collect_window_ms = 600000\nhsa_id");
    std::fs::write(folder.path().join("agp.toml"), configured).unwrap();
    std::fs::write(folder.path().join("tak.json"), TAK).unwrap();
    let log = ["--log", "embedded", "--partitions", &PARTITIONS.to_string(), "--log-level", "debug"];
    Platform::start_with(folder, &log.map(str::to_owned))
}

async fn send(platform: &Platform, engaged: &[Engaged]) {
    let sent = platform.send(platform.soap("/skltp-ei/update-service/v1", update("SE-EI", engaged))).await;
    assert_eq!(texts(&sent.body, "ResultCode"), ["OK"]);
}

async fn objects(platform: &Platform) -> BTreeSet<String> {
    let found = platform.find(PATIENT, LABORATORY_DOMAIN, "").await;
    texts(&found, "businessObjectInstanceIdentifier").into_iter().collect()
}

fn named<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

/// Leaves an entry in each store of each stage.
async fn fill(platform: &Platform, systems: &Systems) {
    platform
        .wait_until("the index knows its subscribers", async || {
            platform.get("/api/aggregation/tak").await["subscribers"] == 1
        })
        .await;
    platform.update(&[engaged("1"), engaged("2")]).await;
    platform.update(&[Engaged { content: "20261127000000".to_owned(), ..engaged("1") }, engaged("3")]).await;
    platform.wait_until("the subscriber is told", async || told(systems) == named(["1", "2", "3"])).await;
    send(platform, &[engaged("4")]).await;
    assert_eq!(platform.post("/api/aggregation/index/lock", &json!({})).await.0, 200);
    send(platform, &[engaged("5"), engaged("6")]).await;
    platform
        .wait_until("the updates wait", async || platform.get("/api/aggregation/index").await["waiting"] == 2)
        .await;
}

fn told(systems: &Systems) -> BTreeSet<String> {
    systems.calls().iter().flat_map(|call| texts(&call.body, "businessObjectInstanceIdentifier")).collect()
}

/// Everything is as it was left, and goes on. Returns what the program said.
async fn check(folder: TempDir) -> String {
    let systems = Systems::start().await;
    let platform = start(folder, &systems);
    let index = platform.get("/api/aggregation/index").await;
    assert_eq!((&index["locked"], &index["waiting"]), (&json!(true), &json!(2)), "{index}");
    assert!(objects(&platform).await.is_superset(&named(["1", "2", "3"])));
    let found = platform.find(PATIENT, LABORATORY_DOMAIN, "").await;
    assert_eq!(texts(&found, "updateTime").len(), 1, "{found}");
    assert_eq!(platform.post("/api/aggregation/index/unlock", &json!({})).await.0, 200);
    platform
        .wait_until("what has waited is applied", async || {
            objects(&platform).await == named(["1", "2", "3", "4", "5", "6"])
        })
        .await;
    platform.wait_until("the subscriber is told", async || told(&systems) == named(["4", "5", "6"])).await;
    let deleted = ["2", "5"].map(|object| Engaged { is_deleted: true, ..engaged(object) });
    platform.update(&deleted).await;
    assert_eq!(objects(&platform).await, named(["1", "3", "4", "6"]));
    let (code, said) = platform.process.end();
    assert_eq!(code, Some(0), "{said}");
    said
}

/// The folder of a release, unpacked.
fn unpacked(archive: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    unpack(archive, folder.path());
    folder
}

#[tokio::test]
async fn the_changelogs_of_every_release_are_read() {
    let archives = released(&archives());
    assert!(!archives.is_empty());
    for archive in archives {
        let folder = unpacked(&archive);
        std::fs::remove_dir_all(folder.path().join("state/snapshots")).unwrap();
        check(folder).await;
    }
}

#[tokio::test]
async fn the_snapshots_of_every_release_are_read() {
    for archive in released(&archives()) {
        let folder = unpacked(&archive);
        date_snapshots(&folder.path().join("state"), SystemTime::now());
        let said = check(folder).await;
        assert!(!said.contains(NOT_USED), "a snapshot was not used: {said}");
    }
}

#[tokio::test]
async fn the_newest_folder_holds_the_schemas_that_this_program_writes_and_an_entry_of_each_store() {
    let systems = Systems::start().await;
    let platform = start(tempfile::tempdir().unwrap(), &systems);
    fill(&platform, &systems).await;
    let Platform { process, folder, .. } = platform;
    let (code, said) = process.end();
    assert_eq!(code, Some(0), "{said}");
    check_newest(&archives(), folder.path());
    let newest = unpacked(released(&archives()).last().unwrap());
    let stores = stores(&newest.path().join("state"));
    assert_eq!(stores, declared(include_str!("../../../pipeline/aggregation/src/stores.txt")));
}

/// The stores that the changelogs of a state folder have values of.
fn stores(state: &Path) -> BTreeSet<(String, u8)> {
    let log = EmbeddedLog::open(state, Fsync::default(), &DECLARATION.topics(), PARTITIONS, &[]).unwrap();
    let mut found = BTreeSet::new();
    for stage in DECLARATION.stages() {
        let Some(changelog) = stage.changelog else { continue };
        for partition in 0..changelog.partition_count(PARTITIONS) {
            for record in log.read_committed(changelog, partition).unwrap() {
                // The first byte of a key is the number of the store. Those of the runtime begin at 240.
                let number = record.key.first().copied().filter(|number| *number < 240 && record.value.is_some());
                found.extend(number.map(|number| (stage.name.to_owned(), number)));
            }
        }
    }
    found
}
