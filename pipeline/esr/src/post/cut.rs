//! A notification run at one partition. For each DPN that has changed or is due, it decides about rows, sends them, and
//! notes the facts for the next run.

use std::collections::{BTreeMap, BTreeSet};

use tributary_runtime::Output;
use tributary_schemas::records::esr::{Notification, NotificationCut, NotificationCutDone};
use tributary_schemas::records::tributary::Severity;
use tributary_schemas::types::esr::NotificationType;
use tributary_schemas::types::tis::Dpn;

use super::PostStage;
use super::facts::Facts;
use super::notes::{View, put_if_changed};
use super::notices::{Candidate, OfficeFacts};
use super::partners::Partner;
use super::rows::Frame;
use super::state::{
    BehindKey, DueKey, Identity, OfficeKey, OfficeRun, OfficeState, PlacementKey, PlacementState, Reported, Sent,
    SentKey, Trigger,
};
use crate::digests::notification_digest;
use crate::dpn::FoldedDpn;
use crate::format::Office;
use crate::topics;

/// The decision about one DPN and one office.
struct Decision {
    office: Office,
    rows: Vec<Notification>,
    /// Rows that were sent about a placement which another one continues: the old and the new identity.
    renamed: Vec<(Identity, Identity, Sent)>,
    sent: Vec<(Identity, Sent)>,
    state: OfficeState,
}

impl PostStage {
    /// Does a run: sends its rows, and then the record that this partition has sent all of them.
    pub(super) fn cut(&mut self, cut: &NotificationCut, output: &mut Output) {
        // Nothing is kept for an office that is not configured any more: it has no next run.
        let configured = &self.context.settings.configuration.offices;
        let has_a_next_run = |one: &Office| !cut.offices.contains(one) && configured.contains_key(one);
        let others: Vec<Office> = self.office_runs.iter().map(|(office, _)| *office).filter(has_a_next_run).collect();
        for dpn in self.concerned_by(cut) {
            self.cut_dpn(&dpn, cut, &others, output);
        }
        self.forget_due(cut, &others);
        let changed: Vec<FoldedDpn> = self.changed.iter().map(|(dpn, ())| dpn.clone()).collect();
        for dpn in changed {
            self.changed.delete(dpn);
        }
        for office in &cut.offices {
            put_if_changed(&mut self.office_runs, *office, OfficeRun { today: cut.today });
        }
        let done = NotificationCutDone {
            run: cut.run,
            partition: self.partition,
            partitions: output.partition_count(&topics::POST),
        };
        let key = format!("run/{}/{}", cut.run, self.partition);
        output.broadcast(&topics::EXPORTS, key.as_bytes(), |buffer| self.context.write(&done, buffer));
    }

    /// DPNs with a day tick in this run, with facts that have changed, or about which an office of this run is behind.
    fn concerned_by(&self, cut: &NotificationCut) -> BTreeSet<FoldedDpn> {
        let at = |date| DueKey { date, dpn: FoldedDpn::default() };
        let first = cut.ticks.first().copied().unwrap_or(cut.today);
        let due = self.due.range(at(first)..at(cut.today.plus_days(1))).map(|(key, ())| &key.dpn);
        let changed = self.changed.iter().map(|(dpn, ())| dpn);
        let behind = cut.offices.iter().flat_map(|office| {
            let first = BehindKey { office: *office, dpn: FoldedDpn::default() };
            let of_office = self.behind_posts.range(first..).take_while(|(key, _)| key.office == *office);
            of_office.map(|(key, _)| &key.dpn)
        });
        due.chain(changed).chain(behind).cloned().collect()
    }

    /// Dates of today stay due: a second run on a day ticks again (D36). So do dates after the last run of an office
    /// that has no run now (D118).
    fn forget_due(&mut self, cut: &NotificationCut, others: &[Office]) {
        let last_runs = others.iter().filter_map(|office| self.office_runs.get(office)).map(|run| run.today);
        let needed = last_runs.min().map_or(cut.today, |last| last.plus_days(1).min(cut.today));
        let needed = DueKey { date: needed, dpn: FoldedDpn::default() };
        let past: Vec<DueKey> = self.due.range(..needed).map(|(key, ())| key.clone()).collect();
        for key in past {
            self.due.delete(key);
        }
    }

    fn cut_dpn(&mut self, dpn: &FoldedDpn, cut: &NotificationCut, others: &[Office], output: &mut Output) {
        let view = self.view(dpn, None);
        self.warn_about_posts(dpn, &view, output);
        let decisions = self.decide(dpn, &view, cut);
        let notes = Self::notes(&view);
        let posts = view.posts;
        for decision in decisions {
            self.carry_out(dpn, cut, decision, output);
        }
        self.keep_for(others, dpn, &posts, &notes);
        self.take_note(dpn, posts, notes, cut, others);
    }

    fn carry_out(&mut self, dpn: &FoldedDpn, cut: &NotificationCut, decision: Decision, output: &mut Output) {
        let Decision { office, rows, renamed, sent, state } = decision;
        for (at, row) in rows.iter().enumerate() {
            let key = format!("{office}/notification/{}/{}/{}", cut.run, dpn, at);
            self.context.send_export(output, office, &key, row);
        }
        let key = |identity| SentKey { dpn: dpn.clone(), office, identity };
        for (old, new, sent) in renamed {
            self.sent.delete(key(old));
            self.sent.put(key(new), sent);
        }
        for (identity, sent) in sent {
            self.sent.put(key(identity), sent);
        }
        put_if_changed(&mut self.offices, OfficeKey { dpn: dpn.clone(), office }, state);
    }

    fn decide(&self, dpn: &FoldedDpn, shared: &View<'_>, cut: &NotificationCut) -> Vec<Decision> {
        let mut decisions = Vec::new();
        let concerned = self.offices_of(dpn);
        for office in cut.offices.iter().copied().filter(|office| concerned.contains(office)) {
            let is_behind = self.behind_posts.get(&BehindKey { office, dpn: dpn.clone() }).is_some();
            let own = is_behind.then(|| self.view(dpn, Some(office)));
            let view = own.as_ref().unwrap_or(shared);
            decisions.push(self.decide_office(dpn, office, view, &self.facts(dpn, view, cut)));
        }
        decisions
    }

    /// The offices that have a position at a DPN, or to which it was reported.
    fn offices_of(&self, dpn: &FoldedDpn) -> Vec<Office> {
        let of_dpn = self.offices.range(OfficeKey { dpn: dpn.clone(), office: Office::FIRST }..);
        let reported = of_dpn.take_while(|(key, _)| key.dpn == *dpn).map(|(key, _)| key.office);
        reported.chain(self.subscriptions_of(dpn).map(|(_, one)| one.office)).collect()
    }

    fn facts<'a>(&'a self, dpn: &FoldedDpn, view: &'a View<'_>, cut: &'a NotificationCut) -> Facts<'a> {
        let placements: Vec<_> = view.placements().collect();
        let approved = |(key, state): &(PlacementKey, PlacementState<'a>)| {
            state.approved(&view.posts).map(|placement| Partner { key: *key, placement })
        };
        let mut approved: Vec<Partner<'_>> = placements.iter().filter_map(approved).collect();
        approved.sort_by_key(|partner| (partner.placement.date_from, partner.key));
        Facts {
            cut,
            posts: &view.posts,
            subscriptions: self.subscriptions_of(dpn).collect(),
            placements,
            approved,
            min_days: self.context.window().start,
            horizon: self.horizon(),
            withdrawal_reason: &self.context.settings.configuration.notifications.withdrawal_reason,
        }
    }

    fn decide_office(&self, dpn: &FoldedDpn, name: Office, view: &View<'_>, facts: &Facts<'_>) -> Decision {
        let key = OfficeKey { dpn: dpn.clone(), office: name };
        let state = self.offices.get(&key).cloned().unwrap_or_default();
        let written = dpn_as_written(facts, name, dpn);
        let frame = Frame { run: facts.cut.run, office: name, dpn: &written, horizon: facts.horizon };
        let stored: Vec<(Identity, Sent)> = self.sent_of(dpn, name).collect();
        let (sent_before, renamed) = rename(stored, view);
        let sent = sent_before.iter().map(|(identity, sent)| (*identity, sent.digest)).collect();
        let office = OfficeFacts { facts, frame, state: &state, sent };
        let candidates = office.candidates();
        let reconciled = office.is_reconciled();
        let mut new_state = OfficeState { reconciled, ..state.clone() };
        if candidates.iter().any(|candidate| candidate.row.notification_type == NotificationType::NewPost) {
            new_state.new_post_sent.extend(office.is_new_post());
        }
        if (state.reconciled && (!reconciled || facts.has_another_post())) || candidates.iter().any(lifts) {
            new_state.lifted_at = facts.cut.run;
        }
        let (rows, sent) = not_sent_before(candidates, &sent_before, new_state.lifted_at, facts.cut.run);
        Decision { office: name, rows, renamed, sent, state: new_state }
    }

    fn sent_of(&self, dpn: &FoldedDpn, office: Office) -> impl Iterator<Item = (Identity, Sent)> {
        let dpn = dpn.clone();
        let first = SentKey { dpn: dpn.clone(), office, identity: Identity::FIRST };
        self.sent
            .range(first..)
            .take_while(move |(key, _)| key.dpn == dpn && key.office == office)
            .map(|(key, sent)| (key.identity, sent.clone()))
    }

    /// Warns about several posts with one DPN (R9), and about placements that name a post with another DPN (D13).
    fn warn_about_posts(&self, dpn: &FoldedDpn, view: &View<'_>, output: &mut Output) {
        let posts = &view.posts;
        let matching =
            posts.posts.iter().filter(|post| post.status != tributary_schemas::records::tis::PostStatus::Delete);
        if matching.count() > 1 && posts.posts.iter().any(|post| post.since_cut) {
            let ids: Vec<String> = posts.posts.iter().map(|post| post.id.to_string()).collect();
            let text = format!("posts {} have the same number {dpn}: make the numbers unique in TIS", ids.join(", "));
            self.context.alert(output, Severity::Warning, "post-number-not-unique", dpn.as_str(), text);
        }
        if posts.posts.is_empty() {
            return;
        }
        for (PlacementKey { placement, .. }, state) in view.placements() {
            let named = state.now.and_then(|now| now.post_id);
            let fresh = !matches!(state.history.reported, Reported::Unchanged);
            let Some(named) = named.filter(|named| fresh && posts.posts.iter().all(|post| post.id != *named)) else {
                continue;
            };
            let text = format!("placement {placement} has the number {dpn}, its post {named} has another one");
            self.context.alert(output, Severity::Warning, "placement-number-differs", &placement.to_string(), text);
        }
    }
}

/// Field 3: the DPN as ESR wrote it for the live position of the office with the lowest id (D21).
fn dpn_as_written(facts: &Facts<'_>, office: Office, dpn: &FoldedDpn) -> Dpn {
    let mut positions = facts.subscriptions.iter().filter(|(_, one)| one.office == office && one.live);
    positions.next().map_or_else(|| Dpn::from(dpn.as_str()), |(_, subscription)| subscription.dpn.clone())
}

/// Whether equal rows are sent again after this row (D30).
fn lifts(candidate: &Candidate) -> bool {
    let withdrawn = candidate.row.notification_type == NotificationType::Withdrawal;
    withdrawn || candidate.identity.is_some_and(|identity| identity.trigger == Trigger::Deleted)
}

/// D30: drops each row that equals the last sent row of its identity, and writes rows of equal content once. Of several
/// rows of one identity the first counts: what has changed is said as of today, and not again as of a missed day.
fn not_sent_before(
    mut candidates: Vec<Candidate>,
    sent_before: &[(Identity, Sent)],
    lifted_at: i64,
    run: i64,
) -> (Vec<Notification>, Vec<(Identity, Sent)>) {
    candidates.sort_by_key(|candidate| {
        let row = &candidate.row;
        (
            row.notification_type,
            row.placement_id,
            candidate.identity.map(|identity| (identity.current, identity.trigger)),
        )
    });
    let (mut decided, mut written) = (BTreeSet::new(), BTreeSet::new());
    let (mut rows, mut sent) = (Vec::new(), Vec::new());
    for Candidate { row, identity } in candidates {
        let digest = notification_digest(&row);
        let Some(identity) = identity else {
            rows.push(row);
            continue;
        };
        if !decided.insert(identity) {
            continue;
        }
        let last = sent_before.iter().find(|(one, _)| *one == identity).map(|(_, sent)| sent);
        if last.is_some_and(|last| last.digest == digest && last.run >= lifted_at) {
            continue;
        }
        sent.push((identity, Sent { run, digest }));
        if written.insert(digest) {
            rows.push(row);
        }
    }
    (rows, sent)
}

/// Rows that were sent.
type SentRows = Vec<(Identity, Sent)>;

/// A row that was sent, with the identity that it had and the one that it has now.
type RenamedRow = (Identity, Identity, Sent);

/// Lets each row that was sent about a placement be one about the placement that continues it (D116). Returns all rows,
/// and those that have another identity now.
fn rename(sent: SentRows, view: &View<'_>) -> (SentRows, Vec<RenamedRow>) {
    let mut renamed = Vec::new();
    if view.continued.is_empty() {
        return (sent, renamed);
    }
    let rename_key =
        |key: PlacementKey| view.continued.iter().find(|(old, _)| *old == key).map_or(key, |(_, new)| *new);
    let mut all: BTreeMap<Identity, Sent> = BTreeMap::new();
    for (old, sent) in sent {
        let new = Identity { current: old.current.map(rename_key), next: old.next.map(rename_key), ..old };
        if new != old {
            renamed.push((old, new, sent.clone()));
        }
        all.insert(new, sent);
    }
    (all.into_iter().collect(), renamed)
}
