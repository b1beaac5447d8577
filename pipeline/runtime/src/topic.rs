//! Declarations of topics. A topic is declared once, as a `static`, and named by reference everywhere else.

use std::time::Duration;

/// A topic as the flow declares it. Names are logical: a log adds its namespace as a prefix.
#[derive(Debug)]
pub struct Topic {
    /// Logical name, `<flow>.<thing>[.<event>]`.
    pub name: &'static str,
    /// How many partitions it has.
    pub partitions: Partitions,
    /// What the broker may delete.
    pub cleanup: Cleanup,
    /// What the topic is for.
    pub role: Role,
    /// Full names of the Avro records it may hold; empty for internal topics.
    pub records: &'static [&'static str],
}

impl PartialEq for Topic {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Topic {}

impl Topic {
    /// Number of partitions in a flow that runs with `flow_partitions`.
    pub fn partition_count(&self, flow_partitions: i32) -> i32 {
        match self.partitions {
            Partitions::Flow => flow_partitions,
            Partitions::Fixed(count) => count,
        }
    }
}

/// The number of partitions of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partitions {
    /// The number that the flow is configured with.
    Flow,
    /// Always this many, because the order over all keys matters.
    Fixed(i32),
}

/// The cleanup policy of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleanup {
    /// Keep the newest record of each key.
    Compact,
    /// Keep everything for at least this long.
    Delete(Duration),
}

/// The part a topic plays in a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one input of a stage; a log that serves one process may drop what the stage has committed.
    Inbox,
    /// An inbox that only other programs write to. The time of a record is that of its arrival, whatever its sender
    /// says. Its stage stays at the first level, because no record of a sender may raise it.
    ForeignInbox,
    /// The changes of a stage's state, read by nobody but the runtime.
    Changelog,
    /// Written for other programs.
    Output,
}

impl Role {
    /// Whether it is the input of a stage.
    pub fn is_inbox(self) -> bool {
        matches!(self, Self::Inbox | Self::ForeignInbox)
    }
}

/// One partition of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Logical topic name.
    pub topic: &'static str,
    /// Partition, from zero.
    pub partition: i32,
}

impl std::fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}
