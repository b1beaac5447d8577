//! The log of a worker on Kafka as this program wants it: records of the base line carry its header (D1), and two
//! processes that share an instance name do not fence each other for ever.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tributary_esr::tis::BASE_LINE_HEADER;
use tributary_runtime::{Headers, Log, LogError, Output, Poll, Record, TopicPartition, append_header};

use crate::base_line::BaseLineEnds;

/// Fencings that are further apart have nothing to do with each other. Two processes of one name fence each other about once
/// a second; a broker that stood still makes a member fence itself, which joins twice then, but only once each time.
const WINDOW: Duration = Duration::from_mins(1);

/// So long after its start a process counts as the newcomer.
const NEWCOMER: Duration = Duration::from_secs(90);

/// So many fencings of a newcomer within the window tell that its instance name is taken.
const MOST_OF_NEWCOMER: usize = 4;

/// So many do for a process that was there before: it gives the newcomer the time to notice first.
const MOST: usize = 7;

/// The fencings of one worker slot.
#[derive(Debug)]
pub struct Fencings {
    instance: String,
    started: Instant,
    seen: Mutex<Vec<Instant>>,
}

impl Fencings {
    /// None yet, in a process that starts now under the name `instance`.
    pub fn new(instance: &str) -> Arc<Self> {
        Arc::new(Self { instance: instance.to_owned(), started: Instant::now(), seen: Mutex::new(Vec::new()) })
    }

    /// Lets a result through; a fencing too many becomes the end, with a sentence about what to do.
    pub fn watch<T>(&self, result: Result<T, LogError>) -> Result<T, LogError> {
        let Err(LogError::Fenced(text)) = result else { return result };
        let now = Instant::now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|earlier| now.duration_since(*earlier) < WINDOW);
        seen.push(now);
        let most = if self.started.elapsed() < NEWCOMER { MOST_OF_NEWCOMER } else { MOST };
        if seen.len() < most {
            return Err(LogError::Fenced(text));
        }
        Err(LogError::Fatal(format!(
            "another process of this namespace runs with --instance {}: end it, or give this one a name of its own ({text})",
            self.instance
        )))
    }
}

/// A worker's log.
pub(crate) struct WorkerLog {
    inner: Box<dyn Log>,
    base_line: Arc<BaseLineEnds>,
    fencings: Arc<Fencings>,
    headers: Vec<u8>,
}

impl WorkerLog {
    /// The log `inner` with base line and fencings watched.
    pub(crate) fn new(inner: Box<dyn Log>, base_line: Arc<BaseLineEnds>, fencings: Arc<Fencings>) -> Self {
        Self { inner, base_line, fencings, headers: Vec::new() }
    }
}

impl Log for WorkerLog {
    fn poll(
        &mut self,
        timeout: Duration,
        max_records: usize,
        each: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Poll, LogError> {
        let Self { inner, base_line, fencings, headers } = self;
        if base_line.is_empty() {
            return fencings.watch(inner.poll(timeout, max_records, each));
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
        fencings.watch(inner.poll(timeout, max_records, &mut mark))
    }

    fn held_by_others(&mut self) -> Result<Vec<TopicPartition>, LogError> {
        self.fencings.watch(self.inner.held_by_others())
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.fencings.watch(self.inner.resume(partitions))
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.fencings.watch(self.inner.release(partitions))
    }

    fn send(&mut self, output: &Output) -> Result<(), LogError> {
        self.fencings.watch(self.inner.send(output))
    }

    fn begin_commit(&mut self, output: &mut Output, offsets: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        self.fencings.watch(self.inner.begin_commit(output, offsets))
    }

    fn outcome(&mut self, wait: bool) -> Option<Result<Instant, LogError>> {
        self.inner.outcome(wait).map(|outcome| self.fencings.watch(outcome))
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.fencings.watch(self.inner.abort())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fenced(fencings: &Fencings) -> LogError {
        fencings.watch::<()>(Err(LogError::Fenced("newer epoch".to_owned()))).unwrap_err()
    }

    #[test]
    fn a_newcomer_whose_instance_name_is_taken_ends_with_a_message() {
        let fencings = Fencings::new("7");
        for _ in 1..MOST_OF_NEWCOMER {
            assert!(
                matches!(fenced(&fencings), LogError::Fenced(_)),
                "a broker that stands still now and then may do that"
            );
        }
        let LogError::Fatal(text) = fenced(&fencings) else { panic!("it goes on") };
        assert!(text.contains("--instance 7") && text.contains("newer epoch"), "{text}");
        assert!(fencings.watch(Ok(1)).is_ok());
    }

    #[test]
    fn a_process_that_was_there_before_outlasts_the_newcomer() {
        let Some(started) = Instant::now().checked_sub(NEWCOMER) else { return };
        let fencings = Fencings { instance: "7".to_owned(), started, seen: Mutex::default() };
        for _ in 1..MOST {
            assert!(matches!(fenced(&fencings), LogError::Fenced(_)));
        }
        assert!(matches!(fenced(&fencings), LogError::Fatal(_)));
    }
}
