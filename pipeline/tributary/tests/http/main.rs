//! The HTTP port, called by standard clients over real connections.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod authentication;
mod endings;
mod issuer;
mod limits;
mod oidc;
mod paths;
mod tls;
mod world;
