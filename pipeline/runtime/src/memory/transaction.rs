//! The open transaction of one producer: records by partition over one shared buffer.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::partition::{BufferWriter, Chunk, Entry, StoredRecord, without_offset};
use crate::log_error::LogError;
use crate::output::Output;
use crate::topic::{Topic, TopicPartition};

/// Records of one partition.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) topic: &'static Topic,
    pub(super) partition: i32,
    pub(super) entries: Vec<Entry>,
}

/// What a producer has sent since its last commit.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    buffer: BufferWriter,
    pub(super) parts: Vec<Part>,
    places: FxHashMap<(usize, i32), usize>,
}

impl Transaction {
    /// An empty transaction with room for about this many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { buffer: BufferWriter::with_capacity(bytes), ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn byte_size(&self) -> usize {
        self.buffer.bytes.len()
    }

    /// Copies the records of `output`.
    pub(super) fn append(&mut self, output: &Output) -> Result<(), LogError> {
        // Entries store positions in the buffer in 32 bits. The worker's commit limits stay far below that.
        if self.byte_size() + 3 * output.byte_size() + 64 * output.len() > u32::MAX as usize / 2 {
            return Err(LogError::fatal("one transaction holds more than 2 GiB"));
        }
        // In one step: growing little by little would copy a large transaction several times.
        self.buffer.bytes.reserve(output.byte_size());
        for record in output.records() {
            let entry = self.buffer.push(without_offset(&record));
            let place = self.place(record.topic, record.partition);
            self.parts[place].entries.push(entry);
        }
        Ok(())
    }

    fn place(&mut self, topic: &'static Topic, partition: i32) -> usize {
        // The address identifies the topic, which is one static. Two statics of one name would only make two parts.
        let address = std::ptr::from_ref(topic) as usize;
        *self.places.entry((address, partition)).or_insert_with(|| {
            self.parts.push(Part { topic, partition, entries: Vec::new() });
            self.parts.len() - 1
        })
    }

    /// Seals the buffer, so that chunks can share it.
    pub(super) fn seal(mut self) -> Batch {
        let bytes = &mut self.buffer.bytes;
        if bytes.capacity() / 2 > bytes.len() {
            bytes.shrink_to_fit();
        }
        Batch { bytes: Arc::new(self.buffer.bytes), parts: self.parts, group: None, offsets: Vec::new() }
    }
}

/// All that one commit makes visible together.
#[derive(Debug)]
pub struct Batch {
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) parts: Vec<Part>,
    pub(super) group: Option<String>,
    pub(super) offsets: Vec<(TopicPartition, i64)>,
}

impl Batch {
    /// The records by topic and partition, in order of their offsets.
    pub fn parts(&self) -> impl Iterator<Item = BatchPart<'_>> {
        self.parts.iter().map(|part| BatchPart { bytes: &self.bytes, part })
    }

    /// The consumer group whose offsets these are, when there are offsets.
    pub fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    /// The next offset to read of each input partition.
    pub fn offsets(&self) -> &[(TopicPartition, i64)] {
        &self.offsets
    }

    /// The chunks to publish, sharing the buffer.
    pub(super) fn into_chunks(self) -> impl Iterator<Item = (&'static Topic, i32, Chunk)> {
        let bytes = self.bytes;
        self.parts.into_iter().map(move |part| {
            (part.topic, part.partition, Chunk { bytes: Arc::clone(&bytes), entries: Arc::new(part.entries) })
        })
    }
}

/// The records of a [`Batch`] in one partition.
#[derive(Debug, Clone, Copy)]
pub struct BatchPart<'a> {
    bytes: &'a [u8],
    part: &'a Part,
}

impl<'a> BatchPart<'a> {
    /// The topic.
    pub fn topic(&self) -> &'static Topic {
        self.part.topic
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        self.part.partition
    }

    /// The records with their offsets.
    pub fn records(&self) -> impl ExactSizeIterator<Item = StoredRecord<'a>> + use<'a> {
        let bytes = self.bytes;
        self.part.entries.iter().map(move |entry| entry.record(bytes))
    }
}
