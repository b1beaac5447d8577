//! Clocks that are wrong: of the machine, of `--now`; and the way back (D36, D95, D98, D103).

use std::fs;
use std::process::Command;

use jiff::Timestamp;
use tributary_harness::{FakeTime, set_clock};

use crate::world::service::{Service, wait_for};
use crate::world::{Answer, DAY_1, POST_NUMBER, World, answer, person, placement, position};

/// A world whose services have a clock of their own. The monotonic clock stays right.
struct Clock {
    world: World,
    time: FakeTime,
}

impl Clock {
    /// `None`, with a note, where the library is not installed.
    fn new(steady_seconds: u32) -> Option<Self> {
        let time = FakeTime::find()?;
        let mut world = World::small();
        let settings = format!(
            "[service]\nclock_seconds = 1\nclock_steady_seconds = {steady_seconds}\n[esr.inbound]\nsettle_seconds = 1\n"
        );
        fs::write(world.path("my.toml"), settings).unwrap();
        world.flags.extend(["--config".into(), world.path("my.toml").display().to_string()]);
        Some(Self { world, time })
    }

    /// Sets the clock of the services.
    fn set(&self, time: &str) {
        let time: Timestamp = time.parse().unwrap();
        set_clock(&self.world.path("clock"), time.as_second() - Timestamp::now().as_second());
    }

    fn start(&self, more: &[&str]) -> Service {
        let mut command = self.world.command(more);
        self.time.give_to(&mut command, &self.world.path("clock"));
        Service::spawn(&mut command)
    }

    fn names(&self, part: &str) -> Vec<String> {
        self.world.outbox_names().into_iter().filter(|name| name.contains(part)).collect()
    }
}

/// `tributary ...` on the state of a world.
fn command(world: &World, arguments: &[&str]) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    command.args(arguments).arg("--state").arg(world.path("state"));
    answer(command.env_remove("TRIBUTARY_LOG_LEVEL").env_remove("TRIBUTARY_TOKEN"))
}

#[test]
fn d103_a_clock_that_is_wrong_for_seconds_starts_no_run_and_the_daily_runs_go_on() {
    let Some(clock) = Clock::new(5) else { return };
    clock.set("2026-11-19T13:00:00Z");
    let mut service = clock.start(&[]);
    wait_for(&clock.world, "DE_EOE_RTC_20261121_00000001.DAT");
    clock.set("2026-11-19T14:01:00Z");
    service.wait_until_said(&["the clock jumped to 2026-11-19T14:01"]);
    wait_for(&clock.world, "DE_EOE_APP_20261119_00000001.DAT");
    clock.set("2030-07-01T15:05:00Z");
    service.wait_until_said(&["the clock jumped to 2030-07-01"]);
    service.wait_until_said(&["clock-in-doubt", "tributary clock confirm"]);
    clock.set("2026-11-20T14:01:00Z");
    wait_for(&clock.world, "DE_EOE_APP_20261120_00000002.DAT");
    clock.set("2026-11-21T15:01:00Z");
    wait_for(&clock.world, "DE_EOE_APP_20261121_00000003.DAT");
    wait_for(&clock.world, "DE_EOE_DNC_20261121_00000002.DAT");
    assert_eq!(service.end("-TERM").0, Some(0));
    assert!(clock.names("_2030").is_empty(), "{:?}", clock.world.outbox_names());
}

#[test]
fn d103_an_operator_confirms_a_start_whose_clock_is_far_from_the_log() {
    let Some(clock) = Clock::new(600) else { return };
    let first = clock.world.once("2026-11-19T13:00:00Z", &[]);
    assert_eq!(first.code, 0, "{first:?}");
    clock.set("2031-01-05T13:00:00Z");
    clock.world.file("DE_EOE_RMC_20261120_00000002.DAT", &[&position(7_000_002, "", POST_NUMBER)]);
    let mut service = clock.start(&["--http", "127.0.0.1:0"]);
    service.wait_until_said(&["clock-in-doubt", "the last time in the log is 2026-11-19"]);
    assert!(clock.names("RTC_20261120").is_empty(), "nothing is taken in with a time that is in doubt");
    let confirmed = command(&clock.world, &["clock", "confirm"]);
    assert_eq!(confirmed.code, 0, "{confirmed:?}");
    wait_for(&clock.world, "DE_EOE_RTC_20261120_00000002.DAT");
    let again = command(&clock.world, &["clock", "confirm"]);
    assert_eq!(again.code, 2, "there is nothing to confirm: {again:?}");
    assert_eq!(service.end("-TERM").0, Some(0));
}

#[test]
fn d95_a_missed_run_first_takes_in_what_lies_complete_in_the_folders() {
    let Some(clock) = Clock::new(1) else { return };
    clock.set("2026-11-19T13:00:00Z");
    let service = clock.start(&[]);
    wait_for(&clock.world, "DE_EOE_RTC_20261121_00000001.DAT");
    clock.set("2026-11-19T15:01:00Z");
    wait_for(&clock.world, "DE_EOE_APP_20261119_00000001.DAT");
    wait_for(&clock.world, "DE_EOE_DNC_20261119_00000001.DAT");
    assert_eq!(service.end("-TERM").0, Some(0));
    let world = &clock.world;
    world.file("DE_EOE_RMC_20261120_00000002.DAT", &[&position(7_000_002, "", POST_NUMBER)]);
    world.jsonl(
        "placements",
        &[placement(101, 11, "2026-12-15", "2027-06-14"), placement(102, 12, "2026-12-16", "2027-06-14")],
    );
    world.jsonl("people", &[person(11, "Testcase"), person(12, "Laterman")]);
    clock.set("2026-11-21T16:00:00Z");
    let service = clock.start(&[]);
    wait_for(world, "DE_EOE_APP_20261121_00000002.DAT");
    assert_eq!(service.end("-TERM").0, Some(0));
    let rows = world.outgoing("DE_EOE_APP_20261121_00000002.DAT");
    let of = |name: &str| rows.iter().filter(|row| row.contains(name)).count();
    assert_eq!((of("Testcase"), of("Laterman")), (1, 1), "the new position and the new placement: {rows:?}");
}

#[test]
fn d98_a_mistyped_year_is_refused_and_changes_nothing() {
    let world = World::small();
    let refused = world.once("2096-11-21T14:30:00Z", &[]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("--confirm-now"), "{refused:?}");
    assert!(world.outbox_names().is_empty());
    assert_eq!(world.once(DAY_1, &[]).code, 0);
}

#[test]
fn d103_runs_of_a_confirmed_wrong_year_are_forgotten_and_their_numbers_stay_used() {
    let world = World::small();
    assert_eq!(world.once("2026-11-20T14:30:00Z", &[]).code, 0);
    world.jsonl(
        "placements",
        &[placement(101, 11, "2026-12-15", "2027-06-14"), placement(102, 12, "2026-12-16", "2027-06-14")],
    );
    world.jsonl("people", &[person(11, "Testcase"), person(12, "Laterman")]);
    assert_eq!(world.once("2096-11-20T14:30:00Z", &["--confirm-now"]).code, 0);
    let refused = world.once(DAY_1, &[]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("tributary esr forget-runs --after TIME"), "{refused:?}");
    let forgotten = command(&world, &["esr", "forget-runs", "--after", "2026-11-20T15:00:00Z"]);
    assert_eq!(forgotten.code, 0, "{forgotten:?}");
    assert_eq!(world.once(DAY_1, &[]).code, 0);
    let rows = world.outgoing("DE_EOE_APP_20261121_00000003.DAT");
    assert!(rows[0].contains("20261120 143000") && !rows[0].contains("2096"), "the run before: {}", rows[0]);
    assert!(rows.iter().any(|row| row.contains("Laterman")), "it had ended in 2096, and is exported: {rows:?}");
}

#[test]
fn d50_a_counter_is_set_with_and_without_a_service_and_the_alert_at_its_end_names_the_command() {
    let world = World::small();
    assert_eq!(world.once(DAY_1, &[]).code, 0);
    let set = command(&world, &["esr", "counter", "set", "APP", "99999999"]);
    assert_eq!(set.code, 0, "{set:?}");
    assert_eq!(world.once(DAY_1, &[]).code, 0);
    assert!(world.outbox_names().contains(&"DE_EOE_APP_20261121_99999999.DAT".to_owned()));
    let used_up = world.once(DAY_1, &[]);
    assert!(used_up.warns_of("tributary esr counter set APP NUMBER"), "{used_up:?}");
    for wrong in [["APP", "100000000"], ["APP", "0"], ["RTC", "1"]] {
        assert_eq!(command(&world, &[&["esr", "counter", "set"], &wrong[..]].concat()).code, 2, "{wrong:?}");
    }
    let mut service = Service::start(&world, &["--http", "127.0.0.1:0"]);
    service.wait_until_said(&["ready"]);
    let set = command(&world, &["esr", "counter", "set", "APP", "7"]);
    assert_eq!(set.code, 0, "{set:?}");
    assert!(set.stdout.contains("the next number of APP files to 7"), "{set:?}");
    service.wait_until_said(&["counter-set"]);
    assert_eq!(service.end("-TERM").0, Some(0));
    assert_eq!(world.once("2027-11-22T14:30:00Z", &["--confirm-now"]).code, 0);
    assert!(world.outbox_names().contains(&"DE_EOE_APP_20271122_00000007.DAT".to_owned()));
}

#[test]
fn d103_a_last_run_after_now_is_an_error_at_each_due_time_until_it_is_forgotten() {
    let Some(clock) = Clock::new(1) else { return };
    clock.set("2026-11-19T13:00:00Z");
    let mut service = clock.start(&["--http", "127.0.0.1:0"]);
    service.wait_until_said(&["ready"]);
    clock.set("2030-07-01T15:05:00Z");
    wait_for(&clock.world, "DE_EOE_DNC_20300701_00000001.DAT");
    clock.set("2026-11-19T13:30:00Z");
    for day in ["2026-11-20", "2026-11-21"] {
        clock.set(&format!("{day}T14:01:00Z"));
        service.wait_until_said(&["run-before-last", &format!("the APP run of {day}")]);
    }
    let forgotten = command(&clock.world, &["esr", "forget-runs", "--after", "2026-11-19T13:00:00Z"]);
    assert_eq!(forgotten.code, 0, "{forgotten:?}");
    wait_for(&clock.world, "DE_EOE_APP_20261121_00000002.DAT");
    assert_eq!(service.end("-TERM").0, Some(0));
}
