//! The flow at work: its workers, what is published into it, and when it has come to rest.

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tributary_esr::context::Context;
use tributary_esr::flow;
use tributary_esr::writer::FileSink;
use tributary_runtime::{
    Inspector, Lag, LogError, Metrics, Output, Producer, SnapshotConfig, Topic, Topology, WorkerConfig, WorkerPool,
    remove_abandoned,
};

use crate::base_line;
use crate::failure::Failure;
use crate::log::{OpenLog, groups, log_failure};
use crate::outbox::Outbox;
use crate::settings::Settings;

/// How often it is asked whether the flow has come to rest.
const SETTLE_PAUSE: Duration = Duration::from_millis(2);

/// How long one look into the workers may take before it is asked whether to go on waiting.
const INSPECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause between two attempts to publish.
const PUBLISH_PAUSE: Duration = Duration::from_millis(200);

/// The flow with its workers.
pub struct RunningFlow {
    // Fields are dropped in this order: workers before the log that they work on.
    main: WorkerPool,
    writer: WorkerPool,
    inspector: Inspector,
    lag: Box<dyn Lag>,
    producer: Option<Box<dyn Producer>>,
    log: OpenLog,
    context: Context,
    outbox: Arc<Outbox>,
    flow_partitions: i32,
    give_up_after: Duration,
    interrupted: Arc<AtomicBool>,
    demands_all: AtomicBool,
}

impl RunningFlow {
    /// Opens the log and starts the workers. `interrupted` ends every wait.
    ///
    /// # Errors
    /// [`Failure`] when the log, the registry or the workers cannot be had.
    pub fn start(settings: &Settings, interrupted: Arc<AtomicBool>) -> Result<Self, Failure> {
        let log = OpenLog::open(settings)?;
        let codec = log.codec(settings)?;
        let offices = settings.offices.iter().map(ToString::to_string).collect();
        let context = Context::new(codec, Arc::clone(&settings.configuration.esr), offices);
        let flow_partitions = i32::from(settings.partitions);
        let securing = log.clone();
        let outbox = Arc::new(Outbox::new(&settings.folders.outbox, move || securing.sync()));
        let sink: Arc<dyn FileSink> = Arc::clone(&outbox) as Arc<dyn FileSink>;
        let main = start(&log, settings, flow::topology(&context, flow_partitions), settings.workers)?;
        let writer = start(&log, settings, flow::writer_topology(&context, &sink, flow_partitions), 1)?;
        Ok(Self {
            inspector: main.inspector(),
            lag: log.lag(flow_partitions).map_err(log_failure)?,
            producer: None,
            main,
            writer,
            log,
            context,
            outbox,
            flow_partitions,
            give_up_after: settings.give_up_after,
            interrupted,
            demands_all: AtomicBool::new(false),
        })
    }

    /// What all stages are given.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Where files are written.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Number of partitions of the flow.
    pub fn flow_partitions(&self) -> i32 {
        self.flow_partitions
    }

    /// Counters by stage, and of the workers.
    pub fn metrics(&self) -> [Arc<Metrics>; 2] {
        [self.main.metrics(), self.writer.metrics()]
    }

    /// The error that ended the workers, if one did.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] with that error, or when the process was asked to end.
    pub fn check(&self) -> Result<(), Failure> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(Failure::unfinished(
                "interrupted; the state is intact, and the same command goes on from here",
            ));
        }
        match self.main.error().or_else(|| self.writer.error()) {
            Some(error) => Err(Failure::unfinished(error)),
            None => Ok(()),
        }
    }

    /// Waits until the workers of this process have restored all partitions of all stages.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when that does not happen, for example because another process has some of them.
    pub fn wait_until_ready(&self) -> Result<(), Failure> {
        let expected = self.task_count();
        let deadline = Instant::now() + self.give_up_after;
        loop {
            self.check()?;
            let ready = self.inspector.inspect(INSPECT_TIMEOUT, |_, _, _| Some(())).map_or(0, |tasks| tasks.len());
            if ready == expected {
                return Ok(());
            }
            if Instant::now() > deadline {
                let text = format!(
                    "only {ready} of {expected} partitions came to this process: a batch needs all of them, so end the \
                     services and batches of this namespace first; if there are none, the log is not available"
                );
                return Err(Failure::Unfinished(text));
            }
            std::thread::sleep(SETTLE_PAUSE);
        }
    }

    /// Waits until nothing is left to do.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when nothing moves for too long, with what stands in the way.
    pub fn settle(&self) -> Result<(), Failure> {
        let mut progress = Progress { done: 0, moved: Instant::now() };
        loop {
            self.check()?;
            match self.lag.lag() {
                Ok(0) => return Ok(()),
                Ok(_) => self.watch(&mut progress, None)?,
                Err(error) => self.watch(&mut progress, Some(&error))?,
            }
            std::thread::sleep(SETTLE_PAUSE);
        }
    }

    fn watch(&self, progress: &mut Progress, error: Option<&LogError>) -> Result<(), Failure> {
        let done = self.main.metrics().workers().commits + self.writer.metrics().workers().commits;
        if done != progress.done {
            *progress = Progress { done, moved: Instant::now() };
        }
        if progress.moved.elapsed() < self.give_up_after {
            return Ok(());
        }
        let reason = self.outbox.trouble().or_else(|| error.map(ToString::to_string));
        let reason = reason.unwrap_or_else(|| "the log does not take commits".to_owned());
        Err(Failure::unfinished(format!(
            "gave up after {} seconds: {reason}. Nothing is lost: the same command goes on from here",
            self.give_up_after.as_secs()
        )))
    }

    /// Publishes records, trying again while the log is not available.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when that lasts too long.
    pub fn publish(&mut self, output: &Output) -> Result<(), Failure> {
        Producer::publish(self, output).map_err(log_failure)
    }

    /// Brings everything published so far to the disk, where that is the log's own matter.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the disk does not take it.
    pub fn sync(&self) -> Result<(), Failure> {
        self.log.sync().map_err(log_failure)
    }

    /// Becomes the one that brings data in: a process that did so before can publish nothing more, and what it has
    /// published can be seen.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the log is not available.
    pub fn take_over_sources(&mut self) -> Result<(), Failure> {
        self.producer = None;
        self.producer = Some(self.log.producer().map_err(log_failure)?);
        Ok(())
    }

    /// Whether this process is the one that brings data in, as far as it knows: it was not fenced yet.
    pub fn has_sources(&self) -> bool {
        self.producer.is_some()
    }

    /// Leaves it to another process to bring data in.
    pub fn leave_sources(&mut self) {
        self.producer = None;
    }

    /// Whether the log is shared with other processes.
    pub fn is_shared(&self) -> bool {
        self.log.cluster().is_some()
    }

    /// Whether nothing in the log is left to read.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the log does not answer.
    pub fn is_idle(&self) -> Result<bool, Failure> {
        Ok(self.lag.lag().map_err(log_failure)? == 0)
    }

    /// The keys of a compacted topic that are not deleted, read from the log.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the log does not answer.
    pub fn keys(&self, topic: &'static Topic) -> Result<HashSet<Vec<u8>>, Failure> {
        let mut keys = HashSet::new();
        let read = self.log.read(topic, self.flow_partitions, &mut |key, value| {
            if value.is_some() {
                keys.insert(key.to_vec());
            } else {
                keys.remove(key);
            }
        });
        read.map_err(log_failure)?;
        Ok(keys)
    }

    /// Whether another process, or this one before a restart, has begun to load the base line and did not come to its
    /// end. Only for a shared log.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the log does not answer.
    pub fn is_base_line_being_loaded(&self) -> Result<bool, Failure> {
        self.log.cluster().map_or(Ok(false), base_line::is_being_loaded).map_err(log_failure)
    }

    /// From now on, looks into the workers see all partitions of all stages: one that was just moving from a worker to
    /// another would be taken for one without content.
    pub fn demand_all_partitions(&self) {
        self.demands_all.store(true, Ordering::Relaxed);
    }

    /// Whether enough was seen: all partitions of all stages, where that is demanded.
    fn is_complete<T>(&self, seen: &[(StagePartition, T)]) -> bool {
        !self.demands_all.load(Ordering::Relaxed) || each_was_seen_once(seen, self.task_count())
    }

    fn task_count(&self) -> usize {
        groups()[0].1.iter().map(|inbox| inbox.partition_count(self.flow_partitions) as usize).sum()
    }

    /// Calls `visit` with every processor of type `P` that this process has.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the workers do not answer.
    pub fn inspect<P: Any, T: Send + 'static>(
        &self,
        visit: impl Fn(&P) -> T + Send + Sync + 'static,
    ) -> Result<Vec<T>, Failure> {
        Ok(self.look(visit)?.into_iter().map(|(_, seen)| seen).collect())
    }

    /// As [`RunningFlow::inspect`], when this process has all `count` partitions of the stage; `None` when others have
    /// some of them, or when they are moving between workers.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the workers do not answer.
    pub fn inspect_all<P: Any, T: Send + 'static>(
        &self,
        count: i32,
        visit: impl Fn(&P) -> T + Send + Sync + 'static,
    ) -> Result<Option<Vec<T>>, Failure> {
        let seen = self.look(visit)?;
        let has_all = each_was_seen_once(&seen, count as usize);
        Ok(has_all.then(|| seen.into_iter().map(|(_, seen)| seen).collect()))
    }

    fn look<P: Any, T: Send + 'static>(
        &self,
        visit: impl Fn(&P) -> T + Send + Sync + 'static,
    ) -> Result<Vec<(StagePartition, T)>, Failure> {
        let visit = Arc::new(visit);
        let deadline = Instant::now() + self.give_up_after;
        loop {
            let visit = Arc::clone(&visit);
            let look = move |stage: &str, partition: i32, processor: &dyn Any| {
                Some(((stage.to_owned(), partition), processor.downcast_ref::<P>().map(|it| visit(it))))
            };
            let error = match self.inspector.inspect(INSPECT_TIMEOUT, look) {
                Ok(found) if self.is_complete(&found) => {
                    return Ok(found.into_iter().filter_map(|(task, seen)| Some((task, seen?))).collect());
                }
                Ok(_) => "partitions are moving between workers".to_owned(),
                Err(error) => error.to_string(),
            };
            std::thread::sleep(SETTLE_PAUSE);
            self.check()?;
            if Instant::now() > deadline {
                return Err(Failure::unfinished(format!("cannot look into the workers: {error}")));
            }
        }
    }

    /// Ends the workers: they commit, write snapshots of their state and leave.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] with the error that ended one earlier.
    pub fn stop(self) -> Result<(), Failure> {
        let Self { main, writer, producer, log, .. } = self;
        drop(producer);
        let stopped = main.stop().and(writer.stop()).map_err(Failure::unfinished);
        drop(log);
        stopped
    }
}

impl Producer for RunningFlow {
    fn publish(&mut self, output: &Output) -> Result<(), LogError> {
        let deadline = Instant::now() + self.give_up_after;
        loop {
            let result = match &mut self.producer {
                Some(producer) => producer.publish(output),
                None => self.log.producer().and_then(|producer| self.producer.insert(producer).publish(output)),
            };
            let Err(error) = result else { return Ok(()) };
            // What is published carries its identity (file name and chunk, TIS id), so a repetition changes nothing.
            self.producer = None;
            let ended = self.interrupted.load(Ordering::Relaxed) || Instant::now() > deadline;
            // Fenced: another process has taken over, and it must not be fenced in turn.
            if ended || matches!(error, LogError::Fatal(_) | LogError::Fenced(_)) {
                return Err(error);
            }
            tracing::warn!("publishing will be tried again: {error}");
            std::thread::sleep(PUBLISH_PAUSE);
        }
    }
}

/// The name of a stage, and a partition of its inbox.
type StagePartition = (String, i32);

/// Whether `count` partitions were seen, and none twice: one that moves between workers is met twice or not at all.
fn each_was_seen_once<T>(seen: &[(StagePartition, T)], count: usize) -> bool {
    seen.len() == count && seen.iter().map(|(partition, _)| partition).collect::<HashSet<_>>().len() == count
}

/// When something was last committed.
struct Progress {
    done: u64,
    moved: Instant,
}

fn start(log: &OpenLog, settings: &Settings, topology: Topology, workers: usize) -> Result<WorkerPool, Failure> {
    let group = topology.flow;
    let inboxes: Vec<&'static Topic> = topology.stages.iter().map(|stage| stage.inbox).collect();
    let snapshots = SnapshotConfig::new(settings.folders.state.join("snapshots"), log.identity());
    if let Err(error) = remove_abandoned(&snapshots.folder) {
        tracing::warn!(%error, "temporary files of an earlier run stay in {}", snapshots.folder.display());
    }
    let defaults = WorkerConfig::default();
    // Each worker reads for itself. On the embedded log all workers are of this process, which restores everything anyhow.
    let warm_up_entries = match log {
        OpenLog::Embedded(_) => 0,
        OpenLog::Kafka(_) => defaults.warm_up_entries / workers.max(1) as u64,
    };
    let instance = log.instance().to_owned();
    let config = WorkerConfig { instance, snapshots: Some(snapshots), warm_up_entries, ..defaults };
    let log = log.clone();
    let factory = move |slot: usize| log.worker(group, slot, &inboxes);
    WorkerPool::start(Arc::new(topology), config, workers, factory).map_err(Failure::unfinished)
}
