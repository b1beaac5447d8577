//! What is repaired after runs of a wrong clock (D103).

use tributary_schemas::records::esr::{PositionPlacement, RunsForgotten};
use tributary_schemas::records::tis::PostStatus;

use super::{DPN, number, placement, post, run};
use crate::harness::{Harness, millis};
use crate::post::PostStage;

fn forget(posts: &mut Harness<PostStage>, after: &str) -> Vec<i64> {
    posts.take::<PositionPlacement>();
    posts.give("forget-runs", &RunsForgotten { after: millis(after), now: 1, by: "tester".to_owned() });
    posts.take::<PositionPlacement>().into_iter().map(|offered| offered.placement_id.0).collect()
}

#[test]
fn d103_dates_that_a_run_far_ahead_has_used_up_are_due_again() {
    let mut posts = number();
    posts.give(DPN, &placement(1, "2026-06-01", "2026-12-01"));
    run(&mut posts, 1, "2026-11-20");
    let rows = run(&mut posts, 2, "2026-12-02");
    assert_eq!(rows.len(), 1, "it is vacant on the day after the end (T1c)");
    let mut wrong = number();
    wrong.give(DPN, &placement(1, "2026-06-01", "2026-12-01"));
    run(&mut wrong, 1, "2026-11-20");
    assert!(run(&mut wrong, 2, "2030-07-01").is_empty());
    assert!(run(&mut wrong, 3, "2026-12-02").is_empty(), "the date is used up");
    forget(&mut wrong, "2026-11-20T16:00:00Z");
    assert_eq!(run(&mut wrong, 4, "2026-12-02"), rows);
}

#[test]
fn d103_placements_that_have_not_ended_are_offered_again() {
    let mut posts = number();
    posts.give(DPN, &placement(1, "2026-12-01", "2027-06-01"));
    posts.give(DPN, &placement(2, "2026-01-01", "2026-11-19"));
    posts.give(DPN, &crate::post::tests::PlacementAtPost { approved: false, ..placement(3, "2026-12-01", "") });
    posts.give(DPN, &placement(4, "2026-12-01", ""));
    assert_eq!(forget(&mut posts, "2026-11-20T16:00:00Z"), [1, 4]);
    posts.give(DPN, &post(1, PostStatus::Delete));
    assert!(forget(&mut posts, "2026-11-20T16:00:00Z").is_empty());
}
