//! Registry lookups end to end: the program as a process, the administration panel over GraphQL, and a stand-in
//! register.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod kills;
mod lookups;
mod on_kafka;
mod operators;
mod privacy;
mod register;
mod released_state;
mod world;
