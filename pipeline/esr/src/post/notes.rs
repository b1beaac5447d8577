//! What a run notes about a DPN, and what an office knows of it (D118). Runs may be of some offices only. Then the
//! notes of the others, as of their own last run, are kept beside the new ones until their next run.

use std::borrow::Cow;
use std::collections::BTreeMap;

use tributary_schemas::records::esr::{NotificationCut, PlacementAtPost};

use super::state::{
    BehindKey, BehindPlacementKey, PlacementAtDpn, PlacementHistory, PlacementKey, PlacementState, PostsOfDpn,
    Reported, SubscriptionKey, without_person,
};
use super::{PostStage, Store};
use crate::dpn::FoldedDpn;
use crate::format::Office;

/// The posts and placements of a DPN, as an office knows their history.
pub(super) struct View<'a> {
    pub(super) posts: PostsOfDpn,
    placements: Vec<(PlacementKey, Seen<'a>)>,
    /// Each placement that another one continues (D116), and the other one.
    pub(super) continued: Vec<(PlacementKey, PlacementKey)>,
}

/// The present facts of a placement, and its history.
struct Seen<'a> {
    now: Option<&'a PlacementAtPost>,
    history: Cow<'a, PlacementHistory>,
}

impl View<'_> {
    /// The placements that are or were at the DPN. One that continues another has the history of the other, which is
    /// left out.
    pub(super) fn placements(&self) -> impl Iterator<Item = (PlacementKey, PlacementState<'_>)> {
        let states = self.placements.iter().map(|(key, seen)| (*key, seen.state()));
        states.filter(|(key, _)| !self.continued.iter().any(|(old, _)| old == key))
    }
}

impl Seen<'_> {
    fn state(&self) -> PlacementState<'_> {
        PlacementState { now: self.now, history: &self.history }
    }
}

/// The history of a placement after it was noted.
pub(super) struct Note {
    key: PlacementKey,
    is_here: bool,
    after: PlacementHistory,
}

impl PostStage {
    /// What an office knows of a DPN. `None`: what the last run noted.
    pub(super) fn view(&self, dpn: &FoldedDpn, office: Option<Office>) -> View<'_> {
        let mut posts = self.posts_of(dpn).clone();
        let of_dpn = self.placements_of(dpn);
        let mut placements: Vec<(PlacementKey, Seen<'_>)> = of_dpn
            .map(|(key, PlacementState { now, history })| (key, Seen { now, history: Cow::Borrowed(history) }))
            .collect();
        if let Some(office) = office {
            let behind = BehindKey { office, dpn: dpn.clone() };
            if let Some(seen) = self.behind_posts.get(&behind) {
                posts = posts.as_seen_by(seen);
            }
            placements = self.as_seen_by(&behind, placements);
        }
        let continued = self.continue_all(dpn, office, &posts, &mut placements);
        View { posts, placements, continued }
    }

    fn as_seen_by<'a>(
        &'a self,
        behind: &BehindKey,
        placements: Vec<(PlacementKey, Seen<'a>)>,
    ) -> Vec<(PlacementKey, Seen<'a>)> {
        let mut all: BTreeMap<PlacementKey, Seen<'a>> = placements.into_iter().collect();
        for (BehindPlacementKey { key, .. }, history) in self.behind_of(behind) {
            let history = Cow::Borrowed(history);
            match all.get_mut(key) {
                Some(seen) => seen.history = history,
                None => drop(all.insert(*key, Seen { now: None, history })),
            }
        }
        all.into_iter().collect()
    }

    fn behind_of(&self, of: &BehindKey) -> impl Iterator<Item = (&BehindPlacementKey, &PlacementHistory)> {
        let at = |key| BehindPlacementKey { of: of.clone(), key };
        self.behind_placements.range(at(PlacementKey::FIRST)..=at(PlacementKey::LAST))
    }

    /// Gives each placement that continues another one the history of the other (D116).
    fn continue_all<'a>(
        &'a self,
        dpn: &FoldedDpn,
        office: Option<Office>,
        posts: &PostsOfDpn,
        placements: &mut [(PlacementKey, Seen<'a>)],
    ) -> Vec<(PlacementKey, PlacementKey)> {
        let shares_id = |pair: &[(PlacementKey, Seen<'_>)]| pair[0].0.placement == pair[1].0.placement;
        if self.leavers_of(dpn).next().is_none() && !placements.windows(2).any(shares_id) {
            return Vec::new();
        }
        let mut continued = Vec::new();
        for (key, seen) in placements {
            if let Some(old) = self.predecessor(office, dpn, *key, seen.state(), posts) {
                continued.push((old.key, *key));
                seen.history = Cow::Owned(old.continued_by(&seen.history));
            }
        }
        continued
    }

    /// The notes of a run about all placements whose history changes.
    pub(super) fn notes(view: &View<'_>) -> Vec<Note> {
        let note = |(key, seen): &(PlacementKey, Seen<'_>)| {
            let own = match &seen.history {
                Cow::Borrowed(_) => None,
                Cow::Owned(continued) => Some(continued.clone()),
            };
            let after = noted(seen.state(), &view.posts).or(own)?;
            Some(Note { key: *key, is_here: seen.now.is_some(), after })
        };
        view.placements.iter().filter_map(note).collect()
    }

    /// Keeps for offices that have no run now what they knew up to now. Called before the notes are taken.
    pub(super) fn keep_for(&mut self, offices: &[Office], dpn: &FoldedDpn, posts: &PostsOfDpn, notes: &[Note]) {
        if notes.is_empty() && self.changed.get(dpn).is_none() {
            return;
        }
        for office in offices {
            let of = BehindKey { office: *office, dpn: dpn.clone() };
            if self.behind_posts.get(&of).is_none() {
                self.behind_posts.put(of.clone(), posts.clone());
            }
            for Note { key, .. } in notes {
                let at = BehindPlacementKey { of: of.clone(), key: *key };
                if self.behind_placements.get(&at).is_some() {
                    continue;
                }
                let here = PlacementAtDpn { dpn: dpn.clone(), key: *key };
                let now = self.placements.get(&here);
                let mut kept = self.histories.get(&here).cloned().unwrap_or_default();
                if let (Reported::Unchanged, Some(now)) = (&kept.reported, now) {
                    kept.reported = Reported::Version(without_person(now));
                }
                self.behind_placements.put(at, kept);
            }
        }
    }

    /// Changes what is kept of a placement for offices that are behind.
    pub(super) fn change_behind(&mut self, at: &PlacementAtDpn, change: impl Fn(&mut PlacementHistory)) {
        if self.behind_placements.iter().next().is_none() {
            return;
        }
        let offices: Vec<Office> = self.office_runs.iter().map(|(office, _)| *office).collect();
        for office in offices {
            let of = BehindKey { office, dpn: at.dpn.clone() };
            let key = BehindPlacementKey { of, key: at.key };
            if let Some(mut history) = self.behind_placements.get(&key).cloned() {
                change(&mut history);
                self.behind_placements.put(key, history);
            }
        }
    }

    /// Notes the current facts, with which the next run compares. `others` are the offices that have no run now.
    pub(super) fn take_note(
        &mut self,
        dpn: &FoldedDpn,
        mut posts: PostsOfDpn,
        notes: Vec<Note>,
        cut: &NotificationCut,
        others: &[Office],
    ) {
        posts.came_silently = posts.comes_silently();
        posts.preferred_at_cut = posts.preferred_id();
        posts.posts_at_cut = posts.posts.iter().map(|post| post.id).collect();
        posts.renumbered_away.clear();
        for post in &mut posts.posts {
            post.since_cut = false;
        }
        if posts.posts.is_empty() {
            self.posts.delete(dpn.clone());
        } else {
            self.posts.put(dpn.clone(), posts);
        }
        for Note { key, is_here, after, .. } in notes {
            let at = PlacementAtDpn { dpn: dpn.clone(), key };
            if is_here || !after.exports.is_empty() {
                self.histories.put(at, after);
            } else {
                self.histories.delete(at);
            }
        }
        if others.is_empty() {
            let leavers: Vec<PlacementAtDpn> = self.leavers_of(dpn).cloned().collect();
            for at in leavers {
                self.leavers.delete(at);
            }
        }
        self.note_positions(dpn, cut);
        for office in &cut.offices {
            self.catch_up(BehindKey { office: *office, dpn: dpn.clone() });
        }
    }

    fn note_positions(&mut self, dpn: &FoldedDpn, cut: &NotificationCut) {
        let subscriptions: Vec<_> = self
            .subscriptions_of(dpn)
            .filter(|(_, one)| cut.offices.contains(&one.office))
            .filter(|(_, one)| one.live_at_cut != one.live.then_some(one.office))
            .map(|(id, one)| (id, one.clone()))
            .collect();
        for (id, mut subscription) in subscriptions {
            subscription.live_at_cut = subscription.live.then_some(subscription.office);
            self.subscriptions.put(SubscriptionKey { dpn: dpn.clone(), position: id }, subscription);
        }
    }

    /// Forgets what was kept for an office, after its run. Where something is kept, its posts are.
    fn catch_up(&mut self, of: BehindKey) {
        if self.behind_posts.get(&of).is_none() {
            return;
        }
        let kept: Vec<BehindPlacementKey> = self.behind_of(&of).map(|(key, _)| key.clone()).collect();
        for key in kept {
            self.behind_placements.delete(key);
        }
        self.behind_posts.delete(of);
    }
}

/// The history for the next run. `None` if it does not change.
fn noted(state: PlacementState<'_>, posts: &PostsOfDpn) -> Option<PlacementHistory> {
    let history = state.history;
    let another = state.of_another_person();
    let reported = match state.now.filter(|now| now.counted) {
        None => Reported::Never,
        Some(now) if now.approved && posts.owns(now) => Reported::Unchanged,
        // The trainee is another person now, and not approved yet (D116).
        Some(now) if posts.owns(now) && another.is_some() => Reported::Never,
        // The placement has moved to another post with the same DPN (D27).
        Some(now) if state.reported_version().is_some_and(|old| old.post_id != now.post_id) && !posts.owns(now) => {
            Reported::Never
        }
        // The placement is a draft, or its post does not match now. The last report to ESR still holds (6.3).
        Some(_) => history.reported.clone(),
    };
    let same = matches!(
        (&reported, &history.reported),
        (Reported::Never, Reported::Never) | (Reported::Unchanged, Reported::Unchanged)
    );
    let gone = state.now.is_none();
    if same && !gone && !history.baseline && history.exports.iter().all(|export| !export.since_cut) {
        return None;
    }
    // Another person is withdrawn only where the placement counts.
    let replaced = another.filter(|_| state.effective(posts).is_some());
    let started_before = history.started_before && !gone && replaced.is_none();
    let mut noted = PlacementHistory { reported, started_before, ..history.clone() };
    (noted.baseline, noted.left) = (false, None);
    for export in &mut noted.exports {
        export.since_cut = false;
    }
    if let Some(old) = replaced {
        noted.leave_remembered_to(old);
    }
    Some(noted)
}

/// Stores a value that differs from the stored one.
pub(super) fn put_if_changed<K, V>(store: &mut Store<K, V>, key: K, value: V)
where
    K: tributary_runtime::StateKey,
    V: tributary_runtime::StateValue + PartialEq,
{
    if store.get(&key) != Some(&value) {
        store.put(key, value);
    }
}
