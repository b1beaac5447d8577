//! Applicant records: how they arrive, change, are withdrawn and are exported (A3, A5, A10-A12, D20-D27).

use std::collections::{BTreeMap, BTreeSet};

use tributary_runtime::{Output, ProcessError};
use tributary_schemas::Date;
use tributary_schemas::records::esr::{Applicant, ApplicantExported, ExportRun, FileKind};
use tributary_schemas::records::esr_state::{self, PersonExport, VersionAtRun};
use tributary_schemas::records::tributary::{FileWritten, Severity};
use tributary_schemas::types::esr::{FileNameError, PositionId};
use tributary_schemas::types::tis::Dpn;

use super::left_blank::LeftBlank;
use super::state::{ApplicantState, Status, missing_field};
use super::{ApplicantKey, BELIEVED_DAYS, ExportedRow, Exporter, PendingKey, WaitingKey, rows};
use crate::applicant::ApplicantKeyError;
use crate::digests::applicant_digest;
use crate::dpn::FoldedDpn;
use crate::format::{FileName, Office};
use crate::outgoing::{OutgoingFile, RunTimes, SINGLE_ALERTS};
use crate::person::EsrPerson;
use crate::topics;

impl Exporter {
    /// Stores a new or changed record (A3). `today` is the date of the record that caused it (D20).
    pub(super) fn changed(&mut self, applicant: Applicant, today: Date) {
        let key = ApplicantKey {
            office: applicant.office,
            placement: applicant.placement_id,
            position: applicant.position_id,
            trainee: applicant.trainee_id,
        };
        let digest = applicant_digest(&applicant);
        let person = EsrPerson::of_applicant(&applicant);
        let known = self.applicants.get(&key).cloned();
        if known.as_ref().is_some_and(|known| known.is_decided() && known.person(key.trainee).is(person)) {
            return;
        }
        // To ESR, a trainee with another registration number is another person (D116).
        let exports = known.as_ref().map(|known| known.exports.clone()).unwrap_or_default();
        let restored =
            known.as_ref().and_then(|known| Some((known.clone(), known.export_for(person, key.trainee)?.clone())));
        if let Some((mut state, export)) = restored {
            self.stop_waiting(&key, Some(&state));
            state.restore(&export);
            self.put(key, state);
            return;
        }
        let old = known.filter(|known| !known.is_decided());
        let sent_before = applicant.sent_before.is_some();
        let same = |old: &ApplicantState| {
            let was_sent_before = old.applicant.as_ref().is_some_and(|applicant| applicant.sent_before.is_some());
            old.is_live() && old.digest == digest && !sent_before && !was_sent_before
        };
        if old.as_ref().is_some_and(same) {
            return;
        }
        let at_run = old.as_ref().and_then(|old| old.at_run.clone());
        let before = at_run.as_ref().filter(|before| before.digest == digest);
        let mut state = esr_state::ApplicantState {
            status: Status::ToExport,
            file: None,
            reason: (!applicant.warnings.is_empty()).then(|| applicant.warnings.join("; ")),
            digest,
            effective_date: before.map_or(today, |before| before.effective_date),
            at_run,
            seen_by_run: old.as_ref().is_some_and(|old| old.seen_by_run),
            applicant: None,
            gmc_number: applicant.gmc_number.clone(),
            gdc_number: applicant.gdc_number.clone(),
            exports,
        };
        if let Some(reason) = self.incomplete(&applicant, state.effective_date) {
            state.status = Status::InvalidData;
            state.reason = Some(reason);
        }
        self.stop_waiting(&key, old.as_ref());
        if state.status == Status::ToExport && !sent_before {
            self.waiting.put(waiting_key(&key, applicant.projected_hire_date), ());
        }
        state.applicant = Some(Box::new(applicant));
        self.put(key, ApplicantState(state));
    }

    /// Why a record cannot be exported: a mandatory value is missing, or does not fit its column (5.2, 5.3).
    fn incomplete(&self, applicant: &Applicant, effective_date: Date) -> Option<String> {
        if let Some(field) = missing_field(applicant) {
            return Some(format!("{field} is missing"));
        }
        let unfit = rows::incomplete(&self.context.templates, applicant, effective_date)?;
        Some(format!("{unfit} (5.4)"))
    }

    /// Handles a tombstone: the record is withdrawn (R4, D26), or deleted if no run has seen it.
    pub(super) fn withdrawn(&mut self, key: &str) -> Result<(), ProcessError> {
        let key: ApplicantKey = key
            .parse()
            .map_err(|error: ApplicantKeyError| ProcessError::dead_letter("key-not-an-applicant", error.to_string()))?;
        if self.applicants.get(&key).is_some_and(|old| !old.is_decided()) {
            self.withdraw(&key);
        }
        Ok(())
    }

    fn withdraw(&mut self, key: &ApplicantKey) {
        let Some(mut state) = self.applicants.get(key).cloned() else { return };
        self.stop_waiting(key, Some(&state));
        if let Some(export) = state.exports.last().cloned() {
            state.restore(&export);
            self.put(key.clone(), state);
        } else if state.seen_by_run {
            state.status = Status::DeletedBeforeExport;
            state.reason = None;
            state.applicant = None;
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

    /// Does a run of one office: chooses the rows and sends the file (A5, A10-A12, D24, D25).
    pub(super) fn export_applicants(&mut self, run: &ExportRun, times: RunTimes, output: &mut Output) {
        let touched: Vec<ApplicantKey> = self.touched_of(run.office).cloned().collect();
        self.forget_ended(&touched, run.today);
        self.date_records(&touched, run.today);
        self.believe_tis(run, output);
        self.warn_of_invalid(run, output);
        let chosen = self.choose(run, output);
        let context = self.context.clone();
        let mut file = OutgoingFile::start(&context, run.file_name, times, output);
        let mut left_blank = LeftBlank::default();
        for (row, key) in chosen.into_iter().enumerate() {
            let Some(mut state) = self.applicants.get(&key).cloned() else { continue };
            let Some(applicant) = state.applicant.take() else { continue };
            let line = rows::applicant(&context.templates, &applicant, state.effective_date);
            file.written_row(&format_args!("placement {}", key.placement), line, output);
            left_blank.add(key.placement, &applicant.warnings);
            self.waiting.delete(waiting_key(&key, applicant.projected_hire_date));
            state.status = Status::Pending;
            state.file = Some(run.file_name.to_string());
            self.remember_row(run.file_name, row as u32, &key, &applicant);
            self.applicants.put(key, state);
        }
        file.close(FileKind::App, output);
        left_blank.warn(run, &context, output);
        self.note_run(run.office);
    }

    /// Withdraws new and returned records whose placement has already ended (D25).
    fn forget_ended(&mut self, touched: &[ApplicantKey], today: Date) {
        for key in touched {
            let Some(state) = self.applicants.get(key).filter(|state| state.at_run.is_none()) else { continue };
            let end = state.applicant.as_ref().and_then(|applicant| applicant.projected_end_date);
            if end.is_some_and(|end| end < today) {
                self.withdraw(key);
            }
        }
    }

    /// Gives new versions whose date cannot be right the date of the run (D104).
    fn date_records(&mut self, touched: &[ApplicantKey], today: Date) {
        let odd = |state: &ApplicantState| !BELIEVED_DAYS.contains(&(state.effective_date.0 - today.0));
        let is_new = |state: &ApplicantState| state.at_run.as_ref().is_none_or(|before| before.digest != state.digest);
        for key in touched {
            let Some(state) = self.applicants.get(key).filter(|state| is_new(state) && odd(state)) else { continue };
            let mut state = state.clone();
            state.effective_date = today;
            self.applicants.put(key.clone(), state);
        }
    }

    /// D14: a record that TIS remembers as exported becomes exported in the first run that sees it.
    fn believe_tis(&mut self, run: &ExportRun, output: &mut Output) {
        let told = |state: &&ApplicantState| {
            let sent_before = state.applicant.as_ref().is_some_and(|applicant| applicant.sent_before.is_some());
            sent_before && state.is_live() && !state.is_decided()
        };
        let told: Vec<(ApplicantKey, ApplicantState)> = self
            .touched_of(run.office)
            .filter_map(|key| Some((key.clone(), self.applicants.get(key).filter(told)?.clone())))
            .collect();
        for (key, mut state) in told {
            let Some(applicant) = state.applicant.take() else { continue };
            state.file = applicant.sent_before.clone().filter(|file| !file.is_empty());
            state.note_export();
            state.reason = Some("TIS remembers that it was sent before (D14)".to_owned());
            let row = exported_row(&key, &applicant);
            self.tell_position(&row, state.file.clone().unwrap_or_default(), output);
            self.applicants.put(key, state);
        }
    }

    fn tell_position(&self, row: &ExportedRow, file_name: String, output: &mut Output) {
        let exported = ApplicantExported {
            placement_id: row.placement,
            trainee_id: row.trainee,
            date_from: row.date_from,
            date_to: row.date_to,
            file_name,
            gmc_number: row.gmc_number.clone(),
            gdc_number: row.gdc_number.clone(),
        };
        self.context.send(output, &topics::POSITION_INBOX, &row.position.0.to_be_bytes(), &exported);
    }

    fn touched_of(&self, office: Office) -> impl Iterator<Item = &ApplicantKey> {
        let first = ApplicantKey::first_of(office);
        self.touched.range(first..).map(|(key, ())| key).take_while(move |key| key.office == office)
    }

    /// Keeps the row until the file is at its destination.
    fn remember_row(&mut self, file: FileName, row: u32, key: &ApplicantKey, applicant: &Applicant) {
        self.pending.put(PendingKey { file, row }, exported_row(key, applicant));
    }

    fn choose(&mut self, run: &ExportRun, output: &mut Output) -> Vec<ApplicantKey> {
        let window = self.context.window();
        let (first, end) = (run.today.plus_days(window.start), run.today.plus_days(window.end));
        let due: Vec<WaitingKey> = self
            .waiting
            .range(lowest(run.office, Date(i32::MIN))..lowest(run.office, end))
            .map(|(key, ())| key.clone())
            .collect();
        let mut choice = Choice::new(self.context.settings.configuration.applicants.max_rows_per_post as usize);
        let policy = self.context.settings.configuration.applicants.missed_window;
        let include_late = run.include_late || policy == crate::configuration::MissedWindow::Send;
        let mut missed = Vec::new();
        for WaitingKey { office, start, placement, position, trainee } in due {
            let key = ApplicantKey { office, placement, position, trainee };
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

    /// D25: marks the records that are too late, for any reason, and raises alerts about them.
    fn miss(&mut self, run: &ExportRun, missed: Vec<ApplicantKey>, output: &mut Output) {
        let total = missed.len();
        for (at, key) in missed.into_iter().enumerate() {
            let Some(mut state) = self.applicants.get(&key).cloned() else { continue };
            state.status = Status::MissedWindow;
            if at < SINGLE_ALERTS {
                let text = format!(
                    "placement {} starts too soon to be exported for position {} in {}: tell the trust, or export late records",
                    key.placement, key.position, key.office
                );
                self.context.alert(output, Severity::Error, "missed-window", &key.placement.to_string(), text);
            }
            self.applicants.put(key, state);
        }
        if total > SINGLE_ALERTS {
            let text = format!("{total} records of {} have missed their window", run.office);
            self.context.alert(output, Severity::Error, "missed-window", run.office.as_str(), text);
        }
    }

    /// Warns of the records that have become invalid since the last run.
    fn warn_of_invalid(&self, run: &ExportRun, output: &mut Output) {
        let invalid =
            |key: &&ApplicantKey| self.applicants.get(*key).is_some_and(|state| state.status == Status::InvalidData);
        let invalid: Vec<&ApplicantKey> = self.touched_of(run.office).filter(invalid).collect();
        for key in invalid.iter().take(SINGLE_ALERTS) {
            let reason = self.applicants.get(*key).and_then(|state| state.reason.as_deref()).unwrap_or_default();
            let ApplicantKey { office, placement, position, .. } = key;
            let text = format!(
                "placement {placement} cannot be exported for position {position} in {office}: {reason}; correct it in \
                 TIS, or the position number in ESR"
            );
            self.context.alert(output, Severity::Warning, "invalid-data", &placement.to_string(), text);
        }
        if invalid.len() > SINGLE_ALERTS {
            let text = format!("{} records of {} have become invalid", invalid.len(), run.office);
            self.context.alert(output, Severity::Warning, "invalid-data", run.office.as_str(), text);
        }
    }

    /// Notes that a run has seen the records of offices which have no run now (R4). They stay touched until their own
    /// run.
    pub(super) fn note_other_run(&mut self, today: Date) {
        let touched: Vec<ApplicantKey> = self.touched.iter().map(|(key, ())| key.clone()).collect();
        self.forget_ended(&touched, today);
        self.date_records(&touched, today);
        for key in touched {
            let Some(old) = self.applicants.get(&key).filter(|state| !state.is_decided()) else { continue };
            let at_run = version_at_run(old);
            if old.seen_by_run && old.at_run == at_run {
                continue;
            }
            let mut state = old.clone();
            (state.at_run, state.seen_by_run) = (at_run, true);
            self.applicants.put(key, state);
        }
    }

    /// Notes the content of each record, with which the next run compares (D9, D20).
    fn note_run(&mut self, office: Office) {
        let touched: Vec<ApplicantKey> = self.touched_of(office).cloned().collect();
        for key in touched {
            if let Some(mut state) = self.applicants.get(&key).cloned() {
                state.at_run = version_at_run(&state);
                state.seen_by_run = true;
                if state.is_decided() {
                    state.applicant = None;
                }
                self.applicants.put(key.clone(), state);
            }
            self.touched.delete(key);
        }
    }

    /// Marks the records of a file that is at its destination as exported, and reports this to their positions.
    ///
    /// # Errors
    /// A dead letter if the name is not the name of an interface file.
    pub(super) fn written(&mut self, written: &FileWritten, output: &mut Output) -> Result<(), ProcessError> {
        let file: FileName = written
            .file_name
            .parse()
            .map_err(|error: FileNameError| ProcessError::dead_letter("not-a-file-name", error.to_string()))?;
        let key = |row| PendingKey { file, row };
        let rows: Vec<(PendingKey, ExportedRow)> =
            self.pending.range(key(0)..=key(u32::MAX)).map(|(key, pending)| (*key, pending.clone())).collect();
        for (key, row) in rows {
            self.pending.delete(key);
            let of_applicant = applicant_key(&row);
            let Some(mut state) = self.applicants.get(&of_applicant).cloned() else { continue };
            self.tell_position(&row, written.file_name.clone(), output);
            let person = EsrPerson::new(&row.gmc_number, &row.gdc_number, row.trainee);
            if state.status == Status::Pending && state.person(row.trainee).is(person) {
                state.note_export();
            } else {
                let (gmc_number, gdc_number) = (row.gmc_number, row.gdc_number);
                state.exports.push(PersonExport { gmc_number, gdc_number, file_name: written.file_name.clone() });
            }
            self.applicants.put(of_applicant, state);
        }
        Ok(())
    }
}

/// The version with which the next run compares. `None` if the record is withdrawn.
fn version_at_run(state: &ApplicantState) -> Option<VersionAtRun> {
    state.is_live().then_some(VersionAtRun { digest: state.digest, effective_date: state.effective_date })
}

/// A chosen record with its DPN as written in the file. Sorts in the order of the file (D40).
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct ChosenRow {
    dpn: Dpn,
    key: ApplicantKey,
}

/// Chooses the rows of a file. Records are offered in order of start, placement and position.
struct Choice {
    rows: Vec<ChosenRow>,
    cap: usize,
    of_dpn: BTreeMap<FoldedDpn, usize>,
    people: BTreeSet<(String, PositionId)>,
    over_cap: BTreeMap<Dpn, usize>,
    duplicates: Vec<ApplicantKey>,
}

impl Choice {
    fn new(cap: usize) -> Self {
        Self {
            rows: Vec::new(),
            cap,
            of_dpn: BTreeMap::new(),
            people: BTreeSet::new(),
            over_cap: BTreeMap::new(),
            duplicates: Vec::new(),
        }
    }

    /// Takes a record, unless the file already contains the same person for the position (D24), or the most rows that
    /// one DPN may have (A10).
    fn offer(&mut self, key: ApplicantKey, applicant: &Applicant) {
        let person = (person_identity(applicant), key.position);
        if self.people.contains(&person) {
            self.duplicates.push(key);
            return;
        }
        let rows = self.of_dpn.entry(FoldedDpn::of(&applicant.dpn)).or_default();
        if *rows == self.cap {
            *self.over_cap.entry(applicant.dpn.clone()).or_default() += 1;
            return;
        }
        *rows += 1;
        self.people.insert(person);
        self.rows.push(ChosenRow { dpn: applicant.dpn.clone(), key });
    }

    /// D40: by DPN as written in the file, then by placement id.
    fn in_order_of_the_file(mut self) -> Vec<ApplicantKey> {
        self.rows.sort();
        self.rows.into_iter().map(|row| row.key).collect()
    }

    fn warn(&self, run: &ExportRun, context: &crate::context::Context, output: &mut Output) {
        for (dpn, surplus) in &self.over_cap {
            let text = format!(
                "{surplus} applicants for {dpn} wait for the next run of {}: a file may hold {} for one post (A10)",
                run.office, self.cap
            );
            context.alert(output, Severity::Warning, "post-over-cap", dpn.as_str(), text);
        }
        for key in self.duplicates.iter().take(SINGLE_ALERTS) {
            let text = format!(
                "placement {} waits for the next run: {} holds the same person for position {} (D24)",
                key.placement, run.file_name, key.position
            );
            context.alert(output, Severity::Warning, "duplicate-applicant", &key.placement.to_string(), text);
        }
    }
}

/// Identifies a person by GMC number, otherwise by GDC number, otherwise by person id (D24).
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
    let ApplicantKey { office, placement, position, trainee } = key.clone();
    WaitingKey { office, start, placement, position, trainee }
}

fn lowest(office: Office, start: Date) -> WaitingKey {
    waiting_key(&ApplicantKey::first_of(office), start)
}

fn exported_row(key: &ApplicantKey, applicant: &Applicant) -> ExportedRow {
    let ApplicantKey { office, placement, position, trainee } = key.clone();
    let (date_from, date_to) = (applicant.projected_hire_date, applicant.projected_end_date);
    let (gmc_number, gdc_number) = (applicant.gmc_number.clone(), applicant.gdc_number.clone());
    ExportedRow { office, placement, position, trainee, date_from, date_to, gmc_number, gdc_number }
}

fn applicant_key(row: &ExportedRow) -> ApplicantKey {
    ApplicantKey { office: row.office, placement: row.placement, position: row.position, trainee: row.trainee }
}
