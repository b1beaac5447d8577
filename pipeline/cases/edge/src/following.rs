//! Follows the outputs of the flow in every process, outside the consumer groups, and keeps their newest rows in
//! memory. Those of queues may be in a table.
//!
//! A look first asks for the ends of all topics and then reads up to them. A query waits for the end of a look that
//! began after it, so it says of nothing that it is not there before it has seen everything that the log had.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tributary_cases::topics;
use tributary_flow::http::{AsOf, Problem};
use tributary_flow::{Failure, Process, log_failure};
use tributary_runtime::trouble::{Report, Troubles};
use tributary_runtime::{LogError, OffsetRange, Record, Shutdown, Topic, TopicFollower, TopicPartition};
use tributary_schemas::Codec;

use crate::events;
use crate::kept_cases::KeptCases;
use crate::kept_queues::KeptQueues;
use crate::rows::Rows;
use crate::waiting::{Awaited, Waiter, Waiting};
use crate::wanted::Wanted;

mod looking;
mod queues;
#[cfg(test)]
mod tests;

/// The pause between two looks, if nobody waits for one.
const PAUSE: Duration = Duration::from_millis(20);

/// The pause after a look that failed.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// How long a query waits until the rows have caught up with the log.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a thread of this flow waits for the same, before it tries again.
const PATIENCE_OF_THREADS: Duration = Duration::from_secs(2);

/// How old the rows may be that something is told from without a request for it.
const FRESH: Duration = Duration::from_millis(100);

/// Records that are taken in while queries wait.
const MOST_AT_ONCE: usize = 500;

/// Records of outcomes and queues that one look reads from a topic. Queries of cases do not wait for the rest, which a
/// process that starts has much of.
const MOST_BEHIND_CASES: usize = 50_000;

/// The subject of troubles with following.
const ROWS: &str = "rows";

/// The topics that are followed, in the order in which they are read: what allows or explains a row comes before it.
/// The ends are asked for in the opposite order. So no notification is seen without the state and the grants under
/// which it was made, and no end of a case without its row among the deleted ones.
static CASES: [&Topic; 3] = [&topics::REGISTRY_ROWS, &topics::DELETED, &topics::STATE];

/// Those that come after them.
static BEHIND_CASES: [&Topic; 3] = [&topics::OUTCOME, &topics::QUEUE, &topics::REGISTRY_ANSWER];

/// The rows, and the thread that keeps them.
pub(crate) struct Following {
    shared: Arc<Shared>,
    stop: Shutdown,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// When a look began.
#[derive(Debug, Clone, Copy)]
struct Begun {
    at: Instant,
    time: Timestamp,
}

struct Shared {
    rows: RwLock<Rows>,
    /// Whether a look at a queue waits for a disk.
    is_in_table: bool,
    troubles: Mutex<Troubles>,
    /// When the last look began that has read registry and cases. A query of cases need not wait for more.
    begun_cases: watch::Sender<Option<Begun>>,
    /// When the last whole look began.
    begun: watch::Sender<Option<Begun>>,
    /// Whether the process ends.
    is_ending: watch::Sender<bool>,
    waiting: Arc<Waiting>,
    wanted: Wanted,
}

impl Following {
    /// Starts to follow the topics. `cases` and `entries` say how cases and queues are kept.
    ///
    /// # Errors
    /// [`Failure`] when the log does not answer.
    pub(crate) fn start(process: &Arc<dyn Process>, cases: KeptCases, entries: KeptQueues) -> Result<Self, Failure> {
        let shared = Arc::new(Shared::new(cases, entries));
        let follower = process.follower().map_err(log_failure)?;
        let stop = process.shutdown().child();
        let ending = Arc::downgrade(&shared);
        stop.on_trigger(move || {
            if let Some(shared) = ending.upgrade() {
                shared.is_ending.send_replace(true);
            }
        });
        let reader = Reader {
            process: Arc::clone(process),
            shared: Arc::clone(&shared),
            stop: stop.clone(),
            offsets: HashMap::new(),
            behind: None,
            queues_failed: None,
        };
        let thread = std::thread::Builder::new().name("cases-rows".to_owned());
        let thread = thread.spawn(move || reader.run(follower)).map_err(Failure::unfinished)?;
        Ok(Self { shared, stop, thread: Mutex::new(Some(thread)) })
    }

    /// The rows as they are.
    pub(crate) fn rows(&self) -> RwLockReadGuard<'_, Rows> {
        self.shared.read()
    }

    /// Whether the rows of registry and cases once had everything that the log had.
    pub(crate) fn has_caught_up_cases(&self) -> bool {
        self.shared.begun_cases.borrow().is_some()
    }

    /// Waits until the rows of registry and cases have everything that the log has now.
    ///
    /// # Errors
    /// A [`Problem`] with status 503 when that takes too long.
    pub(crate) async fn catch_up_cases(&self) -> Result<(), Problem> {
        self.catch_up_by(&self.shared.begun_cases).await
    }

    /// Waits until all rows have everything that the log has now.
    ///
    /// # Errors
    /// As [`Following::catch_up_cases`].
    pub(crate) async fn catch_up(&self) -> Result<(), Problem> {
        self.catch_up_by(&self.shared.begun).await
    }

    async fn catch_up_by(&self, begun: &watch::Sender<Option<Begun>>) -> Result<(), Problem> {
        let asked = Instant::now();
        let mut begun = begun.subscribe();
        self.shared.wanted.want();
        let caught_up = begun.wait_for(|begun| begun.is_some_and(|begun| begun.at >= asked));
        match tokio::time::timeout(PATIENCE, caught_up).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(not_caught_up()),
        }
    }

    /// [`Following::catch_up`] for a thread that may block, for a shorter time: the process may end meanwhile.
    ///
    /// # Errors
    /// As [`Following::catch_up`].
    pub(crate) fn catch_up_blocking(&self, tokio: &Handle) -> Result<(), Problem> {
        Self::briefly(tokio, self.catch_up())
    }

    /// [`Following::catch_up_cases`] for such a thread.
    ///
    /// # Errors
    /// As [`Following::catch_up`].
    pub(crate) fn catch_up_cases_blocking(&self, tokio: &Handle) -> Result<(), Problem> {
        Self::briefly(tokio, self.catch_up_cases())
    }

    fn briefly(tokio: &Handle, caught_up: impl Future<Output = Result<(), Problem>>) -> Result<(), Problem> {
        let within = async { tokio::time::timeout(PATIENCE_OF_THREADS, caught_up).await };
        tokio.block_on(within).unwrap_or_else(|_| Err(not_caught_up()))
    }

    /// Up to when the rows of registry and cases have everything that the log had, in all partitions. 1970 before the
    /// first look.
    pub(crate) fn as_of(&self) -> AsOf {
        AsOf(self.shared.begun_cases.borrow().map_or(Timestamp::UNIX_EPOCH, |begun| begun.time))
    }

    /// Whether the rows have what the log had a moment ago.
    pub(crate) fn is_fresh(&self) -> bool {
        self.shared.begun.borrow().is_some_and(|begun| begun.at.elapsed() < FRESH)
    }

    /// Waits for changes from now on.
    pub(crate) fn waiter(&self, awaited: Awaited) -> Waiter {
        self.shared.waiting.join(awaited)
    }

    /// Waits until the process ends.
    pub(crate) async fn ending(&self) {
        let mut is_ending = self.shared.is_ending.subscribe();
        // The sender lives as long as this value.
        let _ = is_ending.wait_for(|is_ending| *is_ending).await;
    }

    /// Waits until `find` finds something in the rows that it waits for. `None` if the time is over, or the process
    /// ends.
    pub(crate) async fn wait_for<T>(
        &self,
        awaited: Awaited,
        time: Duration,
        find: impl Fn(&Rows) -> Option<T>,
    ) -> Option<T> {
        let mut waiter = self.waiter(awaited);
        let look = async {
            loop {
                if let Some(found) = find(&self.rows()) {
                    return Some(found);
                }
                waiter.changed().await;
            }
        };
        tokio::select! {
            found = tokio::time::timeout(time, look) => found.unwrap_or(None),
            () = self.ending() => None,
        }
    }
}

fn not_caught_up() -> Problem {
    let detail = "the view has not caught up with the log; the log of the service says why";
    Problem::unavailable("ViewNotReady", detail, Duration::from_secs(1))
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop.trigger();
        self.shared.wanted.want();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            events::rows_panicked();
        }
    }
}

impl Shared {
    fn new(cases: KeptCases, entries: KeptQueues) -> Self {
        Self {
            is_in_table: entries.is_in_table(),
            troubles: Mutex::default(),
            rows: RwLock::new(Rows::keeping(cases, entries)),
            begun_cases: watch::Sender::new(None),
            begun: watch::Sender::new(None),
            is_ending: watch::Sender::new(false),
            waiting: Arc::default(),
            wanted: Wanted::default(),
        }
    }

    /// Notes why something fails, or that it does not. A report if that is new.
    fn note(&self, subject: &str, error: Option<String>) -> Option<Report> {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            Some(error) => troubles.note(subject, error, Instant::now()),
            None => troubles.end(subject, Instant::now()),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Rows> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Rows> {
        self.rows.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a batch of a topic, and wakes who waits for it. Queries wait meanwhile, once for the batch.
    fn take(&self, codec: &Codec, topic: &Topic, batch: &mut Vec<Row>) -> Result<(), LogError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut rows = self.change();
        let mut taken = batch.drain(..).try_for_each(|row| take(&mut rows, codec, &row));
        if topic == &topics::QUEUE {
            taken = taken.and(queues::write(&mut rows));
        }
        let changed = rows.take_changed();
        drop(rows);
        self.waiting.wake(&changed);
        taken
    }
}

/// A record of an output.
struct Row {
    at: TopicPartition,
    offset: i64,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

impl Row {
    fn of(record: &Record<'_>) -> Self {
        let (key, value) = (record.key.to_vec(), record.value.map(<[u8]>::to_vec));
        Self { at: record.origin, offset: record.offset, key, value }
    }
}

/// Takes in a record. One that can never be read is left out.
fn take(rows: &mut Rows, codec: &Codec, row: &Row) -> Result<(), LogError> {
    let key = String::from_utf8_lossy(&row.key);
    match rows.take(codec, (row.at, row.offset), &key, row.value.as_deref()) {
        Err(error) if error.is_transient() => Err(LogError::unavailable(error.to_string())),
        Err(error) => {
            events::row_unreadable(row.at.topic, &key, &error);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// A look at all topics that is under way.
struct Behind {
    begun: Begun,
    /// Up to where it reads the topics behind the cases.
    ends: Vec<Vec<i64>>,
}

/// How much of what is new of a topic was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Whole,
    /// Not all, because there is much, or because the process ends.
    Partial,
    /// Not all, because the table of queues takes no writes.
    Waiting,
}

struct Reader {
    process: Arc<dyn Process>,
    shared: Arc<Shared>,
    stop: Shutdown,
    offsets: HashMap<(&'static str, i32), i64>,
    behind: Option<Behind>,
    /// When the table of queues last failed to take a write, since it last took one.
    queues_failed: Option<Instant>,
}

impl Reader {
    fn run(mut self, follower: Box<dyn TopicFollower>) {
        let mut follower = Some(follower);
        while !self.stop.is_triggered() {
            let begun = Begun { at: Instant::now(), time: Timestamp::now() };
            match self.look(&mut follower, begun) {
                Ok(None) if self.queues_failed.is_some() => self.shared.wanted.pause(PAUSE),
                Ok(None) => {}
                Ok(Some(begun)) => {
                    self.shared.note(ROWS, None).iter().for_each(events::rows_trouble);
                    self.shared.change().begin_counting();
                    self.shared.begun.send_replace(Some(begun));
                    self.shared.wanted.pause(PAUSE);
                }
                Err(_) if self.stop.is_triggered() => return,
                Err(error) => {
                    self.shared.note(ROWS, Some(error.to_string())).iter().for_each(events::rows_trouble);
                    follower = None;
                    self.stop.wait(FAILURE_PAUSE);
                }
            }
        }
    }

    /// Reads what is new of registry and cases, and then a part of what is behind them. If a look at all topics has
    /// ended with that, returns when it began.
    fn look(&mut self, follower: &mut Option<Box<dyn TopicFollower>>, begun: Begun) -> Result<Option<Begun>, LogError> {
        let follower = match follower {
            Some(follower) => &**follower,
            None => &**follower.insert(self.process.follower()?),
        };
        // Its ends stay the same until it has read them: otherwise it would never end while the topics grow fast.
        let behind = match self.behind.take() {
            Some(behind) => behind,
            None => Behind { begun, ends: self.ends(follower, &BEHIND_CASES)? },
        };
        for (topic, ends) in CASES.iter().zip(self.ends(follower, &CASES)?) {
            if self.read(follower, topic, &ends, usize::MAX)? == Look::Partial {
                return Ok(None);
            }
        }
        self.shared.begun_cases.send_replace(Some(begun));
        let mut is_whole = true;
        for (topic, ends) in BEHIND_CASES.iter().zip(&behind.ends) {
            let look = match *topic {
                topic if topic == &topics::QUEUE => self.read_queues(follower, ends)?,
                topic => self.read(follower, topic, ends, MOST_BEHIND_CASES)?,
            };
            if look == Look::Partial {
                self.behind = Some(behind);
                return Ok(None);
            }
            is_whole &= look == Look::Whole;
        }
        Ok(is_whole.then_some(behind.begun))
    }

    /// The ends of topics, asked for from the last topic to the first.
    fn ends(&self, follower: &dyn TopicFollower, topics: &[&'static Topic]) -> Result<Vec<Vec<i64>>, LogError> {
        let partitions = self.process.flow_partitions();
        let ends = topics.iter().rev().map(|topic| follower.ends(topic, partitions));
        let mut ends = ends.collect::<Result<Vec<_>, _>>()?;
        ends.reverse();
        Ok(ends)
    }

    /// Reads all partitions of a topic up to their ends, or `most` records. What is beyond the ends comes with the next
    /// look: what explains it may not have been read.
    fn read(
        &mut self,
        follower: &dyn TopicFollower,
        topic: &'static Topic,
        ends: &[i64],
        most: usize,
    ) -> Result<Look, LogError> {
        let ranges = self.unread(topic, ends);
        if ranges.is_empty() {
            return Ok(Look::Whole);
        }
        let codec = self.process.codec();
        let (mut batch, mut count, mut look) = (Vec::new(), 0, Look::Whole);
        let mut reached = HashMap::new();
        let read = follower.read_ranges(&ranges, &mut |record| {
            if count == most || self.stop.is_triggered() {
                look = Look::Partial;
                return Err(LogError::unavailable("the end of this look"));
            }
            count += 1;
            reached.insert((topic.name, record.origin.partition), record.offset + 1);
            batch.push(Row::of(record));
            if batch.len() < MOST_AT_ONCE { Ok(()) } else { self.shared.take(codec, topic, &mut batch) }
        });
        let read = if look == Look::Partial { Ok(()) } else { read };
        match read.and_then(|()| self.shared.take(codec, topic, &mut batch)) {
            Ok(()) if look == Look::Partial => self.offsets.extend(reached),
            Ok(()) => {
                self.offsets.extend(ranges.iter().map(|range| ((topic.name, range.partition.partition), range.end)));
            }
            Err(error @ (LogError::OffsetOutOfRange(_) | LogError::Truncated(_))) => {
                self.offsets.retain(|(name, _), _| *name != topic.name);
                let mut rows = self.shared.change();
                rows.clear(topic);
                // If this fails, the next look tries again.
                let _ = queues::write(&mut rows);
                return Err(error);
            }
            Err(error) => return Err(error),
        }
        Ok(look)
    }

    /// What is not read yet of a topic with these ends.
    fn unread(&mut self, topic: &'static Topic, ends: &[i64]) -> Vec<OffsetRange> {
        let mut ranges = Vec::new();
        for (number, end) in (0..).zip(ends.iter().copied()) {
            // Nobody waits for an answer from before the start.
            let first = if topic == &topics::REGISTRY_ANSWER { end } else { 0 };
            let from = *self.offsets.entry((topic.name, number)).or_insert(first);
            if from != end {
                let partition = TopicPartition { topic: topic.name, partition: number };
                ranges.push(OffsetRange { partition, from, end });
            }
        }
        ranges
    }
}
