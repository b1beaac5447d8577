//! Who sees a case: a client with a grant on the whole origin or on the case, unless `consumers` leaves it out.
//!
//! It is evaluated three times: when a notification is made (`case`), when the client's queue receives it (`client`),
//! and when something is read (the edge).

use tributary_schemas::records::cases::CaseState;
use tributary_schemas::types::cases::{CaseId, ClientName, OriginName};

/// Grants of clients, as a stage or a view keeps them.
pub trait Grants {
    /// Whether the client has a grant on exactly this: a case, or with `None` all cases of the origin.
    fn has(&self, client: &ClientName, origin: &OriginName, case: Option<CaseId>) -> bool;

    /// Whether the client has a grant that covers the case.
    fn cover(&self, client: &ClientName, origin: &OriginName, case: CaseId) -> bool {
        self.has(client, origin, None) || self.has(client, origin, Some(case))
    }
}

/// Whether `consumers` leaves the client in.
pub fn is_addressed(case: &CaseState, client: &ClientName) -> bool {
    is_among(case.consumers.as_deref(), client)
}

/// Whether `consumers` of a case leaves the client in.
pub fn is_among(consumers: Option<&[ClientName]>, client: &ClientName) -> bool {
    consumers.is_none_or(|names| names.iter().any(|name| name.is_same(client)))
}

/// Whether the client sees the case.
pub fn sees(grants: &impl Grants, case: &CaseState, client: &ClientName) -> bool {
    is_addressed(case, client) && grants.cover(client, &case.origin_system, case.id)
}
