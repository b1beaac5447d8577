//! Files, lines, confirmations and the snapshot.

use super::*;

fn status(outcome: &Outcome) -> Vec<&str> {
    outcome.inbound.iter().map(|file| file.status.as_str()).collect()
}

#[test]
fn d51_an_empty_run_writes_header_and_trailer_and_the_next_names_the_last() {
    let mut oracle = oracle();
    let first = run(&mut oracle, DAY_1, vec![], Snapshot::default());
    assert_eq!(
        first.files["DE_EOE_APP_20260601_00000001.DAT"],
        "HDR,\"DE_EOE_APP_20260601_00000001.DAT\",20260601 143000,\"EOE\",,20260601 143000,\"01\"\nTRL,2\n"
    );
    let second = run(&mut oracle, DAY_2, vec![], Snapshot::default());
    assert_eq!(
        second.files["DE_LDN_DNC_20260602_00000004.DAT"],
        "HDR,\"DE_LDN_DNC_20260602_00000004.DAT\",20260602 143000,\"LDN\",20260601 143000,20260602 143000,\"01\"\nTRL,2\n"
    );
}

#[test]
fn d53_confirmation_lists_rejected_warned_and_noted_lines_and_sums_up_by_type() {
    let mut oracle = oracle();
    let odd_office = pos(3, "C", A).replace(&format!("\"{A}\",\"\""), &format!("\"{A}\",\"LDN\""));
    let lines = [
        pos(1, "C", A),
        "XYZ,5".to_owned(),
        pos(2, "X", A),
        odd_office,
        por(1, "C", "", ""),
        "ASG,77".to_owned(),
        pos(9, "C", ""),
    ];
    let outcome = run(&mut oracle, DAY_1, vec![rmc(7, &lines)], Snapshot::default());
    let mut rows: Vec<Vec<String>> = outcome.files["DE_EOE_RTC_20260601_00000007.DAT"].lines().map(columns).collect();
    rows.remove(0);
    rows.pop();
    let short: Vec<String> = rows.iter().map(|row| [&row[1..8], &row[9..]].concat().join(",")).collect();
    assert_eq!(
        short,
        [
            "RECORD,XYZ,3,,,FAIL,ERROR,,",
            &format!("RECORD,POS,4,2,{A},FAIL,ERROR,,"),
            &format!("RECORD,POS,5,3,{A},SUCCESS,INFO,,"),
            "RECORD,POR,6,1,,SUCCESS,WARNING,,",
            "RECORD,POS,8,9,,FAIL,ERROR,,",
            "SUMMARY,ASG,,,,,,1,1",
            "SUMMARY,POR,,,,,,1,1",
            "SUMMARY,POS,,,,,,4,2",
            "SUMMARY,XYZ,,,,,,1,0",
        ]
    );
}

#[test]
fn d3_a_backslash_at_the_end_and_windows_1252_are_good_lines() {
    let mut oracle = oracle();
    let backslash = pos(1, "C", A).replace("Registrar", "Night\\");
    let (name, content) = rmc(1, &[backslash, pos(2, "C", A).replace("Registrar", "Caf~")]);
    let content = content.iter().map(|byte| if *byte == b'~' { 0xE9 } else { *byte }).collect();
    let outcome = run(&mut oracle, DAY_1, vec![(name, content)], Snapshot::default());
    assert_eq!(outcome.offices["EOE"].live, 2);
    let confirmation = &outcome.files["DE_EOE_RTC_20260601_00000001.DAT"];
    let records: Vec<Vec<String>> = confirmation.lines().map(columns).filter(|row| row[1] == "RECORD").collect();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0][3..8], ["3", "2", A, "SUCCESS", "INFO"]);
}

#[test]
fn d4_wrong_counts_numbers_and_lengths_are_rejected() {
    let mut oracle = oracle();
    let lines = [
        pos(1, "C", A) + ",\"\"",
        pos(2, "C", "EOE/56789012345678901234567890"),
        pos(3, "C", "EOE/567890123456789012345678901"),
        pos(4, "C", A).replace("\"104\"", "\"10X\""),
        pos(5, "C", A).replace("POS,5,", "POS,5A,"),
        pos(6, "C", A).replace("Medical", &"m".repeat(9000)),
        pos(7, "C", A).replace("\"Medical\"", "\"Medical"),
    ];
    let outcome = run(&mut oracle, DAY_1, vec![rmc(1, &lines)], Snapshot::default());
    assert_eq!(oracle.world.positions.keys().collect::<Vec<_>>(), [&2], "30 characters are allowed");
    assert_eq!(outcome.files.values().flat_map(|file| file.lines()).filter(|line| line.contains("FAIL")).count(), 6);
}

#[test]
fn d7_the_line_that_came_last_decides_and_a_blank_number_keeps_the_old_one() {
    let mut oracle = oracle();
    let files = vec![rmc(1, &[pos(1, "C", A), por(1, "D", "", B)])];
    run(&mut oracle, DAY_1, files, Snapshot::default());
    let position = &oracle.world.positions[&1];
    assert_eq!((position.deleted, position.dpn.as_str(), position.number.as_str()), (true, B, "101"));
}

#[test]
fn d9_rmf_goes_before_rmc_of_the_same_date_and_number_whatever_their_order() {
    let mut oracle = oracle();
    let files = vec![file("EOE", "RMC", 1, &[pos(1, "D", A)]), file("EOE", "RMF", 1, &[pos(1, "C", A)])];
    let outcome = run(&mut oracle, DAY_1, files, Snapshot::default());
    assert_eq!(outcome.offices["EOE"].live, 0);
    assert_eq!(outcome.inbound[0].name, "DE_EOE_RMF_20260601_00000001.DAT");
    // D12: one name, one confirmation.
    assert_eq!(outcome.files.keys().filter(|name| name.contains("RTC")).count(), 1);
    assert_eq!(status(&outcome), ["processed", "processed"]);
}

#[test]
fn d93_a_line_of_an_older_file_is_accepted_and_changes_nothing() {
    let mut oracle = oracle();
    let newer = dated("EOE", "RMC", 3, 5, &[pos(1, "D", A)]);
    run(&mut oracle, DAY_1, vec![rmf(&[pos(1, "C", A)]), newer.clone()], Snapshot::default());
    let late = dated("EOE", "RMC", 2, 4, &[pos(1, "C", B), por(1, "C", "77", ""), pos(2, "C", B)]);
    let outcome = run(&mut oracle, DAY_2, vec![late.clone()], Snapshot::default());
    let position = &oracle.world.positions[&1];
    assert_eq!((position.deleted, position.dpn.as_str(), position.number.as_str()), (true, A, "101"));
    assert_eq!(oracle.world.positions[&2].dpn, B, "no newer file names it");
    let rows: Vec<Vec<String>> = outcome.files["DE_EOE_RTC_20260602_00000004.DAT"].lines().map(columns).collect();
    let overtaken = format!("overtaken by {}", newer.0);
    assert_eq!(rows[1][3..9], ["2", "1", B, "SUCCESS", "WARNING", overtaken.as_str()]);
    assert_eq!(rows[2][3..9], ["3", "1", "", "SUCCESS", "WARNING", overtaken.as_str()]);
    assert_eq!(rows.len(), 6);
    let expected = [Disorder::Late, Disorder::Overtaken].map(|disorder| (late.0.clone(), disorder));
    assert_eq!(outcome.disorder.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn d93_d100_across_offices_the_date_decides_and_then_the_order_of_intake() {
    for (older, newer) in [
        (dated("LDN", "RMC", 1, 9, &[pos(1, "C", A)]), dated("EOE", "RMF", 2, 1, &[pos(1, "C", B)])),
        (dated("LDN", "RMC", 1, 1, &[pos(1, "C", A)]), dated("EOE", "RMC", 1, 2, &[pos(1, "C", B)])),
        (dated("EOE", "RMC", 1, 1, &[pos(1, "C", A)]), dated("LDN", "RMC", 1, 1, &[pos(1, "C", B)])),
    ] {
        let mut oracle = oracle();
        run(&mut oracle, DAY_1, vec![newer.clone()], Snapshot::default());
        run(&mut oracle, DAY_2, vec![older], Snapshot::default());
        assert_eq!((oracle.world.positions[&1].dpn.as_str(), &*oracle.world.positions[&1].office), (B, &newer.0[3..6]));
    }
}

#[test]
fn d94_gaps_repeats_and_numbers_that_go_back() {
    let mut oracle = oracle();
    let files = [(1, 1), (2, 2), (3, 4), (4, 4), (5, 3), (6, 4), (7, 9)];
    let files = files.map(|(day, number)| dated("EOE", if number == 2 { "RMF" } else { "RMC" }, day, number, &[]));
    let outcome = run(&mut oracle, DAY_1, files.to_vec(), Snapshot::default());
    let found: Vec<(&str, Disorder)> =
        outcome.disorder.iter().map(|(name, disorder)| (&name[11..19], *disorder)).collect();
    let expected = [
        ("20260603", Disorder::Missing),
        ("20260604", Disorder::Repeated),
        ("20260605", Disorder::GoesBack),
        ("20260607", Disorder::Missing),
    ];
    assert_eq!(found, expected);
}

#[test]
fn d10_a_parked_file_is_taken_in_when_it_is_accepted_and_has_an_rtc_when_it_is_refused() {
    let (name, good) = rmc(1, &[pos(1, "C", A)]);
    let without_header: String =
        String::from_utf8(good).unwrap().lines().skip(1).map(|line| line.to_owned() + "\n").collect();
    for (decision, status_after, live) in [(Decision::Accept, "processed", 1), (Decision::Refuse, "refused", 0)] {
        let mut oracle = oracle();
        run(&mut oracle, DAY_1, vec![(name.clone(), without_header.clone().into_bytes())], Snapshot::default());
        let decisions = vec![(name.clone(), decision)];
        let (now, files, offices) = (DAY_2.parse().unwrap(), Vec::new(), Vec::new());
        let batch = Batch { now, files, snapshot: Snapshot::default(), decisions, offices };
        let outcome = oracle.run(&batch);
        assert_eq!((status(&outcome), outcome.offices["EOE"].live), (vec![status_after], live));
        let confirmation = &outcome.files["DE_EOE_RTC_20260601_00000001.DAT"];
        assert_eq!(confirmation.contains("\"FAIL\",\"ERROR\""), decision == Decision::Refuse, "{confirmation}");
        assert!(oracle.run(&batch).inbound.is_empty(), "decided");
    }
}

#[test]
fn d10_a_suspect_file_is_parked_and_its_name_can_be_used_again() {
    let mut oracle = oracle();
    let (name, good) = rmc(1, &[pos(1, "C", A)]);
    let bad = String::from_utf8(good.clone()).unwrap().replace("TRL,3", "TRL,4");
    let parked = run(&mut oracle, DAY_1, vec![(name.clone(), bad.into_bytes())], Snapshot::default());
    assert_eq!((status(&parked), parked.offices["EOE"].live), (vec!["parked"], 0));
    assert!(!parked.files.keys().any(|name| name.contains("RTC")));
    assert_eq!(status(&run(&mut oracle, DAY_2, vec![], Snapshot::default())), ["parked"], "D109: until it is decided");
    let replaced = run(&mut oracle, DAY_2, vec![(name, good)], Snapshot::default());
    assert_eq!((status(&replaced), replaced.offices["EOE"].live), (vec!["processed"], 1));
}

#[test]
fn d110_a_trailer_in_the_middle_parks_a_file_and_padding_after_the_last_one_does_not() {
    let mut oracle = oracle();
    let two_in_one = rmc(1, &[pos(1, "C", A), "TRL,3".to_owned(), pos(2, "C", A)]);
    let (name, mut padded) = rmc(2, &[pos(3, "C", A)]);
    padded.extend_from_slice(b"\x1A");
    let outcome = run(&mut oracle, DAY_1, vec![two_in_one, (name, padded)], Snapshot::default());
    let statuses: Vec<(&str, &str)> =
        outcome.inbound.iter().map(|file| (&file.name[20..28], file.status.as_str())).collect();
    assert_eq!(statuses, [("00000002", "processed"), ("00000001", "parked")]);
    assert_eq!(outcome.offices["EOE"].live, 1);
}

#[test]
fn d11_the_same_file_is_ignored_and_the_same_name_with_other_content_refused() {
    let mut oracle = oracle();
    run(&mut oracle, DAY_1, vec![rmc(1, &[pos(1, "C", A)])], Snapshot::default());
    let again = run(&mut oracle, DAY_2, vec![rmc(1, &[pos(1, "C", A)])], Snapshot::default());
    assert_eq!(status(&again), ["ignored"]);
    let other = run(&mut oracle, DAY_2, vec![rmc(1, &[pos(2, "C", A)])], Snapshot::default());
    assert_eq!((status(&other), other.offices["EOE"].live), (vec!["refused"], 1));
}

#[test]
fn d50_files_of_other_offices_stay_untouched() {
    let mut oracle = oracle();
    let outcome = run(&mut oracle, DAY_1, vec![file("WES", "RMF", 1, &[pos(1, "C", A)])], Snapshot::default());
    assert!(outcome.inbound.is_empty() && oracle.world.positions.is_empty());
}

#[test]
fn d2_a_bad_line_prevents_deletions_and_an_absent_file_deletes_nothing() {
    let mut oracle = oracle();
    run(&mut oracle, DAY_1, vec![], tis(&[post(10, A), post(11, B)], &[]));
    let bad = Snapshot { posts: Some(format!("{}\n{{\"id\": 11, ", post(10, A))), ..Snapshot::default() };
    run(&mut oracle, DAY_2, vec![], bad);
    assert_eq!(oracle.world.posts.len(), 2);
    assert_eq!(oracle.world.people.len(), 5);
    run(&mut oracle, DAY_2, vec![], tis(&[post(10, A)], &[]));
    assert_eq!(oracle.world.posts.len(), 1);
}

#[test]
fn d2_a_snapshot_that_deletes_too_much_is_refused_as_a_whole() {
    let mut oracle = oracle();
    let posts: Vec<Value> = (1..=60).map(|id| post(id, &format!("EOE/{id}"))).collect();
    run(&mut oracle, DAY_1, vec![], tis(&posts, &[]));
    run(&mut oracle, DAY_2, vec![], Snapshot { people: Some(String::new()), ..tis(&posts[..9], &[]) });
    assert_eq!((oracle.world.posts.len(), oracle.world.people.len()), (60, 5), "51 of 60 go");
    run(&mut oracle, DAY_2, vec![], tis(&posts[..10], &[]));
    assert_eq!(oracle.world.posts.len(), 10, "50 of 60 may go");
}

#[test]
fn r1_r9_match_ignores_case_and_blanks_and_prefers_current_then_lowest_id() {
    let mut oracle = oracle();
    let posts = [
        with(post(10, A), "status", "DELETE"),
        with(post(11, &format!(" {} ", A.to_lowercase())), "status", "INACTIVE"),
        post(13, A),
        post(12, A),
        with(post(14, B), "status", "DELETE"),
    ];
    let files = vec![rmf(&[pos(1, "C", A), pos(2, "C", B), pos(3, "D", A)])];
    let outcome = run(&mut oracle, DAY_1, files, tis(&posts, &[]));
    assert_eq!(oracle.world.preferred(A).map(|post| post.id), Some(12));
    let counts = &outcome.offices["EOE"];
    assert_eq!((counts.positions, counts.live, counts.matched, counts.unmatched), (3, 2, 1, 1));
}
