//! The output of processors: records collected in one buffer until the worker sends them to the log.

use crate::level::Level;
use crate::partitioner::partition_for_key;
use crate::record::{Headers, TimestampMillis};
use crate::topic::Topic;

/// Records produced while processing, in order. One buffer of bytes holds all keys, values and headers.
#[derive(Debug)]
pub struct Output {
    flow_partitions: i32,
    level: Level,
    timestamp: TimestampMillis,
    headers: std::ops::Range<usize>,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    topic: &'static Topic,
    partition: i32,
    timestamp: TimestampMillis,
    key: std::ops::Range<usize>,
    value: Option<std::ops::Range<usize>>,
    headers: std::ops::Range<usize>,
}

/// One record to send, borrowed from an [`Output`].
#[derive(Debug, Clone, Copy)]
pub struct OutputRecord<'a> {
    /// The topic it goes to.
    pub topic: &'static Topic,
    /// The partition, already decided.
    pub partition: i32,
    /// Inherited from the record that caused it.
    pub timestamp: TimestampMillis,
    /// The key's bytes.
    pub key: &'a [u8],
    /// The value, or `None` for a tombstone.
    pub value: Option<&'a [u8]>,
    /// Inherited from the record that caused it, unless replaced.
    pub headers: Headers<'a>,
}

/// A position in an [`Output`] to return to when the processing of a record fails half-way.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    bytes: usize,
    entries: usize,
}

impl Output {
    /// An empty output for a flow with this many partitions.
    pub fn new(flow_partitions: i32) -> Self {
        let level = Level::FIRST;
        Self { flow_partitions, level, timestamp: 0, headers: 0..0, bytes: Vec::new(), entries: Vec::new() }
    }

    /// The level of the partition whose record is processed. What a release has added is used only from its level on.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Sets the level of the partition whose record is processed next.
    pub fn set_level(&mut self, level: Level) {
        self.level = level;
    }

    /// Sets the timestamp and headers that the following records inherit.
    pub fn inherit(&mut self, timestamp: TimestampMillis, headers: Headers<'_>) {
        self.timestamp = timestamp;
        self.set_headers(headers);
    }

    /// Replaces the headers that following records carry, until the next call of [`Output::inherit`].
    pub fn set_headers(&mut self, headers: Headers<'_>) {
        let headers = headers.as_bytes();
        if headers == &self.bytes[self.headers.clone()] {
            return;
        }
        self.headers = self.append(headers);
    }

    /// An empty output for the same flow.
    #[must_use]
    pub fn another(&self) -> Self {
        Self::new(self.flow_partitions)
    }

    /// Whether `other` is for a flow with the same number of partitions, so that one can replace the other.
    pub fn is_like(&self, other: &Self) -> bool {
        self.flow_partitions == other.flow_partitions
    }

    /// The number of partitions of `topic` in this flow.
    pub fn partition_count(&self, topic: &Topic) -> i32 {
        topic.partition_count(self.flow_partitions)
    }

    /// Sends a record to the partition of its key. `write` appends the value.
    pub fn send(&mut self, topic: &'static Topic, key: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        let partition = partition_for_key(key, self.partition_count(topic));
        self.send_to(topic, partition, key, write);
    }

    /// Sends a record to a partition that is not that of its key. `write` appends the value.
    pub fn send_to(&mut self, topic: &'static Topic, partition: i32, key: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        let key = self.append(key);
        let start = self.bytes.len();
        write(&mut self.bytes);
        let value = start..self.bytes.len();
        self.push(topic, partition, key, Some(value));
    }

    /// Sends the same record to every partition of `topic`. `write` appends the value, once per partition.
    pub fn broadcast(&mut self, topic: &'static Topic, key: &[u8], write: impl Fn(&mut Vec<u8>)) {
        for partition in 0..self.partition_count(topic) {
            self.send_to(topic, partition, key, &write);
        }
    }

    /// Sends a tombstone to the partition of `key`.
    pub fn tombstone(&mut self, topic: &'static Topic, key: &[u8]) {
        let partition = partition_for_key(key, self.partition_count(topic));
        self.tombstone_to(topic, partition, key);
    }

    /// Sends a tombstone to a partition that is not that of its key.
    pub fn tombstone_to(&mut self, topic: &'static Topic, partition: i32, key: &[u8]) {
        let key = self.append(key);
        self.push(topic, partition, key, None);
    }

    /// The records in the order in which they were sent.
    pub fn records(&self) -> impl ExactSizeIterator<Item = OutputRecord<'_>> {
        self.entries.iter().map(|entry| OutputRecord {
            topic: entry.topic,
            partition: entry.partition,
            timestamp: entry.timestamp,
            key: &self.bytes[entry.key.clone()],
            value: entry.value.clone().map(|value| &self.bytes[value]),
            headers: Headers::from_bytes(&self.bytes[entry.headers.clone()]),
        })
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was sent.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes held.
    pub fn byte_size(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets all records and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.headers = 0..0;
    }

    /// The current end of the output, for [`Output::truncate`].
    pub fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), entries: self.entries.len() }
    }

    /// Forgets what was sent since `mark`.
    pub fn truncate(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        self.entries.truncate(mark.entries);
        if self.headers.end > mark.bytes {
            self.headers = 0..0;
        }
    }

    fn append(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    fn push(
        &mut self,
        topic: &'static Topic,
        partition: i32,
        key: std::ops::Range<usize>,
        value: Option<std::ops::Range<usize>>,
    ) {
        let headers = self.headers.clone();
        self.entries.push(Entry { topic, partition, timestamp: self.timestamp, key, value, headers });
    }
}
