//! The views of one flow in this process. Each process reads the topics of the views outside the consumer groups, from
//! positions that it stores with the rows. So each can answer for all partitions, and continues from there after a
//! restart.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tributary_connectors::trouble::Troubles;
use tributary_connectors::views::{
    Change, EmbeddedViews, EmbeddedViewsConfig, Piece, Range, ReadPosition, StoredRow, ViewError, ViewStore,
};
use tributary_flow::declaration::{Declaration, View};
use tributary_flow::http::{AsOf, Page, Problem};
use tributary_flow::view::{Row, Rows};
use tributary_flow::{Failure, log_failure};
use tributary_runtime::{LogError, Shutdown, Topic, TopicFollower, TopicPartition};

use super::open_log::OpenLog;
use crate::events;

/// The pause between two looks for new records.
const PAUSE: Duration = Duration::from_millis(250);

/// The pause after a look that failed.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// Views that were written longer ago are read again from the start: the log forgets deletions after seven days.
const MAX_AGE: Duration = Duration::from_hours(12);

/// The folder of the views in the folder of a flow.
const FOLDER: &str = "views";

/// The subject of troubles with reading.
const VIEWS: &str = "views";

/// Records that are stored in one change.
const BATCH: usize = 1_000;

/// The views of one flow, and the thread that keeps them.
pub(crate) struct Views {
    store: Arc<dyn ViewStore>,
    flow_partitions: i32,
    stop: Shutdown,
    is_caught_up: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread works with.
struct Following {
    store: Arc<dyn ViewStore>,
    topics: Vec<&'static Topic>,
    flow: &'static str,
    flow_partitions: i32,
    log: OpenLog,
    stop: Shutdown,
    is_caught_up: Arc<AtomicBool>,
}

/// Why the views are not kept for now.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Store(#[from] ViewError),
}

impl Views {
    /// Opens the views, and starts to follow their topics. Called before the workers start. If a power cut took the end
    /// of the log, no new records are there yet, so a position after the end is noticed.
    ///
    /// # Errors
    /// [`Failure`] when the folder cannot be used or the log does not answer.
    pub(super) fn open(
        declaration: &'static Declaration,
        state: &Path,
        log: &OpenLog,
        flow_partitions: i32,
    ) -> Result<Self, Failure> {
        let folder = state.join(FOLDER);
        let config = EmbeddedViewsConfig { folder: &folder, log: &log.identity(), max_age: MAX_AGE };
        let store: Arc<dyn ViewStore> = Arc::new(open_store(&config).map_err(Failure::refused)?);
        let (stop, is_caught_up) = (Shutdown::new(), Arc::new(AtomicBool::new(false)));
        let following = Following {
            store: Arc::clone(&store),
            topics: declaration.view_topics(),
            flow: declaration.name,
            flow_partitions,
            log: log.clone(),
            stop: stop.clone(),
            is_caught_up: Arc::clone(&is_caught_up),
        };
        let follower = log.follower(declaration.name).map_err(log_failure)?;
        following.forget_what_the_log_lost(&*follower).map_err(Failure::unfinished)?;
        let thread = std::thread::Builder::new().name(format!("{}-views", declaration.name));
        let thread = thread.spawn(move || following.run(follower));
        let thread = Mutex::new(Some(thread.map_err(Failure::unfinished)?));
        Ok(Self { store, flow_partitions, stop, is_caught_up, thread })
    }

    /// Asks the thread to end, without waiting for it: a broker that does not answer must not delay the workers.
    pub(super) fn end(&self) {
        self.stop.trigger();
    }

    /// Ends the thread.
    fn stop(&self) {
        self.end();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            events::views_panicked();
        }
    }

    /// Whether the topics were read to their ends once.
    pub(super) fn is_caught_up(&self) -> bool {
        self.is_caught_up.load(Ordering::Relaxed)
    }

    /// A piece of a view.
    ///
    /// # Errors
    /// A [`Problem`] with status 503 while there is nothing to show.
    pub(super) fn rows(&self, view: &'static View, page: &Page) -> Result<Rows, Problem> {
        // The positions first: the rows are at least as new.
        let as_of = self.as_of(view)?;
        let after = page.cursor.as_ref().map(|cursor| format!("{}{cursor}", view.prefix));
        let range = Range {
            topic: view.topic.name,
            prefix: view.prefix.as_bytes(),
            after: after.as_ref().map(String::as_bytes),
            limit: page.limit + 1,
        };
        let mut stored = self.store.rows(range).map_err(|error| unavailable(&error))?;
        let is_last = stored.len() <= page.limit;
        stored.truncate(page.limit);
        let rows: Vec<Row> = stored.into_iter().map(|row| shown(view, row)).collect();
        let next = if is_last { None } else { rows.last().map(|row| row.key.clone()) };
        Ok(Rows { rows, next, as_of })
    }

    /// The time of the oldest partition.
    fn as_of(&self, view: &View) -> Result<AsOf, Problem> {
        let not_ready = || {
            let detail = format!("the view {} is not read to its end yet", view.name);
            Problem::unavailable("view_not_ready", detail, Duration::from_secs(1))
        };
        let partitions = view.topic.partition_count(self.flow_partitions);
        let positions = self.store.positions(view.topic.name, partitions).map_err(|error| unavailable(&error))?;
        let times: Option<Vec<i64>> = positions.iter().map(|position| position.map(|it| it.timestamp)).collect();
        let oldest = times.and_then(|times| times.into_iter().min()).filter(|_| self.is_caught_up());
        let time = oldest.and_then(|oldest| Timestamp::from_millisecond(oldest).ok());
        time.map(AsOf).ok_or_else(not_ready)
    }
}

/// Removes the views in a process that does not keep them. On the embedded log it may write other records at offsets
/// that a view has read: a power cut may have taken the end of the log before. The views are read again when they are
/// kept.
///
/// # Errors
/// [`Failure::Refused`] when the folder cannot be removed.
pub(super) fn remove_unkept(state: &Path) -> Result<(), Failure> {
    let folder = state.join(FOLDER);
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::refused(format!("{} cannot be removed: {error}; it holds copies only", folder.display())))
        }
        _ => Ok(()),
    }
}

impl Drop for Views {
    /// A start that fails leaves no thread behind that keeps the log open.
    fn drop(&mut self) {
        self.stop();
    }
}

/// Opens the store. If that fails, the store is removed and created: it holds copies only, and the flow must not wait for
/// it.
fn open_store(config: &EmbeddedViewsConfig<'_>) -> Result<EmbeddedViews, ViewError> {
    EmbeddedViews::open(config).or_else(|error| {
        events::views_begin_again(&error);
        if let Err(error) = std::fs::remove_dir_all(config.folder) {
            events::views_folder_stays(config.folder, &error);
        }
        EmbeddedViews::open(config)
    })
}

fn shown(view: &View, row: StoredRow) -> Row {
    let key = String::from_utf8_lossy(row.key.get(view.prefix.len()..).unwrap_or_default()).into_owned();
    Row { key, timestamp: row.timestamp, value: row.value }
}

fn unavailable(error: &ViewError) -> Problem {
    events::view_unavailable(error);
    Problem::unavailable(
        "view_unavailable",
        "the view cannot be read; the log of the service says why",
        Duration::from_secs(5),
    )
}

impl Following {
    /// Follows the topics until it is stopped. What fails is tried again with a new connection.
    fn run(self, follower: Box<dyn TopicFollower>) {
        let mut follower = Some(follower);
        let mut troubles = Troubles::new();
        while !self.stop.is_triggered() {
            let error = match self.look(&mut follower) {
                Ok(reads_to_the_end) => {
                    troubles
                        .end(VIEWS, Instant::now())
                        .iter()
                        .for_each(|report| events::views_trouble(self.flow, report));
                    self.is_caught_up.store(reads_to_the_end, Ordering::Relaxed);
                    self.stop.wait(PAUSE);
                    continue;
                }
                Err(_) if self.stop.is_triggered() => return,
                Err(error) => error,
            };
            follower = None;
            let trouble = troubles.note(VIEWS, error.to_string(), Instant::now());
            if let Some(report) = trouble {
                events::views_trouble(self.flow, &report);
            }
            self.stop.wait(FAILURE_PAUSE);
        }
    }

    /// Reads what is new in all topics. False when a topic has to be read again from the start.
    fn look(&self, follower: &mut Option<Box<dyn TopicFollower>>) -> Result<bool, FollowError> {
        let follower = match follower {
            Some(follower) => follower,
            None => follower.insert(self.log.follower(self.flow)?),
        };
        let mut is_whole = true;
        for topic in &self.topics {
            is_whole &= self.read(&**follower, topic)?;
        }
        Ok(is_whole)
    }

    fn read(&self, follower: &dyn TopicFollower, topic: &'static Topic) -> Result<bool, FollowError> {
        let ends = follower.ends(topic, self.flow_partitions)?;
        let positions = self.store.positions(topic.name, topic.partition_count(self.flow_partitions))?;
        for ((partition, end), position) in (0..).zip(ends).zip(positions) {
            if position.map_or(0, |position| position.offset) == end || self.stop.is_triggered() {
                continue;
            }
            let at = TopicPartition { topic: topic.name, partition };
            match self.read_partition(follower, at, position) {
                Err(FollowError::Log(error @ (LogError::OffsetOutOfRange(_) | LogError::Truncated(_)))) => {
                    events::views_of_topic_begin_again(self.flow, topic.name, &error);
                    // Nobody is shown a part of the rows.
                    self.is_caught_up.store(false, Ordering::Relaxed);
                    self.store.clear(topic.name)?;
                    return Ok(false);
                }
                read => read?,
            }
        }
        Ok(true)
    }

    fn read_partition(
        &self,
        follower: &dyn TopicFollower,
        at: TopicPartition,
        position: Option<ReadPosition>,
    ) -> Result<(), FollowError> {
        let mut last = position;
        let mut from = position.map_or(0, |position| position.offset);
        let mut changes: Vec<Change> = Vec::new();
        let mut failed = None;
        let read = follower.read_from(at, from, &mut |record| {
            changes.push(Change::of_record(record));
            let position = ReadPosition { offset: record.offset + 1, timestamp: record.timestamp };
            last = Some(position);
            if self.stop.is_triggered() {
                return Err(LogError::unavailable("the process ends"));
            }
            if changes.len() < BATCH {
                return Ok(());
            }
            let piece = Piece { from, to: position };
            from = position.offset;
            let stored = self.store.apply(at.topic, at.partition, std::mem::take(&mut changes), piece);
            stored.map_err(|error| {
                let text = error.to_string();
                failed = Some(error);
                LogError::unavailable(text)
            })
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
        let offset = read?;
        // Without any record, only ends of transactions were passed: the time stays that of the last record.
        if let Some(last) = last {
            let piece = Piece { from, to: ReadPosition { offset, ..last } };
            self.store.apply(at.topic, at.partition, changes, piece)?;
        }
        Ok(())
    }

    fn forget_what_the_log_lost(&self, follower: &dyn TopicFollower) -> Result<(), FollowError> {
        for topic in &self.topics {
            let ends = follower.ends(topic, self.flow_partitions)?;
            let positions = self.store.positions(topic.name, topic.partition_count(self.flow_partitions))?;
            let is_after_end =
                |(position, end): (&Option<ReadPosition>, &i64)| position.is_some_and(|it| it.offset > *end);
            if positions.iter().zip(&ends).any(is_after_end) {
                self.store.clear(topic.name)?;
            }
        }
        Ok(())
    }
}
