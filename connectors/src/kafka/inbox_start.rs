//! Where a group begins to read its inboxes.

use std::time::Duration;

use tributary_runtime::{LogError, TopicPartition};

use super::offsets::{self, BrokerPartition};
use super::rebalance::MemberConsumer;

/// Where the group is in a partition, and the first offset that is still there.
pub(super) struct InboxStart {
    pub(super) partition: TopicPartition,
    pub(super) committed: Option<i64>,
    pub(super) first: i64,
}

impl InboxStart {
    /// The first offset to read that is there.
    pub(super) fn next(&self) -> i64 {
        self.committed.unwrap_or(self.first).max(self.first)
    }
}

/// Asks for the committed and the first offset of each partition. `named` are the same partitions by their names on the
/// broker.
pub(super) fn ask(
    consumer: &MemberConsumer,
    partitions: &[TopicPartition],
    named: &[BrokerPartition],
    timeout: Duration,
) -> Result<Vec<InboxStart>, LogError> {
    let first = offsets::first(consumer, named, timeout)?;
    let committed = offsets::committed(consumer, named, timeout)?;
    let starts = partitions.iter().zip(committed).zip(first);
    Ok(starts.map(|((partition, committed), first)| InboxStart { partition: *partition, committed, first }).collect())
}
