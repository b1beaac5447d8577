//! The exchange between TIS and ESR. Each stage of the flow is a pure function of its state and one record, in the file
//! of its name.
//!
//! This crate does no I/O: files, folders, logs and clocks belong to the connectors. Rules are cited by their numbers:
//! R1-R12 reconciliation, A1-A14 applicants, T1a-T1h notifications, D1-D54 decisions.

mod applicant;
pub mod baseline;
pub mod configuration;
pub mod context;
mod digests;
pub mod dpn;
pub mod exporter;
pub mod flow;
pub mod format;
#[cfg(test)]
mod harness;
pub mod inbound;
pub mod inbox;
mod outgoing;
mod person;
pub mod position;
pub mod post;
pub mod report;
pub mod schedule;
pub mod service_time;
pub mod tis;
pub mod topics;
pub mod trainee;
pub mod views;
