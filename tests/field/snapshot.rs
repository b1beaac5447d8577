//! What the program does with a snapshot of TIS that is not as it should be (D111 to D113), and how often it says so.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::service::Service;
use crate::world::{DAY_1, DAY_2, POST_NUMBER, World, placement, post, status_of};

fn make_pipe(world: &World, path: &str) {
    assert!(Command::new("mkfifo").arg(world.path(path)).status().unwrap().success());
}

#[test]
fn d111_a_pipe_in_place_of_a_file_is_refused_by_name_and_the_batch_goes_on() {
    let world = World::small();
    world.once(DAY_1, &[]).document();
    fs::remove_file(world.path("tis/placements.jsonl")).unwrap();
    make_pipe(&world, "tis/placements.jsonl");
    let answer = world.once(DAY_2, &[]);
    assert!(answer.warns_of("placements.jsonl is a named pipe"), "{answer:?}");
    assert_eq!(status_of(&answer.document(), 101).as_deref(), Some("EXPORTED"));
}

#[test]
fn d111_a_service_hears_sigterm_with_a_pipe_in_the_snapshot_and_takes_it_in_once_it_is_a_file() {
    let world = World::of_service();
    let lines = fs::read_to_string(world.path("tis/placements.jsonl")).unwrap();
    fs::remove_file(world.path("tis/placements.jsonl")).unwrap();
    make_pipe(&world, "tis/placements.jsonl");
    let mut service = Service::start(&world, &[]);
    service.wait_until_said(&["placements.jsonl", "named pipe"]);
    fs::remove_file(world.path("tis/placements.jsonl")).unwrap();
    fs::write(world.path("tis/placements.jsonl"), lines).unwrap();
    service.wait_until_said(&["snapshot taken in"]);
    let (code, said) = service.end("-TERM");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.lines().filter(|line| line.contains("WARN") && line.contains("named pipe")).count(), 1, "{said}");
}

#[test]
fn d111_a_snapshot_behind_links_to_nothing_is_said_and_taken_in_once_they_lead_to_files() {
    let world = World::of_service();
    fs::rename(world.path("tis"), world.path("elsewhere")).unwrap();
    fs::create_dir(world.path("tis")).unwrap();
    for name in ["posts", "placements", "people"] {
        let name = format!("{name}.jsonl");
        std::os::unix::fs::symlink(world.path("away").join(&name), world.path("tis").join(&name)).unwrap();
    }
    let mut service = Service::start(&world, &[]);
    service.wait_until_said(&["not taken in", "a link to nothing"]);
    fs::rename(world.path("elsewhere"), world.path("away")).unwrap();
    service.wait_until_said(&["snapshot taken in"]);
    assert_eq!(service.end("-TERM").0, Some(0));
}

#[test]
fn d112_an_empty_file_and_an_empty_folder_are_warnings_and_delete_nothing() {
    let world = World::small();
    world.once(DAY_1, &[]).document();
    fs::write(world.path("tis/posts.jsonl"), "").unwrap();
    let answer = world.once(DAY_2, &[]);
    assert!(answer.warns_of("posts.jsonl holds no object"), "{answer:?}");
    assert_eq!(answer.document()["offices"]["EOE"]["matched"], 1);
    for name in ["posts", "placements", "people"] {
        fs::remove_file(world.path("tis").join(format!("{name}.jsonl"))).unwrap();
    }
    let answer = world.once(DAY_2, &[]);
    assert!(answer.warns_of("there is no snapshot"), "{answer:?}");
    assert_eq!(answer.document()["offices"]["EOE"]["matched"], 1);
    let world = World::empty();
    assert_eq!(world.once(DAY_1, &[]).document()["warnings"], json!([]), "nothing is held yet");
}

#[test]
fn d113_one_placement_without_a_number_stops_no_deletions() {
    let world = World::small();
    let mut lines =
        vec![placement(101, 11, "2026-12-15", "2027-06-14"), placement(102, 12, "2026-12-15", "2027-06-14")];
    lines[1]["nationalPostNumber"] = Value::Null;
    world.jsonl("placements", &lines);
    let document = world.once(DAY_1, &[]).document();
    assert_eq!((status_of(&document, 101).as_deref(), status_of(&document, 102)), (Some("EXPORTED"), None));
    world.jsonl("placements", &lines[1..]);
    let answer = world.once(DAY_2, &[]);
    assert!(!answer.document()["warnings"].to_string().contains("placements.jsonl"), "{answer:?}");
    let notifications = world.outgoing("DE_EOE_DNC_20261122_00000002.DAT");
    assert!(notifications.iter().any(|line| line.starts_with("NOT,2,")), "{notifications:?}");
}

#[test]
fn d113_whole_numbers_with_a_decimal_point_are_ids_and_a_contradiction_is_a_warning() {
    let world = World::small();
    let text = fs::read_to_string(world.path("tis/placements.jsonl")).unwrap();
    let text = text.replace("\"id\":101", "\"id\":101.0").replace("\"traineeId\":11", "\"traineeId\":11.0");
    fs::write(world.path("tis/placements.jsonl"), text).unwrap();
    world.jsonl("posts", &[post(1, "EOE/ZAA01/300/STR/999"), post(1, POST_NUMBER)]);
    let answer = world.once(DAY_1, &[]);
    assert_eq!(status_of(&answer.document(), 101).as_deref(), Some("EXPORTED"));
    assert!(answer.warns_of("several lines of different content for the ids 1:"), "{answer:?}");
}

#[test]
fn f12_what_lasts_is_said_when_it_begins_and_when_it_ends() {
    let world = World::of_service();
    let mut service = Service::start(&world, &[]);
    service.wait_until_said(&["snapshot taken in"]);
    fs::rename(world.path("inbox"), world.path("away")).unwrap();
    service.wait_until_said(&["cannot list", "inbox"]);
    std::thread::sleep(Duration::from_secs(4));
    fs::rename(world.path("away"), world.path("inbox")).unwrap();
    service.wait_until_said(&["no longer so"]);
    let (code, said) = service.end("-TERM");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.matches("cannot list").count(), 2, "at its begin and at its end: {said}");
}
