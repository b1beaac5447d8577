//! Keys of the stores.

use tributary_runtime::state_key;
use tributary_schemas::types::cases::{CaseId, OriginName};

/// A parked command: they are in order of arrival for each origin and case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ParkedKey {
    pub(super) case: CaseId,
    pub(super) origin: OriginName,
    pub(super) number: i64,
}

state_key!(ParkedKey { case, origin, number });
