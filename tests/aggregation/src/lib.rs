//! The engagement index on the memory log: workers take one step at a time, in an order that a seed decides.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

pub mod seen;
pub mod simulated_index;
