//! The flows of this program. A new flow needs one entry here and one dependency.

use tributary_flow::Flow;

/// All flows.
pub static FLOWS: &[&dyn Flow] = &[&tributary_esr_edge::Esr];

/// The default of `--flow`.
pub const DEFAULT: &str = "esr";

/// The flow of this name.
pub fn flow(name: &str) -> Option<&'static dyn Flow> {
    FLOWS.iter().copied().find(|flow| flow.declaration().name == name)
}

/// The names of all flows.
pub fn names() -> impl Iterator<Item = &'static str> {
    FLOWS.iter().map(|flow| flow.declaration().name)
}
