//! What stores hold: keys with a fixed layout, values with a schema, and the schemas that a task has seen.

mod error;
mod key;
mod schemas;
mod value;

pub use error::StateError;
pub use key::StateKey;
pub use schemas::Schemas;
pub(crate) use schemas::{RELEASE, SCHEMA_ENTRY, WriterSchema};
pub use value::{Convert, StateSchema, StateValue};
