//! The schemas in the changelog of a task. A schema is written before the first value that needs it, in the same
//! transaction, so every later version of the program can read the value.

use std::collections::BTreeMap;

use super::error::StateError;
use super::value::StateSchema;

/// The first byte of the key of a schema in a changelog. The fingerprint follows, eight bytes big-endian.
pub(crate) const SCHEMA_ENTRY: u8 = 0xff;

/// The version of this program, which is that of all crates of the workspace.
pub(crate) const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// A schema under which values were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WriterSchema {
    /// The release that was first to write it.
    pub(crate) release: String,
    pub(crate) text: String,
}

/// The schemas in the changelog of a task, by fingerprint.
#[derive(Debug, Default)]
pub struct Schemas {
    known: BTreeMap<u64, WriterSchema>,
    /// Those that the open transaction has added.
    open: Vec<u64>,
    /// Those that the sealed transaction has added.
    sealed: Vec<u64>,
}

impl Schemas {
    pub(crate) fn get(&self, fingerprint: u64) -> Option<&WriterSchema> {
        self.known.get(&fingerprint)
    }

    /// Adds a schema in the open transaction, if it is not there. Returns its entry for the changelog.
    pub(crate) fn add(&mut self, schema: &StateSchema) -> Option<(Vec<u8>, Vec<u8>)> {
        if self.known.contains_key(&schema.fingerprint) {
            return None;
        }
        let writer = WriterSchema { release: RELEASE.to_owned(), text: schema.text.to_owned() };
        let entry = entry(schema.fingerprint, &writer);
        self.known.insert(schema.fingerprint, writer);
        self.open.push(schema.fingerprint);
        Some(entry)
    }

    /// All schemas as entries, in order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        self.known.iter().map(|(fingerprint, writer)| entry(*fingerprint, writer))
    }

    /// Applies an entry; `key` is what follows [`SCHEMA_ENTRY`].
    pub(crate) fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError> {
        let wrong = |reason| StateError::Entry { key: StateError::printable(key), reason };
        let fingerprint = key.try_into().map(u64::from_be_bytes).map_err(|_| wrong("its key is not a fingerprint"))?;
        let text = value.and_then(|value| std::str::from_utf8(value).ok()).ok_or_else(|| wrong("it is not a text"))?;
        let (release, text) = text.split_once('\n').ok_or_else(|| wrong("it does not name a release"))?;
        self.known.insert(fingerprint, WriterSchema { release: release.to_owned(), text: text.to_owned() });
        Ok(())
    }

    pub(crate) fn seal(&mut self) {
        self.sealed = std::mem::take(&mut self.open);
    }

    pub(crate) fn settle(&mut self) {
        self.sealed.clear();
    }

    /// Forgets what the open and the sealed transaction have added.
    pub(crate) fn discard(&mut self) {
        for fingerprint in self.open.drain(..).chain(self.sealed.drain(..)) {
            self.known.remove(&fingerprint);
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn entry(fingerprint: u64, writer: &WriterSchema) -> (Vec<u8>, Vec<u8>) {
    (fingerprint.to_be_bytes().to_vec(), format!("{}\n{}", writer.release, writer.text).into_bytes())
}
