//! Keys and values of stores as the changelog and tables hold them. A value follows the fingerprint of its schema,
//! eight bytes big-endian. The value of a set has no bytes at all.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::marker::PhantomData;

use crate::state::{Convert, RELEASE, Schemas, StateError, StateKey, StateSchema, StateValue, WriterSchema};

/// Reads the key of an entry of this store.
pub(super) fn read_key<K: StateKey>(store: &'static str, key: &[u8]) -> Result<K, StateError> {
    let mut rest = key;
    let typed = K::read_key(&mut rest).filter(|_| rest.is_empty());
    typed.ok_or_else(|| StateError::Key { store, key: StateError::printable(key) })
}

/// Replaces `buffer` by the value.
pub(super) fn write_value<V: StateValue>(value: &V, buffer: &mut Vec<u8>) {
    buffer.clear();
    if let Some(schema) = V::SCHEMA {
        buffer.extend_from_slice(&schema.fingerprint.to_be_bytes());
    }
    value.write(buffer);
}

/// Reads a value that was written under today's schema. `None` if it was not.
pub(super) fn read_todays<V: StateValue>(value: &[u8]) -> Option<Result<V, String>> {
    let Some(StateSchema { fingerprint, .. }) = V::SCHEMA else { return Some(V::read(value)) };
    let (found, body) = value.split_first_chunk()?;
    (u64::from_be_bytes(*found) == fingerprint).then(|| V::read(body))
}

/// Reads values under any schema of the changelog.
pub(super) struct ValueReader<V> {
    /// The name of the store, for messages.
    store: &'static str,
    /// How to read values of other schemas, by fingerprint.
    converters: BTreeMap<u64, Convert>,
    values: PhantomData<fn() -> V>,
}

impl<V: StateValue> ValueReader<V> {
    pub(super) const fn new(store: &'static str) -> Self {
        Self { store, converters: BTreeMap::new(), values: PhantomData }
    }

    /// Reads the value of a key.
    pub(super) fn read(&mut self, key: &[u8], value: &[u8], schemas: &Schemas) -> Result<V, StateError> {
        let store = self.store;
        let damaged = |name: &str, reason: String| StateError::Damaged {
            store,
            key: StateError::printable(key),
            schema: name.to_owned(),
            reason,
        };
        let Some(StateSchema { fingerprint: todays, name, .. }) = V::SCHEMA else {
            return V::read(value).map_err(|reason| damaged("a set", reason));
        };
        let (fingerprint, body) =
            value.split_first_chunk().ok_or_else(|| damaged(name, "it has no fingerprint".to_owned()))?;
        let fingerprint = u64::from_be_bytes(*fingerprint);
        if fingerprint == todays {
            return V::read(body).map_err(|reason| damaged(name, reason));
        }
        let Some(writer) = schemas.get(fingerprint) else {
            return Err(StateError::NoSchema { store, key: StateError::printable(key), fingerprint });
        };
        self.convert(fingerprint, writer, body).map_err(|reason| StateError::Unreadable {
            store,
            key: StateError::printable(key),
            release: writer.release.clone(),
            reader: RELEASE,
            reason,
        })
    }

    /// Reads a body of another schema.
    fn convert(&mut self, fingerprint: u64, writer: &WriterSchema, body: &[u8]) -> Result<V, String> {
        let convert = match self.converters.entry(fingerprint) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(V::convert(&writer.text)?),
        };
        V::read(&convert(body)?)
    }
}
