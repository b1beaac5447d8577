//! Everything outside: logs, files, snapshots and registries.

pub mod embedded;
pub mod files;
pub mod kafka;
pub mod inbox;
pub mod snapshot;
pub mod tis;
