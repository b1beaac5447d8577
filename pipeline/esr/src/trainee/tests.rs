//! Placements with their people, by rule (5.3, D23, D27, D38).

use tributary_schemas::records::esr::{
    PersonRemoved, PlacementAtPost, PlacementGone, TraineeChanged, TraineePlacement, TraineePlacementRemoved,
};
use tributary_schemas::records::tis::{LifecycleState, Person, Placement};
use tributary_schemas::types::tis::{PersonId, PlacementId};

use super::Trainee;
use crate::harness::{Harness, Sent, date, stage};
use crate::topics;

const KEY: [u8; 8] = 9_i64.to_be_bytes();

fn placement(id: i64, from: &str) -> TraineePlacement {
    let placement = Placement {
        id: PlacementId(id),
        trainee_id: PersonId(9),
        trainee_last_name: Some("Placed".to_owned()),
        trainee_first_name: Some("Pat".to_owned()),
        trainee_gmc_number: Some("7000009".to_owned()),
        dpn: format!("EOE/{id}").into(),
        date_from: date(from),
        site_name: Some(format!("Site {id}")),
        placement_type: "In Post".to_owned(),
        lifecycle_state: LifecycleState::Approved,
        ..Placement::default()
    };
    TraineePlacement { placement, baseline: false, sent_before: Vec::new() }
}

fn person() -> Person {
    Person {
        id: PersonId(9),
        surname: Some("Usual".to_owned()),
        legal_surname: Some("Legal".to_owned()),
        forenames: Some("Uma".to_owned()),
        legal_forenames: Some("  ".to_owned()),
        gmc_number: Some("7999999".to_owned()),
        email: Some("uma@sample.invalid".to_owned()),
        ..Person::default()
    }
}

/// What the stage sends after its note to itself, if it sent one.
fn told(trainee: &mut Harness<Trainee>, sent: &[Sent]) -> Vec<PlacementAtPost> {
    let notes = trainee.read::<TraineeChanged>(sent);
    assert!(notes.len() <= 1, "one note is enough");
    notes
        .iter()
        .flat_map(|note| {
            let sent = trainee.give(KEY, note);
            trainee.read::<PlacementAtPost>(&sent)
        })
        .collect()
}

fn give_and_tell(trainee: &mut Harness<Trainee>, one: &TraineePlacement) -> Vec<PlacementAtPost> {
    let sent = trainee.give(KEY, one);
    told(trainee, &sent)
}

fn others(placement: &PlacementAtPost) -> Vec<i64> {
    placement.other_placements.iter().map(|other| other.placement_id.0).collect()
}

#[test]
fn a_burst_of_changes_is_told_once_per_placement() {
    let mut trainee = stage(Trainee::new);
    let mut sent = trainee.give(KEY, &person());
    for id in 1..=3 {
        sent.extend(trainee.give(KEY, &placement(id, "2026-12-01")));
    }
    sent.extend(trainee.give(KEY, &placement(2, "2026-12-02")));
    sent.extend(trainee.give(KEY, &person()));
    assert_eq!(trainee.read::<PlacementAtPost>(&sent).len(), 0, "nothing is sent before the note arrives");
    let told = told(&mut trainee, &sent);
    assert_eq!(told.iter().map(|one| one.placement_id.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(told[1].date_from, date("2026-12-02"), "the latest dates");
    assert_eq!(trainee.give(KEY, &TraineeChanged { person_id: PersonId(9) }).len(), 0, "everything was sent");
}

#[test]
fn the_note_goes_to_the_same_trainee_and_placements_go_to_their_numbers() {
    let mut trainee = stage(Trainee::new);
    let mut one = placement(1, "2026-12-01");
    one.placement.dpn = " eoe/1 ".into();
    let sent = trainee.give(KEY, &one);
    let (key, note) = trainee.only::<TraineeChanged>(&sent, &topics::TRAINEE);
    assert_eq!((key.as_slice(), note.person_id), (KEY.as_slice(), PersonId(9)));
    let sent = trainee.give(KEY, &note);
    assert_eq!(trainee.only::<PlacementAtPost>(&sent, &topics::POST).0, b"EOE/1", "R1");
}

#[test]
fn a_change_that_the_other_placements_do_not_see_is_told_of_that_placement_alone() {
    let mut trainee = stage(Trainee::new);
    for id in 1..=2 {
        give_and_tell(&mut trainee, &placement(id, "2026-12-01"));
    }
    let mut part_time = placement(1, "2026-12-01");
    part_time.placement.whole_time_equivalent = Some(0.6);
    let told = give_and_tell(&mut trainee, &part_time);
    assert_eq!(told.iter().map(|one| one.placement_id.0).collect::<Vec<_>>(), [1]);
    assert_eq!(give_and_tell(&mut trainee, &placement(1, "2026-12-05")).len(), 2, "the other one contains its dates");
}

#[test]
fn a_person_who_comes_after_the_placements_completes_them() {
    let mut trainee = stage(Trainee::new);
    let before = give_and_tell(&mut trainee, &placement(1, "2026-12-01")).remove(0);
    assert_eq!([&before.last_name, &before.first_name, &before.gmc_number], ["Placed", "Pat", "7000009"]);
    assert_eq!(before.person, None);
    let sent = trainee.give(KEY, &person());
    let after = told(&mut trainee, &sent).remove(0);
    assert_eq!([&after.last_name, &after.first_name], ["Legal", "Uma"], "the legal name, otherwise the usual name");
    assert_eq!([&after.gmc_number, &after.email], ["7999999", "uma@sample.invalid"]);
    assert!(after.person.is_some());
}

#[test]
fn a_person_who_is_deleted_leaves_what_the_placement_says() {
    let mut trainee = stage(Trainee::new);
    let mut sent = trainee.give(KEY, &person());
    sent.extend(trainee.give(KEY, &placement(1, "2026-12-01")));
    assert_eq!(told(&mut trainee, &sent)[0].last_name, "Legal");
    let sent = trainee.give(KEY, &PersonRemoved { person_id: PersonId(9) });
    let after = told(&mut trainee, &sent).remove(0);
    assert_eq!([&after.last_name, &after.first_name, &after.email], ["Placed", "Pat", ""]);
    assert_eq!(after.person, None);
}

#[test]
fn d23_the_number_unknown_is_none() {
    let mut trainee = stage(Trainee::new);
    trainee.give(KEY, &Person { gmc_number: Some(" unknown ".to_owned()), ..person() });
    trainee.give(KEY, &placement(1, "2026-12-01"));
    let sent = trainee.give(KEY, &TraineeChanged { person_id: PersonId(9) });
    assert_eq!(trainee.read::<PlacementAtPost>(&sent)[0].gmc_number, "");
}

#[test]
fn d38_a_placement_names_the_other_approved_ones_that_count() {
    let mut trainee = stage(Trainee::new);
    let mut draft = placement(3, "2027-01-01");
    draft.placement.lifecycle_state = LifecycleState::Draft;
    let mut out_of_programme = placement(4, "2027-01-01");
    out_of_programme.placement.placement_type = "OOPE".to_owned();
    let mut sent = Vec::new();
    for one in [placement(1, "2026-12-01"), placement(2, "2027-01-01"), draft, out_of_programme] {
        sent.extend(trainee.give(KEY, &one));
    }
    let told = told(&mut trainee, &sent);
    assert_eq!(told.iter().map(others).collect::<Vec<_>>(), [vec![2], vec![1], vec![1, 2], vec![1, 2]]);
    assert_eq!(told[0].other_placements[0].site_name.as_deref(), Some("Site 2"));
    assert_eq!(
        told.iter().map(|one| (one.approved, one.counted)).collect::<Vec<_>>(),
        [(true, true), (true, true), (false, true), (true, false)]
    );
}

#[test]
fn a_placement_that_is_deleted_is_gone_at_its_number_and_from_the_others() {
    let mut trainee = stage(Trainee::new);
    for id in 1..=2 {
        give_and_tell(&mut trainee, &placement(id, "2026-12-01"));
    }
    let sent = trainee.give(KEY, &TraineePlacementRemoved { placement_id: PlacementId(1) });
    let gone = sent.iter().find(|sent| sent.topic == topics::POST.name).unwrap();
    assert_eq!(gone.text_key(), "EOE/1");
    let expected = PlacementGone { placement_id: PlacementId(1), trainee_id: PersonId(9), sent_before: Vec::new() };
    assert_eq!(trainee.read::<PlacementGone>(&sent), [expected]);
    let told = told(&mut trainee, &sent);
    assert_eq!(told.iter().map(|one| (one.placement_id.0, others(one))).collect::<Vec<_>>(), [(2, vec![])]);
    let again = trainee.give(KEY, &TraineePlacementRemoved { placement_id: PlacementId(1) });
    assert_eq!(again.len(), 0);
}

#[test]
fn d27_a_placement_that_moves_to_another_number_is_gone_at_the_old_one() {
    let mut trainee = stage(Trainee::new);
    give_and_tell(&mut trainee, &placement(1, "2026-12-01"));
    let mut moved = placement(1, "2026-12-01");
    moved.placement.dpn = "EOE/2".into();
    let sent = trainee.give(KEY, &moved);
    assert_eq!(trainee.read::<PlacementGone>(&sent).len(), 1);
    assert!(sent.iter().any(|sent| sent.topic == topics::POST.name && sent.key == b"EOE/1"));
    let note = trainee.read::<TraineeChanged>(&sent).remove(0);
    let sent = trainee.give(KEY, &note);
    assert_eq!(trainee.only::<PlacementAtPost>(&sent, &topics::POST).0, b"EOE/2");
    moved.placement.dpn = "eoe/2 ".into();
    let sent = trainee.give(KEY, &moved);
    assert_eq!(trainee.read::<PlacementGone>(&sent).len(), 0, "R1: the same number");
}

#[test]
fn d113_a_placement_without_a_number_matches_nothing_and_still_is_one_of_the_others() {
    let numbered = |number: &str| {
        let mut one = placement(1, "2026-12-01");
        one.placement.dpn = number.into();
        one
    };
    for blank in ["", "  "] {
        let mut trainee = stage(Trainee::new);
        assert_eq!(give_and_tell(&mut trainee, &numbered(blank)), [], "it has no number to go to");
        let told = give_and_tell(&mut trainee, &placement(2, "2027-06-01"));
        assert_eq!((told.len(), told[0].placement_id, others(&told[0])), (1, PlacementId(2), vec![1]));
        let told = give_and_tell(&mut trainee, &numbered("EOE/1"));
        assert!(told.iter().any(|one| one.placement_id == PlacementId(1)), "it has a number now");
        let sent = trainee.give(KEY, &numbered(blank));
        let gone = trainee.read::<PlacementGone>(&sent);
        assert_eq!(gone.iter().map(|gone| gone.placement_id).collect::<Vec<_>>(), [PlacementId(1)], "it leaves EOE/1");
        let sent = trainee.give(KEY, &TraineePlacementRemoved { placement_id: PlacementId(1) });
        assert_eq!(trainee.read::<PlacementGone>(&sent), [], "it was at no number");
    }
}
