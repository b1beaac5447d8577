//! The state of every release stays readable: the folder that a release left lies in `tests/registry/state`, with an
//! entry in each store, and jobs go on from its changelogs and from its snapshots.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;
use tributary_connectors::embedded::{EmbeddedLog, Fsync};
use tributary_harness::released_state::{NOT_USED, check_newest, date_snapshots, declared, released, unpack};
use tributary_registry::declaration::DECLARATION;
use tributary_registry_sample::{Answer, Register};

use crate::world::{NUMBER, World, configuration, folder, write_in};

const PARTITIONS: i32 = 2;

/// Numbers whose jobs have ended: with data, and with an error.
const FAILED: &str = "19910824-00031";

/// A number whose call was open.
const OPEN: &str = "19910824-00042";

fn archives() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/registry/state")
}

/// Starts on a folder. Jobs have years, because the folder is older when it is unpacked.
fn start(folder: TempDir, register: Register) -> World {
    let calls = "calls = { timeout = \"2s\", deadline = \"3000d\" }";
    write_in(&folder, &configuration(&register, calls, ""));
    let log = ["--log", "embedded", "--partitions", &PARTITIONS.to_string(), "--log-level", "debug"];
    World::start_on(folder, register, &log.map(str::to_owned))
}

/// Leaves an entry in each store of the stage.
async fn fill(world: &World) {
    world.register.set(FAILED, Answer::Fault(500, "Client.Denied".to_owned(), None));
    world.sync(NUMBER, Some(20)).await;
    world.sync(FAILED, None).await;
    world.row_with(FAILED, "failed").await;
    world.admin(Method::POST, "kinds/unzr/pause", None).await;
    world.sync(OPEN, None).await;
}

/// Everything is as it was left, and goes on. Returns what the program said.
async fn check(folder: TempDir) -> String {
    let world = start(folder, Register::start(None).await.unwrap());
    let found = world.row(NUMBER).await;
    assert_eq!((&found["jobStatus"], found["info"]["firstName"].is_string()), (&json!("processed"), true));
    let failed = world.row(FAILED).await;
    assert_eq!(
        (&failed["jobStatus"], &world.job(&failed).await["error"]["class"]),
        (&json!("failed"), &json!("fault"))
    );
    let open = world.row(OPEN).await;
    assert_eq!(open["jobStatus"], "pending");
    let kinds = world.admin(Method::GET, "kinds", None).await.1;
    assert_eq!((&kinds[0]["paused"], &kinds[0]["pending"]), (&json!(true), &json!(1)));
    assert_eq!(world.register.calls().len(), 0);
    world.admin(Method::POST, "kinds/unzr/resume", None).await;
    assert_eq!(world.row_with(OPEN, "processed").await["id"], open["id"]);
    assert_eq!(world.sync(FAILED, Some(20)).await["jobStatus"], "processed");
    let (code, said) = world.process.end();
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
    let register = Register::start(None).await.unwrap();
    let world = start(folder(""), register);
    fill(&world).await;
    let World { process, folder, .. } = world;
    let (code, said) = process.end();
    assert_eq!(code, Some(0), "{said}");
    check_newest(&archives(), folder.path());
    let newest = unpacked(released(&archives()).last().unwrap());
    let stores = stores(&newest.path().join("state"));
    assert_eq!(stores, declared(include_str!("../../../pipeline/registry/src/stores.txt")));
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
