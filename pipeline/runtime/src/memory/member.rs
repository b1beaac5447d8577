//! The log of one worker: a member of a consumer group and a transactional producer over the shared broker.

mod commit;
mod inbox;

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rustc_hash::FxHashSet;

use super::broker::Shared;
use super::group::{Change, PartitionIndex};
use super::injection::Fault;
use super::partition::Chunk;
use super::state::State;
use super::transaction::Transaction;
use crate::log::{InboxOffsets, Log, Poll};
use crate::log_error::LogError;
use crate::output::Output;
use crate::record::Record;
use crate::store::EachChange;
use crate::topic::{Topic, TopicPartition};
use commit::SlowCommit;

pub(super) struct MemberConfig {
    pub(super) group: String,
    pub(super) id: String,
}

/// A partition that this member reads.
#[derive(Debug)]
struct Reading {
    place: PartitionIndex,
    partition: TopicPartition,
    position: i64,
    paused: bool,
}

/// A [`Log`] over a [`super::Broker`]. Dropping it leaves the group; a process that is killed does not.
pub struct MemoryLog {
    shared: Arc<Shared>,
    config: MemberConfig,
    topics: Vec<usize>,
    /// The partitions that others owned before this worker joined the group.
    elsewhere: Vec<TopicPartition>,
    token: u64,
    producer: u64,
    epoch: u64,
    readings: Vec<Reading>,
    next_reading: usize,
    transaction: Transaction,
    slow_commit: Option<SlowCommit>,
    pinned: FxHashSet<PartitionIndex>,
    last_size: usize,
    pub(super) dead: bool,
}

/// Records of one partition to pass on: the chunk and the range of its entries.
type Slice = (TopicPartition, Chunk, std::ops::Range<usize>);

impl MemoryLog {
    pub(super) fn open(
        shared: Arc<Shared>,
        config: MemberConfig,
        inboxes: &[&'static Topic],
    ) -> Result<Self, LogError> {
        let mut state = shared.lock();
        let topics = inboxes.iter().map(|topic| state.topic_number(topic.name)).collect::<Result<Vec<_>, _>>()?;
        let (producer, epoch) = state.take_transactional_id(&config.id);
        let token = state.next_number();
        let others = state.groups.get(&config.group).map(|group| group.held_by_others(&config.id)).unwrap_or_default();
        let elsewhere: Vec<TopicPartition> = others.into_iter().map(|place| state.named(place)).collect();
        // Otherwise it joins at its first poll.
        let dead = elsewhere.is_empty() && {
            let topics = topics.clone();
            state.change_group(&config.group, |group, partitions| group.join(&config.id, token, topics, partitions));
            state.injection.dies(|| format!("{} has joined its group", config.id))
        };
        drop(state);
        shared.changed.notify_all();
        Ok(Self {
            shared,
            config,
            topics,
            elsewhere,
            token,
            producer,
            epoch,
            readings: Vec::new(),
            next_reading: 0,
            transaction: Transaction::default(),
            slow_commit: None,
            pinned: FxHashSet::default(),
            last_size: 0,
            dead,
        })
    }

    fn check(&mut self, state: &State) -> Result<(), LogError> {
        if self.dead {
            return Err(LogError::unavailable("the process is gone"));
        }
        if state.producers.get(&self.config.id).is_none_or(|producer| producer.epoch != self.epoch) {
            return Err(LogError::fenced(self.config.id.clone()));
        }
        Ok(())
    }

    /// Refuses a call that is not allowed while a commit is under way.
    fn check_no_commit(&self) -> Result<(), LogError> {
        match self.slow_commit {
            None => Ok(()),
            Some(_) => Err(LogError::fatal("a commit is under way")),
        }
    }

    fn die(&mut self) -> LogError {
        self.dead = true;
        LogError::unavailable("the process was killed by the simulation")
    }

    /// The event to return before any records: lost, revoked or assigned partitions.
    fn next_event(&mut self, state: &mut State) -> Option<Poll> {
        let group = state.groups.get(&self.config.group)?;
        if group.members.get(&self.config.id).is_none_or(|member| member.token != self.token) {
            self.token = state.next_number();
            let (id, token, topics) = (&self.config.id, self.token, self.topics.clone());
            state.change_group(&self.config.group, |group, partitions| group.join(id, token, topics, partitions));
            self.shared.changed.notify_all();
            if !self.readings.is_empty() {
                return Some(Poll::Lost(self.readings.drain(..).map(|reading| reading.partition).collect()));
            }
        }
        let change = state.groups.get_mut(&self.config.group)?.next_change(&self.config.id);
        match change {
            Change::None => None,
            Change::Revoked(places) => {
                for reading in self.readings.iter_mut().filter(|reading| places.contains(&reading.place)) {
                    reading.paused = true;
                }
                Some(Poll::Revoked(places.into_iter().map(|place| state.named(place)).collect()))
            }
            Change::Assigned(places) => {
                for &place in &places {
                    let position = state.next_offset(&self.config.group, place);
                    let partition = state.named(place);
                    self.readings.push(Reading { place, partition, position, paused: true });
                }
                if self.shared.config.last_inbox_first {
                    let topics = &self.topics;
                    let inbox = |place: PartitionIndex| topics.iter().position(|topic| *topic == place.0);
                    self.readings.sort_by_key(|reading| (std::cmp::Reverse(inbox(reading.place)), reading.place.1));
                }
                Some(Poll::Assigned(places.into_iter().map(|place| state.named(place)).collect()))
            }
        }
    }

    /// Takes what can be read now and shares the chunks, so that records are passed on without the mutex.
    fn take_slices(&mut self, state: &mut State, max_records: usize) -> Vec<Slice> {
        let mut left = max_records;
        let mut slices = Vec::new();
        let tick = state.tick;
        let first = if self.shared.config.last_inbox_first { 0 } else { self.next_reading };
        for step in 0..self.readings.len() {
            let number = (first + step) % self.readings.len();
            let reading = &mut self.readings[number];
            if reading.paused || left == 0 {
                continue;
            }
            let log = state.partition(reading.place);
            let stable = log.stable(tick);
            if reading.position >= stable {
                continue;
            }
            for chunk in log.chunks_from(reading.position) {
                let from = chunk.position(reading.position);
                let to = chunk.position(stable).min(from + left);
                if from >= to {
                    break;
                }
                left -= to - from;
                reading.position = chunk.entries[to - 1].offset + 1;
                slices.push((reading.partition, chunk.clone(), from..to));
            }
        }
        self.next_reading = (self.next_reading + 1) % self.readings.len().max(1);
        slices
    }

    /// Injects the faults that a poll can meet.
    fn inject_in_poll(&mut self, state: &mut State, max_records: &mut usize) -> Result<(), LogError> {
        if !state.injection.is_active() {
            return Ok(());
        }
        if state.injection.happens(Fault::CrashInPoll) {
            return Err(self.die());
        }
        if state.injection.happens(Fault::Fence) {
            state.take_transactional_id(&self.config.id);
            return Err(LogError::fenced("by the simulation"));
        }
        if state.injection.happens(Fault::Rebalance) {
            state.change_group(&self.config.group, |group, partitions| group.rotate(partitions));
        }
        self.inject_expulsion(state);
        if state.injection.happens(Fault::Redeliver) {
            self.rewind(state);
        }
        if state.injection.happens(Fault::FewRecords) {
            *max_records = (1 + state.injection.below(3) as usize).min(*max_records);
        }
        Ok(())
    }

    /// Expels any member of the group, dead ones included.
    fn inject_expulsion(&self, state: &mut State) {
        if !state.injection.happens(Fault::Expel) {
            return;
        }
        let members = state.groups.get(&self.config.group).map_or(0, |group| group.members.len());
        let chosen = state.injection.below(members as u64) as usize;
        state.change_group(&self.config.group, |group, partitions| {
            let victim = group.members.keys().nth(chosen).cloned();
            group.leave(&victim.unwrap_or_default(), partitions);
        });
    }

    fn rewind(&mut self, state: &State) {
        for reading in &mut self.readings {
            reading.position = state.next_offset(&self.config.group, reading.place);
        }
    }

    /// Whether the group still lets this member set these offsets.
    fn check_ownership(&self, state: &State, offsets: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        let group = state.groups.get(&self.config.group);
        for (partition, _) in offsets {
            let place = state.place(*partition)?;
            if !group.is_some_and(|group| group.holds(&self.config.id, self.token, place)) {
                return Err(LogError::abortable(format!("{partition} belongs to another member")));
            }
        }
        Ok(())
    }

    /// A moment at which the process may die: an error if it does.
    fn moment(&mut self, state: &mut State, what: &str) -> Result<(), LogError> {
        if state.injection.dies(|| format!("{}: {what}", self.config.id)) { Err(self.die()) } else { Ok(()) }
    }
}

impl Log for MemoryLog {
    fn poll(
        &mut self,
        timeout: Duration,
        mut max_records: usize,
        each: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Poll, LogError> {
        let shared = Arc::clone(&self.shared);
        let deadline = Instant::now() + timeout;
        let mut state = shared.lock();
        self.check(&state)?;
        self.inject_in_poll(&mut state, &mut max_records)?;
        let slices = loop {
            state.tick += 1;
            self.check(&state)?;
            if let Some(event) = self.next_event(&mut state) {
                self.moment(&mut state, "partitions have come or go")?;
                return Ok(event);
            }
            self.check_next_records(&mut state)?;
            let slices = self.take_slices(&mut state, max_records);
            let now = Instant::now();
            if !slices.is_empty() {
                self.moment(&mut state, "records are delivered")?;
            }
            if !slices.is_empty() || now >= deadline {
                break slices;
            }
            state = shared.changed.wait_timeout(state, deadline - now).unwrap_or_else(PoisonError::into_inner).0;
        };
        drop(state);
        let mut count = 0;
        for (origin, chunk, range) in slices {
            count += range.len();
            for entry in &chunk.entries[range] {
                let record = entry.record(&chunk.bytes);
                let (offset, timestamp) = (record.offset, record.timestamp);
                let (key, value, headers) = (record.key, record.value, record.headers);
                each(&Record { origin, offset, timestamp, key, value, headers });
            }
        }
        Ok(if count == 0 { Poll::Idle } else { Poll::Records(count) })
    }

    fn held_by_others(&mut self) -> Result<Vec<TopicPartition>, LogError> {
        Ok(std::mem::take(&mut self.elsewhere))
    }

    fn inbox_offsets(&mut self, partitions: &[TopicPartition]) -> Result<Vec<InboxOffsets>, LogError> {
        self.offsets_of(partitions)
    }

    fn pass_empty(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<Vec<i64>, LogError> {
        self.ends_of_empty(offsets)
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        for reading in self.readings.iter_mut().filter(|reading| partitions.contains(&reading.partition)) {
            reading.paused = false;
        }
        Ok(())
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.check_no_commit()?;
        self.readings.retain(|reading| !partitions.contains(&reading.partition));
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        self.check(&state)?;
        let places = partitions.iter().map(|at| state.place(*at)).collect::<Result<Vec<_>, _>>()?;
        self.moment(&mut state, "partitions will be released")?;
        state.change_group(&self.config.group, |group, _| group.release(&self.config.id, &places));
        self.moment(&mut state, "partitions are released")?;
        drop(state);
        shared.changed.notify_all();
        Ok(())
    }

    fn send(&mut self, output: &Output) -> Result<(), LogError> {
        self.check_no_commit()?;
        if output.is_empty() {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        if shared.config.stable_offsets {
            let mut state = shared.lock();
            self.check(&state)?;
            if state.injection.happens(Fault::Abort) {
                return Err(LogError::abortable("by the simulation"));
            }
            self.moment(&mut state, "records will be sent")?;
            for record in output.records() {
                let at = TopicPartition { topic: record.topic.name, partition: record.partition };
                let place = state.place(at)?;
                if self.pinned.insert(place) {
                    state.partition(place).pin(self.producer);
                    self.moment(&mut state, &format!("records are sent to {at}"))?;
                }
            }
        }
        if self.transaction.is_empty() {
            self.transaction = Transaction::with_capacity(self.last_size.max(output.byte_size()));
        }
        self.transaction.append(output)
    }

    fn begin_commit(&mut self, output: &mut Output, offsets: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        self.send(output)?;
        output.clear();
        self.commit_now_or_later(offsets)
    }

    fn poll_commit(&mut self) -> Option<Result<Instant, LogError>> {
        (!self.answer_is_late()).then(|| self.await_commit())
    }

    fn await_commit(&mut self) -> Result<Instant, LogError> {
        self.end_slow_commit().map(|()| Instant::now())
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.check_no_commit()?;
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        self.check(&state)?;
        self.moment(&mut state, "the transaction will be aborted")?;
        self.pinned.clear();
        let mut batch = std::mem::take(&mut self.transaction).seal();
        if state.control_records {
            // As in Kafka, aborted records and their control record take offsets that nobody sees.
            state.reserve(&mut batch, self.producer)?;
        }
        state.unpin_all(self.producer);
        self.rewind(&state);
        self.moment(&mut state, "the transaction is aborted")?;
        drop(state);
        shared.changed.notify_all();
        Ok(())
    }

    fn restore(&mut self, changelog: TopicPartition, from: i64, each: EachChange<'_>) -> Result<i64, LogError> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        self.check(&state)?;
        self.moment(&mut state, "state is restored")?;
        drop(state);
        shared.restore(changelog, from, each)
    }

    fn end_offset(&mut self, changelog: TopicPartition) -> Result<i64, LogError> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        // As with Kafka, anybody may ask: the answer does not show whether the caller was replaced.
        self.moment(&mut state, "a snapshot will be written")?;
        let place = state.place(changelog)?;
        Ok(state.partition(place).end)
    }
}

impl Drop for MemoryLog {
    fn drop(&mut self) {
        if self.dead {
            return;
        }
        let mut state = self.shared.lock();
        if state.producers.get(&self.config.id).is_some_and(|producer| producer.epoch == self.epoch) {
            state.unpin_all(self.producer);
        }
        let ours = |member: &super::group::Member| member.token == self.token;
        if state.groups.get(&self.config.group).and_then(|group| group.members.get(&self.config.id)).is_some_and(ours) {
            state.change_group(&self.config.group, |group, partitions| group.leave(&self.config.id, partitions));
        }
        drop(state);
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::word_count::{COUNTS, GROUP, INBOXES, LINES, TOPICS, WORDS};
    use crate::log::Producer;
    use crate::memory::{Broker, BrokerConfig};

    #[test]
    fn offsets_of_a_partition_that_moved_to_another_member_cannot_be_committed() {
        let broker = Broker::new(BrokerConfig::like_kafka());
        broker.create_topics(&TOPICS, 2);
        let mut old = broker.open(GROUP, "old", &[&LINES]).unwrap();
        assert!(matches!(old.poll(Duration::ZERO, 1, &mut |_| {}), Ok(Poll::Assigned(_))));
        let mut new = broker.open(GROUP, "new", &[&LINES]).unwrap();
        assert_eq!(new.poll(Duration::ZERO, 1, &mut |_| {}), Ok(Poll::Idle));
        let Ok(Poll::Revoked(moved)) = old.poll(Duration::ZERO, 1, &mut |_| {}) else { panic!("nothing was revoked") };
        let mut output = Output::new(2);
        output.send(&COUNTS, b"zombie", |buffer| buffer.push(1));
        old.send(&output).unwrap();
        old.commit(&[(moved[0], 1)]).expect("the partition is ours until it is released");
        old.release(&moved).unwrap();
        old.send(&output).unwrap();
        assert!(matches!(old.commit(&[(moved[0], 2)]), Err(LogError::Abortable(_))));
        old.abort().unwrap();
        assert_eq!(broker.committed_offset(GROUP, moved[0]), 1);
        let visible: usize = (0..2).map(|partition| broker.read_committed(COUNTS.name, partition).len()).sum();
        assert_eq!(visible, 1);
    }

    #[test]
    fn the_last_inbox_is_read_first_where_that_is_configured() {
        let config = BrokerConfig { last_inbox_first: true, ..BrokerConfig::like_kafka() };
        let broker = Broker::new(config);
        broker.create_topics(&TOPICS, 2);
        let mut log = broker.open(GROUP, "one", &INBOXES).unwrap();
        let Ok(Poll::Assigned(partitions)) = log.poll(Duration::ZERO, 1, &mut |_| {}) else { panic!("not assigned") };
        log.resume(&partitions).unwrap();
        let mut output = Output::new(2);
        for topic in [&LINES, &WORDS, &LINES, &WORDS] {
            output.send(topic, b"key", |buffer| buffer.push(1));
        }
        broker.producer("source").publish(&output).unwrap();
        let mut order = Vec::new();
        while let Ok(Poll::Records(_)) = log.poll(Duration::ZERO, 1, &mut |record| order.push(record.origin.topic)) {}
        assert_eq!(order, [WORDS.name, WORDS.name, LINES.name, LINES.name]);
    }
}
