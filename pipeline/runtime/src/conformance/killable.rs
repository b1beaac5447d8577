//! Logs that end as killed processes do, although the process of the test continues.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::{EachChange, InboxOffsets, Log, LogError, Output, Poll, Record, TopicPartition};

/// Knows the opened logs by their ids and kills them.
#[derive(Debug, Default)]
pub struct Killer {
    killed: HashMap<String, Arc<AtomicBool>>,
}

impl Killer {
    /// Makes `log`, opened with `id`, a log that [`Self::kill`] can kill; `kill` ends it as a killed process ends.
    pub fn watch<L: Log + 'static>(&mut self, id: &str, log: L, kill: fn(L)) -> Box<dyn Log> {
        let killed = Arc::new(AtomicBool::new(false));
        self.killed.insert(id.to_owned(), Arc::clone(&killed));
        Box::new(Killable { log: Some(log), kill, killed })
    }

    /// Makes the last log opened with `id` end as killed when it is dropped.
    ///
    /// # Panics
    /// When no log was opened with `id`.
    pub fn kill(&self, id: &str) {
        self.killed[id].store(true, Ordering::Relaxed);
    }
}

struct Killable<L: Log> {
    log: Option<L>,
    kill: fn(L),
    killed: Arc<AtomicBool>,
}

impl<L: Log> Killable<L> {
    fn log(&mut self) -> &mut L {
        self.log.as_mut().unwrap()
    }
}

impl<L: Log> Drop for Killable<L> {
    fn drop(&mut self) {
        if let (true, Some(log)) = (self.killed.load(Ordering::Relaxed), self.log.take()) {
            (self.kill)(log);
        }
    }
}

impl<L: Log> Log for Killable<L> {
    fn poll(
        &mut self,
        timeout: Duration,
        max_records: usize,
        each: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Poll, LogError> {
        self.log().poll(timeout, max_records, each)
    }

    fn held_by_others(&mut self) -> Result<Vec<TopicPartition>, LogError> {
        self.log().held_by_others()
    }

    fn inbox_offsets(&mut self, partitions: &[TopicPartition]) -> Result<Vec<InboxOffsets>, LogError> {
        self.log().inbox_offsets(partitions)
    }

    fn pass_empty(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<Vec<i64>, LogError> {
        self.log().pass_empty(offsets)
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.log().resume(partitions)
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.log().release(partitions)
    }

    fn send(&mut self, output: &Output) -> Result<(), LogError> {
        self.log().send(output)
    }

    fn begin_commit(&mut self, output: &mut Output, offsets: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        self.log().begin_commit(output, offsets)
    }

    fn poll_commit(&mut self) -> Option<Result<Instant, LogError>> {
        self.log().poll_commit()
    }

    fn await_commit(&mut self) -> Result<Instant, LogError> {
        self.log().await_commit()
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.log().abort()
    }

    fn restore(&mut self, changelog: TopicPartition, from: i64, each: EachChange<'_>) -> Result<i64, LogError> {
        self.log().restore(changelog, from, each)
    }

    fn end_offset(&mut self, changelog: TopicPartition) -> Result<i64, LogError> {
        self.log().end_offset(changelog)
    }
}
