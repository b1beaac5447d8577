//! What came of a batch: collected from the stages, as one document for programs.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Serialize;
use tributary_esr::exporter::{Exporter, Status};
use tributary_esr::position::Positions;
use tributary_esr::report::{Event, Report};
use tributary_schemas::records::esr::FileKind;
use tributary_schemas::records::tributary::{Alert, FileEvent, FileStatus};

use crate::failure::Failure;
use crate::running::RunningFlow;
use crate::table;

/// What came of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The moment as of which it ran.
    pub now: Timestamp,
    /// Files from ESR that are new in this run.
    pub inbound: Vec<InboundFile>,
    /// Files for ESR that were written in this run.
    pub outbound: Vec<OutboundFile>,
    /// Each office as it is now.
    pub offices: BTreeMap<String, OfficeFigures>,
    /// All applicant records, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<Vec<ApplicantLine>>,
    /// What a person should see.
    pub warnings: Vec<String>,
}

/// A file from ESR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InboundFile {
    /// Its name.
    pub name: String,
    /// `processed`, `parked`, `refused` or `ignored`.
    pub status: &'static str,
    /// Lines received by record type.
    pub received: BTreeMap<String, i64>,
    /// Lines accepted by record type.
    pub accepted: BTreeMap<String, i64>,
    /// Lines rejected.
    pub rejected: Vec<RejectedLine>,
}

/// A line of a file from ESR that was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RejectedLine {
    /// Its number, from 1.
    pub line: i32,
    /// The column to blame, from 1; 0 for the whole line.
    pub column: i32,
    /// What is wrong.
    pub reason: String,
}

/// A file for ESR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutboundFile {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its office.
    pub office: String,
    /// Its number.
    pub number: i64,
    /// Rows between header and trailer.
    pub rows: i64,
}

/// One office in figures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OfficeFigures {
    /// Positions that ESR has told of, deleted ones included.
    pub positions: u64,
    /// Positions that ESR has not deleted: `matched` and `unmatched` together.
    pub live: u64,
    /// Positions with a post.
    pub matched: u64,
    /// Positions without one.
    pub unmatched: u64,
    /// Applicant records by their state now.
    pub applicants: ApplicantFigures,
    /// Notification rows of this run by type.
    pub notifications: BTreeMap<String, u64>,
}

/// Applicant records by state (5.2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ApplicantFigures {
    /// Wait for their window or for room in a file.
    pub to_export: u64,
    /// In a file that is not yet at its destination.
    pub pending: u64,
    /// Exported.
    pub exported: u64,
    /// Lack a mandatory field.
    pub invalid_data: u64,
    /// Withdrawn before they were exported.
    pub deleted_before_export: u64,
    /// Their window has passed.
    pub missed_window: u64,
}

/// An applicant record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ApplicantLine {
    /// The placement.
    pub placement_id: i64,
    /// The position.
    pub position_id: i64,
    /// The trainee.
    pub trainee_id: i64,
    /// The office.
    pub office: String,
    /// Its state.
    pub status: &'static str,
    /// Why it stands there, or what was left blank.
    pub reason: Option<String>,
    /// The file that it went into.
    pub file: Option<String>,
}

/// The notification types of the daily file (6.1).
pub const NOTIFICATION_TYPES: [&str; 4] = ["1", "2", "4", "5"];

/// The number that the next event gets: where a batch begins.
///
/// # Errors
/// [`Failure::Unfinished`] when the workers do not answer.
pub fn next_event(flow: &RunningFlow) -> Result<i64, Failure> {
    let sequences = flow.inspect(|report: &Report| report.next_sequence())?;
    Ok(sequences.into_iter().max().unwrap_or_default())
}

/// Collects the summary of everything since the event `first_event`; `own_warnings` are those of the sources.
///
/// # Errors
/// [`Failure::Unfinished`] when the workers do not answer.
pub fn collect(
    flow: &RunningFlow,
    now: Timestamp,
    first_event: i64,
    with_records: bool,
    own_warnings: Vec<String>,
) -> Result<Summary, Failure> {
    let events = flow.inspect(move |report: &Report| report.events_since(first_event).cloned().collect::<Vec<_>>())?;
    let mut summary = Summary {
        now,
        inbound: Vec::new(),
        outbound: Vec::new(),
        offices: offices(flow)?,
        records: with_records.then(|| records(flow)).transpose()?,
        warnings: own_warnings,
    };
    let mut inbound_at = HashMap::new();
    for event in events.into_iter().flatten() {
        match event {
            Event::Alert(alert) => summary.warnings.push(warning(&alert)),
            Event::File(event) if event.status == FileStatus::Written => summary.outbound.push(outbound(event)),
            Event::File(event) => add_inbound(&mut summary.inbound, &mut inbound_at, event),
        }
    }
    // Partitions of the writer work side by side; files are listed by type and number.
    summary.outbound.sort_by(|one, other| place(one).cmp(&place(other)));
    count_notifications(flow, &mut summary);
    summary.warnings.extend(dead_letters(flow));
    summary.warnings = once_each(summary.warnings);
    Ok(summary)
}

/// Equal warnings as one with their number, where the first stood: what a placement lacks, for one, is missed by each
/// of its applicant records.
fn once_each(warnings: Vec<String>) -> Vec<String> {
    let mut counts: HashMap<String, u64> = HashMap::new();
    for warning in &warnings {
        *counts.entry(warning.clone()).or_default() += 1;
    }
    // A count is taken out where its warning stands first, so that the others find none.
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
    }
}

/// Confirmations first, then as the runs follow each other.
fn place(file: &OutboundFile) -> (bool, &str, i64, &str) {
    (file.kind != FileKind::Rtc.symbol(), &file.kind, file.number, &file.name)
}

/// A file has one entry, with what became of it last.
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

fn offices(flow: &RunningFlow) -> Result<BTreeMap<String, OfficeFigures>, Failure> {
    let none = || NOTIFICATION_TYPES.map(|kind| (kind.to_owned(), 0)).into();
    let empty = || OfficeFigures { notifications: none(), ..OfficeFigures::default() };
    let mut offices: BTreeMap<String, OfficeFigures> =
        flow.context().offices.iter().map(|office| (office.clone(), empty())).collect();
    let positions = flow.inspect(|positions: &Positions| {
        let mut figures: BTreeMap<String, OfficeFigures> = BTreeMap::new();
        for (_, position) in positions.positions() {
            let office = figures.entry(position.office.clone()).or_default();
            office.positions += 1;
            // Live is what ESR has not deleted, also without a DPN: such a position is unmatched (R3, D5).
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
    for (name, status, count) in applicants(flow)? {
        let figures = &mut offices.entry(name).or_insert_with(empty).applicants;
        *figures.of(status) += count;
    }
    Ok(offices)
}

fn applicants(flow: &RunningFlow) -> Result<Vec<(String, Status, u64)>, Failure> {
    let counts = flow.inspect(|exporter: &Exporter| {
        let mut counts: HashMap<(String, &'static str), (Status, u64)> = HashMap::new();
        for (key, state) in exporter.applicants() {
            counts.entry((key.0.clone(), state.status.as_str())).or_insert((state.status, 0)).1 += 1;
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

fn records(flow: &RunningFlow) -> Result<Vec<ApplicantLine>, Failure> {
    let lines = flow.inspect(|exporter: &Exporter| {
        let line = |((office, placement, position, trainee), state): (&tributary_esr::exporter::ApplicantKey, _)| {
            let state: &tributary_esr::exporter::ApplicantState = state;
            ApplicantLine {
                placement_id: placement.0,
                position_id: position.0,
                trainee_id: trainee.0,
                office: office.clone(),
                status: state.status.as_str(),
                reason: state.reason.clone(),
                file: state.file.clone(),
            }
        };
        exporter.applicants().map(line).collect::<Vec<_>>()
    })?;
    let mut lines: Vec<ApplicantLine> = lines.into_iter().flatten().collect();
    lines.sort();
    Ok(lines)
}

/// Counts the rows of the files of this run.
fn count_notifications(flow: &RunningFlow, summary: &mut Summary) {
    let files = summary.outbound.iter().filter(|file| file.kind == FileKind::Dnc.symbol() && file.rows > 0);
    for file in files {
        let Some(office) = summary.offices.get_mut(&file.office) else { continue };
        for (kind, rows) in flow.outbox().notification_types(&file.name) {
            *office.notifications.entry(kind).or_default() += rows;
        }
    }
}

fn dead_letters(flow: &RunningFlow) -> Vec<String> {
    let stages = flow.metrics().into_iter().flat_map(|metrics| metrics.stages());
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
