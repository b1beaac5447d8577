//! The `post` stage, keyed by the folded DPN: reconciliation (R1, R2, R9) and notifications (section 6).
//!
//! Between notification runs it keeps the current facts and the facts that the last run noted, and answers the
//! positions that subscribe. A run (`cut`) compares the two. Notifications therefore follow the facts until they are
//! sent (D31). The order in which the facts arrived makes no difference (D9).

mod continuation;
mod cut;
mod facts;
mod notes;
mod notices;
mod partners;
mod repair;
mod rows;
mod state;

use tributary_flow::framed::unexpected;
use tributary_flow::key;
use tributary_runtime::{Output, ProcessError, Processor, Record, StateStore, Store};
use tributary_schemas::records::esr::{
    PlacementAtPost, PlacementExported, PlacementGone, PositionPlacement, PositionPlacementGone, PositionSubscription,
    PositionUnsubscribed, PostAtNumber, PostGone, PostMatch,
};
use tributary_schemas::types::esr::PositionId;
use tributary_schemas::types::tis::PostId;
use tributary_schemas::{Date, RecordType};

use crate::context::{Context, london_date};
use crate::dpn::{FoldedDpn, FoldedDpnError};
use crate::format::Office;
use crate::topics;
use state::{
    BehindKey, BehindPlacementKey, Cause, DueKey, Export, OfficeKey, OfficeRun, OfficeState, PlacementAtDpn,
    PlacementHistory, PlacementKey, PlacementState, PostEntry, PostsOfDpn, Reported, Sent, SentKey, Subscription,
    SubscriptionKey, without_person,
};

/// The processor of one partition.
pub struct PostStage {
    context: Context,
    partition: i32,
    posts: Store<FoldedDpn, PostsOfDpn>,
    /// The posts of a DPN that none has.
    no_posts: PostsOfDpn,
    subscriptions: Store<SubscriptionKey, Subscription>,
    /// The current placements.
    placements: Store<PlacementAtDpn, PlacementAtPost>,
    /// The history of each placement that is or was at a DPN.
    histories: Store<PlacementAtDpn, PlacementHistory>,
    offices: Store<OfficeKey, OfficeState>,
    sent: Store<SentKey, Sent>,
    /// DPNs with changed facts since the last run.
    changed: Store<FoldedDpn, ()>,
    /// DPNs with a date on which a day tick concerns them (T1a, T1b, T1c).
    due: Store<DueKey, ()>,
    /// Placements that have left since the last run, and that another one may continue (D116).
    leavers: Store<PlacementAtDpn, ()>,
    /// The last run of each office.
    office_runs: Store<Office, OfficeRun>,
    /// The posts of a DPN as of the last run of an office, if other offices had a later run (D118).
    behind_posts: Store<BehindKey, PostsOfDpn>,
    /// The history of a placement as of the last run of an office, if other offices had a later run (D118).
    behind_placements: Store<BehindPlacementKey, PlacementHistory>,
}

impl PostStage {
    /// Creates a task with empty state.
    pub fn new(context: Context, partition: i32) -> Self {
        Self {
            context,
            partition,
            posts: Store::new(0, "posts"),
            no_posts: PostsOfDpn::default(),
            subscriptions: Store::new(1, "subscriptions"),
            placements: Store::new(2, "placements"),
            histories: Store::new(3, "histories"),
            offices: Store::new(4, "offices"),
            sent: Store::new(5, "sent"),
            changed: Store::new(6, "changed"),
            due: Store::new(7, "due"),
            leavers: Store::new(8, "leavers"),
            office_runs: Store::new(9, "office_runs"),
            behind_posts: Store::new(10, "behind_posts"),
            behind_placements: Store::new(11, "behind_placements"),
        }
    }

    fn posts_of(&self, dpn: &FoldedDpn) -> &PostsOfDpn {
        self.posts.get(dpn).unwrap_or(&self.no_posts)
    }

    fn subscriptions_of(&self, dpn: &FoldedDpn) -> impl Iterator<Item = (PositionId, &Subscription)> {
        let key = |position| SubscriptionKey { dpn: dpn.clone(), position: PositionId(position) };
        let subscriptions = self.subscriptions.range(key(i64::MIN)..=key(i64::MAX));
        subscriptions.map(|(key, subscription)| (key.position, subscription))
    }

    fn placements_of(&self, dpn: &FoldedDpn) -> impl Iterator<Item = (PlacementKey, PlacementState<'_>)> {
        let first = PlacementAtDpn { dpn: dpn.clone(), key: PlacementKey::FIRST };
        let last = PlacementAtDpn { dpn: dpn.clone(), key: PlacementKey::LAST };
        let mut placements = self.placements.range(first.clone()..=last.clone()).peekable();
        self.histories.range(first..=last).map(move |(at, history)| {
            // Each placement has a history, so the histories cover all placements.
            let now = placements.next_if(|(of, _)| *of == at).map(|(_, now)| now);
            (at.key, PlacementState { now, history })
        })
    }

    fn placement(&self, at: &PlacementAtDpn) -> Option<PlacementState<'_>> {
        Some(PlacementState { now: self.placements.get(at), history: self.histories.get(at)? })
    }

    fn mark_changed(&mut self, dpn: &FoldedDpn) {
        if self.changed.get(dpn).is_none() {
            self.changed.put(dpn.clone(), ());
        }
    }

    fn post_arrived(&mut self, dpn: &FoldedDpn, arrived: &PostAtNumber, output: &mut Output) {
        let mut state = self.posts_of(dpn).clone();
        let old = state.posts.iter().position(|post| post.id == arrived.post_id).map(|at| state.posts.remove(at));
        state.posts.push(match old {
            Some(old) => PostEntry { status: arrived.status, ..old },
            None => PostEntry {
                id: arrived.post_id,
                status: arrived.status,
                baseline: arrived.baseline,
                renumbered: arrived.renumbered,
                since_cut: true,
            },
        });
        state.renumbered_away.retain(|id| *id != arrived.post_id);
        self.replace_posts(dpn, &state, output);
    }

    fn post_gone(&mut self, dpn: &FoldedDpn, gone: &PostGone, output: &mut Output) {
        let mut state = self.posts_of(dpn).clone();
        state.posts.retain(|post| post.id != gone.post_id);
        if gone.renumbered {
            state.renumbered_away.push(gone.post_id);
        }
        self.replace_posts(dpn, &state, output);
    }

    /// Stores the posts of a DPN. If another post is now the preferred one, positions and placements follow (R6, D13).
    /// Placements that name a post follow it to this DPN, and away from it (D117).
    fn replace_posts(&mut self, dpn: &FoldedDpn, after: &PostsOfDpn, output: &mut Output) {
        let before = self.posts_of(dpn).clone();
        self.posts.put(dpn.clone(), after.clone());
        self.mark_changed(dpn);
        let preferred = after.preferred_id();
        let is_same = before.preferred_id() == preferred;
        let has_same_posts = before.posts.len() == after.posts.len();
        if is_same && has_same_posts {
            return;
        }
        for (position_id, subscription) in self.subscriptions_of(dpn) {
            if !is_same {
                self.answer(position_id, subscription.version, preferred, output);
            }
            if !subscription.live {
                continue;
            }
            for (key, placement) in self.placements_of(dpn) {
                let was_offered = self.is_offered(dpn, key, placement, &before);
                let offered = self.is_offered(dpn, key, placement, after);
                if offered && !(is_same && was_offered) {
                    self.offer(position_id, subscription, key, placement, after, output);
                } else if was_offered && !offered {
                    self.withdraw(position_id, subscription, key, output);
                }
            }
        }
    }

    fn placement_arrived(&mut self, dpn: &FoldedDpn, new: PlacementAtPost, today: Date, output: &mut Output) {
        let key = PlacementKey { placement: new.placement_id, trainee: new.trainee_id };
        let at = PlacementAtDpn { dpn: dpn.clone(), key };
        let posts = self.posts_of(dpn);
        let old = self.placement(&at);
        let was_offered = old.is_some_and(|old| self.is_offered(dpn, key, old, posts));
        let returns = self.leavers.get(&at).is_some();
        let successors = if returns { self.successors(&at, posts) } else { Vec::new() };
        let history = match old {
            Some(old) => {
                let mut history = old.history.clone();
                history.keep_reported(old.now);
                history.left = None;
                history
            }
            None => PlacementHistory {
                baseline: new.baseline,
                started_before: new.baseline && new.date_from < self.first_start(today),
                ..PlacementHistory::default()
            },
        };
        let state = PlacementState { now: Some(&new), history: &history };
        self.follow(dpn, key, state, was_offered, posts, output);
        for date in due_dates(&new, self.horizon()).into_iter().filter(|date| *date >= today) {
            let due = DueKey { date, dpn: dpn.clone() };
            if self.due.get(&due).is_none() {
                self.due.put(due, ());
            }
        }
        self.placements.put(at.clone(), new);
        self.histories.put(at.clone(), history);
        self.mark_changed(dpn);
        if returns {
            self.leavers.delete(at);
            self.offer_again(dpn, successors, output);
        }
    }

    fn placement_gone(&mut self, dpn: &FoldedDpn, gone: &PlacementGone, output: &mut Output) {
        let key = PlacementKey { placement: gone.placement_id, trainee: gone.trainee_id };
        let at = PlacementAtDpn { dpn: dpn.clone(), key };
        let posts = self.posts_of(dpn);
        let Some(old) = self.placement(&at) else { return };
        let was_offered = self.is_offered(dpn, key, old, posts);
        let successors = self.successors(&at, posts);
        let mut history = old.history.clone();
        history.keep_reported(old.now);
        // The exports that TIS remembers may arrive with the record of the move.
        remember_exports(&mut history, gone);
        if let Some(now) = old.now {
            history.left = Some(without_person(now));
        }
        let is_noted = !matches!(history.reported, Reported::Never) || !history.exports.is_empty();
        let state = PlacementState { now: None, history: &history };
        self.follow(dpn, key, state, was_offered, posts, output);
        self.placements.delete(at.clone());
        self.histories.put(at.clone(), history);
        self.change_behind(&at, |history| remember_exports(history, gone));
        self.mark_changed(dpn);
        if is_noted {
            self.leavers.put(at, ());
        }
        self.offer_again(dpn, successors, output);
    }

    /// Offers a placement to the live positions, or withdraws it from them.
    fn follow(
        &self,
        dpn: &FoldedDpn,
        key: PlacementKey,
        placement: PlacementState<'_>,
        was_offered: bool,
        posts: &PostsOfDpn,
        output: &mut Output,
    ) {
        let offered = self.is_offered(dpn, key, placement, posts);
        if !offered && !was_offered {
            return;
        }
        for (position_id, subscription) in self.subscriptions_of(dpn).filter(|(_, one)| one.live) {
            if offered {
                self.offer(position_id, subscription, key, placement, posts, output);
            } else {
                self.withdraw(position_id, subscription, key, output);
            }
        }
    }

    fn subscribed(&mut self, dpn: &FoldedDpn, new: PositionSubscription, today: Date, output: &mut Output) {
        let key = SubscriptionKey { dpn: dpn.clone(), position: new.position_id };
        let cause = cause_of(&new);
        let live_at_cut = self.subscriptions.get(&key).and_then(|old| old.live_at_cut);
        let subscription =
            Subscription { version: new.version, office: new.office, live: new.live, dpn: new.dpn, cause, live_at_cut };
        let posts = self.posts_of(dpn);
        self.answer(new.position_id, new.version, posts.preferred_id(), output);
        if subscription.live {
            let asked_for = |placement: &PlacementAtPost| {
                placement.date_to.is_none_or(|end| end >= today) || new.waiting.contains(&placement.placement_id)
            };
            for (placement_key, placement) in self.placements_of(dpn) {
                let offered = self.is_offered(dpn, placement_key, placement, posts);
                if offered && placement.now.is_some_and(asked_for) {
                    self.offer(new.position_id, &subscription, placement_key, placement, posts, output);
                }
            }
        }
        self.subscriptions.put(key, subscription);
        self.mark_changed(dpn);
    }

    fn unsubscribed(&mut self, dpn: &FoldedDpn, gone: &PositionUnsubscribed) {
        let key = SubscriptionKey { dpn: dpn.clone(), position: gone.position_id };
        if self.subscriptions.get(&key).is_some_and(|subscription| subscription.version < gone.version) {
            self.subscriptions.delete(key);
            self.mark_changed(dpn);
        }
    }

    fn exported(&mut self, dpn: &FoldedDpn, exported: PlacementExported) {
        let key = PlacementKey { placement: exported.placement_id, trainee: exported.trainee_id };
        let at = PlacementAtDpn { dpn: dpn.clone(), key };
        // An export may arrive before its placement.
        let mut history = self.histories.get(&at).cloned().unwrap_or_default();
        // A position reports its earlier exports before it subscribes, so an export after the subscription is new.
        let subscription = SubscriptionKey { dpn: dpn.clone(), position: exported.position_id };
        let since_cut = self.subscriptions.get(&subscription).is_some();
        let PlacementExported { position_id, date_from, date_to, file_name, gmc_number, gdc_number, .. } = exported;
        let export = Export { position_id, date_from, date_to, since_cut, file_name, gmc_number, gdc_number };
        history.add_export(export.clone());
        self.histories.put(at.clone(), history);
        // The next run notes the export.
        self.mark_changed(dpn);
        self.change_behind(&at, |history| history.add_export(export.clone()));
    }

    fn answer(&self, position_id: PositionId, version: i64, post_id: Option<PostId>, output: &mut Output) {
        let matched = PostMatch { version, post_id };
        self.context.send(output, &topics::POSITION_INBOX, &position_id.0.to_be_bytes(), &matched);
    }

    fn offer(
        &self,
        position_id: PositionId,
        subscription: &Subscription,
        key: PlacementKey,
        placement: PlacementState<'_>,
        posts: &PostsOfDpn,
        output: &mut Output,
    ) {
        let Some(now) = placement.now else { return };
        let dpn = FoldedDpn::of(&subscription.dpn);
        let sent_before = self.sent_before(position_id, subscription.office, &dpn, key, placement, posts);
        let offered = PositionPlacement {
            version: subscription.version,
            placement_id: key.placement,
            trainee_id: key.trainee,
            date_from: now.date_from,
            date_to: now.date_to,
            last_name: now.last_name.clone(),
            first_name: now.first_name.clone(),
            gmc_number: now.gmc_number.clone(),
            sent_before,
            person: now.person.clone(),
        };
        self.context.send(output, &topics::POSITION_INBOX, &position_id.0.to_be_bytes(), &offered);
    }

    /// The file in which the placement was sent for this position before: as TIS remembers (D14), or as the placement
    /// that it continues (D116). Empty if the file is not known.
    fn sent_before(
        &self,
        position: PositionId,
        office: Office,
        dpn: &FoldedDpn,
        key: PlacementKey,
        placement: PlacementState<'_>,
        posts: &PostsOfDpn,
    ) -> Option<String> {
        let now = placement.now?;
        let remembered = placement.remembered_for(now).find(|sent| sent.position_id == position);
        if let Some(remembered) = remembered {
            return Some(remembered.file_name.clone());
        }
        let export = placement.exports_of(now).find(|export| export.position_id == position);
        if let Some(export) = export {
            return Some(export.file_name.clone());
        }
        self.predecessor(Some(office), dpn, key, placement, posts)?.file_of(position)
    }

    /// Whether a placement is offered to positions, because it can become applicant records (A7, A8, D1, D26).
    fn is_offered(
        &self,
        dpn: &FoldedDpn,
        key: PlacementKey,
        placement: PlacementState<'_>,
        posts: &PostsOfDpn,
    ) -> bool {
        let had_started = || {
            let own = placement.history.started_before && placement.of_another_person().is_none();
            let of_another = || self.predecessor(None, dpn, key, placement, posts);
            own || of_another().is_some_and(|before| before.history.started_before)
        };
        placement.approved(posts).is_some() && !had_started()
    }

    fn withdraw(&self, position_id: PositionId, subscription: &Subscription, key: PlacementKey, output: &mut Output) {
        let gone = PositionPlacementGone {
            version: subscription.version,
            placement_id: key.placement,
            trainee_id: key.trainee,
        };
        self.context.send(output, &topics::POSITION_INBOX, &position_id.0.to_be_bytes(), &gone);
    }

    /// Days from today to the end of the window, thirteen weeks by default (A5).
    fn horizon(&self) -> i32 {
        self.context.window().end
    }

    /// The first start date that an applicant record can have (A5).
    fn first_start(&self, today: Date) -> Date {
        today.plus_days(self.context.window().start)
    }
}

/// The line that made a position live. `None` if it was never live.
fn cause_of(subscription: &PositionSubscription) -> Option<Cause> {
    let PositionSubscription { cause_file, cause_line, cause_moved, .. } = subscription;
    cause_file.map(|file| Cause { file, line: *cause_line, moved: *cause_moved })
}

/// The DPN of a record, which is its key.
fn dpn_of(record: &Record<'_>) -> Result<FoldedDpn, ProcessError> {
    key::text(record)?
        .parse()
        .map_err(|error: FoldedDpnError| ProcessError::dead_letter("key-not-a-dpn", error.to_string()))
}

/// Keeps the exports that TIS remembered at the end (D14).
fn remember_exports(history: &mut PlacementHistory, gone: &PlacementGone) {
    if let Reported::Version(version) = &mut history.reported {
        version.sent_before.clone_from(&gone.sent_before);
    }
}

/// Dates on which a day tick concerns a placement: its start (T1a), thirteen weeks before its start (T1b), and the day
/// after its end (T1a, T1c).
fn due_dates(placement: &PlacementAtPost, horizon: i32) -> Vec<Date> {
    let mut dates = vec![placement.date_from, placement.date_from.plus_days(-horizon)];
    dates.extend(placement.date_to.map(|end| end.plus_days(1)));
    dates
}

impl Processor for PostStage {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let framed = self.context.open(record)?;
        if framed.record_type() == RecordType::EsrNotificationCut {
            self.cut(&framed.read()?, output);
            return Ok(());
        }
        let today = london_date(record.timestamp)?;
        if framed.record_type() == RecordType::EsrRunsForgotten {
            return self.repair(&framed.read()?, today, output);
        }
        let dpn = &dpn_of(record)?;
        match framed.record_type() {
            RecordType::EsrPostAtNumber => self.post_arrived(dpn, &framed.read()?, output),
            RecordType::EsrPostGone => self.post_gone(dpn, &framed.read()?, output),
            RecordType::EsrPlacementAtPost => {
                self.placement_arrived(dpn, framed.read()?, today, output);
            }
            RecordType::EsrPlacementGone => self.placement_gone(dpn, &framed.read()?, output),
            RecordType::EsrPositionSubscription => {
                self.subscribed(dpn, framed.read()?, today, output);
            }
            RecordType::EsrPositionUnsubscribed => self.unsubscribed(dpn, &framed.read()?),
            RecordType::EsrPlacementExported => self.exported(dpn, framed.read()?),
            _ => return Err(unexpected(&framed)),
        }
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![
            &mut self.posts,
            &mut self.subscriptions,
            &mut self.placements,
            &mut self.histories,
            &mut self.offices,
            &mut self.sent,
            &mut self.changed,
            &mut self.due,
            &mut self.leavers,
            &mut self.office_runs,
            &mut self.behind_posts,
            &mut self.behind_placements,
        ]
    }
}

#[cfg(test)]
mod tests;
