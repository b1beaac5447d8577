//! The state of an applicant record (5.2).

use serde::{Deserialize, Serialize};
use tributary_schemas::records::esr::Applicant;
use tributary_schemas::{AvroRecord, Date};

use crate::context::digest;

/// Where an applicant record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Waits for its window, or for room in a file.
    ToExport,
    /// In a file that is being built.
    Pending,
    /// In a file that is at its destination, or sent before (D14).
    Exported,
    /// Lacks a mandatory field; eligible once it is corrected.
    InvalidData,
    /// Withdrawn before it was exported.
    DeletedBeforeExport,
    /// Its window has passed (D25).
    MissedWindow,
}

impl Status {
    /// The name as in 5.2.
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

/// An applicant record as the exporter keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApplicantState {
    /// Where it stands.
    pub status: Status,
    /// The file it went into.
    pub file: Option<String>,
    /// Why it cannot be exported, or what was left blank in it.
    pub reason: Option<String>,
    /// The content, until it is exported or withdrawn.
    pub(super) applicant: Option<Box<Applicant>>,
    /// Digest of the content.
    pub(super) digest: u128,
    /// Date from which this version holds (D20).
    pub(super) effective_date: Date,
    /// Content and date that held at the office's last run, if the record was live then (D9, D20).
    pub(super) at_run: Option<(u128, Date)>,
    /// Whether a run has seen the record.
    pub(super) seen_by_run: bool,
}

impl ApplicantState {
    /// Whether the record is decided: later versions are dropped (A3).
    pub(super) fn is_decided(&self) -> bool {
        matches!(self.status, Status::Pending | Status::Exported)
    }

    /// Whether the record stands in a file or waits for one.
    pub(super) fn is_live(&self) -> bool {
        self.status != Status::DeletedBeforeExport
    }
}

/// The digest by which versions are told apart: of all columns but the effective date (D20).
pub(super) fn content_digest(applicant: &Applicant) -> u128 {
    let mut body = Vec::new();
    Applicant { warnings: Vec::new(), sent_before: None, ..applicant.clone() }.encode(&mut body);
    digest(&body)
}

/// The mandatory field that is missing (5.3).
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
