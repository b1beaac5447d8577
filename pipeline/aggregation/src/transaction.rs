//! Transactions as a sender wrote them, before any check.

use std::fmt;

use crate::engagement::Field;

/// A transaction of `Update` or `ProcessNotification`.
#[derive(Clone, Debug, Default)]
pub struct SentTransaction {
    /// Whether the engagement is deleted.
    pub delete_flag: bool,
    /// The engagement.
    pub engagement: SentEngagement,
}

/// An engagement. `None` for an element that is not there. `Debug` shows no contents.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SentEngagement {
    /// The patient.
    pub registered_resident_identification: Option<String>,
    /// The service domain.
    pub service_domain: Option<String>,
    /// The category within the domain.
    pub categorization: Option<String>,
    /// Where the data can be reached.
    pub logical_address: Option<String>,
    /// The business object, or `NA`.
    pub business_object_instance_identifier: Option<String>,
    /// The clinical process, or `NA`.
    pub clinical_process_interest_id: Option<String>,
    /// Time of the newest content.
    pub most_recent_content: Option<String>,
    /// The source system.
    pub source_system: Option<String>,
    /// A time that the index does not believe.
    pub creation_time: Option<String>,
    /// A time that the index does not believe.
    pub update_time: Option<String>,
    /// Who is responsible for the data.
    pub data_controller: Option<String>,
    /// The index that owns it.
    pub owner: Option<String>,
}

impl fmt::Debug for SentEngagement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SentEngagement(***)")
    }
}

impl SentEngagement {
    /// The text of a field. Empty if it is not there.
    pub fn text(&self, field: Field) -> &str {
        let text = match field {
            Field::RegisteredResidentIdentification => &self.registered_resident_identification,
            Field::ServiceDomain => &self.service_domain,
            Field::Categorization => &self.categorization,
            Field::LogicalAddress => &self.logical_address,
            Field::BusinessObjectInstanceIdentifier => &self.business_object_instance_identifier,
            Field::ClinicalProcessInterestId => &self.clinical_process_interest_id,
            Field::MostRecentContent => &self.most_recent_content,
            Field::SourceSystem => &self.source_system,
            Field::CreationTime => &self.creation_time,
            Field::UpdateTime => &self.update_time,
            Field::DataController => &self.data_controller,
            Field::Owner => &self.owner,
        };
        text.as_deref().unwrap_or_default()
    }

    /// Where the text of a field is kept.
    pub fn place(&mut self, field: Field) -> &mut Option<String> {
        match field {
            Field::RegisteredResidentIdentification => &mut self.registered_resident_identification,
            Field::ServiceDomain => &mut self.service_domain,
            Field::Categorization => &mut self.categorization,
            Field::LogicalAddress => &mut self.logical_address,
            Field::BusinessObjectInstanceIdentifier => &mut self.business_object_instance_identifier,
            Field::ClinicalProcessInterestId => &mut self.clinical_process_interest_id,
            Field::MostRecentContent => &mut self.most_recent_content,
            Field::SourceSystem => &mut self.source_system,
            Field::CreationTime => &mut self.creation_time,
            Field::UpdateTime => &mut self.update_time,
            Field::DataController => &mut self.data_controller,
            Field::Owner => &mut self.owner,
        }
    }

    /// The times, by the names of their elements.
    pub fn times(&self) -> [(&'static str, Option<&str>); 3] {
        [
            ("mostRecentContent", self.most_recent_content.as_deref()),
            ("creationTime", self.creation_time.as_deref()),
            ("updateTime", self.update_time.as_deref()),
        ]
    }
}
