//! The port to the broker. Three implementations pass one conformance suite: `memory` here, `embedded` and `kafka`
//! among the connectors.

use std::time::{Duration, Instant};

use crate::log_error::LogError;
use crate::output::Output;
use crate::record::Record;
use crate::store::EachChange;
use crate::topic::{Topic, TopicPartition};

/// The consumer and the transactional producer of one worker, as one object.
///
/// Protocol: [`Log::poll`] returns records of assigned and resumed partitions, or one event. After [`Poll::Assigned`]
/// the partitions are paused until [`Log::resume`]. After [`Poll::Revoked`] the worker commits or aborts and then calls
/// [`Log::release`]. [`Log::send`] opens a transaction when none is open. [`Log::begin_commit`] makes outputs,
/// changelog records and input offsets visible together, and [`Log::poll_commit`] reports when they are. [`Log::abort`]
/// drops them and returns the inputs to the last committed offsets.
#[allow(clippy::missing_errors_doc, reason = "each kind of LogError says what has to happen next")]
pub trait Log: Send {
    /// Waits up to `timeout` and calls `each` for at most `max_records` records, or returns one event.
    ///
    /// # Errors
    /// [`LogError::OffsetOutOfRange`] when the next record of an inbox is not there any more.
    fn poll(
        &mut self,
        timeout: Duration,
        max_records: usize,
        each: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Poll, LogError>;

    /// Inbox partitions that other members of the group own now; this worker will be assigned some of them. In that
    /// case it joins the group only at its first [`Log::poll`], so that it can read their state beforehand. Empty when
    /// the worker is a member already, or gets back the partitions it had under the same name. Called once, before the
    /// first poll.
    ///
    /// # Errors
    /// [`LogError`] when the group cannot be asked.
    fn held_by_others(&mut self) -> Result<Vec<TopicPartition>, LogError>;

    /// Where the group is in inbox partitions of this worker, and what they hold. In the order of `partitions`.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when the log cannot be asked now.
    fn inbox_offsets(&mut self, partitions: &[TopicPartition]) -> Result<Vec<InboxOffsets>, LogError>;

    /// For each inbox partition, the end of the partition if it holds no record between the given offset and its end,
    /// else the given offset. Markers of transactions and aborted records have offsets too, but nobody ever reads them.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when the log cannot be asked now.
    fn pass_empty(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<Vec<i64>, LogError>;

    /// Resumes newly assigned partitions, once their state is restored.
    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError>;

    /// Gives up revoked partitions, after the worker has committed or aborted.
    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError>;

    /// Adds records to the open transaction; opens one when there is none.
    fn send(&mut self, output: &Output) -> Result<(), LogError>;

    /// Begins to commit the records sent so far, those of `output`, which is empty afterwards, and the input offsets:
    /// the next offset to read of each partition. Until [`Log::poll_commit`] or [`Log::await_commit`] reports the end,
    /// records may be polled, but nothing may be sent, committed, aborted or released.
    ///
    /// # Errors
    /// As [`Log::await_commit`], when the end is known at once.
    fn begin_commit(&mut self, output: &mut Output, offsets: &[(TopicPartition, i64)]) -> Result<(), LogError>;

    /// How and when the last commit ended, without waiting; `None` while it is under way.
    ///
    /// # Errors
    /// As [`Log::await_commit`].
    fn poll_commit(&mut self) -> Option<Result<Instant, LogError>>;

    /// Waits for the end of the last commit, and says when it was.
    ///
    /// # Errors
    /// [`LogError::Abortable`] when nothing became visible and the transaction must be aborted.
    fn await_commit(&mut self) -> Result<Instant, LogError>;

    /// Commits the records sent so far together with the input offsets, and waits for the end.
    ///
    /// # Errors
    /// As [`Log::await_commit`].
    fn commit(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        self.begin_commit(&mut Output::new(1), offsets)?;
        self.await_commit().map(drop)
    }

    /// Drops the open transaction and returns every assigned partition to its last committed offset.
    fn abort(&mut self) -> Result<(), LogError>;

    /// Reads committed records of a changelog partition from offset `from` to its end, calling `each` with key and
    /// value, and returns the offset after the last one. Waits for transactions that are still open.
    ///
    /// # Errors
    /// [`LogError::OffsetOutOfRange`] when `from` is after the end, or deletions after it may be forgotten, so that the
    /// caller restores from the start; [`LogError::Truncated`] when records at or after `from` were deleted although
    /// they may be the newest of their keys. Compaction does not do that, and does not move a partition's first offset.
    fn restore(&mut self, changelog: TopicPartition, from: i64, each: EachChange<'_>) -> Result<i64, LogError>;

    /// The offset after the last committed record of a changelog partition that only this worker writes, asked between
    /// two transactions: the end of what a snapshot taken now covers. The default reads the changelog; a log should
    /// have a cheaper way.
    fn end_offset(&mut self, changelog: TopicPartition) -> Result<i64, LogError> {
        self.restore(changelog, 0, &mut |_, _| {})
    }
}

/// A producer for connectors that publish data: each call is one transaction.
#[allow(clippy::missing_errors_doc, reason = "each kind of LogError says what has to happen next")]
pub trait Producer: Send {
    /// Publishes all records of `output`, or none.
    fn publish(&mut self, output: &Output) -> Result<(), LogError>;
}

/// Reads topics outside any group.
#[allow(clippy::missing_errors_doc, reason = "each kind of LogError says what has to happen next")]
pub trait TopicReader: Send {
    /// Calls `each` with key and value of every committed record of a topic, one partition after the other.
    fn read(&self, topic: &Topic, flow_partitions: i32, each: EachChange<'_>) -> Result<(), LogError>;

    /// The offset after the last record of each partition of a topic, in order.
    fn ends(&self, topic: &Topic, flow_partitions: i32) -> Result<Vec<i64>, LogError>;
}

/// Receives a record; an error ends the reading.
pub type EachRecord<'a> = &'a mut dyn FnMut(&Record<'_>) -> Result<(), LogError>;

/// Offsets of a partition that are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetRange {
    /// The partition.
    pub partition: TopicPartition,
    /// The first offset; 0 stands for the first record that is still there.
    pub from: i64,
    /// The offset after the last one. It is not above an end that was answered by [`TopicFollower::ends`].
    pub end: i64,
}

/// Reads topics outside any group, from positions that the caller keeps.
pub trait TopicFollower: Send {
    /// The end of each partition of a topic, in order. Below it, every committed record can be read, and no other
    /// record will become visible.
    ///
    /// # Errors
    /// [`LogError`] when the log cannot be asked.
    fn ends(&self, topic: &'static Topic, flow_partitions: i32) -> Result<Vec<i64>, LogError>;

    /// Calls `each` with the committed records of a partition at and after offset `from`, up to its end, in order.
    /// Returns the offset to continue from.
    ///
    /// # Errors
    /// [`LogError::OffsetOutOfRange`] and [`LogError::Truncated`] as [`Log::restore`]: the caller reads from the start.
    /// The first error of `each`.
    fn read_from(&self, partition: TopicPartition, from: i64, each: EachRecord<'_>) -> Result<i64, LogError>;

    /// Calls `each` with the committed records of several partitions of one topic, each partition in order. Records of
    /// different partitions come as they come. The default reads one partition after the other; a log that has to be
    /// asked over a network should read them together.
    ///
    /// # Errors
    /// As [`TopicFollower::read_from`].
    fn read_ranges(&self, ranges: &[OffsetRange], each: EachRecord<'_>) -> Result<(), LogError> {
        for range in ranges {
            let mut is_beyond = false;
            let read = self.read_from(range.partition, range.from, &mut |record| {
                if record.offset < range.end {
                    return each(record);
                }
                is_beyond = true;
                Err(LogError::unavailable("the end of the range"))
            });
            if !is_beyond {
                read?;
            }
        }
        Ok(())
    }
}

/// What is left to do in a flow.
pub trait Lag: Send + Sync {
    /// Records that the flow's groups have not yet committed, over all inboxes. Zero means settled: nothing in flight
    /// can produce more records. The answer must be true of one moment in time.
    ///
    /// # Errors
    /// [`LogError`] when the log cannot be asked.
    fn lag(&self) -> Result<u64, LogError>;
}

/// Where a group is in an inbox partition, and what the partition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboxOffsets {
    /// The group's next offset to read; `None` when the group has none.
    pub committed: Option<i64>,
    /// The first offset that is still there.
    pub start: i64,
    /// The offset after the last record.
    pub end: i64,
}

/// What a poll returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Poll {
    /// This many records were passed to the callback.
    Records(usize),
    /// There is nothing to read: a good moment to commit.
    Idle,
    /// Partitions that this worker owns now, paused until [`Log::resume`].
    Assigned(Vec<TopicPartition>),
    /// Partitions that another member will own: commit, then [`Log::release`].
    Revoked(Vec<TopicPartition>),
    /// Partitions that another member owns already: the open transaction can no longer be committed for them.
    Lost(Vec<TopicPartition>),
}
