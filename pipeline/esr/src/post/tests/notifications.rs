//! Which notifications are sent, and what they contain (D30, D31, D36-D39).

use tributary_schemas::records::esr::{
    Notification, NotificationCut, OtherPlacement, PlacementAtPost, PlacementGone, PositionUnsubscribed,
};
use tributary_schemas::types::esr::PositionId;
use tributary_schemas::types::tis::{PersonId, PlacementId};

use super::{DPN, PostStage, TODAY, date, exported, millis, number, office, placement, position, run};
use crate::harness::Harness;

fn baseline(one: PlacementAtPost) -> PlacementAtPost {
    PlacementAtPost { baseline: true, ..one }
}

fn gone(id: i64) -> PlacementGone {
    PlacementGone { placement_id: PlacementId(id), trainee_id: PersonId(id + 1000), sent_before: Vec::new() }
}

/// The rows of a run after ticks of these days.
fn rows(posts: &mut Harness<PostStage>, run: i64, ticks: &[&str]) -> Vec<Notification> {
    posts.take::<Notification>();
    let today = ticks[ticks.len() - 1];
    let cut = NotificationCut {
        run,
        now: millis(&format!("{today}T15:00:00Z")),
        today: date(today),
        ticks: ticks.iter().map(|day| date(day)).collect(),
        offices: vec![office("EOE"), office("LDN")],
        first_ticks: Vec::new(),
    };
    posts.give("cut", &cut);
    posts.take::<Notification>()
}

fn names(rows: &[Notification]) -> Vec<String> {
    let name = |row: &Notification| {
        format!("{} {}|{}", row.notification_type, row.current_trainee_last_name, row.next_trainee_last_name)
    };
    rows.iter().map(name).collect()
}

#[test]
fn d30_what_was_sent_is_not_sent_again_until_its_content_changes() {
    let mut posts = number();
    posts.give(DPN, &placement(1, "2026-12-11", ""));
    assert_eq!(run(&mut posts, 1, TODAY), ["1 |Sample1| N"]);
    assert_eq!(run(&mut posts, 2, TODAY), [""; 0]);
    posts.give(DPN, &placement(1, "2026-12-12", ""));
    posts.give(DPN, &placement(1, "2026-12-11", ""));
    assert_eq!(run(&mut posts, 3, TODAY), [""; 0], "changed and changed back");
    posts.give(DPN, &placement(1, "2026-12-12", ""));
    let again = rows(&mut posts, 4, &[TODAY]);
    assert_eq!(again[0].next_trainee_projected_start_date, Some(date("2026-12-12")));
}

#[test]
fn d30_after_a_withdrawal_the_equal_row_is_sent_again() {
    let mut posts = exported();
    posts.give(DPN, &gone(1));
    let rows = run(&mut posts, 2, TODAY);
    assert!(rows.contains(&"2 ||Sample1 Y".to_owned()), "{rows:?}");
    posts.give(DPN, &placement(1, "2026-12-11", "2027-03-01"));
    assert_eq!(run(&mut posts, 3, TODAY), ["1 |Sample1| N"]);
}

#[test]
fn d30_after_the_end_of_the_pairing_the_equal_row_is_sent_again() {
    let mut posts = number();
    posts.give(DPN, &baseline(placement(1, "2026-11-20", "")));
    assert_eq!(run(&mut posts, 1, TODAY), ["1 |Sample1| N"], "T1a");
    posts.give(DPN, &PositionUnsubscribed { position_id: PositionId(7), version: 2 });
    assert_eq!(run(&mut posts, 2, TODAY), [""; 0]);
    let mut back = position(7, "DE_EOE_RMF_20261120_00000002.DAT");
    back.version = 3;
    posts.give(DPN, &back);
    assert_eq!(run(&mut posts, 3, TODAY), ["1 |Sample1| N"]);
}

#[test]
fn d30_rows_of_equal_content_from_two_triggers_are_written_once() {
    let mut posts = exported();
    posts.give(DPN, &placement(1, "2027-02-19", "2027-03-01"));
    assert_eq!(run(&mut posts, 2, TODAY), ["1 |Sample1| N", "4 |Sample1| N"], "T1e and T1b, 13 weeks before the start");
}

#[test]
fn d30_t1b_and_t1a_of_the_same_pair_are_two() {
    let mut posts = number();
    posts.give(DPN, &baseline(placement(1, "2026-05-01", "2027-02-18")));
    posts.give(DPN, &baseline(placement(2, "2027-02-19", "")));
    assert_eq!(run(&mut posts, 1, TODAY), ["1 Sample1|Sample2| N"], "T1b");
    assert_eq!(run(&mut posts, 2, "2027-02-19"), ["1 Sample1|Sample2| N"], "T1a");
}

#[test]
fn d31_until_the_run_notifications_follow_the_facts() {
    let mut posts = number();
    posts.give(DPN, &placement(1, "2026-12-11", ""));
    posts.give(DPN, &gone(1));
    assert_eq!(run(&mut posts, 1, TODAY), [""; 0], "the pair no longer holds");
    posts.give(DPN, &placement(2, "2026-12-11", ""));
    posts.give(DPN, &placement(2, "2026-12-15", ""));
    let newest = rows(&mut posts, 2, &[TODAY]);
    assert_eq!(names(&newest), ["1 |Sample2"]);
    assert_eq!(newest[0].next_trainee_projected_start_date, Some(date("2026-12-15")));
}

#[test]
fn d31_a_newer_type_4_replaces_the_pending_one_and_a_type_2_replaces_it() {
    let mut posts = exported();
    posts.give(DPN, &placement(1, "2026-12-12", "2027-03-01"));
    posts.give(DPN, &placement(1, "2026-12-13", "2027-03-01"));
    let changed = rows(&mut posts, 2, &[TODAY]);
    let hire_dates: Vec<_> = changed.iter().filter(|row| i32::from(row.notification_type) == 4).collect();
    assert_eq!(hire_dates.len(), 1);
    assert_eq!(hire_dates[0].change_of_projected_hire_date, Some(date("2026-12-13")));
    posts.give(DPN, &placement(1, "2026-12-14", "2027-03-01"));
    posts.give(DPN, &gone(1));
    let types: Vec<i32> = rows(&mut posts, 3, &[TODAY]).iter().map(|row| row.notification_type.into()).collect();
    assert_eq!(types, [1, 2]);
}

#[test]
fn d36_each_missed_day_has_its_tick() {
    let mut posts = number();
    posts.give(DPN, &baseline(placement(1, "2026-05-01", "2026-11-20")));
    posts.give(DPN, &baseline(placement(2, "2026-11-21", "2026-11-21")));
    posts.give(DPN, &baseline(placement(3, "2026-11-22", "")));
    assert_eq!(run(&mut posts, 1, TODAY), [""; 0]);
    let rows = rows(&mut posts, 2, &["2026-11-21", "2026-11-22", "2026-11-23"]);
    assert_eq!(names(&rows), ["1 Sample1|Sample2", "1 Sample2|Sample3"]);
}

fn at_site(site: &str, one: PlacementAtPost) -> PlacementAtPost {
    baseline(PlacementAtPost { site_code: Some(site.to_owned()), ..one })
}

#[test]
fn d37_the_partner_is_of_the_same_site_then_the_latest_then_the_lowest() {
    let mut posts = number();
    posts.give(DPN, &at_site("OTHER", placement(1, "2026-10-01", "2026-11-19")));
    posts.give(DPN, &at_site("rgt01", placement(3, "2026-06-01", "2026-11-19")));
    posts.give(DPN, &at_site("RGT01", placement(4, "2026-06-01", "2026-11-19")));
    posts.give(DPN, &at_site("RGT01", placement(5, "2026-11-20", "")));
    assert_eq!(run(&mut posts, 1, TODAY), ["1 Sample3|Sample5| N"], "T1a");
    let mut posts = number();
    posts.give(DPN, &at_site("OTHER", placement(1, "2026-05-01", "2027-01-01")));
    posts.give(DPN, &at_site("OTHER", placement(2, "2026-10-01", "2027-01-01")));
    posts.give(DPN, &at_site("RGT01", placement(5, "2027-02-19", "")));
    assert_eq!(run(&mut posts, 1, TODAY), ["1 Sample2|Sample5| N"], "T1b: another site is better than no partner");
}

fn elsewhere(id: i64, from: &str, to: &str) -> OtherPlacement {
    OtherPlacement {
        placement_id: PlacementId(id),
        date_from: date(from),
        date_to: Some(date(to)),
        site_name: Some(format!("Site {id}")),
    }
}

fn sites(rows: &[Notification]) -> [&str; 2] {
    [&rows[0].current_trainee_vpd_for_next_placement, &rows[0].next_trainee_current_placement_vpd]
}

#[test]
fn d38_where_the_current_trainee_goes_and_the_next_one_is() {
    let mut posts = number();
    let mut current = placement(1, "2026-05-01", "2026-12-10");
    current.other_placements = vec![
        elsewhere(22, "2026-11-20", "2027-01-01"),
        elsewhere(21, "2027-01-01", "2027-02-01"),
        elsewhere(20, "2026-12-11", "2026-12-31"),
    ];
    let mut next = placement(2, "2026-12-11", "");
    next.other_placements = vec![elsewhere(30, "2026-01-01", "2026-11-20"), elsewhere(31, "2026-11-01", "2026-12-10")];
    posts.give(DPN, &baseline(current));
    run(&mut posts, 1, TODAY);
    posts.give(DPN, &next);
    let rows = rows(&mut posts, 2, &[TODAY]);
    assert_eq!(sites(&rows), ["Site 20", "Site 31"], "the first that starts after T; the latest that covers T");
}

#[test]
fn d38_a_trainee_who_has_left_may_start_elsewhere_today_and_in_t1a_the_other_was_there_until_yesterday() {
    let mut posts = number();
    let mut left = placement(1, "2026-05-01", "2026-11-19");
    left.other_placements = vec![elsewhere(20, "2026-11-20", "2026-12-31")];
    let mut starter = placement(2, "2026-11-20", "");
    starter.other_placements =
        vec![elsewhere(30, "2026-05-01", "2026-11-19"), elsewhere(31, "2026-05-01", "2026-12-31")];
    posts.give(DPN, &baseline(left));
    posts.give(DPN, &baseline(starter));
    assert_eq!(sites(&rows(&mut posts, 1, &[TODAY])), ["Site 20", "Site 30"]);
}

#[test]
fn d38_without_such_a_placement_it_is_not_known_and_without_a_trainee_blank() {
    let mut posts = number();
    let mut current = placement(1, "2026-05-01", "2026-12-10");
    current.other_placements = vec![elsewhere(20, "2027-02-19", "2027-12-31")];
    posts.give(DPN, &current);
    assert_eq!(sites(&rows(&mut posts, 1, &[TODAY])), ["NOT KNOWN", ""], "a start in thirteen weeks is too late");
    let mut posts = number();
    posts.give(DPN, &placement(2, "2026-12-11", ""));
    assert_eq!(sites(&rows(&mut posts, 1, &[TODAY])), ["", "NOT KNOWN"]);
}

fn type_4(posts: &mut Harness<PostStage>, run: i64, today: &str) -> Notification {
    rows(posts, run, &[today]).into_iter().find(|row| i32::from(row.notification_type) == 4).unwrap()
}

#[test]
fn d39_a_type_4_has_both_dates_also_when_one_changed() {
    let mut posts = exported();
    posts.give(DPN, &placement(1, "2026-12-11", "2027-04-01"));
    let row = type_4(&mut posts, 2, TODAY);
    assert_eq!(row.change_of_projected_hire_date, Some(date("2026-12-11")));
    assert_eq!(row.change_of_projected_end_date, Some(date("2027-04-01")));
    posts.give(DPN, &placement(1, "2026-12-11", "2027-05-01"));
    let row = type_4(&mut posts, 3, "2026-12-11");
    assert_eq!(row.change_of_projected_hire_date, None, "6.3: it is not after T");
    assert_eq!(row.change_of_projected_end_date, Some(date("2027-05-01")));
    assert_eq!(row.current_trainee_projected_end_date, None, "6.3: blank on a type 4");
}
