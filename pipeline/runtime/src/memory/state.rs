//! The state that the broker guards with its one mutex: topics, groups, producers and the injection of faults.

use rustc_hash::FxHashMap;

use super::broker::Retention;
use super::group::{Group, PartitionIndex};
use super::injection::{Fault, Injection};
use super::partition::PartitionLog;
use super::transaction::Batch;
use crate::log_error::LogError;
use crate::topic::{Cleanup, Role, Topic, TopicPartition};

/// A topic with its partitions.
#[derive(Debug)]
pub(super) struct TopicState {
    pub(super) topic: &'static Topic,
    pub(super) partitions: Vec<PartitionLog>,
}

/// A transactional id.
#[derive(Debug, Default)]
pub(super) struct ProducerState {
    /// Number of the transactional id, names it in pins.
    pub(super) id: u64,
    /// Rises with each producer that takes over the id: older ones are fenced.
    pub(super) epoch: u64,
    /// A commit whose outcome the dead producer never learned, and the outcome; `None` leaves it to chance.
    pub(super) undecided: Option<(Batch, Option<bool>)>,
}

/// Everything under the mutex.
#[derive(Debug)]
pub(super) struct State {
    pub(super) topics: Vec<TopicState>,
    by_name: FxHashMap<&'static str, usize>,
    pub(super) groups: FxHashMap<String, Group>,
    pub(super) producers: FxHashMap<String, ProducerState>,
    pub(super) retention: Retention,
    pub(super) control_records: bool,
    pub(super) injection: Injection,
    pub(super) tick: u64,
    next_number: u64,
}

impl State {
    pub(super) fn new(retention: Retention, control_records: bool, injection: Injection) -> Self {
        Self {
            topics: Vec::new(),
            by_name: FxHashMap::default(),
            groups: FxHashMap::default(),
            producers: FxHashMap::default(),
            retention,
            control_records,
            injection,
            tick: 0,
            next_number: 0,
        }
    }

    pub(super) fn create_topic(&mut self, topic: &'static Topic, flow_partitions: i32) {
        if self.by_name.contains_key(topic.name) {
            return;
        }
        let partitions = (0..topic.partition_count(flow_partitions)).map(|_| PartitionLog::new()).collect();
        self.by_name.insert(topic.name, self.topics.len());
        self.topics.push(TopicState { topic, partitions });
    }

    pub(super) fn topic_number(&self, name: &str) -> Result<usize, LogError> {
        let number = self.by_name.get(name).copied();
        number.ok_or_else(|| LogError::fatal(format!("topic {name} does not exist")))
    }

    pub(super) fn place(&self, partition: TopicPartition) -> Result<PartitionIndex, LogError> {
        let topic = self.topic_number(partition.topic)?;
        if usize::try_from(partition.partition).is_ok_and(|number| number < self.topics[topic].partitions.len()) {
            return Ok((topic, partition.partition));
        }
        Err(LogError::fatal(format!("partition {partition} does not exist")))
    }

    pub(super) fn partition(&mut self, place: PartitionIndex) -> &mut PartitionLog {
        &mut self.topics[place.0].partitions[place.1 as usize]
    }

    pub(super) fn named(&self, place: PartitionIndex) -> TopicPartition {
        TopicPartition { topic: self.topics[place.0].topic.name, partition: place.1 }
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// The next offset that a group reads, if it has committed one.
    pub(super) fn committed_offset(&self, group: &str, place: PartitionIndex) -> Option<i64> {
        self.groups.get(group).and_then(|group| group.offsets.get(&place)).copied()
    }

    /// The next offset that a group reads: the committed one, or the first that is still there.
    pub(super) fn next_offset(&self, group: &str, place: PartitionIndex) -> i64 {
        let start = self.topics[place.0].partitions[place.1 as usize].start;
        self.committed_offset(group, place).unwrap_or(start)
    }

    /// Changes a group; `change` also gets the number of partitions of each topic.
    pub(super) fn change_group(&mut self, name: &str, change: impl FnOnce(&mut Group, &dyn Fn(usize) -> i32)) {
        let topics = &self.topics;
        let partitions = |topic: usize| topics[topic].partitions.len() as i32;
        change(self.groups.entry(name.to_owned()).or_default(), &partitions);
    }

    /// Passes a transactional id to a new producer: fences older ones and decides the transactions they left open.
    pub(super) fn take_transactional_id(&mut self, id: &str) -> (u64, u64) {
        self.end_transactions_of(id);
        let number = self.next_number();
        let producer = self.producers.entry(id.to_owned()).or_default();
        if producer.id == 0 {
            producer.id = number;
        }
        producer.epoch += 1;
        (producer.id, producer.epoch)
    }

    /// Decides a commit without outcome and drops an open transaction, as the transaction coordinator does.
    pub(super) fn end_transactions_of(&mut self, id: &str) {
        let Some(producer) = self.producers.get_mut(id) else { return };
        let (number, undecided) = (producer.id, producer.undecided.take());
        if let Some((batch, outcome)) = undecided {
            if let Some(group) = batch.group.clone() {
                let places: Vec<PartitionIndex> =
                    batch.offsets.iter().filter_map(|(at, _)| self.place(*at).ok()).collect();
                self.change_group(&group, |group, _| group.undecided.retain(|place| !places.contains(place)));
            }
            if outcome.unwrap_or_else(|| self.injection.chance(0.5)) {
                self.publish(batch, number, usize::MAX);
            }
        }
        self.unpin_all(number);
    }

    pub(super) fn unpin_all(&mut self, producer: u64) {
        for partition in self.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            partition.unpin(producer);
        }
    }

    /// Assigns offsets to the records of a batch, and holds back readers until it is published.
    pub(super) fn reserve(&mut self, batch: &mut Batch, producer: u64) -> Result<(), LogError> {
        let marker = usize::from(self.control_records);
        for part in &batch.parts {
            self.place(TopicPartition { topic: part.topic.name, partition: part.partition })?;
        }
        for part in &mut batch.parts {
            let topic = self.topic_number(part.topic.name)?;
            let partition = self.partition((topic, part.partition));
            partition.pin(producer);
            let base = partition.reserve(part.entries.len() + marker);
            for (entry, offset) in part.entries.iter_mut().zip(base..) {
                entry.offset = offset;
            }
        }
        Ok(())
    }

    /// Makes a batch visible, with the progress of its group: at once in the first `prompt` partitions, late in the
    /// others.
    pub(super) fn publish(&mut self, batch: Batch, producer: u64, prompt: usize) {
        if let Some(group) = batch.group.clone() {
            self.set_offsets(&group, &batch.offsets);
        }
        for (number, (topic, partition, chunk)) in batch.into_chunks().enumerate() {
            let Ok(topic) = self.topic_number(topic.name) else { continue };
            let place = (topic, partition);
            let late = number >= prompt || self.injection.happens(Fault::Delay);
            let delay = if late { self.injection.below(20) } else { 0 };
            let (tick, kept) = (self.tick, self.keeps(topic));
            let log = self.partition(place);
            if kept == Kept::ByKey {
                log.compact_if_worthwhile(tick);
            }
            log.unpin(producer);
            if kept == Kept::Nothing {
                continue;
            }
            if let (true, Some(first)) = (delay > 0, chunk.records().next()) {
                log.delay(first.offset, tick + delay);
            }
            log.insert(chunk);
        }
    }

    pub(super) fn set_offsets(&mut self, group: &str, offsets: &[(TopicPartition, i64)]) {
        let places: Vec<(PartitionIndex, i64)> =
            offsets.iter().filter_map(|(at, offset)| Some((self.place(*at).ok()?, *offset))).collect();
        let entry = self.groups.entry(group.to_owned()).or_default();
        entry.offsets.extend(places.iter().copied());
        if self.retention == Retention::All {
            return;
        }
        for (place, _) in places {
            let readers = self.groups.values().filter(|group| group.reads(place.0));
            let read = readers.map(|group| group.offsets.get(&place).copied().unwrap_or(0)).min();
            if let Some(read) = read {
                self.partition(place).drop_below(read);
            }
        }
    }

    fn keeps(&self, topic: usize) -> Kept {
        let declared = self.topics[topic].topic;
        let compact = declared.cleanup == Cleanup::Compact || declared.role == Role::Changelog;
        let awaited = declared.role.is_inbox() || self.groups.values().any(|group| group.reads(topic));
        match self.retention {
            Retention::All => Kept::All,
            _ if awaited => Kept::All,
            Retention::ByKey if compact => Kept::ByKey,
            Retention::ByKey | Retention::Unread => Kept::Nothing,
        }
    }
}

/// What a topic's partitions keep in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    All,
    ByKey,
    Nothing,
}
