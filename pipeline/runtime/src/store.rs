//! State stores: typed maps in memory, with the values that the open transaction's writes have replaced.
//!
//! A write changes the map at once. The replaced value is kept until the commit has succeeded, so that an abort can
//! restore it. While a commit is under way its writes are *sealed*: the values they replaced are kept apart from those
//! of later writes. A record whose processing fails is undone in the same way. Nothing here writes to a log: the worker
//! collects the changes and sends them.

mod layers;
mod selected;
mod stored;
mod table_store;
#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::ops::RangeBounds;

pub use selected::SelectedStore;
pub use table_store::TableStore;

use crate::state::{Schemas, StateError, StateKey, StateSchema, StateValue};
use stored::{ValueReader, read_key, write_value};

/// An ordered map. In the changelog, a value follows the fingerprint of its schema, eight bytes big-endian. The value
/// of a set has no bytes at all.
pub struct Store<K, V> {
    number: u8,
    name: &'static str,
    entries: BTreeMap<K, Slot<V>>,
    /// The values that the open transaction has replaced, in the order of its writes.
    replaced: Vec<Replaced<K, V>>,
    /// The values that the sealed transaction has replaced.
    sealed: Vec<Replaced<K, V>>,
    /// The position in `replaced` at which the current record begins.
    record: usize,
    /// Number of the open transaction; 0 is none.
    transaction: u64,
    values: ValueReader<V>,
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

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Store<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct(self.name).field("entries", &self.entries).finish_non_exhaustive()
    }
}

impl<K: StateKey, V: StateValue> Store<K, V> {
    /// An empty store. Its number within its stage stands in the changelog, so a number is never used again for another
    /// store. Its name is for messages. Numbers from 240 are those of the runtime.
    pub const fn new(number: u8, name: &'static str) -> Self {
        Self {
            number,
            name,
            entries: BTreeMap::new(),
            replaced: Vec::new(),
            sealed: Vec::new(),
            record: 0,
            transaction: 1,
            values: ValueReader::new(name),
        }
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
    pub fn range<R: RangeBounds<K>>(&self, range: R) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.entries.range(range).map(|(key, slot)| (key, &slot.value))
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
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
    /// Its number within its stage.
    fn number(&self) -> u8;

    /// Its name, for messages.
    fn name(&self) -> &'static str;

    /// The schema of the values that it writes. `None` for a set.
    fn schema(&self) -> Option<StateSchema>;

    /// Starts the processing of one record: later writes can be undone.
    fn begin_record(&mut self);

    /// Undoes the writes since [`StateStore::begin_record`].
    fn undo_record(&mut self);

    /// Whether the open transaction wrote anything.
    fn has_changes(&self) -> bool;

    /// Calls `each` with key and value (`None` = deleted) of every entry that the open transaction wrote. An entry that
    /// was deleted and written again is reported several times, each time with the same value.
    fn changes(&self, each: EachChange<'_>);

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

    /// Applies one entry of the changelog or of a snapshot. `schemas` are those that came before it.
    ///
    /// # Errors
    /// [`StateError`] when key or value cannot be read.
    fn restore(&mut self, key: &[u8], value: Option<&[u8]>, schemas: &Schemas) -> Result<(), StateError>;

    /// Whether the entries are in a table beside the process. It is not part of snapshots.
    fn is_on_table(&self) -> bool {
        false
    }

    /// Calls `each` with every entry, for a snapshot: between two transactions.
    fn entries(&self, each: &mut dyn FnMut(&[u8], &[u8]));

    /// Forgets everything, before a restore from the start.
    ///
    /// # Errors
    /// [`StateError::Table`] when the entries are on a disk that fails. What is left then is undefined: clear it again.
    fn clear(&mut self) -> Result<(), StateError>;
}

impl<K: StateKey, V: StateValue> StateStore for Store<K, V> {
    fn number(&self) -> u8 {
        self.number
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn schema(&self) -> Option<StateSchema> {
        V::SCHEMA
    }

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

    fn changes(&self, each: EachChange<'_>) {
        let (mut key_bytes, mut value_bytes) = (Vec::new(), Vec::new());
        for written in self.replaced.iter().filter(|replaced| replaced.is_first) {
            key_bytes.clear();
            written.key.write_key(&mut key_bytes);
            match self.get(&written.key) {
                Some(value) => {
                    write_value(value, &mut value_bytes);
                    each(&key_bytes, Some(&value_bytes));
                }
                None => each(&key_bytes, None),
            }
        }
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

    fn restore(&mut self, key: &[u8], value: Option<&[u8]>, schemas: &Schemas) -> Result<(), StateError> {
        let typed = read_key(self.name, key)?;
        match value {
            Some(value) => {
                let value = self.values.read(key, value, schemas)?;
                self.entries.insert(typed, Slot { value, transaction: 0 });
            }
            None => drop(self.entries.remove(&typed)),
        }
        Ok(())
    }

    fn entries(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        let (mut key_bytes, mut value_bytes) = (Vec::new(), Vec::new());
        for (key, value) in self.iter() {
            key_bytes.clear();
            key.write_key(&mut key_bytes);
            write_value(value, &mut value_bytes);
            each(&key_bytes, &value_bytes);
        }
    }

    fn clear(&mut self) -> Result<(), StateError> {
        self.discard();
        self.entries.clear();
        Ok(())
    }
}
