//! The flow of a question through its parts, and what the parts share.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tributary_flow::configuration::ConfigurationError;
use tributary_schemas::records::aggregation::Mark;
use tributary_schemas::types::aggregation::PatientId;

use crate::audit::AuditEntry;
use crate::cache::log::{CacheLog, Now, Restoring};
use crate::cache::{Basis, Cache, CacheSettings, CacheStatus};
use crate::descriptor::Descriptor;
use crate::local_time::Stockholm;
use crate::memory::MemoryBudget;
use crate::place::{PlaceLimits, PlaceStatus, Places};
use crate::port::{Index, Producers};
use crate::tak::Tak;
use crate::timeouts::Timeouts;

/// What an operator sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowSettings {
    /// Our own logical address.
    pub logical_address: String,
    /// The times of services that do not set their own.
    pub timeouts: Timeouts,
    /// Whether another SOAP action is a fault.
    pub check_soap_action: bool,
    /// How many bytes of a request are taken.
    pub max_request_bytes: usize,
    /// How many bytes of an answer are taken, unpacked.
    pub max_answer_bytes: usize,
    /// How many questions are answered at once.
    pub max_questions: usize,
    /// How many bytes of answers are held at once.
    pub memory_bytes: usize,
    /// The URL of the platform, if all calls go there.
    pub platform_url: Option<String>,
    /// The platform that calls belong to.
    pub instance: String,
    /// The sender that the index sees.
    pub index_sender: String,
    /// How long the index may take. `None`: as long as a call of the service.
    pub index_timeout: Option<Duration>,
    /// The limits of each address.
    pub places: PlaceLimits,
    /// The cache of answers.
    pub cache: CacheSettings,
}

/// The cache holds at most this part of the memory for answers, so that most of it is there for calls.
const CACHE_PART: usize = 4;

impl Default for FlowSettings {
    fn default() -> Self {
        Self {
            logical_address: "5565594230".to_owned(),
            timeouts: Timeouts::default(),
            check_soap_action: false,
            max_request_bytes: 4 << 20,
            max_answer_bytes: 15 << 20,
            max_questions: 200,
            memory_bytes: 512 << 20,
            platform_url: None,
            instance: String::new(),
            index_sender: String::new(),
            index_timeout: None,
            places: PlaceLimits::default(),
            cache: CacheSettings::default(),
        }
    }
}

/// A service: its contract and its times.
#[derive(Clone, Debug)]
pub struct Service {
    pub(crate) descriptor: Descriptor,
    pub(crate) timeouts: Timeouts,
}

impl Service {
    /// A service with its own times over the general ones.
    ///
    /// # Errors
    /// Both keys, if one time is not less than the next, with file and line of the descriptor.
    pub fn new(descriptor: Descriptor, general: &Timeouts) -> Result<Self, ConfigurationError> {
        match general.of(&descriptor) {
            Ok(timeouts) => Ok(Self { descriptor, timeouts }),
            Err(order) => Err(descriptor.wrong_times(order.to_string())),
        }
    }

    /// Its times.
    pub fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// Its descriptor.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
}

/// The time of day.
pub type WallClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the flow is connected to.
#[derive(Clone)]
pub struct Connections {
    /// The index.
    pub index: Arc<dyn Index>,
    /// The source systems.
    pub producers: Arc<dyn Producers>,
    /// The catalogue. `None` if permissions and routes are not checked.
    pub tak: Option<Arc<Tak>>,
    /// Where entries of the audit go. A full queue slows questions.
    pub audit: mpsc::Sender<AuditEntry>,
    /// The time of day.
    pub clock: WallClock,
    /// The time zone of stamps.
    pub stockholm: Stockholm,
}

/// The flow. All services share it.
pub struct Flow {
    pub(crate) settings: FlowSettings,
    pub(crate) index: Arc<dyn Index>,
    pub(crate) producers: Arc<dyn Producers>,
    tak: RwLock<Option<Arc<Tak>>>,
    pub(crate) audit: mpsc::Sender<AuditEntry>,
    pub(crate) clock: WallClock,
    pub(crate) stockholm: Stockholm,
    pub(crate) places: Places,
    pub(crate) memory: MemoryBudget,
    pub(crate) questions: Semaphore,
    /// `None` if answers are not kept.
    pub(crate) cache: Option<Arc<Cache>>,
    /// `None` if kept answers end with the process.
    cache_log: Option<Arc<CacheLog>>,
}

impl fmt::Debug for Flow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Flow").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Flow {
    /// Connects the flow.
    pub fn new(settings: FlowSettings, connections: Connections) -> Self {
        let Connections { index, producers, tak, audit, clock, stockholm } = connections;
        let places = Places::new(settings.places);
        let memory = MemoryBudget::new(settings.memory_bytes);
        let questions = Semaphore::new(settings.max_questions.clamp(1, Semaphore::MAX_PERMITS));
        let tak = RwLock::new(tak);
        let cache_bytes = settings.memory_bytes / CACHE_PART;
        let cache = settings.cache.enabled.then(|| Arc::new(Cache::new(settings.cache, cache_bytes, None)));
        let cache_log = None;
        Self { settings, index, producers, tak, audit, clock, stockholm, places, memory, questions, cache, cache_log }
    }

    /// Keeps answers in the log too, if they are kept at all.
    #[must_use]
    pub fn with_cache_log(self, log: Arc<CacheLog>) -> Self {
        if !self.settings.cache.enabled {
            return self;
        }
        // Made now, so that no question waits for it.
        if let Some(tak) = self.tak() {
            tak.digest();
        }
        let cache = Cache::new(self.settings.cache, self.settings.memory_bytes / CACHE_PART, Some(Arc::clone(&log)));
        Self { cache: Some(Arc::new(cache)), cache_log: Some(log), ..self }
    }

    /// The cache in the log. `None` if kept answers end with the process.
    pub fn cache_log(&self) -> Option<&Arc<CacheLog>> {
        self.cache_log.as_ref()
    }

    /// What an answer depends on beside the question. `None` if it does not go to the log.
    pub(crate) fn basis(&self, descriptor: &Descriptor, tak: Option<&Tak>) -> Option<Basis> {
        self.cache_log.as_ref().map(|log| log.basis(descriptor, tak))
    }

    /// Begins to take back entries from the log. `None` if there is no cache in the log.
    pub fn restoring(&self) -> Option<Restoring> {
        let (cache, log) = (self.cache.as_ref()?, self.cache_log.as_ref()?);
        let bytes = self.settings.memory_bytes / CACHE_PART;
        Some(Restoring::new(cache, log, self.memory.clone(), bytes, self.tak(), self.now()))
    }

    /// The moment, on both clocks.
    pub fn now(&self) -> Now {
        Now { wall: (self.clock)(), instant: Instant::now() }
    }

    /// Says up to which offset of each partition marks are taken in.
    pub fn note_marks_read(&self, offsets: Vec<i64>) {
        if let Some(cache) = &self.cache {
            cache.note_marks_read(offsets);
        }
    }

    /// The catalogue that new questions use.
    pub fn tak(&self) -> Option<Arc<Tak>> {
        self.tak.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another catalogue in place. Questions under way keep the one they began with. The cache is emptied: who may
    /// see what is decided again.
    pub fn set_tak(&self, tak: Arc<Tak>) {
        if self.cache_log.is_some() {
            tak.digest();
        }
        *self.tak.write().unwrap_or_else(PoisonError::into_inner) = Some(tak);
        self.clear_cache(None, None);
    }

    /// Marks addresses in the cache: the next question asks the index and them again. The index must show the change
    /// before it is marked here, because a question may come at once. All marks that are there come in one call: each
    /// goes through all entries.
    pub fn mark(&self, marks: &[Mark]) {
        if let Some(cache) = &self.cache {
            cache.mark(marks);
        }
    }

    /// Lets go what the cache has of that service and that patient. `None` is any. Returns the number of entries.
    pub fn clear_cache(&self, service: Option<&str>, patient: Option<&PatientId>) -> usize {
        self.cache.as_ref().map_or(0, |cache| cache.clear(service, patient))
    }

    /// The state of the cache.
    pub fn cache_status(&self) -> CacheStatus {
        self.cache.as_ref().map(|cache| cache.status()).unwrap_or_default()
    }

    /// Lets go what is too old in the cache, once in each expiration interval, until it is dropped. What is too old is
    /// not served without this either, but it takes memory until another entry needs it.
    pub async fn expire_cache(&self) {
        let Some(cache) = &self.cache else { return std::future::pending().await };
        let mut interval = interval(cache.expiration_interval());
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            cache.expire(Instant::now());
        }
    }

    /// What is known of each address.
    pub fn places(&self) -> Vec<PlaceStatus> {
        self.places.statuses()
    }

    /// How many bytes of the budget for answers are free.
    pub fn free_memory(&self) -> usize {
        self.memory.free()
    }
}
