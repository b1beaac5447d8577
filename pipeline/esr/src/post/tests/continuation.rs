//! Placements that continue others, and trainees who become other persons (D116).

use tributary_schemas::records::esr::{
    PlacementAtPost, PlacementExported, PlacementGone, PositionPlacement, PositionPlacementGone,
};
use tributary_schemas::types::esr::PositionId;
use tributary_schemas::types::tis::{PersonId, PlacementId};

use super::{DPN, PostStage, TODAY, date, number, placement, run};
use crate::harness::Harness;

/// The placement of a trainee, who has this GMC number.
fn of(id: i64, trainee: i64, gmc_number: &str) -> PlacementAtPost {
    PlacementAtPost {
        trainee_id: PersonId(trainee),
        gmc_number: gmc_number.to_owned(),
        ..placement(id, "2026-12-11", "2027-03-01")
    }
}

fn gone(id: i64, trainee: i64) -> PlacementGone {
    PlacementGone { placement_id: PlacementId(id), trainee_id: PersonId(trainee), sent_before: Vec::new() }
}

fn sent(id: i64, trainee: i64, gmc_number: &str) -> PlacementExported {
    PlacementExported {
        placement_id: PlacementId(id),
        trainee_id: PersonId(trainee),
        position_id: PositionId(7),
        date_from: date("2026-12-11"),
        date_to: Some(date("2027-03-01")),
        file_name: "FIRST.DAT".to_owned(),
        gmc_number: gmc_number.to_owned(),
        gdc_number: String::new(),
    }
}

/// Placement 1 of trainee 101 with the number 7000001 was exported before the last run.
fn exported() -> Harness<PostStage> {
    let mut posts = number();
    posts.give(DPN, &of(1, 101, "7000001"));
    posts.give(DPN, &sent(1, 101, "7000001"));
    assert_eq!(run(&mut posts, 1, TODAY), ["1 |Sample1| N"]);
    posts.take::<PositionPlacement>();
    posts.take::<PositionPlacementGone>();
    posts
}

/// The file in which positions are told that a placement was sent before, as of the last offer.
fn sent_before(posts: &mut Harness<PostStage>) -> Option<String> {
    posts.take::<PositionPlacement>().pop().unwrap().sent_before
}

#[test]
fn d116_two_records_of_a_doctor_are_merged_and_nothing_is_sent_whatever_comes_first() {
    for arrival_first in [true, false] {
        let mut posts = exported();
        if arrival_first {
            posts.give(DPN, &of(1, 55, "7000001"));
            posts.give(DPN, &gone(1, 101));
        } else {
            posts.give(DPN, &gone(1, 101));
            posts.give(DPN, &of(1, 55, "7000001"));
        }
        assert_eq!(sent_before(&mut posts).as_deref(), Some("FIRST.DAT"), "{arrival_first}");
        assert_eq!(run(&mut posts, 2, TODAY), [""; 0], "{arrival_first}");
        posts.give(DPN, &PlacementAtPost { date_from: date("2026-12-12"), ..of(1, 55, "7000001") });
        assert_eq!(run(&mut posts, 3, TODAY), ["1 |Sample1| N", "4 |Sample1| N"], "her dates are those of the export");
        posts.give(DPN, &gone(1, 55));
        assert_eq!(run(&mut posts, 4, TODAY), ["1 || Y", "2 ||Sample1 Y"], "ESR knows her");
    }
}

#[test]
fn d116_merged_the_other_way_and_back_nothing_is_sent() {
    let mut posts = exported();
    for (number, old, new) in [(2, 101, 55), (3, 55, 101), (4, 101, 55)] {
        posts.give(DPN, &gone(1, old));
        posts.give(DPN, &of(1, new, "7000001"));
        assert_eq!(run(&mut posts, number, TODAY), [""; 0]);
    }
}

#[test]
fn d116_a_placement_that_is_entered_again_is_the_same_in_either_order() {
    for arrival_first in [true, false] {
        let mut posts = exported();
        let again = PlacementAtPost { last_name: "Sample1".to_owned(), ..of(2, 101, "7000001") };
        if arrival_first {
            posts.give(DPN, &again);
            assert_eq!(sent_before(&mut posts), None, "the first one is still there");
            posts.give(DPN, &gone(1, 101));
        } else {
            posts.give(DPN, &gone(1, 101));
            posts.give(DPN, &again);
        }
        assert_eq!(sent_before(&mut posts).as_deref(), Some("FIRST.DAT"));
        assert_eq!(run(&mut posts, 2, TODAY), [""; 0], "{arrival_first}");
        posts.give(DPN, &gone(2, 101));
        assert_eq!(run(&mut posts, 3, TODAY), ["1 || Y", "2 ||Sample1 Y"]);
    }
}

#[test]
fn d116_with_other_dates_or_after_a_run_it_is_another_placement() {
    let mut posts = exported();
    posts.give(DPN, &gone(1, 101));
    posts.give(DPN, &PlacementAtPost { date_from: date("2026-12-12"), ..of(2, 101, "7000001") });
    assert_eq!(sent_before(&mut posts), None);
    assert_eq!(run(&mut posts, 2, TODAY), ["1 |Sample2| N", "2 ||Sample1 N"]);
    let mut posts = exported();
    posts.give(DPN, &gone(1, 101));
    assert_eq!(run(&mut posts, 2, TODAY), ["1 || Y", "2 ||Sample1 Y"]);
    posts.give(DPN, &of(2, 101, "7000001"));
    assert_eq!(sent_before(&mut posts), None, "ESR knows that she was withdrawn");
    assert_eq!(run(&mut posts, 3, TODAY), ["1 |Sample2| N"]);
}

#[test]
fn d116_a_placement_that_returns_takes_its_exports_back() {
    let mut posts = exported();
    posts.give(DPN, &gone(1, 101));
    posts.give(DPN, &of(2, 101, "7000001"));
    assert!(sent_before(&mut posts).is_some());
    posts.give(DPN, &of(1, 101, "7000001"));
    let offers = posts.take::<PositionPlacement>();
    let second = offers.iter().rfind(|offer| offer.placement_id == PlacementId(2)).unwrap();
    assert_eq!(second.sent_before, None);
}

#[test]
fn d116_of_two_that_are_entered_again_each_continues_one() {
    let mut posts = exported();
    posts.give(DPN, &gone(1, 101));
    posts.give(DPN, &of(3, 101, "7000001"));
    posts.give(DPN, &of(2, 101, "7000001"));
    let mut offers = posts.take::<PositionPlacement>();
    offers.reverse();
    let of_placement = |id| offers.iter().find(|offer| offer.placement_id == PlacementId(id)).unwrap();
    assert!(of_placement(2).sent_before.is_some());
    assert_eq!(run(&mut posts, 2, TODAY), ["1 |Sample3| N"], "the other one is new");
}

#[test]
fn d116_a_person_without_numbers_is_her_id() {
    let mut posts = number();
    posts.give(DPN, &of(1, 101, ""));
    posts.give(DPN, &sent(1, 101, ""));
    run(&mut posts, 1, TODAY);
    posts.give(DPN, &gone(1, 101));
    posts.give(DPN, &of(1, 55, ""));
    let rows = run(&mut posts, 2, TODAY);
    assert!(rows.contains(&"2 ||Sample1 N".to_owned()), "{rows:?}");
}

#[test]
fn d116_a_number_that_is_added_changes_nothing_and_a_corrected_one_makes_another_person() {
    let mut posts = number();
    posts.give(DPN, &of(1, 101, ""));
    posts.give(DPN, &sent(1, 101, ""));
    run(&mut posts, 1, TODAY);
    posts.give(DPN, &of(1, 101, "7000001"));
    assert_eq!(run(&mut posts, 2, TODAY), [""; 0]);
    posts.take::<PositionPlacement>();
    posts.give(DPN, &of(1, 101, "7000002"));
    assert_eq!(run(&mut posts, 3, TODAY), ["1 |Sample1| N", "2 ||Sample1 N"]);
}

#[test]
fn d116_d1_a_placement_of_the_baseline_that_had_started_stays_one_when_its_trainee_is_merged() {
    let started =
        |trainee| PlacementAtPost { baseline: true, date_from: date("2026-05-01"), ..of(1, trainee, "7000001") };
    for arrival_first in [true, false] {
        let mut posts = number();
        posts.give(DPN, &started(101));
        run(&mut posts, 1, TODAY);
        let merged = PlacementAtPost { baseline: false, ..started(55) };
        if arrival_first {
            posts.give(DPN, &merged);
            posts.give(DPN, &gone(1, 101));
        } else {
            posts.give(DPN, &gone(1, 101));
            posts.give(DPN, &merged);
        }
        assert_eq!(posts.take::<PositionPlacement>().len(), 0, "it has no applicant record");
        assert_eq!(run(&mut posts, 2, TODAY), [""; 0]);
        posts.give(DPN, &gone(1, 55));
        assert_eq!(run(&mut posts, 3, TODAY), ["1 || Y", "2 ||Sample1 Y"], "it counts as exported");
    }
}
