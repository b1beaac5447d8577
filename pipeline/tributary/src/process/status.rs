//! What the process shows about itself over HTTP.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Instant;

use jiff::Timestamp;
use tributary_flow::{ClockGuard, ClockReading, Process};

use super::FlowProcess;
use crate::http::{FlowLag, FlowState, FlowStatus, ProcessStatus, StageStatus};

/// The state of the process, which fills while it starts.
pub(crate) struct Status {
    /// What the process waits for until the flows are open.
    waiting: Mutex<String>,
    processes: RwLock<Vec<Arc<FlowProcess>>>,
    clock: Mutex<ClockGuard>,
}

impl Status {
    /// The state of a process that is starting.
    pub(crate) fn starting(clock: ClockGuard) -> Arc<Self> {
        let waiting = Mutex::new("starting".to_owned());
        Arc::new(Self { waiting, processes: RwLock::default(), clock: Mutex::new(clock) })
    }

    /// Reads the clock and judges it.
    pub(crate) fn read_clock(&self) -> ClockReading {
        self.lock_clock().read(Timestamp::now(), Instant::now())
    }

    /// Compares the clock with the last time in the log.
    pub(crate) fn begin_clock(&self, last_sign_of_life: Timestamp) {
        self.lock_clock().begin(last_sign_of_life, Timestamp::now(), Instant::now());
    }

    fn lock_clock(&self) -> MutexGuard<'_, ClockGuard> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets what the process waits for.
    pub(crate) fn wait_for(&self, reason: &str) {
        reason.clone_into(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Sets the open flows.
    pub(crate) fn opened(&self, processes: Vec<Arc<FlowProcess>>) {
        *self.processes.write().unwrap_or_else(PoisonError::into_inner) = processes;
    }

    fn processes(&self) -> RwLockReadGuard<'_, Vec<Arc<FlowProcess>>> {
        self.processes.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProcessStatus for Status {
    fn live(&self) -> Result<(), String> {
        self.processes().iter().try_for_each(|process| process.worker_error().map_or(Ok(()), Err))
    }

    fn started(&self) -> Result<(), String> {
        if self.processes().is_empty() {
            return Err(self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone());
        }
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        self.started()?;
        self.live()?;
        self.processes().iter().try_for_each(|process| process.readiness())
    }

    fn confirm_clock(&self, by: &str) -> Result<(), String> {
        self.lock_clock().confirm(by).map_err(|error| error.to_string())
    }

    fn flows(&self) -> Vec<FlowStatus> {
        self.processes().iter().map(|process| flow_status(process)).collect()
    }

    fn lag(&self) -> Result<Vec<FlowLag>, String> {
        let processes = self.processes().clone();
        let lag = |process: &Arc<FlowProcess>| {
            let records = process.lag().map_err(|error| error.to_string())?;
            Ok(FlowLag { flow: process.declaration().name.to_owned(), records })
        };
        processes.iter().map(lag).collect()
    }
}

fn flow_status(process: &FlowProcess) -> FlowStatus {
    let (state, reason) = match (process.worker_error(), process.readiness()) {
        (Some(error), _) => (FlowState::Failed, Some(error)),
        (None, Err(reason)) => (FlowState::Starting, Some(reason)),
        (None, Ok(())) => (FlowState::Running, None),
    };
    let groups = process.declaration().groups.iter().zip(process.metrics());
    let stages = groups.flat_map(|(group, metrics)| {
        metrics.stages().into_iter().map(|stage| StageStatus {
            group: group.name.to_owned(),
            name: stage.name.to_owned(),
            records_in: stage.records_in,
            records_out: stage.records_out,
            dead_letters: stage.dead_letters,
        })
    });
    FlowStatus { name: process.declaration().name.to_owned(), state, reason, stages: stages.collect() }
}
