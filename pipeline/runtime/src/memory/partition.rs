//! Records of one partition in memory: chunks of records that share a buffer, and the transactions that hold back
//! readers.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::output::OutputRecord;
use crate::record::{Headers, TimestampMillis};

/// A record as the broker keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredRecord<'a> {
    /// Its offset in the partition.
    pub offset: i64,
    /// When the event it reports happened.
    pub timestamp: TimestampMillis,
    /// The key's bytes.
    pub key: &'a [u8],
    /// The value, or `None` for a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: Headers<'a>,
}

/// The positions of key, value and headers of a record in its buffer. The key ends where the value starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) offset: i64,
    timestamp: TimestampMillis,
    key_start: u32,
    value_start: u32,
    value_end: u32,
    headers_start: u32,
    headers_end: u32,
}

const TOMBSTONE: u32 = u32::MAX;

impl Entry {
    pub(super) fn record(self, bytes: &[u8]) -> StoredRecord<'_> {
        let slice = |start: u32, end: u32| &bytes[start as usize..end as usize];
        StoredRecord {
            offset: self.offset,
            timestamp: self.timestamp,
            key: slice(self.key_start, self.value_start),
            value: (self.value_end != TOMBSTONE).then(|| slice(self.value_start, self.value_end)),
            headers: Headers::from_bytes(slice(self.headers_start, self.headers_end)),
        }
    }
}

/// Appends records to one buffer. A run of records with the same headers stores them once.
#[derive(Debug, Default)]
pub(super) struct BufferWriter {
    pub(super) bytes: Vec<u8>,
    headers: (u32, u32),
}

impl BufferWriter {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity), headers: (0, 0) }
    }

    pub(super) fn push(&mut self, record: StoredRecord<'_>) -> Entry {
        let headers = record.headers.as_bytes();
        if headers != &self.bytes[self.headers.0 as usize..self.headers.1 as usize] {
            self.headers = (self.bytes.len() as u32, (self.bytes.len() + headers.len()) as u32);
            self.bytes.extend_from_slice(headers);
        }
        let key_start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(record.key);
        let value_start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(record.value.unwrap_or_default());
        let value_end = if record.value.is_some() { self.bytes.len() as u32 } else { TOMBSTONE };
        let (headers_start, headers_end) = self.headers;
        let (offset, timestamp) = (record.offset, record.timestamp);
        Entry { offset, timestamp, key_start, value_start, value_end, headers_start, headers_end }
    }
}

/// Records of one transaction in one partition. Cloning shares the records.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) entries: Arc<Vec<Entry>>,
}

impl Chunk {
    fn first(&self) -> i64 {
        self.entries.first().map_or(i64::MAX, |entry| entry.offset)
    }

    fn last(&self) -> i64 {
        self.entries.last().map_or(-1, |entry| entry.offset)
    }

    /// Number of the first entry at or after `offset`.
    pub(super) fn position(&self, offset: i64) -> usize {
        self.entries.partition_point(|entry| entry.offset < offset)
    }

    pub(super) fn records(&self) -> impl Iterator<Item = StoredRecord<'_>> {
        self.entries.iter().map(|entry| entry.record(&self.bytes))
    }
}

/// Holds back the last stable offset of a partition while a transaction is open or is being made visible.
#[derive(Debug, Clone, Copy)]
struct Pin {
    producer: u64,
    offset: i64,
    /// The broker's tick at which a delay ends; `None` lasts until the producer ends its transaction.
    until: Option<u64>,
}

/// One partition.
#[derive(Debug)]
pub(super) struct PartitionLog {
    chunks: VecDeque<Chunk>,
    /// Records below are gone.
    pub(super) start: i64,
    /// The next offset to assign.
    pub(super) end: i64,
    pins: Vec<Pin>,
    /// Records kept by the last compaction, and added since: the next compaction is due when it can halve them.
    compacted: usize,
    added: usize,
}

impl PartitionLog {
    pub(super) fn new() -> Self {
        Self { chunks: VecDeque::new(), start: 0, end: 0, pins: Vec::new(), compacted: 0, added: 0 }
    }

    /// Marks that `producer` has an open transaction in this partition from here on.
    pub(super) fn pin(&mut self, producer: u64) {
        if !self.pins.iter().any(|pin| pin.producer == producer && pin.until.is_none()) {
            self.pins.push(Pin { producer, offset: self.end, until: None });
        }
    }

    pub(super) fn unpin(&mut self, producer: u64) {
        self.pins.retain(|pin| pin.producer != producer || pin.until.is_some());
    }

    /// Keeps records from `offset` invisible until the broker's tick `until`.
    pub(super) fn delay(&mut self, offset: i64, until: u64) {
        self.pins.push(Pin { producer: 0, offset, until: Some(until) });
    }

    /// The last stable offset: records below it can be read.
    pub(super) fn stable(&mut self, tick: u64) -> i64 {
        if self.pins.is_empty() {
            return self.end;
        }
        self.pins.retain(|pin| pin.until.is_none_or(|until| until > tick));
        self.pins.iter().map(|pin| pin.offset).min().unwrap_or(self.end).min(self.end)
    }

    /// Reserves `count` offsets and returns the first.
    pub(super) fn reserve(&mut self, count: usize) -> i64 {
        let base = self.end;
        self.end += count as i64;
        base
    }

    pub(super) fn insert(&mut self, chunk: Chunk) {
        if chunk.entries.is_empty() {
            return;
        }
        self.added += chunk.entries.len();
        let place = self.chunks.partition_point(|other| other.first() < chunk.first());
        self.chunks.insert(place, chunk);
    }

    /// Chunks with records at or after `from`, in order.
    pub(super) fn chunks_from(&self, from: i64) -> impl Iterator<Item = &Chunk> {
        let first = self.chunks.partition_point(|chunk| chunk.last() < from);
        self.chunks.range(first..)
    }

    /// Number of records at or after `from`.
    pub(super) fn count_from(&self, from: i64) -> u64 {
        self.chunks_from(from).map(|chunk| (chunk.entries.len() - chunk.position(from)) as u64).sum()
    }

    /// Forgets whole chunks below `offset`.
    pub(super) fn drop_below(&mut self, offset: i64) {
        while self.chunks.front().is_some_and(|chunk| chunk.last() < offset) {
            self.chunks.pop_front();
        }
        self.start = self.start.max(offset.min(self.end));
    }

    /// Forgets the records below `offset`, also those of a chunk that extends beyond it.
    #[cfg(any(test, feature = "faults"))]
    pub(super) fn delete_below(&mut self, offset: i64) {
        self.drop_below(offset);
        if let Some(chunk) = self.chunks.front_mut() {
            let kept = chunk.entries[chunk.position(offset)..].to_vec();
            chunk.entries = Arc::new(kept);
        }
    }

    /// Forgets the records at and after `end`, which becomes the next offset to assign.
    #[cfg(any(test, feature = "faults"))]
    pub(super) fn cut(&mut self, end: i64) {
        self.end = self.end.min(end.max(self.start));
        while let Some(mut chunk) = self.chunks.pop_back() {
            let kept = chunk.entries[..chunk.position(self.end)].to_vec();
            if !kept.is_empty() {
                chunk.entries = Arc::new(kept);
                self.chunks.push_back(chunk);
                break;
            }
        }
    }

    /// Compacts the stable records when that may free half of them.
    pub(super) fn compact_if_worthwhile(&mut self, tick: u64) {
        if self.added > 1024 && self.added > self.compacted {
            self.compact(tick);
        }
    }

    /// Keeps the newest stable record of each key, tombstones included, in one chunk with a buffer of its own. Later
    /// chunks stay as they are: chunks of open transactions are still to be inserted between them.
    pub(super) fn compact(&mut self, tick: u64) {
        let stable = self.stable(tick);
        let later = self.chunks.split_off(self.chunks.partition_point(|chunk| chunk.last() < stable));
        let mut seen = FxHashSet::default();
        let mut keep: Vec<StoredRecord<'_>> = Vec::new();
        for chunk in self.chunks.iter().rev() {
            let records = chunk.entries.iter().rev().map(|entry| entry.record(&chunk.bytes));
            keep.extend(records.filter(|record| seen.insert(record.key)));
        }
        keep.reverse();
        let mut buffer = BufferWriter::default();
        let entries: Vec<Entry> = keep.into_iter().map(|record| buffer.push(record)).collect();
        self.compacted = entries.len();
        self.added = later.iter().map(|chunk| chunk.entries.len()).sum();
        self.chunks = later;
        if !entries.is_empty() {
            self.chunks.push_front(Chunk { bytes: Arc::new(buffer.bytes), entries: Arc::new(entries) });
        }
    }
}

/// A record for a transaction, before it has an offset.
pub(super) fn without_offset<'a>(record: &OutputRecord<'a>) -> StoredRecord<'a> {
    StoredRecord {
        offset: 0,
        timestamp: record.timestamp,
        key: record.key,
        value: record.value,
        headers: record.headers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One record for each key, at `offset` and after.
    fn chunk(offset: i64, keys: &[&str]) -> Chunk {
        let mut buffer = BufferWriter::default();
        let records = keys.iter().zip(offset..).map(|(key, offset)| {
            let headers = Headers::from_bytes(&[]);
            buffer.push(StoredRecord { offset, timestamp: 0, key: key.as_bytes(), value: None, headers })
        });
        let entries = records.collect();
        Chunk { bytes: Arc::new(buffer.bytes), entries: Arc::new(entries) }
    }

    fn offsets(log: &PartitionLog) -> Vec<i64> {
        log.chunks_from(0).flat_map(Chunk::records).map(|record| record.offset).collect()
    }

    #[test]
    fn a_transaction_that_ends_after_a_compaction_keeps_its_position() {
        let mut log = PartitionLog::new();
        let early = log.reserve(2);
        log.insert(chunk(early, &["a", "a"]));
        log.pin(1);
        let slow = log.reserve(1);
        let late = log.reserve(2);
        log.insert(chunk(late, &["a", "a"]));
        log.compact(0);
        log.unpin(1);
        log.insert(chunk(slow, &["b"]));
        assert_eq!(offsets(&log), [early + 1, slow, late, late + 1]);
        log.compact(0);
        assert_eq!(offsets(&log), [slow, late + 1]);
    }
}
