//! Keeps stored partitions small: compaction of changelogs and compacted topics, retention of other topics.
//!
//! A compaction replaces the batches of a partition by batches with the newest record of each key. Records keep their
//! offsets. Tombstones are kept until the next compaction, so that a restore from an offset sees deletions. A restore
//! from an offset before removed tombstones is refused and has to start from the beginning.

use rustc_hash::FxHashMap;
use tributary_runtime::memory::StoredRecord;
use tributary_runtime::{Cleanup, Headers, LogError, Role, TimestampMillis};

use super::database::{Change, Space};
use super::keys::{self, PartitionEntry};
use super::record_batch::{Records, encode};
use super::stored_log::StoredLog;

/// A partition is compacted once this much was appended, and at least as much as the last compaction left.
const MIN_APPENDED_BYTES: u64 = 1 << 20;
/// Under load, a partition is compacted only when it has grown by this multiple of its size.
const GROWTH_UNDER_LOAD: u64 = 4;
const MIN_APPENDED_BYTES_UNDER_LOAD: u64 = 32 << 20;
const BATCH_BYTES: usize = 1 << 18;

struct OwnedRecord {
    offset: i64,
    timestamp: TimestampMillis,
    value: Option<Box<[u8]>>,
    headers: Box<[u8]>,
}

impl StoredLog {
    /// Compacts the partitions that have grown enough. While the log is busy, only those that have grown a lot.
    pub(super) fn compact_where_worthwhile(&self, is_busy: bool) -> Result<(), LogError> {
        for (number, stored) in self.topics.iter().enumerate().filter(|(_, stored)| stored.is_compacted()) {
            let entries: Vec<PartitionEntry> = self.lock()[number].iter().map(|partition| partition.entry).collect();
            for (partition, entry) in (0..).zip(entries) {
                let enough = if is_busy {
                    (entry.compacted * GROWTH_UNDER_LOAD).max(MIN_APPENDED_BYTES_UNDER_LOAD)
                } else {
                    entry.compacted.max(MIN_APPENDED_BYTES)
                };
                if entry.appended > enough {
                    self.compact(number, stored.id, partition)?;
                }
            }
        }
        Ok(())
    }

    /// Compacts one partition up to its current end.
    pub(super) fn compact(&self, number: usize, topic: u16, partition: i32) -> Result<(), LogError> {
        let before = self.lock()[number][partition as usize].entry;
        let mut newest: FxHashMap<Box<[u8]>, OwnedRecord> = FxHashMap::default();
        let mut old = Vec::new();
        self.each_batch(topic, partition, 0, &mut |first, bytes| {
            if first >= before.end {
                return Ok(());
            }
            old.push(first);
            let mut records = Records::new(bytes);
            for record in records.by_ref() {
                newest.insert(record.key.into(), owned(&record));
            }
            if records.is_sound() { Ok(()) } else { Err(self.database.damaged("a record batch is unreadable")) }
        })?;
        newest.retain(|_, record| record.value.is_some() || record.offset >= before.compacted_to);
        let (mut changes, compacted) = rewritten(topic, partition, newest);
        for first in old {
            let key = keys::batch(topic, partition, first);
            if !changes.iter().any(|change| change.key == key) {
                changes.push(Change { space: Space::Batches, key, value: None });
            }
        }
        let mut state = self.lock();
        let entry = &mut state[number][partition as usize].entry;
        let after = PartitionEntry {
            appended: entry.appended - before.appended,
            compacted,
            tombstones_gone_below: before.compacted_to,
            compacted_to: before.end,
            ..*entry
        };
        changes.push(Change {
            space: Space::Meta,
            key: keys::partition(topic, partition),
            value: Some(after.to_bytes()),
        });
        self.database.apply(changes)?;
        *entry = after;
        Ok(())
    }

    /// Removes the batches of topics with a retention time in which all records are older than that. The age is counted
    /// from the newest record of the partition, or from `now` if that is earlier: one record with a time far ahead must
    /// not delete the others, nor may a clock that is far ahead of the records.
    pub(super) fn drop_expired(&self, now: TimestampMillis) -> Result<(), LogError> {
        for (number, stored) in self.topics.iter().enumerate() {
            let Cleanup::Delete(retention) = stored.topic.cleanup else { continue };
            if stored.topic.role != Role::Output {
                continue;
            }
            let retention = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
            let newest: Vec<i64> = self.lock()[number].iter().map(|partition| partition.entry.newest).collect();
            for (partition, newest) in (0..).zip(newest) {
                let limit = newest.min(now).saturating_sub(retention);
                let mut changes = Vec::new();
                self.each_batch(stored.id, partition, 0, &mut |first, bytes| {
                    if Records::new(bytes).all(|record| record.timestamp < limit) {
                        let key = keys::batch(stored.id, partition, first);
                        changes.push(Change { space: Space::Batches, key, value: None });
                    }
                    Ok(())
                })?;
                if !changes.is_empty() {
                    self.database.apply(changes)?;
                }
            }
        }
        Ok(())
    }
}

fn owned(record: &StoredRecord<'_>) -> OwnedRecord {
    OwnedRecord {
        offset: record.offset,
        timestamp: record.timestamp,
        value: record.value.map(Into::into),
        headers: record.headers.as_bytes().into(),
    }
}

/// Batches with these records in order of their offsets, and the total size of the batches.
fn rewritten(topic: u16, partition: i32, newest: FxHashMap<Box<[u8]>, OwnedRecord>) -> (Vec<Change>, u64) {
    let mut records: Vec<(Box<[u8]>, OwnedRecord)> = newest.into_iter().collect();
    records.sort_unstable_by_key(|(_, record)| record.offset);
    let mut changes = Vec::new();
    let mut total = 0;
    let mut rest = records.as_slice();
    while let Some((_, first)) = rest.first() {
        let mut size = 0;
        let fits = |(key, record): &&(Box<[u8]>, OwnedRecord)| {
            size += key.len() + record.value.as_ref().map_or(0, |value| value.len()) + record.headers.len();
            size <= BATCH_BYTES
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (batch, after) = rest.split_at(count);
        let bytes = encode(batch.iter().map(stored), BATCH_BYTES);
        total += bytes.len() as u64;
        let key = keys::batch(topic, partition, first.offset);
        changes.push(Change { space: Space::Batches, key, value: Some(bytes) });
        rest = after;
    }
    (changes, total)
}

fn stored((key, record): &(Box<[u8]>, OwnedRecord)) -> StoredRecord<'_> {
    StoredRecord {
        offset: record.offset,
        timestamp: record.timestamp,
        key,
        value: record.value.as_deref(),
        headers: Headers::from_bytes(&record.headers),
    }
}
