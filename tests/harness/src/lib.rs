//! What tests of all crates share: the services they need, namespaces that nobody has used, processes that end with
//! their test, and clocks of processes.
//!
//! It depends on no crate of the workspace, so that each can have it as a dev-dependency.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

pub mod cassandra;
pub mod clock;
pub mod keycloak;
pub mod process;
mod rabbitmq;
pub mod released_state;
pub mod service;
pub mod services;
mod skipped;
mod waiting;

pub use cassandra::Cassandra;
pub use clock::{FakeTime, set_clock};
pub use keycloak::Keycloak;
pub use rabbitmq::RabbitMq;
pub use services::{Services, fresh_namespace, kafka, registry};
pub use skipped::skip;
pub use waiting::wait_until;
