//! The flow, running in one process.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use prometheus::core::Collector;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tributary_aggregation::cache::log::{CacheLog, CacheLogParts};
use tributary_aggregation::declaration;
use tributary_aggregation::ei_settings::{Index as IndexPlace, IndexSettings};
use tributary_aggregation::find_content::{Found, IndexError};
use tributary_aggregation::flow::{Connections, Flow};
use tributary_aggregation::index::IndexContext;
use tributary_aggregation::local_time::Stockholm;
use tributary_aggregation::own_index::{OwnIndex, SharedView};
use tributary_aggregation::port::{Answering, Index, IndexQuestion};
use tributary_aggregation::tak::Tak;
use tributary_aggregation::topics;
use tributary_flow::http::{Mount, Problem};
use tributary_flow::leading::Leading;
use tributary_flow::{Failure, Intake, Process, Round, RunningFlow, framed};
use tributary_runtime::{Headers, Output, Processor};
use tributary_schemas::Codec;
use tributary_schemas::records::aggregation::{Engagement, Subscriber, SubscriberFilter, SubscriberList};
use tributary_schemas::records::tributary::Clock;
use tributary_schemas::types::aggregation::PatientId;
use uuid::Uuid;

use crate::audit::{self, AuditWriter, PatientKey};
use crate::cache_writer::{CacheWriter, CacheWriting};
use crate::following::{Begun, Following};
use crate::notifying::Notifying;
use crate::outside::Outside;
use crate::settings::EdgeSettings;
use crate::tak_source::TakSource;
use crate::{api, events, index_services, runbooks, services};

/// The time is published this often within a window of collecting.
const TICKS_OF_WINDOW: u32 = 4;

/// How long a request to clear the cache waits for the log.
const FLUSH_PATIENCE: Duration = Duration::from_secs(10);

/// The platform in one process.
pub(crate) struct Platform {
    process: Arc<dyn Process>,
    context: IndexContext,
    shared: Arc<Shared>,
    told: Mutex<Told>,
    expiring: JoinHandle<()>,
    audit: AuditWriter,
    /// `None` if kept answers end with the process.
    cache_writer: Option<CacheWriter>,
}

/// What the stages were told since this process runs the rounds.
#[derive(Default)]
struct Told {
    subscribers: ToldSubscribers,
    clock: Option<Instant>,
}

/// Whom the stages were told to notify.
#[derive(Default)]
enum ToldSubscribers {
    /// They were not told yet.
    #[default]
    NotYet,
    /// Those of a catalogue. Without one nobody.
    Of(Option<Arc<Tak>>),
}

impl ToldSubscribers {
    fn are_of(&self, tak: Option<&Arc<Tak>>) -> bool {
        match (self, tak) {
            (Self::Of(Some(told)), Some(tak)) => Arc::ptr_eq(told, tak),
            (Self::Of(None), None) => true,
            _ => false,
        }
    }
}

/// What the handlers of requests share.
pub(crate) struct Shared {
    pub(crate) settings: Arc<EdgeSettings>,
    pub(crate) codec: Codec,
    pub(crate) partitions: i32,
    pub(crate) flow: Arc<Flow>,
    pub(crate) following: Following,
    pub(crate) intake: Intake,
    /// `None` if the index is elsewhere.
    pub(crate) own: Option<OwnParts>,
    /// The view of the own index.
    pub(crate) view: SharedView,
    pub(crate) tak: Arc<TakSource>,
    pub(crate) leading: Arc<Leading>,
    /// `None` if the index is elsewhere.
    pub(crate) notifying: Option<Notifying>,
    pub(crate) started: Timestamp,
}

/// What only the own index needs.
pub(crate) struct OwnParts {
    pub(crate) context: IndexContext,
    pub(crate) index: OwnIndex,
}

/// The own index, which is not asked before its view was read once.
struct ReadyIndex {
    index: OwnIndex,
    begun: watch::Receiver<Begun>,
}

impl Index for ReadyIndex {
    fn find(&self, question: IndexQuestion) -> Answering<Result<Found, IndexError>> {
        let mut begun = self.begun.clone();
        let answer = self.index.find(question);
        Box::pin(async move {
            if begun.wait_for(Option::is_some).await.is_err() {
                return Err(IndexError::Failed("the process ends".to_owned()));
            }
            answer.await
        })
    }
}

impl Platform {
    /// Opens the flow.
    ///
    /// # Errors
    /// [`Failure::Refused`] when a setting is wrong. [`Failure::Unfinished`] when the log does not answer.
    pub(crate) fn open(
        settings: &Arc<EdgeSettings>,
        process: Arc<dyn Process>,
        outside: Outside,
        tak: Arc<TakSource>,
    ) -> Result<Self, Failure> {
        let index_settings = match &settings.index {
            IndexPlace::Own(settings) => settings.clone(),
            // The stages get nothing to do.
            IndexPlace::External { logical_address, .. } => {
                IndexSettings::of(logical_address.parse().map_err(Failure::refused)?)
            }
        };
        let codec = process.codec().clone();
        let context = IndexContext::new(codec.clone(), Arc::new(index_settings)).map_err(Failure::refused)?;
        let (view, begun) = (SharedView::default(), watch::Sender::new(None));
        let own = OwnIndex::new(Arc::clone(&view));
        let ready = ReadyIndex { index: own.clone(), begun: begun.subscribe() };
        let is_own = outside.index.is_none();
        let (audit, entries) = mpsc::channel(audit::MOST_WAITING);
        let connections = Connections {
            index: outside.index.unwrap_or_else(|| Arc::new(ready)),
            producers: outside.producers,
            tak: tak.loaded().map(|loaded| loaded.tak),
            audit,
            clock: Arc::new(Timestamp::now),
            stockholm: Stockholm::load().map_err(Failure::refused)?,
        };
        let flow = open_flow(settings, &*process, connections);
        let key = PatientKey::load(settings.audit_key, process.state())?;
        let audit = AuditWriter::start(&process, entries, key)?;
        let writer = Uuid::new_v4();
        let following = Following::start(&process, Arc::clone(&view), Arc::clone(&flow), begun, writer)?;
        let (expiring, notified, leading) = (Arc::clone(&flow), Arc::clone(&flow), Arc::<Leading>::default());
        let interval = settings.flow.cache.expiration_interval;
        let writing = flow.cache_log().map(|log| {
            let (process, log, leading) = (Arc::clone(&process), Arc::clone(log), Arc::clone(&leading));
            CacheWriter::start(CacheWriting { process, log, leading, writer, interval })
        });
        let cache_writer = writing.transpose()?;
        let shared = Arc::new(Shared {
            settings: Arc::clone(settings),
            codec,
            partitions: process.flow_partitions(),
            flow,
            following,
            intake: Intake::start(&process)?,
            own: is_own.then(|| OwnParts { context: context.clone(), index: own }),
            view,
            tak,
            notifying: is_own
                .then(|| Notifying::start(&process, &notified, &leading, settings.notification))
                .transpose()?,
            leading,
            started: Timestamp::now(),
        });
        let expiring = process.tokio().spawn(async move { expiring.expire_cache().await });
        Ok(Self { process, context, shared, told: Mutex::default(), expiring, audit, cache_writer })
    }

    /// What the handlers of requests share.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The async runtime of the process.
    pub(crate) fn tokio(&self) -> &tokio::runtime::Handle {
        self.process.tokio()
    }

    /// Whether the stages are to be told the time: at the start, and so often that a window ends in time.
    fn is_clock_due(&self, told: &Told) -> bool {
        let window = Duration::from_millis(self.context.settings.collect_window_ms.unsigned_abs());
        match told.clock {
            None => true,
            Some(_) if window.is_zero() => false,
            Some(last) => last.elapsed() >= window / TICKS_OF_WINDOW,
        }
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        // Handlers of requests may hold what they share for longer, and what is delivered must be stored before the log
        // is closed. The audit waits for its last questions meanwhile.
        self.audit.begin_end();
        if let Some(writer) = &self.cache_writer {
            writer.begin_end();
        }
        if let Some(notifying) = &self.shared.notifying {
            notifying.end();
        }
        self.expiring.abort();
    }
}

impl RunningFlow for Platform {
    fn processor(&self, stage: &'static str, partition: i32) -> Box<dyn Processor> {
        declaration::processor(self.context.clone(), stage, partition)
    }

    /// Tells the stages of the index the time, and whom they notify.
    fn round(&self, round: &Round) -> Result<(), Failure> {
        self.shared.leading.note_round();
        if self.shared.own.is_none() {
            return Ok(());
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if round.is_first {
            *told = Told::default();
        }
        let now = round.clock.now.as_millisecond();
        let mut output = Output::new(self.process.flow_partitions());
        output.inherit(now, Headers::default());
        let is_clock_sent = round.clock.doubt.is_none() && self.is_clock_due(&told);
        if is_clock_sent {
            let clock = Clock { now, ..Clock::default() };
            let codec = &self.context.codec;
            output.broadcast(&topics::INDEX_INBOX, b"", |buffer| framed::write(codec, &clock, buffer));
        }
        let tak = self.shared.flow.tak();
        if !told.subscribers.are_of(tak.as_ref()) {
            // Without a catalogue nobody is notified, whoever was before.
            let list = tak.as_deref().map(subscribers).unwrap_or_default();
            self.context.set_subscribers(&mut output, &list);
        }
        if output.is_empty() {
            return Ok(());
        }
        self.process.publish(&output).map_err(Failure::unfinished)?;
        if is_clock_sent {
            told.clock = Some(Instant::now());
        }
        told.subscribers = ToldSubscribers::Of(tak);
        Ok(())
    }

    fn collectors(&self) -> prometheus::Result<Vec<Box<dyn Collector>>> {
        Ok(vec![Box::new(crate::metrics::PlatformCollector::new(&self.shared)?)])
    }

    fn mounts(&self) -> Vec<Mount> {
        vec![
            services::mount(&self.shared),
            index_services::mount(&self.shared),
            api::mount(&self.shared),
            runbooks::mount(&self.shared),
        ]
    }
}

impl Shared {
    /// Engagements in the own index.
    pub(crate) fn engagements(&self) -> usize {
        self.view.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The engagements of a patient in the own index, in a domain if one is given.
    pub(crate) fn engagements_of(&self, patient: &PatientId, domain: Option<&str>) -> Vec<Engagement> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).of_patient(patient, domain)
    }

    /// Engagements of all patients in the own index, from a place on, and the next place.
    pub(crate) fn page_of_engagements(&self, from: usize, most: usize) -> (Vec<Engagement>, Option<usize>) {
        self.view.read().unwrap_or_else(PoisonError::into_inner).page(from, most)
    }

    /// Addresses that no engagement may have.
    pub(crate) fn reserved(&self) -> &[String] {
        index_services::reserved(&self.settings.index)
    }

    /// Lets go what the cache has of that service and that patient, and waits until the log has forgotten it too.
    /// `None` is any. Returns the number of entries in memory.
    ///
    /// # Errors
    /// 503 if the log does not take it in time. Memory has let it go all the same.
    pub(crate) async fn clear_cache(
        &self,
        service: Option<&str>,
        patient: Option<&PatientId>,
    ) -> Result<usize, Problem> {
        let cleared = self.flow.clear_cache(service, patient);
        if let Some(log) = self.flow.cache_log() {
            let detail = "the cache is empty in memory, but the log does not take that yet; it goes on trying";
            let late = |_| Problem::unavailable("cache_in_log", detail, Duration::from_secs(1));
            tokio::time::timeout(FLUSH_PATIENCE, log.flushed()).await.map_err(late)?;
        }
        Ok(cleared)
    }

    /// Reads TAK again and puts it in place.
    ///
    /// # Errors
    /// Why it is not loaded. What was loaded before stays.
    pub(crate) async fn reload_tak(&self) -> Result<(), String> {
        let loaded = self.tak.load().await.inspect_err(|reason| events::tak_not_loaded(reason))?;
        if let Some(tak) = loaded {
            let (routes, permissions) = tak.counts();
            events::tak_loaded(routes, permissions, tak.subscribers().len());
            self.flow.set_tak(tak);
        }
        Ok(())
    }
}

/// The flow, with the cache in the log, if answers are kept there.
fn open_flow(settings: &EdgeSettings, process: &dyn Process, connections: Connections) -> Arc<Flow> {
    let flow = Flow::new(settings.flow.clone(), connections);
    let Some(key) = &settings.cache_key else { return Arc::new(flow) };
    let parts = CacheLogParts {
        key: key.0,
        codec: process.codec().clone(),
        partitions: process.flow_partitions(),
        services: settings.services.iter().map(|offered| Arc::clone(&offered.service)).collect(),
        index: match &settings.index {
            IndexPlace::Own(own) => own.hsa_id.as_str().to_owned(),
            IndexPlace::External { url, logical_address, .. } => format!("{url} {logical_address}"),
        },
    };
    Arc::new(flow.with_cache_log(Arc::new(CacheLog::new(parts, &settings.flow))))
}

/// The subscribers of a catalogue as the index takes them.
fn subscribers(tak: &Tak) -> SubscriberList {
    let filter = |filter: &tributary_aggregation::tak::SubscriberFilter| SubscriberFilter {
        service_domain: filter.domain.clone(),
        categories: filter.categories.clone(),
    };
    let subscriber = |subscriber: &tributary_aggregation::tak::Subscriber| match subscriber.address.parse() {
        Ok(address) => Some(Subscriber { filters: subscriber.filters.iter().map(filter).collect(), address }),
        Err(error) => {
            events::subscriber_left_out(&error);
            None
        }
    };
    SubscriberList { subscribers: tak.subscribers().iter().filter_map(subscriber).collect() }
}
