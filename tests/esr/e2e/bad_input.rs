//! What the program does with input that is not as it should be, row by row of what is promised.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::fs;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use world::{Answer, DAY_1, DAY_2, FULL_FILE, POST_NUMBER, World, person, position, status_of};

const CHANGES: &str = "DE_EOE_RMC_20261121_00000002.DAT";

fn inbound(answer: &Answer, name: &str) -> Value {
    let document = answer.document();
    let files = document["inbound"].as_array().unwrap();
    files.iter().find(|file| file["name"] == name).cloned().unwrap_or(Value::Null)
}

#[test]
fn bad_lines_are_reported_and_the_file_goes_on() {
    let world = World::small();
    let too_long = position(7_000_004, "", POST_NUMBER).replace("General Medicine", &"x".repeat(9000));
    let comma = position(7_000_005, "", POST_NUMBER).replace("\"General Medicine\"", "General, Medicine");
    let lines = [
        position(7_000_002, "", POST_NUMBER),
        "POS,7000003,,\"C\"".to_owned(),
        too_long,
        comma,
        "XYZ,1".to_owned(),
        position(7_000_006, "", POST_NUMBER).replace("Registrar\",\"300", "Registrar\\\",\"300"),
    ];
    world.file(CHANGES, &lines.each_ref().map(String::as_str));
    let answer = world.once(DAY_1, &[]);
    let file = inbound(&answer, CHANGES);
    assert_eq!((&file["status"], &file["accepted"]["POS"]), (&json!("processed"), &json!(2)));
    let rejected: Vec<i64> =
        file["rejected"].as_array().unwrap().iter().map(|line| line["line"].as_i64().unwrap()).collect();
    assert_eq!(rejected, [3, 4, 5, 6]);
    assert_eq!(answer.document()["offices"]["EOE"]["positions"], 3);
    let confirmation = world.outgoing("DE_EOE_RTC_20261121_00000002.DAT");
    assert_eq!(confirmation.iter().filter(|line| line.contains("\"FAIL\"")).count(), 4, "{confirmation:?}");
}

#[test]
fn d10_a_suspect_file_is_parked_and_can_be_accepted() {
    let world = World::small();
    world.once(DAY_1, &[]).document();
    let good = position(7_000_002, "", POST_NUMBER);
    world.file(CHANGES, &[&good]);
    let path = world.path("inbox").join(CHANGES);
    let text = fs::read_to_string(&path).unwrap().replace("TRL,3", "TRL,7");
    fs::write(&path, text).unwrap();
    let answer = world.once(DAY_2, &[]);
    assert_eq!(inbound(&answer, CHANGES)["status"], "parked");
    assert!(answer.warns_of(CHANGES));
    assert!(!world.outbox_names().contains(&"DE_EOE_RTC_20261121_00000002.DAT".to_owned()));
    let answer = world.once(DAY_2, &[]);
    assert_eq!(inbound(&answer, CHANGES)["status"], "parked", "D109: until it is decided");
    assert!(answer.warns_of(&format!("{CHANGES} is parked")));
    let answer = world.once(DAY_2, &["--accept", CHANGES]);
    assert_eq!(inbound(&answer, CHANGES)["status"], "processed");
    assert_eq!(answer.document()["offices"]["EOE"]["positions"], 2);
    assert!(world.outbox_names().contains(&"DE_EOE_RTC_20261121_00000002.DAT".to_owned()));
}

#[test]
fn d10_a_parked_file_can_be_refused_or_replaced() {
    for replace in [false, true] {
        let world = World::small();
        fs::write(world.path("inbox").join(CHANGES), "no header\n").unwrap();
        assert_eq!(inbound(&world.once(DAY_1, &[]), CHANGES)["status"], "parked");
        if replace {
            world.file(CHANGES, &[&position(7_000_002, "", POST_NUMBER)]);
            assert_eq!(inbound(&world.once(DAY_1, &[]), CHANGES)["status"], "processed");
        } else {
            assert_eq!(inbound(&world.once(DAY_1, &["--refuse", CHANGES]), CHANGES)["status"], "refused");
            assert!(world.outgoing("DE_EOE_RTC_20261121_00000002.DAT")[1].contains("FAIL"));
        }
    }
}

#[test]
fn d11_the_same_file_again_is_ignored_and_other_content_is_refused() {
    let world = World::small();
    world.once(DAY_1, &[]).document();
    let path = world.path("inbox").join(FULL_FILE);
    let later = SystemTime::now() + Duration::from_mins(1);
    fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
    assert_eq!(inbound(&world.once(DAY_2, &[]), FULL_FILE)["status"], "ignored");
    world.file(FULL_FILE, &[&position(7_000_009, "", POST_NUMBER)]);
    let answer = world.once(DAY_2, &[]);
    assert_eq!(inbound(&answer, FULL_FILE)["status"], "refused");
    assert!(answer.warns_of(FULL_FILE));
    assert_eq!(answer.document()["offices"]["EOE"]["positions"], 1);
}

#[test]
fn d12_a_second_confirmation_of_one_name_is_held_back_until_it_is_released() {
    let world = World::small();
    let second = "DE_EOE_RMC_20261121_00000001.DAT";
    world.file(second, &[&position(7_000_002, "", POST_NUMBER)]);
    let answer = world.once(DAY_1, &[]);
    assert_eq!(inbound(&answer, second)["status"], "processed");
    assert!(answer.warns_of("held back"));
    let confirmation = "DE_EOE_RTC_20261121_00000001.DAT";
    let first = world.outgoing(confirmation);
    fs::remove_file(world.path("outbox").join(confirmation)).unwrap();
    world.once(DAY_1, &["--release", second]).document();
    assert_eq!(world.outgoing(confirmation).len(), first.len());
}

#[test]
fn names_that_are_not_ours_are_left_and_reported() {
    let world = World::small();
    world.file("DE_XYZ_RMC_20261121_00000001.DAT", &[]);
    world.file("DE_EOE_APC_20261121_00000001.DAT", &[]);
    fs::write(world.path("inbox/notes.txt"), "x").unwrap();
    let answer = world.once(DAY_1, &[]);
    for part in ["unknown office XYZ", "confirmation (APC)", "notes.txt"] {
        assert!(answer.warns_of(part), "{part}: {answer:?}");
    }
    assert_eq!(answer.document()["inbound"].as_array().unwrap().len(), 1);
    assert!(world.path("inbox/notes.txt").exists());
}

#[test]
fn a_bad_snapshot_line_is_reported_with_file_line_and_field() {
    let world = World::small();
    let path = world.path("tis/people.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("not json\n{{\"contactDetails\":{{}}}}\n{text}")).unwrap();
    let answer = world.once(DAY_1, &[]);
    assert!(answer.warns_of("people.jsonl, line 1: is not JSON"), "{answer:?}");
    assert!(answer.warns_of("people.jsonl, line 2: id is missing"), "{answer:?}");
    assert_eq!(status_of(&answer.document(), 101).as_deref(), Some("EXPORTED"));
}

#[test]
fn d2_a_snapshot_that_deletes_too_much_is_refused() {
    let world = World::small();
    let numbers: Vec<Value> = (1..=80).map(|id| world::post(id, &format!("EOE/ZAA01/300/STR/{id:03}"))).collect();
    world.jsonl("posts", &numbers);
    world.once(DAY_1, &[]).document();
    world.jsonl("posts", &numbers[1..2]);
    let answer = world.once(DAY_2, &[]);
    assert!(answer.warns_of("refused as a whole"), "{answer:?}");
    assert_eq!(answer.document()["offices"]["EOE"]["matched"], 1);
}

#[test]
fn an_applicant_without_a_mandatory_field_waits_until_it_is_corrected() {
    let world = World::small();
    let mut incomplete = person(11, "Testcase");
    incomplete["personalDetails"]["dateOfBirth"] = Value::Null;
    world.jsonl("people", &[incomplete]);
    let document = world.once(DAY_1, &[]).document();
    assert_eq!(status_of(&document, 101).as_deref(), Some("INVALID_DATA"));
    assert!(document["records"][0]["reason"].as_str().unwrap().contains("dob"), "{document}");
    world.jsonl("people", &[person(11, "Testcase")]);
    let document = world.once(DAY_2, &[]).document();
    assert_eq!(status_of(&document, 101).as_deref(), Some("EXPORTED"));
}

#[test]
fn a_bad_postcode_and_an_unmapped_value_are_blank_with_a_warning() {
    let world = World::small();
    let mut odd = person(11, "Testcase");
    odd["contactDetails"]["postCode"] = json!("NOWHERE");
    odd["personalDetails"]["gender"] = json!("Gondolier");
    world.jsonl("people", &[odd]);
    let answer = world.once(DAY_1, &[]);
    assert!(answer.warns_of("gender is left blank") && answer.warns_of("postcode is left blank"), "{answer:?}");
    // Values of persons do not belong into logs (D119).
    for text in [&answer.stdout, &answer.stderr] {
        assert!(!text.contains("NOWHERE") && !text.contains("Gondolier"), "{text}");
    }
    let row = &world.outgoing("DE_EOE_APP_20261121_00000001.DAT")[1];
    assert!(!row.contains("NOWHERE") && !row.contains("Gondolier"), "{row}");
}

#[test]
fn an_unwritable_outbox_ends_with_code_1_and_the_next_run_finishes() {
    let world = World::small();
    // A file in place of the folder stops every user, even root.
    fs::write(world.path("outbox"), "in the way").unwrap();
    let answer = world.once(DAY_1, &["--give-up-after", "2"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.stderr.contains("outbox"), "{}", answer.stderr);
    fs::remove_file(world.path("outbox")).unwrap();
    let document = world.once(DAY_1, &[]).document();
    assert_eq!(status_of(&document, 101).as_deref(), Some("EXPORTED"));
    let rows: usize = world
        .outbox_names()
        .iter()
        .filter(|name| name.contains("_APP_"))
        .map(|name| world.outgoing(name).len() - 2)
        .sum();
    assert_eq!(rows, 1);
}

#[test]
fn a_state_folder_in_use_of_a_newer_version_or_damaged_is_refused() {
    let world = World::small();
    world.once(DAY_1, &[]).document();
    let format = world.path("state/format.json");
    let good = fs::read_to_string(&format).unwrap();
    fs::write(&format, good.replace("\"format\":2", "\"format\":99").replace("\"format\": 2", "\"format\": 99"))
        .unwrap();
    let answer = world.once(DAY_1, &[]);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("format 99") && answer.stderr.contains("--state"), "{}", answer.stderr);
    fs::write(&format, "nonsense").unwrap();
    let answer = world.once(DAY_1, &[]);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("damaged"), "{}", answer.stderr);
    fs::write(&format, good).unwrap();
    world.once(DAY_1, &[]).document();
}

#[test]
fn decisions_that_cannot_have_an_effect_are_refused() {
    let world = World::small();
    world.once(DAY_1, &[]).document();
    for decision in ["--accept", "--refuse", "--release"] {
        for name in [FULL_FILE, "DE_EOE_RMC_20261121_00000077.DAT"] {
            assert_eq!(world.once(DAY_1, &[decision, name]).code, 2);
        }
    }
}
