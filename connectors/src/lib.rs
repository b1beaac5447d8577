//! Everything outside: logs, files and snapshots of TIS. It names no flow.

pub mod embedded;
mod events;
pub mod files;
pub mod kafka;
pub mod tis;
