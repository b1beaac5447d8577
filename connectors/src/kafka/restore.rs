//! Reading a changelog back.
//!
//! State is restored up to the end of the partition, including records that are not committed yet. Offsets can be
//! committed while the marker that commits the records of the changelog is still under way. So reading only up to the
//! last stable offset would lose committed state. The reader first waits until the last stable offset has reached that
//! end, and then reads. Markers and aborted records are never delivered, so only the end-of-partition event of the
//! client shows where the partition ends.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset};
use tributary_runtime::LogError;

use super::configuration::KafkaConfiguration;
use super::connect::connect;
use super::log_error;
use super::offsets::{self, BrokerPartition};
use crate::events;

/// How long the end of a partition may wait for the marker of the last transaction.
const MARKER_PATIENCE: Duration = Duration::from_secs(1);

/// Receives key and value of a changelog record.
type Each<'a> = dyn FnMut(&[u8], Option<&[u8]>) + 'a;

/// Receives a record; an error ends the reading.
pub(super) type EachMessage<'a> = dyn FnMut(&BorrowedMessage<'_>) -> Result<(), LogError> + 'a;

/// Reads partitions to their end, outside any group.
pub(super) struct ChangelogReader {
    /// Sees all records of a partition.
    everything: BaseConsumer,
    /// Sees committed records only.
    committed: BaseConsumer,
    timeout: Duration,
}

impl ChangelogReader {
    pub(super) fn new(configuration: &KafkaConfiguration, group: &str) -> Result<Self, LogError> {
        let mut everything = configuration.base();
        everything.set("isolation.level", "read_uncommitted");
        // librdkafka reads only with a group name. Nothing joins that group or commits to it.
        let mut committed = configuration.consumer(group);
        committed
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            // The broker does not wait for records at the end of a partition.
            .set("fetch.wait.max.ms", "1")
            .remove("group.instance.id");
        let create = |error: KafkaError| log_error::from_creation("the reader of changelogs", &error);
        let everything: BaseConsumer = everything.create().map_err(create)?;
        let committed: BaseConsumer = committed.create().map_err(create)?;
        connect(everything.client());
        connect(committed.client());
        Ok(Self { everything, committed, timeout: configuration.call_timeout() })
    }

    /// The end of each partition, after all its records.
    pub(super) fn ends(&self, partitions: &[BrokerPartition]) -> Result<Vec<i64>, LogError> {
        offsets::end(&self.everything, partitions, self.timeout)
    }

    /// The first offset of each partition that is still there.
    pub(super) fn starts(&self, partitions: &[BrokerPartition]) -> Result<Vec<i64>, LogError> {
        offsets::first(&self.everything, partitions, self.timeout)
    }

    /// The last stable offset of each partition: the start of the first open transaction, or the end.
    pub(super) fn stable_ends(&self, partitions: &[BrokerPartition]) -> Result<Vec<i64>, LogError> {
        offsets::end(&self.committed, partitions, self.timeout)
    }

    /// The end of a partition between two transactions of its only writer. The broker confirms a commit before it has
    /// written the marker of the transaction, so this waits a moment for the marker.
    pub(super) fn settled_end(&self, partition: &BrokerPartition) -> Result<i64, LogError> {
        let asked = std::slice::from_ref(partition);
        let deadline = Instant::now() + MARKER_PATIENCE;
        loop {
            let end = only(&self.ends(asked)?);
            if only(&self.stable_ends(asked)?) == end || Instant::now() > deadline {
                return Ok(end);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Reads the committed records of a partition from `from` to its end. See [`tributary_runtime::Log::restore`].
    pub(super) fn restore(&self, partition: &BrokerPartition, from: i64, each: &mut Each<'_>) -> Result<i64, LogError> {
        let asked = std::slice::from_ref(partition);
        let end = only(&self.ends(asked)?);
        if from == end {
            return Ok(end);
        }
        check_range(partition, from, only(&self.starts(asked)?), end)?;
        self.wait_until_stable(asked, end)?;
        self.read(partition, from, end, &mut |message| {
            each(message.key().unwrap_or_default(), message.payload());
            Ok(())
        })
    }

    /// Reads the committed records of a partition from `from` on, as far as no open transaction holds them back.
    pub(super) fn follow(
        &self,
        partition: &BrokerPartition,
        from: i64,
        each: &mut EachMessage<'_>,
    ) -> Result<i64, LogError> {
        let end = only(&self.stable_ends(std::slice::from_ref(partition))?);
        if from == end {
            return Ok(end);
        }
        let start = only(&self.starts(std::slice::from_ref(partition))?);
        // A reader without a position starts with the first record that is still there.
        let from = if from == 0 { start } else { from };
        check_range(partition, from, start, end)?;
        self.read(partition, from, end, each)
    }

    /// Reads the committed records of ranges of offsets of a topic, all partitions together. The ends are not above the
    /// last stable offsets.
    pub(super) fn follow_together(
        &self,
        topic: &str,
        mut ranges: BTreeMap<i32, Range<i64>>,
        each: &mut EachMessage<'_>,
    ) -> Result<(), LogError> {
        let partitions: Vec<BrokerPartition> = ranges.keys().map(|number| (topic.to_owned(), *number)).collect();
        for ((partition, start), range) in partitions.iter().zip(self.starts(&partitions)?).zip(ranges.values_mut()) {
            // A reader without a position starts with the first record that is still there.
            range.start = if range.start == 0 { start } else { range.start };
            // All may be deleted since the end was asked for.
            check_range(partition, range.start, start, range.end.max(start))?;
        }
        ranges.retain(|_, range| !range.is_empty());
        let what = format!("reading {topic}");
        let list = ranges.iter().map(|(number, range)| (topic, *number, Offset::Offset(range.start)));
        let list = offsets::list(list)?;
        self.committed.assign(&list).map_err(|error| log_error::from_call(&what, &error))?;
        let read = self.read_ranges(&what, topic, ranges, each);
        self.committed.unassign().map_err(|error| log_error::from_call(&what, &error))?;
        read
    }

    /// Reads until each partition has reached the end of its range. Without a record beyond it, the partition's own end
    /// shows that.
    fn read_ranges(
        &self,
        what: &str,
        topic: &str,
        mut left: BTreeMap<i32, Range<i64>>,
        each: &mut EachMessage<'_>,
    ) -> Result<(), LogError> {
        let mut silent_since = None;
        while !left.is_empty() {
            match self.committed.poll(Duration::from_millis(100)) {
                Some(Ok(message)) if message.topic() == topic => {
                    // Records of a partition that is read say nothing about the others.
                    if let Some(range) = left.get(&message.partition()) {
                        let (offset, end) = (message.offset(), range.end);
                        silent_since = None;
                        if offset < end {
                            each(&message)?;
                        }
                        if offset + 1 >= end {
                            left.remove(&message.partition());
                        }
                        continue;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(ended))) => drop(left.remove(&ended)),
                Some(Err(error)) => pass_over(what, &error)?,
                Some(Ok(_)) | None => {}
            }
            if silent_since.get_or_insert_with(Instant::now).elapsed() > self.timeout * 2 {
                return Err(LogError::unavailable(format!("{what}: no answer from the broker")));
            }
        }
        Ok(())
    }

    /// Waits until no transaction is open below `end`.
    fn wait_until_stable(&self, partition: &[BrokerPartition], end: i64) -> Result<(), LogError> {
        // If a producer dies, the broker aborts its transaction. It looks for such transactions only every few seconds.
        let deadline = Instant::now() + self.timeout * 3;
        while only(&self.stable_ends(partition)?) < end {
            if Instant::now() > deadline {
                let (topic, number) = &partition[0];
                return Err(LogError::unavailable(format!(
                    "{topic}-{number} has a transaction that stays open; `kafka-transactions.sh find-hanging` shows it"
                )));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    fn read(
        &self,
        partition: &BrokerPartition,
        from: i64,
        end: i64,
        each: &mut EachMessage<'_>,
    ) -> Result<i64, LogError> {
        let (topic, number) = partition;
        let what = format!("reading {topic}-{number}");
        let list = offsets::list(std::iter::once((topic.as_str(), *number, Offset::Offset(from))))?;
        self.committed.assign(&list).map_err(|error| log_error::from_call(&what, &error))?;
        let read = self.read_assigned(&what, partition, end, each);
        self.committed.unassign().map_err(|error| log_error::from_call(&what, &error))?;
        read
    }

    fn read_assigned(
        &self,
        what: &str,
        (topic, number): &BrokerPartition,
        end: i64,
        each: &mut EachMessage<'_>,
    ) -> Result<i64, LogError> {
        let mut next = end;
        let mut progress = Instant::now();
        loop {
            match self.committed.poll(Duration::from_millis(100)) {
                Some(Ok(message)) if message.partition() == *number && message.topic() == topic => {
                    each(&message)?;
                    next = next.max(message.offset() + 1);
                    progress = Instant::now();
                }
                Some(Err(KafkaError::PartitionEOF(ended))) if ended == *number => return Ok(next),
                Some(Err(error)) => pass_over(what, &error)?,
                Some(Ok(_)) | None => {}
            }
            if progress.elapsed() > self.timeout * 2 {
                return Err(LogError::unavailable(format!("{what}: no answer from the broker")));
            }
        }
    }

    /// How many committed records there are from the given offsets to the ends of the partitions, counted up to `most`.
    /// This is correct only if no partition grows meanwhile, which the caller checks.
    pub(super) fn count(&self, starts: &[(BrokerPartition, i64)], most: u64) -> Result<u64, LogError> {
        let what = "counting the records that are left to do";
        let list = offsets::list(
            starts.iter().map(|((topic, partition), offset)| (topic.as_str(), *partition, Offset::Offset(*offset))),
        )?;
        self.committed.assign(&list).map_err(|error| log_error::from_call(what, &error))?;
        let count = self.count_assigned(what, starts.len(), most);
        self.committed.unassign().map_err(|error| log_error::from_call(what, &error))?;
        count
    }

    /// For each partition, its last stable offset if nothing can be read between the given offset and that one, else
    /// the given offset.
    pub(super) fn pass_empty(&self, partitions: &[BrokerPartition], offsets: &[i64]) -> Result<Vec<i64>, LogError> {
        let ends = self.stable_ends(partitions)?;
        let gaps = partitions.iter().zip(offsets).zip(&ends).filter(|((_, offset), end)| end > offset);
        let gaps: Vec<_> = gaps.map(|((partition, offset), _)| (partition.clone(), *offset)).collect();
        if gaps.is_empty() || self.count(&gaps, 1)? > 0 {
            return Ok(offsets.to_vec());
        }
        Ok(offsets.iter().zip(ends).map(|(offset, end)| end.max(*offset)).collect())
    }

    /// Counts until every assigned partition has reported its end. Each does so once.
    fn count_assigned(&self, what: &str, partitions: usize, most: u64) -> Result<u64, LogError> {
        let deadline = Instant::now() + self.timeout;
        let (mut ends, mut records) = (0, 0);
        while ends < partitions && records < most {
            match self.committed.poll(Duration::from_millis(100)) {
                Some(Ok(_)) => records += 1,
                Some(Err(KafkaError::PartitionEOF(_))) => ends += 1,
                Some(Err(error)) => pass_over(what, &error)?,
                None => {}
            }
            if Instant::now() > deadline {
                return Err(LogError::unavailable(format!("{what}: no answer from the broker")));
            }
        }
        Ok(records)
    }
}

/// Ignores an error that the client handles by itself. It reports every outage at the next poll, however old it is.
fn pass_over(what: &str, error: &KafkaError) -> Result<(), LogError> {
    match log_error::from_call(what, error) {
        passing @ LogError::Unavailable(_) => {
            events::reader_reported_error(&passing);
            Ok(())
        }
        serious => Err(serious),
    }
}

fn check_range((topic, number): &BrokerPartition, from: i64, start: i64, end: i64) -> Result<(), LogError> {
    let text = format!("{topic}-{number} holds offsets {start} to {end}, not {from}");
    // Compaction does not move the first offset. Only a deletion does.
    if from < start {
        return Err(LogError::truncated(text));
    }
    if from > end {
        return Err(LogError::offset_out_of_range(text));
    }
    Ok(())
}

/// The answer to a question about one partition.
fn only(answers: &[i64]) -> i64 {
    answers.first().copied().unwrap_or_default()
}
