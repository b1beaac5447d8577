//! The flows of this program. A new flow needs one entry in [`FLOWS`] and one dependency.

use std::fmt;

use tributary_flow::Flow;

/// All flows of `tributary`.
pub static FLOWS: Flows = Flows(&[
    &tributary_esr_edge::Esr,
    &tributary_cases_edge::Cases,
    &tributary_aggregation_edge::Aggregation,
    &tributary_registry_edge::Registry,
]);

/// The flows that a program knows. The first is the default of `--flow`.
#[derive(Clone, Copy)]
pub struct Flows(pub &'static [&'static dyn Flow]);

impl Flows {
    /// Each flow, in the order of the list.
    pub(crate) fn iter(self) -> impl Iterator<Item = &'static dyn Flow> {
        self.0.iter().copied()
    }

    /// The flow of this name.
    pub(crate) fn named(self, name: &str) -> Option<&'static dyn Flow> {
        self.iter().find(|flow| flow.declaration().name == name)
    }

    /// The names of all flows.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        self.iter().map(|flow| flow.declaration().name)
    }

    /// The default of `--flow`; empty if there are no flows.
    pub(crate) fn default_name(self) -> &'static str {
        self.names().next().unwrap_or_default()
    }
}

impl fmt::Debug for Flows {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.names()).finish()
    }
}
