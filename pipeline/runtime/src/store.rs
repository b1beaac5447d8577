//! State stores: typed maps in memory with an overlay of the open transaction's writes.
//!
//! The overlay is merged when the commit succeeds and dropped when it aborts. While a commit is on its way its writes are
//! *sealed*: merged already, and what they replaced is kept, so that an abort can put it back. A journal undoes the writes
//! of one record when its processing fails. Nothing here writes to a log: the worker asks for the changes and sends them.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a key or value of a state store must be.
pub trait StateData: Serialize + DeserializeOwned + Clone + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Clone + Send + 'static> StateData for T {}

/// An ordered map with an overlay. Keys and values are written to the changelog with postcard.
#[derive(Debug)]
pub struct Store<K, V> {
    committed: BTreeMap<K, V>,
    overlay: BTreeMap<K, Option<V>>,
    /// What the sealed writes replaced.
    replaced: Vec<(K, Option<V>)>,
    journal: Vec<(K, Before<V>)>,
}

impl<K: Ord, V> Default for Store<K, V> {
    fn default() -> Self {
        Self { committed: BTreeMap::new(), overlay: BTreeMap::new(), replaced: Vec::new(), journal: Vec::new() }
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
        if self.overlay.is_empty() {
            return self.committed.get(key);
        }
        match self.overlay.get(key) {
            Some(written) => written.as_ref(),
            None => self.committed.get(key),
        }
    }

    /// Sets the value of `key`.
    pub fn put(&mut self, key: K, value: V) {
        self.write(key, Some(value));
    }

    /// Removes `key`, if it is there.
    pub fn delete(&mut self, key: K) {
        if self.get(&key).is_some() {
            self.write(key, None);
        }
    }

    /// The entries of a range in order of their keys, as the open transaction sees them.
    pub fn range<R: RangeBounds<K>>(&self, range: R) -> impl Iterator<Item = (&K, &V)> {
        let bounds: (Bound<&K>, Bound<&K>) = (range.start_bound(), range.end_bound());
        let mut committed = self.committed.range::<K, _>(bounds).peekable();
        let mut overlay = self.overlay.range::<K, _>(bounds).peekable();
        std::iter::from_fn(move || {
            loop {
                let take_overlay = match (committed.peek(), overlay.peek()) {
                    (_, None) => return committed.next(),
                    (None, Some(_)) => true,
                    (Some((old, _)), Some((new, _))) if old == new => {
                        committed.next();
                        true
                    }
                    (Some((old, _)), Some((new, _))) => new < old,
                };
                if !take_overlay {
                    return committed.next();
                }
                if let Some((key, Some(value))) = overlay.next() {
                    return Some((key, value));
                }
            }
        })
    }

    /// All entries in order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.range(..)
    }

    fn write(&mut self, key: K, value: Option<V>) {
        let before = self.overlay.insert(key.clone(), value);
        self.journal.push((key, before));
    }
}

/// Called with the key and value (`None` = deleted) of each change of a state.
pub type EachChange<'a> = &'a mut dyn FnMut(&[u8], Option<&[u8]>);

/// What an overlay held for a key before a write: nothing, or a write or deletion.
type Before<V> = Option<Written<V>>;

/// What the open transaction did to a key: wrote a value or deleted it.
type Written<V> = Option<V>;

/// A store as the runtime sees it.
pub trait StateStore: Send {
    /// Starts the processing of one record: later writes can be undone.
    fn begin_record(&mut self);

    /// Undoes the writes since [`StateStore::begin_record`].
    fn undo_record(&mut self);

    /// Whether the open transaction wrote anything.
    fn has_changes(&self) -> bool;

    /// Calls `each` with key and value (`None` = deleted) of every write of the open transaction.
    ///
    /// # Errors
    /// [`StateError`] when a key or value cannot be written.
    fn changes(&self, each: EachChange<'_>) -> Result<(), StateError>;

    /// Makes the open transaction's writes part of the committed state. As [`StateStore::seal`] and [`StateStore::settle`], for a
    /// commit that has succeeded already: nothing has to be remembered, which saves a copy of each key.
    fn merge(&mut self);

    /// Seals the open transaction's writes: their commit is on its way, and what follows is written over them. At most one
    /// transaction is sealed at a time.
    fn seal(&mut self);

    /// The commit of the sealed writes has succeeded: they are part of the committed state.
    fn settle(&mut self);

    /// Drops the open transaction's writes, and those that are sealed.
    fn discard(&mut self);

    /// Takes one entry of the changelog or of a snapshot.
    ///
    /// # Errors
    /// [`StateError`] when key or value cannot be read.
    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError>;

    /// Calls `each` with every committed entry, for a snapshot.
    ///
    /// # Errors
    /// [`StateError`] when a key or value cannot be written.
    fn entries(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StateError>;

    /// Number of committed entries.
    fn len(&self) -> usize;

    /// Whether no entry is committed.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets everything, before a restore from the start.
    fn clear(&mut self);
}

impl<K: StateData + Ord, V: StateData> StateStore for Store<K, V> {
    fn begin_record(&mut self) {
        self.journal.clear();
    }

    fn undo_record(&mut self) {
        while let Some((key, before)) = self.journal.pop() {
            match before {
                Some(written) => self.overlay.insert(key, written),
                None => self.overlay.remove(&key),
            };
        }
    }

    fn has_changes(&self) -> bool {
        !self.overlay.is_empty()
    }

    fn changes(&self, each: EachChange<'_>) -> Result<(), StateError> {
        let (mut key_bytes, mut value_bytes) = (Vec::new(), Vec::new());
        for (key, value) in &self.overlay {
            key_bytes = encode(key, key_bytes)?;
            match value {
                Some(value) => {
                    value_bytes = encode(value, value_bytes)?;
                    each(&key_bytes, Some(&value_bytes));
                }
                None => each(&key_bytes, None),
            }
        }
        Ok(())
    }

    fn merge(&mut self) {
        self.journal.clear();
        for (key, value) in std::mem::take(&mut self.overlay) {
            match value {
                Some(value) => self.committed.insert(key, value),
                None => self.committed.remove(&key),
            };
        }
    }

    fn seal(&mut self) {
        self.journal.clear();
        for (key, value) in std::mem::take(&mut self.overlay) {
            let before = match value {
                Some(value) => self.committed.insert(key.clone(), value),
                None => self.committed.remove(&key),
            };
            self.replaced.push((key, before));
        }
    }

    fn settle(&mut self) {
        self.replaced.clear();
    }

    fn discard(&mut self) {
        self.journal.clear();
        self.overlay.clear();
        for (key, before) in self.replaced.drain(..) {
            match before {
                Some(value) => self.committed.insert(key, value),
                None => self.committed.remove(&key),
            };
        }
    }

    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError> {
        let key: K = decode(key)?;
        match value {
            Some(value) => self.committed.insert(key, decode(value)?),
            None => self.committed.remove(&key),
        };
        Ok(())
    }

    fn entries(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StateError> {
        let (mut key_bytes, mut value_bytes) = (Vec::new(), Vec::new());
        for (key, value) in &self.committed {
            key_bytes = encode(key, key_bytes)?;
            value_bytes = encode(value, value_bytes)?;
            each(&key_bytes, &value_bytes);
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.committed.len()
    }

    fn clear(&mut self) {
        self.discard();
        self.committed.clear();
    }
}

/// State that cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A key or value that the codec refuses to write.
    #[error("state entry cannot be written: {0}")]
    Encode(String),
    /// Bytes that are not an entry of this store: damage, or state of another version.
    #[error("state entry cannot be read, it is damaged or of another version: {0}")]
    Decode(String),
}

fn encode<T: Serialize>(value: &T, mut buffer: Vec<u8>) -> Result<Vec<u8>, StateError> {
    buffer.clear();
    postcard::to_extend(value, buffer).map_err(|error| StateError::Encode(error.to_string()))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StateError> {
    postcard::from_bytes(bytes).map_err(|error| StateError::Decode(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(entries: &[(u32, &str)]) -> Store<u32, String> {
        let mut store = Store::new();
        for (key, value) in entries {
            store.put(*key, (*value).to_owned());
        }
        store.merge();
        store
    }

    fn content(store: &Store<u32, String>) -> Vec<(u32, String)> {
        store.iter().map(|(key, value)| (*key, value.clone())).collect()
    }

    #[test]
    fn range_shows_the_overlay_over_the_committed_entries() {
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
        source.merge();
        for (key, value) in changes {
            copy.restore(&key, value.as_deref()).unwrap();
        }
        assert_eq!(content(&copy), content(&source));
    }

    #[test]
    fn damaged_entries_are_reported() {
        let mut store: Store<u32, String> = Store::new();
        assert!(matches!(store.restore(&[1], Some(&[200])), Err(StateError::Decode(_))));
    }
}
