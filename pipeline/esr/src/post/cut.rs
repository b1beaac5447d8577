//! A notification run at one partition. For each DPN that has changed or is due, it decides about rows, sends them, and
//! notes the facts for the next run.

use std::collections::BTreeSet;

use tributary_runtime::Output;
use tributary_schemas::records::esr::{Notification, NotificationCut, NotificationCutDone};
use tributary_schemas::records::tributary::Severity;
use tributary_schemas::types::esr::NotificationType;
use tributary_schemas::types::tis::{Dpn, PostId};

use super::notices::{Candidate, Facts, OfficeFacts};
use super::partners::Partner;
use super::rows::Frame;
use super::state::{
    DueKey, Export, Identity, OfficeKey, OfficeState, PlacementAtDpn, PlacementHistory, PlacementKey, PlacementState,
    PostsOfDpn, Reported, Sent, SentKey, SubscriptionKey, Trigger, belongs,
};
use super::{PostStage, Store};
use crate::digests::notification_digest;
use crate::dpn::FoldedDpn;
use crate::format::Office;
use crate::topics;

/// The decision about one DPN and one office.
struct Decision {
    office: Office,
    rows: Vec<Notification>,
    sent: Vec<(Identity, Sent)>,
    state: OfficeState,
}

impl PostStage {
    /// Does a run: sends its rows, and then the record that this partition has sent all of them.
    pub(super) fn cut(&mut self, cut: &NotificationCut, output: &mut Output) {
        let tomorrow = DueKey { date: cut.today.plus_days(1), dpn: FoldedDpn::default() };
        let due: Vec<DueKey> = self.due.range(..tomorrow).map(|(key, ())| key.clone()).collect();
        let changed: Vec<FoldedDpn> = self.changed.iter().map(|(dpn, ())| dpn.clone()).collect();
        let dpns: BTreeSet<&FoldedDpn> = due.iter().map(|key| &key.dpn).chain(&changed).collect();
        for dpn in dpns {
            self.cut_dpn(dpn, cut, output);
        }
        // Dates of today stay due: a second run on a day ticks again (D36).
        for key in due.into_iter().filter(|key| key.date < cut.today) {
            self.due.delete(key);
        }
        for dpn in changed {
            self.changed.delete(dpn);
        }
        let done = NotificationCutDone {
            run: cut.run,
            partition: self.partition,
            partitions: output.partition_count(&topics::POST),
        };
        let key = format!("run/{}/{}", cut.run, self.partition);
        output.broadcast(&topics::EXPORTS, key.as_bytes(), |buffer| self.context.write(&done, buffer));
    }

    fn cut_dpn(&mut self, dpn: &FoldedDpn, cut: &NotificationCut, output: &mut Output) {
        let posts = self.posts_of(dpn);
        self.warn_about_posts(dpn, &posts, output);
        for decision in self.decide(dpn, &posts, cut) {
            for (at, row) in decision.rows.iter().enumerate() {
                let key = format!("{}/notification/{}/{}/{}", decision.office, cut.run, dpn, at);
                self.context.send_export(output, decision.office, &key, row);
            }
            for (identity, sent) in decision.sent {
                self.sent.put(SentKey { dpn: dpn.clone(), office: decision.office, identity }, sent);
            }
            let key = OfficeKey { dpn: dpn.clone(), office: decision.office };
            put_if_changed(&mut self.offices, key, decision.state);
        }
        self.take_note(dpn, posts);
    }

    fn decide(&self, dpn: &FoldedDpn, posts: &PostsOfDpn, cut: &NotificationCut) -> Vec<Decision> {
        let preferred = posts.preferred_id();
        let placements: Vec<_> = self.placements_of(dpn).collect();
        let mut approved: Vec<Partner<'_>> = placements
            .iter()
            .filter_map(|(key, state)| state.approved(preferred).map(|placement| Partner { key: *key, placement }))
            .collect();
        approved.sort_by_key(|partner| (partner.placement.date_from, partner.key));
        let facts = Facts {
            cut,
            posts,
            preferred,
            subscriptions: self.subscriptions_of(dpn).collect(),
            placements,
            approved,
            min_days: self.context.window().start,
            horizon: self.horizon(),
            withdrawal_reason: &self.context.settings.configuration.notifications.withdrawal_reason,
        };
        let concerned = |office: &Office| {
            facts.subscriptions.iter().any(|(_, one)| one.office == *office)
                || self.offices.get(&OfficeKey { dpn: dpn.clone(), office: *office }).is_some()
        };
        cut.offices.iter().copied().filter(concerned).map(|office| self.decide_office(dpn, office, &facts)).collect()
    }

    fn decide_office(&self, dpn: &FoldedDpn, name: Office, facts: &Facts<'_>) -> Decision {
        let key = OfficeKey { dpn: dpn.clone(), office: name };
        let state = self.offices.get(&key).cloned().unwrap_or_default();
        let written = dpn_as_written(facts, name, dpn);
        let frame = Frame { run: facts.cut.run, office: name, dpn: &written, horizon: facts.horizon };
        let sent_before: Vec<(Identity, Sent)> = self.sent_of(dpn, name).collect();
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
        Decision { office: name, rows, sent, state: new_state }
    }

    fn sent_of(&self, dpn: &FoldedDpn, office: Office) -> impl Iterator<Item = (Identity, Sent)> {
        let dpn = dpn.clone();
        let first = SentKey { dpn: dpn.clone(), office, identity: Identity::FIRST };
        self.sent
            .range(first..)
            .take_while(move |(key, _)| key.dpn == dpn && key.office == office)
            .map(|(key, sent)| (key.identity, sent.clone()))
    }

    /// Notes the current facts, with which the next run compares.
    fn take_note(&mut self, dpn: &FoldedDpn, mut posts: PostsOfDpn) {
        let preferred = posts.preferred_id();
        posts.came_silently = posts.comes_silently();
        posts.preferred_at_cut = preferred;
        posts.renumbered_away.clear();
        for post in &mut posts.posts {
            post.since_cut = false;
        }
        if posts.posts.is_empty() {
            self.posts.delete(dpn.clone());
        } else {
            self.posts.put(dpn.clone(), posts);
        }
        let placements: Vec<_> = self
            .placements_of(dpn)
            .filter_map(|(key, state)| noted(state, preferred).map(|history| (key, state.now.is_some(), history)))
            .collect();
        for (key, is_here, history) in placements {
            let at = PlacementAtDpn { dpn: dpn.clone(), key };
            if is_here || !history.exports.is_empty() {
                self.histories.put(at, history);
            } else {
                self.histories.delete(at);
            }
        }
        let subscriptions: Vec<_> = self
            .subscriptions_of(dpn)
            .filter(|(_, one)| one.live_at_cut != one.live.then_some(one.office))
            .map(|(id, one)| (id, one.clone()))
            .collect();
        for (id, mut subscription) in subscriptions {
            subscription.live_at_cut = subscription.live.then_some(subscription.office);
            self.subscriptions.put(SubscriptionKey { dpn: dpn.clone(), position: id }, subscription);
        }
    }

    /// Warns about several posts with one DPN (R9), and about placements that name a post with another DPN (D13).
    fn warn_about_posts(&self, dpn: &FoldedDpn, posts: &PostsOfDpn, output: &mut Output) {
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
        for (PlacementKey { placement, .. }, state) in self.placements_of(dpn) {
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

/// D30: drops each row that equals the last sent row of its identity, and writes rows of equal content once.
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
    let mut written = BTreeSet::new();
    let (mut rows, mut sent) = (Vec::new(), Vec::new());
    for Candidate { row, identity } in candidates {
        let digest = notification_digest(&row);
        let Some(identity) = identity else {
            rows.push(row);
            continue;
        };
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

/// The history for the next run. `None` if it does not change.
fn noted(state: PlacementState<'_>, preferred: Option<PostId>) -> Option<PlacementHistory> {
    let history = state.history;
    let reported = match state.now.filter(|now| now.counted) {
        None => Reported::Never,
        Some(now) if now.approved && belongs(now, preferred) => Reported::Unchanged,
        // The placement has moved to another post with the same DPN (D27).
        Some(now)
            if state.reported_version().is_some_and(|old| old.post_id != now.post_id) && !belongs(now, preferred) =>
        {
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
    let exports = history.exports.iter().map(|export| Export { since_cut: false, ..export.clone() }).collect();
    let started_before = history.started_before && !gone;
    Some(PlacementHistory { reported, baseline: false, started_before, exports })
}

fn put_if_changed<K, V>(store: &mut Store<K, V>, key: K, value: V)
where
    K: tributary_runtime::StateKey,
    V: tributary_runtime::StateValue + PartialEq,
{
    if store.get(&key) != Some(&value) {
        store.put(key, value);
    }
}
