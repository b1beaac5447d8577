//! The summary of a batch for people.

use std::fmt::Write;

use tributary_flow::table;

use crate::summary::{InboundFile, NOTIFICATION_TYPES, OfficeFigures, OutboundFile, Summary};

/// The number of entries of a kind that are listed. The others are only counted.
const LISTED: usize = 12;

/// The width of long lines in lists, in characters.
const WIDTH: usize = 100;

/// The complete summary.
pub(crate) fn summary(summary: &Summary) -> String {
    let mut text = format!("Exchange as of {}\n\n", summary.now);
    text.push_str(&offices(summary));
    text.push_str(&inbound(&summary.inbound));
    text.push_str(&outbound(&summary.outbound));
    text.push_str(&records(summary));
    text.push_str(&warnings(&summary.warnings));
    text
}

/// A table with one line for each office, and their sum if there are several.
pub(crate) fn offices(summary: &Summary) -> String {
    let mut rows: Vec<Vec<String>> =
        summary.offices.iter().map(|(name, figures)| office_row(name.as_str(), figures)).collect();
    if rows.len() > 1 {
        rows.push(office_row("all", &total(summary.offices.values())));
    }
    let heading = [
        "office",
        "positions",
        "matched",
        "unmatched",
        "exported",
        "waiting",
        "invalid",
        "missed",
        "gone",
        "type 1",
        "2",
        "4",
        "5",
    ];
    let mut text = String::new();
    for line in table::lines(&heading, &rows, 1) {
        push_line(&mut text, &line);
    }
    text.push('\n');
    text
}

/// What the columns of the table of offices mean.
pub(crate) const OFFICES_LEGEND: &str = "\
positions: all that ESR has reported; matched and unmatched: the live ones, with and without a post.
exported ... gone: applicant records by their state (waiting for their window; lacking a mandatory
field; window missed; withdrawn before export). type 1, 2, 4, 5: notification rows of this run.";

fn office_row(name: &str, figures: &OfficeFigures) -> Vec<String> {
    let applicants = &figures.applicants;
    let mut row = vec![name.to_owned()];
    let counts = [
        figures.positions,
        figures.matched,
        figures.unmatched,
        applicants.exported,
        applicants.to_export + applicants.pending,
        applicants.invalid_data,
        applicants.missed_window,
        applicants.deleted_before_export,
    ];
    row.extend(counts.map(table::number));
    row.extend(NOTIFICATION_TYPES.map(|kind| table::number(figures.notifications.get(kind).copied().unwrap_or(0))));
    row
}

fn total<'a>(offices: impl Iterator<Item = &'a OfficeFigures>) -> OfficeFigures {
    let mut total = OfficeFigures::default();
    for office in offices {
        total.positions += office.positions;
        total.live += office.live;
        total.matched += office.matched;
        total.unmatched += office.unmatched;
        total.applicants.to_export += office.applicants.to_export;
        total.applicants.pending += office.applicants.pending;
        total.applicants.exported += office.applicants.exported;
        total.applicants.invalid_data += office.applicants.invalid_data;
        total.applicants.deleted_before_export += office.applicants.deleted_before_export;
        total.applicants.missed_window += office.applicants.missed_window;
        for (kind, rows) in &office.notifications {
            *total.notifications.entry(kind.clone()).or_default() += rows;
        }
    }
    total
}

fn inbound(files: &[InboundFile]) -> String {
    let mut text = format!("Files from ESR: {}\n", files.len());
    // Those that wait for a decision must not be among the ones that are only counted.
    let (parked, others): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.status == "parked");
    for file in parked.into_iter().chain(others).take(LISTED) {
        let counts: Vec<String> = file
            .received
            .iter()
            .map(|(kind, received)| format!("{kind} {} of {received}", file.accepted.get(kind).unwrap_or(&0)))
            .collect();
        push_line(&mut text, &cut(&format!("  {:<9}  {}  {}", file.status, file.name, counts.join(", "))));
        for rejected in file.rejected.iter().take(LISTED) {
            push_line(
                &mut text,
                &cut(&format!("      line {}, column {}: {}", rejected.line, rejected.column, rejected.reason)),
            );
        }
        more(&mut text, "      ", file.rejected.len());
    }
    more(&mut text, "  ", files.len());
    text.push('\n');
    text
}

fn outbound(files: &[OutboundFile]) -> String {
    let mut text = format!("Files for ESR: {}\n", files.len());
    for file in files {
        let rows = table::counted(file.rows.unsigned_abs(), "row ", "rows");
        push_line(&mut text, &format!("  {}  {}  {rows:>12}  {}", file.kind, file.office, file.name));
    }
    text.push('\n');
    text
}

fn records(summary: &Summary) -> String {
    let Some(records) = &summary.records else { return String::new() };
    let rows: Vec<Vec<String>> = records
        .iter()
        .map(|record| {
            vec![
                record.office.to_string(),
                record.placement_id.to_string(),
                record.position_id.to_string(),
                record.trainee_id.to_string(),
                record.status.to_owned(),
                record.file.clone().or_else(|| record.reason.clone()).unwrap_or_default(),
            ]
        })
        .collect();
    let mut text = format!("Applicant records: {}\n", records.len());
    for line in table::lines(&["office", "placement", "position", "trainee", "status", "file or reason"], &rows, 6) {
        push_line(&mut text, &format!("  {line}"));
    }
    text.push('\n');
    text
}

/// The first warnings, and the number of the others.
pub(crate) fn warnings(warnings: &[String]) -> String {
    if warnings.is_empty() {
        return String::new();
    }
    let mut text = format!("Warnings: {}\n", warnings.len());
    for warning in warnings.iter().take(LISTED) {
        push_line(&mut text, &format!("  {warning}"));
    }
    more(&mut text, "  ", warnings.len());
    text
}

fn more(text: &mut String, indent: &str, total: usize) {
    if total > LISTED {
        push_line(text, &format!("{indent}and {} more (all of them with --output json)", total - LISTED));
    }
}

/// Cuts a line to the width of a list.
pub(crate) fn cut(line: &str) -> String {
    if line.chars().count() <= WIDTH {
        return line.to_owned();
    }
    let mut cut: String = line.chars().take(WIDTH - 1).collect();
    cut.push('…');
    cut
}

fn push_line(text: &mut String, line: &str) {
    // Writing into a String cannot fail.
    let _ = writeln!(text, "{line}");
}
