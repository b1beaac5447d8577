//! The durability of the broker: each commit is one atomic change of the database.
//!
//! A commit stores one record batch for each partition that it writes, and the offsets of its group. It removes inbox
//! batches that all groups have read. Changelogs are written in the same way, with one entry for each transaction
//! rather than each record. `compaction` keeps them small.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use tributary_runtime::memory::{Batch, BatchPart, Broker, Durability, OwnedRecord};
use tributary_runtime::{Cleanup, EachChange, LogError, Role, Topic, TopicPartition};

use super::GroupInboxes;
use super::database::{Change, Database, Opened, Space};
use super::keys::{self, PartitionEntry, TopicEntry};
use super::record_batch::{Records, encode};

/// The bytes that a record may need in addition to its key, value and headers.
const RECORD_OVERHEAD_BYTES: usize = 24;

/// Receives the first offset and the bytes of a batch.
pub(super) type EachBatch<'a> = &'a mut dyn FnMut(i64, &[u8]) -> Result<(), LogError>;

/// All stored partitions of the flow.
pub(super) struct StoredLog {
    pub(super) database: Database,
    pub(super) topics: Vec<StoredTopic>,
    by_name: FxHashMap<&'static str, usize>,
    groups: Vec<String>,
    state: Mutex<Vec<Vec<Partition>>>,
}

/// A declared topic and its number in the database.
pub(super) struct StoredTopic {
    pub(super) topic: &'static Topic,
    pub(super) id: u16,
    /// The indexes of the groups that read it.
    readers: Vec<usize>,
}

impl StoredTopic {
    /// Whether only the newest record of each key matters.
    pub(super) fn is_compacted(&self) -> bool {
        self.topic.role != Role::Inbox && (self.topic.role == Role::Changelog || self.topic.cleanup == Cleanup::Compact)
    }
}

/// The part of a partition that is kept in memory.
#[derive(Debug, Default)]
pub(super) struct Partition {
    pub(super) entry: PartitionEntry,
    /// The unread batches of an inbox: first and last offset.
    unread: VecDeque<(i64, i64)>,
    /// The next offset of each group, by its index.
    offsets: Vec<i64>,
}

/// An encoded batch for a partition.
struct Encoded {
    topic: usize,
    partition: i32,
    first: i64,
    last: i64,
    newest: i64,
    bytes: Vec<u8>,
}

/// What a commit changes in a partition. It is applied to memory once the commit is stored.
struct PartitionUpdate {
    entry: PartitionEntry,
    added: Vec<(i64, i64)>,
    read: usize,
    offset: Option<(usize, i64)>,
}

impl StoredLog {
    /// Loads what is stored about `topics`, and gives numbers to new ones.
    pub(super) fn open(
        database: Database,
        topics: &[&'static Topic],
        flow_partitions: i32,
        readers: &[GroupInboxes<'_>],
    ) -> Result<Self, LogError> {
        let groups: Vec<String> = readers.iter().map(|reader| reader.group.to_owned()).collect();
        let mut log =
            Self { database, topics: Vec::new(), by_name: FxHashMap::default(), groups, state: Mutex::new(Vec::new()) };
        let ids = log.register(topics, flow_partitions)?;
        let mut state = Vec::new();
        for (topic, id) in topics.iter().copied().zip(ids) {
            let reads = |reader: &GroupInboxes<'_>| reader.inboxes.iter().any(|inbox| inbox.name == topic.name);
            let readers = (0..readers.len()).filter(|number| reads(&readers[*number])).collect();
            log.by_name.insert(topic.name, log.topics.len());
            log.topics.push(StoredTopic { topic, id, readers });
            let partitions = 0..topic.partition_count(flow_partitions);
            let load = |partition| log.database.with(|opened| log.load_partition(opened, id, partition));
            state.push(partitions.map(load).collect::<Result<Vec<_>, _>>()?);
        }
        log.state = Mutex::new(state);
        Ok(log)
    }

    /// The numbers of `topics`. Topics that are not stored yet get new ones.
    fn register(&self, topics: &[&'static Topic], flow_partitions: i32) -> Result<Vec<u16>, LogError> {
        let mut next = self.database.with(|opened| {
            let entries = opened.meta.prefix(b"t").map(|entry| {
                let value = entry.value().map_err(|error| self.database.unreadable(error))?;
                TopicEntry::from_bytes(&value)
                    .ok_or_else(|| self.database.damaged("the entry of a topic is unreadable"))
            });
            entries.map(|entry| entry.map(|entry| entry.id + 1)).try_fold(0, |most, id| Ok(most.max(id?)))
        })?;
        let mut changes = Vec::new();
        let mut ids = Vec::new();
        for topic in topics {
            let partitions = topic.partition_count(flow_partitions);
            let key = keys::topic(topic.name);
            let stored = self.get(&key, TopicEntry::from_bytes)?;
            if let Some(entry) = stored {
                if entry.partitions != partitions {
                    return Err(LogError::fatal(format!(
                        "topic {} was created with {} partitions and is declared with {partitions}: restore that \
                         number, or start with an empty state folder",
                        topic.name, entry.partitions
                    )));
                }
                ids.push(entry.id);
                continue;
            }
            let value = Some(TopicEntry { id: next, partitions }.to_bytes());
            changes.push(Change { space: Space::Meta, key, value });
            ids.push(next);
            next += 1;
        }
        if !changes.is_empty() {
            self.database.apply(changes)?;
        }
        Ok(ids)
    }

    fn get<T>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> Option<T>) -> Result<Option<T>, LogError> {
        self.database.with(|opened| {
            let stored = opened.meta.get(key).map_err(|error| self.database.unreadable(error))?;
            let Some(bytes) = stored else { return Ok(None) };
            read(&bytes).map(Some).ok_or_else(|| self.database.damaged("an entry is unreadable"))
        })
    }

    fn load_partition(&self, opened: &Opened, topic: u16, partition: i32) -> Result<Partition, LogError> {
        let meta = |key: &[u8]| opened.meta.get(key).map_err(|error| self.database.unreadable(error));
        let damaged = || self.database.damaged("the entry of a partition is unreadable");
        let entry = match meta(&keys::partition(topic, partition))? {
            Some(bytes) => PartitionEntry::from_bytes(&bytes).ok_or_else(damaged)?,
            None => PartitionEntry::default(),
        };
        let mut offsets = Vec::new();
        for group in &self.groups {
            offsets.push(match meta(&keys::offset(topic, partition, group))? {
                Some(bytes) => keys::number(&bytes).ok_or_else(damaged)?,
                None => 0,
            });
        }
        Ok(Partition { entry, unread: VecDeque::new(), offsets })
    }

    /// Gives the broker all unread records and the offsets of every group.
    pub(super) fn load_into(&self, broker: &Broker) -> Result<(), LogError> {
        let mut state = self.lock();
        for (stored, partitions) in self.topics.iter().zip(state.iter_mut()) {
            for (number, partition) in (0..).zip(partitions.iter_mut()) {
                let at = TopicPartition { topic: stored.topic.name, partition: number };
                broker.load_end(at, partition.entry.end)?;
                if stored.topic.role.is_inbox() || !stored.readers.is_empty() {
                    let unread = self.load_unread(broker, stored, at, unread_from(stored, &partition.offsets))?;
                    partition.unread = if stored.topic.role.is_inbox() { unread } else { VecDeque::new() };
                }
                for &group in &stored.readers {
                    broker.load_offset(&self.groups[group], at, partition.offsets[group])?;
                }
            }
        }
        Ok(())
    }

    fn load_unread(
        &self,
        broker: &Broker,
        stored: &StoredTopic,
        at: TopicPartition,
        from: i64,
    ) -> Result<VecDeque<(i64, i64)>, LogError> {
        let mut unread = VecDeque::new();
        self.each_batch(stored.id, at.partition, from, &mut |_, bytes| {
            let (first, last) = self.check(bytes)?;
            unread.push_back((first, last));
            broker.load_records(at, Records::new(bytes))
        })?;
        Ok(unread)
    }

    /// The first and last offset of a stored batch. Every byte of it is checked.
    fn check(&self, bytes: &[u8]) -> Result<(i64, i64), LogError> {
        let mut records = Records::new(bytes);
        let first = records.next().map(|record| record.offset);
        let last = records.by_ref().last().map(|record| record.offset).or(first);
        match (first, last) {
            (Some(first), Some(last)) if records.is_sound() => Ok((first, last)),
            _ => Err(self.database.damaged("a record batch is unreadable")),
        }
    }

    /// Calls `each` with first offset and bytes of every batch that may have records at or after `from`, in order.
    pub(super) fn each_batch(
        &self,
        topic: u16,
        partition: i32,
        from: i64,
        each: EachBatch<'_>,
    ) -> Result<(), LogError> {
        let start = keys::batch(topic, partition, 0);
        let end = keys::batch(topic, partition, i64::MAX);
        self.database.with(|opened| {
            let unavailable = |error: fjall::Error| self.database.unreadable(error);
            let before = opened.batches.range(start.clone()..=keys::batch(topic, partition, from.max(0))).next_back();
            let start = before.map_or(Ok(start), |entry| entry.key().map(|key| key.to_vec())).map_err(unavailable)?;
            for entry in opened.batches.range(start..end) {
                let (key, value) = entry.into_inner().map_err(unavailable)?;
                each(keys::base_of(&key).unwrap_or(0), &value)?;
            }
            Ok(())
        })
    }

    /// All stored records of a partition.
    pub(super) fn read(&self, topic: &str, partition: i32) -> Result<Vec<OwnedRecord>, LogError> {
        let topic = &self.topics[self.topic_number(topic)?];
        let mut all = Vec::new();
        self.each_batch(topic.id, partition, 0, &mut |_, bytes| {
            let mut records = Records::new(bytes);
            all.extend(records.by_ref().map(OwnedRecord::from));
            if records.is_sound() { Ok(()) } else { Err(self.database.damaged("a record batch is unreadable")) }
        })?;
        Ok(all)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<Vec<Partition>>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses readers that are not declared, because records that they have not read would be dropped.
    pub(super) fn check_reader(&self, group: &str, inboxes: &[&'static Topic]) -> Result<(), LogError> {
        for inbox in inboxes {
            let stored = &self.topics[self.topic_number(inbox.name)?];
            if !stored.readers.iter().any(|reader| self.groups[*reader] == group) {
                return Err(LogError::fatal(format!("group {group} is not declared as a reader of {}", inbox.name)));
            }
        }
        Ok(())
    }

    fn topic_number(&self, name: &str) -> Result<usize, LogError> {
        let unknown = || LogError::fatal(format!("topic {name} is not declared in the embedded log"));
        self.by_name.get(name).copied().ok_or_else(unknown)
    }

    fn encode_part(&self, part: &BatchPart<'_>) -> Result<Encoded, LogError> {
        let mut size = 0;
        let (mut first, mut last, mut newest) = (None, 0, i64::MIN);
        for record in part.records() {
            size += record.key.len() + record.value.map_or(0, <[u8]>::len) + RECORD_OVERHEAD_BYTES;
            first.get_or_insert(record.offset);
            last = record.offset;
            newest = newest.max(record.timestamp);
        }
        let first = first.unwrap_or(0);
        let bytes = encode(part.records(), size);
        Ok(Encoded {
            topic: self.topic_number(part.topic().name)?,
            partition: part.partition(),
            first,
            last,
            newest,
            bytes,
        })
    }

    /// Adds the batches of a commit to the changes of each partition.
    fn add_batches(
        &self,
        state: &[Vec<Partition>],
        encoded: Vec<Encoded>,
        updates: &mut FxHashMap<(usize, i32), PartitionUpdate>,
        changes: &mut Vec<Change>,
    ) {
        for batch in encoded {
            let index = (batch.topic, batch.partition);
            let update = updates.entry(index).or_insert_with(|| PartitionUpdate::new(state, index));
            update.entry.end = update.entry.end.max(batch.last + 1);
            update.entry.appended += batch.bytes.len() as u64;
            update.entry.newest = update.entry.newest.max(batch.newest);
            update.added.push((batch.first, batch.last));
            let key = keys::batch(self.topics[batch.topic].id, batch.partition, batch.first);
            changes.push(Change { space: Space::Batches, key, value: Some(batch.bytes) });
        }
    }

    /// Adds the offsets of a group, and removes batches that all groups have read.
    fn add_offsets(
        &self,
        state: &[Vec<Partition>],
        group: &str,
        offsets: &[(TopicPartition, i64)],
        updates: &mut FxHashMap<(usize, i32), PartitionUpdate>,
        changes: &mut Vec<Change>,
    ) -> Result<(), LogError> {
        let unknown = || LogError::fatal(format!("group {group} is not declared in the embedded log"));
        let group_number = self.groups.iter().position(|candidate| candidate == group).ok_or_else(unknown)?;
        for (at, offset) in offsets {
            let index = (self.topic_number(at.topic)?, at.partition);
            let stored = &self.topics[index.0];
            let partition = &state[index.0][index.1 as usize];
            let update = updates.entry(index).or_insert_with(|| PartitionUpdate::new(state, index));
            update.offset = Some((group_number, *offset));
            let key = keys::offset(stored.id, at.partition, group);
            changes.push(Change { space: Space::Meta, key, value: Some(offset.to_be_bytes().to_vec()) });
            let mut offsets = partition.offsets.clone();
            offsets[group_number] = *offset;
            let needed = unread_from(stored, &offsets);
            update.read = partition.unread.iter().take_while(|(_, last)| *last < needed).count();
            for (first, _) in partition.unread.iter().take(update.read) {
                let key = keys::batch(stored.id, at.partition, *first);
                changes.push(Change { space: Space::Batches, key, value: None });
            }
        }
        Ok(())
    }
}

impl PartitionUpdate {
    fn new(state: &[Vec<Partition>], index: (usize, i32)) -> Self {
        let entry = state[index.0][index.1 as usize].entry;
        Self { entry, added: Vec::new(), read: 0, offset: None }
    }
}

/// Batches that end below this offset were read by all readers of the topic. Without readers, this is 0.
fn unread_from(stored: &StoredTopic, offsets: &[i64]) -> i64 {
    stored.readers.iter().map(|group| offsets[*group]).min().unwrap_or(0)
}

impl Durability for StoredLog {
    fn write(&self, batch: &Batch) -> Result<(), LogError> {
        let encoded = batch.parts().map(|part| self.encode_part(&part)).collect::<Result<Vec<_>, _>>()?;
        let mut changes = Vec::with_capacity(2 * encoded.len() + 2 * batch.offsets().len());
        let mut updates = FxHashMap::default();
        let mut state = self.lock();
        self.add_batches(&state, encoded, &mut updates, &mut changes);
        if let Some(group) = batch.group() {
            self.add_offsets(&state, group, batch.offsets(), &mut updates, &mut changes)?;
        }
        for (&(topic, partition), update) in updates.iter().filter(|(_, update)| !update.added.is_empty()) {
            let key = keys::partition(self.topics[topic].id, partition);
            changes.push(Change { space: Space::Meta, key, value: Some(update.entry.to_bytes()) });
        }
        self.database.apply(changes)?;
        for ((topic, partition), update) in updates {
            let is_inbox = self.topics[topic].topic.role.is_inbox();
            let partition = &mut state[topic][partition as usize];
            partition.entry = update.entry;
            partition.unread.drain(..update.read);
            for added in update.added.into_iter().filter(|_| is_inbox) {
                // Commits of several producers may be stored in a different order than their offsets.
                let index = partition.unread.partition_point(|(first, _)| *first < added.0);
                partition.unread.insert(index, added);
            }
            if let Some((group, offset)) = update.offset {
                partition.offsets[group] = offset;
            }
        }
        Ok(())
    }

    fn restore(&self, changelog: TopicPartition, from: i64, each: EachChange<'_>) -> Option<Result<i64, LogError>> {
        Some(self.restore_from(changelog, from, each))
    }
}

impl StoredLog {
    fn restore_from(&self, changelog: TopicPartition, from: i64, each: EachChange<'_>) -> Result<i64, LogError> {
        self.follow(changelog, from, &mut |_, bytes| {
            let mut records = Records::new(bytes);
            for record in records.by_ref().filter(|record| record.offset >= from) {
                each(record.key, record.value);
            }
            self.check_sound(&records)
        })
    }

    /// Calls `each` with the batches of a partition that may have records at or after `from`, and returns the offset
    /// after the last record that is stored.
    pub(super) fn follow(&self, at: TopicPartition, from: i64, each: EachBatch<'_>) -> Result<i64, LogError> {
        let topic = self.topic_number(at.topic)?;
        let partition = usize::try_from(at.partition).ok();
        let entry = partition.and_then(|number| self.lock()[topic].get(number).map(|partition| partition.entry));
        let entry = entry.ok_or_else(|| LogError::fatal(format!("partition {at} does not exist")))?;
        let PartitionEntry { end, tombstones_gone_below, .. } = entry;
        if from > end || (from > 0 && from < tombstones_gone_below) {
            return Err(LogError::offset_out_of_range(format!(
                "{at} has {tombstones_gone_below} to {end} with deletions, not {from}"
            )));
        }
        self.each_batch(self.topics[topic].id, at.partition, from, each)?;
        Ok(end)
    }

    pub(super) fn check_sound(&self, records: &Records<'_>) -> Result<(), LogError> {
        if records.is_sound() { Ok(()) } else { Err(self.database.damaged("a record batch is unreadable")) }
    }
}

/// Shares one stored log between broker and upkeep.
pub(super) struct Shared(pub(super) Arc<StoredLog>);

impl Durability for Shared {
    fn write(&self, batch: &Batch) -> Result<(), LogError> {
        self.0.write(batch)
    }

    fn restore(&self, changelog: TopicPartition, from: i64, each: EachChange<'_>) -> Option<Result<i64, LogError>> {
        self.0.restore(changelog, from, each)
    }
}
