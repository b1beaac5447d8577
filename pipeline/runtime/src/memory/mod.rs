//! The memory log: an in-process broker with topics, transactions and consumer groups, shared by several [`Log`]s.
//!
//! It is the core of the embedded log, which adds a [`Durability`]. It also serves tests: the feature `faults`
//! adds seeded faults and control over what happens when. Without that feature neither can be reached.
//!
//! [`Log`]: crate::Log

mod broker;
#[cfg(any(test, feature = "faults"))]
mod faults;
mod group;
mod injection;
mod member;
mod partition;
mod state;
#[cfg(any(test, feature = "faults"))]
mod test_control;
mod transaction;

pub use broker::{Broker, BrokerConfig, Durability, MemoryLag, MemoryProducer, OwnedRecord, Retention};
#[cfg(any(test, feature = "faults"))]
pub use faults::{Faults, SimulationRng};
pub use member::MemoryLog;
pub use partition::StoredRecord;
pub use transaction::{Batch, BatchPart};
