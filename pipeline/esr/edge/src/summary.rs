//! The result of a batch, collected from the stages, as one document for programs.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Serialize;
use tributary_esr::exporter::{ApplicantKey, ApplicantState, Exporter, Status};
use tributary_esr::format::{FileName, Office};
use tributary_esr::inbound::{Inbound, LedgerStatus};
use tributary_esr::position::PositionStage;
use tributary_esr::report::{Event, Report};
use tributary_schemas::records::esr::FileKind;
use tributary_schemas::records::tributary::{Alert, FileEvent, FileStatus};

use tributary_flow::{Failure, table};

use crate::exchange::Exchange;

/// The result of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    /// The time as of which the batch ran.
    pub(crate) now: Timestamp,
    /// The files from ESR that are new in this batch, and all that are parked (D109).
    pub(crate) inbound: Vec<InboundFile>,
    /// The files for ESR that were written in this batch.
    pub(crate) outbound: Vec<OutboundFile>,
    /// The current state of each office.
    pub(crate) offices: BTreeMap<Office, OfficeFigures>,
    /// All applicant records, if the operator asked for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) records: Option<Vec<ApplicantLine>>,
    /// What the operator should see.
    pub(crate) warnings: Vec<String>,
}

/// A file from ESR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct InboundFile {
    /// Its name.
    pub(crate) name: String,
    /// `processed`, `parked`, `refused` or `ignored`.
    pub(crate) status: &'static str,
    /// The number of received lines by record type.
    pub(crate) received: BTreeMap<String, i64>,
    /// The number of accepted lines by record type.
    pub(crate) accepted: BTreeMap<String, i64>,
    /// The rejected lines.
    pub(crate) rejected: Vec<RejectedLine>,
}

impl InboundFile {
    /// A file without lines.
    fn named(name: FileName, status: &'static str) -> Self {
        let (received, accepted) = (BTreeMap::new(), BTreeMap::new());
        Self { name: name.to_string(), status, received, accepted, rejected: Vec::new() }
    }
}

/// What a batch has noted itself, besides the events of the stages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Noted {
    /// Warnings of the sources.
    pub(crate) warnings: Vec<String>,
    /// Files that were not read because of their size (D107).
    pub(crate) refused: Vec<FileName>,
}

/// A rejected line of a file from ESR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RejectedLine {
    /// Its number, from 1.
    pub(crate) line: i32,
    /// The wrong column, from 1. 0 for the whole line.
    pub(crate) column: i32,
    /// What is wrong.
    pub(crate) reason: String,
}

/// A file for ESR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct OutboundFile {
    /// Its name.
    pub(crate) name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Its office.
    pub(crate) office: String,
    /// Its number.
    pub(crate) number: i64,
    /// The number of rows between header and trailer.
    pub(crate) rows: i64,
    /// The number of rows by their type, if a file has several types.
    #[serde(skip)]
    pub(crate) types: BTreeMap<String, u64>,
}

/// The numbers of one office.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct OfficeFigures {
    /// Positions that ESR has reported, also deleted ones.
    pub(crate) positions: u64,
    /// Positions that ESR has not deleted: `matched` and `unmatched` together.
    pub(crate) live: u64,
    /// Positions with a post.
    pub(crate) matched: u64,
    /// Positions without a post.
    pub(crate) unmatched: u64,
    /// Applicant records by their current state.
    pub(crate) applicants: ApplicantFigures,
    /// Notification rows of this batch by type.
    pub(crate) notifications: BTreeMap<String, u64>,
}

/// The numbers of applicant records by state (5.2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ApplicantFigures {
    /// Records that wait for their window or for room in a file.
    pub(crate) to_export: u64,
    /// Records in a file that is not written yet.
    pub(crate) pending: u64,
    /// Exported records.
    pub(crate) exported: u64,
    /// Records that lack a mandatory field.
    pub(crate) invalid_data: u64,
    /// Records withdrawn before they were exported.
    pub(crate) deleted_before_export: u64,
    /// Records whose window has passed.
    pub(crate) missed_window: u64,
}

/// An applicant record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct ApplicantLine {
    /// The id of the placement.
    pub(crate) placement_id: i64,
    /// The id of the position.
    pub(crate) position_id: i64,
    /// The id of the trainee.
    pub(crate) trainee_id: i64,
    /// The code of the office.
    pub(crate) office: Office,
    /// Its state.
    pub(crate) status: &'static str,
    /// Why it has this state, or what was left blank.
    pub(crate) reason: Option<String>,
    /// The file that contains it.
    pub(crate) file: Option<String>,
}

/// The notification types of the daily file (6.1).
pub(crate) const NOTIFICATION_TYPES: [&str; 4] = ["1", "2", "4", "5"];

/// The number of the next event, with which a batch starts.
///
/// # Errors
/// [`Failure::Unfinished`] when the workers do not answer.
pub(crate) fn next_event(exchange: &Exchange) -> Result<i64, Failure> {
    let sequences = exchange.process.inspect(|report: &Report| report.next_sequence())?;
    Ok(sequences.into_iter().max().unwrap_or_default())
}

/// Collects the summary of the events from `first_event` on, and of what the batch has `noted`.
///
/// # Errors
/// [`Failure::Unfinished`] when the workers do not answer.
pub(crate) fn collect(exchange: &Exchange, now: Timestamp, first_event: i64, noted: Noted) -> Result<Summary, Failure> {
    let events = exchange
        .process
        .inspect(move |report: &Report| report.events_since(first_event).cloned().collect::<Vec<_>>())?;
    let mut summary = Summary {
        now,
        inbound: Vec::new(),
        outbound: Vec::new(),
        offices: offices(exchange)?,
        records: exchange.configured.records.then(|| records(exchange)).transpose()?,
        warnings: noted.warnings,
    };
    let mut inbound_at = HashMap::new();
    for event in events.into_iter().flatten() {
        match event {
            Event::Alert(alert) => summary.warnings.push(warning(&alert)),
            Event::File(event) if event.status == FileStatus::Written => summary.outbound.push(outbound(event)),
            Event::File(event) => add_inbound(&mut summary.inbound, &mut inbound_at, event),
        }
    }
    summary.inbound.extend(noted.refused.into_iter().map(|name| InboundFile::named(name, "refused")));
    add_parked(exchange, &mut summary)?;
    // Partitions of the writer work in parallel. The list is sorted by type and number.
    summary.outbound.sort_by(|one, other| place(one).cmp(&place(other)));
    count_notifications(&mut summary);
    summary.warnings.extend(dead_letters(exchange));
    summary.warnings = once_each(summary.warnings);
    Ok(summary)
}

/// Lists equal warnings once, with their number, at the position of the first. For example, each applicant record of a
/// placement reports what the placement lacks.
fn once_each(warnings: Vec<String>) -> Vec<String> {
    let mut counts: HashMap<String, u64> = HashMap::new();
    for warning in &warnings {
        *counts.entry(warning.clone()).or_default() += 1;
    }
    // The first warning takes the count, so that its duplicates find none.
    let mut text = |warning: String| match counts.remove(&warning)? {
        1 => Some(warning),
        count => Some(format!("{warning} ({count} times)")),
    };
    warnings.into_iter().filter_map(&mut text).collect()
}

fn warning(alert: &Alert) -> String {
    if alert.subject.is_empty() || alert.text.contains(&alert.subject) {
        return alert.text.clone();
    }
    format!("{}: {}", alert.subject, alert.text)
}

fn outbound(event: FileEvent) -> OutboundFile {
    OutboundFile {
        name: event.file_name,
        kind: event.kind,
        office: event.party,
        number: event.number,
        rows: event.rows,
        types: event.counts.into_iter().map(|count| (count.record_type, count.accepted.unsigned_abs())).collect(),
    }
}

/// Sorts confirmations first, then the files in the order of the runs.
fn place(file: &OutboundFile) -> (bool, &str, i64, &str) {
    (file.kind != FileKind::Rtc.symbol(), &file.kind, file.number, &file.name)
}

/// Adds or replaces the entry of a file. Only the last event of a file counts.
fn add_inbound(files: &mut Vec<InboundFile>, at: &mut HashMap<String, usize>, event: FileEvent) {
    let status = match event.status {
        FileStatus::Processed => "processed",
        FileStatus::Parked => "parked",
        FileStatus::Refused => "refused",
        FileStatus::Ignored => "ignored",
        FileStatus::Written | FileStatus::Held => return,
    };
    let file = InboundFile {
        status,
        received: event.counts.iter().map(|count| (count.record_type.clone(), count.received)).collect(),
        accepted: event.counts.iter().map(|count| (count.record_type.clone(), count.accepted)).collect(),
        rejected: event
            .rejected
            .into_iter()
            .map(|rejected| RejectedLine { line: rejected.line, column: rejected.column, reason: rejected.reason })
            .collect(),
        name: event.file_name,
    };
    if let Some(index) = at.get(&file.name) {
        files[*index] = file;
        return;
    }
    at.insert(file.name.clone(), files.len());
    files.push(file);
}

/// Adds the parked files, until they are decided about and taken in (D109). One that came again is parked, too.
fn add_parked(exchange: &Exchange, summary: &mut Summary) -> Result<(), Failure> {
    let parked = exchange.process.inspect(|inbound: &Inbound| {
        let parked = inbound.ledger().filter(|(_, entry)| entry.status == LedgerStatus::Parked);
        parked.map(|(name, entry)| (name, entry.accepted)).collect::<Vec<_>>()
    })?;
    let mut parked = parked.concat();
    parked.sort_unstable();
    for (name, is_accepted) in parked {
        let text = name.to_string();
        match summary.inbound.iter_mut().find(|file| file.name == text) {
            Some(file) if file.status == "ignored" => file.status = "parked",
            Some(_) => continue,
            None => summary.inbound.push(InboundFile::named(name, "parked")),
        }
        summary.warnings.push(if is_accepted {
            format!("{text} is accepted, but cannot be read from the inbox: have it sent again (D10)")
        } else {
            format!("{text} is parked: accept it, refuse it, or have it sent again (D10)")
        });
    }
    Ok(())
}

fn offices(exchange: &Exchange) -> Result<BTreeMap<Office, OfficeFigures>, Failure> {
    let none = || NOTIFICATION_TYPES.map(|kind| (kind.to_owned(), 0)).into();
    let empty = || OfficeFigures { notifications: none(), ..OfficeFigures::default() };
    let mut offices: BTreeMap<Office, OfficeFigures> =
        exchange.context.offices.iter().map(|office| (*office, empty())).collect();
    let positions = exchange.process.inspect(|positions: &PositionStage| {
        let mut figures: BTreeMap<Office, OfficeFigures> = BTreeMap::new();
        for (_, position) in positions.positions() {
            let office = figures.entry(position.office).or_default();
            office.positions += 1;
            // A position that ESR has not deleted is live, also without a DPN. It is then unmatched (R3, D5).
            office.live += u64::from(!position.deleted);
            office.matched += u64::from(position.is_matched());
        }
        figures
    })?;
    for (name, figures) in positions.into_iter().flatten() {
        let office = offices.entry(name).or_insert_with(empty);
        office.positions += figures.positions;
        office.live += figures.live;
        office.matched += figures.matched;
        office.unmatched = office.live - office.matched;
    }
    for (name, status, count) in applicants(exchange)? {
        let figures = &mut offices.entry(name).or_insert_with(empty).applicants;
        *figures.of(status) += count;
    }
    Ok(offices)
}

fn applicants(exchange: &Exchange) -> Result<Vec<(Office, Status, u64)>, Failure> {
    let counts = exchange.process.inspect(|exporter: &Exporter| {
        let mut counts: HashMap<(Office, &'static str), (Status, u64)> = HashMap::new();
        for (key, state) in exporter.applicants() {
            counts.entry((key.office, state.status.symbol())).or_insert((state.status, 0)).1 += 1;
        }
        counts.into_iter().map(|((office, _), (status, count))| (office, status, count)).collect::<Vec<_>>()
    })?;
    Ok(counts.into_iter().flatten().collect())
}

impl ApplicantFigures {
    fn of(&mut self, status: Status) -> &mut u64 {
        match status {
            Status::ToExport => &mut self.to_export,
            Status::Pending => &mut self.pending,
            Status::Exported => &mut self.exported,
            Status::InvalidData => &mut self.invalid_data,
            Status::DeletedBeforeExport => &mut self.deleted_before_export,
            Status::MissedWindow => &mut self.missed_window,
        }
    }
}

fn records(exchange: &Exchange) -> Result<Vec<ApplicantLine>, Failure> {
    let lines = exchange.process.inspect(|exporter: &Exporter| {
        let line = |(key, state): (&ApplicantKey, &ApplicantState)| ApplicantLine {
            placement_id: key.placement.0,
            position_id: key.position.0,
            trainee_id: key.trainee.0,
            office: key.office,
            status: state.status.symbol(),
            reason: state.reason.clone(),
            file: state.file.clone(),
        };
        exporter.applicants().map(line).collect::<Vec<_>>()
    })?;
    let mut lines: Vec<ApplicantLine> = lines.into_iter().flatten().collect();
    lines.sort();
    Ok(lines)
}

/// Adds the rows of this run's files to their offices, by type.
fn count_notifications(summary: &mut Summary) {
    for file in &summary.outbound {
        let office = file.office.parse().ok().and_then(|office: Office| summary.offices.get_mut(&office));
        let Some(office) = office else { continue };
        for (kind, rows) in &file.types {
            *office.notifications.entry(kind.clone()).or_default() += rows;
        }
    }
}

fn dead_letters(exchange: &Exchange) -> Vec<String> {
    let stages = exchange.process.metrics().into_iter().flat_map(|metrics| metrics.stages());
    let affected = stages.filter(|stage| stage.dead_letters > 0);
    let text = |stage: tributary_runtime::StageStatistics| {
        let records = table::counted(stage.dead_letters, "record", "records");
        format!("stage {}: {records} could never be processed; see the topic esr.dead-letter", stage.name)
    };
    affected.map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_warnings_stand_once_with_their_number() {
        let warnings = ["b", "a", "b", "c", "b"].map(str::to_owned).to_vec();
        assert_eq!(once_each(warnings), ["b (3 times)", "a", "c"]);
    }
}
