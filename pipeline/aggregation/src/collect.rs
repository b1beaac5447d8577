//! The `collect` stage: what has been accepted goes on to the index in the order of its acceptance. Updates with a
//! single transaction may wait for others and are merged, and while the write lock is closed everything waits.
//!
//! Without a window and a lock a record goes on at once. A clock must come every fraction of the window, and once after
//! the start of the flow: what waits goes on with it.

mod held;
#[cfg(test)]
mod tests;
mod window;

use tributary_flow::framed::unexpected;
use tributary_runtime::{Headers, Output, ProcessError, Processor, Record, StateStore, Store, TimestampMillis};
use tributary_schemas::RecordType;
use tributary_schemas::records::aggregation::{AcceptedTransactions, IndexState};
use tributary_schemas::records::aggregation_state::{CollectProgress, CollectedTransaction, HeldTransactions};
use tributary_schemas::records::tributary::Clock;
use tributary_schemas::types::aggregation::BusinessKey;

use crate::index::IndexContext;
use crate::topics;

pub use held::RELEASED_AT_ONCE;
pub use window::merge;

/// The processor of one partition.
pub struct CollectStage {
    context: IndexContext,
    partition: i32,
    /// What waits for the end of the write lock, in order of arrival.
    held: Store<i64, HeldTransactions>,
    /// What waits for others.
    collected: Store<BusinessKey, CollectedTransaction>,
    progress: Store<(), CollectProgress>,
    /// Whether what waits has changed since the last commit. One row for all changes is enough.
    is_moved: bool,
}

/// Accepted transactions with what the stage knows about their record.
struct Given<'a> {
    accepted: AcceptedTransactions,
    headers: Headers<'a>,
    /// In milliseconds since 1970.
    now: TimestampMillis,
}

impl CollectStage {
    /// Creates a task with empty state.
    pub fn new(context: IndexContext, partition: i32) -> Self {
        Self {
            context,
            partition,
            held: Store::new(0, "held"),
            collected: Store::new(1, "collected"),
            progress: Store::new(2, "progress"),
            is_moved: false,
        }
    }

    fn progress(&self) -> CollectProgress {
        self.progress.get(&()).cloned().unwrap_or_default()
    }

    fn note(&mut self, progress: CollectProgress) {
        self.progress.put((), progress);
    }

    fn accepted(&mut self, given: Given<'_>, output: &mut Output) {
        let progress = self.progress();
        if progress.locked || progress.oldest < progress.next {
            self.hold(given, progress);
        } else {
            self.take(given, output);
        }
    }

    /// Lets transactions wait for others, or go on.
    fn take(&mut self, given: Given<'_>, output: &mut Output) {
        if given.accepted.single && self.context.settings.collect_window_ms > 0 {
            self.collect(given, output);
            return;
        }
        // What waits about the same patients was accepted before.
        self.hand_on_collected_of(&given.accepted, output);
        output.set_headers(given.headers);
        self.hand_on(given.accepted, output);
    }

    fn hand_on(&self, accepted: AcceptedTransactions, output: &mut Output) {
        self.context.send_accepted(output, &topics::INDEX_COLLECTED, self.partition, accepted);
    }
}

impl Processor for CollectStage {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let framed = self.context.open(record)?;
        match framed.record_type() {
            RecordType::AggregationAcceptedTransactions => {
                let given = Given { accepted: framed.read()?, headers: record.headers, now: record.timestamp };
                self.accepted(given, output);
            }
            RecordType::AggregationIndexLock => self.lock(&framed.read()?, output),
            RecordType::AggregationIndexRelease => self.release(record.timestamp, &framed.read()?, output),
            RecordType::TributaryClock => self.clock(&framed.read::<Clock>()?, output),
            _ => return Err(unexpected(&framed)),
        }
        Ok(())
    }

    fn flush(&mut self, output: &mut Output) {
        if std::mem::take(&mut self.is_moved) {
            let progress = self.progress();
            let row = IndexState { partition: self.partition, locked: progress.locked, waiting: progress.waiting };
            self.context.send(output, &topics::INDEX_STATE, &self.partition.to_string(), &row);
        }
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![&mut self.held, &mut self.collected, &mut self.progress]
    }
}
