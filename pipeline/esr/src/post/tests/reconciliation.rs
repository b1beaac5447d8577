//! What positions receive about posts and placements, by rule (R2, R9, A2, D26).

use tributary_schemas::records::esr::{
    Notification, PlacementAtPost, PlacementGone, PositionPlacement, PositionPlacementGone, PositionSubscription,
    PostMatch,
};
use tributary_schemas::records::tis::PostStatus;
use tributary_schemas::records::tributary::Alert;
use tributary_schemas::types::tis::{PersonId, PlacementId, PostId};

use super::{DPN, PostStage, TODAY, cut, date, number, placement, position, post};
use crate::harness::{Sent, office, stage};

fn positions_of(sent: &[Sent]) -> Vec<i64> {
    sent.iter().map(|sent| i64::from_be_bytes(sent.key.clone().try_into().unwrap())).collect()
}

#[test]
fn r2_every_position_of_a_post_hears_of_it_and_of_each_placement() {
    let mut posts = stage(|context| PostStage::new(context, 0));
    posts.give(DPN, &position(7, "DE_EOE_RMF_20261119_00000001.DAT"));
    posts.give(DPN, &PositionSubscription { office: office("LDN"), ..position(8, "") });
    let matched = posts.give(DPN, &post(1, PostStatus::Current));
    assert_eq!(positions_of(&matched), [7, 8]);
    let matches = posts.read::<PostMatch>(&matched);
    assert!(matches.iter().all(|one| one.post_id == Some(PostId(1))));
    let offered = posts.give(DPN, &placement(1, "2026-12-11", ""));
    assert_eq!((positions_of(&offered), posts.read::<PositionPlacement>(&offered).len()), (vec![7, 8], 2));
}

#[test]
fn r7_a_number_without_a_post_matches_nothing_until_the_post_comes() {
    let mut posts = stage(|context| PostStage::new(context, 0));
    posts.give(DPN, &position(7, ""));
    assert_eq!(posts.take::<PostMatch>()[0].post_id, None);
    posts.give(DPN, &placement(1, "2026-12-11", ""));
    assert_eq!(posts.take::<PositionPlacement>().len(), 0);
    posts.give(DPN, &post(1, PostStatus::Current));
    assert_eq!(posts.take::<PositionPlacement>().len(), 1, "all its placements follow (A1)");
}

#[test]
fn a1_a_position_that_comes_later_hears_of_all_placements_that_have_not_ended() {
    let mut posts = stage(|context| PostStage::new(context, 0));
    posts.give(DPN, &post(1, PostStatus::Current));
    posts.give(DPN, &placement(1, "2026-12-11", ""));
    posts.give(DPN, &placement(2, "2026-05-01", "2026-11-20"));
    posts.give(DPN, &placement(3, "2026-05-01", "2026-11-19"));
    posts.take::<PositionPlacement>();
    posts.give(DPN, &position(7, ""));
    let offered: Vec<i64> = posts.take::<PositionPlacement>().iter().map(|one| one.placement_id.0).collect();
    assert_eq!(offered, [1, 2], "the third ended yesterday");
}

#[test]
fn a2_positions_follow_what_becomes_of_a_placement() {
    let mut posts = number();
    posts.give(DPN, &placement(1, "2026-12-11", ""));
    posts.take::<PositionPlacement>();
    posts.give(DPN, &placement(1, "2026-12-12", "2027-03-01"));
    let changed = posts.take::<PositionPlacement>().remove(0);
    assert_eq!((changed.date_from, changed.date_to), (date("2026-12-12"), Some(date("2027-03-01"))));
    let gone = PlacementGone { placement_id: PlacementId(1), trainee_id: PersonId(1001), sent_before: Vec::new() };
    posts.give(DPN, &gone);
    let withdrawn = posts.take::<PositionPlacementGone>().remove(0);
    assert_eq!((withdrawn.placement_id, withdrawn.trainee_id), (PlacementId(1), PersonId(1001)));
    posts.give(DPN, &gone);
    assert_eq!(posts.take::<PositionPlacementGone>().len(), 0, "it is withdrawn only once");
}

#[test]
fn a2_d26_a_placement_that_is_a_draft_again_is_withdrawn_and_a_draft_is_not_told() {
    let mut posts = number();
    let draft = PlacementAtPost { approved: false, ..placement(1, "2026-12-11", "") };
    posts.give(DPN, &draft);
    assert_eq!(posts.take::<PositionPlacement>().len(), 0, "a placement that was never approved is not offered");
    posts.give(DPN, &placement(1, "2026-12-11", ""));
    assert_eq!(posts.take::<PositionPlacement>().len(), 1);
    posts.give(DPN, &draft);
    assert_eq!(posts.take::<PositionPlacementGone>().len(), 1);
    posts.give(DPN, &placement(1, "2026-12-11", ""));
    assert_eq!(posts.take::<PositionPlacement>().len(), 1, "it returns");
}

#[test]
fn a8_a_placement_of_a_type_that_does_not_count_any_more_is_withdrawn() {
    let mut posts = number();
    posts.give(DPN, &placement(1, "2026-12-11", ""));
    posts.take::<PositionPlacement>();
    posts.give(DPN, &PlacementAtPost { counted: false, ..placement(1, "2026-12-11", "") });
    assert_eq!(posts.take::<PositionPlacementGone>().len(), 1);
}

#[test]
fn r3_a_deleted_position_hears_of_no_placement() {
    let mut posts = number();
    posts.give(DPN, &PositionSubscription { live: false, version: 2, ..position(7, "") });
    posts.take::<PositionPlacement>();
    posts.give(DPN, &placement(1, "2026-12-11", ""));
    assert_eq!(posts.take::<PositionPlacement>().len(), 0);
}

#[test]
fn r9_d13_with_another_preferred_post_its_own_placements_count() {
    let mut posts = number();
    posts.give(DPN, &placement(1, "2026-12-11", ""));
    posts.give(DPN, &PlacementAtPost { post_id: Some(PostId(2)), ..placement(2, "2026-12-11", "") });
    posts.give(DPN, &PlacementAtPost { post_id: None, ..placement(3, "2026-12-11", "") });
    let offered: Vec<i64> = posts.take::<PositionPlacement>().iter().map(|one| one.placement_id.0).collect();
    assert_eq!(offered, [1, 2, 3], "a placement that names no post of this number belongs to the preferred post");
    posts.give(DPN, &post(2, PostStatus::Current));
    let withdrawn: Vec<i64> = posts.take::<PositionPlacementGone>().iter().map(|one| one.placement_id.0).collect();
    assert_eq!(withdrawn, [2], "its own post has come");
    assert_eq!(posts.take::<PostMatch>().len(), 0, "the post with the lowest id stays preferred");
    posts.give(DPN, &post(1, PostStatus::Delete));
    let offered: Vec<i64> = posts.take::<PositionPlacement>().iter().map(|one| one.placement_id.0).collect();
    assert_eq!(offered, [2, 3]);
}

#[test]
fn d117_the_number_routes_a_placement_whatever_post_it_names_and_the_warning_stays() {
    let mut posts = number();
    posts.give(DPN, &PlacementAtPost { post_id: Some(PostId(2)), ..placement(1, "2026-12-11", "") });
    assert_eq!(posts.take::<PositionPlacement>().len(), 1, "post 2 has another number");
    let sent = posts.give("cut", &cut(1, TODAY));
    assert_eq!(posts.read::<Notification>(&sent).len(), 1);
    let alert = posts.read::<Alert>(&sent).remove(0);
    assert_eq!((alert.code.as_str(), alert.subject.as_str()), ("placement-number-differs", "1"));
    let sent = posts.give("cut", &cut(2, TODAY));
    assert_eq!(posts.read::<Alert>(&sent).len(), 0, "once");
}
