//! A file for ESR never replaces another one (D63), and a state that is new beside files of another one says so (D114).

use std::fs;

use crate::world::service::{Service, wait_for};
use crate::world::{DAY_1, DAY_2, World, person, placement, status_of};

const APPLICANTS: &str = "DE_EOE_APP_20261121_00000001.DAT";

/// What a lost state folder makes of the same day, with another trainee: the same name, other bytes.
fn lose_the_state(world: &World) {
    fs::remove_dir_all(world.path("state")).unwrap();
    world.jsonl("placements", &[placement(102, 12, "2026-12-20", "2027-06-14")]);
    world.jsonl("people", &[person(12, "Othercase")]);
}

#[test]
fn d63_with_a_lost_state_the_file_that_esr_has_not_fetched_stays_and_the_batch_ends_with_1() {
    let world = World::small();
    world.once(DAY_1, &[]).document();
    let first = world.outgoing(APPLICANTS);
    assert_eq!(first.len(), 3);
    lose_the_state(&world);
    let answer = world.once("2026-11-21T17:00:00Z", &[]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.stderr.contains(APPLICANTS) && answer.stderr.contains("not written"), "{}", answer.stderr);
    assert_eq!(world.outgoing(APPLICANTS), first);
    let summary: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    let warnings = summary["warnings"].to_string();
    assert!(warnings.contains("is new, but") && warnings.contains("was not replaced"), "{warnings}");
    assert_ne!(status_of(&summary, 102).as_deref(), Some("EXPORTED"), "it does not count as written");
    assert!(world.outbox_names().iter().all(|name| !name.starts_with('.')), "{:?}", world.outbox_names());
}

#[test]
fn d63_the_same_command_writes_the_file_once_its_name_is_free_and_takes_no_other_number() {
    let world = World::small();
    world.once(DAY_1, &[]).document();
    lose_the_state(&world);
    for _ in 0..2 {
        assert_eq!(world.once("2026-11-21T17:00:00Z", &[]).code, 1);
    }
    for name in world.outbox_names() {
        fs::remove_file(world.path("outbox").join(name)).unwrap();
    }
    let document = world.once("2026-11-21T17:00:00Z", &[]).document();
    assert_eq!(status_of(&document, 102).as_deref(), Some("EXPORTED"));
    assert_eq!(world.outgoing(APPLICANTS).len(), 3);
    assert!(world.outbox_names().iter().all(|name| name.ends_with("_00000001.DAT")), "{:?}", world.outbox_names());
}

#[test]
fn d63_another_file_in_the_way_holds_back_no_other_file_and_the_next_batch_writes_it() {
    let world = World::small();
    fs::create_dir(world.path("outbox")).unwrap();
    fs::write(world.path("outbox").join(APPLICANTS), "of somebody else").unwrap();
    let answer = world.once(DAY_1, &[]);
    assert_eq!(answer.code, 1, "{answer:?}");
    let others = ["DE_EOE_DNC_20261121_00000001.DAT", "DE_EOE_RTC_20261121_00000001.DAT"];
    assert!(others.iter().all(|name| world.outbox_names().contains(&(*name).to_owned())));
    fs::remove_file(world.path("outbox").join(APPLICANTS)).unwrap();
    let document = world.once(DAY_2, &[]).document();
    assert_eq!(status_of(&document, 101).as_deref(), Some("EXPORTED"));
    assert_eq!(world.outgoing(APPLICANTS).len(), 3);
    assert_eq!(world.outgoing("DE_EOE_APP_20261122_00000002.DAT").len(), 2, "it went once");
}

#[test]
fn d63_what_is_no_file_is_in_the_way_too() {
    let world = World::small();
    fs::create_dir_all(world.path("outbox").join(APPLICANTS)).unwrap();
    let answer = world.once(DAY_1, &[]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(world.path("outbox").join(APPLICANTS).is_dir());
    fs::remove_dir(world.path("outbox").join(APPLICANTS)).unwrap();
    world.once(DAY_1, &[]).document();
    assert_eq!(world.outgoing(APPLICANTS).len(), 3);
}

#[test]
fn d63_the_same_bytes_are_done() {
    let world = World::small();
    world.once(DAY_1, &[]).document();
    let first = world.outgoing(APPLICANTS);
    fs::remove_dir_all(world.path("state")).unwrap();
    let answer = world.once(DAY_1, &[]);
    assert_eq!(status_of(&answer.document(), 101).as_deref(), Some("EXPORTED"));
    assert_eq!(world.outgoing(APPLICANTS), first);
    assert!(answer.stderr.contains("is new, but"), "it is said on standard error: {}", answer.stderr);
}

#[test]
fn d63_a_service_writes_the_confirmation_once_its_name_is_free() {
    let world = World::of_service();
    let path = world.path("my.toml");
    let quick = fs::read_to_string(&path).unwrap() + "[service]\nclock_seconds = 1\n";
    fs::write(&path, quick).unwrap();
    let confirmation = "DE_EOE_RTC_20261121_00000001.DAT";
    fs::create_dir(world.path("outbox")).unwrap();
    fs::write(world.path("outbox").join(confirmation), "of somebody else").unwrap();
    let mut service = Service::start(&world, &[]);
    service.wait_until_said(&["state-is-new", "is new, but"]);
    service.wait_until_said(&["file-in-the-way", confirmation]);
    world.file("DE_EOE_RMC_20261121_00000002.DAT", &[]);
    wait_for(&world, "DE_EOE_RTC_20261121_00000002.DAT");
    fs::remove_file(world.path("outbox").join(confirmation)).unwrap();
    wait_for(&world, confirmation);
    let (code, said) = service.end("-TERM");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.matches("file-in-the-way").count(), 1, "{said}");
}

#[test]
fn d114_an_archive_of_the_inbox_shows_that_there_was_another_state() {
    let world = World::small();
    assert!(!world.once(DAY_1, &[]).stderr.contains("is new"), "nothing shows it");
    let world = World::small();
    fs::create_dir(world.path("inbox/archive")).unwrap();
    fs::write(world.path("inbox/archive/DE_EOE_RMC_20261119_00000012.DAT"), "x").unwrap();
    let answer = world.once(DAY_1, &[]);
    assert!(answer.warns_of("DE_EOE_RMC_20261119_00000012.DAT"), "{answer:?}");
    assert!(!world.once(DAY_2, &[]).stderr.contains("is new"), "it is not new any more");
}
