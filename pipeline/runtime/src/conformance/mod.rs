//! The suite that every log has to pass. Each crate with a log implements [`LogFactory`] and runs [`all`].
//!
//! The tests wait with deadlines instead of expecting answers at once, so that a real broker can pass.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test suite fails by panicking")]

mod following;
mod harness;
mod killable;
mod offsets;
mod recovery;
mod simulated;
mod tables;
mod transactions;
pub mod word_count;

use std::path::PathBuf;

use crate::memory::OwnedRecord;
use crate::{Lag, Log, Producer, Topic, TopicPartition};

pub use following::{a_follower_reads_ranges_up_to_their_ends, a_follower_reads_what_is_committed_once};
pub use killable::Killer;
pub use simulated::{SimulatedWorkers, without_time};
pub use tables::all_of_tables;

/// What the suite needs from a log.
pub trait LogFactory {
    /// Ends everything of the previous test and starts with an empty log, or an unused namespace.
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

    /// Makes the group and the transaction coordinator expel a killed member at once, or waits until they do.
    fn expire(&mut self, group: &str, id: &str);

    /// Loses everything that is only in memory, as a power cut does. Called after all logs were killed and dropped. A
    /// log whose broker is another process does nothing.
    fn power_cut(&mut self) {}

    /// Compacts, where compaction can be requested.
    fn compact(&mut self);

    /// Deletes all records that the partitions of a topic hold now, as retention does. False where that is impossible.
    fn truncate(&mut self, topic: &'static Topic) -> bool {
        let _ = topic;
        false
    }

    /// Forgets the offsets of a group whose members were all killed. False where that is impossible.
    fn forget_offsets(&mut self, group: &str) -> bool {
        let _ = group;
        false
    }

    /// Sets offsets of a group whose members were all killed. False where that is impossible.
    fn set_offsets(&mut self, group: &str, offsets: &[(TopicPartition, i64)]) -> bool {
        let _ = (group, offsets);
        false
    }

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
        ("a_changelog_that_was_truncated_is_refused", recovery::a_changelog_that_was_truncated_is_refused),
        ("a_snapshot_outlives_a_truncated_changelog", recovery::a_snapshot_outlives_a_truncated_changelog),
        ("a_retried_record_is_processed_once", recovery::a_retried_record_is_processed_once),
        ("a_dead_letter_names_its_origin", recovery::a_dead_letter_names_its_origin),
        (
            "state_without_offsets_is_refused_until_they_are_those_of_the_state",
            offsets::state_without_offsets_is_refused_until_they_are_those_of_the_state,
        ),
        ("a_snapshot_without_offsets_is_refused", offsets::a_snapshot_without_offsets_is_refused),
        ("offsets_behind_the_state_are_refused", offsets::offsets_behind_the_state_are_refused),
        ("offsets_after_the_end_are_refused", offsets::offsets_after_the_end_are_refused),
        (
            "records_that_were_deleted_before_they_were_read_are_refused",
            offsets::records_that_were_deleted_before_they_were_read_are_refused,
        ),
        (
            "records_that_were_deleted_after_they_were_read_change_nothing",
            offsets::records_that_were_deleted_after_they_were_read_change_nothing,
        ),
        ("the_first_start_reads_what_is_left_of_an_inbox", offsets::the_first_start_reads_what_is_left_of_an_inbox),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Broker, BrokerConfig, MemoryLog};

    struct Memory {
        broker: Broker,
        killer: Killer,
        folders: Vec<tempfile::TempDir>,
    }

    impl LogFactory for Memory {
        fn reset(&mut self) {
            self.broker = Broker::new(BrokerConfig::like_kafka());
        }

        fn create_topics(&mut self, topics: &[&'static Topic], flow_partitions: i32) {
            self.broker.create_topics(topics, flow_partitions);
        }

        fn open(&mut self, group: &str, id: &str, inboxes: &[&'static Topic]) -> Box<dyn Log> {
            let log = self.broker.open(group, id, inboxes).unwrap();
            self.killer.watch(id, log, MemoryLog::kill)
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
            self.killer.kill(id);
        }

        fn expire(&mut self, group: &str, id: &str) {
            self.broker.expire(group, id);
        }

        fn compact(&mut self) {
            self.broker.compact();
        }

        fn truncate(&mut self, topic: &'static Topic) -> bool {
            for partition in 0..word_count::PARTITIONS {
                let at = TopicPartition { topic: topic.name, partition };
                self.broker.delete_records(at, i64::MAX).unwrap();
            }
            true
        }

        fn forget_offsets(&mut self, group: &str) -> bool {
            self.broker.forget_offsets(group);
            true
        }

        fn set_offsets(&mut self, group: &str, offsets: &[(TopicPartition, i64)]) -> bool {
            for (inbox, offset) in offsets {
                self.broker.load_offset(group, *inbox, *offset).unwrap();
            }
            true
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
        let mut memory = Memory { broker, killer: Killer::default(), folders: Vec::new() };
        for (name, test) in all() {
            println!("{name}");
            test(&mut memory);
        }
    }
}
