//! Apache Kafka: the log for everything that more than one process has to share.
//!
//! [`KafkaLog`] is the port of one worker, [`KafkaProducer`] that of a connector that brings data in. [`KafkaLag`] says
//! what a flow has left to do, [`KafkaReader`] what topics hold, and [`TopicPlan`] creates them. All of this uses
//! librdkafka, and nothing outside this module names that client. What Kafka promises, and what this module adds, is
//! explained where it is done: commit and abort in `transaction`, rebalances in `rebalance` and `orphaned`, restoring
//! state in `restore`.

mod assignment;
mod broken_connections;
mod call_thread;
mod committer;
mod configuration;
mod connect;
mod consumer_errors;
mod group;
mod headers;
mod inbox_start;
mod lag;
mod log;
mod log_error;
mod membership;
mod offset_reset;
mod offsets;
mod orphaned;
mod producer;
mod reader;
mod rebalance;
mod renewable;
mod restore;
#[cfg(test)]
mod tests;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod timed_wait;
mod topics;
mod transaction;
mod transaction_error;

pub use configuration::KafkaConfiguration;
pub use group::{NamedMember, named_members};
pub use lag::KafkaLag;
pub use log::KafkaLog;
pub use offset_reset::{OffsetReset, PartitionReset, ResetInbox, ResetTo, StateOffset};
pub use producer::KafkaProducer;
pub use reader::KafkaReader;
pub use topics::{TopicChange, TopicPlan};
