//! The calls of this process: a task for each kind makes those that may begin, and puts their answers into the log.
//!
//! A process makes the calls of the partitions that it works on, once everything is processed that was in their inboxes
//! when it got them. An answer that another process has put there is then known.

mod lane;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::task::JoinHandle;
use tributary_connectors::soap::mutual_tls::MutualTlsError;
use tributary_flow::{Intake, Process};
use tributary_registry::caller::BreakerState;
use tributary_registry::context::Context;
use tributary_registry::row_key::RowKey;
use tributary_registry::sealing::Sealer;
use tributary_schemas::records::registry::Call;
use tributary_schemas::types::registry::KindName;

use crate::settings::{CallLimits, SecurityServer};
pub(crate) use lane::{BUCKETS, CallCounts};
use lane::{Lane, LaneParts};

/// The calls of all kinds.
pub(crate) struct Calling {
    lanes: BTreeMap<KindName, Arc<Lane>>,
    tasks: Vec<JoinHandle<()>>,
}

/// What calls are made with.
pub(crate) struct CallingParts<'a> {
    pub(crate) process: &'a Arc<dyn Process>,
    pub(crate) context: &'a Context,
    pub(crate) sealer: &'a Arc<dyn Sealer>,
    pub(crate) intake: &'a Arc<Intake>,
    pub(crate) server: &'a SecurityServer,
}

/// The calls of a kind in this process.
#[derive(Clone, Debug)]
pub(crate) struct CallsOfKind {
    pub(crate) breaker: BreakerState,
    pub(crate) in_flight: usize,
    pub(crate) counts: CallCounts,
}

impl Calling {
    /// Starts the tasks. No call is made before partitions are settled.
    ///
    /// # Errors
    /// [`MutualTlsError`]: a file of the certificates cannot be used any more.
    pub(crate) fn start(parts: &CallingParts<'_>) -> Result<Self, MutualTlsError> {
        let settings = &parts.context.settings;
        let mut lanes = BTreeMap::new();
        for (name, kind) in &settings.kinds {
            let limits = CallLimits {
                timeout: std::time::Duration::from_millis(kind.calls.timeout.unsigned_abs()),
                largest_answer: settings.trembita.max_answer,
            };
            let lane = Lane::new(LaneParts {
                kind: kind.clone(),
                context: parts.context.clone(),
                sealer: Arc::clone(parts.sealer),
                intake: Arc::clone(parts.intake),
                client: parts.server.client(limits)?,
            });
            lanes.insert(name.clone(), Arc::new(lane));
        }
        let tokio = parts.process.tokio();
        let tasks = lanes.values().map(|lane| tokio.spawn(Arc::clone(lane).run())).collect();
        Ok(Self { lanes, tasks })
    }

    /// A record of the topic of calls, as committed: a call, or the end of one.
    pub(crate) fn note(&self, kind: &KindName, row: RowKey, partition: i32, call: Option<Call>) {
        if let Some(lane) = self.lanes.get(kind) {
            lane.note(row, partition, call);
        }
    }

    /// All that was noted of a kind is read again.
    pub(crate) fn forget(&self, kind: &KindName) {
        if let Some(lane) = self.lanes.get(kind) {
            lane.forget();
        }
    }

    /// The partitions whose calls this process makes from now on.
    pub(crate) fn settle(&self, partitions: &BTreeSet<i32>) {
        self.lanes.values().for_each(|lane| lane.settle(partitions));
    }

    /// Whether calls of a kind are made.
    pub(crate) fn pause(&self, kind: &KindName, is_paused: bool) {
        if let Some(lane) = self.lanes.get(kind) {
            lane.pause(is_paused);
        }
    }

    /// Whether the calls of a partition are made here.
    pub(crate) fn has(&self, partition: i32) -> bool {
        self.lanes.values().next().is_some_and(|lane| lane.has(partition))
    }

    /// Whether a call is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.lanes.values().any(|lane| lane.is_busy())
    }

    /// The calls of a kind in this process.
    pub(crate) fn status(&self, kind: &KindName) -> Option<CallsOfKind> {
        self.lanes.get(kind).map(|lane| lane.status())
    }

    /// Ends the tasks. Calls under way are given up: the next process makes them again.
    pub(crate) fn end(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
