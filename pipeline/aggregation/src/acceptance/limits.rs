//! Limits of addresses, of memory and of questions.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::world::*;
use crate::place::{BreakerState, PlaceLimits};

const PATIENT: &str = "191212121212";
const OTHER: &str = "202002020202";

fn setup(limits: PlaceLimits) -> Setup {
    let one = [engagement("SLOW", "c", "1")];
    let two = [engagement("FAST", "c", "1")];
    let mut setup = Setup::default().patient(PATIENT, &one).patient(OTHER, &two);
    setup.settings.places = limits;
    setup
}

/// Asks in a task of its own.
fn ask(world: &Arc<World>, patient: &'static str) -> tokio::task::JoinHandle<Answered> {
    let world = world.clone();
    tokio::spawn(async move { world.ask(LABORATORY, patient).await })
}

#[tokio::test(start_paused = true)]
async fn one_slow_address_starves_nobody() {
    let world = Arc::new(setup(PlaceLimits { in_flight: 2, waiting: 2, ..PlaceLimits::default() }).build());
    world.producers.set("SLOW", 60_000, What::Rows);
    world.producers.set("FAST", 100, What::Rows);
    let slow: Vec<_> = (0..5).map(|_| ask(&world, PATIENT)).collect();
    tokio::time::sleep(ms(500)).await;
    let place = world.flow.places().into_iter().find(|place| place.address == "SLOW").unwrap();
    assert_eq!((place.in_flight, place.waiting), (2, 2));
    let begin = Instant::now();
    assert_eq!(ask(&world, OTHER).await.unwrap().rows_of("FAST"), 1);
    assert_eq!(begin.elapsed(), ms(110));
    let mut texts = Vec::new();
    for one in slow {
        let record = one.await.unwrap().record("SLOW").clone();
        texts.push((record.code.unwrap(), record.text.unwrap()));
    }
    texts.sort();
    let (full, late) = texts.split_first().unwrap();
    assert_eq!(full, &("43000".to_owned(), "2 calls to this address wait already".to_owned()));
    assert!(late.iter().all(|(code, text)| code == "504" && text.contains("timeout")), "{late:?}");
    assert_eq!(world.producers.counts.begun.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_place_counts_into_the_service_time_out() {
    let world = Arc::new(setup(PlaceLimits { in_flight: 1, ..PlaceLimits::default() }).build());
    world.producers.set("SLOW", 2000, What::Rows);
    let begin = Instant::now();
    let (first, second) = (ask(&world, PATIENT), ask(&world, PATIENT));
    assert_eq!(first.await.unwrap().rows.len(), 1);
    second.await.unwrap().assert_failed("SLOW", "504", "timeout");
    assert_eq!(begin.elapsed(), ms(3010));
}

#[tokio::test(start_paused = true)]
async fn breaker_opens_and_closes() {
    let limits = PlaceLimits { breaker_failures: 3, breaker_open: ms(10_000), ..PlaceLimits::default() };
    let world = setup(limits).build();
    let state = || world.flow.places()[0].state;
    // Faults do not count.
    world.producers.set("SLOW", 10, What::Fault(500, "VP009".to_owned()));
    for _ in 0..5 {
        world.ask(LABORATORY, PATIENT).await.assert_failed("SLOW", "500", "VP009");
    }
    world.producers.set("SLOW", 10, What::Refused);
    world.ask(LABORATORY, PATIENT).await;
    world.producers.set("SLOW", 60_000, What::Rows);
    world.ask(LABORATORY, PATIENT).await.assert_failed("SLOW", "504", "timeout");
    assert_eq!(state(), BreakerState::Closed);
    world.ask(LABORATORY, PATIENT).await;
    assert_eq!(state(), BreakerState::Open);
    let (begin, begun) = (Instant::now(), world.producers.counts.begun.load(Ordering::Relaxed));
    world.ask(LABORATORY, PATIENT).await.assert_failed("SLOW", "43000", "did not reach this address");
    assert_eq!((begin.elapsed(), world.producers.counts.begun.load(Ordering::Relaxed)), (ms(10), begun));
    // One call tries, and the others fail at once.
    tokio::time::sleep(ms(10_000)).await;
    let world = Arc::new(world);
    let (trial, other) = (ask(&world, PATIENT), ask(&world, PATIENT));
    tokio::time::sleep(ms(100)).await;
    assert_eq!(world.flow.places()[0].state, BreakerState::HalfOpen);
    let (trial, other) = (trial.await.unwrap(), other.await.unwrap());
    let mut codes = [trial, other].map(|answer| answer.record("SLOW").code.clone().unwrap());
    codes.sort();
    assert_eq!(codes, ["43000", "504"]);
    assert_eq!(world.flow.places()[0].state, BreakerState::Open);
    tokio::time::sleep(ms(10_000)).await;
    world.producers.set("SLOW", 10, What::Rows);
    assert_eq!(world.ask(LABORATORY, PATIENT).await.rows.len(), 1);
    assert_eq!(world.flow.places()[0].state, BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_of_zero_stays_closed() {
    let world = setup(PlaceLimits { breaker_failures: 0, ..PlaceLimits::default() }).build();
    world.producers.set("SLOW", 10, What::Refused);
    for _ in 0..50 {
        world.ask(LABORATORY, PATIENT).await.assert_failed("SLOW", "43000", "refused");
    }
    assert_eq!(world.flow.places()[0].state, BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_gets_no_memory_in_time_fails_alone() {
    let engagements = ["LARGE", "FAST"].map(|address| engagement(address, "c", "1"));
    let mut setup = Setup::default().patient(PATIENT, &engagements);
    setup.settings.memory_bytes = 100_000;
    let world = setup.build();
    world.producers.set("FAST", 100, What::Rows);
    let row = row("laboratoryOrderOutcome", "LARGE", PATIENT, "1");
    world.producers.set("LARGE", 200, What::Inside(row.repeat(1000)));
    let answer = world.ask(LABORATORY, PATIENT).await;
    assert_eq!(answer.rows_of("FAST"), 1);
    answer.assert_failed("LARGE", "43000", "no memory");
    assert_eq!(world.flow.free_memory(), 98 * 1024);
    assert_eq!(world.flow.places()[1].state, BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_waits_for_its_reader_keeps_its_memory() {
    let world = setup(PlaceLimits::default()).build();
    let free = world.flow.free_memory();
    let body = world.reply(LABORATORY, OTHER).await.into_body();
    assert!(world.flow.free_memory() + body.as_ref().len() / 2 < free);
    drop(body);
    assert_eq!(world.flow.free_memory(), free);
}

#[tokio::test(start_paused = true)]
async fn one_question_too_many_is_told_to_ask_again() {
    let mut setup = setup(PlaceLimits::default());
    setup.settings.max_questions = 1;
    let world = Arc::new(setup.build());
    let first = ask(&world, OTHER);
    tokio::time::sleep(ms(100)).await;
    let reply = world.reply(LABORATORY, OTHER).await;
    assert_eq!((reply.kind, reply.kind.status()), (ReplyKind::Busy, 503));
    assert_eq!(first.await.unwrap().rows.len(), 1);
    assert_eq!(world.ask(LABORATORY, OTHER).await.rows.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_audit_slows_questions_and_loses_nothing() {
    let mut world = Setup { audit_queue: 1, ..setup(PlaceLimits::default()) }.build();
    world.ask(LABORATORY, OTHER).await;
    // No one reads the audit: the third time-out says so.
    let fault = world.fault(LABORATORY, OTHER).await;
    assert_eq!((fault.code.as_str(), fault.text.as_str()), ("Server", "timeout: no answer within 5000 ms"));
    world.audit.recv().await.unwrap();
    world.ask(LABORATORY, OTHER).await;
    assert_eq!(world.audit.recv().await.unwrap().outcome, AuditOutcome::Answered);
}
