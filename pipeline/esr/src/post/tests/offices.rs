//! Runs of some offices only: what the others were not told waits for their own run (D118).

use tributary_schemas::Date;
use tributary_schemas::records::esr::{
    Notification, NotificationCut, PlacementAtPost, PlacementGone, PositionSubscription,
};
use tributary_schemas::records::tis::PostStatus;
use tributary_schemas::types::tis::{PersonId, PlacementId};

use super::{DPN, PostStage, TODAY, date, export, millis, office, placement, position, post};
use crate::harness::{Harness, stage};

/// A run of one office, with the ticks since its last one. Returns the types of its rows.
fn run_of(posts: &mut Harness<PostStage>, name: &str, run: i64, today: &str, last: &str) -> Vec<i32> {
    posts.take::<Notification>();
    let (today, first) = (date(today), date(last).plus_days(1));
    let cut = NotificationCut {
        run,
        now: millis(&format!("{today}T15:00:00Z")),
        today,
        ticks: (first.0..=today.0).map(Date).collect(),
        offices: vec![office(name)],
        first_ticks: vec![first],
    };
    posts.give("cut", &cut);
    let rows = posts.take::<Notification>();
    assert!(rows.iter().all(|row| row.office == office(name)));
    rows.iter().map(|row| row.notification_type.into()).collect()
}

fn in_ldn() -> PositionSubscription {
    PositionSubscription { office: office("LDN"), ..position(7, "DE_LDN_RMF_20261119_00000001.DAT") }
}

/// Both offices had a run; LDN has a live position, and no post has its number yet.
fn both_ran() -> Harness<PostStage> {
    let mut posts = stage(|context| PostStage::new(context, 0));
    posts.give(DPN, &in_ldn());
    assert_eq!(run_of(&mut posts, "LDN", 1, TODAY, "2026-11-19"), [0; 0]);
    assert_eq!(run_of(&mut posts, "EOE", 2, TODAY, "2026-11-19"), [0; 0]);
    posts
}

#[test]
fn d118_a_run_of_another_office_takes_no_type_5_and_no_set_away() {
    let mut posts = both_ran();
    posts.give(DPN, &tributary_schemas::records::esr::PostAtNumber { baseline: false, ..post(1, PostStatus::Current) });
    posts.give(DPN, &placement(1, "2026-12-11", ""));
    assert_eq!(run_of(&mut posts, "EOE", 3, "2026-11-21", TODAY), [0; 0]);
    assert_eq!(run_of(&mut posts, "EOE", 4, "2026-11-22", "2026-11-21"), [0; 0]);
    assert_eq!(run_of(&mut posts, "LDN", 5, "2026-11-22", TODAY), [1, 5]);
    assert_eq!(run_of(&mut posts, "LDN", 6, "2026-11-22", "2026-11-21"), [0; 0]);
}

/// LDN was told about an exported placement.
fn told() -> Harness<PostStage> {
    let mut posts = both_ran();
    posts.give(DPN, &post(1, PostStatus::Current));
    posts.give(DPN, &placement(1, "2026-12-11", "2027-03-01"));
    posts.give(DPN, &export());
    run_of(&mut posts, "LDN", 3, TODAY, "2026-11-19");
    run_of(&mut posts, "EOE", 4, TODAY, "2026-11-19");
    posts
}

#[test]
fn d118_changes_are_those_since_the_last_run_of_the_office() {
    let mut posts = told();
    posts.give(DPN, &placement(1, "2026-12-12", "2027-03-01"));
    assert_eq!(run_of(&mut posts, "EOE", 5, "2026-11-21", TODAY), [0; 0]);
    posts.give(DPN, &placement(1, "2026-12-13", "2027-03-01"));
    assert_eq!(run_of(&mut posts, "EOE", 6, "2026-11-22", "2026-11-21"), [0; 0]);
    assert_eq!(run_of(&mut posts, "LDN", 7, "2026-11-22", TODAY), [1, 4]);
    let mut posts = told();
    posts.give(DPN, &placement(1, "2026-12-12", "2027-03-01"));
    run_of(&mut posts, "EOE", 5, "2026-11-21", TODAY);
    posts.give(DPN, &placement(1, "2026-12-11", "2027-03-01"));
    assert_eq!(run_of(&mut posts, "LDN", 6, "2026-11-22", TODAY), [0; 0], "it was changed and changed back");
}

#[test]
fn d118_a_deletion_waits_also_if_the_placement_is_long_gone() {
    let mut posts = told();
    let gone = PlacementGone { placement_id: PlacementId(1), trainee_id: PersonId(1001), sent_before: Vec::new() };
    posts.give(DPN, &gone);
    run_of(&mut posts, "EOE", 5, "2026-11-21", TODAY);
    run_of(&mut posts, "EOE", 6, "2026-11-22", "2026-11-21");
    assert_eq!(run_of(&mut posts, "LDN", 7, "2026-11-22", TODAY), [1, 2]);
}

#[test]
fn d116_d118_a_placement_that_is_entered_again_between_two_runs_of_the_office_is_the_same() {
    let mut posts = told();
    let gone = PlacementGone { placement_id: PlacementId(1), trainee_id: PersonId(1001), sent_before: Vec::new() };
    posts.give(DPN, &gone);
    run_of(&mut posts, "EOE", 5, "2026-11-21", TODAY);
    let again = PlacementAtPost { trainee_id: PersonId(1001), ..placement(2, "2026-12-11", "2027-03-01") };
    posts.give(DPN, &again);
    assert_eq!(run_of(&mut posts, "LDN", 6, "2026-11-22", TODAY), [0; 0]);
}

#[test]
fn d116_d118_a_trainee_with_another_id_since_the_run_of_another_office_is_the_same() {
    let of = |trainee| PlacementAtPost {
        trainee_id: PersonId(trainee),
        gmc_number: "7000001".to_owned(),
        ..placement(1, "2026-12-11", "2027-03-01")
    };
    let mut posts = both_ran();
    posts.give(DPN, &post(1, PostStatus::Current));
    posts.give(DPN, &of(1001));
    run_of(&mut posts, "LDN", 3, TODAY, "2026-11-19");
    run_of(&mut posts, "EOE", 4, TODAY, "2026-11-19");
    let gone = PlacementGone { placement_id: PlacementId(1), trainee_id: PersonId(1001), sent_before: Vec::new() };
    posts.give(DPN, &gone);
    posts.give(DPN, &of(2001));
    run_of(&mut posts, "EOE", 5, "2026-11-21", TODAY);
    assert_eq!(run_of(&mut posts, "LDN", 6, "2026-11-22", TODAY), [0; 0]);
}

#[test]
fn d36_d118_ticks_of_dates_without_a_run_of_the_office_wait_for_its_next_one() {
    let mut posts = told();
    assert_eq!(run_of(&mut posts, "EOE", 5, "2026-12-12", TODAY), [0; 0]);
    assert_eq!(run_of(&mut posts, "LDN", 6, "2026-12-13", TODAY), [1], "T1a of the eleventh");
    assert_eq!(run_of(&mut posts, "EOE", 7, "2026-12-14", "2026-12-12"), [0; 0]);
    assert_eq!(run_of(&mut posts, "LDN", 8, "2026-12-14", "2026-12-13"), [0; 0]);
}
