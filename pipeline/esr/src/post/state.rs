//! The state of a DPN: its posts, the positions that subscribe to it, its placements, and the sent rows.

use tributary_runtime::{StateKey, state_key};
use tributary_schemas::Date;
use tributary_schemas::records::esr::PlacementAtPost;
use tributary_schemas::records::esr_state;
use tributary_schemas::records::tis::PostStatus;
use tributary_schemas::stored;
use tributary_schemas::types::esr::PositionId;
use tributary_schemas::types::tis::{PersonId, PlacementId, PostId};

pub(super) use tributary_schemas::records::esr_state::{Cause, Export, OfficeState, PostEntry, Sent, Subscription};

use crate::dpn::FoldedDpn;
use crate::format::Office;

/// A placement and its trainee. With another trainee it is another placement (D27).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PlacementKey {
    pub(super) placement: PlacementId,
    pub(super) trainee: PersonId,
}

state_key!(PlacementKey { placement, trainee });

impl PlacementKey {
    /// The lowest value in sort order.
    pub(super) const FIRST: Self = Self { placement: PlacementId(i64::MIN), trainee: PersonId(i64::MIN) };
    /// The highest value in sort order.
    pub(super) const LAST: Self = Self { placement: PlacementId(i64::MAX), trainee: PersonId(i64::MAX) };
}

/// A position that subscribes to a DPN.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SubscriptionKey {
    pub(super) dpn: FoldedDpn,
    pub(super) position: PositionId,
}

state_key!(SubscriptionKey { dpn, position });

/// A placement that is or was at a DPN.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PlacementAtDpn {
    pub(super) dpn: FoldedDpn,
    pub(super) key: PlacementKey,
}

state_key!(PlacementAtDpn { dpn, key });

/// An office to which a DPN was reported.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OfficeKey {
    pub(super) dpn: FoldedDpn,
    pub(super) office: Office,
}

state_key!(OfficeKey { dpn, office });

/// A type 1 that was sent to an office about a DPN.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SentKey {
    pub(super) dpn: FoldedDpn,
    pub(super) office: Office,
    pub(super) identity: Identity,
}

state_key!(SentKey { dpn, office, identity });

/// A DPN and a date on which a day tick concerns it. Sorts by date.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DueKey {
    pub(super) date: Date,
    pub(super) dpn: FoldedDpn,
}

state_key!(DueKey { date, dpn });

stored! {
    /// The posts that have a DPN, and the facts that the last notification run noted about them.
    #[derive(Default)]
    pub(super) struct PostsOfDpn(esr_state::PostsOfDpn)
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
#[derive(Debug, Clone, Default)]
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
#[derive(Debug, Clone, Default)]
pub(super) enum Reported {
    /// It was never approved, or no longer counted.
    #[default]
    Never,
    /// It is equal to the current facts.
    Unchanged,
    /// The placement has changed since. This is the noted version.
    Version(Box<PlacementAtPost>),
}

stored!(PlacementHistory as esr_state::PlacementHistory);

impl From<&PlacementHistory> for esr_state::PlacementHistory {
    fn from(history: &PlacementHistory) -> Self {
        let (reported, version) = match &history.reported {
            Reported::Never => (esr_state::Reported::Never, None),
            Reported::Unchanged => (esr_state::Reported::Unchanged, None),
            Reported::Version(version) => (esr_state::Reported::Version, Some(version.clone())),
        };
        Self {
            reported,
            version,
            baseline: history.baseline,
            started_before: history.started_before,
            exports: history.exports.clone(),
        }
    }
}

/// A history that names a version, but has none.
#[derive(Debug, thiserror::Error)]
#[error("the noted version is missing")]
pub(super) struct NoVersion;

impl TryFrom<esr_state::PlacementHistory> for PlacementHistory {
    type Error = NoVersion;

    fn try_from(record: esr_state::PlacementHistory) -> Result<Self, NoVersion> {
        let esr_state::PlacementHistory { reported, version, baseline, started_before, exports } = record;
        let reported = match (reported, version) {
            (esr_state::Reported::Never, _) => Reported::Never,
            (esr_state::Reported::Unchanged, _) => Reported::Unchanged,
            (esr_state::Reported::Version, Some(version)) => Reported::Version(version),
            (esr_state::Reported::Version, None) => return Err(NoVersion),
        };
        Ok(Self { reported, baseline, started_before, exports })
    }
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

/// The reason for a type 1 (6.2, D30).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

impl Trigger {
    const ALL: [Self; 8] = [
        Self::NextBecomesCurrent,
        Self::EarliestEligible,
        Self::Vacant,
        Self::Created,
        Self::DatesChanged,
        Self::WorkingTimeChanged,
        Self::Deleted,
        Self::FullSet,
    ];

    /// The letter of the trigger in 6.2, which is its part of a key.
    const fn letter(self) -> u8 {
        match self {
            Self::NextBecomesCurrent => b'a',
            Self::EarliestEligible => b'b',
            Self::Vacant => b'c',
            Self::Created => b'd',
            Self::DatesChanged => b'e',
            Self::WorkingTimeChanged => b'f',
            Self::Deleted => b'g',
            Self::FullSet => b'h',
        }
    }
}

impl StateKey for Trigger {
    fn write_key(&self, out: &mut Vec<u8>) {
        out.push(self.letter());
    }

    fn read_key(input: &mut &[u8]) -> Option<Self> {
        let letter = u8::read_key(input)?;
        Self::ALL.into_iter().find(|trigger| trigger.letter() == letter)
    }
}

/// Identity of a type 1 within an office and DPN (D30).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) trigger: Trigger,
    pub(super) current: Option<PlacementKey>,
    pub(super) next: Option<PlacementKey>,
}

state_key!(Identity { trigger, current, next });

impl Identity {
    /// The lowest value in sort order.
    pub(super) const FIRST: Self = Self { trigger: Trigger::NextBecomesCurrent, current: None, next: None };

    pub(super) fn names(&self, key: PlacementKey) -> bool {
        self.current == Some(key) || self.next == Some(key)
    }
}
