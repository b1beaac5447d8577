//! Keys and small values of the database. Numbers in keys are big-endian, so that keys sort like the numbers.

/// A topic in the database: its number and its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TopicEntry {
    pub(super) id: u16,
    pub(super) partitions: i32,
}

impl TopicEntry {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.id.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.partitions.to_be_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk()?;
        let id = u16::from_be_bytes(*id);
        Some(Self { id, partitions: i32::from_be_bytes(rest.try_into().ok()?) })
    }
}

/// What is known about a partition without reading its batches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PartitionEntry {
    /// The next offset.
    pub(super) end: i64,
    /// Bytes of the batches written since the last compaction.
    pub(super) appended: u64,
    /// Bytes that the last compaction left.
    pub(super) compacted: u64,
    /// Tombstones below this offset are removed. A restore from a lower offset has to start from the beginning.
    pub(super) tombstones_gone_below: i64,
    /// The next compaction removes tombstones below this offset.
    pub(super) compacted_to: i64,
    /// The newest timestamp of all records.
    pub(super) newest: i64,
}

impl PartitionEntry {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let Self { end, appended, compacted, tombstones_gone_below, compacted_to, newest } = self;
        let numbers = [end, appended as i64, compacted as i64, tombstones_gone_below, compacted_to, newest];
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        let &[end, appended, compacted, tombstones_gone_below, compacted_to, newest] = numbers else { return None };
        let number = i64::from_be_bytes;
        rest.is_empty().then(|| Self {
            end: number(end),
            appended: number(appended) as u64,
            compacted: number(compacted) as u64,
            tombstones_gone_below: number(tombstones_gone_below),
            compacted_to: number(compacted_to),
            newest: number(newest),
        })
    }
}

/// The key of a topic's entry.
pub(super) fn topic(name: &str) -> Vec<u8> {
    [b"t", name.as_bytes()].concat()
}

/// The key of a partition's entry.
pub(super) fn partition(topic: u16, partition: i32) -> Vec<u8> {
    let mut key = vec![b'p'];
    key.extend_from_slice(&prefix(topic, partition));
    key
}

/// The key of the next offset that a group reads.
pub(super) fn offset(topic: u16, partition: i32, group: &str) -> Vec<u8> {
    let mut key = vec![b'o'];
    key.extend_from_slice(&prefix(topic, partition));
    key.extend_from_slice(group.as_bytes());
    key
}

/// The key of a batch whose first record has this offset.
pub(super) fn batch(topic: u16, partition: i32, base: i64) -> Vec<u8> {
    let mut key = prefix(topic, partition).to_vec();
    key.extend_from_slice(&base.to_be_bytes());
    key
}

/// The offset in the key of a batch.
pub(super) fn base_of(key: &[u8]) -> Option<i64> {
    key.last_chunk().map(|bytes| i64::from_be_bytes(*bytes))
}

/// A stored offset.
pub(super) fn number(bytes: &[u8]) -> Option<i64> {
    bytes.try_into().ok().map(i64::from_be_bytes)
}

fn prefix(topic: u16, partition: i32) -> [u8; 6] {
    let mut prefix = [0; 6];
    prefix[..2].copy_from_slice(&topic.to_be_bytes());
    prefix[2..].copy_from_slice(&partition.to_be_bytes());
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_back_as_written() {
        let topic = TopicEntry { id: 7, partitions: 16 };
        assert_eq!(TopicEntry::from_bytes(&topic.to_bytes()), Some(topic));
        let entry = PartitionEntry {
            end: 5,
            appended: 6,
            compacted: u64::MAX,
            tombstones_gone_below: 3,
            compacted_to: 2,
            newest: -1,
        };
        assert_eq!(PartitionEntry::from_bytes(&entry.to_bytes()), Some(entry));
        assert_eq!(PartitionEntry::from_bytes(b"short"), None);
    }

    #[test]
    fn keys_of_batches_sort_by_topic_partition_and_offset() {
        let sorted = [batch(1, 0, 300), batch(1, 1, 2), batch(1, 1, 256), batch(256, 0, 0)];
        assert!(sorted.is_sorted());
        assert_eq!(base_of(&sorted[2]), Some(256));
    }
}
