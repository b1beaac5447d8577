//! Lessons from the field: kinds of faults that users of other systems of this job have reported, with inputs on which
//! the exchange once went wrong. The rules are in `docs/decisions.md`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clock;
mod inbox;
mod late_files;
mod outgoing;
mod persons;
mod snapshot;
mod state_disk;
#[path = "../esr/e2e/world/mod.rs"]
mod world;
