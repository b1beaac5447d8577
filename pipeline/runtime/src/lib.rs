//! The runtime: processors, tasks, state and commits over a log.
//!
//! It knows no domain word and no client library. A [`Processor`] is a deterministic function of its state and one
//! record. A [`Stage`] is a processor with one inbox; a task is a stage on one partition; a worker runs many tasks with
//! one consumer and one transactional producer, which together are a [`Log`].
//!
//! The way of one record: the worker polls it from the log and passes it to the task of its partition. The processor
//! changes its stores, which keep the values they replace, and sends records to an [`Output`]. The next commit makes
//! the outputs, one changelog record per changed key and the input offsets visible together. An abort restores the
//! replaced values. A new owner of a partition restores the stores from snapshot and changelog before it receives
//! records.

mod atomic_file;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod error_code;
mod events;
mod level;
mod log;
mod log_error;
pub mod memory;
pub mod metrics;
mod output;
mod partitioner;
mod pool;
mod processor;
mod record;
mod shutdown;
#[cfg(test)]
mod simulation;
mod snapshot;
mod stage;
mod state;
mod store;
mod table;
mod task;
mod topic;
pub mod trouble;
mod worker;

pub use atomic_file::{
    AtomicFile, bring_to_disk, create_folder_durably, remove_abandoned, remove_durably, write_atomically,
    write_new_atomically,
};
pub use level::{LEVEL_HEADER, Level, Levels};
pub use log::{EachRecord, InboxOffsets, Lag, Log, OffsetRange, Poll, Producer, TopicFollower, TopicReader};
pub use log_error::{LogError, Reason};
pub use metrics::{Metrics, StageStatistics, WorkerStatistics};
pub use output::{Mark, Output, OutputRecord};
pub use partitioner::partition_for_key;
pub use pool::{InspectError, Inspector, WorkerPool};
pub use processor::{ProcessError, Processor};
pub use record::{Headers, Record, TimestampMillis, append_header};
pub use shutdown::Shutdown;
pub use snapshot::{SnapshotConfig, SnapshotError};
pub use stage::{Stage, Topology};
pub use state::{Convert, Schemas, StateError, StateKey, StateSchema, StateValue};
pub use store::{EachChange, SelectedStore, StateStore, Store, TableStore};
pub use table::{KeyRange, Table, TableEntry, TableError, TableWrites, Tables};
#[cfg(any(test, feature = "faults"))]
pub use table::{MemoryTables, TableFaults};
pub use task::{INPUT_OFFSET_KEY, dead_letter_header, input_offset};
pub use topic::{Cleanup, Partitions, Role, Topic, TopicPartition};
pub use worker::{CommitLimits, OffsetFault, Step, Worker, WorkerConfig, WorkerError};
