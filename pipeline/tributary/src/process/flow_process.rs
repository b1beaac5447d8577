//! A flow in this process: what the flow receives, and views into its workers.

use std::any::Any;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tributary_connectors::trouble::Troubles;
use tributary_flow::declaration::{Declaration, View, Workers};
use tributary_flow::http::{Page, Problem};
use tributary_flow::process::{Visit, view_not_kept};
use tributary_flow::view::Rows;
use tributary_flow::{Authenticator, Failure, Process, log_failure};
use tributary_runtime::{
    Inspector, Lag, LogError, Metrics, Output, Producer, Shutdown, Topic, TopicFollower, TopicReader, WorkerError,
    create_folder_durably, remove_abandoned,
};
use tributary_schemas::Codec;

use super::open_log::OpenLog;
use super::views::{Views, remove_unkept};
use super::{Surroundings, worker_failure};
use crate::events;

/// The pause between two checks for remaining work.
const SETTLE_PAUSE: Duration = Duration::from_millis(2);

/// How long one look into the workers may take before this process checks whether to continue.
const INSPECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause between two attempts to publish.
const PUBLISH_PAUSE: Duration = Duration::from_millis(200);

/// The name of the producer that publishes in rounds.
const ROUNDS: &str = "sources";

/// What a flow receives from the process.
pub(crate) struct FlowProcess {
    declaration: &'static Declaration,
    log: OpenLog,
    codec: Codec,
    state: PathBuf,
    shutdown: Shutdown,
    tokio: Handle,
    authenticator: Option<Arc<dyn Authenticator>>,
    flow_partitions: i32,
    give_up_after: Duration,
    lag: Box<dyn Lag>,
    /// The producer of the rounds. On Kafka, only one of all processes has it: the one that runs the rounds.
    producer: Mutex<Option<Box<dyn Producer>>>,
    publishing_troubles: Mutex<Troubles>,
    /// The workers, once they have started.
    groups: OnceLock<Vec<RunningGroup>>,
    /// The views, in a process that serves requests.
    views: Option<Views>,
    demands_all: AtomicBool,
    has_published: AtomicBool,
    readiness: Mutex<Result<(), String>>,
}

/// A group whose workers can be inspected.
pub(super) struct RunningGroup {
    pub(super) workers: Workers,
    pub(super) metrics: Arc<Metrics>,
    pub(super) inspector: Inspector,
    /// Returns the error that ended the workers.
    pub(super) error: Box<dyn Fn() -> Option<WorkerError> + Send + Sync>,
}

impl FlowProcess {
    /// A flow whose workers have not started.
    ///
    /// # Errors
    /// [`Failure`] when the log does not answer, or the state folder cannot be used.
    pub(super) fn new(
        declaration: &'static Declaration,
        surroundings: &Surroundings,
        log: OpenLog,
        codec: Codec,
    ) -> Result<Self, Failure> {
        let Surroundings { settings, shutdown, tokio, authenticator } = surroundings;
        let flow_partitions = i32::from(settings.partitions);
        let state = settings.state.join(declaration.name);
        prepare_folder(&state)?;
        let serves_views = settings.serves_views && !declaration.views.is_empty();
        let views = serves_views.then(|| Views::open(declaration, &state, &log, flow_partitions)).transpose()?;
        if views.is_none() && matches!(log, OpenLog::Embedded(_)) {
            remove_unkept(&state)?;
        }
        Ok(Self {
            declaration,
            views,
            lag: log.lag(declaration, flow_partitions).map_err(log_failure)?,
            log,
            codec,
            state,
            shutdown: shutdown.clone(),
            tokio: tokio.clone(),
            authenticator: authenticator.clone(),
            flow_partitions,
            give_up_after: settings.give_up_after,
            producer: Mutex::new(None),
            publishing_troubles: Mutex::default(),
            groups: OnceLock::new(),
            demands_all: AtomicBool::new(false),
            has_published: AtomicBool::new(false),
            readiness: Mutex::new(Err("the workers are not started".to_owned())),
        })
    }

    /// Sets the workers, which start after the flow has been opened.
    pub(super) fn started(&self, groups: Vec<RunningGroup>) {
        // The workers start only once.
        let _ = self.groups.set(groups);
    }

    /// The flow's declaration.
    pub(crate) fn declaration(&self) -> &'static Declaration {
        self.declaration
    }

    /// Makes this the process that runs the rounds. The process that ran them before can publish no more, and what it
    /// has published becomes visible.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the log is not available.
    pub(crate) fn take_over_rounds(&self) -> Result<(), Failure> {
        let mut producer = self.lock_producer();
        *producer = None;
        *producer = Some(self.log.producer(self.declaration.name, ROUNDS).map_err(Failure::unfinished)?);
        Ok(())
    }

    /// Whether this process runs the rounds, as far as it knows: no other process has fenced it yet.
    pub(crate) fn has_rounds(&self) -> bool {
        self.lock_producer().is_some()
    }

    /// Leaves the rounds to another process.
    pub(crate) fn leave_rounds(&self) {
        *self.lock_producer() = None;
    }

    /// Asks what keeps the views to end.
    pub(super) fn end_views(&self) {
        if let Some(views) = &self.views {
            views.end();
        }
    }

    /// Whether this process owns partition 0 of the leader topic.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the workers do not answer.
    pub(crate) fn leads(&self) -> Result<bool, Failure> {
        let Some(leader) = self.declaration.leader else { return Ok(false) };
        let Some(stage) = self.declaration.stages().find(|stage| stage.inbox == leader) else { return Ok(false) };
        let name = stage.name;
        let visit: Visit = Arc::new(move |stage, partition, _| {
            (stage == name && partition == 0).then(|| Box::new(()) as Box<dyn Any + Send>)
        });
        Ok(!self.visit(visit)?.is_empty())
    }

    /// The number of partitions that this process has restored, and the number of all, in the groups that compute.
    ///
    /// # Errors
    /// When the workers do not answer.
    pub(crate) fn restored(&self) -> Result<(usize, usize), Failure> {
        let visit = |stage: &str, partition: i32, _: &dyn Any| Some((stage.to_owned(), partition));
        let mut seen = 0;
        for group in self.computing() {
            seen += group.inspector.inspect(INSPECT_TIMEOUT, visit).map_err(Failure::unfinished)?.len();
        }
        Ok((seen, self.task_count()))
    }

    /// The error that ended the workers, if there is one.
    pub(crate) fn worker_error(&self) -> Option<String> {
        self.groups().iter().find_map(|group| (group.error)()).map(|error| error.to_string())
    }

    /// Whether all partitions of this process were restored at the last check.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn readiness(&self) -> Result<(), String> {
        self.readiness.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Checks whether all partitions are restored. It asks the workers, which may take some time.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn check_readiness(&self) -> Result<(), String> {
        let readiness = self.ask_readiness();
        self.readiness.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&readiness);
        readiness
    }

    fn ask_readiness(&self) -> Result<(), String> {
        let (restored, all) = self.restored().map_err(|error| error.to_string())?;
        let is_enough = if self.is_shared() { restored > 0 } else { restored == all };
        if !is_enough {
            return Err(format!("{restored} of {all} partitions are restored"));
        }
        if self.views.as_ref().is_some_and(|views| !views.is_caught_up()) {
            return Err("the views are not read to their ends yet".to_owned());
        }
        Ok(())
    }

    /// The number of records that are committed and not yet processed.
    ///
    /// # Errors
    /// The error of the log.
    pub(crate) fn lag(&self) -> Result<u64, LogError> {
        self.lag.lag()
    }

    /// Whether this process has published or committed anything.
    pub(super) fn has_changed(&self) -> bool {
        self.has_published.load(Ordering::Relaxed) || self.commits() > 0
    }

    fn lock_producer(&self) -> std::sync::MutexGuard<'_, Option<Box<dyn Producer>>> {
        self.producer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn groups(&self) -> &[RunningGroup] {
        self.groups.get().map_or(&[], Vec::as_slice)
    }

    /// The groups whose stages compute. The other groups may wait for the outside at any time.
    fn computing(&self) -> impl Iterator<Item = &RunningGroup> {
        self.groups().iter().filter(|group| group.workers == Workers::Configured)
    }

    fn task_count(&self) -> usize {
        let computing = self.declaration.groups.iter().filter(|group| group.workers == Workers::Configured);
        let stages = computing.flat_map(|group| group.stages);
        stages.map(|stage| stage.inbox.partition_count(self.flow_partitions) as usize).sum()
    }

    fn give_up(&self, reason: &str) -> Failure {
        let seconds = self.give_up_after.as_secs();
        Failure::unfinished(format!(
            "gave up after {seconds} seconds: {reason}. Nothing is lost: the same command continues from here"
        ))
    }

    /// Reports what has changed about failures to publish.
    fn note_publishing(&self, error: Option<&LogError>) {
        let mut troubles = self.publishing_troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let report = match error {
            Some(error) => troubles.note(ROUNDS, error.to_string(), Instant::now()),
            None => troubles.end(ROUNDS, Instant::now()),
        };
        report.iter().for_each(events::publishing_trouble);
    }

    fn commits(&self) -> u64 {
        self.groups().iter().map(|group| group.metrics.workers().commits).sum()
    }
}

impl Process for FlowProcess {
    fn flow_partitions(&self) -> i32 {
        self.flow_partitions
    }

    fn codec(&self) -> &Codec {
        &self.codec
    }

    fn state(&self) -> &Path {
        &self.state
    }

    fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    fn tokio(&self) -> &Handle {
        &self.tokio
    }

    fn is_shared(&self) -> bool {
        matches!(self.log, OpenLog::Kafka(_))
    }

    fn shared_log(&self) -> Option<String> {
        self.is_shared().then(|| self.log.identity())
    }

    fn publish(&self, output: &Output) -> Result<(), LogError> {
        let deadline = Instant::now() + self.give_up_after;
        let mut producer = self.lock_producer();
        // A failed attempt may have published, too.
        self.has_published.store(true, Ordering::Relaxed);
        loop {
            let result = match &mut *producer {
                Some(producer) => producer.publish(output),
                None => self
                    .log
                    .producer(self.declaration.name, ROUNDS)
                    .and_then(|opened| producer.insert(opened).publish(output)),
            };
            let Err(error) = result else {
                self.note_publishing(None);
                return Ok(());
            };
            *producer = None;
            let is_over = self.shutdown.is_triggered() || Instant::now() > deadline;
            // If fenced, another process has taken over. Fencing it in turn would be wrong.
            if is_over || matches!(error, LogError::Fatal(_) | LogError::Fenced(_)) {
                return Err(error);
            }
            self.note_publishing(Some(&error));
            self.shutdown.wait(PUBLISH_PAUSE);
        }
    }

    fn producer(&self, name: &str) -> Result<Box<dyn Producer>, LogError> {
        self.log.producer(self.declaration.name, name)
    }

    fn authenticator(&self) -> Option<Arc<dyn Authenticator>> {
        self.authenticator.clone()
    }

    fn provide_topic(&self, topic: &'static Topic) -> Result<(), LogError> {
        self.log.provide_topic(topic, self.flow_partitions)
    }

    fn own_producer(&self, name: &str) -> Result<Box<dyn Producer>, LogError> {
        self.log.own_producer(self.declaration.name, name)
    }

    fn reader(&self) -> Result<Box<dyn TopicReader>, LogError> {
        self.log.reader(self.declaration.name)
    }

    fn follower(&self) -> Result<Box<dyn TopicFollower>, LogError> {
        self.log.follower(self.declaration.name)
    }

    fn sync(&self) -> Result<(), LogError> {
        self.log.sync()
    }

    fn is_idle(&self) -> Result<bool, LogError> {
        Ok(self.lag.lag()? == 0)
    }

    fn settle(&self, obstacle: &dyn Fn() -> Option<String>) -> Result<(), Failure> {
        let (mut commits, mut moved) = (0, Instant::now());
        loop {
            self.check()?;
            let error = match self.lag.lag() {
                Ok(0) => return Ok(()),
                Ok(_) => None,
                Err(error) => Some(error.to_string()),
            };
            let now = self.commits();
            if now != commits {
                (commits, moved) = (now, Instant::now());
            }
            if moved.elapsed() >= self.give_up_after {
                let reason = obstacle().or(error);
                return Err(self.give_up(&reason.unwrap_or_else(|| "the log does not accept commits".to_owned())));
            }
            self.shutdown.wait(SETTLE_PAUSE);
        }
    }

    fn wait_until_ready(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + self.give_up_after;
        loop {
            self.check()?;
            let (ready, expected) = self.restored().unwrap_or((0, self.task_count()));
            if ready == expected {
                return Ok(());
            }
            if Instant::now() > deadline {
                let text = format!(
                    "only {ready} of {expected} partitions are assigned here: a batch needs all of them, so end the \
                     services and batches of this namespace first; if there are none, the log is not available"
                );
                return Err(Failure::unfinished(text));
            }
            self.shutdown.wait(SETTLE_PAUSE);
        }
    }

    fn demand_all_partitions(&self) {
        self.demands_all.store(true, Ordering::Relaxed);
    }

    fn check(&self) -> Result<(), Failure> {
        if self.shutdown.is_triggered() {
            return Err(Failure::unfinished(
                "interrupted; the state is intact, and the same command continues from here",
            ));
        }
        match self.groups().iter().find_map(|group| (group.error)()) {
            Some(error) => Err(worker_failure(error, self.has_changed())),
            None => Ok(()),
        }
    }

    fn visit(&self, visit: Visit) -> Result<Vec<Box<dyn Any + Send>>, Failure> {
        let deadline = Instant::now() + self.give_up_after;
        loop {
            let error = match self.look(&visit) {
                Ok(seen) if self.is_complete(&seen) => {
                    return Ok(seen.into_iter().filter_map(|(_, seen)| seen).collect());
                }
                Ok(_) => "partitions are moving between workers".to_owned(),
                Err(error) => error.to_string(),
            };
            self.shutdown.wait(SETTLE_PAUSE);
            self.check()?;
            if Instant::now() > deadline {
                return Err(Failure::unfinished(format!("cannot look into the workers: {error}")));
            }
        }
    }

    fn rows(&self, view: &'static View, page: &Page) -> Result<Rows, Problem> {
        self.views.as_ref().ok_or_else(|| view_not_kept(view))?.rows(view, page)
    }

    fn metrics(&self) -> Vec<Arc<Metrics>> {
        self.groups().iter().map(|group| Arc::clone(&group.metrics)).collect()
    }
}

/// Creates the folder of the flow, and removes temporary files of a killed process.
fn prepare_folder(state: &Path) -> Result<(), Failure> {
    let cannot =
        |what: &str, error: &std::io::Error| Failure::refused(format!("cannot {what} {}: {error}", state.display()));
    create_folder_durably(state).map_err(|error| cannot("create the folder", &error))?;
    remove_abandoned(state).map_err(|error| cannot("remove temporary files from", &error))
}

/// A partition of a stage, and what `visit` returned for it.
type Seen = ((String, i32), Option<Box<dyn Any + Send>>);

impl FlowProcess {
    fn look(&self, visit: &Visit) -> Result<Vec<Seen>, tributary_runtime::InspectError> {
        let mut seen = Vec::new();
        for group in self.computing() {
            let visit = Arc::clone(visit);
            seen.extend(group.inspector.inspect(INSPECT_TIMEOUT, move |stage, partition, processor| {
                Some(((stage.to_owned(), partition), visit(stage, partition, processor)))
            })?);
        }
        Ok(seen)
    }

    /// Whether all partitions of all stages were seen once, if the flow demands that. A partition that moves between
    /// workers is seen twice or not at all.
    fn is_complete(&self, seen: &[Seen]) -> bool {
        if !self.demands_all.load(Ordering::Relaxed) {
            return true;
        }
        let count = self.task_count();
        seen.len() == count && seen.iter().map(|(partition, _)| partition).collect::<HashSet<_>>().len() == count
    }
}
