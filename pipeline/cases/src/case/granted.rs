//! The grants that a partition of `case` needs: all on whole origins, and those on its cases.

use tributary_runtime::{StateStore, Store};
use tributary_schemas::records::cases::{CaseState, RegistryAction, RegistryRequest};
use tributary_schemas::types::cases::{CaseId, ClientName, OriginName};

use crate::permission::{self, Grants};

pub(super) struct Granted {
    origins: Store<(OriginName, ClientName), ()>,
    cases: Store<(CaseId, (OriginName, ClientName)), ()>,
}

impl Granted {
    pub(super) const fn new(origins: u8, cases: u8) -> Self {
        Self { origins: Store::new(origins, "origin_grants"), cases: Store::new(cases, "case_grants") }
    }

    pub(super) fn stores(&mut self) -> [&mut dyn StateStore; 2] {
        [&mut self.origins, &mut self.cases]
    }

    pub(super) fn apply(&mut self, change: &RegistryRequest) {
        let (Some(origin), Some(client)) = (change.origin.clone(), change.client.clone()) else { return };
        match (change.action, change.case_id) {
            (RegistryAction::GrantAdd, None) => self.origins.put((origin, client), ()),
            (RegistryAction::GrantAdd, Some(case)) => self.cases.put((case, (origin, client)), ()),
            (RegistryAction::GrantRevoke, None) => self.origins.delete((origin, client)),
            (RegistryAction::GrantRevoke, Some(case)) => self.cases.delete((case, (origin, client))),
            _ => {}
        }
    }

    /// The clients that see the case, sorted, each once.
    pub(super) fn audience(&self, case: &CaseState) -> Vec<ClientName> {
        let origin = &case.origin_system;
        let first = (origin.clone(), ClientName::first());
        let of_origin = self.origins.range(first.clone()..).map(|(key, ())| key).take_while(|key| key.0 == *origin);
        let of_case = self.cases.range((case.id, first)..).map(|(key, ())| key);
        let of_case = of_case.take_while(|(id, key)| *id == case.id && key.0 == *origin).map(|(_, key)| key);
        let granted = of_origin.chain(of_case).map(|(_, client)| client);
        let mut clients: Vec<ClientName> =
            granted.filter(|client| permission::is_addressed(case, client)).cloned().collect();
        clients.sort_unstable();
        clients.dedup();
        clients
    }
}

impl Grants for Granted {
    fn has(&self, client: &ClientName, origin: &OriginName, case: Option<CaseId>) -> bool {
        let key = (origin.clone(), client.clone());
        match case {
            None => self.origins.get(&key).is_some(),
            Some(case) => self.cases.get(&(case, key)).is_some(),
        }
    }
}
