//! What the suites share: the ESR flow on the memory log, the program as a process, and the comparison with the batch oracle.

pub mod comparison;
pub mod process;
pub mod scenario_run;
pub mod services;
pub mod simulated_flow;
