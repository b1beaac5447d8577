//! The log of a worker on Kafka as this program wants it: records of the base line carry its header (D1).

use std::sync::Arc;
use std::time::{Duration, Instant};

use tributary_esr::tis::BASE_LINE_HEADER;
use tributary_runtime::{Headers, Log, LogError, Output, Poll, Record, TopicPartition, append_header};

use crate::base_line::BaseLineEnds;

/// A worker's log.
pub(crate) struct WorkerLog {
    inner: Box<dyn Log>,
    base_line: Arc<BaseLineEnds>,
    headers: Vec<u8>,
}

impl WorkerLog {
    /// The log `inner`, whose records of the base line are marked.
    pub(crate) fn new(inner: Box<dyn Log>, base_line: Arc<BaseLineEnds>) -> Self {
        Self { inner, base_line, headers: Vec::new() }
    }
}

impl Log for WorkerLog {
    fn poll(
        &mut self,
        timeout: Duration,
        max_records: usize,
        each: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Poll, LogError> {
        let Self { inner, base_line, headers } = self;
        if base_line.is_empty() {
            return inner.poll(timeout, max_records, each);
        }
        let mut mark = |record: &Record<'_>| {
            if !base_line.hold(record) {
                return each(record);
            }
            headers.clear();
            headers.extend_from_slice(record.headers.as_bytes());
            append_header(headers, BASE_LINE_HEADER, b"1");
            each(&Record { headers: Headers::from_bytes(headers), timestamp: base_line.time(), ..*record });
        };
        inner.poll(timeout, max_records, &mut mark)
    }

    fn held_by_others(&mut self) -> Result<Vec<TopicPartition>, LogError> {
        self.inner.held_by_others()
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.inner.resume(partitions)
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.inner.release(partitions)
    }

    fn send(&mut self, output: &Output) -> Result<(), LogError> {
        self.inner.send(output)
    }

    fn begin_commit(&mut self, output: &mut Output, offsets: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        self.inner.begin_commit(output, offsets)
    }

    fn outcome(&mut self, wait: bool) -> Option<Result<Instant, LogError>> {
        self.inner.outcome(wait)
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.inner.abort()
    }

    fn restore(
        &mut self,
        changelog: TopicPartition,
        from: i64,
        each: &mut dyn FnMut(&[u8], Option<&[u8]>),
    ) -> Result<i64, LogError> {
        self.inner.restore(changelog, from, each)
    }

    fn end_offset(&mut self, changelog: TopicPartition) -> Result<i64, LogError> {
        self.inner.end_offset(changelog)
    }
}
