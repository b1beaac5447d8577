//! The worker: one log, the tasks of several stages, and the one place that commits.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::log::{Log, LogError, Poll};
use crate::metrics::{Metrics, StageRun, add};
use crate::output::Output;
use crate::record::{Headers, TimestampMillis};
use crate::snapshot::{SnapshotConfig, SnapshotFile};
use crate::stage::Topology;
use crate::store::StateError;
use crate::task::{Halt, Processed, Task};
use crate::topic::TopicPartition;

/// How much a transaction collects under load. When there is nothing to read, it is committed at once.
#[derive(Debug, Clone, Copy)]
pub struct CommitLimits {
    /// Time since its first record.
    pub time: Duration,
    /// Input records.
    pub records: usize,
    /// Bytes of output.
    pub bytes: usize,
}

impl Default for CommitLimits {
    fn default() -> Self {
        Self { time: Duration::from_millis(100), records: 20_000, bytes: 16 << 20 }
    }
}

/// How a worker works.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// How much a transaction collects.
    pub limits: CommitLimits,
    /// How long a poll waits for records when nothing is uncommitted.
    pub poll_timeout: Duration,
    /// How long a poll waits for more when something is uncommitted, before it is committed.
    pub linger: Duration,
    /// Most records of one poll.
    pub poll_records: usize,
    /// How long the log may be unavailable before it is given up for a new one.
    pub unavailable: Duration,
    /// Snapshot files; none without.
    pub snapshots: Option<SnapshotConfig>,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            limits: CommitLimits::default(),
            poll_timeout: Duration::from_millis(20),
            linger: Duration::ZERO,
            poll_records: 2048,
            unavailable: Duration::from_secs(30),
            snapshots: None,
        }
    }
}

/// What one step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Processed this many records.
    Processed(usize),
    /// Nothing to read; all is committed.
    Idle,
    /// Partitions came or went.
    Rebalanced,
    /// The transaction was aborted and will be done again.
    Aborted,
    /// A record is to be tried again after this pause.
    Retry(Duration),
    /// The log did not answer; try again after this pause.
    Unavailable(Duration),
}

/// Why a worker ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkerError {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A processor asked to stop.
    #[error("stage {stage} stopped at {origin} offset {offset}: {text}")]
    Stopped {
        /// The stage.
        stage: &'static str,
        /// The partition of the record.
        origin: TopicPartition,
        /// The offset of the record.
        offset: i64,
        /// What the processor said.
        text: String,
    },
    /// State could not be written or restored.
    #[error("state of stage {stage}, partition {partition}: {error}")]
    State {
        /// The stage.
        stage: &'static str,
        /// The partition.
        partition: i32,
        /// What is wrong.
        error: StateError,
    },
    /// A processor panicked.
    #[error("a worker panicked: {0}")]
    Panicked(String),
}

impl WorkerError {
    /// Whether a new log and restored tasks may go on where this worker ended.
    pub fn can_restart(&self) -> bool {
        matches!(self, Self::Log(LogError::Abortable(_) | LogError::Unavailable(_) | LogError::Fenced(_)))
    }
}

/// What is uncommitted.
#[derive(Debug, Default)]
struct Uncommitted {
    since: Option<Instant>,
    records: usize,
    bytes: usize,
    timestamp: TimestampMillis,
}

/// A record that is tried again.
#[derive(Debug)]
struct Retry {
    origin: TopicPartition,
    offset: i64,
    text: String,
    attempts: u32,
}

/// One log and the tasks on its partitions.
pub struct Worker {
    topology: Arc<Topology>,
    config: WorkerConfig,
    log: Box<dyn Log>,
    metrics: Arc<Metrics>,
    tasks: Vec<Task>,
    output: Output,
    uncommitted: Uncommitted,
    retry: Option<Retry>,
    aborts: u32,
    unavailable_since: Option<Instant>,
    has_committed: bool,
}

/// Why a poll ended early.
struct HaltAt {
    halt: Halt,
    stage: usize,
    origin: TopicPartition,
    offset: i64,
}

impl Worker {
    /// A worker without tasks: the log assigns them.
    pub fn new(topology: Arc<Topology>, config: WorkerConfig, log: Box<dyn Log>, metrics: Arc<Metrics>) -> Self {
        let output = Output::new(topology.flow_partitions);
        Self {
            topology,
            config,
            log,
            metrics,
            tasks: Vec::new(),
            output,
            uncommitted: Uncommitted::default(),
            retry: None,
            aborts: 0,
            unavailable_since: None,
            has_committed: false,
        }
    }

    /// Does one thing: restores, polls, processes, commits when it is time.
    ///
    /// # Errors
    /// [`WorkerError`] ends the worker: drop it. [`WorkerError::can_restart`] tells whether a new one may go on.
    pub fn step(&mut self) -> Result<Step, WorkerError> {
        if !self.restore_tasks()? {
            return self.unavailable("a changelog cannot be restored yet");
        }
        let (poll, halt) = match self.poll() {
            Ok(polled) => polled,
            Err(LogError::Unavailable(text)) => return self.unavailable(&text),
            Err(LogError::Abortable(text)) => return self.roll_back(&text).map(|()| Step::Aborted),
            Err(error) => return Err(error.into()),
        };
        self.unavailable_since = None;
        match poll {
            Poll::Records(count) => self.after_records(count, halt),
            Poll::Idle => self.after_idle(),
            Poll::Assigned(partitions) => self.assigned(&partitions),
            Poll::Revoked(partitions) => self.revoked(&partitions),
            Poll::Lost(partitions) => {
                tracing::warn!(?partitions, "partitions were lost to another worker");
                self.drop_tasks(&partitions);
                self.roll_back("partitions were lost")?;
                Ok(Step::Rebalanced)
            }
        }
    }

    /// Steps until `stop` is set, then ends cleanly: commits, writes snapshots, gives up its partitions.
    ///
    /// # Errors
    /// [`WorkerError`], as [`Worker::step`].
    pub fn run(&mut self, stop: &AtomicBool) -> Result<(), WorkerError> {
        self.run_with(stop, &mut |_| Ok(()))
    }

    /// As [`Worker::run`], calling `between` before each step.
    pub(crate) fn run_with(
        &mut self,
        stop: &AtomicBool,
        between: &mut dyn FnMut(&mut Self) -> Result<(), WorkerError>,
    ) -> Result<(), WorkerError> {
        while !stop.load(Ordering::Relaxed) {
            between(self)?;
            let pause = match self.step()? {
                Step::Processed(_) | Step::Idle | Step::Rebalanced => continue,
                Step::Aborted => back_off(Duration::from_millis(10), Duration::from_secs(5), self.aborts),
                Step::Retry(pause) | Step::Unavailable(pause) => pause,
            };
            let until = Instant::now() + pause;
            while !stop.load(Ordering::Relaxed) && Instant::now() < until {
                between(self)?;
                std::thread::sleep((until - Instant::now().min(until)).min(Duration::from_millis(20)));
            }
        }
        self.close()
    }

    /// Ends cleanly: commits, writes snapshots, gives up all partitions.
    ///
    /// # Errors
    /// [`WorkerError`], when the log fails.
    pub fn close(&mut self) -> Result<(), WorkerError> {
        self.commit_if_open()?;
        let partitions: Vec<TopicPartition> = self.tasks.iter().map(|task| task.inbox).collect();
        self.write_snapshots(|_| true);
        self.tasks.clear();
        Ok(self.log.release(&partitions)?)
    }

    /// Commits what is open and calls `each` with stage, partition and processor of every restored task.
    ///
    /// # Errors
    /// [`WorkerError`], when the commit fails.
    pub fn inspect(&mut self, each: &mut dyn FnMut(&str, i32, &dyn Any)) -> Result<(), WorkerError> {
        self.commit_if_open()?;
        for task in self.tasks.iter().filter(|task| task.restored) {
            each(self.topology.stages[task.stage].name, task.inbox.partition, task.processor());
        }
        Ok(())
    }

    pub(crate) fn has_committed(&self) -> bool {
        self.has_committed
    }

    fn poll(&mut self) -> Result<(Poll, Option<HaltAt>), LogError> {
        let Self { topology, log, tasks, output, metrics, uncommitted, .. } = self;
        let timeout = if uncommitted.since.is_some() { self.config.linger } else { self.config.poll_timeout };
        let mut halt = None;
        let mut last = 0;
        let mut run = RunTimer::new(metrics);
        let poll = log.poll(timeout, self.config.poll_records, &mut |record| {
            if halt.is_some() {
                return;
            }
            if tasks.get(last).is_none_or(|task| task.inbox != record.origin) {
                let Some(found) = tasks.iter().position(|task| task.inbox == record.origin) else {
                    tracing::error!(partition = %record.origin, "a record came for a partition without task");
                    return;
                };
                last = found;
            }
            let task = &mut tasks[last];
            run.enter(task.stage);
            let before = output.len();
            match task.process(record, topology, output) {
                Ok(Processed::Skipped) => return,
                Ok(processed) => run.count(processed, output.len() - before),
                Err(error) => {
                    let (stage, origin, offset) = (task.stage, record.origin, record.offset);
                    halt = Some(HaltAt { halt: error, stage, origin, offset });
                    return;
                }
            }
            uncommitted.records += 1;
            uncommitted.timestamp = record.timestamp;
        })?;
        run.leave();
        if uncommitted.records > 0 && uncommitted.since.is_none() {
            uncommitted.since = Some(Instant::now());
        }
        Ok((poll, halt))
    }

    fn after_records(&mut self, count: usize, halt: Option<HaltAt>) -> Result<Step, WorkerError> {
        if let Some(HaltAt { halt: Halt::Stop(text), stage, origin, offset }) = halt {
            self.roll_back("a processor asked to stop")?;
            return Err(WorkerError::Stopped { stage: self.topology.stages[stage].name, origin, offset, text });
        }
        if !self.send_output()? {
            return Ok(Step::Aborted);
        }
        if let Some(HaltAt { halt: Halt::Retry(text), stage, origin, offset }) = halt {
            return self.pause_for_retry(stage, origin, offset, text);
        }
        self.forget_retry_that_succeeded();
        if self.is_commit_due() && !self.commit()? {
            return Ok(Step::Aborted);
        }
        Ok(Step::Processed(count))
    }

    fn after_idle(&mut self) -> Result<Step, WorkerError> {
        if !self.commit_if_open()? {
            return Ok(Step::Aborted);
        }
        self.write_due_snapshot();
        Ok(Step::Idle)
    }

    /// Commits what came before the record, and returns to it: the log hands it out again.
    fn pause_for_retry(
        &mut self,
        stage: usize,
        origin: TopicPartition,
        offset: i64,
        text: String,
    ) -> Result<Step, WorkerError> {
        if !self.commit_if_open()? {
            return Ok(Step::Aborted);
        }
        self.log.abort()?;
        self.tasks.iter_mut().for_each(Task::discard);
        let attempts = match self.retry.take() {
            Some(retry) if retry.origin == origin && retry.offset == offset => {
                if retry.text != text {
                    self.log_retry(stage, origin, offset, &text);
                }
                retry.attempts + 1
            }
            _ => {
                self.log_retry(stage, origin, offset, &text);
                0
            }
        };
        self.retry = Some(Retry { origin, offset, text, attempts });
        Ok(Step::Retry(back_off(Duration::from_millis(100), Duration::from_secs(30), attempts)))
    }

    fn forget_retry_that_succeeded(&mut self) {
        let Some(Retry { origin, offset, .. }) = self.retry else { return };
        let task = self.tasks.iter().find(|task| task.inbox == origin);
        if task.is_none_or(|task| task.has_passed(offset)) {
            tracing::info!(partition = %origin, offset, "the record that was tried again went through");
            self.retry = None;
        }
    }

    fn log_retry(&self, stage: usize, origin: TopicPartition, offset: i64, text: &str) {
        let stage = self.topology.stages[stage].name;
        tracing::warn!(stage, partition = %origin, offset, "trying again until it succeeds: {text}");
    }

    fn unavailable(&mut self, text: &str) -> Result<Step, WorkerError> {
        let since = *self.unavailable_since.get_or_insert_with(|| {
            tracing::warn!("the log is not available, trying again: {text}");
            Instant::now()
        });
        if since.elapsed() >= self.config.unavailable {
            return Err(LogError::Unavailable(text.to_owned()).into());
        }
        Ok(Step::Unavailable(Duration::from_millis(100)))
    }

    /// Hands what was collected to the log. False when the transaction had to be aborted.
    fn send_output(&mut self) -> Result<bool, WorkerError> {
        if self.output.is_empty() {
            return Ok(true);
        }
        self.uncommitted.bytes += self.output.byte_size();
        let sent = self.log.send(&self.output);
        self.output.clear();
        self.unless_abortable(sent)
    }

    /// Turns an abortable error into an abort.
    fn unless_abortable(&mut self, result: Result<(), LogError>) -> Result<bool, WorkerError> {
        match result {
            Ok(()) => Ok(true),
            Err(LogError::Abortable(text)) => self.roll_back(&text).map(|()| false),
            Err(error) => Err(error.into()),
        }
    }

    /// Drops the open transaction everywhere.
    fn roll_back(&mut self, reason: &str) -> Result<(), WorkerError> {
        tracing::debug!(reason, "aborting the transaction");
        self.output.clear();
        self.tasks.iter_mut().for_each(Task::discard);
        self.uncommitted = Uncommitted::default();
        self.aborts += 1;
        add(&self.metrics.aborts, 1);
        Ok(self.log.abort()?)
    }

    /// Under load: whether the limits are reached. A transaction of offsets alone waits ten times longer, because the
    /// broker is slow with those; it is committed with later output or when there is nothing to read.
    fn is_commit_due(&mut self) -> bool {
        let limits = self.config.limits;
        let Uncommitted { since: Some(since), records, bytes, .. } = self.uncommitted else { return false };
        if records < limits.records && bytes < limits.bytes && since.elapsed() < limits.time {
            return false;
        }
        records / 10 >= limits.records || bytes > 0 || self.tasks.iter_mut().any(Task::has_changes)
    }

    fn commit_if_open(&mut self) -> Result<bool, WorkerError> {
        if self.uncommitted.since.is_none() { Ok(true) } else { self.commit() }
    }

    /// Commits outputs, state changes and input offsets together. False when it had to be aborted.
    fn commit(&mut self) -> Result<bool, WorkerError> {
        let started = Instant::now();
        self.collect_changes()?;
        if !self.send_output()? {
            return Ok(false);
        }
        let offsets: Vec<(TopicPartition, i64)> = self.tasks.iter().filter_map(Task::progress).collect();
        let committed = self.log.commit(&offsets);
        if !self.unless_abortable(committed)? {
            return Ok(false);
        }
        self.tasks.iter_mut().for_each(Task::merge);
        self.uncommitted = Uncommitted::default();
        self.aborts = 0;
        self.has_committed = true;
        add(&self.metrics.commits, 1);
        add(&self.metrics.commit_nanos, started.elapsed().as_nanos() as u64);
        self.write_due_snapshot();
        Ok(true)
    }

    fn collect_changes(&mut self) -> Result<(), WorkerError> {
        self.output.inherit(self.uncommitted.timestamp, Headers::default());
        for task in &mut self.tasks {
            let stage = &self.topology.stages[task.stage];
            let partition = task.inbox.partition;
            task.write_changes(stage, &mut self.output).map_err(|error| WorkerError::State {
                stage: stage.name,
                partition,
                error,
            })?;
        }
        Ok(())
    }

    fn assigned(&mut self, partitions: &[TopicPartition]) -> Result<Step, WorkerError> {
        for &partition in partitions {
            let number = self.topology.stages.iter().position(|stage| stage.inbox.name == partition.topic);
            let Some(number) = number else {
                return Err(LogError::Fatal(format!("assigned {partition}, which no stage reads")).into());
            };
            self.tasks.retain(|task| task.inbox != partition);
            self.tasks.push(Task::new(number, &self.topology.stages[number], partition));
        }
        Ok(Step::Rebalanced)
    }

    fn revoked(&mut self, partitions: &[TopicPartition]) -> Result<Step, WorkerError> {
        // Whether it commits or aborts, the state afterwards is the committed one.
        self.commit_if_open()?;
        self.write_snapshots(|task| partitions.contains(&task.inbox));
        self.drop_tasks(partitions);
        self.log.release(partitions)?;
        Ok(Step::Rebalanced)
    }

    fn drop_tasks(&mut self, partitions: &[TopicPartition]) {
        self.tasks.retain(|task| !partitions.contains(&task.inbox));
    }

    /// Restores what is not restored yet. False when the log cannot answer yet.
    fn restore_tasks(&mut self) -> Result<bool, WorkerError> {
        for number in 0..self.tasks.len() {
            if self.tasks[number].restored {
                continue;
            }
            let started = Instant::now();
            match self.restore_task(number) {
                Ok(()) => {}
                Err(WorkerError::Log(LogError::Unavailable(_))) => return Ok(false),
                Err(error) => return Err(error),
            }
            add(&self.metrics.restored_tasks, 1);
            add(&self.metrics.restore_nanos, started.elapsed().as_nanos() as u64);
        }
        Ok(true)
    }

    fn restore_task(&mut self, number: usize) -> Result<(), WorkerError> {
        let inbox = self.tasks[number].inbox;
        if let Some(changelog) = self.tasks[number].changelog {
            let from = self.read_snapshot(number);
            match self.read_changelog(number, changelog, from) {
                Err(WorkerError::Log(LogError::OffsetOutOfRange(text))) if from > 0 => {
                    tracing::warn!(partition = %inbox, "snapshot does not fit the changelog, restoring all of it: {text}");
                    self.tasks[number].clear();
                    self.read_changelog(number, changelog, 0)?;
                }
                result => result?,
            }
        }
        self.log.resume(&[inbox])?;
        let task = &mut self.tasks[number];
        task.restored = true;
        task.snapshot_at = Instant::now();
        Ok(())
    }

    /// Fills a task from its snapshot, if there is a good one, and returns where in the changelog to go on.
    fn read_snapshot(&mut self, number: usize) -> i64 {
        let task = &mut self.tasks[number];
        task.clear();
        let Some(config) = &self.config.snapshots else { return 0 };
        let stage = self.topology.stages[task.stage].name;
        match SnapshotFile::new(config, self.topology.flow, stage, task.inbox.partition).read(task) {
            Ok(Some((offset, entries))) => {
                add(&self.metrics.restored_entries, entries);
                offset
            }
            Ok(None) => 0,
            Err(error) => {
                tracing::warn!("restoring the whole changelog: {error}");
                task.clear();
                0
            }
        }
    }

    fn read_changelog(&mut self, number: usize, changelog: TopicPartition, from: i64) -> Result<(), WorkerError> {
        let task = &mut self.tasks[number];
        let mut failed = None;
        let mut entries = 0;
        self.log.restore(changelog, from, &mut |key, value| {
            entries += 1;
            if failed.is_none() {
                failed = task.restore(key, value).err();
            }
        })?;
        task.changed_since_snapshot = entries > 0;
        add(&self.metrics.restored_entries, entries);
        let (stage, partition) = (self.topology.stages[task.stage].name, task.inbox.partition);
        failed.map_or(Ok(()), |error| Err(WorkerError::State { stage, partition, error }))
    }

    /// Writes the snapshot of at most one task, so that the pause stays short.
    fn write_due_snapshot(&mut self) {
        let Some(every) = self.config.snapshots.as_ref().map(|config| config.every) else { return };
        let due = |task: &Task| {
            task.restored
                && task.changed_since_snapshot
                && task.changelog.is_some()
                && task.snapshot_at.elapsed() >= every
        };
        if let Some(inbox) = self.tasks.iter().find(|task| due(task)).map(|task| task.inbox) {
            self.write_snapshots(|task| task.inbox == inbox);
        }
    }

    /// Writes the snapshots of changed tasks that `wanted` picks. Must be called between two transactions.
    fn write_snapshots(&mut self, wanted: impl Fn(&Task) -> bool) {
        let Some(config) = &self.config.snapshots else { return };
        for task in &mut self.tasks {
            let Some(changelog) = task.changelog else { continue };
            if !task.restored || !task.changed_since_snapshot || !wanted(task) {
                continue;
            }
            let stage = self.topology.stages[task.stage].name;
            let file = SnapshotFile::new(config, self.topology.flow, stage, task.inbox.partition);
            let written = match self.log.end_offset(changelog) {
                Ok(offset) => file.write(task, offset).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            task.snapshot_at = Instant::now();
            match written {
                Ok(()) => task.changed_since_snapshot = false,
                Err(error) => tracing::warn!(stage, "no snapshot was written, a restart will take longer: {error}"),
            }
        }
    }
}

/// Doubles from `first` to `most`.
fn back_off(first: Duration, most: Duration, attempts: u32) -> Duration {
    first.saturating_mul(1_u32.checked_shl(attempts).unwrap_or(u32::MAX)).min(most)
}

/// Times runs of records of one stage, so that the clock is not read per record.
struct RunTimer<'a> {
    metrics: &'a Metrics,
    stage: Option<usize>,
    started: Instant,
    run: StageRun,
}

impl<'a> RunTimer<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        Self { metrics, stage: None, started: Instant::now(), run: StageRun::default() }
    }

    fn enter(&mut self, stage: usize) {
        if self.stage == Some(stage) {
            return;
        }
        self.leave();
        self.stage = Some(stage);
        self.started = Instant::now();
    }

    fn count(&mut self, processed: Processed, records_out: usize) {
        self.run.records_in += 1;
        self.run.records_out += records_out as u64;
        self.run.dead_letters += u64::from(processed == Processed::DeadLetter);
    }

    fn leave(&mut self) {
        if let Some(stage) = self.stage.take() {
            self.run.busy = self.started.elapsed();
            self.metrics.add_run(stage, std::mem::take(&mut self.run));
        }
    }
}
