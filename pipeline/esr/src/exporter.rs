//! The `exporter` stage, partitioned by office: every applicant record with its state (5.2), and the rows of APP and
//! DNC files. One transaction decides about the content of a file. The writer stage writes the file.

mod applicants;
mod left_blank;
mod notifications;
mod office_counts;
mod rows;
mod state;

use tributary_flow::framed::unexpected;
use tributary_flow::key;
use tributary_runtime::{Output, ProcessError, Processor, Record, StateStore, Store, state_key};
use tributary_schemas::records::esr::{Applicant, ExportRun, FileKind, Notification, NotificationCutDone};
use tributary_schemas::records::esr_state::{CutsDone, ExportedRow};
use tributary_schemas::records::tributary::FileWritten;
use tributary_schemas::types::esr::{NotificationType, PositionId};
use tributary_schemas::types::tis::{Dpn, PersonId, PlacementId};
use tributary_schemas::{Date, RecordType};

use crate::context::{Context, london_date};
use crate::format::{FileName, Office};
use crate::outgoing::RunTimes;
use crate::service_time::UNDATED_HEADER;

use office_counts::OfficeCounts;

pub use state::{ApplicantState, Status};

pub use crate::applicant::ApplicantKey;

/// In place of the date of a record whose time was not believed: 9999-12-31. The next run puts its own date there
/// (D104).
const UNDATED: Date = Date(2_932_896);

/// Days around a run in which the dates of records that the run sees for the first time are believed (D104).
const BELIEVED_DAYS: std::ops::RangeInclusive<i32> = -400..=1;

/// A record that waits for its window. Sorts by office and start, the order in which runs choose records (D25).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct WaitingKey {
    office: Office,
    start: Date,
    placement: PlacementId,
    position: PositionId,
    trainee: PersonId,
}

state_key!(WaitingKey { office, start, placement, position, trainee });

/// A row of a file that is not yet at its destination, by its position in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct PendingKey {
    file: FileName,
    row: u32,
}

state_key!(PendingKey { file, row });

/// Key of a notification row. Sorts by run and office, then in the order of the file (D40).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct RowKey {
    run: i64,
    office: Office,
    dpn: Dpn,
    notification_type: NotificationType,
    placement: PlacementId,
    /// Distinguishes rows that are equal in all other fields.
    at: u32,
}

state_key!(RowKey { run, office, dpn, notification_type, placement, at });

/// A notification run of an office that waits for all partitions of the post stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct OpenRunKey {
    run: i64,
    office: Office,
}

state_key!(OpenRunKey { run, office });

/// The processor of one partition.
pub struct Exporter {
    context: Context,
    applicants: Store<ApplicantKey, ApplicantState>,
    waiting: Store<WaitingKey, ()>,
    /// Records that have changed since the office's last applicant run.
    touched: Store<ApplicantKey, ()>,
    /// Rows of files that are not yet at their destination.
    pending: Store<PendingKey, ExportedRow>,
    notifications: Store<RowKey, Notification>,
    open_runs: Store<OpenRunKey, ExportRun>,
    /// Partitions of the post stage that have sent all rows of a run.
    cuts_done: Store<i64, CutsDone>,
    /// The counts in the view.
    office_counts: OfficeCounts,
}

impl Exporter {
    /// Creates a task with empty state.
    pub fn new(context: Context, partition: i32) -> Self {
        Self {
            context,
            office_counts: OfficeCounts::new(partition),
            applicants: Store::new(0, "applicants"),
            waiting: Store::new(1, "waiting"),
            touched: Store::new(2, "touched"),
            pending: Store::new(3, "pending"),
            notifications: Store::new(4, "notifications"),
            open_runs: Store::new(5, "open_runs"),
            cuts_done: Store::new(6, "cuts_done"),
        }
    }

    /// All applicant records, for summaries.
    pub fn applicants(&self) -> impl Iterator<Item = (&ApplicantKey, &ApplicantState)> {
        self.applicants.iter()
    }

    /// The last time that this partition has shown, in milliseconds since 1970.
    pub fn shown_at(&self) -> Option<i64> {
        self.office_counts.shown_at.get(&()).map(|clock| clock.now)
    }

    fn run(&mut self, run: ExportRun, output: &mut Output) -> Result<(), ProcessError> {
        let times = RunTimes::new(run.now, run.previous_run)?;
        check(&run)?;
        if run.kind == FileKind::App {
            self.export_applicants(&run, times, output);
            return Ok(());
        }
        let id = run.run;
        self.open_runs.put(OpenRunKey { run: id, office: run.office }, run);
        self.export_notifications(id, output)
    }
}

/// The date of a record (D20). [`UNDATED`] if its time was not believed.
fn date_of(record: &Record<'_>) -> Result<Date, ProcessError> {
    if record.headers.get(UNDATED_HEADER).is_some() {
        return Ok(UNDATED);
    }
    london_date(record.timestamp)
}

/// Refuses a run of a type of file that no run writes, and one whose file belongs to another run.
fn check(run: &ExportRun) -> Result<(), ProcessError> {
    let ExportRun { kind, office, file_name, .. } = run;
    if !matches!(kind, FileKind::App | FileKind::Dnc) {
        let text = format!("{kind} files are not written in runs: ask for APP or DNC");
        return Err(ProcessError::dead_letter("kind-without-runs", text));
    }
    if (file_name.kind, file_name.office) != (*kind, *office) {
        let text = format!("a run of {kind} of {office} cannot write {file_name}: ask for a new run");
        return Err(ProcessError::dead_letter("file-of-another-run", text));
    }
    Ok(())
}

impl Processor for Exporter {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        if record.value.is_none() {
            return self.withdrawn(key::text(record)?);
        }
        let framed = self.context.open(record)?;
        match framed.record_type() {
            RecordType::EsrApplicant => self.changed(framed.read::<Applicant>()?, date_of(record)?),
            RecordType::EsrNotification => self.keep_row(framed.read()?),
            RecordType::EsrNotificationCutDone => {
                self.cut_done(&framed.read::<NotificationCutDone>()?, london_date(record.timestamp)?, output)?;
            }
            RecordType::EsrExportRun => self.run(framed.read()?, output)?,
            RecordType::TributaryClock => {
                self.office_counts.show(&framed.read()?, &self.applicants, &self.context, output);
            }
            RecordType::TributaryFileWritten => self.written(&framed.read::<FileWritten>()?, output)?,
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
            &mut self.office_counts.shown,
            &mut self.office_counts.shown_at,
        ]
    }
}

#[cfg(test)]
mod tests;
