//! The roles that only this flow has.

use tributary_flow::http::Role;

/// May ask the services. Its headers `x-vp-*` are believed.
pub(crate) const CONSUMER: Role = Role::of_flow("consumer");

/// May change and ask the index, and may notify of changes of another index.
pub(crate) const SOURCE: Role = Role::of_flow("source");
