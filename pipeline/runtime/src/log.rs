//! The port to the broker. Three implementations pass one conformance suite: `memory` here, `embedded` and `kafka`
//! among the connectors.

use std::time::{Duration, Instant};

use crate::log_error::LogError;
use crate::output::Output;
use crate::record::Record;
use crate::store::EachChange;
use crate::topic::TopicPartition;

/// The consumer and the transactional producer of one worker, as one object.
///
/// Protocol: [`Log::poll`] hands out records of assigned and resumed partitions, or one event. After
/// [`Poll::Assigned`] the partitions are paused until [`Log::resume`]. After [`Poll::Revoked`] the worker commits or
/// aborts and then calls [`Log::release`]. [`Log::send`] opens a transaction when none is open; [`Log::begin_commit`] makes
/// outputs, changelog records and input offsets visible together, and [`Log::outcome`] tells when they are; [`Log::abort`]
/// drops them and returns the inputs to the last committed offsets.
pub trait Log: Send {
    /// Waits up to `timeout` and calls `each` for at most `max_records` records, or returns one event.
    ///
    /// # Errors
    /// [`LogError`], by what has to happen next.
    fn poll(
        &mut self,
        timeout: Duration,
        max_records: usize,
        each: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Poll, LogError>;

    /// Partitions of inboxes that other members of the group have now, some of which will come to this worker. It is not a member
    /// before its first [`Log::poll`] then, so that it can read their state beforehand. Nothing when it is a member already, or
    /// gets back what it had under the same name. Asked once, before the first poll.
    ///
    /// # Errors
    /// [`LogError`] when the group cannot be asked.
    fn held_by_others(&mut self) -> Result<Vec<TopicPartition>, LogError>;

    /// Lets records of newly assigned partitions flow, once their state is restored.
    ///
    /// # Errors
    /// [`LogError`], by what has to happen next.
    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError>;

    /// Gives up revoked partitions, after the worker has committed or aborted.
    ///
    /// # Errors
    /// [`LogError`], by what has to happen next.
    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError>;

    /// Adds records to the open transaction; opens one when there is none.
    ///
    /// # Errors
    /// [`LogError`], by what has to happen next.
    fn send(&mut self, output: &Output) -> Result<(), LogError>;

    /// Begins to commit what was sent, the records of `output`, which is empty afterwards, and the input offsets (the next
    /// offset to read of each partition). Until [`Log::outcome`] tells how it has ended, records may be polled, but nothing
    /// may be sent, committed, aborted or released.
    ///
    /// # Errors
    /// As [`Log::outcome`], when the end is known at once.
    fn begin_commit(&mut self, output: &mut Output, offsets: &[(TopicPartition, i64)]) -> Result<(), LogError>;

    /// How and when the commit that was begun last has ended; `None` while it is on its way. With `wait` it is waited for.
    ///
    /// # Errors
    /// [`LogError::Abortable`] when nothing became visible and the transaction must be aborted.
    fn outcome(&mut self, wait: bool) -> Option<Result<Instant, LogError>>;

    /// Commits what was sent together with the input offsets, and waits until it is done.
    ///
    /// # Errors
    /// As [`Log::outcome`].
    fn commit(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        self.begin_commit(&mut Output::new(1), offsets)?;
        self.outcome(true).transpose().map(drop)
    }

    /// Drops the open transaction and returns every assigned partition to its last committed offset.
    ///
    /// # Errors
    /// [`LogError`], by what has to happen next.
    fn abort(&mut self) -> Result<(), LogError>;

    /// Reads committed records of a changelog partition from offset `from` to its end, calling `each` with key and
    /// value, and returns the offset after the last one. Waits for transactions that are still open.
    ///
    /// # Errors
    /// [`LogError::OffsetOutOfRange`] when `from` is after the end, or deletions after it may be forgotten, so that the
    /// caller restores from the start; [`LogError::Truncated`] when records at or after `from` were deleted although they
    /// may be the newest of their keys. Compaction does not do that, and does not move a partition's first offset.
    fn restore(&mut self, changelog: TopicPartition, from: i64, each: EachChange<'_>) -> Result<i64, LogError>;

    /// The offset after the last committed record of a changelog partition that only this worker writes, asked between
    /// two transactions: what a snapshot taken now covers. The default reads the changelog; a log should do better.
    ///
    /// # Errors
    /// [`LogError`], by what has to happen next.
    fn end_offset(&mut self, changelog: TopicPartition) -> Result<i64, LogError> {
        self.restore(changelog, 0, &mut |_, _| {})
    }
}

/// A producer for connectors that bring data in: each call is one transaction.
pub trait Producer: Send {
    /// Publishes all records of `output`, or none.
    ///
    /// # Errors
    /// [`LogError`], by what has to happen next.
    fn publish(&mut self, output: &Output) -> Result<(), LogError>;
}

/// What is left to do in a flow.
pub trait Lag: Send + Sync {
    /// Records that the flow's groups have not yet committed, over all inboxes. Zero means settled: nothing in flight
    /// can produce anything more. Implementations must give an answer that holds for one moment.
    ///
    /// # Errors
    /// [`LogError`] when the log cannot be asked.
    fn lag(&self) -> Result<u64, LogError>;
}

/// What a poll brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Poll {
    /// This many records were handed out.
    Records(usize),
    /// Nothing to read now: a moment to commit.
    Idle,
    /// Partitions that are now ours, paused until [`Log::resume`].
    Assigned(Vec<TopicPartition>),
    /// Partitions that will be another's: commit, then [`Log::release`].
    Revoked(Vec<TopicPartition>),
    /// Partitions that are another's already: the open transaction cannot be committed for them.
    Lost(Vec<TopicPartition>),
}
