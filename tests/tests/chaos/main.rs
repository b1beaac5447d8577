//! Chaos on the real broker with two subjects: the toy flow, which the program runs as it runs every flow, and the
//! position join, which is always at work. Besides, what the broker and the client do with requests that arrive late
//! and after an outage.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod join;
mod late;
mod outage;
mod toy;
