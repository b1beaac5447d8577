//! Notifications.

use super::*;

/// Position 1 of A; the placements stand in the baseline.
fn first_day(placements: &[Value]) -> (Oracle, Outcome) {
    let mut oracle = oracle();
    let outcome = run(&mut oracle, DAY_1, vec![rmf(&[pos(1, "C", A)])], tis(&[post(10, A)], placements));
    (oracle, outcome)
}

/// The next day with these placements.
fn next_day(oracle: &mut Oracle, placements: &[Value]) -> Outcome {
    run(oracle, DAY_2, vec![], tis(&[post(10, A)], placements))
}

/// In post long since, until the end of the year.
fn holder(trainee: u64) -> Value {
    placement(20 + trainee, trainee, A, "2026-01-01", "2026-12-31")
}

/// Starts in a month: exported on day 1.
fn successor(trainee: u64) -> Value {
    placement(20 + trainee, trainee, A, "2026-07-01", "2026-12-31")
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[test]
fn t1a_on_its_first_day_the_next_follows_the_one_who_left() {
    let before = placement(21, 1, A, "2026-01-01", "2026-06-01");
    let after = placement(22, 2, A, "2026-06-02", "2026-12-31");
    let (mut oracle, first) = first_day(&[before, after]);
    assert_eq!(told(&first), nothing());
    let outcome = run(&mut oracle, DAY_2, vec![], Snapshot::default());
    assert_eq!(
        rows(&outcome, "DNC", "EOE"),
        [format!(
            "NOT,1,\"\",\"{A}\",\"EOE\",\"\",\"\",\"\",\"P1\",\"Ann\",\"7000001\",20260601,\"NOT KNOWN\",\"1\",\"P2\",\"Ann\",\
             \"7000002\",\"NOT KNOWN\",20260602,\"p2@example.org\",\"ST3\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",,,,\"\",\"1\",\
             \"N\",\"\""
        )]
    );
}

#[test]
fn t1b_a_start_in_exactly_13_weeks_also_on_the_baseline() {
    let (_, outcome) = first_day(&[holder(1), placement(22, 2, A, "2026-08-31", "2026-12-31")]);
    assert_eq!(told(&outcome), ["1:P1>P2"]);
    let (_, outcome) = first_day(&[holder(1), placement(22, 2, A, "2026-09-01", "2026-12-31")]);
    assert_eq!(told(&outcome), nothing());
}

#[test]
fn t1c_a_post_falls_vacant_the_day_after_unless_somebody_ends_later() {
    let leaver = placement(21, 1, A, "2026-01-01", "2026-05-31");
    let (_, outcome) = first_day(std::slice::from_ref(&leaver));
    assert_eq!(told(&outcome), ["1:P1>"]);
    assert_eq!(columns(&rows(&outcome, "DNC", "EOE")[0])[34], "Y");
    let open_ended = with(holder(2), "dateTo", Value::Null);
    let (_, outcome) = first_day(&[leaver, open_ended]);
    assert_eq!(told(&outcome), nothing());
}

#[test]
fn t1d_a_new_placement_is_the_next_of_every_current_one_of_its_site() {
    let (mut oracle, first) = first_day(&[holder(1), holder(2)]);
    assert_eq!(told(&first), nothing(), "D1");
    let outcome = next_day(&mut oracle, &[holder(1), holder(2), successor(3)]);
    assert_eq!(told(&outcome), ["1:P1>P3", "1:P2>P3"]);
    let elsewhere = with(placement(24, 4, A, "2026-07-01", "2026-12-31"), "siteCode", "R1F01");
    let outcome = next_day(&mut oracle, &[holder(1), holder(2), successor(3), elsewhere]);
    assert_eq!(told(&outcome), ["1:>P4"]);
}

#[test]
fn d33_a_new_placement_that_covers_today_is_current_and_one_that_ended_is_nothing() {
    let (mut oracle, _) = first_day(&[successor(1), holder(5)]);
    let ended = placement(23, 3, A, "2026-01-01", "2026-05-30");
    let outcome = next_day(&mut oracle, &[successor(1), holder(5), holder(2), ended]);
    assert_eq!(told(&outcome), ["1:P2>P1"]);
}

#[test]
fn t1e_exported_placement_with_other_dates_type_1_and_4() {
    let (mut oracle, _) = first_day(&[holder(1), successor(2)]);
    let outcome = next_day(&mut oracle, &[holder(1), placement(22, 2, A, "2026-07-01", "2027-01-15")]);
    assert_eq!(told(&outcome), ["1:P1>P2", "4:P1>P2"]);
    let row = columns(&rows(&outcome, "DNC", "EOE")[1]);
    assert_eq!([&row[11], &row[30], &row[31]], ["", "20260701", "20270115"]);
}

#[test]
fn t1e_compares_with_the_last_approved_version() {
    let (mut oracle, _) = first_day(&[holder(1), successor(2)]);
    let edited = placement(22, 2, A, "2026-07-02", "2026-12-31");
    let draft = with(edited.clone(), "lifecycleState", "DRAFT");
    assert_eq!(told(&next_day(&mut oracle, &[holder(1), draft])), nothing());
    assert_eq!(told(&next_day(&mut oracle, &[holder(1), edited])), ["1:P1>P2", "4:P1>P2"]);
}

#[test]
fn d34_not_exported_sends_the_row_again_that_named_it() {
    let (mut oracle, first) = first_day(&[holder(1), placement(22, 2, A, "2026-08-31", "2026-12-31")]);
    assert_eq!(told(&first), ["1:P1>P2"]);
    let outcome = next_day(&mut oracle, &[holder(1), placement(22, 2, A, "2026-09-10", "2026-12-31")]);
    assert_eq!(told(&outcome), ["1:P1>P2"]);
    assert_eq!(columns(&rows(&outcome, "DNC", "EOE")[0])[18], "20260910");
}

#[test]
fn d34_not_exported_and_never_named_is_nothing() {
    let (mut oracle, _) = first_day(&[holder(1), placement(22, 2, A, "2026-10-01", "2026-12-31")]);
    let outcome = next_day(&mut oracle, &[holder(1), placement(22, 2, A, "2026-08-02", "2026-12-31")]);
    assert_eq!(told(&outcome), nothing());
}

#[test]
fn t1f_whole_time_of_the_current_one_only() {
    let (mut oracle, _) = first_day(&[holder(1), successor(2)]);
    let changed = [with(holder(1), "wholeTimeEquivalent", 0.8), with(successor(2), "wholeTimeEquivalent", 0.5)];
    let outcome = next_day(&mut oracle, &changed);
    assert_eq!(told(&outcome), ["1:P1>P2"]);
    let row = columns(&rows(&outcome, "DNC", "EOE")[0]);
    assert_eq!([&row[13], &row[33]], ["0.8", "0.5"]);
}

#[test]
fn t1g_an_exported_placement_deleted_type_1_and_2() {
    let (mut oracle, _) = first_day(&[holder(1), successor(2)]);
    let outcome = next_day(&mut oracle, &[holder(1)]);
    assert_eq!(told(&outcome), ["1:P1>", "2:P1-P2"]);
    let row = columns(&rows(&outcome, "DNC", "EOE")[1]);
    assert_eq!([&row[23], &row[24], &row[34]], ["7000002", "3", "Y"]);
}

#[test]
fn t1g_a_draft_that_was_approved_is_withdrawn_when_deleted() {
    let (mut oracle, _) = first_day(&[holder(1), successor(2)]);
    next_day(&mut oracle, &[holder(1), with(successor(2), "lifecycleState", "DRAFT")]);
    assert_eq!(told(&next_day(&mut oracle, &[holder(1)])), ["1:P1>", "2:P1-P2"]);
}

#[test]
fn t1g_a_type_that_no_longer_counts_is_a_deletion_and_its_return_a_creation() {
    let (mut oracle, _) = first_day(&[holder(1)]);
    next_day(&mut oracle, &[holder(1), successor(2)]);
    let uncounted = with(successor(2), "placementType", "OOPC");
    assert_eq!(told(&next_day(&mut oracle, &[holder(1), uncounted])), ["1:P1>", "2:P1-P2"]);
    // D30: the withdrawal lifts the suppression of the T1d row that was sent before.
    assert_eq!(told(&next_day(&mut oracle, &[holder(1), successor(2)])), ["1:P1>P2"]);
}

#[test]
fn d34_a_deletion_not_exported_sends_the_row_alone_if_a_row_named_it() {
    let far = placement(22, 2, A, "2026-08-31", "2026-12-31");
    let (mut oracle, _) = first_day(&[holder(1), far]);
    // On day 2 the start is less than 13 weeks away.
    assert_eq!(told(&next_day(&mut oracle, &[holder(1)])), ["1:P1>"]);
    let (mut oracle, _) = first_day(&[holder(1), placement(22, 2, A, "2026-10-01", "2026-12-31")]);
    assert_eq!(told(&next_day(&mut oracle, &[holder(1)])), nothing());
}

#[test]
fn d27_another_trainee_is_a_deletion_and_counts_as_another_placement() {
    let (mut oracle, _) = first_day(&[holder(1), successor(2)]);
    let outcome = next_day(&mut oracle, &[holder(1), with(successor(2), "traineeId", 3)]);
    assert_eq!(told(&outcome), ["1:P1>P3", "2:P1-P2"]);
    assert_eq!(records(&outcome), ["22/1/2 EOE EXPORTED", "22/1/3 EOE EXPORTED"]);
}

#[test]
fn d27_a_renumbered_post_withdraws_alone_on_the_old_number_and_is_a_full_set_on_the_new() {
    let mut oracle = oracle();
    let files = vec![rmf(&[pos(1, "C", A), pos(2, "C", B)])];
    run(&mut oracle, DAY_1, files, tis(&[post(10, A)], &[holder(1), successor(2)]));
    let moved = [with(holder(1), "nationalPostNumber", B), with(successor(2), "nationalPostNumber", B)];
    let outcome = run(&mut oracle, DAY_2, vec![], tis(&[post(10, B)], &moved));
    assert_eq!(told(&outcome), ["2:-P1", "2:-P2", "1:P1>P2"]);
    assert_eq!(columns(&rows(&outcome, "DNC", "EOE")[0])[34], "Y");
}

#[test]
fn d32_a_number_reconciled_late_by_rmc_is_a_full_set_and_by_rmf_nothing() {
    for (kind, expected) in [("RMC", vec!["1:P1>P2", "1:>P3"]), ("RMF", vec![])] {
        let mut oracle = oracle();
        let end_included = placement(23, 3, A, "2026-09-01", "2026-12-31");
        run(&mut oracle, DAY_1, vec![], tis(&[post(10, A)], &[holder(1), successor(2), end_included]));
        let files = vec![file("EOE", kind, 1, &[pos(1, "C", A)])];
        let outcome = run(&mut oracle, DAY_2, files, Snapshot::default());
        let mut rows = told(&outcome);
        if kind == "RMF" {
            // The tick runs as always: 1 September is in 13 weeks.
            assert_eq!(rows, ["1:P1>P3"]);
            rows.clear();
        }
        assert_eq!(rows, expected);
    }
}

#[test]
fn d32_a_post_created_late_raises_type_5_once() {
    let mut oracle = oracle();
    run(&mut oracle, DAY_1, vec![rmf(&[pos(1, "C", A)])], tis(&[post(11, B)], &[]));
    let snapshot = tis(&[post(11, B), post(10, A)], &[holder(1)]);
    let outcome = run(&mut oracle, DAY_2, vec![], snapshot.clone());
    assert_eq!(told(&outcome), ["1:P1>", "5:>"]);
    run(&mut oracle, DAY_2, vec![rmc(2, &[pos(1, "D", A)])], Snapshot::default());
    let back = run(&mut oracle, DAY_2, vec![rmc(3, &[pos(1, "C", A)])], Snapshot::default());
    assert_eq!(told(&back), ["1:P1>"], "R5: the end of the pairing lifts D30; no second type 5");
}

#[test]
fn d9_gone_and_back_between_two_runs_is_nothing() {
    let (mut oracle, _) = first_day(&[holder(1)]);
    let files = vec![rmc(2, &[pos(1, "D", A)]), rmc(3, &[pos(1, "C", A)])];
    assert_eq!(told(&run(&mut oracle, DAY_2, files, Snapshot::default())), nothing());
}

#[test]
fn r3_a_deleted_position_yields_no_notification() {
    let (mut oracle, _) = first_day(&[holder(1), successor(2)]);
    let files = vec![rmc(2, &[pos(1, "D", A)])];
    let outcome = run(&mut oracle, DAY_2, files, tis(&[post(10, A)], &[holder(1), successor(2), successor(3)]));
    assert_eq!(told(&outcome), nothing());
}

#[test]
fn d6_a_position_that_moves_office_raises_nothing() {
    let (mut oracle, _) = first_day(&[holder(1), successor(2)]);
    let files = vec![file("LDN", "RMC", 1, &[pos(1, "C", A)])];
    let outcome = run(&mut oracle, DAY_2, files, Snapshot::default());
    assert_eq!((told(&outcome), told_in(&outcome, "LDN")), (nothing(), nothing()));
}

#[test]
fn d13_another_preferred_post_gives_the_full_set_and_no_deletion() {
    let mut oracle = oracle();
    let placements =
        [with(holder(1), "postId", 10), with(successor(2), "postId", 10), with(successor(3), "postId", 11)];
    let posts = [post(10, A), post(11, A)];
    run(&mut oracle, DAY_1, vec![rmf(&[pos(1, "C", A)])], tis(&posts, &placements));
    let posts = [with(post(10, A), "status", "INACTIVE"), post(11, A)];
    let outcome = run(&mut oracle, DAY_2, vec![], tis(&posts, &placements));
    assert_eq!(
        told(&outcome),
        ["1:>P3"],
        "as R6: the placements of the new post, without type 5 and without withdrawals"
    );
    assert_eq!(records(&outcome), ["22/1/2 EOE EXPORTED", "23/1/3 EOE EXPORTED"]);
}

#[test]
fn d30_a_second_run_on_the_day_repeats_nothing() {
    let (mut oracle, first) = first_day(&[holder(1), placement(22, 2, A, "2026-08-31", "2026-12-31")]);
    assert_eq!(told(&first), ["1:P1>P2"]);
    let again = run(&mut oracle, "2026-06-01T15:00:00Z", vec![], Snapshot::default());
    assert_eq!(told(&again), nothing());
}

#[test]
fn d30_rows_of_equal_content_are_written_once() {
    let (mut oracle, _) = first_day(&[holder(1), successor(2)]);
    // T1f of the holder and T1e of the successor make the same row.
    let changed = [with(holder(1), "wholeTimeEquivalent", 0.8), placement(22, 2, A, "2026-07-01", "2027-01-15")];
    assert_eq!(told(&next_day(&mut oracle, &changed)), ["1:P1>P2", "4:P1>P2"]);
}

#[test]
fn d35_a_placement_that_ended_and_stays_ended_raises_nothing() {
    let ended = placement(21, 1, A, "2026-01-01", "2026-05-20");
    let (mut oracle, _) = first_day(&[ended, holder(2)]);
    let outcome = next_day(&mut oracle, &[placement(21, 1, A, "2026-01-01", "2026-05-25"), holder(2)]);
    assert_eq!(told(&outcome), nothing());
    assert_eq!(told(&next_day(&mut oracle, &[holder(2)])), nothing(), "deleted");
}

#[test]
fn d35_an_end_moved_into_the_past_leaves_the_post_vacant() {
    let (mut oracle, _) = first_day(&[holder(1), successor(2)]);
    let shortened = placement(21, 1, A, "2026-01-01", "2026-05-20");
    assert_eq!(told(&next_day(&mut oracle, &[shortened, successor(2)])), ["1:P1>P2", "4:P1>P2"], "2 ends later");
    let (mut oracle, _) = first_day(&[holder(1)]);
    let shortened = placement(21, 1, A, "2026-01-01", "2026-05-20");
    // T1e and T1c make the same row.
    assert_eq!(told(&next_day(&mut oracle, &[shortened])), ["1:P1>", "4:P1>"]);
}

#[test]
fn d36_every_missed_date_is_ticked_once() {
    let far = placement(22, 2, A, "2026-09-01", "2026-12-31");
    let farther = placement(23, 3, A, "2026-09-03", "2026-12-31");
    let (mut oracle, _) = first_day(&[holder(1), far, farther]);
    let outcome = run(&mut oracle, "2026-06-05T13:30:00Z", vec![], Snapshot::default());
    assert_eq!(told(&outcome), ["1:P1>P2", "1:P1>P3"]);
    assert_eq!(told(&run(&mut oracle, "2026-06-06T13:30:00Z", vec![], Snapshot::default())), nothing());
}

#[test]
fn section_10_1_the_day_is_that_of_london() {
    let mut oracle = oracle();
    let starter = placement(22, 2, A, "2026-09-01", "2026-12-31");
    // 23:30 UTC on 1 June is 2 June in London.
    let outcome =
        run(&mut oracle, "2026-06-01T23:30:00Z", vec![rmf(&[pos(1, "C", A)])], tis(&[post(10, A)], &[starter]));
    assert_eq!(told(&outcome), ["1:>P2"]);
    assert!(outcome.files.contains_key("DE_EOE_DNC_20260602_00000001.DAT"));
}

#[test]
fn d38_where_the_current_one_goes_and_the_next_one_is() {
    let mut oracle = oracle();
    let elsewhere = |id: u64, trainee: u64, from: &str, to: &str, site: &str| {
        with(placement(id, trainee, B, from, to), "siteName", site)
    };
    let placements = [
        holder(1),
        placement(22, 2, A, "2026-08-31", "2026-12-31"),
        elsewhere(31, 1, "2026-08-30", "2026-12-31", "Goes Here"),
        elsewhere(32, 1, "2026-06-01", "2026-06-30", "Is There Now"),
        elsewhere(33, 2, "2026-02-01", "2026-08-30", "Comes From Here"),
        elsewhere(34, 2, "2026-01-01", "2026-08-30", "Older"),
    ];
    let outcome = run(&mut oracle, DAY_1, vec![rmf(&[pos(1, "C", A)])], tis(&[post(10, A)], &placements));
    let row = columns(&rows(&outcome, "DNC", "EOE")[0]);
    assert_eq!([&row[12], &row[17]], ["Goes Here", "Comes From Here"]);
}

#[test]
fn d37_same_site_first_then_latest_start_then_lowest_id() {
    let other_site = |trainee: u64| with(holder(trainee), "siteCode", "R1F01");
    let later = with(other_site(3), "dateFrom", "2026-02-01");
    let starter = placement(29, 5, A, "2026-08-31", "2026-12-31");
    let (_, outcome) = first_day(&[holder(1), other_site(2), later.clone(), starter.clone()]);
    assert_eq!(told(&outcome), ["1:P1>P5"]);
    let (_, outcome) = first_day(&[other_site(1), other_site(2), later, starter.clone()]);
    assert_eq!(told(&outcome), ["1:P3>P5"]);
    let (_, outcome) = first_day(&[other_site(2), other_site(1), starter]);
    assert_eq!(told(&outcome), ["1:P1>P5"]);
}

#[test]
fn d40_rows_by_number_then_type_then_placement() {
    let mut oracle = oracle();
    let on_b = |trainee: u64| with(successor(trainee), "nationalPostNumber", B);
    let files = vec![rmf(&[pos(1, "C", B), pos(2, "C", A)])];
    let posts = [post(10, A), post(11, B)];
    run(&mut oracle, DAY_1, files, tis(&posts, &[holder(1), successor(2), on_b(3), on_b(4)]));
    let outcome = run(&mut oracle, DAY_2, vec![], tis(&posts, &[holder(1), successor(5)]));
    assert_eq!(told(&outcome), ["1:P1>P5", "2:P1-P2", "1:>", "2:-P3", "2:-P4"], "T1g and T1d make one row");
}
