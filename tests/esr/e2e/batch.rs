//! `tributary run --once`: the summary, a second run, a later one, what is served.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::fs;

use serde_json::json;
use world::{DAY_1, DAY_2, FULL_FILE, POST_NUMBER, World, person, placement, position, post, status_of};

#[test]
fn the_summary_has_the_documented_form() {
    let world = World::small();
    let document = world.once(DAY_1, &[]).document();
    let expected = json!({
        "now": DAY_1,
        "inbound": [{"name": FULL_FILE, "status": "processed", "received": {"POS": 1}, "accepted": {"POS": 1},
            "rejected": []}],
        "outbound": [
            {"name": "DE_EOE_RTC_20261121_00000001.DAT", "type": "RTC", "office": "EOE", "number": 1, "rows": 1},
            {"name": "DE_EOE_APP_20261121_00000001.DAT", "type": "APP", "office": "EOE", "number": 1, "rows": 1},
            {"name": "DE_EOE_DNC_20261121_00000001.DAT", "type": "DNC", "office": "EOE", "number": 1, "rows": 0}],
        "offices": {"EOE": {"positions": 1, "live": 1, "matched": 1, "unmatched": 0,
            "applicants": {"to_export": 0, "pending": 0, "exported": 1, "invalid_data": 0,
                "deleted_before_export": 0, "missed_window": 0},
            "notifications": {"1": 0, "2": 0, "4": 0, "5": 0}}},
        "records": [{"placement_id": 101, "position_id": 7_000_001, "trainee_id": 11, "office": "EOE",
            "status": "EXPORTED", "reason": null, "file": "DE_EOE_APP_20261121_00000001.DAT"}],
        "warnings": document["warnings"],
    });
    assert_eq!(document, expected);
    let lines = world.outgoing("DE_EOE_APP_20261121_00000001.DAT");
    assert_eq!((lines.len(), lines[2].as_str()), (3, "TRL,3"));
    assert!(lines[1].contains("Testcase") && lines[1].contains(POST_NUMBER), "{}", lines[1]);
}

#[test]
fn a_second_run_exports_nothing_twice_under_new_numbers() {
    let world = World::small();
    world.once(DAY_1, &[]).document();
    let document = world.once(DAY_1, &[]).document();
    assert_eq!(document["inbound"], json!([]));
    let names = ["DE_EOE_APP_20261121_00000002.DAT", "DE_EOE_DNC_20261121_00000002.DAT"];
    for (file, name) in document["outbound"].as_array().unwrap().iter().zip(names) {
        assert_eq!((&file["name"], &file["rows"]), (&json!(name), &json!(0)));
        assert_eq!(world.outgoing(name).len(), 2);
    }
    assert_eq!(world.outbox_names().len(), 5);
}

#[test]
fn a5_a_later_run_exports_what_has_come_into_the_window() {
    let world = World::small();
    world.jsonl(
        "placements",
        &[placement(101, 11, "2026-12-15", "2027-03-14"), placement(102, 12, "2027-03-15", "2027-09-14")],
    );
    world.jsonl("people", &[person(11, "Testcase"), person(12, "Laterman")]);
    let document = world.once(DAY_1, &[]).document();
    assert_eq!(status_of(&document, 102).as_deref(), Some("TO_EXPORT"));
    let document = world.once("2026-12-14T14:30:00Z", &[]).document();
    assert_eq!(status_of(&document, 102).as_deref(), Some("TO_EXPORT"), "13 weeks to the day are not yet in it");
    let document = world.once("2026-12-15T14:30:00Z", &[]).document();
    assert_eq!(status_of(&document, 102).as_deref(), Some("EXPORTED"));
    let lines = world.outgoing("DE_EOE_APP_20261215_00000003.DAT");
    assert!(lines.len() == 3 && lines[1].contains("Laterman"), "{lines:?}");
}

#[test]
fn d36_a_run_before_the_last_one_is_refused_and_changes_nothing() {
    let world = World::small();
    world.once(DAY_2, &[]).document();
    let before = world.outbox_names();
    let answer = world.once(DAY_1, &[]);
    assert_eq!((answer.code, answer.stdout.as_str()), (2, ""));
    assert!(answer.stderr.contains("lies before the last run"), "{}", answer.stderr);
    assert_eq!(world.outbox_names(), before);
}

#[test]
fn d50_files_of_offices_that_are_not_served_stay_untouched() {
    let world = World::small();
    world.file("DE_LDN_RMF_20261121_00000001.DAT", &[&position(8_000_001, "", "LDN/ZBA01/300/STR/001")]);
    let document = world.once(DAY_1, &[]).document();
    assert_eq!(document["inbound"].as_array().unwrap().len(), 1);
    assert_eq!(document["offices"].as_object().unwrap().len(), 1);
    assert!(world.outbox_names().iter().all(|name| name.starts_with("DE_EOE_")));
}

#[test]
fn d50_every_office_gets_files_in_the_order_asked_for() {
    let mut world = World::small();
    world.flags = vec!["--offices".into(), "YHD,EOE".into()];
    world.once(DAY_1, &[]).document();
    let names = world.outbox_names();
    assert!(names.contains(&"DE_YHD_APP_20261121_00000001.DAT".to_owned()), "{names:?}");
    assert!(names.contains(&"DE_EOE_APP_20261121_00000002.DAT".to_owned()), "{names:?}");
}

#[test]
fn d2_a_placement_that_is_gone_from_the_snapshot_is_deleted() {
    let world = World::small();
    world.jsonl(
        "placements",
        &[placement(101, 11, "2026-12-15", "2027-03-14"), placement(102, 11, "2027-05-15", "2027-09-14")],
    );
    world.once(DAY_1, &[]).document();
    world.jsonl("placements", &[placement(101, 11, "2026-12-15", "2027-03-14")]);
    let document = world.once(DAY_2, &[]).document();
    assert_eq!(status_of(&document, 102).as_deref(), Some("DELETED_BEFORE_EXPORT"));
}

#[test]
fn d1_posts_of_the_baseline_raise_no_type_5_and_later_ones_do() {
    let world = World::small();
    let later = "EOE/ZAA01/300/STR/002";
    world.file(FULL_FILE, &[&position(7_000_001, "", POST_NUMBER), &position(7_000_002, "", later)]);
    let document = world.once(DAY_1, &[]).document();
    assert_eq!(document["offices"]["EOE"]["notifications"]["5"], 0);
    assert_eq!(document["offices"]["EOE"]["unmatched"], 1);
    world.jsonl("posts", &[post(1, POST_NUMBER), post(2, later)]);
    let document = world.once(DAY_2, &[]).document();
    assert_eq!(document["offices"]["EOE"]["notifications"]["5"], 1);
}

#[test]
fn d11_archived_files_move_when_they_are_processed() {
    let mut world = World::small();
    fs::write(world.path("my.toml"), "[esr.inbound]\nafter = \"archive\"\n").unwrap();
    world.flags.extend(["--config".into(), world.path("my.toml").display().to_string()]);
    world.once(DAY_1, &[]).document();
    assert!(world.path("inbox/archive").join(FULL_FILE).exists() && !world.path("inbox").join(FULL_FILE).exists());
}

#[test]
fn text_is_for_people() {
    let world = World::small();
    let answer = world::answer(&mut world.command(&["--once", "--now", DAY_1, "--records"]));
    assert_eq!(answer.code, 0, "{answer:?}");
    for part in ["office  positions", "DE_EOE_APP_20261121_00000001.DAT", "EXPORTED", "processed"] {
        assert!(answer.stdout.contains(part), "{part}: {}", answer.stdout);
    }
    assert!(answer.stdout.lines().all(|line| line.chars().count() <= 100), "{}", answer.stdout);
}

#[test]
fn d5_a_position_without_a_number_is_live_and_unmatched() {
    let world = World::small();
    let lines = [7_000_001, 7_000_002, 7_000_003].map(|id| position(id, "", POST_NUMBER));
    world.file(FULL_FILE, &[&lines[0], &lines[1], &lines[2]]);
    let changes = [position(7_000_002, "", ""), position(7_000_003, "D", POST_NUMBER)];
    world.file("DE_EOE_RMC_20261121_00000002.DAT", &[&changes[0], &changes[1]]);
    let document = world.once(DAY_1, &[]).document();
    let office = &document["offices"]["EOE"];
    let figures = ["positions", "live", "matched", "unmatched"].map(|figure| office[figure].as_i64().unwrap());
    assert_eq!(figures, [3, 2, 1, 1], "{document}");
}
