//! The `create` stage: the queue of create commands.

use tributary_schemas::records::cases::{Command, Origin, Refusal};

use crate::queue;

/// Refuses a create command without a time, and one whose case details are not where those of its origin may be.
pub(crate) fn check(command: &Command, origin: &Origin) -> Option<Refusal> {
    if command.created.is_none() {
        return Some(queue::invalid("created"));
    }
    match &command.case_details_uri {
        Some(uri) => queue::check_uri(uri, origin),
        None => Some(queue::invalid("caseDetailsUri")),
    }
}
