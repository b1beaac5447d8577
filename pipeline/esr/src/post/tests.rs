//! Notifications about one DPN at a run, by rule (section 6).

use tributary_schemas::records::esr::{
    Notification, NotificationCut, PlacementAtPost, PlacementExported, PlacementGone, PositionPlacement,
    PositionSubscription, PostAtNumber, PostGone, PostMatch,
};
use tributary_schemas::records::tis::PostStatus;
use tributary_schemas::types::esr::PositionId;
use tributary_schemas::types::tis::{PersonId, PlacementId, PostId};

use super::PostStage;
use crate::harness::{Harness, date, millis, office, stage};

mod continuation;
mod notifications;
mod offices;
mod reconciliation;
mod repair;

const DPN: &str = "EOE/RGT01/300/STR/001";
const TODAY: &str = "2026-11-20";

fn post(id: i64, status: PostStatus) -> PostAtNumber {
    PostAtNumber { post_id: PostId(id), status, baseline: true, renumbered: false }
}

fn position(id: i64, file: &str) -> PositionSubscription {
    PositionSubscription {
        position_id: PositionId(id),
        version: 1,
        office: office("EOE"),
        live: true,
        dpn: DPN.into(),
        cause_file: file.parse().ok(),
        cause_line: 2,
        cause_moved: false,
        waiting: Vec::new(),
    }
}

fn placement(id: i64, from: &str, to: &str) -> PlacementAtPost {
    PlacementAtPost {
        placement_id: PlacementId(id),
        trainee_id: PersonId(id + 1000),
        post_id: Some(PostId(1)),
        date_from: date(from),
        date_to: Some(to).filter(|to| !to.is_empty()).map(date),
        site_code: Some("RGT01".to_owned()),
        counted: true,
        approved: true,
        last_name: format!("Sample{id}"),
        whole_time_equivalent: Some(1.0),
        ..PlacementAtPost::default()
    }
}

/// A DPN with its post and a live position, which became live by a file of the day before.
fn number() -> Harness<PostStage> {
    let mut posts = stage(|context| PostStage::new(context, 0));
    posts.give(DPN, &post(1, PostStatus::Current));
    posts.give(DPN, &position(7, "DE_EOE_RMF_20261119_00000001.DAT"));
    posts
}

fn cut(run: i64, today: &str) -> NotificationCut {
    NotificationCut {
        run,
        now: millis(&format!("{today}T15:00:00Z")),
        today: date(today),
        ticks: vec![date(today)],
        offices: vec![office("EOE"), office("LDN")],
        first_ticks: Vec::new(),
    }
}

fn run(posts: &mut Harness<PostStage>, run: i64, today: &str) -> Vec<String> {
    posts.take::<Notification>();
    posts.give("cut", &cut(run, today));
    let rows = posts.take::<Notification>().into_iter().map(|row| {
        let vacant = if row.post_vacant_at_next_rotation { "Y" } else { "N" };
        let names = [&row.current_trainee_last_name, &row.next_trainee_last_name, &row.withdrawn_trainee_last_name];
        format!("{} {} {vacant}", row.notification_type, names.map(String::as_str).join("|"))
    });
    rows.collect()
}

#[test]
fn t1d_d33_a_new_placement_is_the_next_one_or_the_current_one_by_its_start() {
    let mut posts = number();
    posts.give(DPN, &placement(1, "2026-05-01", "2026-12-10"));
    assert_eq!(run(&mut posts, 1, TODAY), ["1 Sample1|| Y"]);
    posts.give(DPN, &placement(2, "2026-12-11", ""));
    assert_eq!(run(&mut posts, 2, TODAY), ["1 Sample1|Sample2| N"]);
    posts.give(DPN, &placement(3, "2026-01-01", "2026-06-01"));
    assert_eq!(run(&mut posts, 3, TODAY), [""; 0], "the placement had ended");
}

#[test]
fn d1_objects_of_the_baseline_are_no_news() {
    let mut posts = number();
    posts.give(DPN, &PlacementAtPost { baseline: true, ..placement(1, "2026-12-11", "") });
    assert_eq!(run(&mut posts, 1, TODAY), [""; 0]);
}

#[test]
fn a7_a8_drafts_and_types_that_do_not_count_say_nothing() {
    let mut posts = number();
    posts.give(DPN, &PlacementAtPost { approved: false, ..placement(1, "2026-12-11", "") });
    posts.give(DPN, &PlacementAtPost { counted: false, ..placement(2, "2026-12-11", "") });
    assert_eq!(run(&mut posts, 1, TODAY), [""; 0]);
}

#[test]
fn t1a_t1b_t1c_day_ticks_pair_by_d37() {
    let mut posts = number();
    let baseline = |one: PlacementAtPost| PlacementAtPost { baseline: true, ..one };
    posts.give(DPN, &baseline(placement(1, "2026-05-01", "2026-11-19")));
    posts.give(DPN, &baseline(placement(2, "2026-06-01", "2026-11-19")));
    posts.give(DPN, &baseline(placement(3, "2026-11-20", "2026-12-01")));
    posts.give(DPN, &baseline(placement(4, "2027-02-19", "2027-02-20")));
    let rows = run(&mut posts, 1, TODAY);
    assert_eq!(rows, ["1 Sample2|Sample3| N", "1 Sample3|Sample4| N"]);
    assert_eq!(run(&mut posts, 2, TODAY), [""; 0], "D36: a second run sends no row again");
    assert_eq!(run(&mut posts, 3, "2027-02-21"), ["1 Sample4|| Y"], "T1c");
}

#[test]
fn r3_a_deleted_position_gets_nothing_and_r9_status_delete_never_matches() {
    let mut posts = number();
    posts.give(DPN, &PositionSubscription { live: false, version: 2, ..position(7, "") });
    posts.give(DPN, &placement(1, "2026-12-11", ""));
    assert_eq!(run(&mut posts, 1, TODAY), [""; 0]);
    posts.give(DPN, &PositionSubscription { version: 3, ..position(7, "DE_EOE_RMF_20261120_00000002.DAT") });
    posts.give(DPN, &post(1, PostStatus::Delete));
    posts.give(DPN, &placement(2, "2026-12-11", ""));
    assert_eq!(run(&mut posts, 2, TODAY), [""; 0]);
}

#[test]
fn r9_the_current_post_counts_before_the_inactive_one() {
    let mut posts = number();
    posts.give(DPN, &post(1, PostStatus::Inactive));
    posts.take::<PostMatch>();
    posts.give(DPN, &post(2, PostStatus::Current));
    assert_eq!(posts.take::<PostMatch>().last().and_then(|answer| answer.post_id), Some(PostId(2)));
    posts.give(DPN, &PostGone { post_id: PostId(2), renumbered: false });
    assert_eq!(posts.take::<PostMatch>().last().and_then(|answer| answer.post_id), Some(PostId(1)));
}

/// The export of placement 1 for position 7.
fn export() -> PlacementExported {
    PlacementExported {
        placement_id: PlacementId(1),
        trainee_id: PersonId(1001),
        position_id: PositionId(7),
        date_from: date("2026-12-11"),
        date_to: Some(date("2027-03-01")),
        ..PlacementExported::default()
    }
}

/// A future placement that was exported for the position before the last run.
fn exported() -> Harness<PostStage> {
    let mut posts = number();
    posts.give(DPN, &placement(1, "2026-12-11", "2027-03-01"));
    posts.give(DPN, &export());
    assert_eq!(run(&mut posts, 1, TODAY), ["1 |Sample1| N"]);
    posts
}

#[test]
fn t1e_other_dates_of_an_exported_placement_give_types_1_and_4() {
    let mut posts = exported();
    posts.give(DPN, &PlacementAtPost { approved: false, ..placement(1, "2026-12-12", "2027-03-01") });
    assert_eq!(run(&mut posts, 2, TODAY), [""; 0], "a draft withdraws nothing (6.3)");
    posts.give(DPN, &placement(1, "2026-12-12", "2027-03-01"));
    assert_eq!(run(&mut posts, 3, TODAY), ["1 |Sample1| N", "4 |Sample1| N"]);
}

#[test]
fn d34_other_dates_of_a_placement_that_was_not_exported_send_its_type_1_again() {
    let mut posts = number();
    posts.give(DPN, &placement(1, "2026-12-11", ""));
    assert_eq!(run(&mut posts, 1, TODAY), ["1 |Sample1| N"]);
    posts.give(DPN, &placement(1, "2026-12-12", ""));
    assert_eq!(run(&mut posts, 2, TODAY), ["1 |Sample1| N"]);
}

#[test]
fn t1g_a_deleted_placement_gives_types_1_and_2_of_the_others_only() {
    let mut posts = exported();
    posts.give(DPN, &PlacementAtPost { baseline: true, ..placement(2, "2026-12-20", "") });
    let gone = PlacementGone { placement_id: PlacementId(1), trainee_id: PersonId(1001), sent_before: Vec::new() };
    posts.give(DPN, &gone);
    let rows = run(&mut posts, 2, TODAY);
    assert!(rows.contains(&"2 ||Sample1 N".to_owned()) && rows.contains(&"1 |Sample2| N".to_owned()), "{rows:?}");
}

#[test]
fn d27_a_renumbered_post_withdraws_alone_and_d13_not_what_still_counts_there() {
    let mut posts = exported();
    posts.give(DPN, &PostGone { post_id: PostId(1), renumbered: true });
    assert_eq!(run(&mut posts, 2, TODAY), ["2 ||Sample1 Y"]);
}

#[test]
fn d32_a_position_that_comes_late_by_rmc_gets_the_full_set() {
    let mut posts = stage(|context| PostStage::new(context, 0));
    posts.give(DPN, &PostAtNumber { baseline: false, ..post(1, PostStatus::Current) });
    posts.give(DPN, &placement(1, "2026-05-01", "2026-12-10"));
    posts.give(DPN, &placement(2, "2026-12-11", ""));
    assert_eq!(run(&mut posts, 1, TODAY), [""; 0], "6.7: the DPN is not reconciled");
    posts.give(DPN, &position(7, "DE_EOE_RMC_20261120_00000002.DAT"));
    assert_eq!(run(&mut posts, 2, TODAY), ["1 Sample1|Sample2| N", "5 || Y"]);
}

#[test]
fn d35_nothing_is_told_of_what_had_ended_and_has_ended() {
    let mut posts = number();
    posts.give(DPN, &placement(1, "2026-05-01", "2026-11-25"));
    assert_eq!(run(&mut posts, 1, TODAY), ["1 Sample1|| Y"]);
    assert_eq!(run(&mut posts, 2, "2026-11-26"), ["1 Sample1|| Y"], "T1c");
    posts.give(DPN, &placement(1, "2026-05-01", "2026-11-24"));
    assert_eq!(run(&mut posts, 3, "2026-11-26"), [""; 0]);
}

#[test]
fn a1_d1_positions_hear_of_what_can_be_exported() {
    let mut posts = number();
    posts.take::<PositionPlacement>();
    posts.give(DPN, &PlacementAtPost { baseline: true, ..placement(1, "2026-11-21", "") });
    assert_eq!(posts.take::<PositionPlacement>().len(), 0, "the placement of the baseline had started");
    posts.give(DPN, &PlacementAtPost { baseline: true, ..placement(2, "2026-11-22", "") });
    assert_eq!(posts.take::<PositionPlacement>().len(), 1);
}
