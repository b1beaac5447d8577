//! Positions and their pairing by rule (section 4).

use tributary_schemas::records::esr::{
    Applicant, LineVerdict, PositionFileDone, PositionLine, PositionPlacement, PositionPlacementGone,
    PositionSubscription, PositionUnsubscribed, PostMatch,
};
use tributary_schemas::types::esr::PositionId;
use tributary_schemas::types::tis::{PersonId, PlacementId, PostId};

use super::PositionStage;
use crate::harness::{Harness, date, office, stage};

mod order;
mod pairing;

const DPN: &str = "EOE/RGT01/300/STR/001";
const KEY: [u8; 8] = 7_i64.to_be_bytes();

fn line(number: i32, dpn: &str) -> PositionLine {
    PositionLine {
        line: number,
        position_id: PositionId(7),
        position_number: Some("30000007".to_owned()),
        dpn: dpn.into(),
        ..PositionLine::of("DE_EOE_RMC_20261120_00000001.DAT".parse().unwrap(), office("EOE"))
    }
}

fn offer(version: i64) -> PositionPlacement {
    PositionPlacement {
        version,
        placement_id: PlacementId(1),
        trainee_id: PersonId(1001),
        date_from: date("2026-12-01"),
        ..PositionPlacement::default()
    }
}

/// A position with a post and one applicant record.
fn paired() -> Harness<PositionStage> {
    let mut positions = stage(|context| PositionStage::new(context, 0));
    positions.give(KEY, &line(2, DPN));
    assert_eq!(positions.take::<PositionSubscription>().len(), 1);
    positions.give(KEY, &PostMatch { version: 1, post_id: Some(PostId(1)) });
    positions.give(KEY, &offer(1));
    assert_eq!(positions.take::<Applicant>().len(), 1);
    positions
}

#[test]
fn r3_r4_a_deleted_position_withdraws_its_records_and_r5_it_may_come_back() {
    let mut positions = paired();
    positions.give(KEY, &PositionLine { delete: true, ..line(3, DPN) });
    assert_eq!(positions.take_tombstones(), ["EOE/applicant/1/7/1001"]);
    positions.give(KEY, &line(4, DPN));
    let subscription = positions.take::<PositionSubscription>().pop().unwrap();
    assert!(subscription.live && subscription.version == 3);
    positions.give(KEY, &offer(3));
    assert_eq!(positions.take::<Applicant>().len(), 1);
}

#[test]
fn r6_another_number_ends_the_old_pairing() {
    let mut positions = paired();
    positions.give(KEY, &line(3, "EOE/RGT01/300/STR/002"));
    assert_eq!(positions.take::<PositionUnsubscribed>().len(), 1);
    positions.give(KEY, &offer(1));
    assert_eq!(positions.take::<Applicant>().len(), 0, "this answers the old subscription");
}

#[test]
fn d9_a_placement_that_goes_while_the_position_subscribes_anew_is_withdrawn() {
    let mut positions = paired();
    positions.give(KEY, &PositionLine { position_number: Some("4".to_owned()), ..line(3, DPN) });
    positions.take_tombstones();
    let gone = PositionPlacementGone { version: 1, placement_id: PlacementId(1), trainee_id: PersonId(1001) };
    positions.give(KEY, &gone);
    assert_eq!(positions.take_tombstones(), ["EOE/applicant/1/7/1001"]);
}

#[test]
fn d5_an_empty_number_rejects_an_unknown_position_and_unpairs_a_known_one() {
    let mut positions = stage(|context| PositionStage::new(context, 0));
    positions.give(KEY, &line(2, ""));
    positions.give(KEY, &line(3, DPN));
    positions.give(KEY, &line(4, ""));
    positions.give(
        "",
        &tributary_schemas::records::esr::FileEnd { file_name: line(2, "").file_name, office: office("EOE") },
    );
    let done = positions.take::<PositionFileDone>().pop().unwrap();
    let accepted: Vec<bool> = done.verdicts.iter().map(|verdict: &LineVerdict| verdict.accepted).collect();
    assert_eq!(accepted, [false, true]);
}

#[test]
fn d6_a_position_in_another_office_leaves_its_unexported_records_behind() {
    let mut positions = paired();
    positions.give(KEY, &PositionLine { office: office("LDN"), ..line(3, DPN) });
    assert_eq!(positions.take_tombstones(), ["EOE/applicant/1/7/1001"]);
    positions.give(KEY, &offer(2));
    assert_eq!(positions.take::<Applicant>()[0].office, office("LDN"));
}

#[test]
fn d6_the_subscription_of_a_position_that_moved_says_so_until_it_becomes_live_again() {
    let mut positions = paired();
    let moved = PositionLine { office: office("LDN"), ..line(3, DPN) };
    positions.give(KEY, &moved);
    positions.give(KEY, &PositionLine { delete: true, ..moved.clone() });
    positions.give(KEY, &PositionLine { line: 5, ..moved });
    let causes: Vec<(i32, bool)> =
        positions.take::<PositionSubscription>().iter().map(|one| (one.cause_line, one.cause_moved)).collect();
    assert_eq!(causes, [(3, true), (3, true), (5, false)]);
}
