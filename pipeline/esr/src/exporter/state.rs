//! The state of an applicant record (5.2).

use serde::{Deserialize, Serialize};
use tributary_schemas::records::esr::Applicant;
use tributary_schemas::{AvroRecord, Date};

use crate::context::digest;

/// The status of an applicant record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// It waits for its window, or for room in a file.
    ToExport,
    /// It is in a file that is not yet at its destination.
    Pending,
    /// It is in a file that is at its destination, or it was sent before (D14).
    Exported,
    /// It lacks a mandatory field. It can be exported after a correction.
    InvalidData,
    /// It was withdrawn before it was exported.
    DeletedBeforeExport,
    /// Its window has passed (D25).
    MissedWindow,
}

impl Status {
    /// The name in 5.2.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ToExport => "TO_EXPORT",
            Self::Pending => "PENDING",
            Self::Exported => "EXPORTED",
            Self::InvalidData => "INVALID_DATA",
            Self::DeletedBeforeExport => "DELETED_BEFORE_EXPORT",
            Self::MissedWindow => "MISSED_WINDOW",
        }
    }
}

/// The state of an applicant record in the exporter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApplicantState {
    /// Its status.
    pub status: Status,
    /// The file that contains it.
    pub file: Option<String>,
    /// Why it cannot be exported, or which values are left blank in it.
    pub reason: Option<String>,
    /// The content. `None` after it is exported or withdrawn.
    pub(super) applicant: Option<Box<Applicant>>,
    /// Digest of the content.
    pub(super) digest: u128,
    /// Date from which this version holds (D20).
    pub(super) effective_date: Date,
    /// Content digest and effective date at the last run of the office, if the record was live then (D9, D20).
    pub(super) at_run: Option<(u128, Date)>,
    /// Whether a run has seen the record.
    pub(super) seen_by_run: bool,
}

impl ApplicantState {
    /// Whether the record is in a file or was sent before. Later versions are then dropped (A3).
    pub(super) fn is_decided(&self) -> bool {
        matches!(self.status, Status::Pending | Status::Exported)
    }

    /// Whether the record is not withdrawn.
    pub(super) fn is_live(&self) -> bool {
        self.status != Status::DeletedBeforeExport
    }
}

/// The digest that distinguishes versions: of all columns except the effective date (D20).
pub(super) fn content_digest(applicant: &Applicant) -> u128 {
    let mut body = Vec::new();
    Applicant { warnings: Vec::new(), sent_before: None, ..applicant.clone() }.encode(&mut body);
    digest(&body)
}

/// The first mandatory field that is missing (5.3).
pub(super) fn missing_field(applicant: &Applicant) -> Option<&'static str> {
    if applicant.last_name.is_empty() {
        return Some("lastName");
    }
    if applicant.first_name.is_empty() {
        return Some("firstName");
    }
    if applicant.date_of_birth.is_none() {
        return Some("dob");
    }
    applicant.position_number.is_empty().then_some("positionNumber")
}
