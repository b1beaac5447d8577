//! What every implementation of tables has to do.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::memory::SimulationRng;
use crate::{KeyRange, Table, TableEntry, TableWrites, Tables};

/// Runs all checks on tables that do not fail.
pub fn all_of_tables(tables: &dyn Tables) {
    new_tables_are_empty_and_never_the_same(tables);
    ranges_have_their_bounds(tables);
    clearing_leaves_nothing(tables);
    a_table_equals_an_ordered_map(tables);
}

fn writes(entries: &[(&str, Option<&str>)]) -> TableWrites {
    entries.iter().map(|(key, value)| ((*key).into(), value.map(Into::into))).collect()
}

fn range<'a>(from: Bound<&'a str>, to: Bound<&'a str>) -> KeyRange<'a> {
    KeyRange { from: from.map(str::as_bytes), to: to.map(str::as_bytes) }
}

fn keys(entries: Vec<TableEntry>) -> Vec<String> {
    entries.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect()
}

fn everything() -> KeyRange<'static> {
    range(Bound::Unbounded, Bound::Unbounded)
}

fn new_tables_are_empty_and_never_the_same(tables: &dyn Tables) {
    let (first, second) = (tables.create("words"), tables.create("words"));
    assert_eq!(first.get(b"a").unwrap(), None);
    assert_eq!(first.first(everything(), 10).unwrap(), []);
    first.apply(&writes(&[("a", Some("1"))])).unwrap();
    assert_eq!((first.get(b"a").unwrap(), second.get(b"a").unwrap()), (Some(b"1".to_vec()), None));
    drop(first);
    assert_eq!(tables.create("words").get(b"a").unwrap(), None);
}

fn ranges_have_their_bounds(tables: &dyn Tables) {
    use Bound::{Excluded, Included, Unbounded};
    let table = tables.create("words");
    table.apply(&writes(&["a", "b", "ba", "c", "d"].map(|key| (key, Some(key))))).unwrap();
    let first = |from, to, limit| keys(table.first(range(from, to), limit).unwrap());
    let last = |from, to, limit| keys(table.last(range(from, to), limit).unwrap());
    assert_eq!(first(Unbounded, Unbounded, 2), ["a", "b"]);
    assert_eq!(last(Unbounded, Unbounded, 2), ["d", "c"]);
    assert_eq!(first(Included("b"), Excluded("c"), 9), ["b", "ba"]);
    assert_eq!(first(Excluded("b"), Included("c"), 9), ["ba", "c"]);
    assert_eq!(last(Excluded("b"), Included("c"), 9), ["c", "ba"]);
    assert_eq!(last(Included("b"), Excluded("c"), 1), ["ba"]);
    for (from, to) in [(Included("c"), Included("b")), (Excluded("b"), Excluded("b")), (Excluded("d"), Unbounded)] {
        assert_eq!((first(from, to, 9), last(from, to, 9)), (Vec::new(), Vec::new()));
    }
}

fn clearing_leaves_nothing(tables: &dyn Tables) {
    let table = tables.create("words");
    table.clear().unwrap();
    table.apply(&writes(&[("a", Some("1")), ("b", Some("2"))])).unwrap();
    table.clear().unwrap();
    assert_eq!(table.first(everything(), 9).unwrap(), []);
    table.apply(&writes(&[("b", Some("3"))])).unwrap();
    assert_eq!(keys(table.first(everything(), 9).unwrap()), ["b"]);
}

/// As many entries as fill several files of a disk.
fn a_table_equals_an_ordered_map(tables: &dyn Tables) {
    let (table, mut expected, mut rng) = (tables.create("words"), BTreeMap::new(), SimulationRng::new(1));
    for _ in 0..300 {
        let mut writes = TableWrites::new();
        for _ in 0..50 {
            let key = (rng.below(4_000) as u32).to_be_bytes().to_vec();
            let value = (rng.below(4) > 0).then(|| vec![rng.below(256) as u8; rng.below(2_000) as usize]);
            writes.insert(key, value);
        }
        table.apply(&writes).unwrap();
        for (key, value) in writes {
            match value {
                Some(value) => drop(expected.insert(key, value)),
                None => drop(expected.remove(&key)),
            }
        }
        check_a_look(&*table, &expected, &mut rng);
    }
    let all = table.first(everything(), usize::MAX).unwrap();
    assert!(all == expected.into_iter().collect::<Vec<_>>(), "the entries are others");
}

fn check_a_look(table: &dyn Table, expected: &BTreeMap<Vec<u8>, Vec<u8>>, rng: &mut SimulationRng) {
    let key = |rng: &mut SimulationRng| (rng.below(4_000) as u32).to_be_bytes().to_vec();
    let (from, limit) = (key(rng), 1 + rng.below(20) as usize);
    assert!(table.get(&from).unwrap().as_ref() == expected.get(&from), "another value");
    let found = table.first(KeyRange { from: Bound::Included(&from), to: Bound::Unbounded }, limit).unwrap();
    let wanted = expected.range(from.clone()..).take(limit);
    assert!(found.iter().map(|(key, value)| (key, value)).eq(wanted), "another range");
    let found = table.last(KeyRange { from: Bound::Unbounded, to: Bound::Excluded(&from) }, limit).unwrap();
    let wanted = expected.range(..from).rev().take(limit);
    assert!(found.iter().map(|(key, value)| (key, value)).eq(wanted), "another range backwards");
}
