//! Who is the same person to ESR, and where a placement belongs (D13, D15, D115 to D117).

use crate::world::{DAY_1, DAY_2, POST_NUMBER, World, person, placement, post};

/// The rows of all files of a type.
fn rows(world: &World, kind: &str, row: &str) -> Vec<String> {
    let names = world.outbox_names().into_iter().filter(|name| name.contains(&format!("_{kind}_")));
    names.flat_map(|name| world.outgoing(&name)).filter(|line| line.starts_with(row)).collect()
}

#[test]
fn d116_a_doctor_whose_two_records_are_merged_stays_the_same_for_esr() {
    let world = World::small();
    world.once(DAY_1, &[]).document();
    let sent = (rows(&world, "APP", "APP"), rows(&world, "DNC", "NOT"));
    assert_eq!(sent.0.len(), 1);
    world.jsonl("people", &[person(55, "Testcase")]);
    world.jsonl("placements", &[placement(101, 55, "2026-12-15", "2027-06-14")]);
    world.once(DAY_2, &[]).document();
    assert_eq!((rows(&world, "APP", "APP"), rows(&world, "DNC", "NOT")), sent);
}

#[test]
fn d116_a_placement_that_is_deleted_and_entered_again_is_not_sent_again() {
    let world = World::small();
    world.once(DAY_1, &[]).document();
    let sent = (rows(&world, "APP", "APP"), rows(&world, "DNC", "NOT"));
    world.jsonl("placements", &[placement(102, 11, "2026-12-15", "2027-06-14")]);
    world.once(DAY_2, &[]).document();
    assert_eq!((rows(&world, "APP", "APP"), rows(&world, "DNC", "NOT")), sent);
}

#[test]
fn d115_the_end_of_time_is_a_blank_end() {
    let world = World::small();
    world.jsonl("placements", &[placement(101, 11, "2026-12-15", "9999-12-31")]);
    world.once(DAY_1, &[]).document();
    let row = rows(&world, "APP", "APP").remove(0);
    assert!(row.contains(",20261215,,"), "{row}");
}

#[test]
fn d117_the_number_of_the_post_decides_where_a_placement_belongs() {
    let world = World::small();
    world.jsonl("posts", &[post(1, POST_NUMBER), post(2, "EOE/ZAA01/300/STR/002")]);
    let mut wrong_id = placement(101, 11, "2026-12-15", "2027-06-14");
    wrong_id["postId"] = 2.into();
    world.jsonl("placements", &[wrong_id]);
    let batch = world.once(DAY_1, &[]);
    assert_eq!(rows(&world, "APP", "APP").len(), 1, "{batch:?}");
    assert!(batch.warns_of("placement 101"), "{batch:?}");
}
