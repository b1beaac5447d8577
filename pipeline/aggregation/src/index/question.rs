//! The question to the index: `FindContent` (A 3.6, 6.5).

use std::fmt;

use tributary_schemas::types::aggregation::Stamp;

use crate::engagement::Field;
use crate::refusal::Refusal;

/// The fields of a question, as they were sent. `None` or an empty text for one that is not given. `Debug` shows no
/// contents.
#[derive(Clone, Default)]
pub struct SentQuestion {
    /// The patient.
    pub registered_resident_identification: Option<String>,
    /// The service domain.
    pub service_domain: Option<String>,
    /// The category within the domain.
    pub categorization: Option<String>,
    /// Where the data can be reached.
    pub logical_address: Option<String>,
    /// The business object.
    pub business_object_instance_identifier: Option<String>,
    /// The clinical process.
    pub clinical_process_interest_id: Option<String>,
    /// The least time of the newest content.
    pub most_recent_content: Option<String>,
    /// The source system.
    pub source_system: Option<String>,
    /// Who is responsible for the data.
    pub data_controller: Option<String>,
    /// The index that owns it.
    pub owner: Option<String>,
}

impl fmt::Debug for SentQuestion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SentQuestion(***)")
    }
}

/// A question that can be answered. `None` for a field that every engagement fits.
pub(super) struct Wanted<'a> {
    pub(super) patient: &'a str,
    pub(super) domain: &'a str,
    pub(super) categorization: Option<&'a str>,
    pub(super) logical_address: Option<&'a str>,
    pub(super) business_object: Option<&'a str>,
    pub(super) clinical_process: Option<&'a str>,
    pub(super) most_recent_content: Option<Stamp>,
    pub(super) source_system: Option<&'a str>,
    pub(super) data_controller: Option<&'a str>,
    pub(super) owner: Option<&'a str>,
}

fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

fn mandatory<'a>(name: &str, text: Option<&'a String>) -> Result<&'a str, Refusal> {
    given(text).ok_or_else(|| Refusal::Technical(format!("{name} is mandatory but missing")))
}

impl SentQuestion {
    /// Where the text of a field is kept. `None` for the times of the index, which are not looked for.
    pub fn place(&mut self, field: Field) -> Option<&mut Option<String>> {
        Some(match field {
            Field::RegisteredResidentIdentification => &mut self.registered_resident_identification,
            Field::ServiceDomain => &mut self.service_domain,
            Field::Categorization => &mut self.categorization,
            Field::LogicalAddress => &mut self.logical_address,
            Field::BusinessObjectInstanceIdentifier => &mut self.business_object_instance_identifier,
            Field::ClinicalProcessInterestId => &mut self.clinical_process_interest_id,
            Field::MostRecentContent => &mut self.most_recent_content,
            Field::SourceSystem => &mut self.source_system,
            Field::DataController => &mut self.data_controller,
            Field::Owner => &mut self.owner,
            Field::CreationTime | Field::UpdateTime => return None,
        })
    }

    /// What is looked for (FindContent-R1).
    pub(super) fn wanted(&self) -> Result<Wanted<'_>, Refusal> {
        let patient = self.registered_resident_identification.as_ref();
        let content = given(self.most_recent_content.as_ref()).map(str::parse).transpose();
        Ok(Wanted {
            patient: mandatory("registeredResidentIdentification", patient)?,
            domain: mandatory("serviceDomain", self.service_domain.as_ref())?,
            categorization: given(self.categorization.as_ref()),
            logical_address: given(self.logical_address.as_ref()),
            business_object: given(self.business_object_instance_identifier.as_ref()),
            clinical_process: given(self.clinical_process_interest_id.as_ref()),
            most_recent_content: content.map_err(|_| Refusal::no_time("mostRecentContent"))?,
            source_system: given(self.source_system.as_ref()),
            data_controller: given(self.data_controller.as_ref()),
            owner: given(self.owner.as_ref()),
        })
    }
}
