//! The flow of a question through its parts, and what the parts share.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc};
use tributary_flow::configuration::ConfigurationError;

use crate::audit::AuditEntry;
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
}

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
        Self { settings, index, producers, tak, audit, clock, stockholm, places, memory, questions }
    }

    /// The catalogue that new questions use.
    pub fn tak(&self) -> Option<Arc<Tak>> {
        self.tak.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another catalogue in place. Questions under way keep the one they began with.
    pub fn set_tak(&self, tak: Arc<Tak>) {
        *self.tak.write().unwrap_or_else(PoisonError::into_inner) = Some(tak);
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
