//! A store in memory or on a table, as the settings say.

use std::borrow::Cow;
use std::ops::RangeBounds;

use super::{StateStore, Store, TableStore};
use crate::state::{StateKey, StateValue};
use crate::table::{Table, TableError};

/// A store whose place is chosen when the process starts. Its changelog is the same in both places, so another start
/// may choose the other.
pub enum SelectedStore<K, V> {
    /// Entries in memory: fast, and calls never fail.
    Memory(Store<K, V>),
    /// Entries in a table: as many as fit on the disk.
    Table(TableStore<K, V>),
}

impl<K: StateKey, V: StateValue> SelectedStore<K, V> {
    /// An empty store on this table, or in memory. Number and name as in [`Store::new`].
    pub fn new(number: u8, name: &'static str, table: Option<Box<dyn Table>>) -> Self {
        match table {
            None => Self::Memory(Store::new(number, name)),
            Some(table) => Self::Table(TableStore::new(number, name, table)),
        }
    }

    /// The value of `key`, as the open transaction sees it.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn get(&self, key: &K) -> Result<Option<Cow<'_, V>>, TableError> {
        match self {
            Self::Memory(store) => Ok(store.get(key).map(Cow::Borrowed)),
            Self::Table(store) => Ok(store.get(key)?.map(Cow::Owned)),
        }
    }

    /// Sets the value of `key`.
    ///
    /// # Errors
    /// As [`TableStore::put`].
    pub fn put(&mut self, key: K, value: V) -> Result<(), TableError> {
        match self {
            Self::Memory(store) => {
                store.put(key, value);
                Ok(())
            }
            Self::Table(store) => store.put(&key, &value),
        }
    }

    /// Removes `key`, if it is there.
    ///
    /// # Errors
    /// [`TableError`]. Nothing is removed then.
    pub fn delete(&mut self, key: K) -> Result<(), TableError> {
        match self {
            Self::Memory(store) => {
                store.delete(key);
                Ok(())
            }
            Self::Table(store) => store.delete(&key),
        }
    }

    /// The entries of a range in their order, as the open transaction sees them. After an error there is nothing more.
    /// The order in a table is that of the bytes of keys.
    pub fn range<R: RangeBounds<K>>(
        &self,
        range: R,
    ) -> impl Iterator<Item = Result<(Cow<'_, K>, Cow<'_, V>), TableError>> {
        let (memory, table) = match self {
            Self::Memory(store) => (Some(store.range(range)), None),
            Self::Table(store) => (None, Some(store.range(range))),
        };
        let memory = memory.into_iter().flatten().map(|(key, value)| Ok((Cow::Borrowed(key), Cow::Borrowed(value))));
        let table = table.into_iter().flatten();
        memory.chain(table.map(|entry| entry.map(|(key, value)| (Cow::Owned(key), Cow::Owned(value)))))
    }

    /// The number of entries in a range.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn count<R: RangeBounds<K>>(&self, range: R) -> Result<u64, TableError> {
        match self {
            Self::Memory(store) => Ok(store.range(range).count() as u64),
            Self::Table(store) => store.count(range),
        }
    }

    /// The store as the runtime sees it.
    pub fn state(&mut self) -> &mut dyn StateStore {
        match self {
            Self::Memory(store) => store,
            Self::Table(store) => store,
        }
    }
}
