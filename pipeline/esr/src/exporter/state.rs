//! The state of an applicant record (5.2).

use tributary_schemas::records::esr::Applicant;
use tributary_schemas::records::esr_state::{self, PersonExport};
use tributary_schemas::stored;
use tributary_schemas::types::tis::PersonId;

use crate::person::EsrPerson;

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

    /// The person of this version.
    pub(super) fn person(&self, trainee: PersonId) -> EsrPerson<'_> {
        EsrPerson::new(&self.gmc_number, &self.gdc_number, trainee)
    }

    /// The export of the record for this person (D116).
    pub(super) fn export_for(&self, person: EsrPerson<'_>, trainee: PersonId) -> Option<&PersonExport> {
        self.exports.iter().find(|export| EsrPerson::new(&export.gmc_number, &export.gdc_number, trainee).is(person))
    }

    /// Makes the record that of an earlier export again.
    pub(super) fn restore(&mut self, export: &PersonExport) {
        self.status = Status::Exported;
        self.file = Some(export.file_name.clone()).filter(|file| !file.is_empty());
        self.reason = None;
        self.applicant = None;
        self.gmc_number.clone_from(&export.gmc_number);
        self.gdc_number.clone_from(&export.gdc_number);
    }

    /// Notes that the record is exported for the person of this version.
    pub(super) fn note_export(&mut self) {
        let export = PersonExport {
            gmc_number: self.gmc_number.clone(),
            gdc_number: self.gdc_number.clone(),
            file_name: self.file.clone().unwrap_or_default(),
        };
        self.exports.push(export);
        self.status = Status::Exported;
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
