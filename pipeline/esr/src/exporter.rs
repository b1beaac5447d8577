//! The `exporter` stage, partitioned by office: every applicant record with its state (5.2), and the rows of APP and DNC
//! files. What goes into a file is decided in one transaction; the file itself is the writer's.

mod applicants;
mod notifications;
mod rows;
mod state;

use tributary_runtime::{Output, ProcessError, Processor, Record, StateStore, Store};
use tributary_schemas::records::esr::{Applicant, ExportRun, FileKind, Notification, NotificationCutDone};
use tributary_schemas::records::tributary::FileWritten;
use tributary_schemas::types::esr::PositionId;
use tributary_schemas::types::tis::{PersonId, PlacementId};
use tributary_schemas::{Date, RecordType};

use crate::context::{Context, text_key, unexpected};

pub use state::{ApplicantState, Status};

/// Identity of an applicant record within an office (D27).
pub type ApplicantKey = (String, PlacementId, PositionId, PersonId);

/// A row of a file that is being built: the record, and its dates as exported.
type ExportedRow = (ApplicantKey, (Date, Option<Date>));

/// Key of a notification row: run, office, then the order of rows in the file (D40).
type RowKey = (i64, String, String, i32, PlacementId, u32);

/// The processor of one partition.
pub struct Exporter {
    context: Context,
    applicants: Store<ApplicantKey, ApplicantState>,
    /// Records that wait for their window, by start (D25).
    waiting: Store<(String, Date, PlacementId, PositionId, PersonId), ()>,
    /// Records that have changed since the office's last applicant run.
    touched: Store<ApplicantKey, ()>,
    /// Rows of files that are not yet at their destination.
    pending: Store<(String, u32), ExportedRow>,
    notifications: Store<RowKey, Notification>,
    /// Notification runs of offices that wait for all partitions of the post stage.
    open_runs: Store<(i64, String), ExportRun>,
    /// Partitions of the post stage that have sent all rows of a run.
    cuts_done: Store<i64, Vec<i32>>,
}

impl Exporter {
    /// A task without state yet.
    pub fn new(context: Context) -> Self {
        Self {
            context,
            applicants: Store::new(),
            waiting: Store::new(),
            touched: Store::new(),
            pending: Store::new(),
            notifications: Store::new(),
            open_runs: Store::new(),
            cuts_done: Store::new(),
        }
    }

    /// All applicant records, for summaries.
    pub fn applicants(&self) -> impl Iterator<Item = (&ApplicantKey, &ApplicantState)> {
        self.applicants.iter()
    }

    fn run(&mut self, run: ExportRun, output: &mut Output) {
        if run.kind == FileKind::App {
            self.export_applicants(&run, output);
            return;
        }
        let id = run.run;
        self.open_runs.put((run.run, run.office.clone()), run);
        self.export_notifications(id, output);
    }
}

impl Processor for Exporter {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        if record.value.is_none() {
            return self.withdrawn(text_key(record)?);
        }
        let framed = self.context.open(record)?;
        match framed.record_type() {
            RecordType::EsrApplicant => self.changed(framed.read::<Applicant>()?, record.timestamp),
            RecordType::EsrNotification => self.keep_row(framed.read()?),
            RecordType::EsrNotificationCutDone => self.cut_done(&framed.read::<NotificationCutDone>()?, output),
            RecordType::EsrExportRun => self.run(framed.read()?, output),
            RecordType::TributaryFileWritten => self.written(&framed.read::<FileWritten>()?, output),
            _ => return Err(unexpected(&framed)),
        }
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![
            &mut self.applicants,
            &mut self.waiting,
            &mut self.touched,
            &mut self.pending,
            &mut self.notifications,
            &mut self.open_runs,
            &mut self.cuts_done,
        ]
    }
}

#[cfg(test)]
mod tests;
