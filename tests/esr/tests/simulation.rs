//! The whole flow on the memory log under a seeded random schedule, with and without faults, against the oracle.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::num::NonZero;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::thread;

use tributary_esr_oracle::{Batch, Oracle, scenario};
use tributary_esr_tests::comparison::{comparable, difference};
use tributary_esr_tests::simulated_exchange::SimulatedExchange;
use tributary_esr_tests::summary;
use tributary_runtime::memory::Faults;
use tributary_tests::simulated_process::Trouble;

/// A number that the environment sets.
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn seeds(count: u64) -> Vec<u64> {
    match asked("TRIBUTARY_SEED") {
        Some(seed) => vec![seed],
        None => (0..asked("TRIBUTARY_SEEDS").unwrap_or(count)).collect(),
    }
}

/// Runs the scenario of a seed and compares after each batch.
fn check(seed: u64, trouble: Trouble) -> Result<SimulatedExchange, String> {
    check_batches(seed, &scenario::scenario(seed), trouble)
}

fn check_batches(seed: u64, batches: &[Batch], trouble: Trouble) -> Result<SimulatedExchange, String> {
    let offices = scenario::offices(seed);
    let mut oracle = Oracle::new(&offices);
    let mut flow = SimulatedExchange::new(seed, &offices, trouble);
    if asked("TRIBUTARY_SEED").is_some() {
        flow.trace();
    }
    let (mut expected_files, mut last) = (BTreeMap::new(), None);
    for (at, batch) in batches.iter().enumerate() {
        let mut batch = batch.clone();
        if trouble.scattered {
            // A batch decides before it looks into the inbox, and scattered sources keep the decision until it exports.
            batch.decisions.clear();
        }
        let batch = &batch;
        let expected = oracle.run(batch);
        let found = flow.run(batch);
        expected_files.extend(comparable(&expected.files));
        let differ =
            || difference(&expected_files, &comparable(&flow.files())).map(|text| format!("files differ\n{text}"));
        let differ = summary::difference(&expected, &found).or_else(differ);
        differ.map_or(Ok(()), Err).map_err(|text| {
            let death = flow.death().map(|what| format!(", after a death ({what})")).unwrap_or_default();
            format!("seed {seed}, batch {at} at {}{death}: {text}\n{}", batch.now, flow.report())
        })?;
        last = Some(found);
    }
    match last.and_then(|summary| flow.difference_of_views(&summary)) {
        Some(text) => Err(format!("seed {seed}: {text}\n{}", flow.report())),
        None => Ok(flow),
    }
}

/// Checks each seed, on all processors, and hands on what became of it.
fn check_all(count: u64, trouble: impl Fn(u64) -> Trouble + Sync, each: impl FnMut(&SimulatedExchange) + Send) {
    let seeds = Mutex::new(seeds(count).into_iter());
    let next = || seeds.lock().unwrap().next();
    let (each, failures) = (Mutex::new(each), Mutex::new(BTreeMap::new()));
    let check_next = || {
        while let Some(seed) = next() {
            let checked = panic::catch_unwind(AssertUnwindSafe(|| check(seed, trouble(seed))));
            match checked.unwrap_or_else(|_| Err(format!("seed {seed} panicked, as printed above"))) {
                Ok(flow) => each.lock().unwrap()(&flow),
                Err(text) => {
                    let start: Vec<&str> = text.lines().take(12).collect();
                    eprintln!("{}", start.join("\n"));
                    failures.lock().unwrap().insert(seed, text);
                }
            }
        }
    };
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| (0..processors).for_each(|_| drop(scope.spawn(check_next))));
    let failures = failures.into_inner().unwrap();
    if let Some((first, text)) = failures.first_key_value() {
        let all: Vec<&u64> = failures.keys().collect();
        panic!("{} seeds fail: {all:?}; tests/simulate --seed {first} replays the first\n{text}", all.len());
    }
}

fn faults(seed: u64) -> Trouble {
    Trouble { faults: Some(Faults::all(seed)), scattered: false }
}

#[test]
fn the_flow_writes_what_the_oracle_says() {
    check_all(200, |_| Trouble::default(), |_| ());
}

#[test]
fn d118_the_flow_writes_what_the_oracle_says_in_runs_of_some_offices() {
    let check = |seed| check_batches(seed, &scenario::scenario_of_some_offices(seed), Trouble::default()).err();
    let failures: Vec<String> = seeds(200).into_iter().filter_map(check).collect();
    assert!(failures.is_empty(), "{} seeds fail\n{}", failures.len(), failures[0]);
}

#[test]
fn crashes_aborts_and_rebalances_change_nothing() {
    check_all(200, faults, |_| ());
}

#[test]
fn d9_the_order_in_which_facts_arrive_changes_nothing() {
    check_all(200, |_| Trouble { faults: None, scattered: true }, |_| ());
}

#[test]
fn d9_nor_does_it_with_crashes_between() {
    check_all(100, |seed| Trouble { scattered: true, ..faults(seed) }, |_| ());
}

#[test]
fn answers_to_earlier_subscriptions_change_nothing() {
    let late = |seed| Trouble { faults: Some(Faults { delay: 0.7, ..Faults::none(seed) }), scattered: false };
    let mut stale = 0;
    check_all(300, late, |flow| stale += flow.stale_answers());
    eprintln!("{stale} answers were stale");
    assert!(stale > 10 || asked("TRIBUTARY_SEEDS").or(asked("TRIBUTARY_SEED")).is_some(), "only {stale} stale answers");
}

/// Seeds with one to four partitions, one to three workers, small and large commits; the last one has snapshots.
const DEATHS: [u64; 3] = [0, 2, 16];

#[test]
fn a_death_at_any_moment_changes_nothing() {
    let trouble = |seed, die_at| {
        let faults = Faults { die_at, slow_commit: 0.5, ..Faults::none(seed) };
        Trouble { faults: Some(faults), scattered: false }
    };
    if let (Some(seed), Some(moment)) = (asked("TRIBUTARY_SEED"), asked("TRIBUTARY_MOMENT")) {
        check(seed, trouble(seed, Some(moment))).map(|_| ()).unwrap();
        return;
    }
    if asked("TRIBUTARY_SEED").is_some() {
        return;
    }
    let stride = asked("TRIBUTARY_STRIDE").unwrap_or(47) as usize;
    for seed in DEATHS {
        let moments = check(seed, trouble(seed, None)).unwrap().moments();
        assert!(moments > 300, "seed {seed} has only {moments} moments");
        for moment in (1..=moments).step_by(stride) {
            if let Err(text) = check(seed, trouble(seed, Some(moment))) {
                panic!(
                    "moment {moment} of {moments}; tests/simulate --seed {seed} --moment {moment} replays it\n{text}"
                );
            }
        }
    }
}
