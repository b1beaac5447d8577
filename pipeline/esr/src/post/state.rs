//! The state of a DPN: its posts, the positions that subscribe to it, its placements, and the sent rows.

use serde::{Deserialize, Serialize};
use tributary_schemas::Date;
use tributary_schemas::records::esr::PlacementAtPost;
use tributary_schemas::records::tis::PostStatus;
use tributary_schemas::types::esr::PositionId;
use tributary_schemas::types::tis::{Dpn, PersonId, PlacementId, PostId};

use crate::dpn::FoldedDpn;
use crate::format::{FileName, Office};

/// A placement and its trainee. With another trainee it is another placement (D27).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct PlacementKey {
    pub(super) placement: PlacementId,
    pub(super) trainee: PersonId,
}

impl PlacementKey {
    /// The lowest value in sort order.
    pub(super) const FIRST: Self = Self { placement: PlacementId(i64::MIN), trainee: PersonId(i64::MIN) };
    /// The highest value in sort order.
    pub(super) const LAST: Self = Self { placement: PlacementId(i64::MAX), trainee: PersonId(i64::MAX) };
}

/// A position that subscribes to a DPN.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct SubscriptionKey {
    pub(super) dpn: FoldedDpn,
    pub(super) position: PositionId,
}

/// A placement that is or was at a DPN.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct PlacementAtDpn {
    pub(super) dpn: FoldedDpn,
    pub(super) key: PlacementKey,
}

/// An office to which a DPN was reported.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct OfficeKey {
    pub(super) dpn: FoldedDpn,
    pub(super) office: Office,
}

/// A type 1 that was sent to an office about a DPN.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct SentKey {
    pub(super) dpn: FoldedDpn,
    pub(super) office: Office,
    pub(super) identity: Identity,
}

/// A DPN and a date on which a day tick concerns it. Sorts by date.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct DueKey {
    pub(super) date: Date,
    pub(super) dpn: FoldedDpn,
}

/// The posts that have a DPN, and the facts that the last notification run noted about them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct PostsOfDpn {
    pub(super) posts: Vec<PostEntry>,
    /// The preferred post at the last run.
    pub(super) preferred_at_cut: Option<PostId>,
    /// Whether the preferred post had another DPN before, or replaced another post, so that no type 5 reports it (D13,
    /// D27).
    pub(super) came_silently: bool,
    /// Posts that have taken another DPN since the last run (D27).
    pub(super) renumbered_away: Vec<PostId>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PostEntry {
    pub(super) id: PostId,
    pub(super) status: PostStatus,
    pub(super) baseline: bool,
    /// Whether it had another DPN before (D27).
    pub(super) renumbered: bool,
    /// Whether it has had this DPN only since the last run.
    pub(super) since_cut: bool,
}

impl PostsOfDpn {
    /// The post that counts: CURRENT before INACTIVE, then the lowest id. DELETE never matches (R9, D13).
    pub(super) fn preferred(&self) -> Option<&PostEntry> {
        self.posts
            .iter()
            .filter(|post| post.status != PostStatus::Delete)
            .min_by_key(|post| (post.status != PostStatus::Current, post.id))
    }

    /// Whether the preferred post is preferred without being new (D13, D27).
    pub(super) fn comes_silently(&self) -> bool {
        match (self.preferred(), self.preferred_at_cut) {
            (None, _) => false,
            (Some(now), Some(before)) => self.came_silently || now.id != before,
            (Some(now), None) => now.renumbered && now.since_cut,
        }
    }

    pub(super) fn preferred_id(&self) -> Option<PostId> {
        self.preferred().map(|post| post.id)
    }
}

/// A position that has the DPN. It may be deleted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Subscription {
    pub(super) version: i64,
    pub(super) office: Office,
    pub(super) live: bool,
    pub(super) dpn: Dpn,
    pub(super) cause: Option<Cause>,
    /// The office in which it was live at the last run.
    pub(super) live_at_cut: Option<Office>,
}

/// The line that made a position live with its DPN in its office (D32). The earliest line sorts first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Cause {
    pub(super) file: FileName,
    pub(super) line: i32,
    /// Whether the line moved the position from another office (D6).
    pub(super) moved: bool,
}

/// A placement at this DPN: the current facts and the history.
///
/// They have separate stores, because a notification run writes the history of each placement that it has noted. It
/// must not write the facts again.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlacementState<'a> {
    /// The current facts. `None` if the placement is gone.
    pub(super) now: Option<&'a PlacementAtPost>,
    pub(super) history: &'a PlacementHistory,
}

/// The history of a placement at this DPN.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct PlacementHistory {
    /// The version that the last run noted.
    pub(super) reported: Reported,
    /// Whether it belongs to the baseline (D1) and no run has noted it yet.
    pub(super) baseline: bool,
    /// Whether it belongs to the baseline and started before T + 2 days. It then has no applicant record and counts as
    /// exported (D1).
    pub(super) started_before: bool,
    /// Positions for which it was exported.
    pub(super) exports: Vec<Export>,
}

/// The last approved version as of the last run (6.3).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) enum Reported {
    /// It was never approved, or no longer counted.
    #[default]
    Never,
    /// It is equal to the current facts.
    Unchanged,
    /// The placement has changed since. This is the noted version.
    Version(Box<PlacementAtPost>),
}

/// An export of a placement for a position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Export {
    pub(super) position_id: PositionId,
    pub(super) date_from: Date,
    pub(super) date_to: Option<Date>,
    /// Whether it happened since the last notification run (D34).
    pub(super) since_cut: bool,
}

impl PlacementHistory {
    /// Keeps the version that the last run noted. Called before a change, with the facts before the change.
    pub(super) fn keep_reported(&mut self, now: Option<&PlacementAtPost>) {
        if !matches!(self.reported, Reported::Unchanged) {
            return;
        }
        self.reported = match now {
            Some(now) => Reported::Version(Box::new(PlacementAtPost { person: None, ..now.clone() })),
            None => Reported::Never,
        };
    }
}

impl<'a> PlacementState<'a> {
    /// The version that the last run noted.
    pub(super) fn reported_version(self) -> Option<&'a PlacementAtPost> {
        match &self.history.reported {
            Reported::Never => None,
            Reported::Unchanged => self.now,
            Reported::Version(version) => Some(version),
        }
    }

    /// The placement, if it counts at this DPN: its type counts, and it belongs to the preferred post (A8, D13, D35).
    pub(super) fn effective(self, preferred: Option<PostId>) -> Option<&'a PlacementAtPost> {
        self.now.filter(|now| now.counted && belongs(now, preferred))
    }

    /// The placement, if it counts at this DPN and is approved.
    pub(super) fn approved(self, preferred: Option<PostId>) -> Option<&'a PlacementAtPost> {
        self.effective(preferred).filter(|now| now.approved)
    }
}

/// Whether a placement belongs to the preferred post: it names this post, or no post (D13).
pub(super) fn belongs(placement: &PlacementAtPost, preferred: Option<PostId>) -> bool {
    match (placement.post_id, preferred) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(named), Some(preferred)) => named == preferred,
    }
}

/// The reports to an office about a DPN.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OfficeState {
    /// Posts for which a type 5 was sent.
    pub(super) new_post_sent: Vec<PostId>,
    /// Run with the last type 2, the last T1g row or the last end of the pairing. Rows that were sent before this run
    /// may be sent again (D30).
    pub(super) lifted_at: i64,
    /// Whether the DPN was reconciled in this office at the last run.
    pub(super) reconciled: bool,
}

/// The reason for a type 1 (6.2, D30).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Trigger {
    /// T1a: the next trainee becomes the current one.
    NextBecomesCurrent,
    /// T1b: the start is thirteen weeks away.
    EarliestEligible,
    /// T1c: the post is vacant.
    Vacant,
    /// T1d: a new placement.
    Created,
    /// T1e: changed dates.
    DatesChanged,
    /// T1f: changed working time.
    WorkingTimeChanged,
    /// T1g: a deleted placement.
    Deleted,
    /// T1h: the full set, here for a DPN that was reconciled late (D32).
    FullSet,
}

/// Identity of a type 1 within an office and DPN (D30).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) trigger: Trigger,
    pub(super) current: Option<PlacementKey>,
    pub(super) next: Option<PlacementKey>,
}

impl Identity {
    /// The lowest value in sort order.
    pub(super) const FIRST: Self = Self { trigger: Trigger::NextBecomesCurrent, current: None, next: None };

    pub(super) fn names(&self, key: PlacementKey) -> bool {
        self.current == Some(key) || self.next == Some(key)
    }
}

/// The last sent type 1 of an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sent {
    pub(super) run: i64,
    pub(super) digest: u128,
}
