//! Commits and aborts: the one place where outputs, state changes and input offsets become one transaction.

use std::time::{Duration, Instant};

use super::{Committing, Uncommitted, Worker, WorkerError};
use crate::events;
use crate::log_error::LogError;
use crate::metrics::add;
use crate::record::Headers;
use crate::task::Task;
use crate::topic::TopicPartition;

/// A transaction with no more records than this does not count as load.
const FEW_RECORDS: usize = 8;

/// Where the worker's transaction is after a step that may have had to abort it.
#[must_use = "after an abort the records are processed again, so the caller must not go on with them"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transaction {
    /// It still collects, or its commit is still under way.
    Open,
    /// It is committed: no commit is under way.
    Committed,
    /// It was aborted, together with everything that came after it. State and inputs are back at the last commit.
    Aborted,
}

impl Worker {
    /// Hands the collected output to the log when it is large. `Open` or `Aborted`.
    pub(super) fn send_large_output(&mut self) -> Result<Transaction, WorkerError> {
        if self.committing.is_some() || self.output.byte_size() < self.config.limits.bytes / 2 {
            return Ok(Transaction::Open);
        }
        self.uncommitted.bytes += self.output.byte_size();
        let sent = self.log.send(&self.output);
        self.output.clear();
        self.abort_if_required(sent, Transaction::Open)
    }

    /// `success` when `result` is `Ok`. Turns an abortable error into an abort.
    fn abort_if_required(
        &mut self,
        result: Result<(), LogError>,
        success: Transaction,
    ) -> Result<Transaction, WorkerError> {
        match result {
            Ok(()) => Ok(success),
            Err(LogError::Abortable(text)) => self.drop_uncommitted(&text).map(|()| Transaction::Aborted),
            Err(error) => Err(error.into()),
        }
    }

    /// Drops the open transaction everywhere. A commit that is under way is awaited first, and dropped too if it fails.
    pub(super) fn roll_back(&mut self, reason: &str) -> Result<(), WorkerError> {
        match self.await_commit()? {
            Transaction::Aborted => Ok(()),
            Transaction::Open | Transaction::Committed => self.drop_uncommitted(reason),
        }
    }

    fn drop_uncommitted(&mut self, reason: &str) -> Result<(), WorkerError> {
        events::transaction_aborted(reason);
        self.output.clear();
        self.tasks.iter_mut().for_each(Task::discard);
        self.uncommitted = Uncommitted::default();
        self.aborts += 1;
        add(&self.metrics.aborts, 1);
        Ok(self.log.abort()?)
    }

    /// Whether the limits are reached under load. A transaction of offsets alone may grow ten times larger, because the
    /// broker is slow with those. It is committed with later output, or when there is nothing to read.
    pub(super) fn is_commit_due(&mut self) -> bool {
        let limits = self.config.limits;
        let Uncommitted { since: Some(since), records, bytes, .. } = self.uncommitted else { return false };
        let bytes = bytes + self.output.byte_size();
        if records < limits.records && bytes < limits.bytes && since.elapsed() < limits.time {
            return false;
        }
        records / 10 >= limits.records || bytes > 0 || self.tasks.iter_mut().any(Task::has_changes)
    }

    /// Ends the open transaction: commits it, or aborts it when that fails. Either way, the state afterwards is the
    /// committed one.
    pub(super) fn commit_or_abort(&mut self) -> Result<(), WorkerError> {
        self.commit_all().map(drop)
    }

    /// Commits the open transaction and waits for the end of the commit: `Committed` or `Aborted`.
    pub(super) fn commit_all(&mut self) -> Result<Transaction, WorkerError> {
        if self.uncommitted.since.is_some() && self.begin_commit()? == Transaction::Aborted {
            return Ok(Transaction::Aborted);
        }
        self.await_commit()
    }

    /// Begins to commit outputs, state changes and input offsets together, after the end of the previous commit. `Open`
    /// while the commit is under way; `Aborted` when either of the two had to be aborted.
    pub(super) fn begin_commit(&mut self) -> Result<Transaction, WorkerError> {
        if self.await_commit()? == Transaction::Aborted {
            return Ok(Transaction::Aborted);
        }
        let started = Instant::now();
        self.collect_changes();
        let offsets: Vec<(TopicPartition, i64)> = self.tasks.iter().filter_map(Task::progress).collect();
        let begun = self.log.begin_commit(&mut self.output, &offsets);
        if self.abort_if_required(begun, Transaction::Open)? == Transaction::Aborted {
            return Ok(Transaction::Aborted);
        }
        let Uncommitted { records, .. } = std::mem::take(&mut self.uncommitted);
        self.tasks.iter_mut().for_each(Task::seal);
        self.committing = Some(Committing { since: started, records });
        let transaction = self.poll_commit()?;
        if transaction == Transaction::Committed {
            // It ended at once, so readers see its records at once, and the next commit need not linger.
            self.commit_ended = None;
        }
        Ok(transaction)
    }

    /// Looks whether the commit under way has ended, without waiting: `Open` while it has not. `Committed` when it
    /// succeeded or none is under way; `Aborted` when it failed, with everything after it.
    pub(super) fn poll_commit(&mut self) -> Result<Transaction, WorkerError> {
        let Some(committing) = self.committing else { return Ok(Transaction::Committed) };
        let Some(outcome) = self.log.poll_commit() else { return Ok(Transaction::Open) };
        self.end_commit(committing, outcome)
    }

    /// Waits for the end of the commit under way, if there is one. `Committed` or `Aborted`, as
    /// [`Worker::poll_commit`].
    pub(super) fn await_commit(&mut self) -> Result<Transaction, WorkerError> {
        let Some(committing) = self.committing else { return Ok(Transaction::Committed) };
        let outcome = self.log.await_commit();
        self.end_commit(committing, outcome)
    }

    fn end_commit(
        &mut self,
        committing: Committing,
        outcome: Result<Instant, LogError>,
    ) -> Result<Transaction, WorkerError> {
        let Committing { since, records } = committing;
        let ended = outcome.as_ref().map_or_else(|_| Instant::now(), |ended| *ended);
        self.committing = None;
        self.commit_ended = (records > FEW_RECORDS).then_some(ended);
        let transaction = self.abort_if_required(outcome.map(drop), Transaction::Committed)?;
        if transaction == Transaction::Committed {
            self.tasks.iter_mut().for_each(Task::settle);
            self.note_commit(ended.saturating_duration_since(since));
        }
        Ok(transaction)
    }

    /// How much longer the next commit waits for more input although there is nothing to read.
    pub(super) fn linger_left(&self) -> Duration {
        self.commit_ended.map_or(Duration::ZERO, |ended| self.config.linger.saturating_sub(ended.elapsed()))
    }

    fn note_commit(&mut self, time: Duration) {
        self.aborts = 0;
        self.has_committed = true;
        add(&self.metrics.commits, 1);
        add(&self.metrics.commit_nanos, time.as_nanos() as u64);
    }

    pub(super) fn collect_changes(&mut self) {
        self.output.inherit(self.uncommitted.timestamp, Headers::default());
        for task in &mut self.tasks {
            task.flush(&mut self.output);
            task.write_changes(&self.topology.stages[task.stage], &mut self.output);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::conformance::word_count::{COUNTS, DEAD_LETTERS, LINES, TOPICS};
    use crate::memory::{Broker, BrokerConfig};
    use crate::worker::{CommitLimits, Step, WorkerConfig};
    use crate::{Levels, Metrics, Output, ProcessError, Processor, Producer, Record, Stage, StateStore, Topology};

    /// Sends a record for each record that is not empty.
    struct Echo;

    impl Processor for Echo {
        fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
            if record.value.is_some_and(|value| !value.is_empty()) {
                output.send(&COUNTS, record.key, |buffer| buffer.push(1));
            }
            Ok(())
        }

        fn stores(&mut self) -> Vec<&mut dyn StateStore> {
            Vec::new()
        }
    }

    /// Sends a record for each record, and one for all of a transaction: their number.
    #[derive(Default)]
    struct Count(u8);

    impl Processor for Count {
        fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
            self.0 += 1;
            Echo.process(record, output)
        }

        fn flush(&mut self, output: &mut Output) {
            let count = std::mem::take(&mut self.0);
            output.send(&COUNTS, b"count", |buffer| buffer.push(count));
        }

        fn stores(&mut self) -> Vec<&mut dyn StateStore> {
            Vec::new()
        }
    }

    /// A worker that reads one record per poll, and its counters. There are ten records, each with this `value`.
    fn worker(limits: CommitLimits, value: &[u8]) -> (Worker, Arc<Metrics>) {
        let (worker, metrics, _) = worker_of(limits, value, || Box::new(Echo));
        (worker, metrics)
    }

    fn worker_of(
        limits: CommitLimits,
        value: &[u8],
        processor: fn() -> Box<dyn Processor>,
    ) -> (Worker, Arc<Metrics>, Broker) {
        let processor = Box::new(move |_| processor());
        let stages = vec![Stage { name: "echo", inbox: &LINES, changelog: None, processor }];
        let topology =
            Topology { flow: "echo", stages, dead_letters: &DEAD_LETTERS, flow_partitions: 1, levels: Levels::ONE };
        let broker = Broker::new(BrokerConfig::like_kafka());
        broker.create_topics(&TOPICS, 1);
        let mut output = Output::new(1);
        for _ in 0..10 {
            output.send(&LINES, b"key", |buffer| buffer.extend_from_slice(value));
        }
        broker.producer("lines").publish(&output).unwrap();
        let log = Box::new(broker.open("echo", "echo-0", &[&LINES]).unwrap());
        let metrics = Arc::new(Metrics::new(&topology));
        let config = WorkerConfig { limits, poll_timeout: Duration::ZERO, poll_records: 1, ..WorkerConfig::default() };
        let mut worker = Worker::new(Arc::new(topology), config, log, Arc::clone(&metrics));
        assert_eq!(worker.step(), Ok(Step::Rebalanced));
        (worker, metrics, broker)
    }

    /// The number of commits after each step, until idle.
    fn commits((mut worker, metrics): (Worker, Arc<Metrics>)) -> Vec<u64> {
        let mut commits = Vec::new();
        loop {
            let step = worker.step().unwrap();
            commits.push(metrics.workers().commits);
            if step == Step::Idle {
                return commits;
            }
        }
    }

    #[test]
    fn under_load_records_are_collected_and_committed_when_there_is_nothing_more() {
        let commits = commits(worker(CommitLimits::default(), b"value"));
        assert_eq!(commits, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn each_limit_ends_the_collecting() {
        let many = CommitLimits { time: Duration::from_mins(1), records: 1000, bytes: 1000 };
        let by_records = commits(worker(CommitLimits { records: 5, ..many }, b"value"));
        assert_eq!(by_records, [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2]);
        let by_time = commits(worker(CommitLimits { time: Duration::ZERO, ..many }, b"value"));
        assert_eq!(by_time.last(), Some(&10));
        let by_bytes = commits(worker(CommitLimits { bytes: 1, ..many }, b"value"));
        assert_eq!(by_bytes.last(), Some(&10));
    }

    #[test]
    fn offsets_alone_wait_for_the_end_of_the_load() {
        let limits = CommitLimits { time: Duration::ZERO, records: 5, bytes: 1 };
        assert_eq!(commits(worker(limits, b"")), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        let few = CommitLimits { records: 1, ..limits };
        assert_eq!(commits(worker(few, b"")).last(), Some(&1), "committed after ten times the limit");
    }

    /// The numbers that were sent for whole transactions.
    fn flushed(broker: &Broker) -> Vec<u8> {
        let records = broker.read_committed(COUNTS.name, 0).into_iter();
        records.filter(|record| record.key == b"count").filter_map(|record| record.value).flatten().collect()
    }

    #[test]
    fn a_processor_flushes_once_before_each_commit() {
        let limits = CommitLimits { time: Duration::from_mins(1), records: 5, bytes: 1000 };
        let (worker, metrics, broker) = worker_of(limits, b"value", || Box::new(Count::default()));
        commits((worker, metrics));
        assert_eq!(flushed(&broker), [5, 5]);
    }

    #[test]
    fn what_is_flushed_into_an_aborted_transaction_comes_with_the_next_one() {
        let limits = CommitLimits { time: Duration::from_mins(1), records: 5, bytes: 1000 };
        let (mut worker, metrics, broker) = worker_of(limits, b"value", || Box::new(Count::default()));
        for _ in 0..3 {
            worker.step().unwrap();
        }
        worker.collect_changes();
        worker.roll_back("a test").unwrap();
        commits((worker, metrics));
        assert_eq!(flushed(&broker), [5, 5]);
    }
}
