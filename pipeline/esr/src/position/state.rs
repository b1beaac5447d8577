//! The state of a position.

use tributary_runtime::state_key;
use tributary_schemas::records::esr::{Applicant, Position, ReconciliationStatus};
use tributary_schemas::records::esr_state;
use tributary_schemas::stored;
use tributary_schemas::types::esr::PositionId;
use tributary_schemas::types::tis::{PersonId, PlacementId};

use crate::applicant::ApplicantKey;
use crate::format::{FileName, Office};
use crate::person::EsrPerson;

pub(super) use tributary_schemas::records::esr_state::PositionDescription as Description;

stored! {
    /// A position, merged from POS and POR lines (D7).
    pub struct StoredPosition(esr_state::StoredPosition)
}

/// A position with a placement and its trainee. With another trainee it is another pair (D27).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PairKey {
    /// The position.
    pub position: PositionId,
    /// The placement.
    pub placement: PlacementId,
    /// The trainee.
    pub trainee: PersonId,
}

state_key!(PairKey { position, placement, trainee });

impl PairKey {
    /// The key of its applicant record.
    pub(super) fn applicant(self, office: Office) -> ApplicantKey {
        let Self { position, placement, trainee } = self;
        ApplicantKey { office, placement, position, trainee }
    }
}

stored! {
    /// An applicant record of a position.
    pub struct Pair(esr_state::Pair)
}

impl Pair {
    /// The pair of a record that was sent to the exporter. `before` is the pair before.
    pub(super) fn sent(applicant: &Applicant, before: Option<&Self>) -> Self {
        Self(esr_state::Pair {
            exported: before.and_then(|before| before.exported.clone()),
            withdrawn: false,
            gmc_number: applicant.gmc_number.clone(),
            gdc_number: applicant.gdc_number.clone(),
        })
    }

    /// The pair after its record was withdrawn.
    pub(super) fn withdrawn(&self) -> Self {
        Self(esr_state::Pair { withdrawn: true, ..self.0.clone() })
    }

    /// Whether it was exported for the person whom the last record names (D116).
    pub(super) fn is_exported(&self, trainee: PersonId) -> bool {
        self.is_exported_for(EsrPerson::new(&self.gmc_number, &self.gdc_number, trainee), trainee)
    }

    /// Whether it was exported for this person.
    pub(super) fn is_exported_for(&self, person: EsrPerson<'_>, trainee: PersonId) -> bool {
        let exported = self.exported.as_ref();
        exported.is_some_and(|sent| EsrPerson::new(&sent.gmc_number, &sent.gdc_number, trainee).is(person))
    }

    /// Whether the exporter has a record that can still change.
    pub(super) fn is_open(&self, trainee: PersonId) -> bool {
        !self.is_exported(trainee) && !self.withdrawn
    }
}

impl StoredPosition {
    /// A position before its first line.
    pub(super) fn new(office: Office) -> Self {
        Self(esr_state::StoredPosition::of(office))
    }

    /// Whether it can be paired: it is not deleted, and it has a DPN.
    pub fn is_live(&self) -> bool {
        !self.deleted && !self.dpn.is_empty()
    }

    /// The file of its facts, if that file is newer than `file` (D93).
    pub(super) fn overtakes(&self, file: FileName) -> Option<FileName> {
        self.facts_file.filter(|facts| file.is_older_than(facts))
    }

    /// Whether it is paired with a post.
    pub fn is_matched(&self) -> bool {
        self.is_live() && self.post_id.is_some()
    }

    /// Whether `new` needs another subscription.
    pub(super) fn subscribes_otherwise(&self, new: &Self) -> bool {
        self.dpn != new.dpn
            || self.position_number != new.position_number
            || self.deleted != new.deleted
            || self.office != new.office
    }

    /// Whether the pairing is the same.
    pub(super) fn is_paired_like(&self, new: &Self) -> bool {
        self.status() == new.status() && self.post_id == new.post_id && self.dpn == new.dpn
    }

    pub(super) fn status(&self) -> ReconciliationStatus {
        if self.deleted {
            return ReconciliationStatus::Deleted;
        }
        if self.is_matched() { ReconciliationStatus::Matched } else { ReconciliationStatus::Unmatched }
    }

    pub(super) fn public(&self, position_id: PositionId) -> Position {
        Position {
            position_id,
            office: self.office,
            deleted: self.deleted,
            dpn: self.dpn.clone(),
            position_number: self.position_number.clone(),
            post_id: self.post_id,
            position_title: self.description.position_title.clone(),
            occupation_code: self.description.occupation_code.clone(),
            host_lead_indicator: self.description.host_lead_indicator.clone(),
            ods_code: self.description.ods_code.clone(),
            esr_organisation: self.description.esr_organisation.clone(),
        }
    }
}
