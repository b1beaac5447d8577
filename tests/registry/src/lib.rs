//! Registry lookups at work in memory, for comparison with their oracle.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod seen;
pub mod simulated_flow;
