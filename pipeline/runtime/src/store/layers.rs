//! What lies over a table: the writes of transactions that are not committed, and those that the table has not taken.
//! Reads see the newest.

use std::borrow::Cow;
use std::collections::{VecDeque, btree_map};
use std::iter::Peekable;
use std::ops::Bound;

use crate::table::{KeyRange, Table, TableEntry, TableError, TableWrites};

/// The entries of the first piece that a range reads of its table. Each later piece is twice as long, up to the
/// longest.
const FIRST_PIECE: usize = 32;
const LONGEST_PIECE: usize = 512;

/// A key of the open transaction, and what its writes said of it before; `None` for nothing.
struct Replaced {
    key: Vec<u8>,
    before: Option<Write>,
}

/// The new value of a key; `None` removes it.
type Write = Option<Vec<u8>>;

/// A table, and the writes over it.
pub(super) struct Layers {
    table: Box<dyn Table>,
    /// Whether the table may hold anything.
    is_written: bool,
    /// The writes of the open transaction.
    open: TableWrites,
    /// What the current record has replaced in `open`, in the order of its writes.
    replaced: Vec<Replaced>,
    /// The writes of the sealed transaction.
    sealed: TableWrites,
    /// Committed writes that the table has not taken yet.
    unwritten: TableWrites,
    /// Bytes of keys and values in `unwritten`, at least.
    unwritten_bytes: usize,
}

impl Layers {
    pub(super) fn over(table: Box<dyn Table>) -> Self {
        Self {
            table,
            is_written: false,
            open: TableWrites::new(),
            replaced: Vec::new(),
            sealed: TableWrites::new(),
            unwritten: TableWrites::new(),
            unwritten_bytes: 0,
        }
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, TableError> {
        for layer in [&self.open, &self.sealed, &self.unwritten] {
            if let Some(found) = layer.get(key) {
                return Ok(found.as_deref().map(Cow::Borrowed));
            }
        }
        if !self.is_written {
            return Ok(None);
        }
        Ok(self.table.get(key)?.map(Cow::Owned))
    }

    /// The entries of a range in order of their keys. After an error there is nothing more.
    pub(super) fn range(&self, from: Bound<Vec<u8>>, to: Bound<Vec<u8>>) -> Entries<'_> {
        let bytes = |bound: &Bound<Vec<u8>>| bound.as_ref().map(Vec::clone);
        let is_empty = KeyRange { from: slice(&from), to: slice(&to) }.is_empty();
        let layers = if is_empty { [None, None, None] } else { [&self.open, &self.sealed, &self.unwritten].map(Some) };
        let layers = layers.map(|layer| layer.map(|layer| layer.range((bytes(&from), bytes(&to))).peekable()));
        Entries {
            layers,
            table: &*self.table,
            piece: VecDeque::new(),
            next_piece: FIRST_PIECE,
            from,
            to,
            is_read: is_empty || !self.is_written,
        }
    }

    /// Writes in the open transaction; `None` removes the key, which must be there.
    pub(super) fn write(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let before = self.open.insert(key.clone(), value);
        self.replaced.push(Replaced { key, before });
    }

    pub(super) fn begin_record(&mut self) {
        self.replaced.clear();
    }

    pub(super) fn undo_record(&mut self) {
        while let Some(Replaced { key, before }) = self.replaced.pop() {
            match before {
                Some(before) => drop(self.open.insert(key, before)),
                None => drop(self.open.remove(&key)),
            }
        }
    }

    pub(super) fn open(&self) -> &TableWrites {
        &self.open
    }

    pub(super) fn seal(&mut self) {
        debug_assert!(self.sealed.is_empty(), "a transaction was sealed before the previous one has ended");
        std::mem::swap(&mut self.sealed, &mut self.open);
        self.replaced.clear();
    }

    /// The sealed writes are committed. They still have to be written.
    pub(super) fn settle(&mut self) {
        for (key, value) in std::mem::take(&mut self.sealed) {
            self.add_committed(key, value);
        }
    }

    pub(super) fn discard(&mut self) {
        self.open.clear();
        self.sealed.clear();
        self.replaced.clear();
    }

    /// Adds a write that is committed. It still has to be written.
    pub(super) fn add_committed(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.unwritten_bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        self.unwritten.insert(key, value);
    }

    /// Bytes of committed writes that the table has not taken.
    pub(super) fn unwritten_bytes(&self) -> usize {
        self.unwritten_bytes
    }

    /// Writes to the table what is committed. After an error all of it is still here.
    pub(super) fn write_out(&mut self) -> Result<(), TableError> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        self.is_written = true;
        self.table.apply(&self.unwritten)?;
        self.unwritten = TableWrites::new();
        self.unwritten_bytes = 0;
        Ok(())
    }

    /// Forgets everything. After an error it must be done again.
    pub(super) fn clear(&mut self) -> Result<(), TableError> {
        self.discard();
        self.unwritten = TableWrites::new();
        self.unwritten_bytes = 0;
        if self.is_written {
            self.table.clear()?;
            self.is_written = false;
        }
        Ok(())
    }
}

type Layer<'a> = Peekable<btree_map::Range<'a, Vec<u8>, Option<Vec<u8>>>>;

/// The entries of a range.
pub(super) struct Entries<'a> {
    /// The newest first.
    layers: [Option<Layer<'a>>; 3],
    table: &'a dyn Table,
    /// What was read of the table and is not passed yet.
    piece: VecDeque<TableEntry>,
    /// The length of the next piece.
    next_piece: usize,
    /// What is left to read of the table.
    from: Bound<Vec<u8>>,
    to: Bound<Vec<u8>>,
    is_read: bool,
}

impl Entries<'_> {
    fn read_piece(&mut self) -> Result<(), TableError> {
        let range = KeyRange { from: slice(&self.from), to: slice(&self.to) };
        self.piece = self.table.first(range, self.next_piece)?.into();
        self.is_read = self.piece.len() < self.next_piece;
        self.next_piece = (self.next_piece * 2).min(LONGEST_PIECE);
        if let Some((last, _)) = self.piece.back() {
            self.from = Bound::Excluded(last.clone());
        }
        Ok(())
    }

    /// The entry with the smallest key that is left; its value is `None` if a layer removes it.
    fn smallest(&mut self) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
        let in_layers = self.layers.iter_mut().flatten().filter_map(|layer| layer.peek().map(|(key, _)| *key)).min();
        let in_table = self.piece.front().map(|(key, _)| key);
        let smallest = match (in_layers, in_table) {
            (Some(layer), Some(table)) => layer.min(table),
            (found, None) | (None, found) => found?,
        };
        let key = smallest.clone();
        let below = self.piece.pop_front_if(|(found, _)| *found == key).map(|(_, value)| Some(value));
        let mut newest = None;
        for layer in self.layers.iter_mut().flatten() {
            if let Some((_, value)) = layer.next_if(|(found, _)| **found == key) {
                newest.get_or_insert_with(|| value.clone());
            }
        }
        Some((key, newest.or(below)?))
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<TableEntry, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.piece.is_empty()
                && !self.is_read
                && let Err(error) = self.read_piece()
            {
                self.is_read = true;
                self.layers = [None, None, None];
                return Some(Err(error));
            }
            let (key, value) = self.smallest()?;
            if let Some(value) = value {
                return Some(Ok((key, value)));
            }
        }
    }
}

fn slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}
