//! Rebalances: what the group has decided is stored here, and carried out by the log between two polls.
//!
//! librdkafka calls back on the thread that polls, in the middle of that poll. A worker has to commit before it gives
//! partitions up, which it cannot do there. librdkafka lets the answer come later: the group waits until the log calls
//! `incremental_unassign`, as long as that happens within `max.poll.interval.ms`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaResult;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use super::membership::Membership;
use crate::events;

/// The consumer of a worker.
pub(super) type MemberConsumer = BaseConsumer<Rebalances>;

/// A decision of the group.
#[derive(Debug, Clone)]
pub(super) enum Decision {
    /// These partitions are ours.
    Assign(TopicPartitionList),
    /// These partitions are to be given up.
    Revoke(TopicPartitionList),
    /// These partitions are another's already: this member was thought dead.
    Lose(TopicPartitionList),
}

/// Decisions of the group that the log has not carried out yet.
#[derive(Default)]
pub(super) struct Rebalances {
    decisions: Mutex<VecDeque<Decision>>,
    closing: AtomicBool,
    /// Whether a decision was answered since closing.
    answered: AtomicBool,
    pub(super) membership: Membership,
}

impl Rebalances {
    /// The oldest decision. It stays until [`Rebalances::done`].
    pub(super) fn oldest(&self) -> Option<Decision> {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner).front().cloned()
    }

    /// The oldest decision has been carried out, or has been noted by the log.
    pub(super) fn done(&self) {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    }

    /// From now on partitions are given up at once: nobody works on them any more.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }
}

impl ClientContext for Rebalances {
    fn stats_raw(&self, statistics: &[u8]) {
        self.membership.note(statistics);
    }
}

impl ConsumerContext for Rebalances {
    fn rebalance(&self, consumer: &MemberConsumer, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let assigned = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::SeqCst) {
            // librdkafka takes the first answer after the end as giving up everything. What it still tells us then is
            // stale: nobody waits for an answer, and giving one would hang for ever.
            if self.answered.swap(true, Ordering::SeqCst) || consumer.closed() {
                return;
            }
            let done = if assigned { assign(consumer, list) } else { unassign(consumer, list) };
            if let Err(error) = done {
                events::leaving_rebalance_failed(&error);
            }
            return;
        }
        let decision = match assigned {
            true => Decision::Assign(list.clone()),
            false if consumer.assignment_lost() => Decision::Lose(list.clone()),
            false => Decision::Revoke(list.clone()),
        };
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner).push_back(decision);
    }
}

/// Takes partitions, by the group's protocol.
pub(super) fn assign(consumer: &MemberConsumer, list: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Eager => consumer.assign(list),
        _ => consumer.incremental_assign(list),
    }
}

/// Gives partitions up, by the group's protocol.
pub(super) fn unassign(consumer: &MemberConsumer, list: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Eager => consumer.unassign(),
        _ => consumer.incremental_unassign(list),
    }
}

/// The committed offset of a list's element, if there is one.
pub(super) fn committed(offset: Offset) -> Option<i64> {
    match offset {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }
}
