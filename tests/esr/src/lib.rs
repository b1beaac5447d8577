//! What the suites of the exchange share: the exchange on the memory log and as a process, and the comparison with its
//! batch oracle.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

pub mod comparison;
pub mod golden_days;
pub mod process;
pub mod scenario_run;
pub mod simulated_exchange;
pub mod snapshot_folder;
pub mod summary;
