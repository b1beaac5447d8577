//! The state of a position.

use serde::{Deserialize, Serialize};
use tributary_schemas::Date;
use tributary_schemas::records::esr::{Position, ReconciliationStatus};
use tributary_schemas::types::esr::PositionId;
use tributary_schemas::types::tis::{Dpn, PersonId, PlacementId, PostId};

use crate::applicant::ApplicantKey;
use crate::format::{FileName, Office};

/// A position, merged from POS and POR lines (D7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPosition {
    /// Office of the last file that named it (D6).
    pub office: Office,
    /// DPN as ESR wrote it, trimmed (D21). Empty after an empty DPN has ended the pairing (D5).
    pub dpn: Dpn,
    /// Position number, which applicant records contain.
    pub position_number: Option<String>,
    /// Whether ESR has deleted it (R3).
    pub deleted: bool,
    /// The matched post.
    pub post_id: Option<PostId>,
    /// Version of the current subscription.
    pub version: i64,
    /// Version of the first subscription with the current DPN.
    pub dpn_version: i64,
    /// File whose line made the position live with this DPN in this office (D32). `None` if it was never live.
    pub cause_file: Option<FileName>,
    /// Number of that line.
    pub cause_line: i32,
    /// Whether that line moved the position from another office (D6).
    pub cause_moved: bool,
    /// Last full file that named the position (D8).
    pub last_full_file: Option<FileName>,
    /// Values that no rule uses, as ESR wrote them.
    pub description: Description,
}

/// Values of POS and POR that are kept, but that no rule uses (conflict of 3.1).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// POS 06.
    pub staff_group: String,
    /// POS 07, POR 06.
    pub position_title: String,
    /// POS 08.
    pub occupation_code: String,
    /// POS 09.
    pub area_of_work: String,
    /// POS 12, POR 10.
    pub ods_code: String,
    /// POR 09.
    pub host_lead_indicator: String,
    /// POR 11.
    pub employing_vpd: String,
    /// POR 12.
    pub esr_organisation: String,
}

/// A position with a placement and its trainee. With another trainee it is another pair (D27).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PairKey {
    /// The position.
    pub position: PositionId,
    /// The placement.
    pub placement: PlacementId,
    /// The trainee.
    pub trainee: PersonId,
}

impl PairKey {
    /// The key of its applicant record.
    pub(super) fn applicant(self, office: Office) -> ApplicantKey {
        let Self { position, placement, trainee } = self;
        ApplicantKey { office, placement, position, trainee }
    }
}

/// An applicant record of a position.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The dates with which it was exported. `None` until it is exported.
    pub exported: Option<(Date, Option<Date>)>,
    /// Whether the record is withdrawn. It may return (D9).
    pub withdrawn: bool,
}

impl Pair {
    /// Whether the exporter has a record that can still change.
    pub(super) fn is_open(&self) -> bool {
        self.exported.is_none() && !self.withdrawn
    }
}

impl StoredPosition {
    /// A position before its first line.
    pub(super) fn new(office: Office) -> Self {
        Self {
            office,
            dpn: Dpn::default(),
            position_number: None,
            deleted: false,
            post_id: None,
            version: 0,
            dpn_version: 0,
            cause_file: None,
            cause_line: 0,
            cause_moved: false,
            last_full_file: None,
            description: Description::default(),
        }
    }

    /// Whether it can be paired: it is not deleted, and it has a DPN.
    pub fn is_live(&self) -> bool {
        !self.deleted && !self.dpn.is_empty()
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
