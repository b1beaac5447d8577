//! The audit of every question: its sender, the addresses that were called, and what became of it. No contents.

use jiff::Timestamp;
use tokio::sync::mpsc::OwnedPermit;
use tributary_schemas::types::aggregation::PatientId;

use crate::caller::Caller;
use crate::filter::Filtered;
use crate::status::StatusCode;

/// How a question ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditOutcome {
    /// It was answered.
    Answered,
    /// It was answered with a fault.
    Fault,
    /// The consumer went away.
    Abandoned,
}

impl AuditOutcome {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Fault => "fault",
            Self::Abandoned => "abandoned",
        }
    }
}

/// What became of a called address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditAddress {
    /// The address.
    pub address: String,
    /// The status in its record.
    pub status: StatusCode,
    /// The code in its record, if it failed.
    pub code: Option<&'static str>,
    /// From when the call was due to its end, in milliseconds.
    pub ms: u64,
}

impl AuditAddress {
    /// An address that is being called.
    pub(crate) fn called(address: &str) -> Self {
        Self { address: address.to_owned(), status: StatusCode::NoDataSynchFailed, code: None, ms: 0 }
    }
}

/// The entry of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When it came.
    pub time: Timestamp,
    /// The name of the service.
    pub service: String,
    /// The correlation id, if the headers had one.
    pub correlation: Option<String>,
    /// Who asked. `None` if the headers did not say.
    pub caller: Option<Caller>,
    /// The patient, to be hashed before it is written. `None` if the request did not say.
    pub patient: Option<PatientId>,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// The called addresses, in the order of their records.
    pub addresses: Vec<AuditAddress>,
    /// The engagements that gave no call.
    pub filtered: Vec<Filtered>,
}

/// The entry of a question that is being answered. If the consumer goes away, its future is dropped, and the entry says
/// so.
pub(crate) struct OpenEntry {
    permit: Option<OwnedPermit<AuditEntry>>,
    pub(crate) entry: AuditEntry,
}

impl OpenEntry {
    /// Begins the entry. `permit` is its place in the queue.
    pub(crate) fn begin(
        permit: OwnedPermit<AuditEntry>,
        time: Timestamp,
        service: &str,
        correlation: Option<String>,
    ) -> Self {
        let entry = AuditEntry {
            time,
            service: service.to_owned(),
            correlation,
            caller: None,
            patient: None,
            outcome: AuditOutcome::Abandoned,
            addresses: Vec::new(),
            filtered: Vec::new(),
        };
        Self { permit: Some(permit), entry }
    }
}

impl Drop for OpenEntry {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.send(self.entry.clone());
        }
    }
}
