//! The flow, running in one process.

use std::sync::Arc;
use std::sync::atomic::{self, AtomicBool};

use prometheus::core::Collector;
use tributary_cases::configuration::Ordering;
use tributary_cases::context::Context;
use tributary_cases::flow::Processors;
use tributary_cases::topics;
use tributary_connectors::origin::OriginClient;
use tributary_connectors::rabbitmq::Broker;
use tributary_connectors::views::ViewStore;
use tributary_flow::http::{Caller, Mount, Problem};
use tributary_flow::leading::Leading;
use tributary_flow::{ClockReading, Failure, Process, Round, RunningFlow, framed, log_failure};
use tributary_runtime::{Headers, Output, Processor, TopicPartition};
use tributary_schemas::records::cases::{CaseState, Origin, RegistryVersion};
use tributary_schemas::records::tributary::Clock;
use tributary_schemas::types::cases::{CaseId, ClientName};

use crate::accepted::Accepted;
use crate::delivery::{Delivery, DeliveryStatus};
use crate::following::Following;
use crate::intake::Intake;
use crate::kafka_delivery::KafkaDelivery;
use crate::kept_cases::KeptCases;
use crate::kept_queues::KeptQueues;
use crate::metrics::QueueCollector;
use crate::places::Places;
use crate::rows::{Rows, Viewer, folded};
use crate::senders::KafkaSenders;
use crate::settings::EdgeSettings;
use crate::tables::{self, CaseTables};
use crate::{admin, canary, commands, details, differences, events, kept_on_disk, notifications, problems, queries};

/// The distribution in one process.
pub(crate) struct Distribution {
    process: Arc<dyn Process>,
    context: Context,
    processors: Processors,
    service: Arc<Service>,
    is_compared: AtomicBool,
    /// Whether the registry of the configuration is in the log, since this process runs the rounds.
    is_offered: AtomicBool,
    _delivery: Option<Delivery>,
    /// Only on Kafka.
    _kafka_delivery: Option<KafkaDelivery>,
}

/// What the handlers of requests share.
pub(crate) struct Service {
    pub(crate) settings: Arc<EdgeSettings>,
    pub(crate) following: Following,
    /// The tables that answer queries of cases. `None`: the rows do.
    pub(crate) tables: Option<CaseTables>,
    pub(crate) intake: Intake,
    pub(crate) leading: Leading,
    /// Whether clients may receive their notifications on Kafka.
    pub(crate) has_kafka: bool,
    pub(crate) places: Arc<Places>,
    pub(crate) delivery: DeliveryStatus,
    pub(crate) origins: OriginClient,
    pub(crate) accepted: Accepted,
}

impl Distribution {
    /// Opens the flow. Without the broker that the settings have, nothing is delivered to its clients. `tables` is
    /// where the tables of cases are, if they answer queries.
    ///
    /// # Errors
    /// [`Failure::Refused`] when the state has another ordering, the settings need Kafka, or the folder of notifications
    /// on the disk cannot be used.
    /// [`Failure::Unfinished`] when the log does not answer.
    pub(crate) fn open(
        settings: &Arc<EdgeSettings>,
        process: Arc<dyn Process>,
        broker: Option<Arc<dyn Broker>>,
        tables: Option<Arc<dyn ViewStore>>,
    ) -> Result<Self, Failure> {
        if let Some(error) = settings.needs_kafka.as_ref().filter(|_| !process.is_shared()) {
            return Err(Failure::refused(error.clone()));
        }
        check_ordering(&*process, settings.stages.ordering)?;
        let context = Context::new(process.codec().clone(), Arc::clone(&settings.stages));
        let kept = if tables.is_some() { KeptCases::outlines() } else { KeptCases::default() };
        let disk = kept_on_disk::open(settings.stages.store, &*process)?;
        let queues = disk.as_ref().map(|disk| KeptQueues::in_table(disk.create("queues"))).unwrap_or_default();
        let service = Arc::new(Service {
            settings: Arc::clone(settings),
            following: Following::start(&process, kept, queues)?,
            tables: tables.map(|store| CaseTables::start(&process, store)).transpose()?,
            intake: Intake::start(&process, &context)?,
            leading: Leading::default(),
            has_kafka: process.is_shared(),
            places: Arc::default(),
            delivery: DeliveryStatus::default(),
            origins: OriginClient::new(&settings.details).map_err(Failure::unfinished)?,
            accepted: Accepted::new(&process),
        });
        let senders = KafkaSenders::new(&service, &*process);
        let processors = Processors::new(context.clone(), Arc::new(senders)).with_tables(disk);
        let delivered = settings.broker.clone().zip(broker);
        let delivery = delivered.map(|(settings, broker)| Delivery::start(&*process, &service, settings, broker));
        let copies = service.has_kafka.then(|| KafkaDelivery::start(&process, &context, &service)).transpose()?;
        Ok(Self {
            process,
            context,
            processors,
            service,
            is_compared: AtomicBool::new(false),
            is_offered: AtomicBool::new(false),
            _delivery: delivery,
            _kafka_delivery: copies,
        })
    }

    /// What the handlers of requests share.
    pub(crate) fn service(&self) -> &Service {
        &self.service
    }

    /// The async runtime of the process.
    pub(crate) fn tokio(&self) -> &tokio::runtime::Handle {
        self.process.tokio()
    }

    /// Waits until every record in the log has been processed.
    pub(crate) fn settle(&self) -> Result<(), Failure> {
        self.process.settle(&|| None)
    }

    /// Warns once of what differs between the file and a registry that is not empty.
    fn compare(&self) {
        let EdgeSettings { fill, file, .. } = &*self.service.settings;
        let is_compared = || self.is_compared.load(atomic::Ordering::Relaxed);
        if is_compared() || !self.service.following.has_caught_up_cases() {
            return;
        }
        let rows = self.service.following.rows();
        self.is_compared.store(true, atomic::Ordering::Relaxed);
        // An empty one takes in the file. What an operator then changes is no difference to warn of.
        if rows.version.version == 0 {
            return;
        }
        // A file without these tables says nothing about the registry.
        let Some(file) = file.as_deref().filter(|_| !differences::is_empty(fill)) else { return };
        for difference in differences::in_words(&differences::between(fill, &rows.registry())) {
            events::registry_differs(file, &difference);
        }
    }
}

impl RunningFlow for Distribution {
    fn processor(&self, stage: &'static str, partition: i32) -> Box<dyn Processor> {
        self.processors.processor(stage, partition)
    }

    /// The first round of a process offers the registry of the configuration, which only an empty registry takes. If
    /// that round fails, or the clock is in doubt, a later one does.
    fn round(&self, round: &Round) -> Result<(), Failure> {
        self.service.leading.note_round();
        self.compare();
        if round.is_first {
            self.is_offered.store(false, atomic::Ordering::Relaxed);
        }
        if round.clock.doubt.is_some() {
            return Ok(());
        }
        let now = round.clock.now.as_millisecond();
        let mut output = Output::new(self.process.flow_partitions());
        output.inherit(now, Headers::default());
        let fill = &self.service.settings.fill;
        if !self.is_offered.load(atomic::Ordering::Relaxed) && !differences::is_empty(fill) {
            framed::send(&self.context.codec, &mut output, &topics::REGISTRY, b"fill", fill);
        }
        if round.is_clock_due {
            let clock = Clock { now, ..Clock::default() };
            framed::send(&self.context.codec, &mut output, &topics::REGISTRY, b"clock", &clock);
        }
        if output.is_empty() {
            return Ok(());
        }
        self.process.publish(&output).map_err(Failure::unfinished)?;
        self.is_offered.store(true, atomic::Ordering::Relaxed);
        Ok(())
    }

    /// Another process with another ordering may have begun in the same log at the same time.
    fn report(&self, _clock: &ClockReading) -> Result<(), Failure> {
        let kept = self.service.following.rows().version.ordering;
        kept.map_or(Ok(()), |kept| self.context.settings.ordering.check(kept)).map_err(Failure::refused)
    }

    fn collectors(&self) -> prometheus::Result<Vec<Box<dyn Collector>>> {
        Ok(vec![Box::new(QueueCollector::new(&self.service)?)])
    }

    fn mounts(&self) -> Vec<Mount> {
        let service = || Arc::clone(&self.service);
        vec![
            commands::mount(service()),
            queries::mount(service()),
            details::mount(service()),
            notifications::mount(service()),
            admin::mount(service()),
            canary::mount(),
        ]
    }
}

impl Service {
    /// Who calls, as of the request: the rows of registry and cases have caught up with the log.
    ///
    /// # Errors
    /// 403 `UnknownClient`, 503.
    pub(crate) async fn viewer(&self, caller: &Caller) -> Result<Viewer, Problem> {
        self.following.catch_up_cases().await?;
        self.known(caller)
    }

    /// Who calls, as the rows say now.
    fn known(&self, caller: &Caller) -> Result<Viewer, Problem> {
        self.following.rows().viewer(caller.name()).ok_or_else(|| problems::unknown_client(caller))
    }

    /// The origin system that calls.
    ///
    /// # Errors
    /// 403 `UnknownClient` and `NotAnOrigin`, 503.
    pub(crate) async fn origin(&self, caller: &Caller) -> Result<Origin, Problem> {
        let known = |rows: &Rows| {
            let name = rows.viewer(caller.name())?.origin?;
            rows.origins.get(&folded(&name)).cloned()
        };
        // A known origin need not wait: each command is checked again by its queue.
        if let Some(origin) = known(&self.following.rows()) {
            return Ok(origin);
        }
        self.viewer(caller).await?;
        known(&self.following.rows()).ok_or_else(|| problems::not_an_origin(caller))
    }

    /// The client that calls, as of the request: also the rows of its queue have caught up.
    ///
    /// # Errors
    /// 403 `UnknownClient` and `NotAClient`, 503.
    pub(crate) async fn client(&self, caller: &Caller) -> Result<ClientName, Problem> {
        self.following.catch_up().await?;
        self.known(caller)?.client.ok_or_else(|| problems::not_a_client(caller))
    }

    /// A case that the caller sees, as of the request.
    ///
    /// # Errors
    /// 404 `CaseNotFound`, never of a living case that the caller sees. 403 and 503 as [`Service::viewer`], and 503
    /// while the tables cannot be read.
    pub(crate) async fn visible_case(&self, caller: &Caller, id: CaseId) -> Result<CaseState, Problem> {
        let viewer = self.viewer(caller).await?;
        let not_found = || problems::case_not_found(&id.to_string());
        // What the caller may not see is as if it were not there, also while the tables are away.
        if !self.following.rows().shows_kept(&viewer, id) {
            return Err(not_found());
        }
        let found = self.living_case(id).await?;
        found.filter(|case| self.following.rows().shows(&viewer, case)).ok_or_else(not_found)
    }

    /// A living case. The rows must have caught up.
    ///
    /// # Errors
    /// 503 while the tables cannot be read.
    pub(crate) async fn living_case(&self, id: CaseId) -> Result<Option<CaseState>, Problem> {
        let lives = || self.following.rows().cases.contains(id);
        let Some(tables) = &self.tables else {
            return Ok(self.following.rows().cases.whole().and_then(|cases| cases.by_id.get(&id).cloned()));
        };
        if !lives() {
            return Ok(None);
        }
        tables.catch_up().await?;
        if let Some(case) = tables.case(id).await? {
            return Ok(Some(case));
        }
        // It was deleted meanwhile, or its row is lost.
        self.following.catch_up_cases().await?;
        if lives() { Err(tables::unavailable()) } else { Ok(None) }
    }
}

/// The ordering decides partitions, so it stays with the state in the log.
fn check_ordering(process: &dyn Process, ordering: Ordering) -> Result<(), Failure> {
    let mut kept = None;
    let follower = process.follower().map_err(log_failure)?;
    for partition in 0..topics::REGISTRY_ROWS.partition_count(process.flow_partitions()) {
        let rows = TopicPartition { topic: topics::REGISTRY_ROWS.name, partition };
        let read = follower.read_from(rows, 0, &mut |record| {
            if record.key == b"version" {
                kept = record.value.map(<[u8]>::to_vec);
            }
            Ok(())
        });
        read.map_err(log_failure)?;
    }
    let Some(value) = kept else { return Ok(()) };
    let row = process.codec().open(&value).and_then(|framed| framed.read::<RegistryVersion>());
    let row =
        row.map_err(|error| Failure::unfinished(format!("the version of the registry cannot be read: {error}")))?;
    row.ordering.map_or(Ok(()), |kept| ordering.check(kept)).map_err(Failure::refused)
}
