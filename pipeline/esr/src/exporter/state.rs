//! The state of an applicant record (5.2).

use tributary_schemas::records::esr::Applicant;
use tributary_schemas::records::esr_state;
use tributary_schemas::stored;

pub use tributary_schemas::records::esr_state::ApplicantStatus as Status;

stored! {
    /// The state of an applicant record in the exporter.
    pub struct ApplicantState(esr_state::ApplicantState)
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
