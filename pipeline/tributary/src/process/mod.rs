//! The process: one log, and the flows on it, each with its groups of workers.

mod address;
mod flow_process;
mod host;
mod namespace_level;
mod open_log;
mod service;
mod starting;
mod status;
mod views;

use std::sync::Arc;

use tokio::runtime::Handle;
use tributary_flow::declaration::{Declaration, Group};
use tributary_flow::{Authenticator, ConfiguredFlow, Failure, Process, RunningFlow};
use tributary_runtime::{Shutdown, SnapshotConfig, Topic, WorkerConfig, WorkerError, WorkerPool, remove_abandoned};

pub(crate) use address::address_in;
pub(crate) use flow_process::FlowProcess;
pub(crate) use host::ProcessHost;
pub(crate) use namespace_level::{Control, ControlTopic, RELEASE};
pub(crate) use open_log::{OpenLog, compare_compatibility, compare_topics, flows_of_namespace};
pub(crate) use service::Service;
pub(crate) use status::Status;

use flow_process::RunningGroup;

use crate::events;
use crate::settings::Settings;

/// A flow to run, with its declaration and its settings.
#[derive(Clone)]
pub(crate) struct FlowToRun {
    pub(crate) declaration: &'static Declaration,
    pub(crate) configured: Arc<dyn ConfiguredFlow>,
}

/// What all flows of a process have in common.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) settings: Settings,
    pub(crate) shutdown: Shutdown,
    pub(crate) tokio: Handle,
    /// Checks credentials of messages, in a process with an HTTP port.
    pub(crate) authenticator: Option<Arc<dyn Authenticator>>,
}

/// A flow with its workers.
pub(crate) struct Started {
    // Fields are dropped in this order, so the workers end before the flow that makes their processors.
    pools: Vec<Arc<WorkerPool>>,
    pub(crate) flow: Arc<dyn RunningFlow>,
    pub(crate) process: Arc<FlowProcess>,
}

/// Opens the log and starts the workers of all flows.
///
/// # Errors
/// [`Failure`] when the log or the registry cannot be used or the workers cannot start.
pub(crate) fn start(surroundings: &Surroundings, flows: &[FlowToRun]) -> Result<Vec<Started>, Failure> {
    let settings = &surroundings.settings;
    let declarations: Vec<&'static Declaration> = flows.iter().map(|flow| flow.declaration).collect();
    let configured: Vec<&'static Topic> = flows.iter().flat_map(|flow| flow.configured.topics()).collect();
    let log = OpenLog::open(settings, &declarations, &configured)?;
    let codec = log.codec(settings, &declarations)?;
    let mut started = Vec::new();
    for flow in flows {
        let flow_partitions = i32::from(settings.partitions);
        ControlTopic { log: &log, codec: &codec, flow: flow.declaration, flow_partitions }.enter(log.instance())?;
        let process = FlowProcess::new(flow.declaration, surroundings, log.clone(), codec.clone())?;
        started.push(Started::start(flow, Arc::new(process), &log, settings)?);
    }
    Ok(started)
}

impl Started {
    fn start(flow: &FlowToRun, process: Arc<FlowProcess>, log: &OpenLog, settings: &Settings) -> Result<Self, Failure> {
        let running = flow.configured.open(Arc::clone(&process) as Arc<dyn Process>)?;
        let snapshots = SnapshotConfig::new(settings.state.join("snapshots"), log.identity());
        if let Err(error) = remove_abandoned(&snapshots.folder) {
            events::abandoned_files_stay(&snapshots.folder, &error);
        }
        let (mut pools, mut groups) = (Vec::new(), Vec::new());
        for group in flow.declaration.groups {
            let pool = Arc::new(start_group(flow.declaration, group, &running, log, settings, &snapshots)?);
            let watched = Arc::downgrade(&pool);
            groups.push(RunningGroup {
                workers: group.workers,
                metrics: pool.metrics(),
                inspector: pool.inspector(),
                error: Box::new(move || watched.upgrade().and_then(|pool| pool.error())),
            });
            pools.push(pool);
        }
        process.started(groups);
        Ok(Self { pools, flow: running, process })
    }

    /// Ends the workers: they commit, write snapshots of their state and leave their groups.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] with the error that ended a worker before.
    pub(crate) fn stop(self) -> Result<(), Failure> {
        let Self { pools, flow, process } = self;
        process.leave_rounds();
        process.end_views();
        let mut stopped = Ok(());
        for pool in pools {
            let ended = sole(pool).stop();
            stopped = stopped.and(ended.map_err(|error| worker_failure(error, process.has_changed())));
        }
        drop(flow);
        stopped
    }
}

/// The failure of a process whose worker has ended. It is a refusal only if the process has changed nothing before.
fn worker_failure(error: WorkerError, has_changed: bool) -> Failure {
    if error.is_refusal() && !has_changed { Failure::refused(error) } else { Failure::unfinished(error) }
}

/// The pool, once no other thread holds it. A check of its error holds it for a short time.
fn sole(mut pool: Arc<WorkerPool>) -> WorkerPool {
    loop {
        match Arc::try_unwrap(pool) {
            Ok(pool) => return pool,
            Err(held) => pool = held,
        }
        std::thread::yield_now();
    }
}

fn start_group(
    declaration: &'static Declaration,
    group: &'static Group,
    flow: &Arc<dyn RunningFlow>,
    log: &OpenLog,
    settings: &Settings,
    snapshots: &SnapshotConfig,
) -> Result<WorkerPool, Failure> {
    let workers = group.workers.count(settings.workers);
    let defaults = WorkerConfig::default();
    // Each worker warms up for itself. On the embedded log all workers are in this process, which restores everything
    // anyway.
    let warm_up_entries = match log {
        OpenLog::Embedded(_) => 0,
        OpenLog::Kafka(_) => defaults.warm_up_entries / workers.max(1) as u64,
    };
    let (instance, snapshots) = (log.instance().to_owned(), Some(snapshots.clone()));
    let offsets_reset = settings.offsets_reset();
    let config = WorkerConfig { instance, snapshots, warm_up_entries, offsets_reset, ..defaults };
    let flow = Arc::clone(flow);
    let topology = group.topology(declaration.dead_letters, i32::from(settings.partitions), move |stage, partition| {
        flow.processor(stage, partition)
    });
    let (log, inboxes) = (log.clone(), group.inboxes());
    let factory = move |slot: usize| log.worker(group.name, slot, &inboxes);
    WorkerPool::start(Arc::new(topology), config, workers, factory).map_err(Failure::unfinished)
}
