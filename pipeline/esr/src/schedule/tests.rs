//! Runs and file numbers (2.3, D36, D50).

use tributary_schemas::records::esr::{ExportRun, FileKind, NotificationCut, RunRequested};
use tributary_schemas::records::tributary::{Clock, FileRetry};

use super::Schedule;
use crate::harness::{Harness, millis, office, stage};

mod clock_tests;
mod wrong_clock_tests;

fn run(schedule: &mut Harness<Schedule>, now: &str, kind: FileKind) -> Vec<i64> {
    let offices = vec![office("EOE"), office("LDN")];
    schedule.at(now);
    schedule.give("run", &RunRequested { now: millis(now), kind, offices, include_late: false });
    schedule.take::<ExportRun>().iter().map(|run| run.number).collect()
}

#[test]
fn d50_each_type_has_one_counter_without_gaps_and_each_office_takes_a_number() {
    let mut schedule = stage(Schedule::new);
    assert_eq!(run(&mut schedule, "2026-11-20T14:00:00Z", FileKind::App), [1, 2]);
    assert_eq!(run(&mut schedule, "2026-11-20T15:00:00Z", FileKind::Dnc), [1, 2]);
    assert_eq!(run(&mut schedule, "2026-11-21T14:00:00Z", FileKind::App), [3, 4]);
}

#[test]
fn d36_missed_dates_are_ticked_in_order_and_a_run_before_the_last_is_refused() {
    let mut schedule = stage(Schedule::new);
    run(&mut schedule, "2026-11-20T15:00:00Z", FileKind::Dnc);
    let now = "2026-11-23T15:00:00Z";
    let request =
        RunRequested { now: millis(now), kind: FileKind::Dnc, offices: vec![office("EOE")], include_late: false };
    schedule.give("run", &request);
    let ticks: Vec<String> = schedule.take::<NotificationCut>()[0].ticks.iter().map(ToString::to_string).collect();
    assert_eq!(ticks, ["2026-11-21", "2026-11-22", "2026-11-23"]);
    assert_eq!(run(&mut schedule, "2026-11-22T15:00:00Z", FileKind::Dnc), [0; 0]);
}

#[test]
fn a_run_that_cannot_be_met_as_a_whole_is_a_dead_letter_and_takes_no_number() {
    let mut schedule = stage(Schedule::new);
    let request = |kind, now| {
        let offices = vec![office("EOE"), office("LDN")];
        RunRequested { now, kind, offices, include_late: false }
    };
    let now = millis("2026-11-20T14:00:00Z");
    for (wrong, code) in
        [(request(FileKind::Rmf, now), "kind-without-runs"), (request(FileKind::App, i64::MAX), "time-out-of-range")]
    {
        assert_eq!(schedule.dead_letter("run", &wrong), code);
    }
    assert_eq!(run(&mut schedule, "2026-11-20T14:00:00Z", FileKind::App), [1, 2]);
}

#[test]
fn d63_a_file_that_is_not_written_goes_to_the_writer_with_each_time_until_it_is() {
    let mut schedule = stage(Schedule::new);
    let retry = FileRetry { file_name: "DE_EOE_APP_20261120_00000001.DAT".to_owned() };
    let clock = Clock { now: millis("2026-11-20T12:00:00Z"), ..Clock::default() };
    schedule.give("clock", &clock);
    assert_eq!(schedule.take::<FileRetry>(), []);
    schedule.give(&retry.file_name, &retry);
    assert_eq!(schedule.take::<FileRetry>(), [], "not before the next time");
    assert_eq!(schedule.processor.retries().collect::<Vec<_>>(), [retry.file_name.as_str()]);
    schedule.give("clock", &clock);
    assert_eq!(schedule.take::<FileRetry>(), [retry]);
    schedule.give("clock", &clock);
    assert_eq!(schedule.take::<FileRetry>(), [], "the writer asks again if it has to");
}
