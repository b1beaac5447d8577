//! Notification rows: kept until every partition of the post stage has sent its part of a run, then written in order.

use tributary_runtime::Output;
use tributary_schemas::records::esr::{ExportRun, FileKind, Notification, NotificationCutDone};
use tributary_schemas::types::tis::PlacementId;

use super::{Exporter, RowKey, rows};
use crate::format::FileName;
use crate::outgoing::{OutgoingFile, RunTimes};

/// Runs for which the answers of the post stage are remembered.
const REMEMBERED_RUNS: i64 = 64;

impl Exporter {
    /// Keeps a row in the order of the file (D40).
    pub(super) fn keep_row(&mut self, row: Notification) {
        let first = key_of(&row, 0);
        let last = key_of(&row, u32::MAX);
        let at = self.notifications.range(first..=last).count() as u32;
        self.notifications.put(key_of(&row, at), row);
    }

    /// A partition of the post stage has sent all its rows of a run.
    pub(super) fn cut_done(&mut self, done: &NotificationCutDone, output: &mut Output) {
        let mut partitions = self.cuts_done.get(&done.run).cloned().unwrap_or_default();
        if !partitions.contains(&done.partition) {
            partitions.push(done.partition);
        }
        self.cuts_done.put(done.run, partitions);
        self.cuts_done.delete(done.run - REMEMBERED_RUNS);
        self.export_notifications(done.run, output);
    }

    /// Writes the files of a run once all partitions have answered.
    pub(super) fn export_notifications(&mut self, run: i64, output: &mut Output) {
        let answered = self.cuts_done.get(&run).map_or(0, Vec::len);
        if answered < output.partition_count(&crate::topics::POST) as usize {
            return;
        }
        let runs: Vec<ExportRun> = self
            .open_runs
            .range((run, String::new())..(run + 1, String::new()))
            .map(|(_, export_run)| export_run.clone())
            .collect();
        for export_run in runs {
            self.write_notifications(&export_run, output);
            self.open_runs.delete((run, export_run.office));
        }
    }

    fn write_notifications(&mut self, run: &ExportRun, output: &mut Output) {
        let Ok(name) = run.file_name.parse::<FileName>() else { return };
        let kept: Vec<(RowKey, Notification)> = self
            .notifications
            .range((run.run, run.office.clone(), String::new(), 0, PlacementId(i64::MIN), 0)..)
            .take_while(|(key, _)| key.0 == run.run && key.1 == run.office)
            .map(|(key, row)| (key.clone(), row.clone()))
            .collect();
        let times = RunTimes { now: run.now, previous: run.previous_run };
        let context = self.context.clone();
        let mut file = OutgoingFile::start(&context, &name, times, output);
        for (key, row) in kept {
            file.row(rows::notification(&context.templates, &row), output);
            self.notifications.delete(key);
        }
        file.close(&name, FileKind::Dnc, output);
    }
}

fn key_of(row: &Notification, at: u32) -> RowKey {
    (row.run, row.office.clone(), row.deanery_number.clone(), row.notification_type, row.placement_id, at)
}
