//! The `post` stage, keyed by the folded DPN: reconciliation (R1, R2, R9) and notifications (section 6).
//!
//! Between notification runs it keeps the current facts and the facts that the last run noted, and answers the
//! positions that subscribe. A run (`cut`) compares the two. Notifications therefore follow the facts until they are
//! sent (D31). The order in which the facts arrived makes no difference (D9).

mod cut;
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
use crate::topics;
use state::{
    Cause, DueKey, Export, OfficeKey, OfficeState, PlacementAtDpn, PlacementHistory, PlacementKey, PlacementState,
    PostEntry, PostsOfDpn, Reported, Sent, SentKey, Subscription, SubscriptionKey,
};

/// The processor of one partition.
pub struct PostStage {
    context: Context,
    partition: i32,
    posts: Store<FoldedDpn, PostsOfDpn>,
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
}

impl PostStage {
    /// Creates a task with empty state.
    pub fn new(context: Context, partition: i32) -> Self {
        Self {
            context,
            partition,
            posts: Store::new(0, "posts"),
            subscriptions: Store::new(1, "subscriptions"),
            placements: Store::new(2, "placements"),
            histories: Store::new(3, "histories"),
            offices: Store::new(4, "offices"),
            sent: Store::new(5, "sent"),
            changed: Store::new(6, "changed"),
            due: Store::new(7, "due"),
        }
    }

    fn posts_of(&self, dpn: &FoldedDpn) -> PostsOfDpn {
        self.posts.get(dpn).cloned().unwrap_or_default()
    }

    fn preferred(&self, dpn: &FoldedDpn) -> Option<PostId> {
        self.posts.get(dpn).and_then(PostsOfDpn::preferred_id)
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
        let mut state = self.posts_of(dpn);
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
        self.replace_posts(dpn, state, output);
    }

    fn post_gone(&mut self, dpn: &FoldedDpn, gone: &PostGone, output: &mut Output) {
        let mut state = self.posts_of(dpn);
        state.posts.retain(|post| post.id != gone.post_id);
        if gone.renumbered {
            state.renumbered_away.push(gone.post_id);
        }
        self.replace_posts(dpn, state, output);
    }

    /// Stores the posts of a DPN. If another post is now the preferred one, positions and placements follow (R6, D13).
    fn replace_posts(&mut self, dpn: &FoldedDpn, state: PostsOfDpn, output: &mut Output) {
        let (before, after) = (self.preferred(dpn), state.preferred_id());
        self.posts.put(dpn.clone(), state);
        self.mark_changed(dpn);
        if before == after {
            return;
        }
        for (position_id, subscription) in self.subscriptions_of(dpn) {
            self.answer(position_id, subscription.version, after, output);
            if !subscription.live {
                continue;
            }
            for (key, placement) in self.placements_of(dpn) {
                let offered = |preferred| placement.approved(preferred).is_some() && !placement.history.started_before;
                if offered(after) {
                    self.offer(position_id, subscription, key, placement, output);
                } else if offered(before) {
                    self.withdraw(position_id, subscription, key, output);
                }
            }
        }
    }

    fn placement_arrived(&mut self, dpn: &FoldedDpn, new: PlacementAtPost, today: Date, output: &mut Output) {
        let key = PlacementKey { placement: new.placement_id, trainee: new.trainee_id };
        let at = PlacementAtDpn { dpn: dpn.clone(), key };
        let preferred = self.preferred(dpn);
        let old = self.placement(&at);
        let was_offered = old.is_some_and(|old| is_offered(old, preferred));
        let history = match old {
            Some(old) => {
                let mut history = old.history.clone();
                history.keep_reported(old.now);
                history
            }
            None => PlacementHistory {
                baseline: new.baseline,
                started_before: new.baseline && new.date_from < self.first_start(today),
                ..PlacementHistory::default()
            },
        };
        for date in due_dates(&new, self.horizon()).into_iter().filter(|date| *date >= today) {
            let due = DueKey { date, dpn: dpn.clone() };
            if self.due.get(&due).is_none() {
                self.due.put(due, ());
            }
        }
        let state = PlacementState { now: Some(&new), history: &history };
        self.follow(dpn, key, state, was_offered, preferred, output);
        self.placements.put(at.clone(), new);
        self.histories.put(at, history);
        self.mark_changed(dpn);
    }

    fn placement_gone(&mut self, dpn: &FoldedDpn, gone: PlacementGone, output: &mut Output) {
        let key = PlacementKey { placement: gone.placement_id, trainee: gone.trainee_id };
        let at = PlacementAtDpn { dpn: dpn.clone(), key };
        let preferred = self.preferred(dpn);
        let Some(old) = self.placement(&at) else { return };
        let was_offered = is_offered(old, preferred);
        let mut history = old.history.clone();
        history.keep_reported(old.now);
        if let Reported::Version(version) = &mut history.reported {
            // The exports that TIS remembers may arrive with the record of the move.
            version.sent_before = gone.sent_before;
        }
        let state = PlacementState { now: None, history: &history };
        self.follow(dpn, key, state, was_offered, preferred, output);
        self.placements.delete(at.clone());
        self.histories.put(at, history);
        self.mark_changed(dpn);
    }

    /// Offers a placement to the live positions, or withdraws it from them.
    fn follow(
        &self,
        dpn: &FoldedDpn,
        key: PlacementKey,
        placement: PlacementState<'_>,
        was_offered: bool,
        preferred: Option<PostId>,
        output: &mut Output,
    ) {
        let offered = is_offered(placement, preferred);
        if !offered && !was_offered {
            return;
        }
        for (position_id, subscription) in self.subscriptions_of(dpn).filter(|(_, one)| one.live) {
            if offered {
                self.offer(position_id, subscription, key, placement, output);
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
        let preferred = self.preferred(dpn);
        self.answer(new.position_id, new.version, preferred, output);
        if subscription.live {
            let asked_for = |placement: &PlacementAtPost| {
                placement.date_to.is_none_or(|end| end >= today) || new.waiting.contains(&placement.placement_id)
            };
            for (placement_key, placement) in self.placements_of(dpn) {
                if is_offered(placement, preferred) && placement.now.is_some_and(asked_for) {
                    self.offer(new.position_id, &subscription, placement_key, placement, output);
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

    fn exported(&mut self, dpn: &FoldedDpn, exported: &PlacementExported) {
        let key = PlacementKey { placement: exported.placement_id, trainee: exported.trainee_id };
        let at = PlacementAtDpn { dpn: dpn.clone(), key };
        // An export may arrive before its placement.
        let mut history = self.histories.get(&at).cloned().unwrap_or_default();
        if history.exports.iter().any(|export| export.position_id == exported.position_id) {
            return;
        }
        // A position reports its earlier exports before it subscribes, so an export after the subscription is new.
        let subscription = SubscriptionKey { dpn: dpn.clone(), position: exported.position_id };
        let since_cut = self.subscriptions.get(&subscription).is_some();
        history.exports.push(Export {
            position_id: exported.position_id,
            date_from: exported.date_from,
            date_to: exported.date_to,
            since_cut,
        });
        self.histories.put(at, history);
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
        output: &mut Output,
    ) {
        let Some(now) = placement.now else { return };
        let sent_before = now.sent_before.iter().find(|sent| sent.position_id == position_id);
        let offered = PositionPlacement {
            version: subscription.version,
            placement_id: key.placement,
            trainee_id: key.trainee,
            date_from: now.date_from,
            date_to: now.date_to,
            last_name: now.last_name.clone(),
            first_name: now.first_name.clone(),
            gmc_number: now.gmc_number.clone(),
            sent_before: sent_before.map(|sent| sent.file_name.clone()),
            person: now.person.clone(),
        };
        self.context.send(output, &topics::POSITION_INBOX, &position_id.0.to_be_bytes(), &offered);
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

/// Whether a placement is offered to positions, because it can become applicant records (A7, A8, D1, D26).
fn is_offered(placement: PlacementState<'_>, preferred: Option<PostId>) -> bool {
    placement.approved(preferred).is_some() && !placement.history.started_before
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
            RecordType::EsrPlacementGone => self.placement_gone(dpn, framed.read()?, output),
            RecordType::EsrPositionSubscription => {
                self.subscribed(dpn, framed.read()?, today, output);
            }
            RecordType::EsrPositionUnsubscribed => self.unsubscribed(dpn, &framed.read()?),
            RecordType::EsrPlacementExported => self.exported(dpn, &framed.read()?),
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
        ]
    }
}

#[cfg(test)]
mod tests;
