//! Runs by the clock, previous runs, and runs that are refused (10.1, D36, D50, D51).

use tributary_schemas::records::esr::{ExportRun, FileKind, NotificationCut, RunRequested};
use tributary_schemas::records::tributary::{Alert, Clock};

use super::{Harness, Schedule, millis, run};
use crate::harness::{office, stage};

fn tick(schedule: &mut Harness<Schedule>, now: &str) -> Vec<(FileKind, i64)> {
    schedule.at(now);
    schedule.give("clock", &Clock { now: millis(now), ..Clock::default() });
    schedule
        .take::<ExportRun>()
        .iter()
        .filter(|run| run.office == office("EOE"))
        .map(|run| (run.kind, run.number))
        .collect()
}

#[test]
fn a_run_is_due_once_on_each_london_date_when_its_time_has_come() {
    let mut schedule = stage(Schedule::new);
    assert_eq!(tick(&mut schedule, "2026-11-20T08:00:00Z"), []);
    let mut of_the_day = Vec::new();
    for hour in 9..24 {
        of_the_day.extend(tick(&mut schedule, &format!("2026-11-20T{hour:02}:30:00Z")));
    }
    of_the_day.sort_unstable();
    let mut expected = [(FileKind::App, 1), (FileKind::Dnc, 1)];
    expected.sort_unstable();
    assert_eq!(of_the_day, expected);
}

#[test]
fn a_service_that_starts_after_the_time_of_a_run_takes_the_next_day_first() {
    let mut schedule = stage(Schedule::new);
    assert_eq!(tick(&mut schedule, "2026-11-20T23:00:00Z"), []);
    assert_eq!(tick(&mut schedule, "2026-11-20T23:30:00Z"), []);
    assert_eq!(tick(&mut schedule, "2026-11-21T23:30:00Z").len(), 2);
}

#[test]
fn d36_a_run_that_was_missed_on_several_dates_takes_place_once() {
    let mut schedule = stage(Schedule::new);
    tick(&mut schedule, "2026-11-20T08:00:00Z");
    assert_eq!(tick(&mut schedule, "2026-11-24T08:00:00Z").len(), 2);
    assert_eq!(tick(&mut schedule, "2026-11-24T08:01:00Z"), []);
    assert_eq!(tick(&mut schedule, "2026-11-24T23:00:00Z").len(), 2, "the run of the day");
}

#[test]
fn d36_a_second_run_on_a_day_ticks_that_day_again() {
    let mut schedule = stage(Schedule::new);
    let mut ticks = |now: &str| {
        let offices = vec![office("EOE")];
        schedule.give("run", &RunRequested { now: millis(now), kind: FileKind::Dnc, offices, include_late: false });
        let cut = schedule.take::<NotificationCut>().remove(0);
        cut.ticks.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(ticks("2026-11-20T15:00:00Z"), ["2026-11-20"], "the first run has only the tick of T");
    assert_eq!(ticks("2026-11-20T16:00:00Z"), ["2026-11-20"]);
    assert_eq!(ticks("2026-11-22T16:00:00Z"), ["2026-11-21", "2026-11-22"]);
}

#[test]
fn d36_d50_a_refused_run_raises_an_alert_and_takes_no_number() {
    let mut schedule = stage(Schedule::new);
    run(&mut schedule, "2026-11-20T14:00:00Z", FileKind::App);
    let earlier = "2026-11-20T13:59:59Z";
    let request = RunRequested { now: millis(earlier), kind: FileKind::Dnc, ..RunRequested::default() };
    schedule.give("run", &request);
    assert_eq!(schedule.take::<Alert>()[0].code, "run-before-last");
    assert_eq!(run(&mut schedule, "2026-11-20T14:00:00Z", FileKind::App), [3, 4], "the same time is not earlier");
    assert_eq!(schedule.processor.last_run(), Some(millis("2026-11-20T14:00:00Z")));
}

#[test]
fn d51_a_run_names_the_last_one_of_its_type_and_office() {
    let mut schedule = stage(Schedule::new);
    let mut previous = |now: &str, kind: FileKind, code: &str| {
        let offices = vec![office(code)];
        schedule.give("run", &RunRequested { now: millis(now), kind, offices, include_late: false });
        schedule.take::<ExportRun>().remove(0).previous_run
    };
    assert_eq!(previous("2026-11-20T14:00:00Z", FileKind::App, "EOE"), None);
    assert_eq!(previous("2026-11-20T15:00:00Z", FileKind::Dnc, "EOE"), None);
    assert_eq!(previous("2026-11-20T16:00:00Z", FileKind::App, "LDN"), None);
    assert_eq!(previous("2026-11-21T14:00:00Z", FileKind::App, "EOE"), Some(millis("2026-11-20T14:00:00Z")));
}

#[test]
fn d50_file_names_have_the_london_date_and_the_number_of_the_run() {
    let mut schedule = stage(Schedule::new);
    let request = RunRequested {
        now: millis("2026-06-20T23:30:00Z"),
        kind: FileKind::App,
        offices: vec![office("LDN"), office("EOE")],
        include_late: false,
    };
    schedule.give("run", &request);
    let names: Vec<String> = schedule.take::<ExportRun>().into_iter().map(|run| run.file_name.to_string()).collect();
    assert_eq!(names, ["DE_LDN_APP_20260621_00000001.DAT", "DE_EOE_APP_20260621_00000002.DAT"]);
}
