//! The `post` stage, keyed by the folded DPN: reconciliation (R1, R2, R9) and notifications (section 6).
//!
//! Between notification runs it keeps the facts, answers the positions that subscribe, and remembers what the last run
//! took note of. At a run (`cut`) it compares the two. Notifications therefore follow the facts until they are sent
//! (D31), in whatever order the facts came (D9).

mod cut;
mod notices;
mod partners;
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
use tributary_schemas::types::tis::{PersonId, PlacementId, PostId};
use tributary_schemas::{Date, RecordType};

use crate::context::{Context, london_date};
use crate::format::FileName;
use crate::format::name::FileNameError;
use crate::topics;
use state::{
    Cause, Export, Identity, Number, OfficeState, PlacementHistory, PlacementKey, PlacementState, PostEntry,
    PostNumber, Reported, Sent, Subscription,
};

/// The processor of one partition.
pub struct Posts {
    context: Context,
    partition: i32,
    numbers: Store<Number, PostNumber>,
    subscriptions: Store<(Number, PositionId), Subscription>,
    /// Placements as they are now.
    placements: Store<(Number, PlacementId, PersonId), PlacementAtPost>,
    /// Of each placement that is or was here.
    histories: Store<(Number, PlacementId, PersonId), PlacementHistory>,
    offices: Store<(Number, String), OfficeState>,
    sent: Store<(Number, String, Identity), Sent>,
    /// Numbers about which something has changed since the last run.
    changed: Store<Number, ()>,
    /// Numbers at which a date falls due (T1a, T1b, T1c).
    due: Store<(Date, Number), ()>,
}

impl Posts {
    /// A task without state yet.
    pub fn new(context: Context, partition: i32) -> Self {
        Self {
            context,
            partition,
            numbers: Store::new(),
            subscriptions: Store::new(),
            placements: Store::new(),
            histories: Store::new(),
            offices: Store::new(),
            sent: Store::new(),
            changed: Store::new(),
            due: Store::new(),
        }
    }

    fn number(&self, number: &str) -> PostNumber {
        self.numbers.get(number).cloned().unwrap_or_default()
    }

    fn preferred(&self, number: &str) -> Option<PostId> {
        self.numbers.get(number).and_then(PostNumber::preferred_id)
    }

    fn subscriptions_of(&self, number: &str) -> impl Iterator<Item = (PositionId, &Subscription)> {
        let first = (number.to_owned(), PositionId(i64::MIN));
        let last = (number.to_owned(), PositionId(i64::MAX));
        self.subscriptions.range(first..=last).map(|((_, id), subscription)| (*id, subscription))
    }

    fn placements_of(&self, number: &str) -> impl Iterator<Item = (PlacementKey, PlacementState<'_>)> {
        let first = (number.to_owned(), PlacementId(i64::MIN), PersonId(i64::MIN));
        let last = (number.to_owned(), PlacementId(i64::MAX), PersonId(i64::MAX));
        let mut placements = self.placements.range(first.clone()..=last.clone()).peekable();
        self.histories.range(first..=last).map(move |(key, history)| {
            // Each placement has a history.
            let now = placements.next_if(|(of, _)| *of == key).map(|(_, now)| now);
            ((key.1, key.2), PlacementState { now, history })
        })
    }

    fn placement(&self, key: &(Number, PlacementId, PersonId)) -> Option<PlacementState<'_>> {
        Some(PlacementState { now: self.placements.get(key), history: self.histories.get(key)? })
    }

    fn mark_changed(&mut self, number: &str) {
        if self.changed.get(number).is_none() {
            self.changed.put(number.to_owned(), ());
        }
    }

    fn post_arrived(&mut self, number: &str, arrived: &PostAtNumber, output: &mut Output) {
        let mut state = self.number(number);
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
        self.replace_number(number, state, output);
    }

    fn post_gone(&mut self, number: &str, gone: &PostGone, output: &mut Output) {
        let mut state = self.number(number);
        state.posts.retain(|post| post.id != gone.post_id);
        if gone.renumbered {
            state.renumbered_away.push(gone.post_id);
        }
        self.replace_number(number, state, output);
    }

    /// Stores the posts of a number; when another post counts now, positions and placements follow (R6, D13).
    fn replace_number(&mut self, number: &str, state: PostNumber, output: &mut Output) {
        let (before, after) = (self.preferred(number), state.preferred_id());
        self.numbers.put(number.to_owned(), state);
        self.mark_changed(number);
        if before == after {
            return;
        }
        for (position_id, subscription) in self.subscriptions_of(number) {
            self.answer(position_id, subscription.version, after, output);
            if !subscription.live {
                continue;
            }
            for (key, placement) in self.placements_of(number) {
                let offered = |preferred| placement.approved(preferred).is_some() && !placement.history.started_before;
                if offered(after) {
                    self.offer(position_id, subscription, key, placement, output);
                } else if offered(before) {
                    self.withdraw(position_id, subscription, key, output);
                }
            }
        }
    }

    fn placement_arrived(&mut self, number: &str, new: PlacementAtPost, today: Date, output: &mut Output) {
        let key = (number.to_owned(), new.placement_id, new.trainee_id);
        let preferred = self.preferred(number);
        let old = self.placement(&key);
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
        for due in due_dates(&new, self.horizon()).into_iter().filter(|due| *due >= today) {
            if self.due.get(&(due, number.to_owned())).is_none() {
                self.due.put((due, number.to_owned()), ());
            }
        }
        let state = PlacementState { now: Some(&new), history: &history };
        self.follow(number, (key.1, key.2), state, was_offered, preferred, output);
        self.placements.put(key.clone(), new);
        self.histories.put(key, history);
        self.mark_changed(number);
    }

    fn placement_gone(&mut self, number: &str, gone: PlacementGone, output: &mut Output) {
        let key = (number.to_owned(), gone.placement_id, gone.trainee_id);
        let preferred = self.preferred(number);
        let Some(old) = self.placement(&key) else { return };
        let was_offered = is_offered(old, preferred);
        let mut history = old.history.clone();
        history.keep_reported(old.now);
        if let Reported::Version(version) = &mut history.reported {
            // What TIS remembers may have come with the move.
            version.sent_before = gone.sent_before;
        }
        let state = PlacementState { now: None, history: &history };
        self.follow(number, (key.1, key.2), state, was_offered, preferred, output);
        self.placements.delete(key.clone());
        self.histories.put(key, history);
        self.mark_changed(number);
    }

    /// Tells the live positions what a placement is to them now.
    fn follow(
        &self,
        number: &str,
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
        for (position_id, subscription) in self.subscriptions_of(number).filter(|(_, one)| one.live) {
            if offered {
                self.offer(position_id, subscription, key, placement, output);
            } else {
                self.withdraw(position_id, subscription, key, output);
            }
        }
    }

    fn subscribed(
        &mut self,
        number: &str,
        new: PositionSubscription,
        today: Date,
        output: &mut Output,
    ) -> Result<(), ProcessError> {
        let key = (number.to_owned(), new.position_id);
        let cause = cause_of(&new)?;
        let live_at_cut = self.subscriptions.get(&key).and_then(|old| old.live_at_cut.clone());
        let subscription = Subscription {
            version: new.version,
            office: new.office,
            live: new.live,
            deanery_number: new.deanery_number,
            cause,
            live_at_cut,
        };
        let preferred = self.preferred(number);
        self.answer(new.position_id, new.version, preferred, output);
        if subscription.live {
            let asked_for = |placement: &PlacementAtPost| {
                placement.date_to.is_none_or(|end| end >= today) || new.waiting.contains(&placement.placement_id)
            };
            for (placement_key, placement) in self.placements_of(number) {
                if is_offered(placement, preferred) && placement.now.is_some_and(asked_for) {
                    self.offer(new.position_id, &subscription, placement_key, placement, output);
                }
            }
        }
        self.subscriptions.put(key, subscription);
        self.mark_changed(number);
        Ok(())
    }

    fn unsubscribed(&mut self, number: &str, gone: &PositionUnsubscribed) {
        let key = (number.to_owned(), gone.position_id);
        if self.subscriptions.get(&key).is_some_and(|subscription| subscription.version < gone.version) {
            self.subscriptions.delete(key);
            self.mark_changed(number);
        }
    }

    fn exported(&mut self, number: &str, exported: &PlacementExported) {
        let key = (number.to_owned(), exported.placement_id, exported.trainee_id);
        // The placement may come after what is known of its exports.
        let mut history = self.histories.get(&key).cloned().unwrap_or_default();
        if history.exports.iter().any(|export| export.position_id == exported.position_id) {
            return;
        }
        // A position tells its earlier exports before it subscribes.
        let since_cut = self.subscriptions.get(&(number.to_owned(), exported.position_id)).is_some();
        history.exports.push(Export {
            position_id: exported.position_id,
            date_from: exported.date_from,
            date_to: exported.date_to,
            since_cut,
        });
        self.histories.put(key, history);
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
            placement_id: key.0,
            trainee_id: key.1,
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
        let gone = PositionPlacementGone { version: subscription.version, placement_id: key.0, trainee_id: key.1 };
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

/// The line that made a position live; none when it never was.
fn cause_of(subscription: &PositionSubscription) -> Result<Option<Cause>, ProcessError> {
    if subscription.cause_file.is_empty() {
        return Ok(None);
    }
    let file: FileName = subscription
        .cause_file
        .parse()
        .map_err(|error: FileNameError| ProcessError::dead_letter("not-a-file-name", error.to_string()))?;
    Ok(Some(Cause { file, line: subscription.cause_line, moved: subscription.cause_moved }))
}

/// Whether positions hear of a placement: it can give applicant records (A7, A8, D1, D26).
fn is_offered(placement: PlacementState<'_>, preferred: Option<PostId>) -> bool {
    placement.approved(preferred).is_some() && !placement.history.started_before
}

/// Dates on which a day tick concerns a placement: its start (T1a), thirteen weeks before (T1b), the day after its end
/// (T1a, T1c).
fn due_dates(placement: &PlacementAtPost, horizon: i32) -> Vec<Date> {
    let mut dates = vec![placement.date_from, placement.date_from.plus_days(-horizon)];
    dates.extend(placement.date_to.map(|end| end.plus_days(1)));
    dates
}

impl Processor for Posts {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let framed = self.context.open(record)?;
        if framed.record_type() == RecordType::EsrNotificationCut {
            self.cut(&framed.read()?, output);
            return Ok(());
        }
        let number = key::text(record)?;
        let today = london_date(record.timestamp)?;
        match framed.record_type() {
            RecordType::EsrPostAtNumber => self.post_arrived(number, &framed.read()?, output),
            RecordType::EsrPostGone => self.post_gone(number, &framed.read()?, output),
            RecordType::EsrPlacementAtPost => {
                self.placement_arrived(number, framed.read()?, today, output);
            }
            RecordType::EsrPlacementGone => self.placement_gone(number, framed.read()?, output),
            RecordType::EsrPositionSubscription => {
                self.subscribed(number, framed.read()?, today, output)?;
            }
            RecordType::EsrPositionUnsubscribed => self.unsubscribed(number, &framed.read()?),
            RecordType::EsrPlacementExported => self.exported(number, &framed.read()?),
            _ => return Err(unexpected(&framed)),
        }
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![
            &mut self.numbers,
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
