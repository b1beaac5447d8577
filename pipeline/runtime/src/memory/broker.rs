//! The broker: the one mutex, commits, and what the embedded log asks for.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[cfg(any(test, feature = "faults"))]
use super::faults::Faults;
use super::injection::Injection;
use super::member::{MemberConfig, MemoryLog};
use super::partition::{BufferWriter, Chunk, StoredRecord};
use super::state::State;
use super::transaction::{Batch, Transaction};
use crate::log::{Lag, Producer};
use crate::log_error::LogError;
use crate::output::Output;
use crate::record::{Headers, TimestampMillis};
use crate::store::EachChange;
use crate::topic::{Topic, TopicPartition};

/// How long [`Broker`] waits before a restore for the open transaction of another producer.
const STABLE_WAIT: Duration = Duration::from_secs(10);

/// Which records stay in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// Everything, for tests.
    All,
    /// Inbox records until all groups have committed them; of changelogs and compact topics the newest of each key.
    ByKey,
    /// Inbox records until all groups have committed them, nothing else: [`Durability`] holds the changelogs.
    Unread,
}

/// The configuration of a broker.
#[derive(Debug, Clone, Copy)]
pub struct BrokerConfig {
    /// Which records stay in memory.
    pub retention: Retention,
    /// Whether each transaction leaves a control record, so that offsets have gaps as in Kafka.
    pub control_records: bool,
    /// Whether an open transaction holds back later records of its partitions, as in Kafka.
    pub stable_offsets: bool,
    /// Whether a member reads its last inbox first, and others only when that one is empty. With stages in the order of
    /// the flow this keeps few records in flight: what has begun is finished before more is read.
    pub last_inbox_first: bool,
    /// Faults to inject.
    #[cfg(any(test, feature = "faults"))]
    pub faults: Option<Faults>,
}

impl BrokerConfig {
    /// Like Kafka, for tests.
    pub fn like_kafka() -> Self {
        Self {
            retention: Retention::All,
            control_records: true,
            stable_offsets: true,
            last_inbox_first: false,
            #[cfg(any(test, feature = "faults"))]
            faults: None,
        }
    }

    /// For the embedded log: without the parts of Kafka's behaviour that one process does not need.
    pub fn embedded(retention: Retention) -> Self {
        Self {
            retention,
            control_records: false,
            stable_offsets: false,
            last_inbox_first: true,
            #[cfg(any(test, feature = "faults"))]
            faults: None,
        }
    }
}

/// Adds durability to a broker.
pub trait Durability: Send + Sync {
    /// Writes a batch atomically. Called without the broker's mutex, by several threads at once, when the records have
    /// their offsets. The batch becomes visible when this returns `Ok`; after an `Err` it never does.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] or [`LogError::Fatal`], returned to the caller of the commit.
    fn write(&self, batch: &Batch) -> Result<(), LogError>;

    /// Serves [`crate::Log::restore`] from what was written. `None` to read from the broker's memory instead.
    fn restore(&self, changelog: TopicPartition, from: i64, each: EachChange<'_>) -> Option<Result<i64, LogError>> {
        let _ = (changelog, from, each);
        None
    }
}

pub(super) struct Shared {
    pub(super) config: BrokerConfig,
    durability: Option<Box<dyn Durability>>,
    state: Mutex<State>,
    pub(super) changed: Condvar,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits a batch. Records get their offsets under the mutex, and are written durably without it. Readers do not
    /// see them before that has succeeded; in partitions after the first `prompt` ones they see them even later.
    pub(super) fn commit(&self, mut batch: Batch, producer: u64, prompt: usize) -> Result<(), LogError> {
        let Some(durability) = &self.durability else {
            let mut state = self.lock();
            state.reserve(&mut batch, producer)?;
            state.publish(batch, producer, prompt);
            drop(state);
            self.changed.notify_all();
            return Ok(());
        };
        self.lock().reserve(&mut batch, producer)?;
        let written = durability.write(&batch);
        let mut state = self.lock();
        match written {
            Ok(()) => state.publish(batch, producer, prompt),
            Err(_) => state.unpin_all(producer),
        }
        drop(state);
        self.changed.notify_all();
        written
    }

    /// Reads a changelog from `from` to its end.
    pub(super) fn restore(&self, changelog: TopicPartition, from: i64, each: EachChange<'_>) -> Result<i64, LogError> {
        if let Some(answer) = self.durability.as_ref().and_then(|durability| durability.restore(changelog, from, each))
        {
            return answer;
        }
        let (chunks, stable) = self.stable_chunks(changelog, from)?;
        for chunk in chunks {
            for entry in &chunk.entries[chunk.position(from)..chunk.position(stable)] {
                let record = entry.record(&chunk.bytes);
                each(record.key, record.value);
            }
        }
        Ok(stable)
    }

    /// Waits until the partition has no open transaction, then returns its chunks, shared.
    fn stable_chunks(&self, partition: TopicPartition, from: i64) -> Result<(Vec<Chunk>, i64), LogError> {
        let deadline = Instant::now() + STABLE_WAIT;
        let mut state = self.lock();
        let place = state.place(partition)?;
        loop {
            state.tick += 1;
            let (tick, simulated) = (state.tick, state.injection.is_active());
            let log = state.partition(place);
            let end = log.end;
            let text = || format!("{partition} holds offsets {} to {end}, not {from}", log.start);
            if from < log.start {
                return Err(LogError::truncated(text()));
            }
            if from > end {
                return Err(LogError::offset_out_of_range(text()));
            }
            let stable = log.stable(tick);
            if stable == end {
                return Ok((log.chunks_from(from).cloned().collect(), stable));
            }
            if simulated || Instant::now() >= deadline {
                return Err(LogError::unavailable(format!("{partition} has an open transaction")));
            }
            let wait = Duration::from_millis(5);
            state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// An in-process broker. Clones share it.
#[derive(Clone)]
pub struct Broker(pub(super) Arc<Shared>);

impl Broker {
    /// A broker that keeps records in memory only.
    pub fn new(config: BrokerConfig) -> Self {
        Self::build(config, None)
    }

    /// A broker that makes each commit durable before it becomes visible.
    pub fn durable(config: BrokerConfig, durability: Box<dyn Durability>) -> Self {
        Self::build(config, Some(durability))
    }

    fn build(config: BrokerConfig, durability: Option<Box<dyn Durability>>) -> Self {
        #[cfg(any(test, feature = "faults"))]
        let injection = Injection::new(config.faults);
        #[cfg(not(any(test, feature = "faults")))]
        let injection = Injection;
        let state = Mutex::new(State::new(config.retention, config.control_records, injection));
        Self(Arc::new(Shared { config, durability, state, changed: Condvar::new() }))
    }

    /// Creates the topics that do not exist yet.
    pub fn create_topics(&self, topics: &[&'static Topic], flow_partitions: i32) {
        let mut state = self.0.lock();
        for topic in topics {
            state.create_topic(topic, flow_partitions);
        }
    }

    /// Loads records of a partition at start, in order of their offsets, which are kept.
    ///
    /// # Errors
    /// [`LogError::Fatal`] when the partition does not exist.
    pub fn load_records<'a>(
        &self,
        partition: TopicPartition,
        records: impl Iterator<Item = StoredRecord<'a>>,
    ) -> Result<(), LogError> {
        let mut buffer = BufferWriter::default();
        let entries: Vec<_> = records.map(|record| buffer.push(record)).collect();
        let mut state = self.0.lock();
        let place = state.place(partition)?;
        let log = state.partition(place);
        log.end = log.end.max(entries.last().map_or(0, |entry| entry.offset + 1));
        log.insert(Chunk { bytes: Arc::new(buffer.bytes), entries: Arc::new(entries) });
        drop(state);
        self.0.changed.notify_all();
        Ok(())
    }

    /// Sets the next offset of a partition, at start.
    ///
    /// # Errors
    /// [`LogError::Fatal`] when the partition does not exist.
    pub fn load_end(&self, partition: TopicPartition, end: i64) -> Result<(), LogError> {
        let mut state = self.0.lock();
        let place = state.place(partition)?;
        let log = state.partition(place);
        log.end = log.end.max(end);
        Ok(())
    }

    /// Sets a group's next offset to read, at start.
    ///
    /// # Errors
    /// [`LogError::Fatal`] when the partition does not exist.
    pub fn load_offset(&self, group: &str, partition: TopicPartition, offset: i64) -> Result<(), LogError> {
        let mut state = self.0.lock();
        state.place(partition)?;
        state.set_offsets(group, &[(partition, offset)]);
        Ok(())
    }

    /// The log of one worker: a member of `group` that reads `inboxes`, with this transactional id, which is also
    /// the member's name. An earlier log with the same id is fenced.
    ///
    /// # Errors
    /// [`LogError::Fatal`] when a topic does not exist.
    pub fn open(&self, group: &str, transactional_id: &str, inboxes: &[&'static Topic]) -> Result<MemoryLog, LogError> {
        let config = MemberConfig { group: group.to_owned(), id: transactional_id.to_owned() };
        MemoryLog::open(Arc::clone(&self.0), config, inboxes)
    }

    /// A producer for connectors.
    pub fn producer(&self, transactional_id: &str) -> MemoryProducer {
        let (producer, epoch) = self.0.lock().take_transactional_id(transactional_id);
        MemoryProducer { shared: Arc::clone(&self.0), id: transactional_id.to_owned(), producer, epoch }
    }

    /// The end of a partition for readers: commits below it are visible, and no other record will become visible there.
    ///
    /// # Errors
    /// [`LogError::Fatal`] when the partition does not exist.
    pub fn stable_end(&self, partition: TopicPartition) -> Result<i64, LogError> {
        let mut state = self.0.lock();
        let place = state.place(partition)?;
        let tick = state.tick;
        Ok(state.partition(place).stable(tick))
    }

    /// What these groups have left to read of these topics.
    pub fn lag(&self, inboxes: Vec<(String, &'static Topic)>) -> MemoryLag {
        MemoryLag { shared: Arc::clone(&self.0), inboxes }
    }
}

/// A visible record, owned, for tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedRecord {
    /// Its offset.
    pub offset: i64,
    /// When what it tells happened.
    pub timestamp: TimestampMillis,
    /// The key.
    pub key: Vec<u8>,
    /// The value, or `None` for a tombstone.
    pub value: Option<Vec<u8>>,
    /// The headers in compact form.
    pub headers: Vec<u8>,
}

impl OwnedRecord {
    /// The headers.
    pub fn headers(&self) -> Headers<'_> {
        Headers::from_bytes(&self.headers)
    }
}

impl From<StoredRecord<'_>> for OwnedRecord {
    fn from(record: StoredRecord<'_>) -> Self {
        Self {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.to_vec(),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers.as_bytes().to_vec(),
        }
    }
}

/// The producer of a connector.
pub struct MemoryProducer {
    shared: Arc<Shared>,
    id: String,
    producer: u64,
    epoch: u64,
}

impl Producer for MemoryProducer {
    fn publish(&mut self, output: &Output) -> Result<(), LogError> {
        if self.shared.lock().producers.get(&self.id).is_none_or(|producer| producer.epoch != self.epoch) {
            return Err(LogError::fenced(self.id.clone()));
        }
        let mut transaction = Transaction::with_capacity(output.byte_size());
        transaction.append(output)?;
        if transaction.is_empty() {
            return Ok(());
        }
        self.shared.commit(transaction.seal(), self.producer, usize::MAX)
    }
}

/// What groups have left to read, counted at one moment.
pub struct MemoryLag {
    shared: Arc<Shared>,
    inboxes: Vec<(String, &'static Topic)>,
}

impl Lag for MemoryLag {
    fn lag(&self) -> Result<u64, LogError> {
        let state = self.shared.lock();
        let mut lag = 0;
        for (group, topic) in &self.inboxes {
            let number = state.topic_number(topic.name)?;
            for (partition, log) in state.topics[number].partitions.iter().enumerate() {
                lag += log.count_from(state.next_offset(group, (number, partition as i32)));
            }
        }
        Ok(lag)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::conformance::word_count::{COUNTS, GROUP, INBOXES, LINES, TOPICS};
    use crate::log::{Log, Poll};

    /// What a durability wrote, by topic.
    type Written = Arc<Mutex<Vec<(String, i32, i64, Vec<u8>)>>>;

    struct Disk {
        full: Arc<AtomicBool>,
        written: Written,
    }

    impl Durability for Disk {
        fn write(&self, batch: &Batch) -> Result<(), LogError> {
            if self.full.load(Ordering::Relaxed) {
                return Err(LogError::unavailable("disk full"));
            }
            let mut written = self.written.lock().unwrap();
            for part in batch.parts() {
                let name = part.topic().name.to_owned();
                let records = part.records();
                written.extend(records.map(|it| (name.clone(), part.partition(), it.offset, it.key.to_vec())));
            }
            Ok(())
        }
    }

    fn output(topic: &'static Topic, key: &[u8]) -> Output {
        let mut output = Output::new(1);
        output.send(topic, key, |buffer| buffer.push(1));
        output
    }

    #[test]
    fn what_is_not_durable_never_becomes_visible() {
        let (full, written) = (Arc::new(AtomicBool::new(true)), Written::default());
        let disk = Disk { full: Arc::clone(&full), written: Arc::clone(&written) };
        let broker = Broker::durable(BrokerConfig::embedded(Retention::All), Box::new(disk));
        broker.create_topics(&TOPICS, 1);
        let mut producer = broker.producer("p");
        assert!(producer.publish(&output(&COUNTS, b"lost")).is_err());
        full.store(false, Ordering::Relaxed);
        producer.publish(&output(&COUNTS, b"kept")).unwrap();
        let keys: Vec<Vec<u8>> = broker.read_committed(COUNTS.name, 0).into_iter().map(|record| record.key).collect();
        assert_eq!(keys, [b"kept"]);
        assert_eq!(*written.lock().unwrap(), [(COUNTS.name.to_owned(), 0, 1, b"kept".to_vec())]);
    }

    #[test]
    fn consumed_inbox_records_are_forgotten_and_loading_goes_on_after_them() {
        let broker = Broker::new(BrokerConfig::embedded(Retention::Unread));
        broker.create_topics(&TOPICS, 1);
        let lines = TopicPartition { topic: LINES.name, partition: 0 };
        let headers = Headers::default();
        let record = |offset| StoredRecord { offset, timestamp: 5, key: b"k", value: Some(b"v"), headers };
        broker.load_offset(GROUP, lines, 8).unwrap();
        broker.load_records(lines, [record(8), record(11)].into_iter()).unwrap();
        broker.load_end(lines, 15).unwrap();
        let lag = broker.lag(vec![(GROUP.to_owned(), &LINES)]);
        assert_eq!(lag.lag().unwrap(), 2);
        let mut log = broker.open(GROUP, "member", &INBOXES).unwrap();
        let Poll::Assigned(partitions) = log.poll(Duration::ZERO, 10, &mut |_| {}).unwrap() else { panic!() };
        log.resume(&partitions).unwrap();
        let mut offsets = Vec::new();
        log.poll(Duration::ZERO, 10, &mut |record| offsets.push(record.offset)).unwrap();
        assert_eq!(offsets, [8, 11]);
        log.commit(&[(lines, 12)]).unwrap();
        assert_eq!(lag.lag().unwrap(), 0);
        assert!(broker.read_committed(LINES.name, 0).is_empty());
        broker.producer("p").publish(&output(&LINES, b"new")).unwrap();
        assert_eq!(broker.read_committed(LINES.name, 0)[0].offset, 15);
    }

    #[test]
    fn an_open_transaction_holds_back_later_records_of_others() {
        let broker = Broker::new(BrokerConfig::like_kafka());
        broker.create_topics(&TOPICS, 1);
        let mut slow = broker.open(GROUP, "slow", &INBOXES).unwrap();
        slow.send(&output(&COUNTS, b"first")).unwrap();
        broker.producer("fast").publish(&output(&COUNTS, b"second")).unwrap();
        assert!(broker.read_committed(COUNTS.name, 0).is_empty());
        slow.abort().unwrap();
        assert_eq!(broker.read_committed(COUNTS.name, 0).len(), 1);
    }
}
