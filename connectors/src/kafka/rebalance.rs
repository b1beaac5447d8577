//! Rebalances: decisions of the group are stored here, and the log carries them out between two polls.
//!
//! librdkafka calls back on the polling thread, in the middle of a poll. A worker has to commit before it gives
//! partitions up, which is not possible there. But librdkafka accepts a late answer: the group waits until the log
//! calls `incremental_unassign`, if that happens within `max.poll.interval.ms`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaResult;
use rdkafka::types::RDKafkaRespErr;

use super::membership::Membership;
use crate::events;

/// The consumer of a worker.
pub(super) type MemberConsumer = BaseConsumer<Rebalances>;

/// A decision of the group.
#[derive(Debug, Clone)]
pub(super) enum Decision {
    /// This member gets these partitions.
    Assign(TopicPartitionList),
    /// This member has to give these partitions up.
    Revoke(TopicPartitionList),
    /// Another member already has these partitions, because this one was considered dead.
    Lose(TopicPartitionList),
}

/// Decisions of the group that the log has not carried out yet.
#[derive(Default)]
pub(super) struct Rebalances {
    decisions: Mutex<VecDeque<Decision>>,
    closing: AtomicBool,
    /// Whether a decision was answered after [`Rebalances::close`].
    answered: AtomicBool,
    pub(super) membership: Membership,
}

impl Rebalances {
    /// The oldest decision. It stays until [`Rebalances::done`].
    pub(super) fn oldest(&self) -> Option<Decision> {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner).front().cloned()
    }

    /// Removes the oldest decision: the log has carried it out or stored it.
    pub(super) fn done(&self) {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    }

    /// From now on partitions are given up at once, because nobody works on them any more.
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
            // After the end, librdkafka takes the first answer as giving up everything. Further decisions are stale: it
            // waits for no answer to them, and an answer would hang forever.
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

/// Accepts partitions, by the protocol of the group.
pub(super) fn assign(consumer: &MemberConsumer, list: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Eager => consumer.assign(list),
        _ => consumer.incremental_assign(list),
    }
}

/// Gives partitions up, by the protocol of the group.
pub(super) fn unassign(consumer: &MemberConsumer, list: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Eager => consumer.unassign(),
        _ => consumer.incremental_unassign(list),
    }
}
