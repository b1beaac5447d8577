//! Lookups as GraphQL: `POST /graphql`. The schema follows from the kinds that are configured.

mod document;
mod failure;
mod handler;
mod resolving;
mod schema;
mod session;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod world;

pub use handler::Graphql;
pub use schema::{SchemaError, schema_text};
