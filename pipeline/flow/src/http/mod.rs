//! What the handlers of a flow need: who calls, what they may do, and answers that look the same in every flow.
//!
//! The server itself (port, TLS, authentication, limits) is part of the program. It puts a [`Caller`] and a
//! [`Correlation`] into every request, and writes each [`Problem`] as the flow's protocol wants it ([`Mount::faults`]).

mod as_of;
mod caller;
mod correlation;
mod json;
mod mount;
mod page;
mod problem;
mod wait;

pub use as_of::AsOf;
pub use caller::{Caller, RequireLayer, Role, Roles, require, user_id};
pub use correlation::Correlation;
pub use json::JsonBody;
pub use mount::{Mount, RenderFault};
pub use page::{List, Page};
pub use problem::{FieldError, Problem};
pub use wait::Wait;
