//! The `job` stage: it owns the row of a number, and its run. A row, the call that it sends, its audit and its events
//! are one transaction.
//!
//! A run is live while its row is pending. Outcomes of another run change nothing (R 6). Waits are times that a record
//! of the clock releases; nothing here runs on its own.

mod commands;
mod due;
mod outcomes;
mod outputs;
mod requests;
#[cfg(test)]
mod tests;

use tributary_flow::framed::unexpected;
use tributary_runtime::{Output, ProcessError, Processor, Record, StateStore, Store};
use tributary_schemas::RecordType;
use tributary_schemas::records::registry::{JobRow, JobStatus, KindState};
use tributary_schemas::records::registry_state::{Job, KindCount};
use tributary_schemas::types::registry::KindName;

use crate::context::Context;
use crate::row_key::RowKey;

/// The processor of one partition.
pub struct JobStage {
    context: Context,
    jobs: Store<RowKey, Job>,
    /// Pending rows by the time at which something has to happen.
    due: Store<(i64, RowKey), ()>,
    /// All other rows by the time of their last change.
    ended: Store<(i64, RowKey), ()>,
    counts: Store<KindName, KindCount>,
    kinds: Store<KindName, KindState>,
}

impl JobStage {
    /// Creates a task with empty state.
    pub fn new(context: Context) -> Self {
        Self {
            context,
            jobs: Store::new(0, "jobs"),
            due: Store::new(1, "due"),
            ended: Store::new(2, "ended"),
            counts: Store::new(3, "counts"),
            kinds: Store::new(4, "kinds"),
        }
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = (RowKey, &JobRow)> {
        self.jobs.iter().map(|(key, job)| (*key, &job.row))
    }

    fn job(&self, key: RowKey) -> Option<Job> {
        self.jobs.get(&key).cloned()
    }

    /// Rows of a kind that are pending in this partition.
    fn pending(&self, kind: &KindName) -> i64 {
        self.counts.get(kind).map_or(0, |count| count.pending)
    }

    /// Keeps a row with its places in the indexes, and sends it.
    fn put(&mut self, key: RowKey, mut job: Job, output: &mut Output) {
        self.take_out(key);
        job.row.version += 1;
        match time_of(&job.row) {
            Time::Due(at) => self.due.put((at, key), ()),
            Time::Ended(at) => self.ended.put((at, key), ()),
        }
        self.count(&job.row, 1);
        self.send_row(key, &job.row, output);
        self.jobs.put(key, job);
    }

    /// Forgets a row.
    fn remove(&mut self, key: RowKey) {
        self.take_out(key);
        self.jobs.delete(key);
    }

    /// Takes a row out of the indexes.
    fn take_out(&mut self, key: RowKey) {
        let Some(row) = self.jobs.get(&key).map(|job| job.row.clone()) else { return };
        match time_of(&row) {
            Time::Due(at) => self.due.delete((at, key)),
            Time::Ended(at) => self.ended.delete((at, key)),
        }
        self.count(&row, -1);
    }

    fn count(&mut self, row: &JobRow, change: i64) {
        if row.status == JobStatus::Pending {
            let pending = self.pending(&row.kind) + change;
            self.counts.put(row.kind.clone(), KindCount { pending });
        }
    }
}

/// Where a row stands in the indexes.
enum Time {
    Due(i64),
    Ended(i64),
}

fn time_of(row: &JobRow) -> Time {
    if row.status != JobStatus::Pending {
        return Time::Ended(row.updated_at);
    }
    let times = [row.next_attempt_at, row.deadline_at];
    Time::Due(times.into_iter().flatten().min().unwrap_or(row.updated_at))
}

/// Whether a call of the run is open: it has no outcome yet.
fn has_open_call(row: &JobRow) -> bool {
    row.status == JobStatus::Pending && row.next_attempt_at.is_none()
}

impl Processor for JobStage {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let framed = self.context.open(record)?;
        match framed.record_type() {
            RecordType::RegistryLookupRequest => self.request(RowKey::of(record)?, &framed.read()?, output),
            RecordType::RegistryCallAnswer => self.answer(RowKey::of(record)?, framed.read()?, output),
            RecordType::RegistryJobCommand => self.command(record, &framed.read()?, output),
            RecordType::TributaryClock => {
                self.clock(&framed.read()?, output);
                Ok(())
            }
            _ => Err(unexpected(&framed)),
        }
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![&mut self.jobs, &mut self.due, &mut self.ended, &mut self.counts, &mut self.kinds]
    }
}
