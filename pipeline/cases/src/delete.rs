//! The `delete` stage: the queue of delete commands.

use tributary_schemas::records::cases::{Command, Origin, Refusal};

/// A delete command of a known origin has nothing that could be wrong.
pub(crate) fn check(_: &Command, _: &Origin) -> Option<Refusal> {
    None
}
