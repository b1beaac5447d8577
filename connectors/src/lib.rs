//! Everything outside: logs, files, snapshots of TIS and views. It names no flow.

pub mod embedded;
mod events;
pub mod files;
pub mod kafka;
pub mod tis;
pub mod views;
