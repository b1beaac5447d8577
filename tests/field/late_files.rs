//! A file older than one that was taken in changes nothing that the newer one says, however it arrives (D93, D94).

use std::fs;

use serde_json::Value;

use crate::world::service::{Service, wait_for};
use crate::world::{Answer, DAY_1, DAY_2, FULL_FILE, POST_NUMBER, World, position};

const OLDER: &str = "DE_EOE_RMC_20261122_00000002.DAT";
const NEWER: &str = "DE_EOE_RMC_20261123_00000003.DAT";
const OTHER_NUMBER: &str = "EOE/ZAA01/300/STR/002";
const DAY_3: &str = "2026-11-23T14:30:00Z";
const DAY_4: &str = "2026-11-24T14:30:00Z";

/// The newer file deletes the position of the full file.
fn put_newer(world: &World) {
    world.file(NEWER, &[&position(7_000_001, "D", POST_NUMBER)]);
}

/// The older file, in which the position lives and has another number, and a position that no other file names.
fn put_older(world: &World, name: &str) {
    world.file(name, &[&position(7_000_001, "C", OTHER_NUMBER), &position(7_000_002, "C", OTHER_NUMBER)]);
}

/// The older file with a wrong count in its trailer: it is parked (D10).
fn put_suspect(world: &World) {
    put_older(world, OLDER);
    let path = world.path("inbox").join(OLDER);
    let text = fs::read_to_string(&path).unwrap().replace("TRL,4", "TRL,7");
    fs::write(path, text).unwrap();
}

/// What must hold once the older file is in, under this name.
fn check(world: &World, name: &str, offices: &Value) {
    assert_eq!(
        (&offices["EOE"]["positions"], &offices["EOE"]["live"]),
        (&Value::from(2), &Value::from(1)),
        "{offices}"
    );
    let confirmation = world.outgoing(&name.replace("RMC", "RTC"));
    let row = format!(r#"RTC,RECORD,"POS",2,7000001,"{OTHER_NUMBER}","SUCCESS","WARNING","overtaken by {NEWER}",,"#);
    assert_eq!(confirmation[1..3], [row, r#"RTC,SUMMARY,"POS",,,"","","","",2,2"#.to_owned()]);
}

fn warns_of_overtaken(answer: &Answer, name: &str) -> bool {
    answer.warns_of(&format!("1 line of {name} changed nothing: overtaken by {NEWER}"))
}

#[test]
fn d93_a_late_file_in_a_later_batch_changes_nothing_that_is_newer() {
    let world = World::small();
    world.once(DAY_1, &[]).document();
    put_newer(&world);
    assert!(world.once(DAY_3, &[]).warns_of("number 2 is missing"), "D94");
    put_older(&world, OLDER);
    let answer = world.once(DAY_4, &[]);
    assert!(warns_of_overtaken(&answer, OLDER), "{answer:?}");
    assert!(answer.warns_of(&format!("{OLDER} came late, after {NEWER}")), "{answer:?}");
    check(&world, OLDER, &answer.document()["offices"]);
    let applicants = world.outgoing("DE_EOE_APP_20261124_00000003.DAT");
    assert_eq!(
        applicants.len(),
        2,
        "no row for a deleted position, nor for a number without placements: {applicants:?}"
    );
    let again = world.once(DAY_4, &[]).document();
    assert!(!again["warnings"].to_string().contains("late"), "once: {again}");
}

#[test]
fn d93_a_late_file_after_a_restart_of_the_service_changes_nothing_that_is_newer() {
    let world = World::of_service();
    put_newer(&world);
    let service = Service::start(&world, &[]);
    wait_for(&world, &NEWER.replace("RMC", "RTC"));
    service.end("-KILL");
    let mut service = Service::start(&world, &[]);
    put_older(&world, OLDER);
    service.wait_until_said(&["changed nothing: overtaken by", NEWER]);
    wait_for(&world, &OLDER.replace("RMC", "RTC"));
    assert_eq!(service.end("-TERM").0, Some(0));
    let later = world.once("2030-01-01T12:00:00Z", &["--confirm-now"]);
    check(&world, OLDER, &later.document()["offices"]);
}

#[test]
fn d10_d93_an_old_file_that_was_parked_changes_nothing_that_is_newer_when_it_is_accepted_or_replaced() {
    for accept in [true, false] {
        let world = World::small();
        put_suspect(&world);
        world.once(DAY_2, &[]).document();
        put_newer(&world);
        assert!(!world.once(DAY_3, &[]).warns_of("is missing"), "D94: the parked file has come");
        let answer = if accept {
            world.once(DAY_4, &["--accept", OLDER])
        } else {
            put_older(&world, OLDER);
            world.once(DAY_4, &[])
        };
        assert!(warns_of_overtaken(&answer, OLDER), "{answer:?}");
        check(&world, OLDER, &answer.document()["offices"]);
    }
}

#[test]
fn d93_a_refused_file_that_is_sent_again_changes_nothing_that_is_newer() {
    let world = World::small();
    put_suspect(&world);
    world.once(DAY_2, &[]).document();
    put_newer(&world);
    world.once(DAY_3, &["--refuse", OLDER]).document();
    let again = "DE_EOE_RMC_20261122_00000004.DAT";
    put_older(&world, again);
    let answer = world.once(DAY_4, &[]);
    assert!(warns_of_overtaken(&answer, again), "{answer:?}");
    check(&world, again, &answer.document()["offices"]);
}

#[test]
fn d8_d93_a_late_full_file_deletes_nothing_and_brings_nothing_back() {
    let world = World::empty();
    put_newer(&world);
    world.once(DAY_3, &[]).document();
    world.file(FULL_FILE, &[&position(7_000_001, "", POST_NUMBER)]);
    let answer = world.once(DAY_4, &[]);
    assert!(warns_of_overtaken(&answer, FULL_FILE), "{answer:?}");
    assert_eq!(answer.document()["offices"]["EOE"]["live"], 0);
}
