//! Changes in TIS, and the stages that receive them, by rule (D1, D2, D14, D27).

use tributary_runtime::ProcessError;
use tributary_schemas::Date;
use tributary_schemas::records::esr::{
    PersonRemoved, PostAtNumber, PostGone, TraineePlacement, TraineePlacementRemoved,
};
use tributary_schemas::records::tis::{LifecycleState, Person, Placement, PlacementEsrEvent, Post, PostStatus};
use tributary_schemas::records::tributary::Alert;
use tributary_schemas::types::esr::PositionId;
use tributary_schemas::types::tis::{PersonId, PlacementId, PostId};

use super::{TisPeople, TisPlacements, TisPosts};
use crate::baseline::BASELINE_HEADER;
use crate::harness::{Harness, NOW, Sent, date, millis, stage};
use crate::topics;

fn post(dpn: &str) -> Post {
    Post { id: PostId(1), dpn: dpn.into(), status: PostStatus::Current, ..Post::default() }
}

fn placement(trainee: i64) -> Placement {
    Placement {
        id: PlacementId(5),
        trainee_id: PersonId(trainee),
        dpn: "EOE/RGT01/300/STR/001".into(),
        date_from: date("2026-12-01"),
        placement_type: "In post".to_owned(),
        lifecycle_state: LifecycleState::Approved,
        ..Placement::default()
    }
}

fn person() -> Person {
    Person { id: PersonId(9), surname: Some("Sample".to_owned()), ..Person::default() }
}

fn key_of(id: i64) -> Vec<u8> {
    id.to_be_bytes().to_vec()
}

#[test]
fn what_is_equal_to_what_is_held_causes_nothing() {
    let mut posts = stage(TisPosts::new);
    assert_eq!(posts.give("1", &post("EOE/1")).len(), 1);
    assert_eq!(posts.give("1", &post("EOE/1")).len(), 0);
    let mut placements = stage(TisPlacements::new);
    assert_eq!(placements.give("5", &placement(9)).len(), 1);
    assert_eq!(placements.give("5", &placement(9)).len(), 0);
    let mut people = stage(TisPeople::new);
    assert_eq!(people.give("9", &person()).len(), 1);
    assert_eq!(people.give("9", &person()).len(), 0);
}

#[test]
fn r1_a_post_goes_to_its_number_without_case_and_blanks() {
    let mut posts = stage(TisPosts::new);
    let sent = posts.give("1", &post(" eoe/rgt01/001 "));
    let (key, arrived) = posts.only::<PostAtNumber>(&sent, &topics::POST);
    assert_eq!(key, b"EOE/RGT01/001");
    assert_eq!((arrived.post_id, arrived.status, arrived.renumbered), (PostId(1), PostStatus::Current, false));
    let other_case = posts.give("1", &post("EOE/RGT01/001"));
    assert_eq!(other_case.len(), 0, "the same number in another case");
}

#[test]
fn another_status_of_a_post_is_told_at_its_number() {
    let mut posts = stage(TisPosts::new);
    posts.give("1", &post("EOE/1"));
    let sent = posts.give("1", &Post { status: PostStatus::Delete, ..post("EOE/1") });
    let (key, arrived) = posts.only::<PostAtNumber>(&sent, &topics::POST);
    assert_eq!((key.as_slice(), arrived.status), (b"EOE/1".as_slice(), PostStatus::Delete));
}

#[test]
fn placements_and_people_go_to_the_trainee() {
    let mut placements = stage(TisPlacements::new);
    let sent = placements.give("5", &placement(9));
    let (key, arrived) = placements.only::<TraineePlacement>(&sent, &topics::TRAINEE);
    assert_eq!((key, arrived.placement.id), (key_of(9), PlacementId(5)));
    let sent = placements.give("5", &Placement { date_to: Some(date("2027-01-01")), ..placement(9) });
    let (_, changed) = placements.only::<TraineePlacement>(&sent, &topics::TRAINEE);
    assert_eq!(changed.placement.date_to, Some(date("2027-01-01")));
    let mut people = stage(TisPeople::new);
    let sent = people.give("9", &person());
    let (key, arrived) = people.only::<Person>(&sent, &topics::TRAINEE);
    assert_eq!((key, arrived.id), (key_of(9), PersonId(9)));
}

#[test]
fn d113_an_object_under_the_key_of_another_is_a_dead_letter_and_changes_neither() {
    let mut posts = stage(TisPosts::new);
    posts.give("2", &Post { id: PostId(2), ..post("EOE/2") });
    assert_eq!(posts.dead_letter("2", &post("EOE/1")), "key-of-another-object");
    assert_eq!(posts.give("2", &Post { id: PostId(2), ..post("EOE/2") }).len(), 0, "it is as it was");
    let mut placements = stage(TisPlacements::new);
    assert_eq!(placements.dead_letter("6", &placement(9)), "key-of-another-object");
    let mut people = stage(TisPeople::new);
    assert_eq!(people.dead_letter("8", &person()), "key-of-another-object");
    assert_eq!((placements.processor.ids().count(), people.processor.ids().count()), (0, 0));
}

#[test]
fn d1_the_header_makes_objects_of_the_baseline() {
    let mut posts = stage(TisPosts::new);
    posts.header(Some(BASELINE_HEADER));
    let sent = posts.give("1", &post("EOE/1"));
    assert!(posts.only::<PostAtNumber>(&sent, &topics::POST).1.baseline);
    posts.header(None);
    let sent = posts.give("2", &Post { id: PostId(2), ..post("EOE/2") });
    assert!(!posts.only::<PostAtNumber>(&sent, &topics::POST).1.baseline);
    let mut placements = stage(TisPlacements::new);
    placements.header(Some(BASELINE_HEADER));
    let sent = placements.give("5", &placement(9));
    assert!(placements.only::<TraineePlacement>(&sent, &topics::TRAINEE).1.baseline);
    placements.header(None);
    let sent = placements.give("6", &Placement { id: PlacementId(6), ..placement(9) });
    assert!(!placements.only::<TraineePlacement>(&sent, &topics::TRAINEE).1.baseline);
}

#[test]
fn d1_a_post_stays_of_the_baseline_under_another_number_and_another_status() {
    let mut posts = stage(TisPosts::new);
    posts.header(Some(BASELINE_HEADER));
    posts.give("1", &post("EOE/1"));
    posts.header(None);
    let sent = posts.give("1", &post("EOE/2"));
    assert!(posts.read::<PostAtNumber>(&sent)[0].baseline);
    let sent = posts.give("1", &Post { status: PostStatus::Inactive, ..post("EOE/2") });
    assert!(posts.read::<PostAtNumber>(&sent)[0].baseline);
}

#[test]
fn d2_what_is_deleted_is_told_onward_once() {
    let mut posts = stage(TisPosts::new);
    posts.give("1", &post("EOE/1"));
    let sent = posts.tombstone("1");
    let (key, gone) = posts.only::<PostGone>(&sent, &topics::POST);
    assert_eq!((key.as_slice(), gone.post_id, gone.renumbered), (b"EOE/1".as_slice(), PostId(1), false));
    assert_eq!((posts.tombstone("1").len(), posts.processor.ids().count()), (0, 0));
    let mut placements = stage(TisPlacements::new);
    placements.give("5", &placement(9));
    let sent = placements.tombstone("5");
    let (key, gone) = placements.only::<TraineePlacementRemoved>(&sent, &topics::TRAINEE);
    assert_eq!((key, gone.placement_id), (key_of(9), PlacementId(5)));
    assert_eq!((placements.tombstone("5").len(), placements.processor.ids().count()), (0, 0));
    let mut people = stage(TisPeople::new);
    people.give("9", &person());
    let sent = people.tombstone("9");
    let (key, gone) = people.only::<PersonRemoved>(&sent, &topics::TRAINEE);
    assert_eq!((key, gone.person_id), (key_of(9), PersonId(9)));
    assert_eq!((people.tombstone("9").len(), people.processor.ids().count()), (0, 0));
}

#[test]
fn d2_what_comes_back_after_its_deletion_is_new() {
    let mut posts = stage(TisPosts::new);
    posts.header(Some(BASELINE_HEADER));
    posts.give("1", &post("EOE/1"));
    posts.tombstone("1");
    posts.header(None);
    let sent = posts.give("1", &post("EOE/1"));
    assert!(!posts.only::<PostAtNumber>(&sent, &topics::POST).1.baseline);
    let mut placements = stage(TisPlacements::new);
    placements.give("5", &placement(9));
    placements.tombstone("5");
    assert_eq!(placements.give("5", &placement(9)).len(), 1);
}

#[test]
fn d2_the_ids_held_are_those_with_which_a_snapshot_is_compared() {
    let mut placements = stage(TisPlacements::new);
    placements.give("6", &Placement { id: PlacementId(6), ..placement(9) });
    placements.give("5", &placement(9));
    assert_eq!(placements.processor.ids().collect::<Vec<_>>(), [5, 6]);
}

#[test]
fn d27_a_renumbered_post_leaves_the_old_number_and_joins_the_new_one() {
    let mut posts = stage(TisPosts::new);
    posts.give("1", &post("EOE/1"));
    let sent = posts.give("1", &post("EOE/2"));
    assert_eq!(sent.iter().map(Sent::text_key).collect::<Vec<_>>(), ["EOE/1", "EOE/2"]);
    assert_eq!(posts.read::<PostGone>(&sent), [PostGone { post_id: PostId(1), renumbered: true }]);
    assert!(posts.read::<PostAtNumber>(&sent)[0].renumbered);
    let sent = posts.tombstone("1");
    assert_eq!(posts.only::<PostGone>(&sent, &topics::POST).0, b"EOE/2", "it is deleted under its current number");
}

#[test]
fn d27_a_placement_of_another_trainee_leaves_the_old_one() {
    let mut placements = stage(TisPlacements::new);
    placements.give("5", &placement(9));
    let sent = placements.give("5", &placement(10));
    assert_eq!(sent.iter().map(|sent| sent.key.clone()).collect::<Vec<_>>(), [key_of(9), key_of(10)]);
    assert_eq!(placements.read::<TraineePlacementRemoved>(&sent)[0].placement_id, PlacementId(5));
    assert_eq!(placements.read::<TraineePlacement>(&sent)[0].placement.trainee_id, PersonId(10));
    let sent = placements.tombstone("5");
    assert_eq!(sent.iter().map(|sent| sent.key.clone()).collect::<Vec<_>>(), [key_of(10)]);
}

fn with_event(trainee: i64, status: &str) -> Placement {
    let event = PlacementEsrEvent {
        position_id: PositionId(7),
        filename: Some("OLD.DAT".to_owned()),
        status: Some(status.to_owned()),
    };
    Placement { esr_events: vec![event], ..placement(trainee) }
}

#[test]
fn d14_an_event_belongs_to_the_trainee_of_the_day_on_which_it_was_first_seen() {
    let mut placements = stage(TisPlacements::new);
    let mut sent_before = |given: &Placement| {
        let sent = placements.give("5", given);
        let arrived = placements.read::<TraineePlacement>(&sent).pop().unwrap();
        arrived.sent_before.iter().map(|sent| (sent.position_id.0, sent.file_name.clone())).collect::<Vec<_>>()
    };
    assert_eq!(sent_before(&with_event(9, "EXPORTED")), [(7, "OLD.DAT".to_owned())]);
    assert_eq!(sent_before(&with_event(10, "EXPORTED")), [], "the next trainee was not exported");
    assert_eq!(sent_before(&with_event(9, "EXPORTED_AND_PROCESSED")), [(7, "OLD.DAT".to_owned())]);
    assert_eq!(sent_before(&placement(9)), [(7, "OLD.DAT".to_owned())], "a seen export is not forgotten");
}

#[test]
fn d14_only_exported_and_later_states_count() {
    for (status, counts) in
        [("EXPORTED", true), ("EXPORTED_PROCESSED_WITH_ERRORS", true), ("PENDING", false), ("", false)]
    {
        let mut placements = stage(TisPlacements::new);
        let sent = placements.give("5", &with_event(9, status));
        assert_eq!(placements.read::<TraineePlacement>(&sent)[0].sent_before.len() == 1, counts, "{status}");
    }
}

#[test]
fn a_record_of_another_type_or_with_a_key_that_is_no_id_is_a_dead_letter() {
    let mut posts = stage(TisPosts::new);
    assert_eq!(posts.dead_letter("1", &Alert::default()), "unexpected-record-type");
    assert_eq!(posts.dead_letter("one", &post("EOE/1")), "key-not-an-id");
    let error = posts.try_give("1", &person()).err();
    assert!(matches!(error, Some(ProcessError::DeadLetter { .. })));
}

#[test]
fn d104_a_record_time_that_cannot_be_is_named_once_of_each_kind_and_the_time_of_the_service_counts() {
    let mut placements = stage(|context| {
        context.time.set(millis(NOW));
        TisPlacements::new(context)
    });
    let mut changed = placement(9);
    let mut at = |time: i64, changes: &mut Harness<TisPlacements>| {
        changed.date_from = changed.date_from.plus_days(1);
        changes.now = time;
        let sent = changes.give("5", &changed);
        let alerts = changes.read::<Alert>(&sent).len();
        let arrived = sent.iter().find(|sent| sent.topic == topics::TRAINEE.name).unwrap();
        (alerts, arrived.header("undated").is_some())
    };
    let day = 24 * 60 * 60 * 1000;
    for (time, expected) in [
        (millis(NOW), (0, false)),
        (millis(NOW) + day, (0, false)),
        (millis(NOW) - 400 * day, (0, false)),
        (0, (1, true)),
        (1, (0, true)),
        (millis("2099-01-01T00:00:00Z"), (1, true)),
        (millis(NOW) * 1000, (0, true)),
        (i64::MAX, (0, true)),
        (i64::MIN, (0, true)),
    ] {
        assert_eq!(at(time, &mut placements), expected, "{time}");
    }
}

#[test]
fn d115_the_last_date_as_an_end_is_no_end_and_dates_that_no_file_can_name_are_dead_letters() {
    let mut placements = stage(TisPlacements::new);
    let endless = Placement { date_to: Some(date("9999-12-31")), ..placement(9) };
    let sent = placements.give("5", &endless);
    assert_eq!(placements.read::<TraineePlacement>(&sent)[0].placement.date_to, None);
    assert_eq!(placements.give("5", &placement(9)).len(), 0, "it is the same placement");
    let last = Placement { date_from: date("9999-12-31"), date_to: Some(date("9999-12-30")), ..placement(9) };
    let sent = placements.give("5", &last);
    let read = placements.read::<TraineePlacement>(&sent).remove(0).placement;
    assert_eq!((read.date_from, read.date_to), (last.date_from, last.date_to), "no other date changes");
    for days in [Date::FIRST.0 - 1, Date::LAST.0 + 1, i32::MIN, i32::MAX] {
        let outside = Placement { date_from: Date(days), ..placement(9) };
        assert_eq!(placements.dead_letter("5", &outside), "date-out-of-range");
        let mut people = stage(TisPeople::new);
        let outside = Person { date_of_birth: Some(Date(days)), ..person() };
        assert_eq!(people.dead_letter("9", &outside), "date-out-of-range");
    }
    let mut people = stage(TisPeople::new);
    let (born, end) = (Some(date("9999-12-31")), Some(date("9999-12-31")));
    let sent = people.give("9", &Person { date_of_birth: born, gmc_end_date: end, gdc_end_date: end, ..person() });
    let read = people.read::<Person>(&sent).remove(0);
    assert_eq!((read.date_of_birth, read.gmc_end_date, read.gdc_end_date), (born, None, None));
}
