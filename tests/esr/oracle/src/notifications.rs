//! Notifications and the DNC file (section 6, D30-D40).

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::Date;

use crate::applicants::{window_end, window_start};
use crate::base::Base;
use crate::notice::{Place, Row, TITLE_CODE};
use crate::rows::plain_date;
use crate::world::{Placement, PlacementKey};
use crate::{Clock, Oracle, Outcome};

/// What caused a type 1 (6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trigger {
    /// T1a: the next trainee becomes the current one.
    NextBecomesCurrent,
    /// T1b: a start has come to 13 weeks from now.
    EarliestEligible,
    /// T1c: the post fell vacant.
    Vacant,
    /// T1d: a new placement.
    Created,
    /// T1e: other dates.
    DatesChanged,
    /// T1f: another whole-time equivalent.
    WholeTimeChanged,
    /// T1g: a placement is gone.
    Deleted,
    /// T1h: a full set.
    FullSet,
}

/// Identity of a type 1 inside (office, DPN) (D30): trigger, current, next.
pub(crate) type Identity = (Trigger, Option<PlacementKey>, Option<PlacementKey>);

/// The row last sent of an identity.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    row: String,
    run: u32,
    /// A T1g, a type 2 or the end of the pairing came after it.
    lifted: bool,
}

#[cfg(test)]
impl Sent {
    pub(crate) fn was_sent_in(&self, run: u32) -> bool {
        self.run == run
    }
}

/// What a DPN of an office has to say in a run.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) snapshots: BTreeMap<Identity, Row>,
    /// Types 2, 4 and 5 with the placement they are about.
    pub(crate) others: Vec<(u8, u64, Row)>,
}

/// Place of a row in its file (D40).
type RowKey = (String, u8, u64, Option<PlacementKey>, Option<Trigger>);

/// The DPN of a row as it stands in the file.
fn written_dpn(row: &str) -> &str {
    row.split(',').nth(3).unwrap_or_default().trim_matches('"')
}

/// One office and number in one run.
pub(crate) struct Scene<'a> {
    oracle: &'a Oracle,
    pub(crate) base: &'a Base,
    /// Placements that continue others (D116).
    continued: BTreeMap<PlacementKey, PlacementKey>,
    pub(crate) office: &'a str,
    pub(crate) dpn: &'a str,
    /// The number as ESR wrote it at the lowest live position.
    pub(crate) dpn_text: String,
    today: Date,
    /// Approved effective placements, earliest start first, then lowest id.
    approved: Vec<&'a Placement>,
}

impl Oracle {
    pub(crate) fn write_notifications(&mut self, office: &str, base: &Base, clock: &Clock, outcome: &mut Outcome) {
        let mut numbers = self.world.post_numbers();
        numbers.extend(base.world.post_numbers());
        numbers.extend(self.sent.keys().filter(|(other, _)| other == office).map(|(_, dpn)| dpn.clone()));
        let mut rows: Vec<(RowKey, String)> = Vec::new();
        for dpn in numbers {
            self.rename_sent(office, base, &dpn);
            let findings = self.findings(office, base, &dpn, clock.today);
            self.keep_unsent(office, base, &dpn, findings, &mut rows);
        }
        rows.sort_by(|(a, row_a), (b, row_b)| {
            // D40: by the DPN as it stands in the file.
            (written_dpn(row_a), a).cmp(&(written_dpn(row_b), b))
        });
        let mut written = BTreeSet::new();
        rows.retain(|((_, kind, ..), row)| *kind != 1 || written.insert(row.clone()));
        let counts = &mut outcome.offices.entry(office.to_owned()).or_default().notifications;
        for kind in [1, 2, 4, 5] {
            counts.insert(kind, rows.iter().filter(|((_, other, ..), _)| *other == kind).count());
        }
        let lines: Vec<String> = rows.into_iter().map(|(_, row)| row).collect();
        self.write_numbered("DNC", office, clock, &lines, outcome);
    }

    /// Rows about a placement that another one continues are rows about the other one (D116).
    fn rename_sent(&mut self, office: &str, base: &Base, dpn: &str) {
        let continued = base.continued(&self.world, dpn);
        let new_of = |key: PlacementKey| continued.iter().find(|(_, old)| **old == key).map_or(key, |(new, _)| *new);
        if let Some(sent) = self.sent.get_mut(&(office.to_owned(), dpn.to_owned())) {
            let renamed = |((trigger, current, next), row): (Identity, Sent)| {
                ((trigger, current.map(new_of), next.map(new_of)), row)
            };
            *sent = std::mem::take(sent).into_iter().map(renamed).collect();
        }
    }

    fn findings(&self, office: &str, base: &Base, dpn: &str, today: Date) -> Findings {
        if !self.world.reconciled(office, dpn) {
            return self.renumbered_away(office, base, dpn, today);
        }
        let scene = Scene::new(self, office, base, dpn, today);
        let mut findings = Findings::default();
        scene.ticks(&mut findings);
        scene.changes(&mut findings);
        if self.is_renumbered(base, dpn) {
            findings.others.extend(self.renumbered_away(office, base, dpn, today).others);
            scene.deletions(&mut findings, true);
        } else {
            scene.deletions(&mut findings, false);
        }
        if self.is_late(office, base, dpn) {
            findings.snapshots.clear();
            scene.full_set(&mut findings);
            self.new_post(&scene, &mut findings);
        }
        findings
    }

    /// D30: drops what was sent already, and remembers what is sent now.
    fn keep_unsent(
        &mut self,
        office: &str,
        base: &Base,
        dpn: &str,
        findings: Findings,
        rows: &mut Vec<(RowKey, String)>,
    ) {
        let reconciled = self.world.reconciled(office, dpn);
        let changed = self.preference_changed(base, dpn);
        let sent = self.sent.entry((office.to_owned(), dpn.to_owned())).or_default();
        let lifts = findings.others.iter().any(|(kind, ..)| *kind == 2)
            || findings.snapshots.keys().any(|identity| identity.0 == Trigger::Deleted);
        if lifts || !reconciled || changed {
            for last in sent.values_mut() {
                last.lifted = true;
            }
        }
        for (identity, row) in findings.snapshots {
            let row = row.text();
            if sent.get(&identity).is_some_and(|last| last.row == row && !last.lifted) {
                continue;
            }
            let placement = identity.2.or(identity.1).map_or(0, |key| key.0);
            rows.push(((dpn.to_owned(), 1, placement, identity.1, Some(identity.0)), row.clone()));
            let now = Sent { row, run: self.run, lifted: false };
            sent.insert(identity, now);
        }
        for (kind, placement, row) in findings.others {
            rows.push(((dpn.to_owned(), kind, placement, None, None), row.text()));
            if kind == 5 {
                self.new_posts_sent.insert((office.to_owned(), placement));
            }
        }
    }
}

/// Dates to tick: one per date since the last run of the office, today again on a second run (D36, D118).
fn dates_to_tick(last: Option<Date>, today: Date) -> Vec<Date> {
    let mut dates = vec![today];
    let mut date = today;
    while last.is_some_and(|last| last.saturating_add(1.day()) < date) {
        date = date.saturating_sub(1.day());
        dates.push(date);
    }
    dates
}

impl<'a> Scene<'a> {
    fn new(oracle: &'a Oracle, office: &'a str, base: &'a Base, dpn: &'a str, today: Date) -> Scene<'a> {
        let mut approved = oracle.world.approved(dpn);
        approved.sort_by_key(|placement| (placement.start, placement.id));
        let first = oracle.world.live(office, dpn).first().map(|position| position.dpn_text.clone());
        let continued = base.continued(&oracle.world, dpn);
        Scene { oracle, base, continued, office, dpn, dpn_text: first.unwrap_or_default(), today, approved }
    }

    /// T1a, T1b, T1c for every date that has passed.
    fn ticks(&self, findings: &mut Findings) {
        for date in dates_to_tick(self.base.date, self.today) {
            let eve = date.saturating_sub(1.day());
            for starter in self.approved.iter().filter(|placement| placement.start == date) {
                let outgoing = self.approved.iter().filter(|other| other.end == Some(eve)).copied();
                self.add_on(
                    date,
                    findings,
                    Trigger::NextBecomesCurrent,
                    best_partner(starter, outgoing),
                    Some(starter),
                );
            }
            for starter in self.approved.iter().filter(|placement| placement.start == window_end(date)) {
                let covering = self.approved.iter().filter(|other| other.covers(date)).copied();
                self.add_on(date, findings, Trigger::EarliestEligible, best_partner(starter, covering), Some(starter));
            }
            for leaver in self.approved.iter().filter(|placement| placement.end == Some(eve)) {
                if self.nobody_ends_after(eve) {
                    self.add_on(date, findings, Trigger::Vacant, Some(leaver), None);
                }
            }
        }
    }

    fn nobody_ends_after(&self, day: Date) -> bool {
        !self.approved.iter().any(|placement| placement.ends_after(day))
    }

    /// T1d, T1e with type 4, T1f: every approved placement against its last approved version.
    fn changes(&self, findings: &mut Findings) {
        for placement in &self.approved {
            let key = self.continued.get(&placement.key()).copied().unwrap_or(placement.key());
            let version = self.base.versions.get(self.dpn).and_then(|versions| versions.get(&key));
            if self.base.is_of_another(&self.oracle.world, self.dpn, key) {
                if self.base.world.find_effective(self.dpn, key).is_some() {
                    self.created(findings, placement);
                }
                continue;
            }
            match version {
                None => self.created(findings, placement),
                Some(old) if (old.start, old.end) != (placement.start, placement.end) => {
                    self.dates_changed(findings, old, placement);
                }
                Some(old) if old.whole_time != placement.whole_time && placement.covers(self.today) => {
                    let next = self.future_partner(placement);
                    self.add(findings, Trigger::WholeTimeChanged, Some(placement), next);
                }
                Some(_) => {}
            }
        }
    }

    /// T1d, D33.
    fn created(&self, findings: &mut Findings, placement: &'a Placement) {
        let is_news = self.oracle.baseline.as_ref().is_none_or(|line| {
            let key = (placement.id, placement.trainee, self.dpn.to_owned());
            self.base.run >= line.run || !line.placements.contains_key(&key)
        });
        if !is_news {
            return;
        }
        if placement.covers(self.today) {
            let next = self.future_partner(placement);
            self.add(findings, Trigger::Created, Some(placement), next);
            return;
        }
        if placement.start <= self.today || placement.start >= window_end(self.today) {
            return;
        }
        let currents = self.current_partners(placement);
        if currents.is_empty() {
            self.add(findings, Trigger::Created, None, Some(placement));
        }
        for current in currents {
            self.add(findings, Trigger::Created, Some(current), Some(placement));
        }
    }

    /// T1e and type 4 (6.3), or what D34 says when no applicant was sent.
    fn dates_changed(&self, findings: &mut Findings, old: &Placement, new: &'a Placement) {
        if old.ended_before(self.today) && new.ended_before(self.today) {
            return;
        }
        if new.ended_before(self.today) && new.end.is_some_and(|end| self.nobody_ends_after(end)) {
            self.add(findings, Trigger::Vacant, Some(new), None);
        }
        if !self.oracle.sent_as_applicant(self.office, self.dpn, new.key(), &self.oracle.trainee(new)) {
            self.send_again(findings, new.key());
            return;
        }
        if old.start >= window_end(self.today) && new.start >= window_end(self.today) {
            return;
        }
        let (current, next) = if old.start <= self.today {
            (Some(new), self.future_partner(new))
        } else {
            (self.current_partners(new).first().copied(), Some(new))
        };
        self.add(findings, Trigger::DatesChanged, current, next);
        let mut row = self.snapshot(Trigger::DatesChanged, current, next);
        row.set(TITLE_CODE, "4".to_owned());
        row.set(11, String::new());
        if new.start > self.today {
            row.set(29, plain_date(Some(new.start)));
        }
        row.set(30, plain_date(new.end));
        findings.others.push((4, new.id, row));
    }

    /// D34: rows that named the placement go out again when their content is another.
    fn send_again(&self, findings: &mut Findings, key: PlacementKey) {
        for (identity, last) in self.sent_rows() {
            let (trigger, current, next) = *identity;
            if current != Some(key) && next != Some(key) {
                continue;
            }
            let find = |key: Option<PlacementKey>| {
                self.approved.iter().find(|placement| Some(placement.key()) == key).copied()
            };
            let (current_now, next_now) = (find(current), find(next));
            if current.is_some() != current_now.is_some() || next.is_some() != next_now.is_some() {
                continue;
            }
            let row = self.snapshot(trigger, current_now, next_now);
            if row.text() != last.row {
                findings.snapshots.insert(*identity, row);
            }
        }
    }

    fn sent_rows(&self) -> impl Iterator<Item = (&'a Identity, &'a Sent)> {
        let of = (self.office.to_owned(), self.dpn.to_owned());
        self.oracle.sent.get(&of).into_iter().flatten().filter(|(_, sent)| sent.run < self.oracle.run)
    }

    /// T1g and type 2 (6.4).
    fn deletions(&self, findings: &mut Findings, of_another_only: bool) {
        let oracle = self.oracle;
        for (key, old) in self.base.versions.get(self.dpn).into_iter().flatten() {
            let stood = self.base.world.find_effective(self.dpn, *key).is_some();
            let continues = self.continued.values().any(|replaced| replaced == key);
            let gone = (!of_another_only && oracle.world.has_left(&self.base.world, self.dpn, *key))
                || self.base.is_of_another(&oracle.world, self.dpn, *key);
            if !stood || continues || !gone {
                continue;
            }
            if old.ended_before(self.today) || old.start >= window_end(self.today) {
                continue;
            }
            let exported = self.was_sent(*key);
            let named = self.sent_rows().any(|(identity, _)| identity.1 == Some(*key) || identity.2 == Some(*key));
            if !exported && !named {
                continue;
            }
            let (current, next) = self.holders_after(old);
            self.add(findings, Trigger::Deleted, current, next);
            if exported {
                let beside = self.snapshot(Trigger::Deleted, current, next);
                let mut row = Row::new(2, self.office, &self.dpn_text);
                for field in [8, 9, 10, 11, 33] {
                    row.set(field, beside.get(field));
                }
                oracle.withdraw_trainee(&mut row, self.base, self.dpn, old);
                findings.others.push((2, key.0, row));
            }
        }
    }

    /// Whether the placement was sent for the trainee whom it had at the last run.
    fn was_sent(&self, key: PlacementKey) -> bool {
        let before = self.base.trainees.get(&(self.dpn.to_owned(), key));
        before.is_some_and(|person| self.oracle.sent_as_applicant(self.office, self.dpn, key, person))
    }

    /// Who holds the post and who comes next once `gone` is gone: same site first, else the first of all.
    fn holders_after(&self, gone: &Placement) -> (Option<&'a Placement>, Option<&'a Placement>) {
        let first = |candidates: Vec<&'a Placement>| {
            let same_site = candidates.iter().find(|placement| placement.same_site(gone)).copied();
            same_site.or_else(|| candidates.first().copied())
        };
        let covering = self.approved.iter().filter(|placement| placement.covers(self.today));
        let current = first(covering.copied().collect());
        let until = self.today.saturating_add(3.months());
        let coming = self.approved.iter().filter(|placement| placement.start >= self.today && placement.start < until);
        let others = coming.filter(|placement| current.is_none_or(|current| current.key() != placement.key()));
        (current, first(others.copied().collect()))
    }

    /// T1h: current and next holders, paired one to one by site; leftovers alone (D32).
    fn full_set(&self, findings: &mut Findings) {
        let currents = self.approved.iter().filter(|placement| placement.covers(self.today));
        let (from, to) = (window_start(self.today), window_end(self.today));
        let mut futures: Vec<&Placement> = self.approved.clone();
        futures.retain(|placement| placement.start >= from && placement.start <= to);
        for current in currents {
            let partner = futures.iter().position(|future| future.same_site(current));
            let next = partner.map(|index| futures.remove(index));
            self.add(findings, Trigger::FullSet, Some(current), next);
        }
        for future in futures {
            self.add(findings, Trigger::FullSet, None, Some(future));
        }
    }

    /// The first same-site placement that starts in [T + 2 days, T + 13 weeks).
    fn future_partner(&self, placement: &Placement) -> Option<&'a Placement> {
        let (from, to) = (window_start(self.today), window_end(self.today));
        let mut others = self.approved.iter().filter(|other| other.id != placement.id && other.same_site(placement));
        others.find(|other| other.start >= from && other.start < to).copied()
    }

    /// The same-site placements that cover T, first one first.
    fn current_partners(&self, placement: &Placement) -> Vec<&'a Placement> {
        let others = self.approved.iter().filter(|other| other.id != placement.id && other.same_site(placement));
        others.filter(|other| other.covers(self.today)).copied().collect()
    }

    fn snapshot(&self, trigger: Trigger, current: Option<&Placement>, next: Option<&Placement>) -> Row {
        self.snapshot_on(self.today, trigger, current, next)
    }

    fn snapshot_on(&self, day: Date, trigger: Trigger, current: Option<&Placement>, next: Option<&Placement>) -> Row {
        let place = Place { office: self.office, dpn_text: &self.dpn_text, today: day };
        self.oracle.snapshot_row(&place, trigger, current, next)
    }

    fn add(&self, findings: &mut Findings, trigger: Trigger, current: Option<&Placement>, next: Option<&Placement>) {
        self.add_on(self.today, findings, trigger, current, next);
    }

    /// A row of a day tick: the day is its T.
    fn add_on(
        &self,
        day: Date,
        findings: &mut Findings,
        trigger: Trigger,
        current: Option<&Placement>,
        next: Option<&Placement>,
    ) {
        let identity = (trigger, current.map(Placement::key), next.map(Placement::key));
        findings.snapshots.insert(identity, self.snapshot_on(day, trigger, current, next));
    }
}

/// D37: same site first, then latest start, then lowest id.
fn best_partner<'a>(of: &Placement, candidates: impl Iterator<Item = &'a Placement>) -> Option<&'a Placement> {
    candidates.min_by_key(|other| (!other.same_site(of), std::cmp::Reverse(other.start), other.id))
}
