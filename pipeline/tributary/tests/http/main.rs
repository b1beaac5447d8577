//! The HTTP port, by foreign clients over real connections.

mod authentication;
mod endings;
mod issuer;
mod limits;
mod oidc;
mod paths;
mod tls;
mod world;
