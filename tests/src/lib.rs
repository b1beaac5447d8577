//! What the suites share: flows on the memory log, the program as a process, and the comparison with the batch oracle.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

pub mod comparison;
pub mod process;
pub mod scenario_run;
pub mod simulated_exchange;
pub mod simulated_process;
pub mod snapshot_folder;
pub mod summary;
pub mod toy;
