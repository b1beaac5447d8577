//! The flow, running in one process.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use prometheus::core::Collector;
use tributary_flow::clock::ClockReading;
use tributary_flow::http::Mount;
use tributary_flow::leading::Leading;
use tributary_flow::{Failure, Intake, Process, Round, RunningFlow, framed};
use tributary_registry::configuration::RegistrySettings;
use tributary_registry::context::Context;
use tributary_registry::declaration;
use tributary_registry::sealing::Sealer;
use tributary_registry::topics;
use tributary_runtime::{Headers, Output, Processor};
use tributary_schemas::records::tributary::Clock;

use crate::api;
use crate::calling::{Calling, CallingParts};
use crate::clients::Clients;
use crate::following::{Following, Told};
use crate::graphql::Graphql;
use crate::metrics::RegistryCollector;
use crate::partitions::{PartitionParts, Partitions};
use crate::service::Service;
use crate::settings::EdgeSettings;
use crate::vault::Vault;
use crate::waiting::Waiting;

/// The flow in one process.
pub(crate) struct Platform {
    process: Arc<dyn Process>,
    context: Context,
    calling: Arc<Calling>,
    partitions: Arc<Partitions>,
    shared: Arc<Shared>,
    graphql: Arc<Graphql>,
}

/// What the handlers of requests share.
pub(crate) struct Shared {
    pub(crate) process: Arc<dyn Process>,
    pub(crate) service: Arc<Service>,
    pub(crate) calling: Arc<Calling>,
    pub(crate) leading: Leading,
}

impl Shared {
    /// The settings of the flow.
    pub(crate) fn settings(&self) -> &RegistrySettings {
        &self.service.context.settings
    }

    /// What this process knows of the flow.
    pub(crate) fn following(&self) -> &Following {
        &self.service.following
    }
}

impl Platform {
    /// Opens the flow.
    ///
    /// # Errors
    /// [`Failure::Refused`] when a setting or a file is wrong. [`Failure::Unfinished`] when the log does not answer.
    pub(crate) fn open(settings: &EdgeSettings, process: Arc<dyn Process>) -> Result<Self, Failure> {
        let clients = settings.clients.as_deref().map(Clients::load).transpose().map_err(Failure::refused)?;
        let context = Context::new(process.codec().clone(), Arc::clone(&settings.flow));
        let (intake, waiting) = (Arc::new(Intake::start(&process)?), Arc::<Waiting>::default());
        let sealer: Arc<dyn Sealer> = Arc::clone(&settings.keys) as _;
        let parts = CallingParts {
            process: &process,
            context: &context,
            sealer: &sealer,
            intake: &intake,
            server: &settings.security_server,
        };
        let calling = Arc::new(Calling::start(&parts).map_err(Failure::refused)?);
        let vault = Arc::new(Vault::new(sealer, settings.lookup_key.clone()));
        let told = Told {
            calling: Arc::clone(&calling),
            waiting: Arc::clone(&waiting),
            settings: Arc::clone(&settings.flow),
            vault: Arc::clone(&vault),
        };
        let following = Arc::new(Following::start(&process, told)?);
        let partitions = Partitions::new(PartitionParts {
            process: Arc::clone(&process),
            context: context.clone(),
            intake: Arc::clone(&intake),
            waiting: Arc::clone(&waiting),
            calling: Arc::clone(&calling),
        });
        let is_shared = process.is_shared();
        let service = Arc::new(Service { context: context.clone(), intake, waiting, following, vault, is_shared });
        let lookups = Arc::clone(&service) as _;
        let graphql = Graphql::new(Arc::clone(&settings.flow), settings.graphql, clients.map(Arc::new), lookups);
        let shared = Shared {
            process: Arc::clone(&process),
            service,
            calling: Arc::clone(&calling),
            leading: Leading::default(),
        };
        Ok(Self {
            process,
            context,
            calling,
            partitions: Arc::new(partitions),
            shared: Arc::new(shared),
            graphql: Arc::new(graphql.map_err(Failure::refused)?),
        })
    }

    /// What the handlers of requests share.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Tells partitions whose rows wait that it is `now`.
    fn tell_time(&self, partitions: &BTreeSet<i32>, now: i64) -> Result<(), Failure> {
        let mut output = Output::new(self.process.flow_partitions());
        output.inherit(now, Headers::default());
        let clock = Clock { now, ..Clock::default() };
        for partition in partitions {
            output.send_to(&topics::JOB, *partition, b"", |buffer| {
                framed::write(&self.context.codec, &clock, buffer);
            });
        }
        self.process.publish(&output).map_err(Failure::unfinished)
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        // Handlers of requests may hold what they share for longer. A call that hangs must not hold up the end.
        self.calling.end();
    }
}

impl RunningFlow for Platform {
    fn processor(&self, stage: &'static str, _partition: i32) -> Box<dyn Processor> {
        declaration::processor(self.context.clone(), stage)
    }

    /// When a row has changed last: a start long after that, or before it, is in doubt.
    fn last_sign_of_life(&self) -> Result<Option<Timestamp>, Failure> {
        if let Some(problem) = self.shared.following().unfit() {
            return Err(Failure::refused(problem));
        }
        if !self.shared.following().has_begun() {
            return Err(Failure::unfinished("the rows are not read yet"));
        }
        let latest = self.shared.following().look(|views| views.latest);
        Ok(latest.and_then(|latest| Timestamp::from_millisecond(latest).ok()))
    }

    /// Tells the time to partitions whose rows are due. While the clock is in doubt, nothing that is due takes place.
    fn round(&self, round: &Round) -> Result<(), Failure> {
        self.shared.leading.note_round();
        if round.clock.doubt.is_some() {
            return Ok(());
        }
        let now = round.clock.now.as_millisecond();
        let due = self.shared.following().ticking(|ticking| ticking.tell(now, &self.context.settings));
        if due.is_empty() { Ok(()) } else { self.tell_time(&due, now) }
    }

    /// Looks which partitions this process has, and whether its keys fit.
    fn report(&self, _clock: &ClockReading) -> Result<(), Failure> {
        if let Some(problem) = self.shared.following().unfit() {
            return Err(Failure::refused(problem));
        }
        self.partitions.look()
    }

    fn collectors(&self) -> prometheus::Result<Vec<Box<dyn Collector>>> {
        Ok(vec![Box::new(RegistryCollector::new(&self.shared)?)])
    }

    fn mounts(&self) -> Vec<Mount> {
        let mut mounts = Arc::clone(&self.graphql).mounts();
        mounts.push(api::mount(&self.shared));
        mounts
    }
}
