//! Registry lookups: a person asks a register of the state for one number, a job calls the register, and a row has the
//! result and an honest status. The stage is a pure function of its state and one record.
//!
//! This crate does no I/O: HTTP, GraphQL, files, clocks and randomness belong to the edge and the connectors. No record
//! that it writes has a number or a name in the clear. Numbers such as R 2.3 are sections of the domain description of
//! the lookups.

pub mod call_answer;
pub mod call_request;
pub mod caller;
pub mod configuration;
pub mod context;
pub mod declaration;
#[cfg(test)]
mod harness;
pub mod info;
pub mod job;
pub mod number;
pub mod row_key;
pub mod sealing;
pub mod ticking;
pub mod topics;
pub mod waiting;
