//! Applicant records.

use super::*;

/// Position 1 of A with these placements, on day 1.
fn first_day(placements: &[Value]) -> (Oracle, Outcome) {
    let mut oracle = oracle();
    let outcome = run(&mut oracle, DAY_1, vec![rmf(&[pos(1, "C", A)])], tis(&[post(10, A)], placements));
    (oracle, outcome)
}

fn coming(id: u64, trainee: u64) -> Value {
    placement(id, trainee, A, "2026-07-01", "2026-12-31")
}

#[test]
fn a5_the_window_is_from_two_days_to_less_than_13_weeks() {
    let (_, outcome) = first_day(&[
        placement(21, 1, A, "2026-06-03", "2026-12-31"),
        placement(22, 2, A, "2026-08-30", "2026-12-31"),
        placement(23, 3, A, "2026-08-31", "2026-12-31"),
    ]);
    assert_eq!(sent(&outcome), [format!("{A} 1 P1"), format!("{A} 1 P2")]);
    assert_eq!(records(&outcome), ["21/1/1 EOE EXPORTED", "22/1/2 EOE EXPORTED", "23/1/3 EOE TO_EXPORT"]);
}

#[test]
fn d1_a_baseline_placement_that_begins_before_two_days_has_no_record_also_when_moved() {
    let (mut oracle, outcome) = first_day(&[placement(21, 1, A, "2026-06-02", "2026-12-31")]);
    assert!(outcome.records.is_empty());
    let moved = tis(&[post(10, A)], &[placement(21, 1, A, "2026-07-02", "2026-12-31")]);
    assert!(run(&mut oracle, DAY_2, vec![], moved).records.is_empty());
}

#[test]
fn d25_a_placement_entered_late_misses_its_window_and_an_ended_one_has_no_record() {
    let (mut oracle, _) = first_day(&[]);
    let late = tis(
        &[post(10, A)],
        &[placement(21, 1, A, "2026-06-03", "2026-12-31"), placement(22, 2, A, "2026-05-01", "2026-06-01")],
    );
    let outcome = run(&mut oracle, DAY_2, vec![], late);
    assert_eq!(records(&outcome), ["21/1/1 EOE MISSED_WINDOW"]);
    let moved = tis(&[post(10, A)], &[placement(21, 1, A, "2026-06-05", "2026-12-31")]);
    let outcome = run(&mut oracle, DAY_2, vec![], moved);
    assert_eq!(records(&outcome), ["21/1/1 EOE EXPORTED"]);
}

#[test]
fn a8_a7_types_out_of_the_list_and_drafts_do_not_count() {
    let (_, outcome) = first_day(&[
        with(coming(21, 1), "placementType", "OOPT"),
        with(coming(22, 2), "placementType", "IN POST - extension"),
        with(coming(23, 3), "lifecycleState", "DRAFT"),
    ]);
    assert_eq!(records(&outcome), ["22/1/2 EOE EXPORTED"]);
}

#[test]
fn invalid_data_is_exported_once_corrected() {
    let mut oracle = oracle();
    let mut snapshot = tis(&[post(10, A)], &[coming(21, 1)]);
    snapshot.people = Some(lines(&[with(person(1), "personalDetails", json!({}))]));
    let outcome = run(&mut oracle, DAY_1, vec![rmf(&[pos(1, "C", A)])], snapshot);
    assert_eq!(records(&outcome), ["21/1/1 EOE INVALID_DATA"]);
    let outcome = run(&mut oracle, DAY_2, vec![], tis(&[post(10, A)], &[coming(21, 1)]));
    assert_eq!(records(&outcome), ["21/1/1 EOE EXPORTED"]);
    assert!(sent(&run(&mut oracle, DAY_2, vec![], Snapshot::default())).is_empty());
}

#[test]
fn d24_the_same_person_twice_waits_for_the_next_run() {
    let twin = with(person(2), "gmcDetails", json!({"gmcNumber": "7000001"}));
    let mut snapshot = tis(&[post(10, A)], &[placement(21, 1, A, "2026-07-02", "2026-12-31"), coming(22, 2)]);
    snapshot.people = Some(lines(&[person(1), twin]));
    let mut oracle = oracle();
    let outcome = run(&mut oracle, DAY_1, vec![rmf(&[pos(1, "C", A)])], snapshot);
    assert_eq!(records(&outcome), ["21/1/1 EOE TO_EXPORT", "22/1/2 EOE EXPORTED"]);
    let outcome = run(&mut oracle, DAY_2, vec![], Snapshot::default());
    assert_eq!(sent(&outcome), [format!("{A} 1 P1")]);
}

#[test]
fn a10_no_more_than_forty_rows_of_a_number_earliest_start_first() {
    let mut placements: Vec<Value> = (1..=41).map(|id| coming(100 + id, id)).collect();
    placements[40]["dateFrom"] = json!("2026-06-20");
    let people: Vec<Value> = (1..=41).map(|id| with(person(id), "gmcDetails", json!({}))).collect();
    let mut snapshot = tis(&[post(10, A)], &placements);
    snapshot.people = Some(lines(&people));
    let mut oracle = oracle();
    let outcome = run(&mut oracle, DAY_1, vec![rmf(&[pos(1, "C", A)])], snapshot);
    assert_eq!(sent(&outcome).len(), 40);
    let waiting: Vec<String> = records(&outcome).into_iter().filter(|record| record.ends_with("TO_EXPORT")).collect();
    assert_eq!(waiting, ["140/1/40 EOE TO_EXPORT"]);
    assert_eq!(sent(&run(&mut oracle, DAY_2, vec![], Snapshot::default())).len(), 1);
}

#[test]
fn r4_r5_a_deleted_position_withdraws_and_its_return_brings_the_record_back() {
    let far = placement(21, 1, A, "2026-10-01", "2026-12-31");
    let (mut oracle, outcome) = first_day(&[far]);
    assert_eq!(records(&outcome), ["21/1/1 EOE TO_EXPORT"]);
    let outcome = run(&mut oracle, DAY_2, vec![rmc(2, &[pos(1, "D", A)])], Snapshot::default());
    assert_eq!(records(&outcome), ["21/1/1 EOE DELETED_BEFORE_EXPORT"]);
    let outcome = run(&mut oracle, DAY_2, vec![rmc(3, &[pos(1, "C", A)])], Snapshot::default());
    assert_eq!(records(&outcome), ["21/1/1 EOE TO_EXPORT"]);
}

#[test]
fn d26_a_draft_is_withdrawn_unless_it_was_exported() {
    let (mut oracle, _) = first_day(&[coming(21, 1), placement(22, 2, A, "2026-10-01", "2026-12-31")]);
    let drafts = [
        with(coming(21, 1), "lifecycleState", "DRAFT"),
        with(placement(22, 2, A, "2026-10-01", "2026-12-31"), "lifecycleState", "DRAFT"),
    ];
    let outcome = run(&mut oracle, DAY_2, vec![], tis(&[post(10, A)], &drafts));
    assert_eq!(records(&outcome), ["21/1/1 EOE EXPORTED", "22/1/2 EOE DELETED_BEFORE_EXPORT"]);
}

#[test]
fn r6_a_position_with_another_number_leaves_its_old_records() {
    let mut oracle = oracle();
    let far = [placement(21, 1, A, "2026-10-01", "2026-12-31"), placement(22, 2, B, "2026-10-01", "2026-12-31")];
    let snapshot = tis(&[post(10, A), post(11, B)], &far);
    run(&mut oracle, DAY_1, vec![rmf(&[pos(1, "C", A)])], snapshot);
    let outcome = run(&mut oracle, DAY_2, vec![rmc(2, &[pos(1, "C", B)])], Snapshot::default());
    assert_eq!(records(&outcome), ["21/1/1 EOE DELETED_BEFORE_EXPORT", "22/1/2 EOE TO_EXPORT"]);
}

#[test]
fn d6_a_move_between_offices_withdraws_in_the_old_one_and_never_exports_twice() {
    let far = placement(22, 2, A, "2026-10-01", "2026-12-31");
    let (mut oracle, _) = first_day(&[coming(21, 1), far]);
    let outcome = run(&mut oracle, DAY_2, vec![file("LDN", "RMC", 1, &[pos(1, "C", A)])], Snapshot::default());
    assert_eq!(records(&outcome), ["21/1/1 EOE EXPORTED", "22/1/2 EOE DELETED_BEFORE_EXPORT", "22/1/2 LDN TO_EXPORT"]);
    assert!(rows(&outcome, "APP", "LDN").is_empty());
    assert!(told_in(&outcome, "LDN").is_empty());
}

#[test]
fn d14_an_event_of_tis_counts_as_exported_for_the_trainee_of_that_moment() {
    let event = json!([{"positionId": 1, "filename": "DE_EOE_APP_20260501_00000009.DAT", "status": "EXPORTED"}]);
    let (mut oracle, outcome) = first_day(&[with(coming(21, 1), "esrEvents", event.clone())]);
    assert_eq!(records(&outcome), ["21/1/1 EOE EXPORTED"]);
    assert_eq!(outcome.records[0].file.as_deref(), Some("DE_EOE_APP_20260501_00000009.DAT"));
    assert!(sent(&outcome).is_empty());
    let other = tis(&[post(10, A)], &[with(coming(21, 2), "esrEvents", event)]);
    assert_eq!(sent(&run(&mut oracle, DAY_2, vec![], other)), [format!("{A} 1 P2")]);
}

#[test]
fn d13_a_placement_of_another_post_with_the_number_has_no_record() {
    let mut oracle = oracle();
    let placements = [with(coming(21, 1), "postId", 11), with(coming(22, 2), "postId", 10), coming(23, 3)];
    let posts = [post(10, A), post(11, A)];
    let outcome = run(&mut oracle, DAY_1, vec![rmf(&[pos(1, "C", A)])], tis(&posts, &placements));
    assert_eq!(records(&outcome), ["22/1/2 EOE EXPORTED", "23/1/3 EOE EXPORTED"]);
}

#[test]
fn d20_effective_date_is_the_day_of_the_version() {
    let (mut oracle, _) =
        first_day(&[placement(21, 1, A, "2026-08-31", "2026-12-31"), placement(22, 2, A, "2026-09-01", "2026-12-31")]);
    // Day 2: 21 comes into the window unchanged. Day 3: 22 does, with another end.
    let effective = |outcome: &Outcome| columns(&rows(outcome, "APP", "EOE")[0])[6].clone();
    assert_eq!(effective(&run(&mut oracle, DAY_2, vec![], Snapshot::default())), "20260601");
    let changed = [placement(21, 1, A, "2026-08-31", "2026-12-31"), placement(22, 2, A, "2026-09-01", "2027-01-01")];
    let outcome = run(&mut oracle, "2026-06-03T13:30:00Z", vec![], tis(&[post(10, A)], &changed));
    assert_eq!(effective(&outcome), "20260603");
}

#[test]
fn section_5_4_a_whole_row() {
    let mut oracle = oracle();
    let mut snapshot = tis(&[post(10, A)], &[coming(21, 1)]);
    let full = json!({
        "id": 1,
        "contactDetails": {
            "surname": "Usual", "legalSurname": "O\"Hara", "forenames": "Ann", "legalForenames": " ", "maidenName": "Before",
            "title": "Dr", "email": "a@example.org", "telephoneNumber": "01632 1", "mobileNumber": "07700 1", "address1": "One",
            "address2": "Two", "address3": "Three", "address4": "Town", "postCode": " ab1 2cd ", "country": "",
        },
        "personalDetails": {
            "dateOfBirth": "1990-04-01", "gender": "Female", "maritalStatus": "Single", "nationality": "Irish",
            "ethnicOrigin": "White - British", "religiousBelief": "Islam", "sexualOrientation": "Gay", "disability": "NO",
            "nationalInsuranceNumber": "QQ123456C",
        },
        "gmcDetails": {"gmcNumber": "UNKNOWN"},
        "gdcDetails": {"gdcNumber": "D1", "gdcEndDate": "2030-01-31"},
    });
    snapshot.people = Some(lines(&[full]));
    let outcome = run(&mut oracle, DAY_1, vec![rmf(&[pos(1, "C", &format!(" {} ", A.to_lowercase()))])], snapshot);
    let expected = "APP,,\"\",\"eoe/r1f01/300/str/001\",1,\"101\",20260601,20260701,20261231,\"DR.\",\"O\"\"Hara\",\"Ann\",\"\",\
        \"Before\",19900401,\"F\",\"S\",\"a@example.org\",\"01632 1\",\"07700 1\",\"One\",\"Two\",\"Three\",\"Town\",\"\",\
        \"AB1 2CD\",\"GB\",\"A\",\"IE\",\"\",\"QQ123456C\",\"\",\"Islam\",\"Gay\",\"\",\"General Dental Council\",\"D1\",\
        20300131,\"\",\"\",,\"\",\"\",\"\",\"\",\"\"";
    assert_eq!(rows(&outcome, "APP", "EOE"), [expected]);
}

#[test]
fn d22_postcodes() {
    use crate::values::{country, postcode};
    for good in ["AB1 2CD", "m11aa", "SW1A 1AA", "GIR 0AA", "gir0aa", "EX10 1AB"] {
        assert_eq!(postcode(good, "GB"), good.to_uppercase());
    }
    for bad in ["AB1 2CD,", "Doha, Qatar", "12345", "ABC1 2CD", "AB1  2CD", "AB123 4CD", ""] {
        assert_eq!(postcode(bad, "GB"), "", "{bad}");
    }
    assert_eq!(postcode("Doha, \"Qatar\"", &country("Qatar")), "Doha Qatar");
    assert_eq!(
        (country(" "), country("united kingdom"), country("Atlantis")),
        ("GB".into(), "GB".into(), String::new())
    );
}

#[test]
fn section_7_2_values_and_whole_time() {
    use crate::values::{ethnic_origin, title, whole_time};
    assert_eq!((title("dr."), title("Professor"), title("Baron")), ("DR.".into(), "PROF".into(), String::new()));
    for text in ["White - British", "A - White - British", "white british"] {
        assert_eq!(ethnic_origin(text), "A");
    }
    let written: Vec<String> = [Some(1.0), Some(0.8), Some(0.75), Some(0.04), None].map(whole_time).to_vec();
    assert_eq!(written, ["1", "0.8", "0.8", "0", ""]);
}
