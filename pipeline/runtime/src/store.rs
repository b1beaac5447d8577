//! State stores: typed maps in memory, with the values that the open transaction's writes have replaced.
//!
//! A write changes the map at once. The replaced value is kept until the commit has succeeded, so that an abort can
//! restore it. While a commit is under way its writes are *sealed*: the values they replaced are kept apart from those
//! of later writes. A record whose processing fails is undone in the same way. Nothing here writes to a log: the worker
//! collects the changes and sends them.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::RangeBounds;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a key or value of a state store must be.
pub trait StateData: Serialize + DeserializeOwned + Clone + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Clone + Send + 'static> StateData for T {}

/// An ordered map. Keys and values are written to the changelog with postcard.
#[derive(Debug)]
pub struct Store<K, V> {
    entries: BTreeMap<K, Slot<V>>,
    /// The values that the open transaction has replaced, in the order of its writes.
    replaced: Vec<Replaced<K, V>>,
    /// The values that the sealed transaction has replaced.
    sealed: Vec<Replaced<K, V>>,
    /// The position in `replaced` at which the current record begins.
    record: usize,
    /// Number of the open transaction; 0 is none.
    transaction: u64,
}

#[derive(Debug)]
struct Slot<V> {
    value: V,
    /// The transaction that wrote it. Only whether it is the open one matters.
    transaction: u64,
}

/// The value before a write.
#[derive(Debug)]
struct Replaced<K, V> {
    key: K,
    before: Option<V>,
    /// Whether the open transaction had not written this entry yet.
    is_first: bool,
}

impl<K: Ord, V> Default for Store<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), replaced: Vec::new(), sealed: Vec::new(), record: 0, transaction: 1 }
    }
}

impl<K: StateData + Ord, V: StateData> Store<K, V> {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of `key`, as the open transaction sees it.
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.entries.get(key).map(|slot| &slot.value)
    }

    /// Sets the value of `key`.
    pub fn put(&mut self, key: K, value: V) {
        let slot = Slot { value, transaction: self.transaction };
        let replaced = match self.entries.entry(key) {
            Entry::Vacant(entry) => {
                let key = entry.key().clone();
                entry.insert(slot);
                Replaced { key, before: None, is_first: true }
            }
            Entry::Occupied(mut entry) => {
                let before = entry.insert(slot);
                let is_first = before.transaction != self.transaction;
                Replaced { key: entry.key().clone(), before: Some(before.value), is_first }
            }
        };
        self.replaced.push(replaced);
    }

    /// Removes `key`, if it is there.
    pub fn delete(&mut self, key: K) {
        if let Some(before) = self.entries.remove(&key) {
            let is_first = before.transaction != self.transaction;
            self.replaced.push(Replaced { key, before: Some(before.value), is_first });
        }
    }

    /// The entries of a range in order of their keys, as the open transaction sees them.
    pub fn range<R: RangeBounds<K>>(&self, range: R) -> impl Iterator<Item = (&K, &V)> {
        self.entries.range(range).map(|(key, slot)| (key, &slot.value))
    }

    /// All entries in order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.range(..)
    }

    /// Restores the value that a write has replaced. Must be called for the last write first.
    fn put_back(&mut self, Replaced { key, before, is_first }: Replaced<K, V>) {
        let transaction = if is_first { 0 } else { self.transaction };
        match before {
            Some(value) => self.entries.insert(key, Slot { value, transaction }),
            None => self.entries.remove(&key),
        };
    }
}

/// Called with the key and value (`None` = deleted) of each change of a state.
pub type EachChange<'a> = &'a mut dyn FnMut(&[u8], Option<&[u8]>);

/// A store as the runtime sees it.
pub trait StateStore: Send {
    /// Starts the processing of one record: later writes can be undone.
    fn begin_record(&mut self);

    /// Undoes the writes since [`StateStore::begin_record`].
    fn undo_record(&mut self);

    /// Whether the open transaction wrote anything.
    fn has_changes(&self) -> bool;

    /// Calls `each` with key and value (`None` = deleted) of every entry that the open transaction wrote. An entry that
    /// was deleted and written again is reported several times, each time with the same value.
    ///
    /// # Errors
    /// [`StateError`] when a key or value cannot be written.
    fn changes(&self, each: EachChange<'_>) -> Result<(), StateError>;

    /// Seals the open transaction's writes: their commit is under way, and later writes belong to the next transaction.
    /// At most one transaction is sealed at a time.
    fn seal(&mut self);

    /// The commit of the sealed writes has succeeded: they are part of the committed state.
    fn settle(&mut self);

    /// Seals and settles, for a commit that is known to have succeeded.
    fn commit(&mut self) {
        self.seal();
        self.settle();
    }

    /// Drops the writes of the open transaction and the sealed writes.
    fn discard(&mut self);

    /// Applies one entry of the changelog or of a snapshot.
    ///
    /// # Errors
    /// [`StateError`] when key or value cannot be read.
    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError>;

    /// Calls `each` with every entry, for a snapshot: between two transactions.
    ///
    /// # Errors
    /// [`StateError`] when a key or value cannot be written.
    fn entries(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StateError>;

    /// Number of entries.
    fn len(&self) -> usize;

    /// Whether there is no entry.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets everything, before a restore from the start.
    fn clear(&mut self);
}

impl<K: StateData + Ord, V: StateData> StateStore for Store<K, V> {
    fn begin_record(&mut self) {
        // To undo the transaction, the first write to each entry is enough.
        let mut kept = self.record;
        for place in self.record..self.replaced.len() {
            if self.replaced[place].is_first {
                self.replaced.swap(kept, place);
                kept += 1;
            }
        }
        self.replaced.truncate(kept);
        self.record = kept;
    }

    fn undo_record(&mut self) {
        while self.replaced.len() > self.record
            && let Some(last) = self.replaced.pop()
        {
            self.put_back(last);
        }
    }

    fn has_changes(&self) -> bool {
        !self.replaced.is_empty()
    }

    fn changes(&self, each: EachChange<'_>) -> Result<(), StateError> {
        let (mut key_bytes, mut value_bytes) = (Vec::new(), Vec::new());
        for written in self.replaced.iter().filter(|replaced| replaced.is_first) {
            key_bytes = encode(&written.key, key_bytes)?;
            match self.get(&written.key) {
                Some(value) => {
                    value_bytes = encode(value, value_bytes)?;
                    each(&key_bytes, Some(&value_bytes));
                }
                None => each(&key_bytes, None),
            }
        }
        Ok(())
    }

    fn seal(&mut self) {
        debug_assert!(self.sealed.is_empty(), "a transaction was sealed before the previous one has ended");
        std::mem::swap(&mut self.sealed, &mut self.replaced);
        self.record = 0;
        self.transaction += 1;
    }

    fn settle(&mut self) {
        self.sealed = Vec::new();
    }

    fn discard(&mut self) {
        for mut replaced in [std::mem::take(&mut self.replaced), std::mem::take(&mut self.sealed)] {
            while let Some(last) = replaced.pop() {
                self.put_back(last);
            }
        }
        self.record = 0;
        self.transaction += 1;
    }

    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError> {
        let key: K = decode(key)?;
        match value {
            Some(value) => self.entries.insert(key, Slot { value: decode(value)?, transaction: 0 }),
            None => self.entries.remove(&key),
        };
        Ok(())
    }

    fn entries(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StateError> {
        let (mut key_bytes, mut value_bytes) = (Vec::new(), Vec::new());
        for (key, value) in self.iter() {
            key_bytes = encode(key, key_bytes)?;
            value_bytes = encode(value, value_bytes)?;
            each(&key_bytes, &value_bytes);
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn clear(&mut self) {
        self.discard();
        self.entries.clear();
    }
}

/// State that cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A key or value that the codec refuses to write.
    #[error("state entry cannot be written: {0}")]
    Encode(#[source] postcard::Error),
    /// Bytes that are not an entry of this store: damage, or state of another version.
    #[error("state entry cannot be read, it is damaged or of another version: {0}")]
    Decode(#[source] postcard::Error),
    /// An entry of a store that the stage does not have: damage, or state of another version.
    #[error(
        "state entry cannot be read, it is damaged or of another version: it names a store that this stage does not \
         have"
    )]
    UnknownStore,
}

impl StateError {
    /// The stable name of this kind of error; see [`crate::error_code`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::Encode(_) | Self::Decode(_) | Self::UnknownStore => crate::error_code::STATE_INVALID,
        }
    }
}

fn encode<T: Serialize>(value: &T, mut buffer: Vec<u8>) -> Result<Vec<u8>, StateError> {
    buffer.clear();
    postcard::to_extend(value, buffer).map_err(StateError::Encode)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StateError> {
    postcard::from_bytes(bytes).map_err(StateError::Decode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::SimulationRng;

    fn store(entries: &[(u32, &str)]) -> Store<u32, String> {
        let mut store = Store::new();
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
        source.changes(&mut |key, value| changes.push((key.to_vec(), value.map(<[u8]>::to_vec)))).unwrap();
        source.commit();
        for (key, value) in changes {
            copy.restore(&key, value.as_deref()).unwrap();
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
            let key: u32 = decode(key).unwrap();
            match value {
                Some(value) => restored.insert(key, decode(value).unwrap()),
                None => restored.remove(&key),
            };
        };
        store.changes(take).unwrap();
        assert_eq!(*restored, copies.now, "the changes are not all");
        store.seal();
        copies.before_transaction = copies.now.clone();
    }

    #[test]
    fn whatever_is_written_sealed_undone_and_dropped_the_store_equals_its_copies() {
        for seed in 0..2_000 {
            let (mut store, mut copies, mut rng) = (Store::new(), Copies::default(), SimulationRng::new(seed));
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

    #[test]
    fn damaged_entries_are_reported() {
        let mut store: Store<u32, String> = Store::new();
        assert!(matches!(store.restore(&[1], Some(&[200])), Err(StateError::Decode(_))));
    }
}
