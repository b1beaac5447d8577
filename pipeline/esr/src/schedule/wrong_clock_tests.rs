//! Clocks that are wrong, due runs that wait for input, and what operators change (D95, D103).

use std::collections::{BTreeMap, BTreeSet};

use tributary_runtime::memory::SimulationRng;
use tributary_schemas::Date;
use tributary_schemas::records::esr::{CounterSet, ExportRun, FileKind, NotificationCut, RunsForgotten};
use tributary_schemas::records::tributary::{Alert, Clock};

use super::{Harness, Schedule, millis, office, run};
use crate::harness::stage;

const FIVE_MINUTES: i64 = 5 * 60 * 1000;

/// What a tick has caused: codes of alerts, and types of runs of one office.
fn tick(schedule: &mut Harness<Schedule>, clock: &Clock) -> Vec<String> {
    schedule.now = clock.now;
    let sent = schedule.give("clock", clock);
    let runs = schedule.read::<ExportRun>(&sent).into_iter().filter(|run| run.office == office("EOE"));
    let alerts = schedule.read::<Alert>(&sent).into_iter().map(|alert| format!("{} {}", alert.code, alert.subject));
    let mut caused: Vec<String> = alerts.chain(runs.map(|run| run.kind.to_string())).collect();
    caused.sort();
    caused
}

fn at(now: &str) -> Clock {
    Clock { now: millis(now), ..Clock::default() }
}

/// A schedule whose runs of 19 November were made.
fn schedule() -> Harness<Schedule> {
    let mut schedule = stage(Schedule::new);
    assert!(tick(&mut schedule, &at("2026-11-19T13:00:00Z")).is_empty());
    assert_eq!(tick(&mut schedule, &at("2026-11-19T15:00:00Z")), ["APP", "DNC"]);
    schedule
}

#[test]
fn d103_a_last_run_after_now_is_said_once_at_each_due_time_and_its_end_makes_the_run() {
    let mut schedule = schedule();
    assert_eq!(tick(&mut schedule, &at("2030-07-01T15:05:00Z")).len(), 4, "two runs, two alerts about missed ones");
    assert_eq!(
        tick(&mut schedule, &at("2026-11-20T13:00:00Z")),
        ["run-before-last APP", "run-before-last DNC"],
        "at once"
    );
    assert!(tick(&mut schedule, &at("2026-11-20T13:59:00Z")).is_empty());
    assert_eq!(tick(&mut schedule, &at("2026-11-20T14:01:00Z")), ["run-before-last APP"]);
    assert!(tick(&mut schedule, &at("2026-11-20T14:02:00Z")).is_empty());
    assert_eq!(tick(&mut schedule, &at("2026-11-21T15:01:00Z")), ["run-before-last APP", "run-before-last DNC"]);
    let forgotten = RunsForgotten { after: millis("2026-11-19T16:00:00Z"), now: 1, by: "tester".to_owned() };
    schedule.give("forget", &forgotten);
    let alert = schedule.take::<Alert>().pop().unwrap();
    assert_eq!(alert.code, "runs-forgotten");
    assert!(
        alert.text.starts_with("tester has set the last right time to 2026-11-19") && alert.text.contains(": 2 later")
    );
    schedule.at("2026-11-21T15:02:00Z");
    let sent = schedule.give("clock", &at("2026-11-21T15:02:00Z"));
    let runs = schedule.read::<ExportRun>(&sent);
    let of = |kind| runs.iter().find(|run| run.kind == kind && run.office == office("EOE")).unwrap();
    assert_eq!((of(FileKind::App).number, of(FileKind::Dnc).number), (5, 5), "numbers are not given out again");
    assert_eq!(of(FileKind::App).previous_run, Some(millis("2026-11-19T15:00:00Z")));
    let ticks: Vec<String> = schedule.read::<NotificationCut>(&sent)[0].ticks.iter().map(ToString::to_string).collect();
    assert_eq!(ticks, ["2026-11-20", "2026-11-21"]);
    let actions: Vec<_> = schedule.processor.actions().map(|action| (action.at, action.by.as_str())).collect();
    assert_eq!(actions, [(1, "tester")]);
}

#[test]
fn d103_runs_up_to_the_time_are_not_forgotten() {
    let mut schedule = schedule();
    let forgotten = RunsForgotten { after: millis("2026-11-19T15:00:00Z"), now: 1, by: "tester".to_owned() };
    schedule.give("forget", &forgotten);
    assert!(schedule.take::<Alert>()[0].text.contains(": 0 later"));
    assert_eq!(schedule.processor.last_run(), Some(millis("2026-11-19T15:00:00Z")));
    assert!(tick(&mut schedule, &at("2026-11-19T15:01:00Z")).is_empty());
}

#[test]
fn d103_a_due_time_that_passes_again_after_the_clock_was_set_back_is_said() {
    let mut schedule = schedule();
    assert_eq!(tick(&mut schedule, &at("2026-11-20T14:00:01Z")), ["APP"]);
    assert_eq!(tick(&mut schedule, &at("2026-11-19T20:00:00Z")), ["run-before-last APP"]);
    assert_eq!(tick(&mut schedule, &at("2026-11-20T14:00:05Z")), ["run-not-made APP"]);
    assert_eq!(tick(&mut schedule, &at("2026-11-20T15:00:05Z")), ["DNC"]);
}

#[test]
fn d103_a_small_step_of_the_clock_drops_no_run_and_needs_no_word() {
    let mut schedule = schedule();
    assert_eq!(tick(&mut schedule, &at("2026-11-20T14:00:01Z")), ["APP"]);
    assert!(tick(&mut schedule, &at("2026-11-20T13:59:58Z")).is_empty());
    assert!(tick(&mut schedule, &at("2026-11-20T14:00:03Z")).is_empty());
    // An operator's batch a moment ahead of a due time.
    run(&mut schedule, "2026-11-20T15:00:10Z", FileKind::App);
    assert!(tick(&mut schedule, &at("2026-11-20T15:00:05Z")).is_empty());
    assert_eq!(tick(&mut schedule, &at("2026-11-20T15:00:11Z")), ["DNC"]);
}

#[test]
fn d103_while_the_clock_is_in_doubt_a_due_run_waits_and_this_is_said_once() {
    let mut schedule = schedule();
    let held = |now: &str| Clock { held_because: Some("the clock jumped".to_owned()), ..at(now) };
    assert!(tick(&mut schedule, &held("2026-11-20T13:00:00Z")).is_empty());
    assert_eq!(tick(&mut schedule, &held("2026-11-20T14:00:00Z")), ["run-held APP"]);
    assert!(tick(&mut schedule, &held("2026-11-20T14:00:05Z")).is_empty());
    assert_eq!(tick(&mut schedule, &at("2026-11-20T14:10:00Z")), ["APP"]);
}

#[test]
fn d95_a_due_run_waits_for_known_input_and_goes_without_it_after_the_patience() {
    let mut schedule = schedule();
    let waits = |now: &str| Clock { waits_for: vec!["DE_EOE_RMC_20261120_00000002.DAT".to_owned()], ..at(now) };
    assert!(tick(&mut schedule, &waits("2026-11-20T13:59:00Z")).is_empty(), "nothing is due");
    assert!(tick(&mut schedule, &waits("2026-11-20T14:00:00Z")).is_empty());
    assert_eq!(tick(&mut schedule, &at("2026-11-20T14:00:09Z")), ["APP"], "it was taken in");
    assert!(tick(&mut schedule, &waits("2026-11-20T15:00:00Z")).is_empty());
    assert!(tick(&mut schedule, &waits("2026-11-20T15:01:04Z")).is_empty());
    assert_eq!(tick(&mut schedule, &waits("2026-11-20T15:01:05Z")), ["DNC", "input-not-waited-for DNC"]);
}

#[test]
fn d95_a_process_that_starts_while_a_run_waits_waits_for_the_whole_time_again() {
    let mut schedule = schedule();
    let waits = |now: &str| Clock { waits_for: vec!["the snapshot of TIS".to_owned()], ..at(now) };
    assert!(tick(&mut schedule, &waits("2026-11-20T14:00:00Z")).is_empty());
    assert!(tick(&mut schedule, &waits("2026-11-20T14:30:00Z")).is_empty());
    assert!(tick(&mut schedule, &waits("2026-11-20T14:31:00Z")).is_empty());
    let caused = tick(&mut schedule, &waits("2026-11-20T14:31:05Z"));
    assert_eq!(caused, ["APP", "input-not-waited-for APP"]);
}

#[test]
fn d50_a_counter_that_is_set_gives_that_number_next_and_wrong_numbers_are_refused() {
    let mut schedule = schedule();
    schedule.take::<ExportRun>();
    let set = |number| CounterSet { kind: FileKind::App, number, now: 1, by: "tester".to_owned() };
    schedule.give("counter", &set(99_999_999));
    assert_eq!(run(&mut schedule, "2026-11-20T14:00:00Z", FileKind::App), [99_999_999]);
    for wrong in [0, -1, 100_000_000, i64::MIN] {
        assert_eq!(schedule.dead_letter("counter", &set(wrong)), "not-a-file-number");
    }
    assert_eq!(schedule.dead_letter("counter", &CounterSet { kind: FileKind::Rtc, ..set(1) }), "kind-without-runs");
    schedule.give("counter", &set(7));
    assert_eq!(run(&mut schedule, "2026-11-21T14:00:00Z", FileKind::App), [7, 8]);
}

/// A random step of the clock: mostly minutes, sometimes a jump of hours to years, forward or back.
fn step(rng: &mut SimulationRng) -> i64 {
    const MINUTE: i64 = 60_000;
    let minutes = match rng.below(20) {
        0 => rng.below(60 * 24 * 4) as i64,
        1 => -(rng.below(60 * 24 * 4) as i64),
        2 => rng.below(60 * 24 * 1000) as i64,
        3 => -(rng.below(60 * 24 * 1000) as i64),
        4 => -(rng.below(4) as i64),
        _ => 1 + rng.below(90) as i64,
    };
    minutes * MINUTE
}

/// What must hold after each tick, told apart from the stage.
struct Watch {
    /// Due dates of each type about which there was a run or a word.
    settled: BTreeMap<FileKind, BTreeSet<Date>>,
    /// Due dates of each type up to this one are done: their runs were made, or an operator has said so.
    done: BTreeMap<FileKind, Date>,
    last_run: i64,
    last_number: i64,
}

impl Watch {
    fn new(last_run: i64) -> Self {
        Self { settled: BTreeMap::new(), done: BTreeMap::new(), last_run, last_number: 2 }
    }

    /// The due times up to `now` are done.
    fn are_done(&mut self, schedule: &Harness<Schedule>, now: i64) {
        for kind in [FileKind::App, FileKind::Dnc] {
            self.done.insert(kind, schedule.processor.due_date(kind, now).unwrap());
        }
    }

    fn tick(&mut self, schedule: &mut Harness<Schedule>, before: i64, clock: &Clock) {
        schedule.now = clock.now;
        let sent = schedule.give("clock", clock);
        let (runs, alerts) = (schedule.read::<ExportRun>(&sent), schedule.read::<Alert>(&sent));
        assert!(runs.is_empty() || clock.held_because.is_none(), "a run by a clock in doubt");
        for run in &runs {
            assert!(run.now >= self.last_run, "a run before the last one");
            if run.kind == FileKind::App {
                self.last_number += 1;
                assert_eq!(run.number, self.last_number, "a gap");
            }
        }
        self.last_run = runs.iter().map(|run| run.now).fold(self.last_run, i64::max);
        let ahead = self.last_run - clock.now;
        for kind in [FileKind::App, FileKind::Dnc] {
            let due = schedule.processor.due_date(kind, clock.now).unwrap();
            let is_new = due > schedule.processor.due_date(kind, before).unwrap();
            let settled = self.settled.entry(kind).or_default();
            if ahead > FIVE_MINUTES {
                settled.retain(|date| *date <= due);
            }
            let is_about = |alert: &Alert| alert.subject == kind.symbol();
            if runs.iter().any(|run| run.kind == kind) || alerts.iter().any(is_about) {
                settled.insert(due);
            }
            let is_soon = (1..=FIVE_MINUTES).contains(&ahead);
            let is_done = settled.contains(&due) || self.done.get(&kind).is_some_and(|done| due <= *done);
            assert!(!is_new || is_soon || is_done, "the {kind} run of {due} is dropped without a word");
        }
    }
}

#[test]
fn d103_no_due_time_passes_without_a_run_or_a_word_wherever_the_clock_jumps() {
    for seed in 0..300 {
        let mut rng = SimulationRng::new(seed);
        let mut schedule = schedule();
        let mut clock = at("2026-11-19T15:01:00Z");
        let mut watch = Watch::new(clock.now - 60_000);
        watch.are_done(&schedule, clock.now);
        eprintln!("seed {seed}");
        for _ in 0..200 {
            let before = clock.now;
            clock.now += step(&mut rng);
            clock.held_because = (rng.below(6) == 0).then(|| "in doubt".to_owned());
            if rng.below(40) == 0 {
                let forgotten = RunsForgotten { after: clock.now, now: clock.now, by: "tester".to_owned() };
                schedule.give("forget", &forgotten);
                watch.last_run = schedule.processor.last_run().unwrap_or(i64::MIN / 2);
                watch.settled.clear();
                watch.are_done(&schedule, clock.now);
                watch.tick(&mut schedule, clock.now, &clock);
                continue;
            }
            watch.tick(&mut schedule, before, &clock);
        }
    }
}
