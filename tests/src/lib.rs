//! What tests of every flow can use: a flow on the memory log under a seeded schedule, and processes of a flow under
//! chaos on the real broker. The toy flow shows that a further flow needs nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

pub mod chaos;
pub mod simulated_process;
pub mod toy;
