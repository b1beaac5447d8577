//! The `update` stage: the queue of update commands.

use tributary_schemas::records::cases::{Command, Origin, Refusal};

use crate::queue;

/// Refuses an update command without a time, and one whose case details are not where those of its origin may be.
pub(crate) fn check(command: &Command, origin: &Origin) -> Option<Refusal> {
    if command.updated.is_none() {
        return Some(queue::invalid("updated"));
    }
    command.case_details_uri.as_ref().and_then(|uri| queue::check_uri(uri, origin))
}
