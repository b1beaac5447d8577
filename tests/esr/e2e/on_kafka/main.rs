//! The program on Kafka: several processes, outages, the baseline, the topics. One binary, so that the tests wait side
//! by side.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod baseline;
mod clock;
mod group;
mod offsets;
mod outage;
mod record_times;
mod several_processes;
mod upgrade;
mod views;
mod waiting;
#[path = "../world/mod.rs"]
mod world;
