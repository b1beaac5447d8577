//! Follows the outputs of the flow in every process, outside the consumer groups: rows, kinds, open calls, replies, and
//! answers that came late.
//!
//! A look first asks for the ends of all topics and then reads up to them. The ends are asked for in the opposite
//! order, so whoever reads a reply finds the row that it tells of.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tributary_flow::{Failure, Process, log_failure};
use tributary_registry::configuration::RegistrySettings;
use tributary_registry::row_key::RowKey;
use tributary_registry::ticking::Ticking;
use tributary_registry::topics;
use tributary_runtime::{LogError, OffsetRange, Record, Shutdown, Topic, TopicFollower, TopicPartition};
use tributary_schemas::records::registry::{Call, JobEvent, JobRow, KindState, Reply, Transition};
use tributary_schemas::types::registry::KindName;
use tributary_schemas::{AvroRecord, Codec};

use crate::calling::Calling;
use crate::events;
use crate::rows::Rows;
use crate::vault::Vault;
use crate::waiting::Waiting;

/// The pause between two looks while nothing is expected. A look is also made when a request asks for it.
const IDLE_PAUSE: Duration = Duration::from_millis(20);

/// The pause while a job is under way.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// The pause while a request waits for its reply.
const REPLY_PAUSE: Duration = Duration::from_millis(1);

/// The pause after a look that failed.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// How long the end of the process waits for the thread.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// How long a request waits until the views have caught up with the log.
const PATIENCE: Duration = Duration::from_secs(10);

/// When the last look began that has ended. `None` before the first one has.
type Begun = Option<Instant>;

/// What every process knows of the flow.
#[derive(Default)]
pub(crate) struct Views {
    pub(crate) rows: Rows,
    pub(crate) ticking: Ticking,
    pub(crate) kinds: BTreeMap<KindName, KindState>,
    /// When a row has changed last.
    pub(crate) latest: Option<i64>,
    /// Answers that changed nothing, of the partitions of this process, since its start.
    pub(crate) late_answers: BTreeMap<KindName, u64>,
}

/// The views, and the thread that keeps them.
pub(crate) struct Following {
    views: Arc<RwLock<Views>>,
    begun: watch::Sender<Begun>,
    /// Why the rows cannot be used with the configured keys.
    unfit: Arc<OnceLock<String>>,
    wake: SyncSender<()>,
    stop: Shutdown,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Who is told of what is read.
pub(crate) struct Told {
    pub(crate) calling: Arc<Calling>,
    pub(crate) waiting: Arc<Waiting>,
    pub(crate) settings: Arc<RegistrySettings>,
    pub(crate) vault: Arc<Vault>,
}

impl Following {
    /// Starts to follow the topics.
    ///
    /// # Errors
    /// [`Failure`] when the log does not answer.
    pub(crate) fn start(process: &Arc<dyn Process>, told: Told) -> Result<Self, Failure> {
        let (views, begun) = (Arc::<RwLock<Views>>::default(), watch::Sender::new(None));
        let (wake, woken) = sync_channel(1);
        let follower = process.follower().map_err(log_failure)?;
        let stop = process.shutdown().child();
        let at_end = wake.clone();
        stop.on_trigger(move || {
            // One that is asked for already is enough.
            let _ = at_end.try_send(());
        });
        let unfit = Arc::<OnceLock<String>>::default();
        let reader = Reader {
            unfit: Arc::clone(&unfit),
            process: Arc::clone(process),
            topics: followed(&told.settings),
            views: Arc::clone(&views),
            told,
            begun: begun.clone(),
            stop: stop.clone(),
            woken,
            offsets: HashMap::new(),
        };
        let thread = std::thread::Builder::new().name("registry-views".to_owned());
        let thread = thread.spawn(move || reader.run(follower)).map_err(Failure::unfinished)?;
        Ok(Self { views, begun, unfit, wake, stop, thread: Mutex::new(Some(thread)) })
    }

    /// Looks at the views.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Views) -> T) -> T {
        look(&self.views.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes what is told when.
    pub(crate) fn ticking<T>(&self, act: impl FnOnce(&mut Ticking) -> T) -> T {
        act(&mut self.views.write().unwrap_or_else(PoisonError::into_inner).ticking)
    }

    /// Whether all topics were read once.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.borrow().is_some()
    }

    /// Why the rows cannot be used with the configured keys. `None`: they can, or they were not all read yet.
    pub(crate) fn unfit(&self) -> Option<&str> {
        self.unfit.get().map(String::as_str)
    }

    /// Looks at the log at once, and not after the pause.
    pub(crate) fn hurry(&self) {
        // One that is asked for already is enough.
        let _ = self.wake.try_send(());
    }

    /// Waits until all topics were read once. `false` if that takes too long.
    pub(crate) async fn first_look(&self) -> bool {
        let mut begun = self.begun.subscribe();
        let first = begun.wait_for(Option::is_some);
        matches!(tokio::time::timeout(PATIENCE, first).await, Ok(Ok(_)))
    }

    /// Waits until the views have everything that the log has now. `false` if that takes too long.
    pub(crate) async fn catch_up(&self) -> bool {
        let asked = Instant::now();
        let mut begun = self.begun.subscribe();
        self.hurry();
        let caught_up = begun.wait_for(|begun| begun.is_some_and(|begun| begun >= asked));
        matches!(tokio::time::timeout(PATIENCE, caught_up).await, Ok(Ok(_)))
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop.trigger();
        let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let until = Instant::now() + END_PATIENCE;
        while !thread.is_finished() {
            if Instant::now() > until {
                // It waits for a broker that hangs, and changes nothing any more.
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        if thread.join().is_err() {
            events::views_panicked();
        }
    }
}

/// A topic that is followed.
#[derive(Clone)]
struct Followed {
    topic: &'static Topic,
    what: What,
}

#[derive(Clone)]
enum What {
    Rows,
    Kinds,
    Calls(KindName),
    Events,
    Replies,
}

impl What {
    /// Whether the topic is read from its end when the process starts: what was there before is of no interest.
    fn begins_at_end(&self) -> bool {
        matches!(self, Self::Events | Self::Replies)
    }
}

/// The topics, in the order in which they are read.
fn followed(settings: &RegistrySettings) -> Vec<Followed> {
    let calls = settings.kinds.values();
    let calls = calls.map(|kind| Followed { topic: kind.call_topic, what: What::Calls(kind.name.clone()) });
    let first =
        [Followed { topic: &topics::ROW, what: What::Rows }, Followed { topic: &topics::KIND, what: What::Kinds }];
    let last = [
        Followed { topic: &topics::EVENT, what: What::Events },
        Followed { topic: &topics::REPLY, what: What::Replies },
    ];
    first.into_iter().chain(calls).chain(last).collect()
}

struct Reader {
    process: Arc<dyn Process>,
    topics: Vec<Followed>,
    views: Arc<RwLock<Views>>,
    told: Told,
    begun: watch::Sender<Begun>,
    unfit: Arc<OnceLock<String>>,
    stop: Shutdown,
    woken: Receiver<()>,
    offsets: HashMap<(&'static str, i32), i64>,
}

impl Reader {
    fn run(mut self, follower: Box<dyn TopicFollower>) {
        let mut follower = Some(follower);
        while !self.stop.is_triggered() {
            let begun = Instant::now();
            match self.look(&mut follower) {
                Ok(()) => {
                    if self.begun.borrow().is_none()
                        && let Err(problem) = self.check()
                    {
                        // Nothing is served, and no call is made: the process ends with the next round.
                        let _ = self.unfit.set(problem);
                        return;
                    }
                    self.begun.send_replace(Some(begun));
                    // Woken or not: both is a reason to look.
                    let _ = self.woken.recv_timeout(self.pause());
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

    fn check(&self) -> Result<(), String> {
        let views = self.views.read().unwrap_or_else(PoisonError::into_inner);
        self.told.vault.check(self.process.codec(), &views.rows)
    }

    fn pause(&self) -> Duration {
        match self.told.waiting.has_waiters() {
            (true, _) => REPLY_PAUSE,
            (false, true) => BUSY_PAUSE,
            _ if self.told.calling.is_busy() => BUSY_PAUSE,
            _ => IDLE_PAUSE,
        }
    }

    fn look(&mut self, follower: &mut Option<Box<dyn TopicFollower>>) -> Result<(), LogError> {
        let follower = match follower {
            Some(follower) => &**follower,
            None => &**follower.insert(self.process.follower()?),
        };
        let partitions = self.process.flow_partitions();
        let mut ends = Vec::with_capacity(self.topics.len());
        for followed in self.topics.clone().into_iter().rev() {
            let ends_of_topic = follower.ends(followed.topic, partitions)?;
            if followed.what.begins_at_end() {
                for (number, end) in (0..).zip(&ends_of_topic) {
                    self.offsets.entry((followed.topic.name, number)).or_insert(*end);
                }
            }
            ends.push((followed, ends_of_topic));
        }
        for (followed, ends) in ends.iter().rev() {
            self.read(follower, followed, ends)?;
        }
        Ok(())
    }

    /// Reads all partitions of a topic up to their ends.
    fn read(&mut self, follower: &dyn TopicFollower, followed: &Followed, ends: &[i64]) -> Result<(), LogError> {
        let ranges = self.unread(followed, ends);
        if ranges.is_empty() {
            return Ok(());
        }
        let (codec, mut progress) = (self.process.codec(), HashMap::new());
        let read = follower.read_ranges(&ranges, &mut |record| {
            if self.stop.is_triggered() {
                return Err(LogError::unavailable("the process ends"));
            }
            if let Err(error) = self.take(codec, followed, record) {
                events::record_unreadable(record.origin.topic, record.origin.partition, record.offset, &error);
            }
            progress.insert((followed.topic.name, record.origin.partition), record.offset + 1);
            Ok(())
        });
        match read {
            Ok(()) => {
                let name = followed.topic.name;
                self.offsets.extend(ranges.iter().map(|range| ((name, range.partition.partition), range.end)));
                Ok(())
            }
            Err(error) => {
                if matches!(error, LogError::OffsetOutOfRange(_) | LogError::Truncated(_)) {
                    self.forget(followed);
                } else {
                    // What was taken in is not taken in again.
                    self.offsets.extend(progress);
                }
                Err(error)
            }
        }
    }

    /// What is not read yet of a topic with these ends.
    fn unread(&mut self, followed: &Followed, ends: &[i64]) -> Vec<OffsetRange> {
        let mut ranges = Vec::new();
        for (number, end) in (0..).zip(ends.iter().copied()) {
            let from = *self.offsets.entry((followed.topic.name, number)).or_insert(0);
            if from != end {
                let partition = TopicPartition { topic: followed.topic.name, partition: number };
                ranges.push(OffsetRange { partition, from, end });
            }
        }
        ranges
    }

    /// The topic is read again from its start.
    fn forget(&mut self, followed: &Followed) {
        for (_, offset) in self.offsets.iter_mut().filter(|((name, _), _)| *name == followed.topic.name) {
            *offset = 0;
        }
        match &followed.what {
            What::Rows => {
                let mut views = self.views();
                views.rows = Rows::default();
                views.ticking = Ticking::new();
            }
            What::Calls(kind) => self.told.calling.forget(kind),
            What::Kinds | What::Events | What::Replies => {}
        }
    }

    fn views(&self) -> std::sync::RwLockWriteGuard<'_, Views> {
        self.views.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a record. The error is about one that can never be read. It shows no contents.
    fn take(&self, codec: &Codec, followed: &Followed, record: &Record<'_>) -> Result<(), String> {
        match &followed.what {
            What::Rows => self.take_row(codec, record),
            What::Kinds => {
                let Some(value) = record.value else { return Ok(()) };
                let state: KindState = read(codec, value)?;
                self.told.calling.pause(&state.kind, state.paused);
                let kind = state.kind.clone();
                self.views().kinds.insert(kind.clone(), state);
                self.told.waiting.kind_changed(&kind);
                Ok(())
            }
            What::Calls(kind) => {
                let call: Option<Call> = record.value.map(|value| read(codec, value)).transpose()?;
                self.told.calling.note(kind, key_of(record)?, record.origin.partition, call);
                Ok(())
            }
            What::Events => {
                let Some(value) = record.value else { return Ok(()) };
                let event: JobEvent = read(codec, value)?;
                // Each partition is counted in one process.
                if event.transition == Transition::LateAnswer && self.told.calling.has(record.origin.partition) {
                    *self.views().late_answers.entry(event.kind).or_default() += 1;
                }
                Ok(())
            }
            What::Replies => {
                let Some(value) = record.value else { return Ok(()) };
                let reply: Reply = read(codec, value)?;
                let request = str::from_utf8(record.key).map_err(|_| "its key is no request")?;
                self.told.waiting.replied(request, reply);
                Ok(())
            }
        }
    }

    fn take_row(&self, codec: &Codec, record: &Record<'_>) -> Result<(), String> {
        let (key, partition) = (key_of(record)?, record.origin.partition);
        let row: Option<JobRow> = record.value.map(|value| read(codec, value)).transpose()?;
        let mut views = self.views();
        views.ticking.note(key, partition, row.as_ref(), &self.told.settings);
        let changed = row.as_ref().map(|row| row.updated_at);
        views.latest = views.latest.max(changed);
        match (&row, record.value) {
            (Some(row), Some(value)) => views.rows.put(key, row, value),
            _ => views.rows.remove(key),
        }
        drop(views);
        self.told.waiting.row_changed(key, row.as_ref());
        Ok(())
    }
}

fn key_of(record: &Record<'_>) -> Result<RowKey, String> {
    RowKey::read(record.key).ok_or_else(|| "its key is no row".to_owned())
}

fn read<R: AvroRecord>(codec: &Codec, value: &[u8]) -> Result<R, String> {
    codec.open(value).and_then(|framed| framed.read()).map_err(|error| error.to_string())
}
