//! Who is the same person to ESR (D116), and runs of some offices only (D118, R4).

use std::slice;

use super::*;

const DAY_3: &str = "2026-06-03T13:30:00Z";

/// Placement 21 of person 1, exported on day 1.
fn exported() -> Oracle {
    let mut oracle = oracle();
    let outcome = run(&mut oracle, DAY_1, vec![rmf(&[pos(1, "C", A)])], tis(&[post(10, A)], &[coming(21, 1)]));
    assert_eq!(records(&outcome), ["21/1/1 EOE EXPORTED"]);
    oracle
}

fn coming(id: u64, trainee: u64) -> Value {
    placement(id, trainee, A, "2026-07-01", "2026-12-31")
}

/// Person 6 with the number of person 1.
fn other_record_of_person_1() -> Value {
    with(person(6), "gmcDetails", json!({"gmcNumber": "7000001"}))
}

fn with_people(placements: &[Value], people: &[Value]) -> Snapshot {
    Snapshot { people: Some(lines(people)), ..tis(&[post(10, A)], placements) }
}

fn next_day(oracle: &mut Oracle, snapshot: Snapshot) -> (Vec<String>, Vec<String>, Vec<String>) {
    let outcome = run(oracle, DAY_2, vec![], snapshot);
    (sent(&outcome), told(&outcome), records(&outcome))
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[test]
fn d116_a_merged_doctor_is_sent_once() {
    let mut oracle = exported();
    let merged = with_people(&[coming(21, 6)], &[other_record_of_person_1()]);
    let (applicants, rows, records) = next_day(&mut oracle, merged);
    assert_eq!((applicants, rows), (nothing(), nothing()));
    assert_eq!(records, ["21/1/1 EOE EXPORTED", "21/1/6 EOE EXPORTED"]);
}

#[test]
fn d116_a_placement_that_is_entered_again_is_sent_once_and_one_with_other_dates_twice() {
    let mut oracle = exported();
    let (applicants, rows, _) = next_day(&mut oracle, tis(&[post(10, A)], &[coming(22, 1)]));
    assert_eq!((applicants, rows), (nothing(), nothing()));
    let mut oracle = exported();
    let other = placement(22, 1, A, "2026-07-02", "2026-12-31");
    let (applicants, rows, _) = next_day(&mut oracle, tis(&[post(10, A)], &[other]));
    assert_eq!((applicants.len(), rows), (1, vec!["1:>P1".to_owned(), "2:-P1".to_owned()]));
}

#[test]
fn d116_a_corrected_number_makes_another_person_and_one_that_is_missing_does_not() {
    let mut oracle = exported();
    let missing = with(person(1), "gmcDetails", json!({}));
    let (applicants, rows, _) = next_day(&mut oracle, with_people(&[coming(21, 1)], &[missing]));
    assert_eq!((applicants, rows), (nothing(), nothing()));
    let mut oracle = exported();
    let corrected = with(person(1), "gmcDetails", json!({"gmcNumber": "7000099"}));
    let (applicants, rows, records) = next_day(&mut oracle, with_people(&[coming(21, 1)], &[corrected]));
    assert_eq!((applicants.len(), rows), (1, vec!["1:>P1".to_owned(), "2:-P1".to_owned()]));
    assert_eq!(records, ["21/1/1 EOE EXPORTED"]);
}

#[test]
fn d117_the_number_of_a_placement_routes_it() {
    let mut oracle = oracle();
    let wrong_post = with(coming(21, 1), "postId", 11);
    let snapshot = tis(&[post(10, A), post(11, B)], &[wrong_post]);
    let outcome = run(&mut oracle, DAY_1, vec![rmf(&[pos(1, "C", A), pos(2, "C", B)])], snapshot);
    assert_eq!(records(&outcome), ["21/1/1 EOE EXPORTED"]);
}

/// LDN with position 1, and EOE; both had a run.
fn two_offices() -> Oracle {
    let mut oracle = oracle();
    run(&mut oracle, DAY_1, vec![file("LDN", "RMF", 1, &[pos(1, "C", A)])], tis(&[post(11, B)], &[]));
    oracle
}

#[test]
fn d118_a_run_of_another_office_takes_nothing_away() {
    let mut oracle = two_offices();
    run_of(&mut oracle, "EOE", DAY_2, tis(&[post(10, A), post(11, B)], &[coming(21, 1)]));
    let outcome = run(&mut oracle, DAY_3, vec![], Snapshot::default());
    assert_eq!(told_in(&outcome, "LDN"), ["1:>P1", "5:>"]);
}

#[test]
fn r4_a_record_that_came_and_went_while_its_office_had_no_run_is_deleted_before_export() {
    let mut oracle = two_offices();
    // A snapshot without any placement would delete none (D112).
    let other = with(coming(22, 2), "nationalPostNumber", "EOE/NONE/300/STR/009");
    run_of(&mut oracle, "EOE", DAY_2, tis(&[post(10, A), post(11, B)], &[coming(21, 1), other.clone()]));
    run_of(&mut oracle, "EOE", DAY_2, tis(&[post(10, A), post(11, B)], &[other]));
    let outcome = run(&mut oracle, DAY_3, vec![], Snapshot::default());
    assert_eq!(records(&outcome), ["21/1/1 LDN DELETED_BEFORE_EXPORT"]);
}

#[test]
fn d116_a_draft_of_another_person_is_withdrawn_once() {
    let mut oracle = exported();
    let corrected = with(person(1), "gmcDetails", json!({"gmcNumber": "7000099"}));
    let draft = with(coming(21, 1), "lifecycleState", "DRAFT");
    let (_, rows, _) = next_day(&mut oracle, with_people(slice::from_ref(&draft), slice::from_ref(&corrected)));
    assert_eq!(rows, ["1:>", "2:-P1"]);
    let outcome = run(&mut oracle, DAY_3, vec![], with_people(&[draft], slice::from_ref(&corrected)));
    assert_eq!(told(&outcome), nothing());
    let outcome = run(&mut oracle, "2026-06-04T13:30:00Z", vec![], with_people(&[coming(21, 1)], &[corrected]));
    assert_eq!(told(&outcome), ["1:>P1"]);
}
