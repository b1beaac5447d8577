//! The hashes of the lines of the last loaded snapshot. An unchanged line is not parsed again, so a day with few
//! changes costs little although each snapshot holds everything.
//!
//! The hashes are right only if this program is the only writer of the `tis.*` topics. The file must be removed before
//! any record of a new snapshot is published. It must be written after all of that snapshot is on the disk. So the file
//! never lists a line whose object is not in the topics.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use rustc_hash::{FxHashMap, FxHashSet};
use sha2::{Digest, Sha256};
use tributary_runtime::{remove_durably, write_atomically};

use super::snapshot::Kind;

/// The format of the file and the release of the program. Another release may read more from the same line.
const HEADING: &str = concat!("tributary-known-lines 1 ", env!("CARGO_PKG_VERSION"), "\n");
const ENTRY_BYTES: usize = 25;
const HASH_BYTES: usize = 32;

/// Ids of objects by kind and hash of their line.
#[derive(Debug, Default)]
pub struct KnownLines(FxHashMap<(Kind, u128), i64>);

impl KnownLines {
    /// Reads the file and removes it. If the file is missing or damaged, no line is known.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn take(path: &Path) -> io::Result<Self> {
        let bytes = fs::read(path);
        remove_durably(path)?;
        Ok(bytes.ok().and_then(|bytes| Self::parse(&bytes)).unwrap_or_default())
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (content, hash) = bytes.split_last_chunk::<HASH_BYTES>()?;
        if Sha256::digest(content).as_slice() != hash {
            return None;
        }
        let entries = content.strip_prefix(HEADING.as_bytes())?;
        let mut known = FxHashMap::with_capacity_and_hasher(entries.len() / ENTRY_BYTES, rustc_hash::FxBuildHasher);
        for entry in entries.chunks_exact(ENTRY_BYTES) {
            let (kind, rest) = entry.split_first()?;
            let (hash, id) = rest.split_first_chunk::<16>()?;
            let id = i64::from_le_bytes(id.try_into().ok()?);
            known.insert((*Kind::ALL.get(usize::from(*kind))?, u128::from_le_bytes(*hash)), id);
        }
        Some(Self(known))
    }

    /// Writes the file whole or not at all.
    ///
    /// # Errors
    /// When the file system refuses it.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut content = Vec::with_capacity(HEADING.len() + self.0.len() * ENTRY_BYTES + HASH_BYTES);
        content.extend_from_slice(HEADING.as_bytes());
        for ((kind, hash), id) in &self.0 {
            content.push(*kind as u8);
            content.extend_from_slice(&hash.to_le_bytes());
            content.extend_from_slice(&id.to_le_bytes());
        }
        let hash = Sha256::digest(&content);
        content.extend_from_slice(&hash);
        write_atomically(path, &content)
    }

    pub(super) fn id(&self, kind: Kind, hash: u128) -> Option<i64> {
        self.0.get(&(kind, hash)).copied()
    }
}

/// Compares the lines of one file with the known lines.
pub(super) struct Comparison<'a> {
    kind: Kind,
    known: &'a KnownLines,
    held: &'a FxHashSet<i64>,
    /// Hash of the line that is being read.
    current: Cell<u128>,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(kind: Kind, known: &'a KnownLines, held: &'a FxHashSet<i64>) -> Self {
        Self { kind, known, held, current: Cell::new(0) }
    }

    /// The id of the object of `line`, if the line is known and its object is held.
    pub(super) fn unchanged(&self, line: &[u8]) -> Option<i64> {
        let hash = Sha256::digest(line);
        let hash = hash.iter().take(16).fold(0, |sum, byte| (sum << 8) | u128::from(*byte));
        self.current.set(hash);
        self.known.id(self.kind, hash).filter(|id| self.held.contains(id))
    }

    /// The key of the line that was compared last.
    pub(super) fn key(&self) -> (Kind, u128) {
        (self.kind, self.current.get())
    }
}

/// The ids of one file, and the lines that the next snapshot will know.
pub(super) struct Seen {
    pub(super) ids: FxHashSet<i64>,
    lines: Vec<((Kind, u128), i64)>,
    /// Ids with several lines. The last line counts, so all of them are always read.
    repeated: FxHashSet<i64>,
}

impl Seen {
    /// Reserves memory for `count` objects.
    pub(super) fn expecting(count: usize) -> Self {
        let ids = FxHashSet::with_capacity_and_hasher(count, rustc_hash::FxBuildHasher);
        Self { ids, lines: Vec::with_capacity(count), repeated: FxHashSet::default() }
    }

    pub(super) fn add(&mut self, id: i64, key: (Kind, u128)) {
        if !self.ids.insert(id) {
            self.repeated.insert(id);
        }
        self.lines.push((key, id));
    }

    /// Ids with lines of different content, each with the key of its last line, which counts.
    pub(super) fn contradicted(&self) -> BTreeMap<i64, (Kind, u128)> {
        let mut contradicted = BTreeMap::new();
        if self.repeated.is_empty() {
            return contradicted;
        }
        let mut first: FxHashMap<i64, (Kind, u128)> = FxHashMap::default();
        for (key, id) in self.lines.iter().filter(|(_, id)| self.repeated.contains(id)) {
            if first.entry(*id).or_insert(*key) != key || contradicted.contains_key(id) {
                contradicted.insert(*id, *key);
            }
        }
        contradicted
    }

    pub(super) fn remember(self, known: &mut KnownLines) {
        known.0.reserve(self.lines.len());
        let once = self.lines.into_iter().filter(|(_, id)| !self.repeated.contains(id));
        known.0.extend(once);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_reads_back_and_is_gone_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known");
        let known = KnownLines(FxHashMap::from_iter([((Kind::Posts, 7), 1), ((Kind::People, u128::MAX), -2)]));
        known.write(&path).unwrap();
        let read = KnownLines::take(&path).unwrap();
        assert_eq!(read.0, known.0);
        assert!(!path.exists());
        assert!(KnownLines::take(&path).unwrap().0.is_empty());
    }

    #[test]
    fn a_damaged_file_tells_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known");
        KnownLines(FxHashMap::from_iter([((Kind::Posts, 7), 1)])).write(&path).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes[HEADING.len() + 3] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(KnownLines::take(&path).unwrap().0.is_empty());
    }
}
