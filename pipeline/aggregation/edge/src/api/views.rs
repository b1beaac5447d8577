//! What the API shows.

use jiff::Timestamp;
use serde::Serialize;
use tributary_aggregation::cache::CacheStatus;
use tributary_aggregation::delivery::SubscriberStatus;
use tributary_aggregation::descriptor::Descriptor;
use tributary_aggregation::place::PlaceStatus;
use tributary_schemas::records::aggregation::{Call, CallStatus, CalledAddress, Engagement, FilteredAddress};
use utoipa::ToSchema;

use crate::tak_source::LoadedTak;

/// A service.
#[derive(Serialize, ToSchema)]
pub(crate) struct ServiceView {
    /// Its name, such as `GetAggregatedSubjectOfCareSchedule.v1`.
    name: String,
    /// The path of its URL.
    path: String,
    /// The namespace of request and response.
    contract: String,
    /// The request element.
    interaction: String,
    /// Where in the request the patient id is: local names below the request element.
    patient: String,
}

impl ServiceView {
    pub(crate) fn of(descriptor: &Descriptor) -> Self {
        Self {
            name: descriptor.name.clone(),
            path: descriptor.path.clone(),
            contract: descriptor.contract.clone(),
            interaction: descriptor.interaction.clone(),
            patient: descriptor.query.patient.text(),
        }
    }
}

/// A source system.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlaceView {
    /// Its address.
    address: String,
    /// `closed`, `open` or `half_open`.
    state: &'static str,
    /// Calls in flight.
    in_flight: usize,
    /// Calls that wait for a place.
    waiting: usize,
    /// Calls so far.
    calls: u64,
    /// Calls that failed.
    failures: u64,
}

impl From<PlaceStatus> for PlaceView {
    fn from(place: PlaceStatus) -> Self {
        let PlaceStatus { address, state, in_flight, waiting, calls, failures } = place;
        Self { address, state: state.name(), in_flight, waiting, calls, failures }
    }
}

/// A subscriber of the own index.
#[derive(Serialize, ToSchema)]
pub(crate) struct SubscriberView {
    /// Its address.
    address: String,
    /// Notifications that wait.
    waiting: u64,
    /// Notifications that it has taken.
    delivered: u64,
    /// Notifications that are dead letters.
    dead: u64,
}

impl SubscriberView {
    /// A subscriber for which nothing was noted yet.
    pub(crate) fn new(address: String) -> Self {
        Self { address, waiting: 0, delivered: 0, dead: 0 }
    }
}

impl From<SubscriberStatus> for SubscriberView {
    fn from(status: SubscriberStatus) -> Self {
        let SubscriberStatus { address, waiting, delivered, dead } = status;
        Self { address: address.as_str().to_owned(), waiting, delivered, dead }
    }
}

/// The cache.
#[derive(Serialize, ToSchema)]
pub(crate) struct CacheView {
    /// Whether answers are kept.
    enabled: bool,
    /// Questions that are kept.
    entries: u64,
    /// Questions that were answered from it.
    hits: u64,
    /// Questions that were not.
    misses: u64,
}

impl CacheView {
    pub(crate) fn of(status: CacheStatus) -> Self {
        let CacheStatus { enabled, entries, hits, misses } = status;
        Self { enabled, entries, hits, misses }
    }
}

/// The own index.
#[derive(Serialize, ToSchema)]
pub(crate) struct IndexStateView {
    /// Engagements.
    pub(crate) engagements: usize,
    /// Whether it is locked.
    pub(crate) locked: bool,
    /// Transactions that wait for the end of the lock.
    pub(crate) waiting: i64,
}

/// Permissions and routes.
#[derive(Serialize, ToSchema)]
pub(crate) struct TakView {
    /// When they were read: RFC 3339. `null` if they are not checked.
    #[schema(value_type = Option<String>, format = DateTime)]
    loaded: Option<Timestamp>,
    routes: usize,
    permissions: usize,
    subscribers: usize,
}

impl TakView {
    pub(crate) fn of(loaded: Option<&LoadedTak>) -> Self {
        let Some(LoadedTak { tak, at }) = loaded else {
            return Self { loaded: None, routes: 0, permissions: 0, subscribers: 0 };
        };
        let (routes, permissions) = tak.counts();
        Self { loaded: Some(*at), routes, permissions, subscribers: tak.subscribers().len() }
    }
}

/// What became of a question. No contents.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallView {
    /// When it came: RFC 3339.
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
    service: String,
    correlation: String,
    sender: String,
    original_consumer: String,
    /// A keyed hash. Empty if the request did not say.
    patient: String,
    /// `answered`, `fault` or `abandoned`.
    outcome: &'static str,
    /// The called addresses.
    addresses: Vec<AddressView>,
    /// The engagements that gave no call.
    filtered: Vec<FilteredView>,
}

/// A called address.
#[derive(Serialize, ToSchema)]
pub(crate) struct AddressView {
    address: String,
    /// As in the answer, such as `DataFromSource`.
    status: &'static str,
    /// The code, if it failed.
    code: Option<String>,
    /// From when the call was due to its end.
    ms: i64,
}

/// An address that was not called.
#[derive(Serialize, ToSchema)]
pub(crate) struct FilteredView {
    address: String,
    /// `category`, `own_address`, `permission`, `route` or `service`.
    reason: &'static str,
}

impl CallView {
    pub(crate) fn of(call: &Call) -> Self {
        Self {
            time: Timestamp::from_millisecond(call.time).unwrap_or_default(),
            service: call.service.clone(),
            correlation: call.correlation.clone(),
            sender: call.sender.clone(),
            original_consumer: call.original_consumer.clone(),
            patient: call.patient.clone(),
            outcome: call.outcome.symbol(),
            addresses: call.addresses.iter().map(AddressView::of).collect(),
            filtered: call.filtered.iter().map(FilteredView::of).collect(),
        }
    }
}

impl AddressView {
    fn of(called: &CalledAddress) -> Self {
        let CalledAddress { address, status, code, ms } = called;
        let status = match status {
            CallStatus::DataFromSource => "DataFromSource",
            CallStatus::DataFromCache => "DataFromCache",
            CallStatus::DataFromCacheSynchFailed => "DataFromCacheSynchFailed",
            CallStatus::NoDataSynchFailed => "NoDataSynchFailed",
        };
        Self { address: address.clone(), status, code: code.clone(), ms: *ms }
    }
}

impl FilteredView {
    fn of(filtered: &FilteredAddress) -> Self {
        Self { address: filtered.address.clone(), reason: filtered.reason.symbol() }
    }
}

/// An engagement, by the names of its elements, and its id.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EngagementView {
    id: String,
    registered_resident_identification: String,
    service_domain: String,
    categorization: String,
    logical_address: String,
    business_object_instance_identifier: String,
    clinical_process_interest_id: String,
    most_recent_content: Option<String>,
    source_system: String,
    creation_time: Option<String>,
    update_time: Option<String>,
    data_controller: String,
    owner: String,
}

impl EngagementView {
    pub(crate) fn of(engagement: Engagement) -> Self {
        let stamp = |stamp: Option<tributary_schemas::types::aggregation::Stamp>| stamp.map(|stamp| stamp.to_string());
        Self {
            id: engagement.key().to_string(),
            registered_resident_identification: engagement.registered_resident_identification.as_str().to_owned(),
            service_domain: engagement.service_domain,
            categorization: engagement.categorization,
            logical_address: engagement.logical_address.as_str().to_owned(),
            business_object_instance_identifier: engagement.business_object_instance_identifier.as_str().to_owned(),
            clinical_process_interest_id: engagement.clinical_process_interest_id.as_str().to_owned(),
            most_recent_content: stamp(engagement.most_recent_content),
            source_system: engagement.source_system.as_str().to_owned(),
            creation_time: stamp(engagement.creation_time),
            update_time: stamp(engagement.update_time),
            data_controller: engagement.data_controller,
            owner: engagement.owner,
        }
    }
}
