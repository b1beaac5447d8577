//! What can be asked of the flow in every process: the newest record of each key of its compacted outputs.

use tributary_flow::declaration::View;

use crate::topics;

/// All views.
pub const ALL: &[&View] = &[&CASES, &DELETED, &OUTCOMES, &ENTRIES, &POSITIONS, &REGISTRY];

/// Living cases by id.
pub static CASES: View = View { name: "cases", topic: &topics::STATE, prefix: "" };
/// Deleted cases by origin and id.
pub static DELETED: View = View { name: "deleted", topic: &topics::DELETED, prefix: "" };
/// Outcomes of commands by origin and command.
pub static OUTCOMES: View = View { name: "outcomes", topic: &topics::OUTCOME, prefix: "" };
/// Notifications by client and position.
pub static ENTRIES: View = View { name: "entries", topic: &topics::QUEUE, prefix: "entry/" };
/// How far clients are, by name.
pub static POSITIONS: View = View { name: "positions", topic: &topics::QUEUE, prefix: "client/" };
/// The registry.
pub static REGISTRY: View = View { name: "registry", topic: &topics::REGISTRY_ROWS, prefix: "" };
