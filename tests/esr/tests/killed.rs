//! The program on the embedded log, killed (-9) at random moments and started again with the same arguments: the outbox
//! and the records must be the oracle's, as if nothing had happened.
//!
//! `TRIBUTARY_KILLED_SEEDS` is the number of scenarios, `TRIBUTARY_SEED` one of them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::time::Duration;

use tributary_esr_oracle::{Batch, scenario};
use tributary_esr_tests::process::Answer;
use tributary_esr_tests::scenario_run::ScenarioRun;
use tributary_harness::process::signal;
use tributary_harness::wait_until;

/// Kills of one batch at most, so that it comes to an end.
const MOST_KILLS: u64 = 5;

/// A scenario whose first batch writes applicants.
const SEED: u64 = 3;

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match number("TRIBUTARY_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("TRIBUTARY_KILLED_SEEDS").unwrap_or(12)).collect(),
    }
}

/// How long a batch takes without disturbance.
fn usual_duration(seed: u64) -> Duration {
    ScenarioRun::new(seed, &[]).undisturbed(&scenario::scenario(seed)[0])
}

#[test]
fn a_batch_that_is_killed_goes_on_where_it_was() {
    let seeds = seeds();
    let mut kills = 0;
    for &seed in &seeds {
        let usual = usual_duration(seed);
        let mut run = ScenarioRun::new(seed, &[]);
        for batch in scenario::scenario(seed) {
            run.with_kills(&batch, usual, MOST_KILLS);
        }
        kills += run.kills;
    }
    println!("{kills} processes were killed in {} scenarios", seeds.len());
    assert!(kills >= seeds.len() as u64, "only {kills} processes were killed in {} scenarios", seeds.len());
}

/// A scenario with its first batch laid out.
fn first_batch() -> (ScenarioRun, Batch) {
    let mut run = ScenarioRun::new(SEED, &[]);
    let batch = scenario::scenario(SEED).remove(0);
    run.exchange.put(&batch);
    (run, batch)
}

#[test]
fn a_batch_that_is_asked_to_end_goes_on_where_it_was() {
    let (mut run, batch) = first_batch();
    let now = batch.now.to_string();
    let usual = usual_duration(SEED);
    let mut interrupted = 0;
    for part in 1..10 {
        let child = run.exchange.command(&now).spawn().unwrap();
        let delay = usual.mul_f64(f64::from(part) / 12.0);
        std::thread::sleep(delay);
        signal(child.id(), "TERM");
        let answer = run.exchange.end_of(child, Duration::from_secs(20));
        match answer.code {
            Some(0) => return finished(&mut run, &batch, &answer, interrupted),
            Some(1) => interrupted += 1,
            // The signal came before the program listened for it, which is a kill.
            None => {}
            Some(_) => panic!("{answer:?}"),
        }
    }
    let answer = run.exchange.run(&now);
    finished(&mut run, &batch, &answer, interrupted);
}

fn finished(run: &mut ScenarioRun, batch: &Batch, answer: &Answer, interrupted: u32) {
    run.check(batch, answer);
    assert!(interrupted > 0, "no process was asked to end while it worked");
}

#[test]
fn a_second_process_on_a_state_folder_is_refused_and_the_first_goes_on() {
    let (mut run, batch) = first_batch();
    let now = batch.now.to_string();
    let first = run.exchange.command(&now).spawn().unwrap();
    // The second waits a moment for the lock. The first is stopped while it holds the lock, so it cannot end by then.
    let started = run.exchange.path("state/schemas.json");
    wait_until("the first process has started", Duration::from_secs(20), || started.exists());
    signal(first.id(), "STOP");
    let second = run.exchange.run(&now);
    assert_eq!(second.code, Some(2), "{second:?}");
    assert!(second.stderr.contains("in use by another process"), "{}", second.stderr);
    signal(first.id(), "CONT");
    let answer = run.exchange.end_of(first, Duration::from_mins(1));
    assert_eq!(answer.code, Some(0), "{answer:?}");
    run.check(&batch, &answer);
}
