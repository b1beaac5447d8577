//! The rows of a notification run for one office and one DPN (section 6, D30-D40). They follow from a comparison of the
//! current facts with the facts that the last run noted.

use tributary_schemas::Date;
use tributary_schemas::records::esr::{Notification, PlacementAtPost};
use tributary_schemas::types::esr::PositionId;
use tributary_schemas::types::tis::PostId;
use tributary_schemas::types::tributary::Digest;

use super::facts::{Change, Facts};
use super::partners::{Partner, ended_before, first_same_site, outgoing, pair_up, same_site_or_first};
use super::rows::{Frame, NextTraineeIs};
use super::state::{Identity, OfficeState, PlacementKey, PlacementState, Subscription, Trigger};
use crate::format::FileKind;

/// A row that is sent, unless an equal row was sent before (D30).
pub(super) struct Candidate {
    pub(super) row: Notification,
    /// Identity of a type 1 (D30). `None` for the other types, which are sent once.
    pub(super) identity: Option<Identity>,
}

/// The facts of one DPN, as they concern one office.
pub(super) struct OfficeFacts<'a> {
    pub(super) facts: &'a Facts<'a>,
    pub(super) frame: Frame<'a>,
    pub(super) state: &'a OfficeState,
    /// Identities of type 1 rows that were sent to this office about this DPN, with the digests of the rows.
    pub(super) sent: Vec<(Identity, Digest)>,
}

impl<'a> OfficeFacts<'a> {
    /// Whether the DPN is matched and a live position of this office has it.
    pub(super) fn is_reconciled(&self) -> bool {
        self.facts.posts.preferred().is_some() && self.has_live_position()
    }

    fn has_live_position(&self) -> bool {
        self.positions().any(|(_, subscription)| subscription.live)
    }

    fn positions(&self) -> impl Iterator<Item = &(PositionId, &'a Subscription)> {
        self.facts.subscriptions.iter().filter(|(_, subscription)| subscription.office == self.frame.office)
    }

    /// All rows that follow from the facts, before D30 drops the rows that were sent before.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        if !self.is_reconciled() {
            if self.has_live_position() {
                self.renumbered_rows(&mut candidates);
            }
            return candidates;
        }
        let late = self.is_late();
        for (key, state) in self.facts.changed() {
            self.change_rows(key, state, &mut candidates);
        }
        if late {
            candidates.retain(|candidate| candidate.identity.is_none());
            self.full_set(&mut candidates);
            return candidates;
        }
        let first = self.first_tick();
        for tick in self.facts.cut.ticks.iter().filter(|tick| first.is_none_or(|first| **tick >= first)) {
            self.tick_rows(*tick, &mut candidates);
        }
        candidates
    }

    /// The first date whose day tick is due in this office (D118). `None`: all are.
    fn first_tick(&self) -> Option<Date> {
        let cut = self.facts.cut;
        let at = cut.offices.iter().position(|office| *office == self.frame.office)?;
        cut.first_ticks.get(at).copied()
    }

    fn renumbered_rows(&self, candidates: &mut Vec<Candidate>) {
        for (_, state) in self.facts.changed() {
            if let Change::Renumbered(old) = self.facts.change(state) {
                self.renumbered(state, old, candidates);
            }
        }
    }

    /// D27: only a type 2, with a blank current trainee and vacant Y.
    fn renumbered(&self, state: PlacementState<'_>, old: &PlacementAtPost, candidates: &mut Vec<Candidate>) {
        let (today, end_of_window) = (self.facts.today(), self.facts.end_of_window());
        let stood = self.state.reconciled && old.date_from < end_of_window && !ended_before(old, today);
        if stood && self.exported_before(state) {
            let row = self.frame.withdrawal(None, true, old, self.facts.withdrawal_reason);
            candidates.push(Candidate { row, identity: None });
        }
    }

    fn change_rows(&self, key: PlacementKey, state: PlacementState<'a>, candidates: &mut Vec<Candidate>) {
        match self.facts.change(state) {
            Change::Nothing => self.export_overtaken(key, state, candidates),
            Change::Created(now) => self.created(Partner { key, placement: now }, candidates),
            Change::Dates { old, now } => {
                self.dates_changed(Partner { key, placement: now }, state, old, candidates);
            }
            Change::WorkingTime(now) => self.working_time(Partner { key, placement: now }, candidates),
            Change::Deleted(old) => self.deleted(key, state, old, candidates),
            Change::OfAnother { old, now } => {
                self.deleted(key, state, old, candidates);
                if now.approved {
                    self.created(Partner { key, placement: now }, candidates);
                }
            }
            Change::Renumbered(old) => self.renumbered(state, old, candidates),
        }
    }

    /// T1d: the start decides whether the new placement is the current or the next one (D33).
    fn created(&self, new: Partner<'a>, candidates: &mut Vec<Candidate>) {
        let today = self.facts.today();
        if new.placement.date_from >= self.facts.end_of_window() || ended_before(new.placement, today) {
            return;
        }
        if new.covers(today) {
            let next = first_same_site(new.placement, self.facts.futures());
            self.push(Trigger::Created, Some(new), next, candidates);
            return;
        }
        let same_site = |partner: &Partner<'_>| super::partners::same_site(new.placement, partner.placement);
        let currents: Vec<Partner<'a>> = self.facts.currents().filter(same_site).collect();
        if currents.is_empty() {
            self.push(Trigger::Created, None, Some(new), candidates);
        }
        for current in currents {
            self.push(Trigger::Created, Some(current), Some(new), candidates);
        }
    }

    /// T1e with type 4 (6.3). D34 for a placement that was not exported. T1c if the end moved into the past (D35).
    fn dates_changed(
        &self,
        changed: Partner<'a>,
        state: PlacementState<'_>,
        old: (Date, Option<Date>),
        candidates: &mut Vec<Candidate>,
    ) {
        let today = self.facts.today();
        let had_ended = old.1.is_some_and(|end| end < today);
        let has_ended = ended_before(changed.placement, today);
        if had_ended && has_ended {
            return;
        }
        if has_ended {
            self.vacant(changed, today, candidates);
        }
        if self.exported_before(state) {
            self.date_change(changed, old, candidates);
            return;
        }
        self.export_overtaken(changed.key, state, candidates);
        self.send_again(changed.key, candidates);
    }

    /// Reports changed dates of a placement that was exported since the last run, and whose dates changed after the
    /// export. ESR knows the exported dates.
    fn export_overtaken(&self, key: PlacementKey, state: PlacementState<'a>, candidates: &mut Vec<Candidate>) {
        let Some(now) = state.approved(self.facts.posts).filter(|_| !self.exported_before(state)) else { return };
        let export = state.exports_of(now).find(|export| export.since_cut && self.holds(export.position_id));
        let Some(export) = export else { return };
        let old = (export.date_from, export.date_to);
        if old != (now.date_from, now.date_to) {
            self.date_change(Partner { key, placement: now }, old, candidates);
        }
    }

    fn date_change(&self, changed: Partner<'a>, old: (Date, Option<Date>), candidates: &mut Vec<Candidate>) {
        let (today, end_of_window) = (self.facts.today(), self.facts.end_of_window());
        let had_ended = old.1.is_some_and(|end| end < today);
        let outside = old.0 >= end_of_window && changed.placement.date_from >= end_of_window;
        if outside || (had_ended && ended_before(changed.placement, today)) {
            return;
        }
        let others = |partner: &Partner<'_>| partner.key != changed.key;
        let (current, next) = if old.0 <= today {
            (Some(changed), first_same_site(changed.placement, self.facts.futures().filter(others)))
        } else {
            (first_same_site(changed.placement, self.facts.currents().filter(others)), Some(changed))
        };
        self.push(Trigger::DatesChanged, current, next, candidates);
        if let Some(rotation) = candidates.last() {
            let row = Frame::date_change(&rotation.row, changed.placement, today);
            candidates.push(Candidate { row, identity: None });
        }
    }

    /// D34: sends the type 1 rows that named the placement again.
    fn send_again(&self, key: PlacementKey, candidates: &mut Vec<Candidate>) {
        for (identity, digest) in self.sent.iter().filter(|(identity, _)| identity.names(key)) {
            let Some((current, next)) = self.pair_of(identity) else { continue };
            let row = self.row(identity.trigger, current, next, self.facts.today());
            if crate::digests::notification_digest(&row) != *digest {
                candidates.push(Candidate { row, identity: Some(*identity) });
            }
        }
    }

    /// The pair of an identity. `None` if it no longer holds.
    fn pair_of(&self, identity: &Identity) -> Option<(Option<Partner<'a>>, Option<Partner<'a>>)> {
        let find = |key: Option<PlacementKey>| match key {
            None => Some(None),
            Some(key) => self.facts.partner(key).map(Some),
        };
        Some((find(identity.current)?, find(identity.next)?))
    }

    /// T1f: only for a current placement.
    fn working_time(&self, changed: Partner<'a>, candidates: &mut Vec<Candidate>) {
        if changed.covers(self.facts.today()) {
            let next = first_same_site(changed.placement, self.facts.futures());
            self.push(Trigger::WorkingTimeChanged, Some(changed), next, candidates);
        }
    }

    /// T1g with type 2 (6.4, D34, D35).
    fn deleted(
        &self,
        key: PlacementKey,
        state: PlacementState<'_>,
        old: &PlacementAtPost,
        candidates: &mut Vec<Candidate>,
    ) {
        let today = self.facts.today();
        if old.date_from >= self.facts.end_of_window() || ended_before(old, today) {
            return;
        }
        let exported =
            self.exported_before(state) || state.exports_of(old).any(|export| self.holds(export.position_id));
        let named = self.sent.iter().any(|(identity, _)| identity.names(key));
        if !exported && !named {
            return;
        }
        let current = same_site_or_first(old, self.facts.currents());
        let three_months = today..today.plus_months(3);
        let next = same_site_or_first(
            old,
            self.facts.approved.iter().copied().filter(|partner| {
                three_months.contains(&partner.placement.date_from)
                    && current.is_none_or(|current| current.key != partner.key)
            }),
        );
        self.push(Trigger::Deleted, current, next, candidates);
        if exported {
            let current = current.map(|current| current.placement);
            let row = self.frame.withdrawal(current, next.is_none(), old, self.facts.withdrawal_reason);
            candidates.push(Candidate { row, identity: None });
        }
    }

    /// T1c: the trainee has left, and no placement of the post ends later.
    fn vacant(&self, left: Partner<'a>, day: Date, candidates: &mut Vec<Candidate>) {
        let later = |partner: &Partner<'_>| match (partner.placement.date_to, left.placement.date_to) {
            (None, _) => true,
            (Some(end), Some(left)) => end > left,
            (Some(_), None) => false,
        };
        if !self.facts.approved.iter().any(later) {
            self.push_at(Trigger::Vacant, Some(left), None, day, candidates);
        }
    }

    /// The day tick of `day`: T1a, T1b, T1c.
    fn tick_rows(&self, day: Date, candidates: &mut Vec<Candidate>) {
        let yesterday = day.plus_days(-1);
        let approved = || self.facts.approved.iter().copied();
        for starter in approved().filter(|partner| partner.placement.date_from == day) {
            let leavers = approved().filter(|partner| partner.ends_on(yesterday));
            let current = outgoing(starter.placement, leavers);
            self.push_at(Trigger::NextBecomesCurrent, current, Some(starter), day, candidates);
        }
        let earliest = day.plus_days(self.facts.horizon);
        for starter in approved().filter(|partner| partner.placement.date_from == earliest) {
            let current = outgoing(starter.placement, approved().filter(|partner| partner.covers(day)));
            self.push_at(Trigger::EarliestEligible, current, Some(starter), day, candidates);
        }
        for leaver in approved().filter(|partner| partner.ends_on(yesterday)) {
            self.vacant(leaver, day, candidates);
        }
    }

    /// D32: whether the DPN was reconciled in this office since the last run, and was reconciled late.
    fn is_late(&self) -> bool {
        let Some(post) = self.facts.posts.preferred() else { return false };
        let other_post = self.facts.has_another_post();
        if self.state.reconciled && !other_post {
            return false;
        }
        if post.since_cut {
            return !post.baseline || post.renumbered;
        }
        other_post || self.facts.posts.preferred_at_cut.is_none() || self.came_by_change_file()
    }

    /// Whether a line of an RMC made the first of the new live positions live, without a move from another office.
    fn came_by_change_file(&self) -> bool {
        let new = self
            .positions()
            .filter(|(_, subscription)| subscription.live && subscription.live_at_cut != Some(self.frame.office));
        let first =
            new.filter_map(|(_, one)| one.cause.as_ref()).min_by_key(|cause| (cause.file, cause.line, cause.moved));
        first.is_some_and(|cause| cause.file.kind == FileKind::Rmc && !cause.moved)
    }

    /// The matched post, if it causes a type 5: it is new, not renumbered, and was not reported before (6.1, D32).
    pub(super) fn is_new_post(&self) -> Option<PostId> {
        let post = self.facts.posts.preferred()?;
        let told = self.state.new_post_sent.contains(&post.id);
        (!post.baseline && !self.facts.posts.comes_silently() && !told).then_some(post.id)
    }

    /// D32: a type 5, and one type 1 for each pair of current and next placement. A placement without a partner has its
    /// own type 1.
    fn full_set(&self, candidates: &mut Vec<Candidate>) {
        if self.is_new_post().is_some() {
            candidates.push(Candidate { row: self.frame.new_post(), identity: None });
        }
        let currents: Vec<Partner<'a>> = self.facts.currents().collect();
        let window = self.facts.today().plus_days(self.facts.min_days)..=self.facts.end_of_window();
        let futures: Vec<Partner<'a>> =
            self.facts.approved.iter().copied().filter(|one| window.contains(&one.placement.date_from)).collect();
        for (current, next) in pair_up(&currents, &futures) {
            self.push(Trigger::FullSet, current, next, candidates);
        }
    }

    /// Whether the placement was exported for a position of this office up to the last run (D34, D14, D1).
    fn exported_before(&self, state: PlacementState<'_>) -> bool {
        let version = state.of_another_person().or(state.now).or(state.reported_version());
        version.is_some_and(|version| self.was_exported(state, version))
    }

    /// The same, for the person of a version.
    fn was_exported(&self, state: PlacementState<'_>, version: &PlacementAtPost) -> bool {
        let exported = state.exports_of(version).any(|export| !export.since_cut && self.holds(export.position_id));
        let told_by_tis = state.remembered_for(version).any(|sent| self.holds(sent.position_id));
        state.history.started_before || exported || told_by_tis
    }

    /// Whether the position is in this office now. It may be deleted.
    fn holds(&self, position_id: PositionId) -> bool {
        self.positions().any(|(id, _)| *id == position_id)
    }

    fn push(
        &self,
        trigger: Trigger,
        current: Option<Partner<'a>>,
        next: Option<Partner<'a>>,
        candidates: &mut Vec<Candidate>,
    ) {
        self.push_at(trigger, current, next, self.facts.today(), candidates);
    }

    fn push_at(
        &self,
        trigger: Trigger,
        current: Option<Partner<'a>>,
        next: Option<Partner<'a>>,
        day: Date,
        candidates: &mut Vec<Candidate>,
    ) {
        let identity =
            Identity { trigger, current: current.map(|current| current.key), next: next.map(|next| next.key) };
        candidates.push(Candidate { row: self.row(trigger, current, next, day), identity: Some(identity) });
    }

    fn row(
        &self,
        trigger: Trigger,
        current: Option<Partner<'a>>,
        next: Option<Partner<'a>>,
        day: Date,
    ) -> Notification {
        let next_is = match (trigger, next) {
            (Trigger::NextBecomesCurrent, Some(next)) => NextTraineeIs::EndedOn(next.placement.date_from.plus_days(-1)),
            _ => NextTraineeIs::Covering(day),
        };
        self.frame.rotation(current.map(|one| one.placement), next.map(|one| one.placement), day, next_is)
    }
}
