//! Reading a changelog back.
//!
//! The end to restore to is the end of the log with everything in it, committed or not. Offsets can be committed while
//! the marker that commits the changelog's records is still on its way, so stopping at the last stable offset would lose
//! committed state. The last stable offset is therefore waited for first, and then everything up to it is read; markers
//! and aborted records in between are never delivered, so only the client's end-of-partition event tells the end.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset};
use tributary_runtime::LogError;

use super::configuration::KafkaConfiguration;
use super::connect::connect;
use super::log_error;
use super::offsets::{self, BrokerPartition};
use crate::events;

/// Takes key and value of a changelog record.
type Each<'a> = dyn FnMut(&[u8], Option<&[u8]>) + 'a;

/// Reads partitions to their end, outside any group.
pub(super) struct ChangelogReader {
    /// Sees everything that is in a partition.
    everything: BaseConsumer,
    /// Sees what is committed.
    committed: BaseConsumer,
    timeout: Duration,
}

impl ChangelogReader {
    pub(super) fn new(configuration: &KafkaConfiguration, group: &str) -> Result<Self, LogError> {
        let mut everything = configuration.base();
        everything.set("isolation.level", "read_uncommitted");
        // librdkafka wants a group's name to read at all; nothing joins it and nothing is committed to it.
        let mut committed = configuration.consumer(group);
        committed
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            // At the end nothing is waited for.
            .set("fetch.wait.max.ms", "1")
            .remove("group.instance.id");
        let create = |error: KafkaError| log_error::from_creation("the reader of changelogs", &error);
        let everything: BaseConsumer = everything.create().map_err(create)?;
        let committed: BaseConsumer = committed.create().map_err(create)?;
        connect(everything.client());
        connect(committed.client());
        Ok(Self { everything, committed, timeout: configuration.call_timeout() })
    }

    /// The end of each partition with everything in it.
    pub(super) fn ends(&self, partitions: &[BrokerPartition]) -> Result<Vec<i64>, LogError> {
        offsets::end(&self.everything, partitions, self.timeout)
    }

    /// The first offset that is still there of each partition.
    pub(super) fn starts(&self, partitions: &[BrokerPartition]) -> Result<Vec<i64>, LogError> {
        offsets::first(&self.everything, partitions, self.timeout)
    }

    /// The last stable offset of each partition: where the first open transaction starts, or the end.
    pub(super) fn stable_ends(&self, partitions: &[BrokerPartition]) -> Result<Vec<i64>, LogError> {
        offsets::end(&self.committed, partitions, self.timeout)
    }

    /// Reads the committed records of a partition from `from` to its end; see [`tributary_runtime::Log::restore`].
    pub(super) fn restore(&self, partition: &BrokerPartition, from: i64, each: &mut Each<'_>) -> Result<i64, LogError> {
        let asked = std::slice::from_ref(partition);
        let end = only(&self.ends(asked)?);
        if from == end {
            return Ok(end);
        }
        let start = only(&self.starts(asked)?);
        let (topic, number) = partition;
        let text = format!("{topic}-{number} holds offsets {start} to {end}, not {from}");
        // Compaction leaves the first offset where it is: only a deletion moves it.
        if from < start {
            return Err(LogError::truncated(text));
        }
        if from > end {
            return Err(LogError::offset_out_of_range(text));
        }
        self.wait_until_stable(asked, end)?;
        self.read(partition, from, end, each)
    }

    /// Waits for transactions that are still open below `end`.
    fn wait_until_stable(&self, partition: &[BrokerPartition], end: i64) -> Result<(), LogError> {
        // A producer that died leaves its transaction to the broker, which aborts it in steps of some seconds.
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

    fn read(&self, partition: &BrokerPartition, from: i64, end: i64, each: &mut Each<'_>) -> Result<i64, LogError> {
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
        each: &mut Each<'_>,
    ) -> Result<i64, LogError> {
        let mut next = end;
        let mut progress = Instant::now();
        loop {
            match self.committed.poll(Duration::from_millis(100)) {
                Some(Ok(message)) if message.partition() == *number && message.topic() == topic => {
                    each(message.key().unwrap_or_default(), message.payload());
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

    /// How many committed records there are from the given offsets to the ends of the partitions; counts to `most`
    /// and no further. Tells the truth only if no partition has grown meanwhile, which the caller checks.
    pub(super) fn count(&self, starts: &[(BrokerPartition, i64)], most: u64) -> Result<u64, LogError> {
        let what = "counting records that are left to do";
        let list = offsets::list(
            starts.iter().map(|((topic, partition), offset)| (topic.as_str(), *partition, Offset::Offset(*offset))),
        )?;
        self.committed.assign(&list).map_err(|error| log_error::from_call(what, &error))?;
        let count = self.count_assigned(what, starts.len(), most);
        self.committed.unassign().map_err(|error| log_error::from_call(what, &error))?;
        count
    }

    /// Counts until as many ends have come as partitions are assigned: each tells its end once.
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

/// The client goes on by itself after an outage. It tells of each one when it is next polled, however long that was ago.
fn pass_over(what: &str, error: &KafkaError) -> Result<(), LogError> {
    match log_error::from_call(what, error) {
        passing @ LogError::Unavailable(_) => {
            events::reader_reported_error(&passing);
            Ok(())
        }
        serious => Err(serious),
    }
}

/// The one answer to a question about one partition.
fn only(answers: &[i64]) -> i64 {
    answers.first().copied().unwrap_or_default()
}
