//! The log events of this crate: each message, level and set of fields is here, once.

use std::fmt::Display;

use tributary_connectors::tis::LoadReport;
use tributary_connectors::trouble::{Change, Report};
use tributary_esr::report::Event;
use tributary_schemas::records::tributary::Severity;

/// The most lines of one kind at one time. Further ones are counted.
pub(crate) const SINGLE_LINES: usize = 20;

pub(crate) fn rounds_are_here() {
    tracing::info!("this process reads the inbox and the snapshot of TIS, and starts runs by the clock");
}

pub(crate) fn decision_refused(reason: &dyn Display) {
    tracing::error!("{reason}");
}

/// A file that stays in the inbox.
pub(crate) fn file_left(reason: &dyn Display) {
    tracing::warn!("{reason}");
}

pub(crate) fn file_taken_in(file: &dyn Display, bytes: u64) {
    tracing::info!(%file, bytes, "taken in");
}

/// A trouble of the inbox or of one of its entries begins, changes, lasts or ends.
pub(crate) fn inbox_trouble(report: &Report) {
    if report.change == Change::Ended {
        tracing::info!("inbox: {report}");
    } else {
        tracing::error!("inbox: {report}");
    }
}

pub(crate) fn snapshot_taken_in(report: &LoadReport) {
    let warnings = report.warnings();
    warnings.iter().take(SINGLE_LINES).for_each(|warning| tracing::warn!("{warning}"));
    let more = warnings.len().saturating_sub(SINGLE_LINES);
    if more > 0 {
        tracing::warn!(more, "the snapshot causes more warnings; a batch lists them in its summary");
    }
    // Without a file there was no snapshot.
    if !report.files.is_empty() && report.refused.is_none() {
        tracing::info!(objects = report.loaded(), "snapshot taken in");
    }
}

pub(crate) fn snapshot_trouble(report: &Report) {
    match report.change {
        Change::Ended => tracing::info!("{report}"),
        Change::Begun | Change::Changed | Change::Lasting => tracing::warn!("{report}"),
    }
}

/// The state is new, and there are files of another one.
pub(crate) fn state_is_new(warning: &str) {
    tracing::warn!("{warning}");
}

/// What the report stage has kept: a file or an alert.
pub(crate) fn reported(event: &Event) {
    match event {
        Event::File(file) => tracing::info!(
            file = file.file_name,
            rows = file.rows,
            rejected = file.rejected.len(),
            note = file.note,
            "file {}",
            file.status.symbol().to_lowercase()
        ),
        Event::Alert(alert) if alert.severity == Severity::Error => {
            tracing::error!(code = alert.code, subject = alert.subject, "{}", alert.text);
        }
        Event::Alert(alert) if alert.severity == Severity::Info => {
            tracing::info!(code = alert.code, subject = alert.subject, "{}", alert.text);
        }
        Event::Alert(alert) => tracing::warn!(code = alert.code, subject = alert.subject, "{}", alert.text),
    }
}

/// Alerts of one code that are not logged one by one.
pub(crate) fn more_alerts(code: &str, more: usize) {
    tracing::warn!(code, more, "there are more alerts of this kind: `tributary esr alerts` lists them");
}

pub(crate) fn abandoned_files_stay(error: &dyn Display) {
    tracing::warn!(%error, "temporary files of an earlier run stay in the outbox");
}

/// A row of a view, written by something else.
pub(crate) fn row_unreadable(view: &str, key: &str, error: &dyn Display) {
    tracing::error!(view, key, "a row cannot be read and is left out: {error}");
}
