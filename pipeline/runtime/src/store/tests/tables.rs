//! A store on a table does what one in memory does, whether its table fails or not.

use super::*;
use crate::table::{MemoryTables, TableError, TableFaults, Tables};

type OnTable = TableStore<u32, String>;

fn on_table(tables: &MemoryTables) -> OnTable {
    TableStore::new(0, "words", tables.create("words"))
}

/// Tries until the table answers.
fn patiently<T>(mut attempt: impl FnMut() -> Result<T, TableError>) -> T {
    (0..1_000).find_map(|_| attempt().ok()).expect("the table answers now and then")
}

fn content_of(store: &OnTable) -> Vec<(u32, String)> {
    patiently(|| store.range(..).collect())
}

fn changes_of(store: &dyn StateStore) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
    let mut changes = BTreeMap::new();
    store.changes(&mut |key, value| drop(changes.insert(key.to_vec(), value.map(<[u8]>::to_vec))));
    changes
}

/// A store in memory and one on a table, to which the same is done.
struct Both {
    memory: Store<u32, String>,
    table: OnTable,
    rng: SimulationRng,
    is_sealed: bool,
}

impl Both {
    fn new(seed: u64, tables: &MemoryTables) -> Self {
        let (memory, table) = (Store::new(0, "words"), on_table(tables));
        Self { memory, table, rng: SimulationRng::new(seed), is_sealed: false }
    }

    fn each(&mut self, act: impl Fn(&mut (dyn StateStore + 'static))) {
        act(&mut self.memory);
        act(&mut self.table);
    }

    fn write(&mut self) {
        let key = self.rng.below(9) as u32;
        if self.rng.below(3) == 0 {
            self.memory.delete(key);
            patiently(|| self.table.delete(&key));
        } else {
            let value = self.rng.below(1_000).to_string();
            self.memory.put(key, value.clone());
            patiently(|| self.table.put(&key, &value));
        }
    }

    /// As when a task is restored: from the start, or further on.
    fn restore(&mut self) {
        self.each(StateStore::discard);
        self.is_sealed = false;
        if self.rng.below(2) == 0 {
            self.memory.clear().unwrap();
            while self.table.clear().is_err() {}
        }
        for _ in 0..self.rng.below(9) {
            let mut buffer = Vec::new();
            write_value(&self.rng.below(1_000).to_string(), &mut buffer);
            let (key, value) = (self.rng.below(9) as u32, (self.rng.below(3) > 0).then_some(&*buffer));
            self.each(|store| store.restore(&key.to_be_bytes(), value, &Schemas::default()).unwrap());
        }
    }

    fn step(&mut self) {
        self.each(StateStore::begin_record);
        (0..self.rng.below(4)).for_each(|_| self.write());
        match self.rng.below(10) {
            0 => self.each(StateStore::undo_record),
            1 | 2 if self.is_sealed => {
                self.each(StateStore::settle);
                self.is_sealed = false;
            }
            1 | 2 => {
                assert_eq!(changes_of(&self.memory), changes_of(&self.table), "the changelogs differ");
                self.each(StateStore::seal);
                self.is_sealed = true;
            }
            3 => {
                self.each(StateStore::discard);
                self.is_sealed = false;
            }
            4 if self.rng.below(3) == 0 => self.restore(),
            _ => {}
        }
    }

    fn check(&mut self) {
        assert_eq!(self.memory.has_changes(), self.table.has_changes());
        let (from, to) = (self.rng.below(9) as u32, self.rng.below(9) as u32);
        assert_eq!(self.memory.get(&from).cloned(), patiently(|| self.table.get(&from)));
        let (from, to) = (from.min(to), from.max(to));
        let wanted: Vec<(u32, String)> =
            self.memory.range(from..=to).map(|(key, value)| (*key, value.clone())).collect();
        assert_eq!(patiently(|| self.table.range(from..=to).collect::<Result<Vec<_>, _>>()), wanted);
        assert_eq!(patiently(|| self.table.count(from..=to)), wanted.len() as u64);
        assert_eq!(content_of(&self.table), content(&self.memory));
    }
}

#[test]
fn whatever_is_done_to_both_a_store_on_a_table_equals_one_in_memory() {
    let failing = MemoryTables::failing(TableFaults { seed: 1, read: 0.2, write: 0.5 });
    for tables in [MemoryTables::default(), failing.clone()] {
        for seed in 0..300 {
            let mut both = Both::new(seed, &tables);
            for _ in 0..200 {
                both.step();
                both.check();
            }
        }
    }
    assert!(failing.failed() > 10_000, "{}", failing.failed());
}

#[test]
fn a_long_range_is_read_in_pieces_and_sees_what_lies_over_the_table() {
    let (tables, mut expected) = (MemoryTables::default(), BTreeMap::new());
    let mut store = on_table(&tables);
    for number in 0..3_000 {
        store.put(&number, &number.to_string()).unwrap();
        expected.insert(number, number.to_string());
    }
    store.commit();
    for number in (0..4_000).step_by(7) {
        store.delete(&number).unwrap();
        expected.remove(&number);
        store.put(&(number + 1), &"new".to_owned()).unwrap();
        expected.insert(number + 1, "new".to_owned());
    }
    assert_eq!(content_of(&store), expected.clone().into_iter().collect::<Vec<_>>());
    let inner: Vec<(u32, String)> = store.range(100..2_900).map(Result::unwrap).collect();
    assert_eq!(inner, expected.range(100..2_900).map(|(key, value)| (*key, value.clone())).collect::<Vec<_>>());
    assert_eq!(store.range(5..5).count(), 0);
}

#[test]
fn a_range_ends_with_the_error_of_its_table() {
    let tables = MemoryTables::default();
    let mut store = on_table(&tables);
    (0..100).for_each(|number| store.put(&number, &"word".to_owned()).unwrap());
    store.commit();
    store.put(&1_000, &"open".to_owned()).unwrap();
    let mut range = store.range(..);
    assert!(range.next().unwrap().is_ok());
    tables.set_faults(Some(TableFaults { seed: 1, read: 1.0, write: 0.0 }));
    let rest: Vec<Result<(u32, String), TableError>> = range.collect();
    assert_eq!(rest.len(), 32, "the rest of the first piece, and the error");
    assert!(matches!(rest.last(), Some(Err(TableError::Unavailable(_)))));
}

#[test]
fn what_a_full_disk_does_not_take_is_kept_up_to_a_limit_and_written_later() {
    let tables = MemoryTables::failing(TableFaults { seed: 1, read: 0.0, write: 1.0 });
    let mut store = on_table(&tables);
    let long = "x".repeat(1 << 20);
    let taken = (0..100).take_while(|number| {
        let is_taken = store.put(number, &long).is_ok();
        store.commit();
        is_taken
    });
    assert_eq!(taken.count(), 32);
    assert!(matches!(store.delete(&1), Err(TableError::Unavailable(_))));
    assert_eq!(store.get(&31).unwrap(), Some(long));
    tables.set_faults(None);
    store.put(&40, &"small".to_owned()).unwrap();
    store.discard();
    assert_eq!(content_of(&store).len(), 32);
}

#[test]
fn a_value_of_another_schema_is_converted_when_it_is_restored() {
    let mut newer: TableStore<u32, Newer> = TableStore::new(0, "words", MemoryTables::default().create("words"));
    let (key, value) = written("a");
    newer.restore(&key, Some(&value), &schemas("String")).unwrap();
    newer.commit();
    assert_eq!(newer.get(&1).unwrap(), Some(Newer { added: 7, text: "a".to_owned() }));
    let unknown = newer.restore(&key, Some(&value), &Schemas::default()).unwrap_err();
    assert!(matches!(unknown, StateError::NoSchema { store: "words", fingerprint: 3, .. }), "{unknown}");
}

#[test]
fn an_entry_that_is_damaged_on_the_disk_stops_the_processor() {
    let tables = MemoryTables::default();
    let table = tables.create("words");
    table.apply(&[(1_u32.to_be_bytes().to_vec(), Some(vec![0; 9]))].into()).unwrap();
    let mut store: OnTable = TableStore::new(0, "words", table);
    store.put(&2, &"b".to_owned()).unwrap();
    store.commit();
    let error = store.get(&1).unwrap_err();
    assert!(error.to_string().contains(r"the entry \x00\x00\x00\x01 of the store words is damaged"), "{error}");
    assert!(matches!(crate::ProcessError::from(error), crate::ProcessError::Stop(_)));
}

#[test]
fn what_is_restored_is_kept_up_to_a_limit_and_then_waits_for_the_disk() {
    let faults = TableFaults { seed: 1, read: 0.0, write: 1.0 };
    let tables = MemoryTables::failing(faults);
    let mut store = on_table(&tables);
    let (_, value) = written(&"x".repeat(100_000));
    let restore =
        |number: u32, store: &mut OnTable| store.restore(&number.to_be_bytes(), Some(&value), &Schemas::default());
    let taken = (0..1_000).take_while(|number| restore(*number, &mut store).is_ok()).count();
    assert_eq!((taken, tables.failed()), (340, 31), "32 MiB, with an attempt for each");
    let error = restore(1_000, &mut store).unwrap_err();
    assert!(error.may_pass(), "{error}");
    assert!(store.clear().is_err(), "it may hold something");
    tables.set_faults(None);
    store.clear().unwrap();
    assert_eq!(content_of(&store), []);

    tables.set_faults(Some(faults));
    (0..50).for_each(|number| restore(number, &mut store).unwrap());
    tables.set_faults(None);
    (50..100).for_each(|number| restore(number, &mut store).unwrap());
    store.commit();
    assert_eq!(content_of(&store).len(), 100);
}
