//! Placeholder.

pub mod configuration;
pub mod format;
