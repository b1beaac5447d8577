//! The state of a DPN: its posts, the positions that subscribe to it, its placements, and the sent rows.

use tributary_runtime::{StateKey, state_key};
use tributary_schemas::Date;
use tributary_schemas::records::esr::{PlacementAtPost, SentBefore};
use tributary_schemas::records::esr_state;
use tributary_schemas::records::tis::PostStatus;
use tributary_schemas::stored;
use tributary_schemas::types::esr::PositionId;
use tributary_schemas::types::tis::{PersonId, PlacementId, PostId};

pub(super) use tributary_schemas::records::esr_state::{
    Cause, Export, OfficeRun, OfficeState, PostEntry, Sent, Subscription,
};

use crate::dpn::FoldedDpn;
use crate::format::Office;
use crate::person::EsrPerson;

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

/// A DPN about which an office knows less than the last run of other offices noted (D118). Sorts by office.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BehindKey {
    pub(super) office: Office,
    pub(super) dpn: FoldedDpn,
}

state_key!(BehindKey { office, dpn });

/// A placement about which an office knows less than the last run of other offices noted (D118).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BehindPlacementKey {
    pub(super) of: BehindKey,
    pub(super) key: PlacementKey,
}

state_key!(BehindPlacementKey { of, key });

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

    /// Whether a placement of this DPN belongs to the preferred post. Its number says where it belongs. Among the posts
    /// with this number, the post that it names does; if it names none of them, the number alone does (D13, D117).
    pub(super) fn owns(&self, placement: &PlacementAtPost) -> bool {
        let has = |id| self.posts.iter().any(|post| post.id == id);
        belongs(placement.post_id, self.preferred_id(), has)
    }

    /// Whether a placement belonged to the preferred post at the last run.
    pub(super) fn owned_at_cut(&self, placement: &PlacementAtPost) -> bool {
        // State that was written without the list of posts: a post that is not the preferred one counted as another.
        let has = |id| self.posts_at_cut.is_empty() || self.posts_at_cut.contains(&id);
        belongs(placement.post_id, self.preferred_at_cut, has)
    }

    /// The posts as an office sees them whose last run saw `seen` (D118).
    pub(super) fn as_seen_by(&self, seen: &Self) -> Self {
        let since_cut = |post: &PostEntry| {
            let before = seen.posts.iter().find(|before| before.id == post.id);
            post.since_cut || before.is_none_or(|before| before.since_cut)
        };
        let is_here = |id: &PostId| self.posts.iter().any(|post| post.id == *id);
        let mut renumbered_away: Vec<PostId> = [&seen.renumbered_away[..], &self.renumbered_away].concat();
        renumbered_away.retain(|id| !is_here(id));
        Self(esr_state::PostsOfDpn {
            posts: self.posts.iter().map(|post| PostEntry { since_cut: since_cut(post), ..post.clone() }).collect(),
            renumbered_away,
            ..seen.0.clone()
        })
    }
}

fn belongs(named: Option<PostId>, preferred: Option<PostId>, has: impl Fn(PostId) -> bool) -> bool {
    match (named, preferred) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(named), Some(preferred)) => named == preferred || !has(named),
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
    /// The facts of a placement that has gone since the last run, as they were when it went.
    pub(super) left: Option<Box<PlacementAtPost>>,
    /// Positions for which TIS remembers an export of the person whom the trainee was before a number was corrected.
    pub(super) sent_for_another: Vec<PositionId>,
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
            left: history.left.clone(),
            sent_for_another: history.sent_for_another.clone(),
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
        let esr_state::PlacementHistory {
            reported,
            version,
            baseline,
            started_before,
            exports,
            left,
            sent_for_another,
        } = record;
        let reported = match (reported, version) {
            (esr_state::Reported::Never, _) => Reported::Never,
            (esr_state::Reported::Unchanged, _) => Reported::Unchanged,
            (esr_state::Reported::Version, Some(version)) => Reported::Version(version),
            (esr_state::Reported::Version, None) => return Err(NoVersion),
        };
        Ok(Self { reported, baseline, started_before, exports, left, sent_for_another })
    }
}

impl PlacementHistory {
    /// Adds an export, unless it is known.
    pub(super) fn add_export(&mut self, export: Export) {
        let numbers = |export: &Export| (export.gmc_number.clone(), export.gdc_number.clone());
        let is_same =
            |known: &&mut Export| known.position_id == export.position_id && numbers(known) == numbers(&export);
        match self.exports.iter_mut().find(is_same) {
            Some(known) => known.since_cut &= export.since_cut,
            None => self.exports.push(export),
        }
    }

    /// Adds the exports that TIS remembers of a version, as exports for its person.
    pub(super) fn add_remembered(&mut self, version: &PlacementAtPost) {
        for SentBefore { position_id, file_name } in &version.sent_before {
            if !self.sent_for_another.contains(position_id) {
                self.add_export(Export {
                    position_id: *position_id,
                    date_from: version.date_from,
                    date_to: version.date_to,
                    since_cut: false,
                    file_name: file_name.clone(),
                    gmc_number: version.gmc_number.clone(),
                    gdc_number: version.gdc_number.clone(),
                });
            }
        }
    }

    /// The exports that TIS remembers were for the person of this version, and not for the present trainee.
    pub(super) fn leave_remembered_to(&mut self, version: &PlacementAtPost) {
        self.add_remembered(version);
        self.sent_for_another.extend(version.sent_before.iter().map(|sent| sent.position_id));
    }

    /// Keeps the version that the last run noted. Called before a change, with the facts before the change.
    pub(super) fn keep_reported(&mut self, now: Option<&PlacementAtPost>) {
        if !matches!(self.reported, Reported::Unchanged) {
            return;
        }
        self.reported = match now {
            Some(now) => Reported::Version(without_person(now)),
            None => Reported::Never,
        };
    }
}

/// The facts without the person's record, which no later decision reads.
pub(super) fn without_person(placement: &PlacementAtPost) -> Box<PlacementAtPost> {
    Box::new(PlacementAtPost { person: None, ..placement.clone() })
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
    pub(super) fn effective(self, posts: &PostsOfDpn) -> Option<&'a PlacementAtPost> {
        self.now.filter(|now| now.counted && posts.owns(now))
    }

    /// The placement, if it counts at this DPN and is approved.
    pub(super) fn approved(self, posts: &PostsOfDpn) -> Option<&'a PlacementAtPost> {
        self.effective(posts).filter(|now| now.approved)
    }

    /// The version that the last run noted, if the trainee is another person to ESR now: a registration number was
    /// corrected (D116).
    pub(super) fn of_another_person(self) -> Option<&'a PlacementAtPost> {
        let now = self.now?;
        self.reported_version().filter(|old| !EsrPerson::of(old).is(EsrPerson::of(now)))
    }

    /// Exports of this placement for the person of `version`.
    pub(super) fn exports_of<'b>(self, version: &'b PlacementAtPost) -> impl Iterator<Item = &'a Export> + 'b
    where
        'a: 'b,
    {
        let person = EsrPerson::of(version);
        let trainee = version.trainee_id;
        self.history
            .exports
            .iter()
            .filter(move |export| EsrPerson::new(&export.gmc_number, &export.gdc_number, trainee).is(person))
    }

    /// The exports that TIS remembers for the person of `version` (D14).
    pub(super) fn remembered_for<'b>(self, version: &'b PlacementAtPost) -> impl Iterator<Item = &'b SentBefore>
    where
        'a: 'b,
    {
        let is_now = self.now.is_some_and(|now| std::ptr::eq(now, version));
        let another = self.of_another_person().filter(|_| is_now);
        version.sent_before.iter().filter(move |sent| {
            let was_sent =
                another.is_some_and(|old| old.sent_before.iter().any(|old| old.position_id == sent.position_id));
            let is_of_another = is_now && self.history.sent_for_another.contains(&sent.position_id);
            !was_sent && !is_of_another
        })
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
