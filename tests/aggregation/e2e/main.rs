//! Clinical aggregation end to end: the program as a process, and consumers, source systems and subscribers over HTTP.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_answers;
mod cache_in_log;
mod index;
mod kills;
mod messages;
mod notifications;
mod on_kafka;
mod operation;
mod questions;
mod released_state;
mod requests;
mod systems;
mod tak;
mod world;
