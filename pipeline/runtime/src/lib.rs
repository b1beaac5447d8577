//! The runtime: processors, tasks, state and commits over a log.
//!
//! It knows no domain word and no client library. A [`Processor`] is a deterministic function of its state and one
//! record. A [`Stage`] is a processor with one inbox; a task is a stage on one partition; a worker runs many tasks with
//! one consumer and one transactional producer, which together are a [`Log`].

mod log;
pub mod memory;
mod output;
mod partitioner;
mod processor;
mod record;
mod stage;
mod store;
mod topic;

pub use log::{Lag, Log, LogError, Poll, Producer};
pub use output::{Mark, Output, OutputRecord};
pub use partitioner::partition_for_key;
pub use processor::{ProcessError, Processor};
pub use record::{Headers, Record, TimestampMillis, append_header};
pub use stage::{Stage, Topology};
pub use store::{StateData, StateError, StateStore, Store};
pub use topic::{Cleanup, Partitions, Role, Topic, TopicPartition};
