//! The suite that every log has to pass. Each crate with a log implements [`LogFactory`] and runs [`all`].
//!
//! The tests wait with deadlines instead of expecting answers at once, so that a real broker can pass.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test suite fails by panicking")]

mod harness;
mod recovery;
mod transactions;
pub mod word_count;

use std::path::PathBuf;

use crate::memory::OwnedRecord;
use crate::{Lag, Log, Producer, Topic};

/// What the suite needs from a log.
pub trait LogFactory {
    /// Ends everything of the test before and starts with an empty log, or an unused namespace.
    fn reset(&mut self);

    /// Creates topics.
    fn create_topics(&mut self, topics: &[&'static Topic], flow_partitions: i32);

    /// Opens the log of a group's member. The member's name and the transactional id are `id`.
    fn open(&mut self, group: &str, id: &str, inboxes: &[&'static Topic]) -> Box<dyn Log>;

    /// Opens a producer.
    fn producer(&mut self, id: &str) -> Box<dyn Producer>;

    /// What a group has left to read.
    fn lag(&mut self, group: &str, inboxes: &[&'static Topic]) -> Box<dyn Lag>;

    /// All committed records of a partition, as a new reader sees them now.
    fn read_committed(&mut self, topic: &'static Topic, partition: i32) -> Vec<OwnedRecord>;

    /// Makes the log opened with `id` end as a killed process does: when it is dropped next, it neither leaves its
    /// group nor aborts its transaction.
    fn kill(&mut self, group: &str, id: &str);

    /// Makes the group and the transaction coordinator give up a killed member at once, or waits until they do.
    fn expire(&mut self, group: &str, id: &str);

    /// After all logs were killed and dropped: loses all that is only in memory, as a power cut does. For a log whose
    /// broker is another process there is nothing to do.
    fn power_cut(&mut self) {}

    /// Makes compaction happen, where that can be asked for.
    fn compact(&mut self);

    /// An empty folder for snapshots.
    fn folder(&mut self) -> PathBuf;
}

/// A test of the suite.
pub type ConformanceTest = fn(&mut dyn LogFactory);

/// All tests with their names.
pub fn all() -> Vec<(&'static str, ConformanceTest)> {
    vec![
        ("a_reader_never_sees_uncommitted_records", transactions::a_reader_never_sees_uncommitted_records),
        ("a_reader_never_sees_aborted_records", transactions::a_reader_never_sees_aborted_records),
        ("an_abort_returns_to_the_committed_offsets", transactions::an_abort_returns_to_the_committed_offsets),
        ("a_publish_reaches_all_its_partitions", transactions::a_publish_reaches_all_its_partitions),
        ("records_keep_all_their_parts", transactions::records_keep_all_their_parts),
        ("order_per_key_is_kept", transactions::order_per_key_is_kept),
        ("a_zombie_is_fenced", transactions::a_zombie_is_fenced),
        ("lag_is_zero_only_when_settled", transactions::lag_is_zero_only_when_settled),
        ("a_crash_after_every_step_changes_nothing", recovery::a_crash_after_every_step_changes_nothing),
        ("state_is_restored_exactly", recovery::state_is_restored_exactly),
        ("a_rebalance_with_work_in_flight_changes_nothing", recovery::a_rebalance_with_work_in_flight_changes_nothing),
        ("another_member_goes_on_after_a_kill", recovery::another_member_goes_on_after_a_kill),
        ("the_same_member_goes_on_after_a_kill", recovery::the_same_member_goes_on_after_a_kill),
        ("compaction_keeps_the_state", recovery::compaction_keeps_the_state),
        ("a_snapshot_is_continued_from_the_changelog", recovery::a_snapshot_is_continued_from_the_changelog),
        ("a_damaged_snapshot_is_not_used", recovery::a_damaged_snapshot_is_not_used),
        ("a_snapshot_newer_than_the_changelog_is_not_used", recovery::a_snapshot_newer_than_the_changelog_is_not_used),
        ("a_retried_record_is_processed_once", recovery::a_retried_record_is_processed_once),
        ("a_dead_letter_tells_where_it_came_from", recovery::a_dead_letter_tells_where_it_came_from),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::memory::{Broker, BrokerConfig, MemoryLog};
    use crate::{EachChange, LogError, Output, Poll, Record, TopicPartition};

    struct Memory {
        broker: Broker,
        killed: HashMap<String, Arc<AtomicBool>>,
        folders: Vec<tempfile::TempDir>,
    }

    struct Killable {
        log: Option<MemoryLog>,
        killed: Arc<AtomicBool>,
    }

    impl Killable {
        fn log(&mut self) -> &mut MemoryLog {
            self.log.as_mut().unwrap()
        }
    }

    impl Drop for Killable {
        fn drop(&mut self) {
            if let (true, Some(log)) = (self.killed.load(Ordering::Relaxed), self.log.take()) {
                log.kill();
            }
        }
    }

    impl Log for Killable {
        fn poll(
            &mut self,
            timeout: Duration,
            max_records: usize,
            each: &mut dyn FnMut(&Record<'_>),
        ) -> Result<Poll, LogError> {
            self.log().poll(timeout, max_records, each)
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

        fn commit(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<(), LogError> {
            self.log().commit(offsets)
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

    impl LogFactory for Memory {
        fn reset(&mut self) {
            self.broker = Broker::new(BrokerConfig::like_kafka());
        }

        fn create_topics(&mut self, topics: &[&'static Topic], flow_partitions: i32) {
            self.broker.create_topics(topics, flow_partitions);
        }

        fn open(&mut self, group: &str, id: &str, inboxes: &[&'static Topic]) -> Box<dyn Log> {
            let killed = Arc::new(AtomicBool::new(false));
            self.killed.insert(id.to_owned(), Arc::clone(&killed));
            Box::new(Killable { log: Some(self.broker.open(group, id, inboxes).unwrap()), killed })
        }

        fn producer(&mut self, id: &str) -> Box<dyn Producer> {
            Box::new(self.broker.producer(id))
        }

        fn lag(&mut self, group: &str, inboxes: &[&'static Topic]) -> Box<dyn Lag> {
            Box::new(self.broker.lag(inboxes.iter().map(|topic| (group.to_owned(), *topic)).collect()))
        }

        fn read_committed(&mut self, topic: &'static Topic, partition: i32) -> Vec<OwnedRecord> {
            self.broker.read_committed(topic.name, partition)
        }

        fn kill(&mut self, _group: &str, id: &str) {
            self.killed[id].store(true, Ordering::Relaxed);
        }

        fn expire(&mut self, group: &str, id: &str) {
            self.broker.expire(group, id);
        }

        fn compact(&mut self) {
            self.broker.compact();
        }

        fn folder(&mut self) -> PathBuf {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().to_owned();
            self.folders.push(folder);
            path
        }
    }

    #[test]
    fn the_memory_log_conforms() {
        let broker = Broker::new(BrokerConfig::like_kafka());
        let mut memory = Memory { broker, killed: HashMap::new(), folders: Vec::new() };
        for (name, test) in all() {
            println!("{name}");
            test(&mut memory);
        }
    }
}
