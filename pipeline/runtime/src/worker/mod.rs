//! The worker: one log, the tasks of several stages, and the one place that commits.

mod commit;
mod error;
mod inbox;
mod restore;
mod retry;
mod snapshots;
mod timer;
mod warm_up;

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::events;
use crate::log::{Log, Poll};
use crate::log_error::LogError;
use crate::metrics::Metrics;
use crate::output::Output;
use crate::record::TimestampMillis;
use crate::shutdown::Shutdown;
use crate::snapshot::SnapshotConfig;
use crate::stage::Topology;
use crate::task::{Halt, Processed, Task};
use crate::topic::TopicPartition;
use crate::trouble::Troubles;
use commit::Transaction;
use restore::{Restoring, Unusable};
use retry::Retries;
use timer::RunTimer;
use warm_up::WarmUp;

pub use error::WorkerError;
pub use inbox::OffsetFault;

/// The subject of troubles with the log.
const LOG: &str = "log";

/// How much a transaction collects under load. It is committed at once when there is nothing to read.
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
        Self { time: Duration::from_millis(100), records: 15_000, bytes: 16 << 20 }
    }
}

/// The configuration of a worker.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// How much a transaction collects.
    pub limits: CommitLimits,
    /// How long a poll waits for records when nothing is uncommitted.
    pub poll_timeout: Duration,
    /// After a commit under load, how long the next commit waits for more input, even when there is nothing to read.
    /// Readers see committed records with a delay, and records that this worker sent to itself should not have to wait
    /// for another commit. Commits of a few records are not a sign of load and do not linger.
    pub linger: Duration,
    /// The name of this process among those that share the log, for the message when another process has the same.
    pub instance: String,
    /// The most records of one poll.
    pub poll_records: usize,
    /// How long the log may be unavailable before the worker restarts with a new one.
    pub unavailable: Duration,
    /// Where and when to write snapshot files; `None` for none.
    pub snapshots: Option<SnapshotConfig>,
    /// How many entries of state a worker reads before it joins a group with other members. A partition that moves to
    /// it then stops only for a moment. The entries take memory until the worker's own partitions are restored. 0 reads
    /// none.
    pub warm_up_entries: u64,
    /// The command that resets offsets of the log, with the options that name the log, for the message when they do not
    /// fit the state. `None` for a log whose offsets cannot be reset.
    pub offsets_reset: Option<String>,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            limits: CommitLimits::default(),
            poll_timeout: Duration::from_millis(20),
            linger: Duration::from_millis(3),
            instance: String::new(),
            poll_records: 2048,
            unavailable: Duration::from_secs(30),
            snapshots: None,
            warm_up_entries: 2_000_000,
            offsets_reset: None,
        }
    }
}

/// What one step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Processed this many records; 0 when there is only something left to commit.
    Processed(usize),
    /// Nothing to read; all is committed.
    Idle,
    /// Partitions were assigned, revoked or lost, or state was read.
    Rebalanced,
    /// The transaction was aborted; its records are processed again.
    Aborted,
    /// A record is tried again after this pause.
    Retry(Duration),
    /// The log did not answer; try again after this pause.
    Unavailable(Duration),
}

/// The transaction that still collects.
#[derive(Debug, Default)]
struct Uncommitted {
    since: Option<Instant>,
    records: usize,
    bytes: usize,
    timestamp: TimestampMillis,
}

/// A commit that is under way.
#[derive(Debug, Clone, Copy)]
struct Committing {
    since: Instant,
    records: usize,
}

/// One log and the tasks on its partitions.
pub struct Worker {
    topology: Arc<Topology>,
    config: WorkerConfig,
    log: Box<dyn Log>,
    metrics: Arc<Metrics>,
    tasks: Vec<Task>,
    /// State of partitions that this worker may be assigned.
    warm_up: WarmUp,
    /// Snapshots that could not be used since the last report.
    unusable: Unusable,
    output: Output,
    uncommitted: Uncommitted,
    /// The commit that is under way. Nothing is sent until it has ended.
    committing: Option<Committing>,
    /// When the last commit ended, if it was one under load.
    commit_ended: Option<Instant>,
    retries: Retries,
    /// What is wrong now with the log, with snapshots and with this worker. It outlasts a restart.
    pub(crate) troubles: Troubles,
    aborts: u32,
    unavailable_since: Option<Instant>,
    has_committed: bool,
    /// When the worker last looked for offsets that hold no record, or started.
    passed_at: Instant,
}

/// Why a poll ended early.
struct HaltAt {
    halt: Halt,
    stage: usize,
    origin: TopicPartition,
    offset: i64,
}

impl Worker {
    /// A worker without tasks; the log assigns partitions.
    pub fn new(topology: Arc<Topology>, config: WorkerConfig, log: Box<dyn Log>, metrics: Arc<Metrics>) -> Self {
        let output = Output::new(topology.flow_partitions);
        Self {
            topology,
            config,
            log,
            metrics,
            tasks: Vec::new(),
            warm_up: WarmUp::default(),
            unusable: Unusable::default(),
            output,
            uncommitted: Uncommitted::default(),
            committing: None,
            commit_ended: None,
            retries: Retries::default(),
            troubles: Troubles::new(),
            aborts: 0,
            unavailable_since: None,
            has_committed: false,
            passed_at: Instant::now(),
        }
    }

    /// Does one thing: restores, polls, processes, commits when it is time.
    ///
    /// # Errors
    /// A [`WorkerError`] ends the worker: drop it. [`WorkerError::can_restart`] says whether a new one may take its
    /// place.
    pub fn step(&mut self) -> Result<Step, WorkerError> {
        if self.warm_up() {
            return Ok(Step::Rebalanced);
        }
        if self.poll_commit()? == Transaction::Aborted {
            return Ok(Step::Aborted);
        }
        let restoring = self.restore_some()?;
        if let Restoring::Unavailable(text) = restoring {
            return self.unavailable(&text);
        }
        let (poll, halt) = match self.poll(&restoring) {
            Ok(polled) => polled,
            Err(LogError::Unavailable(text)) => return self.unavailable(&text),
            Err(LogError::Abortable(text)) => return self.roll_back(&text).map(|()| Step::Aborted),
            Err(LogError::OffsetOutOfRange(text)) => return Err(self.records_not_found(&text)),
            Err(error) => return Err(error.into()),
        };
        self.unavailable_since = None;
        self.troubles.end(LOG, Instant::now()).iter().for_each(events::log_trouble);
        match poll {
            Poll::Records(count) => self.after_records(count, halt),
            Poll::Idle => match self.after_idle()? {
                Step::Idle if restoring == Restoring::More => Ok(Step::Rebalanced),
                step => Ok(step),
            },
            Poll::Assigned(partitions) => self.assigned(&partitions),
            Poll::Revoked(partitions) => self.revoked(&partitions),
            Poll::Lost(partitions) => {
                events::partitions_lost(&partitions);
                drop(self.take_tasks(&partitions));
                self.roll_back("partitions were lost")?;
                Ok(Step::Rebalanced)
            }
        }
    }

    /// Steps until the shutdown, then ends cleanly: commits, writes snapshots, releases its partitions. Calls `between`
    /// before each step, and repeatedly during a pause.
    pub(crate) fn run(
        &mut self,
        shutdown: &Shutdown,
        between: &mut dyn FnMut(&mut Self) -> Result<(), WorkerError>,
    ) -> Result<(), WorkerError> {
        while !shutdown.is_triggered() {
            between(self)?;
            let pause = match self.step()? {
                Step::Processed(_) | Step::Idle | Step::Rebalanced => continue,
                Step::Aborted => back_off(Duration::from_millis(10), Duration::from_secs(5), self.aborts),
                Step::Retry(pause) | Step::Unavailable(pause) => pause,
            };
            let until = Instant::now() + pause;
            while Instant::now() < until {
                between(self)?;
                let left = until.saturating_duration_since(Instant::now());
                if shutdown.wait(left.min(Duration::from_millis(20))) {
                    break;
                }
            }
        }
        self.close()
    }

    /// Ends cleanly: commits, writes snapshots, releases all partitions.
    ///
    /// # Errors
    /// [`WorkerError`], when the log fails.
    pub fn close(&mut self) -> Result<(), WorkerError> {
        self.commit_or_abort()?;
        self.pass_empty_offsets();
        self.commit_or_abort()?;
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
        self.commit_or_abort()?;
        for task in self.tasks.iter().filter(|task| task.restored) {
            each(self.topology.stages[task.stage].name, task.inbox.partition, task.processor());
        }
        Ok(())
    }

    pub(crate) fn has_committed(&self) -> bool {
        self.has_committed
    }

    fn poll(&mut self, restoring: &Restoring) -> Result<(Poll, Option<HaltAt>), LogError> {
        let linger = self.linger_left();
        let Self { topology, log, tasks, output, metrics, uncommitted, .. } = self;
        let timeout = match (restoring, uncommitted.since) {
            (Restoring::More, _) => Duration::ZERO,
            (_, Some(_)) => linger,
            (_, None) => self.config.poll_timeout,
        };
        let mut halt = None;
        let mut last = 0;
        let mut run = RunTimer::new(metrics);
        let poll = log.poll(timeout, self.config.poll_records, &mut |record| {
            if halt.is_some() {
                return;
            }
            if tasks.get(last).is_none_or(|task| task.inbox != record.origin) {
                let Some(found) = tasks.iter().position(|task| task.inbox == record.origin) else {
                    events::record_without_task(record.origin);
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
        });
        run.leave();
        if uncommitted.records > 0 && uncommitted.since.is_none() {
            uncommitted.since = Some(Instant::now());
        }
        Ok((poll?, halt))
    }

    fn after_records(&mut self, count: usize, halt: Option<HaltAt>) -> Result<Step, WorkerError> {
        if let Some(HaltAt { halt: Halt::Stop(text), stage, origin, offset }) = halt {
            self.roll_back("a processor asked to stop")?;
            return Err(WorkerError::Stopped { stage: self.topology.stages[stage].name, origin, offset, text });
        }
        if self.send_large_output()? == Transaction::Aborted {
            return Ok(Step::Aborted);
        }
        if let Some(HaltAt { halt: Halt::Retry(text), stage, origin, offset }) = halt {
            return self.pause_for_retry(stage, origin, offset, text);
        }
        self.forget_retries_that_succeeded();
        if !self.is_commit_due() {
            return Ok(Step::Processed(count));
        }
        let snapshot_due = self.task_with_due_snapshot().is_some();
        let transaction = if snapshot_due { self.commit_all()? } else { self.begin_commit()? };
        if transaction == Transaction::Aborted {
            return Ok(Step::Aborted);
        }
        if snapshot_due {
            self.write_due_snapshot();
        }
        Ok(Step::Processed(count))
    }

    fn after_idle(&mut self) -> Result<Step, WorkerError> {
        if self.await_commit()? == Transaction::Aborted {
            return Ok(Step::Aborted);
        }
        if self.uncommitted.since.is_some() {
            if !self.linger_left().is_zero() {
                return Ok(Step::Processed(0));
            }
            if self.begin_commit()? == Transaction::Aborted {
                return Ok(Step::Aborted);
            }
        }
        if self.committing.is_some() {
            return Ok(Step::Processed(0));
        }
        if self.is_pass_due() {
            self.pass_empty_offsets();
            return Ok(Step::Processed(0));
        }
        self.write_due_snapshot();
        Ok(Step::Idle)
    }

    fn unavailable(&mut self, text: &str) -> Result<Step, WorkerError> {
        let now = Instant::now();
        self.troubles.note(LOG, text, now).iter().for_each(events::log_trouble);
        let since = *self.unavailable_since.get_or_insert(now);
        if since.elapsed() >= self.config.unavailable {
            return Err(LogError::unavailable(text.to_owned()).into());
        }
        Ok(Step::Unavailable(Duration::from_millis(100)))
    }

    fn assigned(&mut self, partitions: &[TopicPartition]) -> Result<Step, WorkerError> {
        events::partitions_assigned(partitions);
        for &partition in partitions {
            let number = self.topology.stages.iter().position(|stage| stage.inbox.name == partition.topic);
            let Some(number) = number else {
                return Err(LogError::fatal(format!("{partition} was assigned, but no stage reads it")).into());
            };
            self.tasks.retain(|task| task.inbox != partition);
            let task = self.task_for(number, partition);
            self.tasks.push(task);
        }
        Ok(Step::Rebalanced)
    }

    fn revoked(&mut self, partitions: &[TopicPartition]) -> Result<Step, WorkerError> {
        events::partitions_revoked(partitions);
        self.commit_or_abort()?;
        let covered = self.covered_by(|task| partitions.contains(&task.inbox));
        let mut leaving = self.take_tasks(partitions);
        self.log.release(partitions)?;
        // After the release, so that the new owners need not wait for it.
        self.write_covered(&mut leaving, &covered);
        Ok(Step::Rebalanced)
    }

    fn take_tasks(&mut self, partitions: &[TopicPartition]) -> Vec<Task> {
        self.tasks.extract_if(.., |task| partitions.contains(&task.inbox)).collect()
    }
}

/// Doubles from `first` to `most`.
fn back_off(first: Duration, most: Duration, attempts: u32) -> Duration {
    first.saturating_mul(1_u32.checked_shl(attempts).unwrap_or(u32::MAX)).min(most)
}
