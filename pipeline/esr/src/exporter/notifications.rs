//! Notification rows. They are kept until every partition of the post stage has sent its rows of a run, and are then
//! written in order.

use tributary_runtime::{Output, ProcessError};
use tributary_schemas::Date;
use tributary_schemas::records::esr::{ExportRun, FileKind, Notification, NotificationCutDone};
use tributary_schemas::types::esr::{NotificationType, Office};
use tributary_schemas::types::tis::{Dpn, PlacementId};

use super::{Exporter, OpenRunKey, RowKey, rows};
use crate::outgoing::{OutgoingFile, RunTimes};

/// Number of runs for which the answers of the post stage are kept.
const REMEMBERED_RUNS: i64 = 64;

impl Exporter {
    /// Keeps a row under a key that sorts in the order of the file (D40).
    pub(super) fn keep_row(&mut self, row: Notification) {
        let first = key_of(&row, 0);
        let last = key_of(&row, u32::MAX);
        let at = self.notifications.range(first..=last).count() as u32;
        self.notifications.put(key_of(&row, at), row);
    }

    /// Notes that a partition of the post stage has sent all its rows of a run.
    ///
    /// # Errors
    /// As [`Exporter::export_notifications`].
    pub(super) fn cut_done(
        &mut self,
        done: &NotificationCutDone,
        today: Date,
        output: &mut Output,
    ) -> Result<(), ProcessError> {
        let mut answered = self.cuts_done.get(&done.run).cloned().unwrap_or_default();
        if answered.partitions.is_empty() {
            self.note_other_run(today);
        }
        if !answered.partitions.contains(&done.partition) {
            answered.partitions.push(done.partition);
        }
        self.cuts_done.put(done.run, answered);
        self.cuts_done.delete(done.run - REMEMBERED_RUNS);
        self.export_notifications(done.run, output)
    }

    /// Sends the files of a run after all partitions have answered.
    ///
    /// # Errors
    /// As [`RunTimes::new`].
    pub(super) fn export_notifications(&mut self, run: i64, output: &mut Output) -> Result<(), ProcessError> {
        let answered = self.cuts_done.get(&run).map_or(0, |answered| answered.partitions.len());
        if answered < output.partition_count(&crate::topics::POST) as usize {
            return Ok(());
        }
        let first = |run| OpenRunKey { run, office: Office::FIRST };
        let runs: Vec<(OpenRunKey, ExportRun)> =
            self.open_runs.range(first(run)..first(run + 1)).map(|(key, run)| (*key, run.clone())).collect();
        for (key, run) in runs {
            let times = RunTimes::new(run.now, run.previous_run)?;
            self.write_notifications(&run, times, output);
            self.open_runs.delete(key);
        }
        Ok(())
    }

    fn write_notifications(&mut self, run: &ExportRun, times: RunTimes, output: &mut Output) {
        let first = RowKey {
            run: run.run,
            office: run.office,
            dpn: Dpn::default(),
            notification_type: NotificationType::Rotation,
            placement: PlacementId(i64::MIN),
            at: 0,
        };
        let kept: Vec<(RowKey, Notification)> = self
            .notifications
            .range(first..)
            .take_while(|(key, _)| key.run == run.run && key.office == run.office)
            .map(|(key, row)| (key.clone(), row.clone()))
            .collect();
        let context = self.context.clone();
        let mut file = OutgoingFile::start(&context, run.file_name, times, output);
        for (key, row) in kept {
            let line = rows::notification(&context.templates, &row);
            if row.notification_type == NotificationType::NewPost {
                file.written_row(&row.dpn, line, output);
            } else {
                file.written_row(&format_args!("placement {}", row.placement_id), line, output);
            }
            file.count(&row.notification_type.to_string());
            self.notifications.delete(key);
        }
        file.close(FileKind::Dnc, output);
    }
}

fn key_of(row: &Notification, at: u32) -> RowKey {
    RowKey {
        run: row.run,
        office: row.office,
        dpn: row.dpn.clone(),
        notification_type: row.notification_type,
        placement: row.placement_id,
        at,
    }
}
