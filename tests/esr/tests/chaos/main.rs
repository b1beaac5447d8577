//! Chaos on the real broker with the exchange with ESR as a service. At the end its files are those of the oracle, and
//! nothing that anybody ever saw has been undone. What may happen, and who drives it, is in `tributary_tests::chaos`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "the modules are those of one test")]

mod clock;
mod exchange;
mod folders;
mod outbox;
mod rolling;
