//! Engagements of the index: that a system has data of a category for a patient (A 3.6).

use std::fmt;

use serde::Deserialize;
use tributary_schemas::records::aggregation as records;
use tributary_schemas::types::aggregation::{Address, InstanceId, PatientId, Stamp};

/// The namespace of what the contracts of the index share: engagements and transactions.
pub(crate) const TYPES: &str = "urn:riv:itintegration:engagementindex:1";

/// A field of an engagement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Field {
    /// The patient.
    RegisteredResidentIdentification,
    /// The domain, such as `riv:crm:scheduling`.
    ServiceDomain,
    /// The category within the domain.
    Categorization,
    /// The address where the data is reachable.
    LogicalAddress,
    /// The business object, or `NA`.
    BusinessObjectInstanceIdentifier,
    /// The process, or `NA`.
    ClinicalProcessInterestId,
    /// The time of the newest content.
    MostRecentContent,
    /// The system that holds the data.
    SourceSystem,
    /// When the index got it.
    CreationTime,
    /// When it last changed.
    UpdateTime,
    /// Who is responsible for the data.
    DataController,
    /// The index that owns the record.
    Owner,
}

impl Field {
    /// All fields, in the order of the schema.
    pub const ALL: [Self; 12] = [
        Self::RegisteredResidentIdentification,
        Self::ServiceDomain,
        Self::Categorization,
        Self::LogicalAddress,
        Self::BusinessObjectInstanceIdentifier,
        Self::ClinicalProcessInterestId,
        Self::MostRecentContent,
        Self::SourceSystem,
        Self::CreationTime,
        Self::UpdateTime,
        Self::DataController,
        Self::Owner,
    ];

    /// The fields that every transaction must have, in the order in which they are checked (A 6.3).
    pub const MANDATORY: [Self; 8] = [
        Self::RegisteredResidentIdentification,
        Self::ServiceDomain,
        Self::Categorization,
        Self::LogicalAddress,
        Self::BusinessObjectInstanceIdentifier,
        Self::ClinicalProcessInterestId,
        Self::SourceSystem,
        Self::DataController,
    ];

    /// Its element.
    pub const fn element(self) -> &'static str {
        match self {
            Self::RegisteredResidentIdentification => "registeredResidentIdentification",
            Self::ServiceDomain => "serviceDomain",
            Self::Categorization => "categorization",
            Self::LogicalAddress => "logicalAddress",
            Self::BusinessObjectInstanceIdentifier => "businessObjectInstanceIdentifier",
            Self::ClinicalProcessInterestId => "clinicalProcessInterestId",
            Self::MostRecentContent => "mostRecentContent",
            Self::SourceSystem => "sourceSystem",
            Self::CreationTime => "creationTime",
            Self::UpdateTime => "updateTime",
            Self::DataController => "dataController",
            Self::Owner => "owner",
        }
    }

    /// The largest number of characters (A 3.6). That of the owner is ours: the contract names none.
    pub const fn most(self) -> usize {
        match self {
            Self::RegisteredResidentIdentification => PatientId::MOST,
            Self::ServiceDomain | Self::Categorization => 255,
            Self::LogicalAddress | Self::SourceSystem => Address::MOST,
            Self::BusinessObjectInstanceIdentifier | Self::ClinicalProcessInterestId => InstanceId::MOST,
            Self::MostRecentContent | Self::CreationTime | Self::UpdateTime => Stamp::DIGITS,
            Self::DataController | Self::Owner => 64,
        }
    }

    /// The field of an element.
    pub fn named(element: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.element() == element)
    }
}

/// An engagement as the flow uses it. Fields that it does not have are empty.
///
/// It is not the record of the own index: another index may leave out every field but the addresses, or write what this
/// one would refuse, and its engagements are called all the same. [`Engagement::from`] is the one way from the record.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Engagement {
    /// The patient, if it has one whose id has an allowed length.
    pub patient: Option<PatientId>,
    /// The domain.
    pub service_domain: String,
    /// The category within the domain.
    pub categorization: String,
    /// The address where the data is reachable.
    pub logical_address: String,
    /// The business object, or `NA`.
    pub business_object: String,
    /// The process, or `NA`.
    pub clinical_process: String,
    /// The time of the newest content, `YYYYMMDDhhmmss`.
    pub most_recent_content: String,
    /// The system that holds the data.
    pub source_system: String,
    /// When the index got it, `YYYYMMDDhhmmss`.
    pub creation_time: String,
    /// When it last changed, `YYYYMMDDhhmmss`.
    pub update_time: String,
    /// Who is responsible for the data.
    pub data_controller: String,
    /// The index that owns the record.
    pub owner: String,
}

impl fmt::Debug for Engagement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Engagement({}, {})", self.logical_address, self.source_system)
    }
}

impl Engagement {
    /// The text of a field. Empty if the engagement does not have it.
    pub fn field(&self, field: Field) -> &str {
        match field {
            Field::RegisteredResidentIdentification => self.patient.as_ref().map(PatientId::as_str).unwrap_or_default(),
            Field::ServiceDomain => &self.service_domain,
            Field::Categorization => &self.categorization,
            Field::LogicalAddress => &self.logical_address,
            Field::BusinessObjectInstanceIdentifier => &self.business_object,
            Field::ClinicalProcessInterestId => &self.clinical_process,
            Field::MostRecentContent => &self.most_recent_content,
            Field::SourceSystem => &self.source_system,
            Field::CreationTime => &self.creation_time,
            Field::UpdateTime => &self.update_time,
            Field::DataController => &self.data_controller,
            Field::Owner => &self.owner,
        }
    }

    /// Sets the text of a field.
    pub fn set(&mut self, field: Field, text: String) {
        let place = match field {
            Field::RegisteredResidentIdentification => {
                self.patient = text.parse().ok();
                return;
            }
            Field::ServiceDomain => &mut self.service_domain,
            Field::Categorization => &mut self.categorization,
            Field::LogicalAddress => &mut self.logical_address,
            Field::BusinessObjectInstanceIdentifier => &mut self.business_object,
            Field::ClinicalProcessInterestId => &mut self.clinical_process,
            Field::MostRecentContent => &mut self.most_recent_content,
            Field::SourceSystem => &mut self.source_system,
            Field::CreationTime => &mut self.creation_time,
            Field::UpdateTime => &mut self.update_time,
            Field::DataController => &mut self.data_controller,
            Field::Owner => &mut self.owner,
        };
        *place = text;
    }
}

impl From<records::Engagement> for Engagement {
    fn from(row: records::Engagement) -> Self {
        let stamp = |stamp: Option<Stamp>| stamp.map(|stamp| stamp.to_string()).unwrap_or_default();
        Self {
            patient: Some(row.registered_resident_identification),
            service_domain: row.service_domain,
            categorization: row.categorization,
            logical_address: row.logical_address.as_str().to_owned(),
            business_object: row.business_object_instance_identifier.as_str().to_owned(),
            clinical_process: row.clinical_process_interest_id.as_str().to_owned(),
            most_recent_content: stamp(row.most_recent_content),
            source_system: row.source_system.as_str().to_owned(),
            creation_time: stamp(row.creation_time),
            update_time: stamp(row.update_time),
            data_controller: row.data_controller,
            owner: row.owner,
        }
    }
}
