//! The memory log: an in-process broker with topics, transactions and consumer groups, shared by several [`Log`]s.
//!
//! It serves tests, with seeded [`Faults`], and is the core of the embedded log, which adds a [`Durability`].
//!
//! [`Log`]: crate::Log

mod broker;
mod disturbance;
mod faults;
mod group;
mod member;
mod partition;
mod state;
mod transaction;

pub use broker::{Broker, BrokerConfig, Durability, MemoryLag, MemoryProducer, OwnedRecord, Retention};
pub use faults::{Faults, SimulationRng};
pub use member::MemoryLog;
pub use partition::StoredRecord;
pub use transaction::{Batch, BatchPart};
