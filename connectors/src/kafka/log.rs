//! The log of one worker on Kafka: one consumer in the flow's group and one transactional producer.

use std::time::{Duration, Instant};

use rdkafka::consumer::{Consumer, ConsumerGroupMetadata};
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use tributary_runtime::{Headers, InboxOffsets, Log, LogError, Output, Poll, Record, Topic, TopicPartition};

use super::assignment::Assignment;
use super::committer::Committer;
use super::configuration::KafkaConfiguration;
use super::connect::connect;
use super::consumer_errors::ConsumerErrors;
use super::inbox_start::InboxStart;
use super::offsets::{self, BrokerPartition};
use super::orphaned::OrphanWatch;
use super::rebalance::{self, Decision, MemberConsumer, Rebalances};
use super::renewable::Renewable;
use super::restore::ChangelogReader;
use super::transaction::Transactions;
use super::{group, headers, inbox_start, log_error};
use crate::events;

/// The consumer and the transactional producer of one worker.
pub struct KafkaLog {
    // Fields are dropped in this order: the transaction ends before the worker leaves the group.
    committer: Committer,
    consumer: MemberConsumer,
    assignment: Assignment,
    member: Member,
    orphans: OrphanWatch,
    errors: ConsumerErrors,
    /// Partitions that flow again, and for which the client may not fetch yet.
    resumed: Vec<BrokerPartition>,
    changelogs: Renewable<ChangelogReader>,
    configuration: KafkaConfiguration,
    group: String,
    headers: Vec<u8>,
}

/// Where the worker stands in its group.
enum Member {
    /// Not in the group yet: the state of the partitions of other members is read first.
    Waiting { held_by_others: Vec<TopicPartition> },
    /// In the group, or joining it. The group waits for no answer.
    Joined,
    /// The group wants partitions back and waits for the answer.
    Revoking {
        /// Those that the worker has not released yet.
        unreleased: Vec<TopicPartition>,
        /// All of them, for the answer.
        revoked: TopicPartitionList,
    },
}

impl KafkaLog {
    /// Joins `group` as worker `slot` of this process. Ends the transaction that its predecessor left open.
    ///
    /// # Errors
    /// [`LogError`] when the broker cannot be reached or refuses, or when the configuration is wrong.
    pub fn open(
        configuration: &KafkaConfiguration,
        group: &str,
        slot: &str,
        inboxes: &[&'static Topic],
    ) -> Result<Self, LogError> {
        let member: ClientConfig = configuration.member(group, slot);
        let consumer: MemberConsumer = member
            .create_with_context(Rebalances::default())
            .map_err(|error| log_error::from_creation("the consumer", &error))?;
        let assignment = Assignment::new(configuration, inboxes);
        connect(consumer.client());
        let held_by_others = held_by_others(&consumer, &assignment, &configuration.name(group), &member)?;
        let member = if held_by_others.is_empty() {
            join(&consumer, &assignment)?;
            Member::Joined
        } else {
            Member::Waiting { held_by_others }
        };
        // The consumer joins the group meanwhile, unless it waits. No record is read, and no committed offset is asked
        // for, before the producer has ended the transaction that was left open.
        let transactions = Transactions::open(configuration, configuration.transactional_id(group, slot))
            .inspect_err(|_| consumer.context().close())?;
        let changelogs = changelog_reader(configuration, group).inspect_err(|_| consumer.context().close())?;
        Ok(Self {
            committer: Committer::new(transactions),
            consumer,
            assignment,
            member,
            orphans: OrphanWatch::NotJoined,
            errors: ConsumerErrors::default(),
            resumed: Vec::new(),
            changelogs,
            configuration: configuration.clone(),
            group: group.to_owned(),
            headers: Vec::new(),
        })
    }

    /// Carries out the oldest decision of the group that waits for it.
    fn decide(&mut self) -> Result<Option<Poll>, LogError> {
        let Some(decision) = self.consumer.context().oldest() else { return Ok(None) };
        let event = match &decision {
            Decision::Assign(list) => Poll::Assigned(self.accept(list)?),
            Decision::Revoke(list) => Poll::Revoked(self.prepare_to_leave(list)?),
            Decision::Lose(list) => Poll::Lost(self.lose(list)?),
        };
        self.consumer.context().done();
        Ok(Some(event))
    }

    /// Accepts an assignment. The partitions are paused at their committed offsets.
    fn accept(&mut self, list: &TopicPartitionList) -> Result<Vec<TopicPartition>, LogError> {
        let partitions = self.assignment.partitions_of(list);
        let starts = self.starts(&partitions)?;
        // Before the worker resumes a partition, it checks that the next record is there.
        let offsets: Vec<_> = starts.iter().map(|start| (start.partition, Offset::Offset(start.next()))).collect();
        let assigned = self.assignment.list(&offsets)?;
        self.orphans.answering(&self.consumer, &self.assignment, partitions.is_empty())?;
        rebalance::assign(&self.consumer, &assigned)
            .map_err(|error| log_error::from_call("accepting an assignment", &error))?;
        if assigned.count() > 0 {
            self.consumer.pause(&assigned).map_err(|error| log_error::from_call("pausing new partitions", &error))?;
        }
        for start in &starts {
            self.assignment.insert(start.partition, start.next());
        }
        self.orphans.assigned(&self.consumer, &self.assignment)?;
        // The client stopped fetching during the rebalance.
        self.resumed.extend(self.assignment.flowing());
        Ok(partitions)
    }

    /// Where the group is in partitions, and their first offsets.
    fn starts(&self, partitions: &[TopicPartition]) -> Result<Vec<InboxStart>, LogError> {
        inbox_start::ask(&self.consumer, partitions, &self.named(partitions), self.configuration.call_timeout())
    }

    /// Partitions by their names on the broker.
    fn named(&self, partitions: &[TopicPartition]) -> Vec<BrokerPartition> {
        let named = |partition: &TopicPartition| (self.configuration.name(partition.topic), partition.partition);
        partitions.iter().map(named).collect()
    }

    /// Stops the flow of partitions that have to be given up.
    fn prepare_to_leave(&mut self, revoked: &TopicPartitionList) -> Result<Vec<TopicPartition>, LogError> {
        let partitions = self.assignment.partitions_of(revoked);
        if partitions.is_empty() {
            self.answer_revocation(revoked)?;
            return Ok(partitions);
        }
        for partition in &partitions {
            if let Some(progress) = self.assignment.progress(*partition) {
                progress.flowing = false;
            }
        }
        self.member = Member::Revoking { unreleased: partitions.clone(), revoked: revoked.clone() };
        self.consumer.pause(revoked).map_err(|error| log_error::from_call("pausing revoked partitions", &error))?;
        Ok(partitions)
    }

    /// Tells the group that the partitions it wanted back are free.
    fn answer_revocation(&mut self, revoked: &TopicPartitionList) -> Result<(), LogError> {
        self.member = Member::Joined;
        rebalance::unassign(&self.consumer, revoked)
            .map_err(|error| log_error::from_call("giving partitions up", &error))
    }

    /// Drops partitions that another member already has.
    fn lose(&mut self, list: &TopicPartitionList) -> Result<Vec<TopicPartition>, LogError> {
        let partitions = self.assignment.partitions_of(list);
        rebalance::unassign(&self.consumer, list).map_err(|error| log_error::from_call("losing partitions", &error))?;
        for partition in &partitions {
            self.assignment.remove(*partition);
        }
        if let Member::Revoking { unreleased, .. } = &mut self.member {
            unreleased.retain(|partition| !partitions.contains(partition));
        }
        Ok(partitions)
    }

    /// The member in whose name offsets are committed, in the current generation of the group.
    ///
    /// A member whose session has expired forgets its member id. While a group is empty, the broker accepts offsets
    /// without a member id from anybody, and they would replace those of the next owner of the partitions. So this
    /// checks, after it has read the id, that the partitions are still assigned. If they are lost later, the offsets
    /// carry the old id and the broker refuses them.
    fn committing_member(&self) -> Result<ConsumerGroupMetadata, LogError> {
        // Read each time: every rebalance begins a new generation of the group.
        let member = self.consumer.group_metadata();
        if self.consumer.assignment_lost() {
            return Err(LogError::abortable("the group has given the partitions to other members"));
        }
        member.ok_or_else(|| LogError::fatal("the consumer has no group; set a group name"))
    }

    /// Returns the consumer to the committed offsets.
    fn rewind(&mut self) -> Result<(), LogError> {
        let ahead = self.assignment.ahead()?;
        self.assignment.rewind();
        if ahead.count() == 0 {
            return Ok(());
        }
        let what = "returning to the committed offsets";
        let sought = self
            .consumer
            .seek_partitions(ahead, self.configuration.call_timeout())
            .map_err(|error| log_error::from_call(what, &error))?;
        for element in sought.elements() {
            element.error().map_err(|error| log_error::from_call(what, &error))?;
        }
        Ok(())
    }

    /// Makes the client fetch resumed partitions at once.
    ///
    /// While all partitions are paused, the connections of the client sleep for up to a second. Resuming does not wake
    /// them, but a request to the leaders does. If the request fails, they wake by themselves.
    fn wake_connections(&mut self) {
        if self.resumed.is_empty() {
            return;
        }
        let resumed = std::mem::take(&mut self.resumed);
        if let Err(error) = offsets::first(&self.consumer, &resumed, Duration::from_secs(1)) {
            events::resumed_partitions_unanswered(&error);
        }
    }

    /// Makes the client check whether a heartbeat is due. An idle client checks only every half second, and partitions
    /// move only after the heartbeat of each member.
    fn wake_member(&self) {
        drop(self.consumer.group_metadata());
    }

    /// Ends like a killed process: the transaction stays open, and the group is not informed.
    #[cfg(test)]
    pub(super) fn kill(mut self) {
        if let Ok(transactions) = self.committer.transactions() {
            transactions.forget();
        }
    }
}

impl Member {
    /// Whether the group wants this partition back and the worker has not released it yet.
    fn gives_up(&self, partition: TopicPartition) -> bool {
        matches!(self, Self::Revoking { unreleased, .. } if unreleased.contains(&partition))
    }
}

impl Log for KafkaLog {
    fn poll(
        &mut self,
        timeout: Duration,
        max_records: usize,
        each: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Poll, LogError> {
        if matches!(self.member, Member::Waiting { .. }) {
            join(&self.consumer, &self.assignment)?;
            self.member = Member::Joined;
        }
        if let Some(event) = self.decide()? {
            return Ok(event);
        }
        self.wake_connections();
        self.errors.look(&self.group);
        self.orphans.look(&self.consumer, &self.assignment, || self.configuration.name(&self.group))?;
        let mut count = 0;
        let mut wait = timeout;
        while count < max_records {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    count += usize::from(hand_out(&message, &mut self.assignment, &mut self.headers, each));
                    wait = Duration::ZERO;
                }
                Some(Err(error)) => {
                    self.errors.take(&self.consumer, &self.group, &error)?;
                    break;
                }
                None => break,
            }
        }
        if count > 0 {
            self.consumer.context().membership.note_well();
            return Ok(Poll::Records(count));
        }
        self.wake_member();
        if let Some(event) = self.decide()? {
            return Ok(event);
        }
        if self.consumer.context().membership.is_stuck() {
            return Err(LogError::unavailable(format!(
                "the consumer of group {} cannot join or stay in it",
                self.group
            )));
        }
        Ok(Poll::Idle)
    }

    fn held_by_others(&mut self) -> Result<Vec<TopicPartition>, LogError> {
        Ok(match &mut self.member {
            Member::Waiting { held_by_others } => std::mem::take(held_by_others),
            Member::Joined | Member::Revoking { .. } => Vec::new(),
        })
    }

    fn inbox_offsets(&mut self, partitions: &[TopicPartition]) -> Result<Vec<InboxOffsets>, LogError> {
        let starts = self.starts(partitions)?;
        let named = self.named(partitions);
        // Committed offsets are known. An open transaction must not hide the end that they are compared with.
        let ends = self.changelogs.ask(|reader| reader.ends(&named))?;
        let offsets = starts.iter().zip(ends);
        Ok(offsets.map(|(at, end)| InboxOffsets { committed: at.committed, start: at.first, end }).collect())
    }

    fn pass_empty(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<Vec<i64>, LogError> {
        let partitions: Vec<TopicPartition> = offsets.iter().map(|(partition, _)| *partition).collect();
        let named = self.named(&partitions);
        let asked: Vec<i64> = offsets.iter().map(|(_, offset)| *offset).collect();
        self.changelogs.ask(|reader| reader.pass_empty(&named, &asked))
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        let mut resumed = Vec::with_capacity(partitions.len());
        for partition in partitions {
            if self.member.gives_up(*partition) {
                continue;
            }
            if let Some(progress) = self.assignment.progress(*partition) {
                progress.flowing = true;
                self.resumed.push((self.configuration.name(partition.topic), partition.partition));
                resumed.push((*partition, Offset::Offset(progress.position)));
            }
        }
        let list = self.assignment.list(&resumed)?;
        if list.count() == 0 {
            return Ok(());
        }
        self.consumer.resume(&list).map_err(|error| log_error::from_call("resuming partitions", &error))
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        let Member::Revoking { unreleased, revoked } = &mut self.member else { return Ok(()) };
        if unreleased.is_empty() {
            return Ok(());
        }
        for partition in partitions {
            if unreleased.contains(partition) {
                self.assignment.remove(*partition);
            }
        }
        unreleased.retain(|partition| !partitions.contains(partition));
        if !unreleased.is_empty() {
            return Ok(());
        }
        // The group takes the first answer as the answer for all. So there is one, when all partitions are free.
        let revoked = std::mem::take(revoked);
        self.answer_revocation(&revoked)
    }

    fn send(&mut self, output: &Output) -> Result<(), LogError> {
        self.committer.transactions()?.send(output)
    }

    fn begin_commit(&mut self, output: &mut Output, offsets: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        let named: Vec<_> = offsets.iter().map(|(partition, offset)| (*partition, Offset::Offset(*offset))).collect();
        let list = self.assignment.list(&named)?;
        if list.count() == 0 {
            let nothing = !self.committer.is_open() && output.is_empty();
            return if nothing { Ok(()) } else { self.committer.begin(output, offsets, None) };
        }
        let member = self.committing_member()?;
        self.committer.begin(output, offsets, Some((list, member)))
    }

    fn poll_commit(&mut self) -> Option<Result<Instant, LogError>> {
        let outcome = self.committer.poll()?;
        Some(outcome.map(|committed| self.assignment.note_committed(&committed)))
    }

    fn await_commit(&mut self) -> Result<Instant, LogError> {
        let committed = self.committer.wait()?;
        Ok(self.assignment.note_committed(&committed))
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.committer.transactions()?.abort()?;
        self.rewind()
    }

    fn restore(
        &mut self,
        changelog: TopicPartition,
        from: i64,
        each: &mut dyn FnMut(&[u8], Option<&[u8]>),
    ) -> Result<i64, LogError> {
        let partition = (self.configuration.name(changelog.topic), changelog.partition);
        self.changelogs.ask(|reader| reader.restore(&partition, from, each))
    }

    fn end_offset(&mut self, changelog: TopicPartition) -> Result<i64, LogError> {
        // Between two transactions of its only writer, the partition holds no uncommitted record.
        let partition = (self.configuration.name(changelog.topic), changelog.partition);
        self.changelogs.ask(|reader| reader.settled_end(&partition))
    }
}

fn changelog_reader(configuration: &KafkaConfiguration, group: &str) -> Result<Renewable<ChangelogReader>, LogError> {
    let (configuration, group) = (configuration.clone(), group.to_owned());
    Renewable::new(move || ChangelogReader::new(&configuration, &group))
}

fn join(consumer: &MemberConsumer, assignment: &Assignment) -> Result<(), LogError> {
    consumer.subscribe(&assignment.names()).map_err(|error| log_error::from_call("joining the group", &error))
}

/// The partitions of other members, when the group is active and does not know this worker. A group that cannot be
/// described is joined at once.
fn held_by_others(
    consumer: &MemberConsumer,
    assignment: &Assignment,
    group: &str,
    member: &ClientConfig,
) -> Result<Vec<TopicPartition>, LogError> {
    let held = group::held_by_others(consumer, group, member.get("group.instance.id")).unwrap_or_else(|error| {
        events::joining_without_knowing_others(group, &error);
        Vec::new()
    });
    let named = held.iter().map(|(topic, partition)| (topic.as_str(), *partition, Offset::Invalid));
    Ok(assignment.partitions_of(&offsets::list(named)?))
}

/// Hands a record to the worker, if its partition flows.
fn hand_out(
    message: &BorrowedMessage<'_>,
    assignment: &mut Assignment,
    buffer: &mut Vec<u8>,
    each: &mut dyn FnMut(&Record<'_>),
) -> bool {
    let Some((origin, progress, time_header)) = assignment.find(message.topic(), message.partition()) else {
        return false;
    };
    if !progress.flowing {
        return false;
    }
    let timestamp = headers::from_wire(message.timestamp().to_millis(), message.headers(), time_header, buffer);
    progress.position = message.offset() + 1;
    each(&Record {
        origin,
        offset: message.offset(),
        timestamp,
        key: message.key().unwrap_or_default(),
        value: message.payload(),
        headers: Headers::from_bytes(buffer),
    });
    true
}

impl Drop for KafkaLog {
    /// Leaves the group cleanly. Every decision that the group waits for is answered first, or it would wait forever.
    fn drop(&mut self) {
        // A commit that is under way ends before the worker leaves its group. It ends in bounded time, because the call
        // that may hang is given up.
        let _ = self.committer.wait();
        let consumer = &self.consumer;
        // This fetches a decision that has arrived but was not polled.
        let _ = consumer.poll(Duration::ZERO);
        consumer.context().close();
        if let Member::Revoking { revoked, .. } = &self.member {
            let _ = rebalance::unassign(consumer, revoked);
        }
        while let Some(decision) = consumer.context().oldest() {
            let _ = match &decision {
                Decision::Assign(list) => rebalance::assign(consumer, list),
                Decision::Revoke(list) | Decision::Lose(list) => rebalance::unassign(consumer, list),
            };
            consumer.context().done();
        }
    }
}
