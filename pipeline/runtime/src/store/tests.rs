//! What a store keeps, restores and refuses.

mod tables;

use super::*;
use crate::Convert;
use crate::memory::SimulationRng;

fn store(entries: &[(u32, &str)]) -> Store<u32, String> {
    let mut store = Store::new(0, "words");
    for (key, value) in entries {
        store.put(*key, (*value).to_owned());
    }
    store.commit();
    store
}

fn content(store: &Store<u32, String>) -> Vec<(u32, String)> {
    store.iter().map(|(key, value)| (*key, value.clone())).collect()
}

#[test]
fn range_shows_what_the_open_transaction_wrote() {
    let mut store = store(&[(1, "a"), (3, "c"), (5, "e")]);
    store.put(2, "b".to_owned());
    store.put(3, "C".to_owned());
    store.delete(5);
    store.put(7, "g".to_owned());
    let expected = [(1, "a"), (2, "b"), (3, "C"), (7, "g")].map(|(key, value)| (key, value.to_owned()));
    assert_eq!(content(&store), expected);
    let inner: Vec<u32> = store.range(2..=3).map(|(key, _)| *key).collect();
    assert_eq!(inner, [2, 3]);
}

#[test]
fn discard_returns_to_the_committed_state() {
    let mut store = store(&[(1, "a")]);
    store.put(1, "x".to_owned());
    store.delete(1);
    store.discard();
    assert_eq!(store.get(&1), Some(&"a".to_owned()));
}

#[test]
fn discard_puts_back_what_sealed_writes_replaced() {
    let mut store = store(&[(1, "a"), (2, "b")]);
    store.put(1, "x".to_owned());
    store.delete(2);
    store.put(3, "c".to_owned());
    store.seal();
    store.put(3, "d".to_owned());
    assert_eq!(content(&store), [(1, "x".to_owned()), (3, "d".to_owned())]);
    store.discard();
    assert_eq!(content(&store), [(1, "a".to_owned()), (2, "b".to_owned())]);
}

#[test]
fn settled_writes_stay_when_later_ones_are_dropped() {
    let mut store = store(&[(1, "a")]);
    store.put(1, "b".to_owned());
    store.seal();
    store.put(1, "c".to_owned());
    store.settle();
    store.discard();
    assert_eq!(content(&store), [(1, "b".to_owned())]);
}

#[test]
fn undo_record_keeps_what_earlier_records_wrote() {
    let mut store = store(&[(1, "a")]);
    store.begin_record();
    store.put(1, "b".to_owned());
    store.begin_record();
    store.put(1, "c".to_owned());
    store.put(1, "d".to_owned());
    store.put(2, "z".to_owned());
    store.undo_record();
    assert_eq!(content(&store), [(1, "b".to_owned())]);
}

#[test]
fn changes_restore_into_an_equal_store() {
    let mut source = store(&[(1, "a"), (2, "b")]);
    source.delete(1);
    source.put(9, "i".to_owned());
    let mut copy = store(&[(1, "a"), (2, "b")]);
    let mut changes = Vec::new();
    source.changes(&mut |key, value| changes.push((key.to_vec(), value.map(<[u8]>::to_vec))));
    source.commit();
    for (key, value) in changes {
        copy.restore(&key, value.as_deref(), &Schemas::default()).unwrap();
    }
    assert_eq!(content(&copy), content(&source));
}

/// The entries as maps of their own, copied at each moment to which a store can return.
#[derive(Default)]
struct Copies {
    now: BTreeMap<u32, String>,
    before_record: BTreeMap<u32, String>,
    before_transaction: BTreeMap<u32, String>,
    committed: BTreeMap<u32, String>,
    /// Rebuilt from the changes alone.
    restored: BTreeMap<u32, String>,
}

fn write(store: &mut Store<u32, String>, copies: &mut Copies, rng: &mut SimulationRng, number: u32) {
    let key = rng.below(5) as u32;
    if rng.below(3) == 0 {
        store.delete(key);
        copies.now.remove(&key);
    } else {
        store.put(key, number.to_string());
        copies.now.insert(key, number.to_string());
    }
}

fn seal(store: &mut Store<u32, String>, copies: &mut Copies) {
    let restored = &mut copies.restored;
    let take = &mut |key: &[u8], value: Option<&[u8]>| {
        let key = u32::from_be_bytes(key.try_into().unwrap());
        match value {
            Some(value) => restored.insert(key, String::from_utf8(value[8..].to_vec()).unwrap()),
            None => restored.remove(&key),
        };
    };
    store.changes(take);
    assert_eq!(*restored, copies.now, "the changes are not all");
    store.seal();
    copies.before_transaction = copies.now.clone();
}

#[test]
fn whatever_is_written_sealed_undone_and_dropped_the_store_equals_its_copies() {
    for seed in 0..2_000 {
        let (mut store, mut copies, mut rng) = (Store::new(0, "words"), Copies::default(), SimulationRng::new(seed));
        let mut is_sealed = false;
        for number in 0..200 {
            store.begin_record();
            copies.before_record = copies.now.clone();
            (0..rng.below(4)).for_each(|_| write(&mut store, &mut copies, &mut rng, number));
            match rng.below(8) {
                0 => {
                    store.undo_record();
                    copies.now = copies.before_record.clone();
                }
                1 if is_sealed => {
                    store.settle();
                    copies.committed = copies.before_transaction.clone();
                    is_sealed = false;
                }
                1 => {
                    seal(&mut store, &mut copies);
                    is_sealed = true;
                }
                2 if rng.below(3) == 0 => {
                    store.discard();
                    copies.now = copies.committed.clone();
                    copies.before_transaction = copies.committed.clone();
                    copies.restored = copies.committed.clone();
                    is_sealed = false;
                }
                _ => {}
            }
            assert_eq!(content(&store), copies.now.clone().into_iter().collect::<Vec<_>>(), "seed {seed}");
        }
    }
}

/// A value whose schema has gained a field in front of the old one.
#[derive(Debug, Clone, PartialEq)]
struct Newer {
    added: u8,
    text: String,
}

impl StateValue for Newer {
    const SCHEMA: Option<StateSchema> = Some(StateSchema { fingerprint: 4, name: "Newer", text: "Newer" });

    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.added);
        out.extend_from_slice(self.text.as_bytes());
    }

    fn read(body: &[u8]) -> Result<Self, String> {
        let (added, text) = body.split_first().ok_or("it is empty")?;
        Ok(Self { added: *added, text: <String as StateValue>::read(text)? })
    }

    fn convert(writer: &str) -> Result<Convert, String> {
        match writer {
            "String" => Ok(Box::new(|body| Ok([&[7], body].concat()))),
            other => Err(format!("{other} is not known")),
        }
    }
}

/// What a store of texts writes for the key 1.
fn written(text: &str) -> (Vec<u8>, Vec<u8>) {
    let mut entry = None;
    store(&[(1, text)]).entries(&mut |key, value| entry = Some((key.to_vec(), value.to_vec())));
    entry.unwrap()
}

fn schemas(text: &str) -> Schemas {
    let mut schemas = Schemas::default();
    schemas.restore(&3_u64.to_be_bytes(), Some(format!("0.9.0\n{text}").as_bytes())).unwrap();
    schemas
}

#[test]
fn a_value_of_another_schema_is_converted() {
    let mut newer: Store<u32, Newer> = Store::new(0, "words");
    let (key, value) = written("a");
    newer.restore(&key, Some(&value), &schemas("String")).unwrap();
    assert_eq!(newer.get(&1), Some(&Newer { added: 7, text: "a".to_owned() }));
}

#[test]
fn an_unreadable_value_names_store_key_and_release() {
    let mut newer: Store<u32, Newer> = Store::new(0, "words");
    let (key, value) = written("a");
    let text = newer.restore(&key, Some(&value), &schemas("Strange")).unwrap_err().to_string();
    for part in ["the store words", r"the key \x00\x00\x00\x01", "release 0.9.0", "Strange is not known"] {
        assert!(text.contains(part), "{text}");
    }
    let unknown = newer.restore(&key, Some(&value), &Schemas::default()).unwrap_err();
    assert!(matches!(unknown, StateError::NoSchema { store: "words", fingerprint: 3, .. }), "{unknown}");
    assert_eq!(newer.len(), 0);
}

#[test]
fn damaged_entries_are_reported() {
    let mut store: Store<u32, String> = Store::new(0, "words");
    let (key, value) = written("a");
    let of_schemas = schemas("String");
    for length in 0..8 {
        let cut = store.restore(&key, Some(&value[..length]), &of_schemas).unwrap_err();
        assert!(matches!(cut, StateError::Damaged { store: "words", .. }), "{cut}");
    }
    let not_text = store.restore(&key, Some(&[&value[..8], &[200]].concat()), &of_schemas).unwrap_err();
    assert!(matches!(not_text, StateError::Damaged { .. }), "{not_text}");
    for key in [&[1][..], &[0, 0, 0, 1, 1]] {
        let wrong = store.restore(key, Some(&value), &of_schemas).unwrap_err();
        assert!(matches!(wrong, StateError::Key { store: "words", .. }), "{wrong}");
    }
}
