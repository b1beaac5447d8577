//! Everything outside: logs, files, snapshots and registries.

pub mod compatibility;
pub mod embedded;
mod events;
pub mod files;
pub mod inbox;
pub mod kafka;
pub mod snapshot;
pub mod tis;
