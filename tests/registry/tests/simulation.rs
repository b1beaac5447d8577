//! The stage and its caller on the memory log under a seeded random schedule, with and without faults, against the
//! oracle. `TRIBUTARY_SEEDS` says how many seeds, `TRIBUTARY_SEED` replays one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use tributary_registry_oracle::Status;
use tributary_registry_tests::simulated_flow::{BEGIN, Register, Setting, SimulatedFlow};
use tributary_runtime::memory::Faults;
use tributary_schemas::records::registry::CommandAction;

/// The seeds of a test: 150, or what the environment asks for.
fn seeds() -> Vec<u64> {
    let asked = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    match asked("TRIBUTARY_SEED") {
        Some(seed) => vec![seed],
        None => (0..asked("TRIBUTARY_SEEDS").unwrap_or(150)).collect(),
    }
}

/// Runs each seed, and shows which one fails.
fn check(test: impl Fn(u64) -> (u64, u64)) -> (u64, u64) {
    let mut trouble = (0, 0);
    for seed in seeds() {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(seed)));
        let (deaths, aborts) = result.unwrap_or_else(|_| panic!("seed {seed} fails: TRIBUTARY_SEED={seed} replays it"));
        trouble = (trouble.0 + deaths, trouble.1 + aborts);
    }
    trouble
}

/// Compares all that others see with the oracle.
fn compare(flow: &mut SimulatedFlow) {
    flow.end();
    assert_eq!(flow.seen_rows(), flow.oracle.rows());
    assert_eq!(flow.seen_events(), flow.oracle.events, "each transition once, in its order");
    assert_eq!(flow.seen_audit(), flow.oracle.audit, "each entry once, in its order");
    assert_eq!(flow.dead_letters(), 0);
}

fn setting(seed: u64) -> Setting {
    Setting { purge_after: seed.is_multiple_of(3).then_some(600_000), max_pending: seed.is_multiple_of(5).then_some(2) }
}

/// Something happens.
fn step(flow: &mut SimulatedFlow) {
    let number = flow.rng.below(6) as u8;
    match flow.rng.below(20) {
        0..=5 => {
            // Clocks of processes differ by up to two seconds.
            let now = flow.time - flow.rng.below(2000) as i64;
            let user = 1 + flow.rng.below(5) as u32;
            flow.ask(number, user, now);
        }
        6..=9 => flow.begin_calls(),
        10..=13 => flow.end_call(),
        14 => flow.kill_caller(),
        15 => {
            let actions = [CommandAction::Retry, CommandAction::Cancel, CommandAction::Purge];
            let action = actions[flow.rng.below(3) as usize];
            flow.command(number, action);
        }
        16 => flow.time += flow.rng.below(400_000) as i64,
        _ => {
            flow.time += flow.rng.below(20_000) as i64;
            flow.tick();
        }
    }
    flow.turn(6);
}

fn run_free(seed: u64) -> (u64, u64) {
    let mut flow = SimulatedFlow::new(seed, setting(seed), Some(Faults::all(seed)));
    (0..120).for_each(|_| step(&mut flow));
    flow.finish();
    assert!(flow.oracle.rows().values().all(|row| row.status != Status::Pending), "no acknowledged request is lost");
    compare(&mut flow);
    flow.trouble()
}

#[test]
fn whatever_happens_rows_events_and_audit_are_those_of_the_oracle() {
    let (deaths, aborts) = check(run_free);
    let count = seeds().len() as u64;
    assert!(count < 10 || (deaths >= count / 2 && aborts >= count / 2), "too few faults: {deaths}, {aborts}");
}

/// Each number is asked for once, and the caller is killed at a point of each call.
fn killed(seed: u64, before_call: bool) -> (u64, u64) {
    let mut flow = SimulatedFlow::new(seed, Setting::default(), Some(Faults::all(seed)));
    flow.register = Register::Good;
    for number in 0..4 {
        flow.ask(number, 1, BEGIN);
        flow.turn(10);
        if before_call {
            flow.kill_caller();
        }
        flow.begin_calls();
        flow.kill_caller();
        flow.turn(10);
    }
    flow.finish();
    let rows = flow.oracle.rows();
    assert!(rows.len() == 4 && rows.values().all(|row| row.status == Status::Processed && row.attempt == 1));
    assert!(flow.called.len() == 4 && flow.called.values().all(|count| (1..=5).contains(count)), "{:?}", flow.called);
    compare(&mut flow);
    flow.trouble()
}

#[test]
fn kill_between_insert_and_call() {
    check(|seed| killed(seed, true));
}

#[test]
fn kill_between_call_and_update() {
    check(|seed| killed(seed, false));
}

#[test]
fn two_mutations_one_call() {
    check(|seed| {
        let mut flow = SimulatedFlow::new(seed, Setting::default(), Some(Faults::all(seed)));
        flow.register = Register::Good;
        for user in 0..16 {
            flow.ask(1, user, BEGIN + i64::from(user));
            flow.turn(3);
            if user == 8 {
                flow.begin_calls();
            }
        }
        flow.finish();
        assert_eq!((flow.called.len(), flow.called.values().copied().collect::<Vec<_>>()), (1, vec![1]), "one call");
        let rows = flow.oracle.rows();
        assert!(rows.values().all(|row| row.updated_by == 15 && row.status == Status::Processed));
        compare(&mut flow);
        flow.trouble()
    });
}

#[test]
fn late_answer_is_dropped() {
    check(|seed| {
        let mut flow = SimulatedFlow::new(seed, Setting::default(), Some(Faults::all(seed)));
        flow.register = Register::Good;
        flow.ask(1, 1, BEGIN);
        flow.wait_for_call();
        flow.command(1, CommandAction::Cancel);
        flow.ask(1, 2, BEGIN + 100);
        flow.turn(20);
        flow.end_call();
        let late = flow.oracle.events.values().flatten().filter(|event| **event == "late_answer").count();
        assert_eq!(late, 1);
        flow.finish();
        compare(&mut flow);
        flow.trouble()
    });
}

/// Lets an hour pass in which the register is down. Returns when each number was not pending any more.
fn hour(flow: &mut SimulatedFlow) {
    flow.register = Register::Down;
    let end = flow.time + 3_600_000;
    while flow.time < end {
        flow.begin_calls();
        (0..10).for_each(|_| flow.end_call());
        flow.turn(8);
        flow.time += 5000;
        flow.tick();
    }
    flow.settle();
}

#[test]
fn register_down_for_an_hour() {
    let count = seeds().len().min(20);
    for seed in seeds().into_iter().take(count) {
        let mut flow = SimulatedFlow::new(seed, Setting::default(), Some(Faults::all(seed)));
        flow.register = Register::Good;
        (0..6).for_each(|number| flow.ask(number, 1, BEGIN));
        flow.finish();
        let old: Vec<_> = flow.oracle.rows().values().map(|row| (row.info, row.synced_at)).collect();
        flow.time += 1000;
        let now = flow.time;
        (0..6).for_each(|number| flow.ask(number, 2, now));
        flow.settle();
        assert!(flow.seen_rows().values().all(|row| row.status == Status::Pending && row.info.is_some()), "pending");
        hour(&mut flow);
        let rows = flow.seen_rows();
        let has_failed = |status| matches!(status, Status::Failed | Status::FailedWithError);
        assert!(rows.values().all(|row| has_failed(row.status)), "seed {seed}: then failed, {rows:?}");
        assert_eq!(rows.values().map(|row| (row.info, row.synced_at)).collect::<Vec<_>>(), old, "old data is kept");
        flow.register = Register::Good;
        (0..6).for_each(|number| flow.command(number, CommandAction::Retry));
        flow.finish();
        assert!(flow.seen_rows().values().all(|row| row.status == Status::Processed), "one bulk retry afterwards");
        compare(&mut flow);
    }
}
