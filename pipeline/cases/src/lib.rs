//! The distribution of cases: origin systems publish cases, and every client with permission receives notifications.
//! Each stage of the flow is a pure function of its state and one record, in the file of its name.
//!
//! This crate does no I/O: HTTP, brokers, logs and clocks belong to the edge and the connectors. It keeps the metadata
//! of cases and never their contents.

pub mod case;
pub mod client;
mod close;
pub mod command;
pub mod configuration;
pub mod context;
mod create;
mod delete;
pub mod flow;
#[cfg(test)]
mod harness;
pub mod intake;
pub mod message;
pub mod permission;
pub mod queue;
pub mod registry;
pub mod time;
pub mod topics;
mod update;
pub mod uri;
