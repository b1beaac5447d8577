//! What a running service on the embedded log is asked: over HTTP, and with commands.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::time::{Duration, Instant};

use serde_json::Value;
use world::service::{PATIENCE, Service};
use world::{Answer, DAY_1, DAY_2, FULL_FILE, POST_NUMBER, World, position};

/// Starts a service and waits until it can be asked.
fn serve(world: &World) -> Service {
    let service = Service::start(world, &["--http", "127.0.0.1:0"]);
    let begun = Instant::now();
    while ask(world, "offices", &[]).code != 0 {
        assert!(begun.elapsed() < PATIENCE, "{:?}", ask(world, "offices", &[]));
        std::thread::sleep(Duration::from_millis(100));
    }
    service
}

fn ask(world: &World, view: &str, more: &[&str]) -> Answer {
    world.ask("state", view, more)
}

fn items(answer: &Answer) -> Vec<Value> {
    answer.document()["items"].as_array().unwrap().clone()
}

#[test]
fn a_service_shows_files_and_offices_of_a_batch_before_it_and_again_after_a_kill() {
    let world = World::small();
    let batch = world.once(DAY_1, &[]);
    assert_eq!(batch.code, 0, "{batch:?}");
    let service = serve(&world);
    let (files, offices) = (ask(&world, "files", &[]), ask(&world, "offices", &[]));
    let taken = items(&files).into_iter().find(|file| file["name"] == FULL_FILE).unwrap();
    assert_eq!((&taken["status"], &taken["office"]), (&Value::from("processed"), &Value::from("EOE")));
    assert!(items(&files).iter().any(|file| file["status"] == "written" && file["type"] == "APP"), "{files:?}");
    let figures = items(&offices);
    assert_eq!((figures.len(), &figures[0]["exported"]), (1, &Value::from(1)), "{figures:?}");
    assert!(offices.document()["as_of"].is_string());
    assert_eq!(items(&ask(&world, "files", &["--limit", "1"])), items(&files)[..1]);

    let url = std::fs::read_to_string(world.path("state/http-address")).unwrap();
    assert_eq!(items(&world.ask("elsewhere", "files", &["--server", &url])), items(&files), "by its URL");

    // It is killed, and leaves its address.
    drop(service);
    let unanswered = ask(&world, "files", &[]);
    assert_eq!(unanswered.code, 2, "no token goes to whoever listens there now: {unanswered:?}");
    let again = serve(&world);
    assert_eq!((items(&ask(&world, "files", &[])), items(&ask(&world, "offices", &[]))), (items(&files), figures));
    drop(again);

    // A batch changes the log while nobody keeps the views.
    world.file("DE_EOE_RMC_20261121_00000002.DAT", &[&position(7_000_002, "", POST_NUMBER)]);
    assert_eq!(world.once(DAY_2, &[]).code, 0);
    let after = serve(&world);
    let names = |answer: &Answer| items(answer).iter().map(|file| file["name"].clone()).collect::<Vec<_>>();
    let added = names(&ask(&world, "files", &[])).into_iter().filter(|name| !names(&files).contains(name));
    assert!(added.clone().any(|name| name == "DE_EOE_RMC_20261121_00000002.DAT"), "{:?}", added.collect::<Vec<_>>());
    drop(after);
}

#[test]
fn without_a_service_the_command_says_how_to_name_one() {
    let answer = ask(&World::empty(), "files", &[]);
    assert_eq!(answer.code, 2);
    assert!(answer.stderr.contains("--server") && answer.stderr.contains("--state"), "{answer:?}");
}

#[test]
fn damaged_views_are_read_again_from_the_log() {
    let world = World::small();
    assert_eq!(world.once(DAY_1, &[]).code, 0);
    let service = serve(&world);
    let files = items(&ask(&world, "files", &[]));
    drop(service);
    let mut damaged = 0;
    for entry in std::fs::read_dir(world.path("state/esr/views")).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            std::fs::write(entry.path(), "not a database").unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 0);
    let again = serve(&world);
    assert_eq!(items(&ask(&world, "files", &[])), files);
    drop(again);
}
