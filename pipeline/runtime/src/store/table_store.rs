//! State stores on tables, for state that is larger than memory.
//!
//! Only the writes that are not committed, or that the table has not taken yet, are in memory. What is committed goes
//! to the table. If that fails, nothing is lost: the writes stay in memory, reads see them, and they are written with the
//! next commit. A record that needs what cannot be read is tried again.

use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::time::Instant;

use super::layers::Layers;
use super::stored::{ValueReader, read_key, read_todays, write_value};
use super::{EachChange, StateStore};
use crate::events;
use crate::state::{Schemas, StateError, StateKey, StateSchema, StateValue};
use crate::table::{Table, TableError};
use crate::trouble::Troubles;

/// Restored entries are written when they have this many bytes. After a failure they are written when they have as many
/// more.
const RESTORED_AT_ONCE: usize = 1 << 20;

/// Bytes of committed writes that are kept in memory while the table takes none. No record is processed or restored
/// that would add to them.
const MOST_UNWRITTEN: usize = 32 << 20;

/// As [`super::Store`], with its entries in a table. Their order is that of the bytes of their keys: texts are ordered
/// by their length first. The changelog of both is the same.
pub struct TableStore<K, V> {
    number: u8,
    name: &'static str,
    layers: Layers,
    values: ValueReader<V>,
    /// Restored entries are written next when this many bytes are in memory.
    write_at: usize,
    /// The trouble with the table.
    troubles: Troubles,
    keys: PhantomData<fn() -> K>,
}

impl<K: StateKey, V: StateValue> TableStore<K, V> {
    /// An empty store on an empty table. Number and name as in [`super::Store::new`].
    pub fn new(number: u8, name: &'static str, table: Box<dyn Table>) -> Self {
        let (layers, values) = (Layers::over(table), ValueReader::new(name));
        let (write_at, troubles) = (RESTORED_AT_ONCE, Troubles::new());
        Self { number, name, layers, values, write_at, troubles, keys: PhantomData }
    }

    /// The value of `key`, as the open transaction sees it.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn get(&self, key: &K) -> Result<Option<V>, TableError> {
        let key = bytes_of(key);
        let value = self.layers.get(&key)?;
        value.map(|value| self.read(&key, &value)).transpose()
    }

    /// Sets the value of `key`.
    ///
    /// # Errors
    /// [`TableError::Unavailable`] when the table has taken no writes for long. Nothing is set then.
    pub fn put(&mut self, key: &K, value: &V) -> Result<(), TableError> {
        self.make_room()?;
        let mut bytes = Vec::new();
        write_value(value, &mut bytes);
        self.layers.write(bytes_of(key), Some(bytes));
        Ok(())
    }

    /// Removes `key`, if it is there.
    ///
    /// # Errors
    /// [`TableError`]. Nothing is removed then.
    pub fn delete(&mut self, key: &K) -> Result<(), TableError> {
        self.make_room()?;
        let key = bytes_of(key);
        if self.layers.get(&key)?.is_some() {
            self.layers.write(key, None);
        }
        Ok(())
    }

    /// The entries of a range in order of the bytes of their keys, as the open transaction sees them. After an error
    /// there is nothing more.
    pub fn range<R: RangeBounds<K>>(&self, range: R) -> impl Iterator<Item = Result<(K, V), TableError>> {
        let entries = self.layers.range(bound(range.start_bound()), bound(range.end_bound()));
        entries.map(|entry| {
            let (key, value) = entry?;
            let typed = read_key(self.name, &key).map_err(|_| self.damaged(&key, "its key is another one"))?;
            Ok((typed, self.read(&key, &value)?))
        })
    }

    /// The number of entries in a range.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn count<R: RangeBounds<K>>(&self, range: R) -> Result<u64, TableError> {
        let mut entries = self.layers.range(bound(range.start_bound()), bound(range.end_bound()));
        entries.try_fold(0, |count, entry| entry.map(|_| count + 1))
    }

    fn read(&self, key: &[u8], value: &[u8]) -> Result<V, TableError> {
        let value = read_todays(value).unwrap_or_else(|| Err("it has another schema".to_owned()));
        value.map_err(|reason| self.damaged(key, &reason))
    }

    /// The error of an entry that was right when it was written.
    fn damaged(&self, key: &[u8], reason: &str) -> TableError {
        let (name, key) = (self.name, StateError::printable(key));
        TableError::Damaged(format!(
            "the entry {key} of the store {name} is damaged in its table ({reason}): check that disk, and restart; the \
             table is a copy, and is filled again from the changelog"
        ))
    }

    /// Fails when too much is in memory that the table does not take.
    fn make_room(&mut self) -> Result<(), TableError> {
        if self.layers.unwritten_bytes() < MOST_UNWRITTEN { Ok(()) } else { self.write_out() }
    }

    /// Writes to the table what is committed, and reports what has changed about failures to do so.
    fn write_out(&mut self) -> Result<(), TableError> {
        let written = self.layers.write_out();
        let report = match &written {
            Ok(()) => {
                self.write_at = RESTORED_AT_ONCE;
                self.troubles.end(self.name, Instant::now())
            }
            Err(error) => self.troubles.note(self.name, error.to_string(), Instant::now()),
        };
        let error_code = written.as_ref().err().map(TableError::code);
        if let Some(report) = report {
            events::table_trouble(self.name, error_code, &report);
        }
        written
    }

    fn failed(&self, error: TableError) -> StateError {
        StateError::Table { store: self.name, error }
    }
}

impl<K: StateKey, V: StateValue> StateStore for TableStore<K, V> {
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
        self.layers.begin_record();
    }

    fn undo_record(&mut self) {
        self.layers.undo_record();
    }

    fn has_changes(&self) -> bool {
        !self.layers.open().is_empty()
    }

    fn changes(&self, each: EachChange<'_>) {
        for (key, value) in self.layers.open() {
            each(key, value.as_deref());
        }
    }

    fn seal(&mut self) {
        self.layers.seal();
    }

    /// What cannot be written stays in memory until the next commit.
    fn settle(&mut self) {
        self.layers.settle();
        // It is reported, and nothing is lost.
        let _ = self.write_out();
    }

    fn discard(&mut self) {
        self.layers.discard();
    }

    /// The entries reach the table in pieces. The last piece is written with the next commit, and pieces that the table
    /// does not take with the next one that it takes.
    fn restore(&mut self, key: &[u8], value: Option<&[u8]>, schemas: &Schemas) -> Result<(), StateError> {
        read_key::<K>(self.name, key)?;
        let value = match value {
            Some(value) => {
                if let Some(Ok(_)) = read_todays::<V>(value) {
                    Some(value.to_vec())
                } else {
                    let mut bytes = Vec::new();
                    write_value(&self.values.read(key, value, schemas)?, &mut bytes);
                    Some(bytes)
                }
            }
            None => None,
        };
        self.layers.add_committed(key.to_vec(), value);
        if self.layers.unwritten_bytes() < self.write_at {
            return Ok(());
        }
        match self.write_out() {
            // It is reported, and nothing is lost.
            Err(_) if self.layers.unwritten_bytes() < MOST_UNWRITTEN => {
                self.write_at = self.layers.unwritten_bytes() + RESTORED_AT_ONCE;
                Ok(())
            }
            written => written.map_err(|error| self.failed(error)),
        }
    }

    fn is_on_table(&self) -> bool {
        true
    }

    /// None: they stay in the table.
    fn entries(&self, _: &mut dyn FnMut(&[u8], &[u8])) {}

    fn clear(&mut self) -> Result<(), StateError> {
        self.write_at = RESTORED_AT_ONCE;
        self.layers.clear().map_err(|error| self.failed(error))
    }
}

fn bytes_of<K: StateKey>(key: &K) -> Vec<u8> {
    let mut bytes = Vec::new();
    key.write_key(&mut bytes);
    bytes
}

fn bound<K: StateKey>(bound: Bound<&K>) -> Bound<Vec<u8>> {
    bound.map(bytes_of)
}
