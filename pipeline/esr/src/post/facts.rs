//! The facts of a DPN at a notification run, compared with the facts that the last run noted (6.2-6.4, D27, D116).

use tributary_schemas::Date;
use tributary_schemas::records::esr::{NotificationCut, PlacementAtPost};
use tributary_schemas::types::esr::PositionId;

use super::partners::Partner;
use super::state::{PlacementKey, PlacementState, PostsOfDpn, Reported, Subscription};

/// The facts of one DPN at a run.
pub(super) struct Facts<'a> {
    pub(super) cut: &'a NotificationCut,
    pub(super) posts: &'a PostsOfDpn,
    pub(super) subscriptions: Vec<(PositionId, &'a Subscription)>,
    pub(super) placements: Vec<(PlacementKey, PlacementState<'a>)>,
    /// Approved placements that count, in order of start and id.
    pub(super) approved: Vec<Partner<'a>>,
    /// Days from today to the first day of the window (A5).
    pub(super) min_days: i32,
    /// Days from today to the first day after the window (A5).
    pub(super) horizon: i32,
    pub(super) withdrawal_reason: &'a str,
}

/// A change of a placement since the last run.
pub(super) enum Change<'a> {
    Nothing,
    Created(&'a PlacementAtPost),
    Dates {
        old: (Date, Option<Date>),
        now: &'a PlacementAtPost,
    },
    WorkingTime(&'a PlacementAtPost),
    Deleted(&'a PlacementAtPost),
    /// Its post now has another DPN (D27).
    Renumbered(&'a PlacementAtPost),
    /// Its trainee is another person to ESR now (D116).
    OfAnother {
        old: &'a PlacementAtPost,
        now: &'a PlacementAtPost,
    },
}

impl<'a> Facts<'a> {
    pub(super) fn today(&self) -> Date {
        self.cut.today
    }

    pub(super) fn end_of_window(&self) -> Date {
        self.today().plus_days(self.horizon)
    }

    /// Whether another post has become the preferred post since the last run (D13).
    pub(super) fn has_another_post(&self) -> bool {
        match (self.posts.preferred_at_cut, self.posts.preferred_id()) {
            (Some(before), Some(now)) => before != now,
            _ => false,
        }
    }

    pub(super) fn changed(&self) -> impl Iterator<Item = (PlacementKey, PlacementState<'a>)> {
        self.placements.iter().copied()
    }

    pub(super) fn partner(&self, key: PlacementKey) -> Option<Partner<'a>> {
        self.approved.iter().find(|partner| partner.key == key).copied()
    }

    pub(super) fn currents(&self) -> impl Iterator<Item = Partner<'a>> {
        let today = self.today();
        self.approved.iter().copied().filter(move |partner| partner.covers(today))
    }

    /// Placements that start in `[T + 2 days, T + 13 weeks)`.
    pub(super) fn futures(&self) -> impl Iterator<Item = Partner<'a>> {
        let window = self.today().plus_days(self.min_days)..self.end_of_window();
        self.approved.iter().copied().filter(move |partner| window.contains(&partner.placement.date_from))
    }

    /// How a placement has changed since the last run.
    pub(super) fn change(&self, state: PlacementState<'a>) -> Change<'a> {
        let old = match &state.history.reported {
            Reported::Never => {
                let created = state.approved(self.posts).filter(|_| !state.history.baseline);
                return created.map_or(Change::Nothing, Change::Created);
            }
            Reported::Unchanged => return self.unless_renumbered(state, Change::Nothing),
            Reported::Version(old) => old,
        };
        let stood = self.posts.owned_at_cut(old);
        let deleted = if stood { Change::Deleted(old) } else { Change::Nothing };
        let Some(now) = state.now.filter(|now| now.counted) else {
            return self.unless_renumbered(state, deleted);
        };
        if !self.posts.owns(now) {
            let moved = now.post_id != old.post_id;
            return self.unless_renumbered(state, if moved { deleted } else { Change::Nothing });
        }
        if state.of_another_person().is_some() {
            return if stood { Change::OfAnother { old, now } } else { Change::Nothing };
        }
        if !now.approved {
            return Change::Nothing;
        }
        if (old.date_from, old.date_to) != (now.date_from, now.date_to) {
            return Change::Dates { old: (old.date_from, old.date_to), now };
        }
        if old.whole_time_equivalent != now.whole_time_equivalent {
            return Change::WorkingTime(now);
        }
        Change::Nothing
    }

    /// [`Change::Renumbered`] for a placement whose post has taken another DPN: it is withdrawn under the old DPN
    /// (D27). `otherwise` for all other placements, and for a placement that still counts under the old DPN because of
    /// the post that has this DPN now.
    fn unless_renumbered(&self, state: PlacementState<'a>, otherwise: Change<'a>) -> Change<'a> {
        if state.effective(self.posts).is_some() {
            return otherwise;
        }
        let before = self.posts.preferred_at_cut;
        let has_gone = before.is_some_and(|post| self.posts.renumbered_away.contains(&post));
        match state.reported_version() {
            Some(old) if has_gone && self.posts.owned_at_cut(old) => Change::Renumbered(old),
            _ => otherwise,
        }
    }
}
