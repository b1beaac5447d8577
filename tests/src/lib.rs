//! The ESR flow in a test: on the memory log, stepped by a seeded schedule, compared with the batch oracle.

pub mod simulated_flow;
