//! The `close` stage: the queue of close commands.

use tributary_schemas::records::cases::{Command, Origin, Refusal};

/// A close command of a known origin has nothing that could be wrong.
pub(crate) fn check(_: &Command, _: &Origin) -> Option<Refusal> {
    None
}
