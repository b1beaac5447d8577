//! Transactions as a sender wrote them, before any check.

use std::fmt;

use tributary_schemas::types::aggregation::{Address, InstanceId, PatientId};

/// A transaction of `Update` or `ProcessNotification`.
#[derive(Clone, Debug, Default)]
pub struct SentTransaction {
    /// Whether the engagement is deleted.
    pub delete_flag: bool,
    /// The engagement.
    pub engagement: SentEngagement,
}

/// An engagement. `None` for an element that is not there. `Debug` shows no contents.
#[derive(Clone, Default)]
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

/// A field of text of an engagement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `registeredResidentIdentification`.
    Patient,
    /// `serviceDomain`.
    Domain,
    /// `categorization`.
    Categorization,
    /// `logicalAddress`.
    LogicalAddress,
    /// `businessObjectInstanceIdentifier`.
    BusinessObject,
    /// `clinicalProcessInterestId`.
    ClinicalProcess,
    /// `sourceSystem`.
    SourceSystem,
    /// `dataController`.
    DataController,
    /// `owner`.
    Owner,
}

impl Field {
    /// The fields that every transaction must have, in the order in which they are checked (A 6.3).
    pub const MANDATORY: [Self; 8] = [
        Self::Patient,
        Self::Domain,
        Self::Categorization,
        Self::LogicalAddress,
        Self::BusinessObject,
        Self::ClinicalProcess,
        Self::SourceSystem,
        Self::DataController,
    ];

    /// The name of its element.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Patient => "registeredResidentIdentification",
            Self::Domain => "serviceDomain",
            Self::Categorization => "categorization",
            Self::LogicalAddress => "logicalAddress",
            Self::BusinessObject => "businessObjectInstanceIdentifier",
            Self::ClinicalProcess => "clinicalProcessInterestId",
            Self::SourceSystem => "sourceSystem",
            Self::DataController => "dataController",
            Self::Owner => "owner",
        }
    }

    /// The largest number of characters (A 3.6). That of the owner is ours: the contract names none.
    pub const fn most(self) -> usize {
        match self {
            Self::Patient => PatientId::MOST,
            Self::Domain | Self::Categorization => 255,
            Self::LogicalAddress | Self::SourceSystem => Address::MOST,
            Self::BusinessObject | Self::ClinicalProcess => InstanceId::MOST,
            Self::DataController | Self::Owner => 64,
        }
    }
}

impl SentEngagement {
    /// The text of a field. Empty if it is not there.
    pub fn text(&self, field: Field) -> &str {
        let text = match field {
            Field::Patient => &self.registered_resident_identification,
            Field::Domain => &self.service_domain,
            Field::Categorization => &self.categorization,
            Field::LogicalAddress => &self.logical_address,
            Field::BusinessObject => &self.business_object_instance_identifier,
            Field::ClinicalProcess => &self.clinical_process_interest_id,
            Field::SourceSystem => &self.source_system,
            Field::DataController => &self.data_controller,
            Field::Owner => &self.owner,
        };
        text.as_deref().unwrap_or_default()
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
