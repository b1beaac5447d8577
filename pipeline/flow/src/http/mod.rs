//! What the handlers of a flow need: the caller, the caller's roles, and answers of the same form in every flow.
//!
//! The server itself (port, TLS, authentication, limits) is part of the program. It puts a [`Caller`] and a
//! [`Correlation`] into every request, and writes each [`Problem`] in the form of the flow's protocol
//! ([`Mount::faults`]).

mod as_of;
mod bearer;
mod caller;
mod correlation;
mod json;
mod mount;
mod page;
mod problem;
mod scheme;
mod wait;

pub use as_of::AsOf;
pub use bearer::BearerToken;
pub use caller::{Caller, RequireLayer, Role, Roles, require, user_id};
pub use correlation::Correlation;
pub use json::JsonBody;
pub use mount::{Mount, RenderFault};
pub(crate) use page::MAX_LIMIT;
pub use page::{List, Page};
pub use problem::{FieldError, Problem};
pub use scheme::Scheme;
pub use wait::Wait;
