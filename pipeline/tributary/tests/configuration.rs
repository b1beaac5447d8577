//! `tributary config`, usage errors and help.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../tests/esr/e2e/world/mod.rs"]
mod world;

use std::fs;
use std::path::Path;
use std::process::Command;

use world::{Answer, DAY_1, World, answer};

fn tributary(arguments: &[&str]) -> Answer {
    answer(Command::new(env!("CARGO_BIN_EXE_tributary")).args(arguments))
}

fn check(text: &str) -> Answer {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("my.toml");
    fs::write(&file, text).unwrap();
    tributary(&["config", "check", "--config", file.to_str().unwrap()])
}

#[test]
fn config_check_names_file_line_and_what_is_expected() {
    for (text, expected) in [
        ("[esr.applicants]\nmin_days = \"two\"\n", "my.toml:2: expected a whole number, found string \"two\""),
        ("\n[esr.outbound]\nline_end = \"cr\"\n", "my.toml:3: expected"),
        ("[log]\nkind = \"pigeon\"\n", "my.toml:2: expected"),
        ("[kafka]\nbrokers = \"x\"\n", "my.toml:2: expected"),
        ("[service]\n\nport = 1\n", "my.toml:3: expected"),
        ("[inbound]\nafter = \"keep\"\n", "my.toml:1: expected `esr.inbound`"),
        ("[nothing]\n", "my.toml:1: expected"),
        ("[log\n", "my.toml:1:"),
    ] {
        let answer = check(text);
        assert_eq!((answer.code, answer.stdout.as_str()), (2, ""), "{text}");
        assert!(answer.stderr.contains(expected), "{text}: {}", answer.stderr);
    }
    let answer = check("[esr]\nlayouts = \"absent.toml\"\n");
    assert!(answer.code == 2 && answer.stderr.contains("absent.toml"), "{answer:?}");
    assert_eq!(check("[esr.applicants]\nmin_days = 3\n").code, 0);
}

#[test]
fn what_config_show_prints_can_be_given_back() {
    let shown = tributary(&["config", "show"]);
    assert_eq!(shown.code, 0);
    assert_eq!(check(&shown.stdout).code, 0);
}

/// The files of `deploy/cases`, with secrets in the environment of the program.
#[test]
fn the_deployments_of_cases_are_right_and_show_no_secret() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/cases");
    for name in ["exttest.toml", "preprod.toml", "prod.toml"] {
        for verb in ["check", "show"] {
            let mut program = Command::new(env!("CARGO_BIN_EXE_tributary"));
            program.args(["config", verb, "--config"]).arg(folder.join(name));
            program.env("DIS_KAFKA_PASSWORD", "invented-1").env("DIS_RABBIT_PASSWORD", "invented-2");
            let answer = answer(&mut program);
            assert_eq!(answer.code, 0, "{name}: {answer:?}");
            assert!(!answer.stdout.contains("invented-"), "{name}: {answer:?}");
        }
    }
}

#[test]
fn wrong_usage_ends_with_code_2() {
    let world = World::small();
    assert_eq!(tributary(&[]).code, 2);
    assert_eq!(tributary(&["run", "--inbox", "x"]).code, 2);
    let answer = tributary(&["run"]);
    assert!(answer.code == 2 && answer.stderr.contains("add --inbox DIR"), "{answer:?}");
    assert_eq!(tributary(&["run", "--flow", "nothing"]).code, 2);
    assert_eq!(world.once("yesterday", &[]).code, 2);
    assert_eq!(world.once(DAY_1, &["--log", "kafka"]).code, 2);
    let mut other = World::small();
    other.flags = vec!["--offices".into(), "XYZ".into()];
    let answer = other.once(DAY_1, &[]);
    assert!(answer.code == 2 && answer.stderr.contains("XYZ is not a configured office"), "{answer:?}");
    assert!(!world.path("state").exists(), "nothing was changed");
}

#[test]
fn help_tells_a_stranger_what_to_type() {
    for arguments in [
        &["--help"][..],
        &["run", "--help"],
        &["demo", "--help"],
        &["topics", "--help"],
        &["schemas", "--help"],
        &["config", "--help"],
    ] {
        let answer = tributary(arguments);
        assert_eq!(answer.code, 0);
        assert!(answer.stdout.contains("Examples:"), "{arguments:?}: {}", answer.stdout);
    }
}

#[test]
fn the_demo_shows_two_days_and_says_what_to_try_next() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("demo");
    let answer = tributary(&["demo", "--scale", "office", "--dir", place.to_str().unwrap()]);
    assert_eq!(answer.code, 0, "{answer:?}");
    for part in ["Day 1", "Day 2", "office  positions", "RTC (confirmations)", "--once --now 2026-11-22T14:30:00Z"] {
        assert!(answer.stdout.contains(part), "{part}: {}", answer.stdout);
    }
    assert_eq!(answer.stderr, "", "progress is for terminals");
    let again = tributary(&["demo", "--scale", "office", "--dir", place.to_str().unwrap()]);
    assert!(again.code == 2 && again.stderr.contains("not empty"), "{again:?}");
}
