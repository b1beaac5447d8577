//! Which calls begin, and when.

use tributary_schemas::records::registry::{CallOutcome, ErrorClass};

use super::*;
use crate::call_answer::Outcome;
use crate::harness::{self, NOW, key, run};
use crate::sealing::{KeyRing, Part, Sealed, Sealer};

const LATER: i64 = NOW + 900_000;

fn call(of: u32, attempt: i32) -> Call {
    Call { attempt, deadline_at: LATER, ..Call::of(harness::kind_name(), run(of), harness::user(1)) }
}

fn caller() -> Caller {
    Caller::new(CallSettings { max_in_flight: 2, ..harness::kind().calls })
}

fn begun(caller: &mut Caller, now: i64) -> Vec<CallName> {
    std::iter::from_fn(|| caller.begin(now)).map(|(name, _)| name).collect()
}

fn runs(names: &[CallName]) -> Vec<RunId> {
    names.iter().map(|name| name.run).collect()
}

#[test]
fn calls_begin_in_their_order_up_to_the_limit() {
    let mut caller = caller();
    (1..=4).for_each(|number| caller.note(key(number), 0, Some(call(u32::from(number), 1))));
    let first = begun(&mut caller, NOW);
    assert_eq!((runs(&first), caller.in_flight(), caller.waiting()), (vec![run(1), run(2)], 2, 2));
    caller.ended(first[0], false, NOW);
    assert_eq!(runs(&begun(&mut caller, NOW)), [run(3)]);
}

#[test]
fn a_call_without_committed_outcome_is_made_once_as_long_as_the_process_lives() {
    let mut caller = caller();
    caller.note(key(1), 0, Some(call(1, 1)));
    let names = begun(&mut caller, NOW);
    caller.note(key(1), 0, Some(call(1, 1)));
    caller.ended(names[0], false, NOW);
    caller.note(key(1), 0, Some(call(1, 1)));
    assert!(begun(&mut caller, NOW).is_empty(), "its answer is on the way");
    caller.note(key(1), 0, None);
    caller.note(key(1), 0, Some(call(1, 2)));
    assert_eq!(begun(&mut caller, NOW)[0].attempt, 2);
}

#[test]
fn kill_between_call_and_update_calls_again() {
    let mut before = caller();
    before.note(key(1), 0, Some(call(1, 1)));
    let names = begun(&mut before, NOW);
    before.ended(names[0], false, NOW);
    // A new process reads the topic: the call is still open.
    let mut after = caller();
    after.note(key(1), 0, Some(call(1, 1)));
    assert_eq!(begun(&mut after, NOW), names);
}

#[test]
fn a_call_that_has_ended_in_the_log_is_not_made() {
    let mut caller = caller();
    caller.note(key(1), 0, Some(call(1, 1)));
    caller.note(key(1), 0, None);
    assert!(begun(&mut caller, NOW).is_empty());
    caller.note(key(1), 0, Some(Call { deadline_at: NOW, ..call(2, 1) }));
    assert!(begun(&mut caller, NOW).is_empty(), "its run is over");
    assert_eq!(runs(&begun(&mut caller, NOW - 1)), [run(2)], "the clock was wrong");
    assert_eq!(caller.waiting(), 0);
}

#[test]
fn a_call_whose_partition_comes_back_is_not_made_twice_at_once() {
    let mut caller = caller();
    caller.note(key(1), 0, Some(call(1, 1)));
    let names = begun(&mut caller, NOW);
    assert!(caller.is_open(names[0]));
    caller.forget(0);
    assert!(!caller.is_open(names[0]));
    caller.note(key(1), 0, Some(call(1, 1)));
    assert!(begun(&mut caller, NOW).is_empty());
    assert_eq!(caller.in_flight(), 1);
}

#[test]
fn a_newer_run_does_not_wait_for_the_call_of_an_older_one() {
    let mut caller = caller();
    caller.note(key(1), 0, Some(call(1, 1)));
    let old = begun(&mut caller, NOW);
    caller.note(key(1), 0, Some(call(2, 1)));
    assert_eq!(runs(&begun(&mut caller, NOW)), [run(2)], "the older one is left to its time-out");
    caller.ended(old[0], false, NOW);
    assert_eq!(caller.in_flight(), 1);
}

#[test]
fn a_pause_holds_calls_and_is_no_attempt() {
    let mut caller = caller();
    caller.pause(true);
    caller.note(key(1), 0, Some(call(1, 1)));
    assert!(begun(&mut caller, NOW).is_empty());
    caller.pause(false);
    assert_eq!(begun(&mut caller, NOW)[0].attempt, 1);
}

#[test]
fn an_open_breaker_holds_calls_then_one_tries() {
    let mut caller = caller();
    (1..=9).for_each(|number| caller.note(key(number), 0, Some(call(u32::from(number), 1))));
    for _ in 0..5 {
        let (name, _) = caller.begin(NOW).unwrap();
        caller.ended(name, true, NOW);
    }
    assert_eq!(caller.breaker(), BreakerState::Open);
    assert!(begun(&mut caller, NOW + 29_999).is_empty());
    assert_eq!(caller.wakes_at(), Some(NOW + 30_000));
    let trial = begun(&mut caller, NOW + 30_000);
    assert_eq!((trial.len(), caller.breaker()), (1, BreakerState::HalfOpen));
    caller.failed_here(trial[0], NOW + 30_001);
    let again = begun(&mut caller, NOW + 30_001);
    assert_eq!(again.len(), 1, "another one tries");
    caller.ended(again[0], false, NOW + 30_002);
    assert_eq!((caller.breaker(), begun(&mut caller, NOW + 30_002).len()), (BreakerState::Closed, 2));
}

#[test]
fn what_fails_on_our_side_is_called_again_and_does_not_count() {
    let mut caller = caller();
    caller.note(key(1), 0, Some(call(1, 1)));
    for _ in 0..20 {
        let names = begun(&mut caller, NOW);
        assert_eq!(names.len(), 1);
        caller.failed_here(names[0], NOW);
    }
    assert_eq!(caller.breaker(), BreakerState::Closed);
    let names = begun(&mut caller, NOW);
    caller.note(key(1), 0, None);
    caller.failed_here(names[0], NOW);
    assert!(begun(&mut caller, NOW).is_empty(), "it is not open any more");
}

#[test]
fn calls_of_a_partition_that_was_lost_are_forgotten() {
    let mut caller = caller();
    caller.note(key(1), 0, Some(call(1, 1)));
    caller.note(key(2), 1, Some(call(2, 1)));
    caller.forget(0);
    assert_eq!(runs(&begun(&mut caller, NOW)), [run(2)]);
}

/// A ring with one key and one nonce.
fn ring() -> KeyRing {
    KeyRing::read("a AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", || [0; 12]).unwrap()
}

#[test]
fn a_call_carries_its_number_and_its_answer_the_data_sealed() {
    let (ring, kind) = (ring(), harness::kind_name());
    let sealed = |part| Sealed { kind: &kind, row: key(1), part };
    let number = ring.seal(sealed(Part::Number), "19910824-00026\r\n".as_bytes()).unwrap();
    let call = Call { number, ..call(1, 3) };
    assert_eq!(number_of(&ring, key(1), &call).unwrap().expose(), "19910824-00026\r\n");
    assert!(number_of(&ring, key(2), &call).is_err(), "it is the number of another row");
    let data = serde_json::json!({"firstName": "Тест"});
    let found = answer_of(&ring, key(1), &call, (harness::call_id(1), &Outcome::Found(data.clone()), NOW)).unwrap();
    let info = ring.open(sealed(Part::Info), found.info.as_deref().unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&info).unwrap(), data);
    assert_eq!((found.run_id, found.attempt, found.outcome), (run(1), 3, CallOutcome::Found));
    let empty = answer_of(&ring, key(1), &call, (harness::call_id(1), &Outcome::Empty, NOW)).unwrap();
    assert_eq!((empty.outcome, empty.info), (CallOutcome::Empty, None));
}

#[test]
fn a_failure_is_recorded_with_class_code_and_how_long_to_wait() {
    let settings = harness::settings();
    let number = crate::number::Number::new("1");
    let asked = crate::call_answer::Asked {
        kind: harness::unzr(&settings),
        trembita: &settings.trembita,
        number: &number,
        id: harness::call_id(1),
    };
    let busy = crate::call_answer::HttpAnswer { status: 429, body: Some(Vec::new()), retry_after: Some(9000) };
    let outcome = asked.outcome(crate::call_answer::Received::Answer(busy));
    let answer = answer_of(&ring(), key(1), &call(1, 1), (harness::call_id(1), &outcome, NOW)).unwrap();
    assert_eq!((answer.outcome, answer.retry_after), (CallOutcome::Failed, Some(9000)));
    assert_eq!(answer.error, Some(harness::error(ErrorClass::Http, "429", true)));
}
