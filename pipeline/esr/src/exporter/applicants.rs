//! Applicant records: arriving, changing, withdrawn, exported (A3, A5, A10-A12, D20-D27).

use std::collections::{BTreeMap, BTreeSet};

use tributary_runtime::{Output, ProcessError};
use tributary_schemas::Date;
use tributary_schemas::records::esr::{Applicant, ApplicantExported, ExportRun, FileKind};
use tributary_schemas::records::tributary::{FileWritten, Severity};
use tributary_schemas::types::esr::PositionId;
use tributary_schemas::types::tis::{PersonId, PlacementId};

use super::state::{ApplicantState, Status, content_digest, missing_field};
use super::{ApplicantKey, Exporter, rows};
use crate::context::{fold_deanery_number, london_date};
use crate::format::FileName;
use crate::outgoing::{OutgoingFile, RunTimes};
use crate::topics;

/// Alerts of one kind that a run raises one by one; beyond them it tells the number.
const SINGLE_ALERTS: usize = 100;

type WaitingKey = (String, Date, PlacementId, PositionId, PersonId);

impl Exporter {
    /// A new or changed record (A3).
    pub(super) fn changed(&mut self, applicant: Applicant, timestamp: i64) {
        let key: ApplicantKey =
            (applicant.office.clone(), applicant.placement_id, applicant.position_id, applicant.trainee_id);
        let digest = content_digest(&applicant);
        let old = self.applicants.get(&key).cloned();
        let sent_before = applicant.sent_before.is_some();
        let same = |old: &ApplicantState| old.is_live() && old.digest == digest && !sent_before;
        if old.as_ref().is_some_and(|old| old.is_decided() || same(old)) {
            return;
        }
        let at_run = old.as_ref().and_then(|old| old.at_run);
        let mut state = ApplicantState {
            status: Status::ToExport,
            file: None,
            reason: (!applicant.warnings.is_empty()).then(|| applicant.warnings.join("; ")),
            digest,
            effective_date: at_run
                .filter(|(before, _)| *before == digest)
                .map_or_else(|| london_date(timestamp), |(_, date)| date),
            at_run,
            seen_by_run: old.as_ref().is_some_and(|old| old.seen_by_run),
            applicant: None,
        };
        if let Some(field) = missing_field(&applicant) {
            state.status = Status::InvalidData;
            state.reason = Some(format!("{field} is missing"));
        }
        self.stop_waiting(&key, old.as_ref());
        if state.status == Status::ToExport && !sent_before {
            self.waiting.put(waiting_key(&key, applicant.projected_hire_date), ());
        }
        state.applicant = Some(Box::new(applicant));
        self.put(key, state);
    }

    /// A tombstone: the record is withdrawn (R4, D26), or forgotten when no run has seen it.
    pub(super) fn withdrawn(&mut self, key: &str) -> Result<(), ProcessError> {
        let Some(key) = parse_key(key) else {
            let text = format!("{key:?} is not the key of an applicant record");
            return Err(ProcessError::dead_letter("key-not-an-applicant", text));
        };
        if self.applicants.get(&key).is_some_and(|old| !old.is_decided()) {
            self.withdraw(&key);
        }
        Ok(())
    }

    fn withdraw(&mut self, key: &ApplicantKey) {
        let Some(old) = self.applicants.get(key).cloned() else { return };
        self.stop_waiting(key, Some(&old));
        if old.seen_by_run {
            let state = ApplicantState { status: Status::DeletedBeforeExport, reason: None, applicant: None, ..old };
            self.put(key.clone(), state);
        } else {
            self.applicants.delete(key.clone());
            self.touched.delete(key.clone());
        }
    }

    fn put(&mut self, key: ApplicantKey, state: ApplicantState) {
        if self.touched.get(&key).is_none() {
            self.touched.put(key.clone(), ());
        }
        self.applicants.put(key, state);
    }

    fn stop_waiting(&mut self, key: &ApplicantKey, state: Option<&ApplicantState>) {
        if let Some(applicant) = state.and_then(|state| state.applicant.as_ref()) {
            self.waiting.delete(waiting_key(key, applicant.projected_hire_date));
        }
    }

    /// One run of one office: chooses the rows and sends the file (A5, A10-A12, D24, D25).
    pub(super) fn export_applicants(&mut self, run: &ExportRun, output: &mut Output) {
        let Ok(name) = run.file_name.parse::<FileName>() else { return };
        self.forget_ended(run);
        self.believe_tis(run, output);
        let chosen = self.choose(run, output);
        let times = RunTimes { now: run.now, previous: run.previous_run };
        let context = self.context.clone();
        let mut file = OutgoingFile::start(&context, &name, times, output);
        let mut left_blank = Vec::new();
        for (row, key) in chosen.into_iter().enumerate() {
            let Some(mut state) = self.applicants.get(&key).cloned() else { continue };
            let Some(applicant) = state.applicant.take() else { continue };
            file.row(rows::applicant(&context.templates, &applicant, state.effective_date), output);
            if let Some(reason) = &state.reason {
                left_blank.push((key.1, reason.clone()));
            }
            self.waiting.delete(waiting_key(&key, applicant.projected_hire_date));
            state.status = Status::Pending;
            state.file = Some(run.file_name.clone());
            self.remember_row(&run.file_name, row as u32, &key, &applicant);
            self.applicants.put(key, state);
        }
        file.close(&name, FileKind::App, output);
        self.warn_of_blanks(run, &left_blank, output);
        self.note_run(&run.office);
    }

    /// A record that comes up, or comes back, when its placement has ended is none (D25).
    fn forget_ended(&mut self, run: &ExportRun) {
        let ended = |state: &ApplicantState| {
            let applicant = state.applicant.as_ref();
            let end = applicant.and_then(|applicant| applicant.projected_end_date);
            state.at_run.is_none() && end.is_some_and(|end| end < run.today)
        };
        let ended: Vec<ApplicantKey> =
            self.touched_of(&run.office).filter(|key| self.applicants.get(*key).is_some_and(ended)).cloned().collect();
        for key in ended {
            self.withdraw(&key);
        }
    }

    /// D14: what TIS remembers as exported is so, from the first run that sees it.
    fn believe_tis(&mut self, run: &ExportRun, output: &mut Output) {
        let told = |state: &&ApplicantState| {
            let sent_before = state.applicant.as_ref().is_some_and(|applicant| applicant.sent_before.is_some());
            sent_before && state.is_live() && !state.is_decided()
        };
        let told: Vec<(ApplicantKey, ApplicantState)> = self
            .touched_of(&run.office)
            .filter_map(|key| Some((key.clone(), self.applicants.get(key).filter(told)?.clone())))
            .collect();
        for (key, mut state) in told {
            let Some(applicant) = state.applicant.take() else { continue };
            state.status = Status::Exported;
            state.file = applicant.sent_before.clone().filter(|file| !file.is_empty());
            state.reason = Some("TIS remembers that it was sent before (D14)".to_owned());
            let dates = (applicant.projected_hire_date, applicant.projected_end_date);
            let file_name = state.file.clone().unwrap_or_default();
            self.tell_position(&key, dates, file_name, output);
            self.applicants.put(key, state);
        }
    }

    fn tell_position(
        &self,
        key: &ApplicantKey,
        (date_from, date_to): (Date, Option<Date>),
        file_name: String,
        output: &mut Output,
    ) {
        let exported = ApplicantExported { placement_id: key.1, trainee_id: key.3, date_from, date_to, file_name };
        self.context.send(output, &topics::POSITION_INBOX, &key.2.0.to_be_bytes(), &exported);
    }

    fn touched_of(&self, office: &str) -> impl Iterator<Item = &ApplicantKey> {
        let first = (office.to_owned(), PlacementId(i64::MIN), PositionId(i64::MIN), PersonId(i64::MIN));
        let office = office.to_owned();
        self.touched.range(first..).map(|(key, ())| key).take_while(move |(of, ..)| *of == office)
    }

    /// Remembers the row until the file is at its destination.
    fn remember_row(&mut self, file_name: &str, row: u32, key: &ApplicantKey, applicant: &Applicant) {
        let dates = (applicant.projected_hire_date, applicant.projected_end_date);
        self.pending.put((file_name.to_owned(), row), (key.clone(), dates));
    }

    fn choose(&mut self, run: &ExportRun, output: &mut Output) -> Vec<ApplicantKey> {
        let window = self.context.window();
        let (first, end) = (run.today.plus_days(window.start), run.today.plus_days(window.end));
        let due: Vec<WaitingKey> = self
            .waiting
            .range(lowest(&run.office, Date(i32::MIN))..lowest(&run.office, end))
            .map(|(key, ())| key.clone())
            .collect();
        let mut choice = Choice::new(self.context.settings.configuration.applicants.max_rows_per_post as usize);
        let policy = self.context.settings.configuration.applicants.missed_window;
        let include_late = run.include_late || policy == crate::configuration::MissedWindow::Send;
        let mut missed = Vec::new();
        for (office, start, placement, position, trainee) in due {
            let key = (office, placement, position, trainee);
            let Some(state) = self.applicants.get(&key) else { continue };
            if start < first && !include_late {
                if state.status != Status::MissedWindow {
                    missed.push(key);
                }
                continue;
            }
            if let Some(applicant) = &state.applicant {
                choice.offer(key, applicant);
            }
        }
        self.miss(run, missed, output);
        choice.warn(run, &self.context, output);
        choice.in_order_of_the_file()
    }

    /// D25: too late, whatever made it late.
    fn miss(&mut self, run: &ExportRun, missed: Vec<ApplicantKey>, output: &mut Output) {
        let total = missed.len();
        for (at, key) in missed.into_iter().enumerate() {
            let Some(mut state) = self.applicants.get(&key).cloned() else { continue };
            state.status = Status::MissedWindow;
            if at < SINGLE_ALERTS {
                let text = format!(
                    "placement {} starts too soon to be exported for position {} in {}: tell the trust, or export late records",
                    key.1, key.2, key.0
                );
                self.context.alert(output, Severity::Error, "missed-window", &key.1.to_string(), text);
            }
            self.applicants.put(key, state);
        }
        if total > SINGLE_ALERTS {
            let text = format!("{total} records of {} have missed their window", run.office);
            self.context.alert(output, Severity::Error, "missed-window", &run.office, text);
        }
    }

    fn warn_of_blanks(&self, run: &ExportRun, left_blank: &[(PlacementId, String)], output: &mut Output) {
        for (placement, reason) in left_blank.iter().take(SINGLE_ALERTS) {
            let text = format!("placement {placement} in {}: {reason}", run.file_name);
            self.context.alert(output, Severity::Warning, "left-blank", &placement.to_string(), text);
        }
        if left_blank.len() > SINGLE_ALERTS {
            let text = format!("{} records of {} have values that were left blank", left_blank.len(), run.file_name);
            self.context.alert(output, Severity::Warning, "left-blank", &run.file_name, text);
        }
    }

    /// What the next run compares with (D9, D20).
    fn note_run(&mut self, office: &str) {
        let touched: Vec<ApplicantKey> = self.touched_of(office).cloned().collect();
        for key in touched {
            if let Some(mut state) = self.applicants.get(&key).cloned() {
                state.at_run = state.is_live().then_some((state.digest, state.effective_date));
                state.seen_by_run = true;
                if state.is_decided() {
                    state.applicant = None;
                }
                self.applicants.put(key.clone(), state);
            }
            self.touched.delete(key);
        }
    }

    /// The file is at its destination: its records are exported, and their positions hear of it.
    pub(super) fn written(&mut self, written: &FileWritten, output: &mut Output) {
        let rows: Vec<_> = self
            .pending
            .range((written.file_name.clone(), 0)..=(written.file_name.clone(), u32::MAX))
            .map(|(row, pending)| (row.clone(), pending.clone()))
            .collect();
        for (row, (key, dates)) in rows {
            self.pending.delete(row);
            let Some(mut state) = self.applicants.get(&key).cloned() else { continue };
            state.status = Status::Exported;
            self.tell_position(&key, dates, written.file_name.clone(), output);
            self.applicants.put(key, state);
        }
    }
}

/// The rows of a file, chosen in order of start, placement and position.
struct Choice {
    /// Chosen records, each with its DPN.
    rows: Vec<(ApplicantKey, String)>,
    cap: usize,
    of_number: BTreeMap<String, usize>,
    people: BTreeSet<(String, PositionId)>,
    over_cap: BTreeMap<String, usize>,
    duplicates: Vec<ApplicantKey>,
}

impl Choice {
    fn new(cap: usize) -> Self {
        Self {
            rows: Vec::new(),
            cap,
            of_number: BTreeMap::new(),
            people: BTreeSet::new(),
            over_cap: BTreeMap::new(),
            duplicates: Vec::new(),
        }
    }

    /// D24: the same person for the same position once; A10: at most so many rows for one DPN.
    fn offer(&mut self, key: ApplicantKey, applicant: &Applicant) {
        let person = (person_identity(applicant), key.2);
        if self.people.contains(&person) {
            self.duplicates.push(key);
            return;
        }
        let number = fold_deanery_number(&applicant.deanery_number);
        let rows = self.of_number.entry(number).or_default();
        if *rows == self.cap {
            *self.over_cap.entry(applicant.deanery_number.clone()).or_default() += 1;
            return;
        }
        *rows += 1;
        self.people.insert(person);
        self.rows.push((key, applicant.deanery_number.clone()));
    }

    /// D40: by DPN as it stands in the file, then placement id.
    fn in_order_of_the_file(mut self) -> Vec<ApplicantKey> {
        self.rows.sort_by(|(one, of_one), (other, of_other)| {
            of_one.cmp(of_other).then_with(|| (one.1, one.2, one.3).cmp(&(other.1, other.2, other.3)))
        });
        self.rows.into_iter().map(|(key, _)| key).collect()
    }

    fn warn(&self, run: &ExportRun, context: &crate::context::Context, output: &mut Output) {
        for (number, surplus) in &self.over_cap {
            let text = format!(
                "{surplus} applicants for {number} wait for the next run of {}: a file may hold {} for one post (A10)",
                run.office, self.cap
            );
            context.alert(output, Severity::Warning, "post-over-cap", number, text);
        }
        for key in self.duplicates.iter().take(SINGLE_ALERTS) {
            let text = format!(
                "placement {} waits for the next run: {} holds the same person for position {} (D24)",
                key.1, run.file_name, key.2
            );
            context.alert(output, Severity::Warning, "duplicate-applicant", &key.1.to_string(), text);
        }
    }
}

/// The same person: by GMC number, else GDC number, else person id (D24).
fn person_identity(applicant: &Applicant) -> String {
    if !applicant.gmc_number.is_empty() {
        return format!("gmc/{}", applicant.gmc_number);
    }
    if !applicant.gdc_number.is_empty() {
        return format!("gdc/{}", applicant.gdc_number);
    }
    format!("id/{}", applicant.trainee_id)
}

fn waiting_key(key: &ApplicantKey, start: Date) -> WaitingKey {
    (key.0.clone(), start, key.1, key.2, key.3)
}

fn lowest(office: &str, start: Date) -> WaitingKey {
    (office.to_owned(), start, PlacementId(i64::MIN), PositionId(i64::MIN), PersonId(i64::MIN))
}

/// Reads `<office>/applicant/<placement>/<position>/<trainee>`.
fn parse_key(key: &str) -> Option<ApplicantKey> {
    let mut parts = key.split('/');
    let office = parts.next()?.to_owned();
    if parts.next()? != "applicant" {
        return None;
    }
    let mut id = || parts.next()?.parse::<i64>().ok();
    let key = (office, PlacementId(id()?), PositionId(id()?), PersonId(id()?));
    parts.next().is_none().then_some(key)
}
