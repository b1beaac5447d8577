//! The `inbound` stage: takes files in, one after the other (D9), and splits them into lines for the position stage. It
//! keeps the ledger of files (D10-D12), and writes the confirmation (RTC) after every position partition has answered.

mod ledger;
mod order;
mod splitting;

use tributary_flow::framed::unexpected;
use tributary_runtime::{Output, ProcessError, Processor, Record, StateStore, Store, TimestampMillis};
use tributary_schemas::records::esr::{
    Decision, FileArrived, FileChunk, FileDecision, FileEnd, FileKind, LineVerdict, PositionFileDone,
};
use tributary_schemas::records::esr_state::{ConfirmedFile, LastConfirmation};
use tributary_schemas::records::tributary::{FileEvent, FileStatus, RecordCount, RejectedLine, Severity};
use tributary_schemas::{Date, RecordType};

use crate::context::{Context, london_date};
use crate::format::{Envelope, FileName, Line, LineKey, Office, Suspect, rtc};
use crate::outgoing::{OutgoingFile, RunTimes};
use crate::{topics, views};

pub use ledger::{Counts, LedgerEntry, LedgerStatus};

/// Most rejected lines that an event names. The others are in the RTC and in the dead letters.
const NAMED_LINES: usize = 1_000;

/// The date of a file may be this number of days after its arrival.
const FARTHEST_DAYS: i32 = 400;

const CONFIRMATION_HELD: &str = "the RTC of another file has the same name (D12)";
const REFUSED_BY_OPERATOR: &str = "refused by an operator";

/// The processor of the only partition.
pub struct Inbound {
    context: Context,
    ledger: Store<FileName, LedgerEntry>,
    verdicts: Store<LineKey, LineVerdict>,
    /// The confirmed file, by the name of its RTC (D12).
    confirmations: Store<FileName, ConfirmedFile>,
    /// The time of the last RTC of an office, in milliseconds since 1970 (D51).
    last_confirmation: Store<Office, LastConfirmation>,
}

impl Inbound {
    /// Creates a task with empty state.
    pub fn new(context: Context) -> Self {
        Self {
            context,
            ledger: Store::new(0, "ledger"),
            verdicts: Store::new(1, "verdicts"),
            confirmations: Store::new(2, "confirmations"),
            last_confirmation: Store::new(3, "last_confirmation"),
        }
    }

    /// All files that have ever arrived, by name.
    pub fn ledger(&self) -> impl Iterator<Item = (FileName, &LedgerEntry)> {
        self.ledger.iter().map(|(name, entry)| (*name, entry))
    }

    fn arrived(&mut self, arrived: &FileArrived, now: TimestampMillis, output: &mut Output) {
        let name = arrived.file_name;
        let known = self.ledger.get(&name).cloned();
        if known.is_none() {
            self.check_number(name, output);
        }
        let accepted = match known {
            None => false,
            Some(entry) if entry.status == LedgerStatus::Parked && entry.sha256 != arrived.sha256 => false,
            Some(entry) if entry.status == LedgerStatus::Parked && entry.accepted => true,
            Some(entry) => {
                self.seen_again(entry, arrived, output);
                return;
            }
        };
        let mut entry = LedgerEntry { accepted, ..LedgerEntry::of(arrived) };
        if let Some(bytes) = arrived.padding {
            let text = format!("{bytes} bytes of padding after the trailer (NUL or ^Z) are left out");
            self.context.alert(output, Severity::Info, "file-padded", &name.to_string(), text);
        }
        let suspect = envelope(arrived).check(&name, &self.context.inbound_layouts).err();
        let suspect = suspect.or_else(|| dated_ahead(name, now));
        let park = self.context.settings.configuration.inbound.suspect == crate::configuration::SuspectPolicy::Park;
        match suspect {
            Some(suspect) if park && !accepted => {
                entry.status = LedgerStatus::Parked;
                self.park(name, &suspect.reason, output);
            }
            Some(suspect) => {
                let text = format!("{}: the file is taken in all the same", suspect.reason);
                self.context.alert(output, Severity::Warning, "file-suspect", &name.to_string(), text);
            }
            None => {}
        }
        self.ledger.put(name, entry);
    }

    /// A file whose name was used before: the same content is ignored, other content is refused (D11).
    fn seen_again(&mut self, mut entry: LedgerEntry, arrived: &FileArrived, output: &mut Output) {
        let name = arrived.file_name;
        if !entry.is_taken_in() && entry.sha256 == arrived.sha256 {
            // The delivery of this file was interrupted and starts again. Its chunks continue where they stopped.
            return;
        }
        if entry.has_only_moved(arrived) {
            // It was moved, or its rights were changed: nobody has sent it again (D109).
            entry.see(arrived);
            self.ledger.put(name, entry);
            return;
        }
        let (status, note) = if entry.status == LedgerStatus::Parked {
            (FileStatus::Ignored, "the same file is parked already: accept or refuse it")
        } else if entry.sha256 == arrived.sha256 {
            (FileStatus::Ignored, "the same file was taken in before")
        } else {
            (FileStatus::Refused, "a file of this name with other content was taken in before")
        };
        if status == FileStatus::Refused {
            let text = format!("{note}: ask the sender which one counts, and for a new name");
            self.context.alert(output, Severity::Error, "file-name-used-up", &name.to_string(), text);
        }
        self.event(name, status, note, output);
        entry.see(arrived);
        self.ledger.put(name, entry);
    }

    fn park(&self, name: FileName, reason: &str, output: &mut Output) {
        let text = format!("{reason}: the file is parked; accept it, refuse it, or have it sent again");
        self.context.alert(output, Severity::Error, "file-suspect", &name.to_string(), text);
        let parked = self.event(name, FileStatus::Parked, reason, output);
        self.show(&parked, output);
    }

    /// Reports what happened to a delivery of a file. What became of the file itself is a row of the view, see
    /// [`Self::show`].
    fn event(&self, name: FileName, status: FileStatus, note: &str, output: &mut Output) -> FileEvent {
        let event = FileEvent { note: note.to_owned(), ..event_about(name, status) };
        self.context.file_event(output, &event);
        event
    }

    /// Replaces the row of a file. A second delivery of it changes nothing there.
    fn show(&self, file: &FileEvent, output: &mut Output) {
        self.context.send(output, &topics::VIEW, views::file_key(&file.file_name).as_bytes(), file);
    }

    /// Replaces the row of a file that is refused or processed.
    fn show_entry(&self, name: FileName, entry: &LedgerEntry, output: &mut Output) {
        let file = match entry.status {
            LedgerStatus::Refused => event_about(name, FileStatus::Refused),
            _ => self.processed(name, entry),
        };
        let note = match (entry.confirmation_held, entry.status) {
            (true, _) => CONFIRMATION_HELD,
            (false, LedgerStatus::Refused) => REFUSED_BY_OPERATOR,
            (false, _) => "",
        };
        self.show(&FileEvent { note: note.to_owned(), ..file }, output);
    }

    fn decided(&mut self, decision: &FileDecision, now: i64, output: &mut Output) -> Result<(), ProcessError> {
        let name = decision.file_name;
        let Some(mut entry) = self.ledger.get(&name).cloned() else {
            return Err(ProcessError::dead_letter("unknown-file", format!("{name} was never taken in")));
        };
        match (decision.decision, entry.status) {
            (Decision::Accept, LedgerStatus::Parked) => entry.accepted = true,
            (Decision::Refuse, LedgerStatus::Parked) => {
                entry.status = LedgerStatus::Refused;
                self.event(name, FileStatus::Refused, REFUSED_BY_OPERATOR, output);
                self.confirm(name, &mut entry, now, output)?;
            }
            (Decision::Release, _) if entry.confirmation_held => {
                entry.confirmation_held = false;
                let rows = self.confirmation_rows(name, &entry);
                self.write_confirmation(name, rows, now, output)?;
                self.show_entry(name, &entry, output);
            }
            (decision, status) => {
                let text = format!("{decision} does not fit a file that is {status:?}");
                return Err(ProcessError::dead_letter("decision-does-not-fit", text));
            }
        }
        self.ledger.put(name, entry);
        Ok(())
    }

    fn chunk(&mut self, chunk: &FileChunk, record: &Record<'_>, output: &mut Output) {
        let name = chunk.file_name;
        let Some(mut entry) = self.ledger.get(&name).cloned() else { return };
        let expected = entry.status == LedgerStatus::Receiving && entry.sha256 == chunk.sha256;
        if !expected || entry.next_chunk != chunk.index {
            return;
        }
        self.split(chunk, &mut entry, record, output);
        entry.next_chunk += 1;
        if chunk.last {
            entry.status = LedgerStatus::Confirming;
            let end = FileEnd { file_name: name, office: name.office };
            output.set_headers(record.headers);
            output.broadcast(&topics::POSITION_INBOX, b"", |buffer| self.context.write(&end, buffer));
        }
        self.ledger.put(name, entry);
    }

    fn position_done(&mut self, done: &PositionFileDone, now: i64, output: &mut Output) -> Result<(), ProcessError> {
        let name = done.file_name;
        let Some(mut entry) = self.ledger.get(&name).cloned() else { return Ok(()) };
        if entry.status != LedgerStatus::Confirming || entry.answered.contains(&done.partition) {
            return Ok(());
        }
        if !done.more {
            entry.answered.insert(done.partition);
        }
        for verdict in &done.verdicts {
            if !verdict.accepted {
                entry.count(&verdict.record_type).accepted -= 1;
            }
            self.add_verdict(name, verdict.clone());
        }
        entry.unnamed += done.unnamed;
        let room = 20_usize.saturating_sub(entry.unnamed_examples.len());
        entry.unnamed_examples.extend(done.unnamed_examples.iter().take(room));
        if !done.more && entry.answered.len() as i32 == done.partitions {
            self.finish(name, &mut entry, now, output)?;
        }
        self.ledger.put(name, entry);
        Ok(())
    }

    /// Every partition has answered: the file is processed and confirmed.
    fn finish(
        &mut self,
        name: FileName,
        entry: &mut LedgerEntry,
        now: i64,
        output: &mut Output,
    ) -> Result<(), ProcessError> {
        entry.status = LedgerStatus::Processed;
        self.context.file_event(output, &self.processed(name, entry));
        if entry.unnamed > 0 {
            let examples: Vec<String> = entry.unnamed_examples.iter().map(ToString::to_string).collect();
            let text = format!(
                "{} positions of {} are not named in this full file (D8), among them {}",
                entry.unnamed,
                name.office,
                examples.join(", ")
            );
            self.context.alert(output, Severity::Warning, "positions-not-named", &name.to_string(), text);
        }
        self.report_overtaken(name, output);
        self.confirm(name, entry, now, output)
    }

    /// Writes the RTC of a file. If the RTC of another file has the same name, it is held back (D12), because ESR would
    /// receive only one of the two.
    fn confirm(
        &mut self,
        name: FileName,
        entry: &mut LedgerEntry,
        now: i64,
        output: &mut Output,
    ) -> Result<(), ProcessError> {
        let confirmation = name.with_kind(FileKind::Rtc);
        let confirmed = self.confirmations.get(&confirmation).map(|confirmed| confirmed.file_name);
        let other = confirmed.filter(|confirmed| *confirmed != name);
        if let Some(other) = other {
            entry.confirmation_held = true;
            let text = format!(
                "{confirmation} confirms {other} already: the confirmation of {name} is held back until it is released"
            );
            self.context.alert(output, Severity::Warning, "confirmation-held", &name.to_string(), text);
            self.event(name, FileStatus::Held, CONFIRMATION_HELD, output);
            self.show_entry(name, entry, output);
            return Ok(());
        }
        self.show_entry(name, entry, output);
        self.confirmations.put(confirmation, ConfirmedFile { file_name: name });
        let rows = self.confirmation_rows(name, entry);
        self.write_confirmation(name, rows, now, output)
    }

    fn processed(&self, name: FileName, entry: &LedgerEntry) -> FileEvent {
        let rejected = self.verdicts_of(name).filter(|verdict| !verdict.accepted).take(NAMED_LINES);
        FileEvent {
            counts: entry
                .counts
                .iter()
                .map(|(record_type, counts)| RecordCount {
                    record_type: record_type.clone(),
                    received: counts.received,
                    accepted: counts.accepted,
                })
                .collect(),
            rejected: rejected
                .map(|verdict| RejectedLine {
                    line: verdict.line,
                    column: verdict.column,
                    reason: verdict.text.clone(),
                })
                .collect(),
            ..event_about(name, FileStatus::Processed)
        }
    }

    fn confirmation_rows(&self, name: FileName, entry: &LedgerEntry) -> Vec<String> {
        if entry.status == LedgerStatus::Refused {
            return vec![rtc::refused_file_row(&self.context.templates, "the file was refused by an operator")];
        }
        let verdicts: Vec<rtc::Verdict<'_>> = self.verdicts_of(name).map(as_row).collect();
        let counts: Vec<rtc::Count<'_>> = entry
            .counts
            .iter()
            .map(|(record_type, counts)| rtc::Count {
                record_type,
                received: counts.received.unsigned_abs(),
                accepted: counts.accepted.unsigned_abs(),
            })
            .collect();
        rtc::rows(&self.context.templates, &verdicts, &counts)
    }

    fn write_confirmation(
        &mut self,
        name: FileName,
        rows: Vec<String>,
        now: i64,
        output: &mut Output,
    ) -> Result<(), ProcessError> {
        let name = name.with_kind(FileKind::Rtc);
        // A confirmation that a wrong clock has dated after now is no previous run (D103).
        let previous = self.last_confirmation.get(&name.office).map(|last| last.time).filter(|last| *last <= now);
        let times = RunTimes::new(now, previous)?;
        let mut file = OutgoingFile::start(&self.context, name, times, output);
        for row in rows {
            file.row(row, output);
        }
        file.close(FileKind::Rtc, output);
        self.last_confirmation.put(name.office, LastConfirmation { time: now });
        Ok(())
    }

    fn verdicts_of(&self, file: FileName) -> impl Iterator<Item = &LineVerdict> {
        let key = |line| LineKey { file, line };
        self.verdicts.range(key(i32::MIN)..=key(i32::MAX)).map(|(_, verdict)| verdict)
    }

    /// Stores a verdict. A line has one row (D53), so a second verdict is joined to the first one. The more serious
    /// verdict counts.
    fn add_verdict(&mut self, file: FileName, verdict: LineVerdict) {
        let key = LineKey { file, line: verdict.line };
        let joined = match self.verdicts.get(&key) {
            None => verdict,
            Some(first) => LineVerdict {
                accepted: first.accepted && verdict.accepted,
                severity: first.severity.max(verdict.severity),
                text: format!("{}; {}", first.text, verdict.text),
                overtaken_by: first.overtaken_by.or(verdict.overtaken_by),
                ..if verdict.severity > first.severity { verdict } else { first.clone() }
            },
        };
        self.verdicts.put(key, joined);
    }
}

/// A file whose name is dated more than 400 days after its arrival (D105). Later files would count as older than it.
fn dated_ahead(name: FileName, now: TimestampMillis) -> Option<Suspect> {
    let arrival = london_date(now).ok()?;
    let is_ahead = Date::from_civil(name.date).0 > arrival.plus_days(FARTHEST_DAYS).0;
    is_ahead.then(|| Suspect { reason: format!("its date is more than {FARTHEST_DAYS} days after {arrival}") })
}

/// The envelope of a file, from the first and the last line in the record of its arrival.
fn envelope(arrived: &FileArrived) -> Envelope<'_> {
    let line = |number: u64, bytes| Line { number, bytes };
    let lines = u64::from(arrived.lines.unsigned_abs());
    let first = (lines > 0).then(|| line(1, arrived.first_line.as_slice()));
    let last = (lines > 0).then(|| line(lines, arrived.last_line.as_slice()));
    let misplaced = arrived.misplaced_line.map(|line| u64::from(line.unsigned_abs()));
    Envelope { first, last, non_blank: lines, misplaced }
}

/// An event about a file, without counts and without a note.
fn event_about(name: FileName, status: FileStatus) -> FileEvent {
    FileEvent {
        file_name: name.to_string(),
        party: name.office.to_string(),
        kind: name.kind.to_string(),
        number: name.number as i64,
        status,
        ..FileEvent::default()
    }
}

fn as_row(verdict: &LineVerdict) -> rtc::Verdict<'_> {
    rtc::Verdict {
        line: u64::from(verdict.line.unsigned_abs()),
        record_type: &verdict.record_type,
        id: verdict.id,
        dpn: verdict.dpn.as_str(),
        accepted: verdict.accepted,
        severity: verdict.severity,
        text: &verdict.text,
    }
}

impl Processor for Inbound {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let framed = self.context.open(record)?;
        match framed.record_type() {
            RecordType::EsrFileArrived => self.arrived(&framed.read()?, record.timestamp, output),
            RecordType::EsrFileChunk => self.chunk(&framed.read()?, record, output),
            RecordType::EsrFileDecision => self.decided(&framed.read()?, record.timestamp, output)?,
            RecordType::EsrPositionFileDone => self.position_done(&framed.read()?, record.timestamp, output)?,
            _ => return Err(unexpected(&framed)),
        }
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![&mut self.ledger, &mut self.verdicts, &mut self.confirmations, &mut self.last_confirmation]
    }
}

#[cfg(test)]
mod tests;
