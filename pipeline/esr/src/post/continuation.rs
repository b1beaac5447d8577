//! A placement that continues another one (D116). TIS may merge two records of a trainee, or delete a placement and
//! enter it again. To ESR nothing has happened then: the new placement takes over what was reported of the old one.

use std::collections::BTreeSet;

use tributary_runtime::Output;
use tributary_schemas::records::esr::PlacementAtPost;

use super::state::{PlacementAtDpn, PlacementHistory, PlacementKey, PlacementState, PostsOfDpn, Reported};
use super::{BehindKey, BehindPlacementKey, PostStage};
use crate::dpn::FoldedDpn;
use crate::format::Office;
use crate::person::EsrPerson;

/// A placement that another one continues.
#[derive(Debug, Clone, Copy)]
pub(super) struct Predecessor<'a> {
    pub(super) key: PlacementKey,
    /// The version that the last run noted. If there is none, the facts that it had at the end.
    pub(super) facts: &'a PlacementAtPost,
    pub(super) history: &'a PlacementHistory,
}

impl Predecessor<'_> {
    /// The file in which it was sent for a position, as the exporter or TIS remembers. Empty if the file is not known.
    pub(super) fn file_of(self, position: tributary_schemas::types::esr::PositionId) -> Option<String> {
        let state = PlacementState { now: None, history: self.history };
        let export = state.exports_of(self.facts).find(|export| export.position_id == position);
        let is_hers = !self.history.sent_for_another.contains(&position);
        let remembered = self.facts.sent_before.iter().find(|sent| is_hers && sent.position_id == position);
        export.map(|export| &export.file_name).or(remembered.map(|sent| &sent.file_name)).cloned()
    }

    /// The history of the placement that continues it.
    pub(super) fn continued_by(self, history: &PlacementHistory) -> PlacementHistory {
        let mut merged = self.history.clone();
        merged.left = None;
        merged.baseline = history.baseline;
        merged.add_remembered(self.facts);
        for export in &history.exports {
            merged.add_export(export.clone());
        }
        merged
    }
}

impl PostStage {
    /// The history of a placement, as far as an office knows it (D118). `None` for the office: as the last run noted.
    fn history_seen_by(&self, office: Option<Office>, at: &PlacementAtDpn) -> Option<&PlacementHistory> {
        let behind = office.and_then(|office| {
            let of = BehindKey { office, dpn: at.dpn.clone() };
            self.behind_placements.get(&BehindPlacementKey { of, key: at.key })
        });
        behind.or_else(|| self.histories.get(at))
    }

    /// The placement that `now` continues, if no run has noted `now` yet and `now` counts.
    pub(super) fn predecessor(
        &self,
        office: Option<Office>,
        dpn: &FoldedDpn,
        key: PlacementKey,
        state: PlacementState<'_>,
        posts: &PostsOfDpn,
    ) -> Option<Predecessor<'_>> {
        let now = state.effective(posts).filter(|_| matches!(state.history.reported, Reported::Never))?;
        if let Some(same) = self.same_placement(office, dpn, key, now, posts) {
            return Some(same);
        }
        let left = self.left_like(office, dpn, now, posts);
        if left.is_empty() {
            return None;
        }
        // Several placements may be entered again at once: the first takes the place of the first.
        let earlier = self.placements_of(dpn).take_while(|(other, _)| *other < key).filter(|(other, state)| {
            let at = PlacementAtDpn { dpn: dpn.clone(), key: *other };
            let history = self.history_seen_by(office, &at).unwrap_or(state.history);
            let fresh = matches!(history.reported, Reported::Never);
            let other_now = state.effective(posts).filter(|other| fresh && is_like(other, now));
            other_now.is_some_and(|now| self.same_placement(office, dpn, *other, now, posts).is_none())
        });
        left.get(earlier.count()).copied()
    }

    /// The same placement with another id of the trainee.
    fn same_placement(
        &self,
        office: Option<Office>,
        dpn: &FoldedDpn,
        key: PlacementKey,
        now: &PlacementAtPost,
        posts: &PostsOfDpn,
    ) -> Option<Predecessor<'_>> {
        self.of_placement(office, dpn, key).into_iter().find_map(|at| {
            let old = self.as_predecessor(office, &at, posts)?;
            EsrPerson::of(old.facts).is(EsrPerson::of(now)).then_some(old)
        })
    }

    /// The same placement with other trainees, in the order of keys. With those that only this office still knows,
    /// because runs of other offices have noted that they are gone (D118).
    fn of_placement(&self, office: Option<Office>, dpn: &FoldedDpn, key: PlacementKey) -> BTreeSet<PlacementAtDpn> {
        let at = |key| PlacementAtDpn { dpn: dpn.clone(), key };
        let first = PlacementKey { trainee: PlacementKey::FIRST.trainee, ..key };
        let last = PlacementKey { trainee: PlacementKey::LAST.trainee, ..key };
        // Nearly every placement is alone with its id, so nothing is collected then.
        let others = self.histories.range(at(first)..=at(last)).filter(|(at, _)| at.key != key);
        let mut all: BTreeSet<PlacementAtDpn> = others.map(|(at, _)| at.clone()).collect();
        if let Some(office) = office {
            let of = BehindKey { office, dpn: dpn.clone() };
            let kept = |key| BehindPlacementKey { of: of.clone(), key };
            let behind = self.behind_placements.range(kept(first)..=kept(last)).filter(|(one, _)| one.key != key);
            all.extend(behind.map(|(one, _)| at(one.key)));
        }
        all
    }

    /// Placements that have left, of the same person and with the same dates.
    fn left_like(
        &self,
        office: Option<Office>,
        dpn: &FoldedDpn,
        now: &PlacementAtPost,
        posts: &PostsOfDpn,
    ) -> Vec<Predecessor<'_>> {
        let is_merged = |old: &Predecessor<'_>| {
            self.of_placement(office, dpn, old.key).iter().any(|other| {
                let other = self.placements.get(other);
                other.is_some_and(|other| EsrPerson::of(other).is(EsrPerson::of(old.facts)))
            })
        };
        let leavers = self.leavers_of(dpn).filter_map(|at| self.as_predecessor(office, at, posts));
        leavers.filter(|old| is_like(old.facts, now) && !is_merged(old)).collect()
    }

    pub(super) fn leavers_of(&self, dpn: &FoldedDpn) -> impl Iterator<Item = &PlacementAtDpn> {
        let at = |key| PlacementAtDpn { dpn: dpn.clone(), key };
        self.leavers.range(at(PlacementKey::FIRST)..=at(PlacementKey::LAST)).map(|(at, ())| at)
    }

    /// A placement as one that another may continue: a run has noted it, or it was exported.
    fn as_predecessor(
        &self,
        office: Option<Office>,
        at: &PlacementAtDpn,
        posts: &PostsOfDpn,
    ) -> Option<Predecessor<'_>> {
        let history = self.history_seen_by(office, at)?;
        let state = PlacementState { now: self.placements.get(at), history };
        let noted = state.reported_version().filter(|noted| posts.owned_at_cut(noted));
        let exported = || {
            let last = history.left.as_deref().or(state.now);
            let is_new = history.exports.iter().any(|export| export.since_cut);
            last.filter(|_| matches!(history.reported, Reported::Never) && is_new)
        };
        Some(Predecessor { key: at.key, facts: noted.or_else(exported)?, history })
    }

    /// Placements that may continue this one, with whether they are offered.
    pub(super) fn successors(&self, at: &PlacementAtDpn, posts: &PostsOfDpn) -> Vec<(PlacementKey, bool)> {
        let Some(state) = self.placement(at) else { return Vec::new() };
        let is_noted = state.reported_version().is_some() || !state.history.exports.is_empty();
        let facts = state.reported_version().or(state.now).or(state.history.left.as_deref());
        let Some(facts) = facts.filter(|_| is_noted) else { return Vec::new() };
        let fits = |(other, state): &(PlacementKey, PlacementState<'_>)| {
            let fresh = *other != at.key && matches!(state.history.reported, Reported::Never);
            let same = |now: &PlacementAtPost| {
                is_like(facts, now)
                    || (other.placement == at.key.placement && EsrPerson::of(facts).is(EsrPerson::of(now)))
            };
            fresh && state.now.is_some_and(same)
        };
        let others = self.placements_of(&at.dpn).filter(fits);
        others.map(|(other, state)| (other, self.is_offered(&at.dpn, other, state, posts))).collect()
    }

    /// Offers placements again, after a placement that they may continue has left or returned.
    pub(super) fn offer_again(&self, dpn: &FoldedDpn, successors: Vec<(PlacementKey, bool)>, output: &mut Output) {
        let posts = self.posts_of(dpn);
        for (key, was_offered) in successors {
            if let Some(state) = self.placement(&PlacementAtDpn { dpn: dpn.clone(), key }) {
                self.follow(dpn, key, state, was_offered, posts, output);
            }
        }
    }
}

/// Whether both have the same person and the same dates.
fn is_like(one: &PlacementAtPost, other: &PlacementAtPost) -> bool {
    (one.date_from, one.date_to) == (other.date_from, other.date_to) && EsrPerson::of(one).is(EsrPerson::of(other))
}
