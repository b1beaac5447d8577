//! Follows the outputs of the flow in every process, outside the consumer groups: the index, what marks the cache, the
//! audit, and the cache in the log.
//!
//! A look first asks for the ends of all topics and then reads up to them. What marks the cache is asked for before
//! the index and taken in after it, so the view shows a change before the cache is marked. Entries of the cache are
//! asked for first and taken in last: the marks that their writers had are then taken in here too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tributary_aggregation::cache::log::Restoring;
use tributary_aggregation::flow::Flow;
use tributary_aggregation::own_index::SharedView;
use tributary_aggregation::topics;
use tributary_flow::http::Problem;
use tributary_flow::{Failure, Process, log_failure};
use tributary_runtime::{LogError, OffsetRange, Record, Shutdown, Topic, TopicFollower, TopicPartition};
use tributary_schemas::records::aggregation::{Call, Engagement, IndexState, Invalidation, Mark};
use tributary_schemas::types::aggregation::BusinessKey;
use tributary_schemas::{AvroRecord, Codec};
use uuid::Uuid;

use crate::cache_writer::WRITER;
use crate::calls::Calls;
use crate::events;
use crate::index_states::IndexStates;

/// The pause between two looks. A change acts after about twice this time.
const PAUSE: Duration = Duration::from_millis(20);

/// The pause after a look that failed.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// How long a request waits until a view has caught up with the log.
const PATIENCE: Duration = Duration::from_secs(10);

/// Rows that are taken in while questions wait.
const MOST_AT_ONCE: usize = 500;

/// The topics, in the order in which they are read. The ends are asked for in the opposite order.
static FOLLOWED: [&Topic; 5] =
    [&topics::ENGAGEMENT, &topics::INDEX_STATE, &topics::INVALIDATION, &topics::CALL, &topics::CACHE];

/// When the last look began that has ended. `None` before the first one has.
pub(crate) type Begun = Option<Instant>;

/// The views, and the thread that keeps them.
pub(crate) struct Following {
    shared: Arc<Shared>,
    stop: Shutdown,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    index: SharedView,
    states: RwLock<IndexStates>,
    calls: RwLock<Calls>,
    flow: Arc<Flow>,
    begun: watch::Sender<Begun>,
}

impl Following {
    /// Starts to follow the topics. `index` is filled, the cache of `flow` is marked, and `begun` says so. Entries of
    /// the cache that `writer` has written are known already.
    ///
    /// # Errors
    /// [`Failure`] when the log does not answer.
    pub(crate) fn start(
        process: &Arc<dyn Process>,
        index: SharedView,
        flow: Arc<Flow>,
        begun: watch::Sender<Begun>,
        writer: Uuid,
    ) -> Result<Self, Failure> {
        let shared = Arc::new(Shared { index, states: RwLock::default(), calls: RwLock::default(), flow, begun });
        let follower = process.follower().map_err(log_failure)?;
        let stop = process.shutdown().child();
        let (process, shared_with, stop_of_reader) = (Arc::clone(process), Arc::clone(&shared), stop.clone());
        let reader = Reader { process, shared: shared_with, stop: stop_of_reader, writer, offsets: HashMap::new() };
        let thread = std::thread::Builder::new().name("aggregation-views".to_owned());
        let thread = thread.spawn(move || reader.run(follower)).map_err(Failure::unfinished)?;
        Ok(Self { shared, stop, thread: Mutex::new(Some(thread)) })
    }

    /// What the partitions of the index say of themselves.
    pub(crate) fn states(&self) -> RwLockReadGuard<'_, IndexStates> {
        self.shared.states.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last entries of the audit.
    pub(crate) fn calls(&self) -> RwLockReadGuard<'_, Calls> {
        self.shared.calls.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the index was read once. Before that, an answer would leave out what is there. `false` if the
    /// process ends.
    pub(crate) async fn first_look(&self) -> bool {
        self.shared.begun.subscribe().wait_for(Option::is_some).await.is_ok()
    }

    /// Waits until the views have everything that the log has now.
    ///
    /// # Errors
    /// A [`Problem`] with status 503 when that takes too long.
    pub(crate) async fn catch_up(&self) -> Result<(), Problem> {
        let asked = Instant::now();
        let mut begun = self.shared.begun.subscribe();
        let caught_up = begun.wait_for(|begun| begun.is_some_and(|begun| begun >= asked));
        if let Ok(Ok(_)) = tokio::time::timeout(PATIENCE, caught_up).await {
            return Ok(());
        }
        let detail = "the view has not caught up with the log; the log of the service says why";
        Err(Problem::unavailable("view_unavailable", detail, Duration::from_secs(1)))
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop.trigger();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            events::views_panicked();
        }
    }
}

struct Reader {
    process: Arc<dyn Process>,
    shared: Arc<Shared>,
    stop: Shutdown,
    writer: Uuid,
    offsets: HashMap<(&'static str, i32), i64>,
}

/// What one read of a topic has brought.
#[derive(Default)]
struct Batch {
    engagements: Vec<(BusinessKey, Option<Engagement>)>,
    states: Vec<IndexState>,
    marks: Vec<Mark>,
    calls: Vec<Call>,
}

impl Reader {
    fn run(mut self, follower: Box<dyn TopicFollower>) {
        let mut follower = Some(follower);
        while !self.stop.is_triggered() {
            let begun = Instant::now();
            match self.look(&mut follower) {
                Ok(()) => {
                    self.shared.begun.send_replace(Some(begun));
                    self.stop.wait(PAUSE);
                }
                Err(_) if self.stop.is_triggered() => return,
                Err(error) => {
                    events::views_trouble(&error);
                    follower = None;
                    self.stop.wait(FAILURE_PAUSE);
                }
            }
        }
    }

    fn look(&mut self, follower: &mut Option<Box<dyn TopicFollower>>) -> Result<(), LogError> {
        let follower = match follower {
            Some(follower) => &**follower,
            None => &**follower.insert(self.process.follower()?),
        };
        let partitions = self.process.flow_partitions();
        let mut ends = Vec::new();
        let is_in_log = self.shared.flow.cache_log().is_some();
        for topic in FOLLOWED.iter().rev().filter(|topic| is_in_log || **topic != &topics::CACHE) {
            ends.push((*topic, follower.ends(topic, partitions)?));
        }
        for (topic, ends) in ends.iter().rev() {
            if *topic == &topics::CACHE {
                self.restore(follower, ends)?;
            } else {
                self.read(follower, topic, ends)?;
            }
            if *topic == &topics::INVALIDATION {
                self.shared.flow.note_marks_read(self.marks_read());
            }
        }
        Ok(())
    }

    /// Up to where the marks are taken in, by partition.
    fn marks_read(&self) -> Vec<i64> {
        let offset = |partition: i32| self.offsets.get(&(topics::INVALIDATION.name, partition)).copied();
        (0..self.process.flow_partitions()).map_while(offset).collect()
    }

    /// Takes entries of the cache into memory, with the marks that have come since they were written.
    fn restore(&mut self, follower: &dyn TopicFollower, ends: &[i64]) -> Result<(), LogError> {
        let Some(mut restoring) = self.shared.flow.restoring() else { return Ok(()) };
        let ranges = self.unread(&topics::CACHE, ends);
        if ranges.is_empty() {
            restoring.finish(&self.marks_read());
            return Ok(());
        }
        let own = self.writer.as_bytes().as_slice();
        let read = follower.read_ranges(&ranges, &mut |record| {
            self.go_on()?;
            if record.headers.get(WRITER) != Some(own) {
                restoring.take(record.key, record.value);
            }
            Ok(())
        });
        let read = read.and_then(|()| self.mark(follower, &mut restoring));
        if read.is_ok() {
            restoring.finish(&self.marks_read());
        }
        self.note(&topics::CACHE, &ranges, read)
    }

    /// Applies the marks that entries of the cache lack.
    fn mark(&self, follower: &dyn TopicFollower, restoring: &mut Restoring) -> Result<(), LogError> {
        let (codec, mut ranges) = (self.process.codec(), Vec::new());
        for (number, from) in restoring.marks_from() {
            let end = self.offsets.get(&(topics::INVALIDATION.name, number)).copied().unwrap_or_default();
            if from < end {
                let partition = TopicPartition { topic: topics::INVALIDATION.name, partition: number };
                ranges.push(OffsetRange { partition, from, end });
            }
        }
        let read = follower.read_ranges(&ranges, &mut |record| {
            self.go_on()?;
            let mut batch = Batch::default();
            // One that cannot be read was told when it was followed.
            if batch.add(codec, record).is_ok() {
                restoring.mark(record.origin.partition, record.offset, &batch.marks);
            }
            Ok(())
        });
        match read {
            Err(LogError::OffsetOutOfRange(_) | LogError::Truncated(_)) => {
                restoring.marks_are_lost();
                Ok(())
            }
            read => read,
        }
    }

    fn go_on(&self) -> Result<(), LogError> {
        if self.stop.is_triggered() { Err(LogError::unavailable("the process ends")) } else { Ok(()) }
    }

    /// Reads all partitions of a topic up to their ends.
    fn read(&mut self, follower: &dyn TopicFollower, topic: &'static Topic, ends: &[i64]) -> Result<(), LogError> {
        let ranges = self.unread(topic, ends);
        if ranges.is_empty() {
            return Ok(());
        }
        let (codec, mut batch, mut count) = (self.process.codec(), Batch::default(), 0);
        let read = follower.read_ranges(&ranges, &mut |record| {
            self.go_on()?;
            if let Err(error) = batch.add(codec, record) {
                events::row_unreadable(record.origin.topic, record.origin.partition, record.offset, &error);
            }
            count += 1;
            if count % MOST_AT_ONCE == 0 {
                self.shared.take(&mut batch);
            }
            Ok(())
        });
        self.shared.take(&mut batch);
        self.note(topic, &ranges, read)
    }

    /// Notes what was read of a topic, or that it is read from its start.
    fn note(
        &mut self,
        topic: &'static Topic,
        ranges: &[OffsetRange],
        read: Result<(), LogError>,
    ) -> Result<(), LogError> {
        match read {
            Ok(()) => {
                let read = ranges.iter().map(|range| ((topic.name, range.partition.partition), range.end));
                self.offsets.extend(read);
                Ok(())
            }
            Err(error) => {
                if matches!(error, LogError::OffsetOutOfRange(_) | LogError::Truncated(_)) {
                    self.forget(topic);
                }
                Err(error)
            }
        }
    }

    /// The topic is read again from its start.
    fn forget(&mut self, topic: &'static Topic) {
        for (_, offset) in self.offsets.iter_mut().filter(|((name, _), _)| *name == topic.name) {
            *offset = 0;
        }
        if topic == &topics::ENGAGEMENT {
            self.shared.index.write().unwrap_or_else(PoisonError::into_inner).clear();
        }
        if topic == &topics::INVALIDATION {
            // Marks may be lost, so nothing that is kept is sure.
            self.shared.flow.clear_cache(None, None);
        }
    }

    /// What is not read yet of a topic with these ends.
    fn unread(&mut self, topic: &'static Topic, ends: &[i64]) -> Vec<OffsetRange> {
        let mut ranges = Vec::new();
        for (number, end) in (0..).zip(ends.iter().copied()) {
            let first = match topic {
                // The cache of a process that starts is empty, so nothing has to be marked.
                topic if topic == &topics::INVALIDATION => end,
                topic if topic == &topics::CALL => Calls::first_of_interest(end),
                _ => 0,
            };
            let from = *self.offsets.entry((topic.name, number)).or_insert(first);
            if from != end {
                let partition = TopicPartition { topic: topic.name, partition: number };
                ranges.push(OffsetRange { partition, from, end });
            }
        }
        ranges
    }
}

impl Shared {
    fn take(&self, batch: &mut Batch) {
        let Batch { engagements, states, marks, calls } = std::mem::take(batch);
        if !engagements.is_empty() {
            let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
            for (key, engagement) in engagements {
                index.take(key, engagement);
            }
        }
        if !states.is_empty() {
            let mut kept = self.states.write().unwrap_or_else(PoisonError::into_inner);
            for state in states {
                kept.take(state);
            }
        }
        if !marks.is_empty() {
            self.flow.mark(&marks);
        }
        if !calls.is_empty() {
            let mut kept = self.calls.write().unwrap_or_else(PoisonError::into_inner);
            for call in calls {
                kept.take(call);
            }
        }
    }
}

impl Batch {
    /// Adds a record. The error is about one that can never be read. It shows no contents.
    fn add(&mut self, codec: &Codec, record: &Record<'_>) -> Result<(), String> {
        match record.origin.topic {
            topic if topic == topics::ENGAGEMENT.name => {
                let key = str::from_utf8(record.key).ok().and_then(|key| key.parse().ok());
                let engagement = record.value.map(|value| read(codec, value)).transpose()?;
                self.engagements.push((key.ok_or("its key is no business key")?, engagement));
            }
            topic if topic == topics::INDEX_STATE.name => {
                self.states.extend(record.value.map(|value| read(codec, value)).transpose()?);
            }
            topic if topic == topics::INVALIDATION.name => {
                let invalidation: Option<Invalidation> = record.value.map(|value| read(codec, value)).transpose()?;
                self.marks.extend(invalidation.into_iter().flat_map(|invalidation| invalidation.marks));
            }
            _ => self.calls.extend(record.value.map(|value| read(codec, value)).transpose()?),
        }
        Ok(())
    }
}

fn read<R: AvroRecord>(codec: &Codec, value: &[u8]) -> Result<R, String> {
    codec.open(value).and_then(|framed| framed.read()).map_err(|error| error.to_string())
}
