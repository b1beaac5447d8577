//! What others see of the flow, in the words of the oracle.

use std::collections::BTreeMap;

use tributary_registry::topics;
use tributary_registry_oracle::{Place, Row, Status};
use tributary_runtime::Topic;
use tributary_schemas::AvroRecord;
use tributary_schemas::records::registry::{AuditAction, AuditEntry, JobEvent, JobRow, JobStatus};
use tributary_schemas::types::registry::RowId;

use crate::simulated_flow::{SimulatedFlow, number_of};

impl SimulatedFlow {
    /// The rows.
    pub fn seen_rows(&self) -> BTreeMap<Place, Row> {
        let rows = self.rows().into_iter();
        rows.map(|((partition, key), row)| ((partition, key.as_bytes()[0]), self.row(&row))).collect()
    }

    fn row(&self, row: &JobRow) -> Row {
        let info = row.info.as_ref().map(|info| u32::from_be_bytes(info.as_slice().try_into().unwrap()));
        Row {
            made_by: number_of(row.id.as_bytes()),
            status: match row.status {
                JobStatus::Pending => Status::Pending,
                JobStatus::Processed => Status::Processed,
                JobStatus::Failed => Status::Failed,
                JobStatus::FailedWithError => Status::FailedWithError,
            },
            run: self.runs[&row.run_id],
            info,
            synced_at: row.synced_at,
            inserted_at: row.inserted_at,
            updated_at: row.updated_at,
            updated_by: number_of(row.updated_by.as_bytes()),
            attempt: row.attempt.unsigned_abs(),
            restarts: row.restarts.unsigned_abs(),
            next_attempt_at: row.next_attempt_at,
            deadline_at: row.deadline_at,
            error: row.error.as_ref().map(|error| error.error_class.symbol()),
        }
    }

    /// Transitions by the request that has made the row.
    pub fn seen_events(&self) -> BTreeMap<u32, Vec<&'static str>> {
        let of = |event: JobEvent| (event.row_id, event.transition.symbol());
        self.collect(&topics::EVENT, of)
    }

    /// Audited actions, in the same way.
    pub fn seen_audit(&self) -> BTreeMap<u32, Vec<&'static str>> {
        let of = |entry: AuditEntry| (entry.resource_id, AuditAction::symbol(entry.action));
        self.collect(&topics::AUDIT, of)
    }

    fn collect<R: AvroRecord>(
        &self,
        topic: &'static Topic,
        of: impl Fn(R) -> (Option<RowId>, &'static str),
    ) -> BTreeMap<u32, Vec<&'static str>> {
        let mut found: BTreeMap<u32, Vec<&'static str>> = BTreeMap::new();
        for partition in 0..self.partitions {
            for record in self.broker.read_committed(topic.name, partition) {
                let read: R = self.codec.open(&record.value.unwrap()).unwrap().read().unwrap();
                let (row, what) = of(read);
                found.entry(row.map_or(0, |row| number_of(row.as_bytes()))).or_default().push(what);
            }
        }
        found
    }

    /// Records that could not be processed.
    pub fn dead_letters(&self) -> usize {
        let count = |partition| self.broker.read_committed(topics::DEAD_LETTER.name, partition).len();
        (0..self.partitions).map(count).sum()
    }
}
