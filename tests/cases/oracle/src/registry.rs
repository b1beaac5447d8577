//! Origin systems, clients and grants.

use std::collections::BTreeMap;

use crate::{Notice, Oracle, may_see};

/// A name of the registry, which may be removed and come back.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    name: String,
    is_there: bool,
    /// Whether a broker delivers to it.
    pub(crate) is_on_broker: bool,
}

impl Oracle {
    /// Whether there is such a client.
    pub fn has_client(&self, client: &str) -> bool {
        known(&self.clients, client).is_some()
    }

    /// An origin system is added. A name comes back only as it was written first.
    pub fn put_origin(&mut self, name: &str) {
        put(&mut self.origins, name, false);
    }

    /// A client is added or changed. A name comes back only as it was written first.
    pub fn put_client(&mut self, name: &str, is_on_broker: bool) {
        put(&mut self.clients, name, is_on_broker);
    }

    /// An origin system goes with its grants. Its cases stay.
    pub fn delete_origin(&mut self, name: &str) {
        let Some(name) = known(&self.origins, name) else { return };
        let of_origin = self.grants.iter().filter(|(_, origin, _)| *origin == name).cloned();
        for (client, origin, case) in of_origin.collect::<Vec<_>>() {
            self.revoke(&client, &origin, case);
        }
        remove(&mut self.origins, &name);
    }

    /// A client goes with its grants and its queue.
    pub fn delete_client(&mut self, name: &str) {
        let Some(name) = known(&self.clients, name) else { return };
        self.grants.retain(|(client, _, _)| *client != name);
        self.queues.remove(&name);
        remove(&mut self.clients, &name);
    }

    /// A grant is given, if both are known.
    pub fn grant(&mut self, client: &str, origin: &str, case: Option<u32>) {
        if let (Some(client), Some(origin)) = (known(&self.clients, client), known(&self.origins, origin)) {
            self.grants.insert((client, origin, case));
        }
    }

    /// A grant is revoked: what the client has not received and may not see any more is dropped.
    pub fn revoke(&mut self, client: &str, origin: &str, case: Option<u32>) {
        let (Some(client), Some(origin)) = (known(&self.clients, client), known(&self.origins, origin)) else { return };
        self.grants.remove(&(client.clone(), origin, case));
        let grants = &self.grants;
        if let Some(queue) = self.queues.get_mut(&client) {
            let sees = |notice: &Notice| may_see(grants, &client, &notice.origin, notice.case);
            queue.retain(|kept| kept.is_received || sees(&kept.notice));
        }
    }
}

pub(crate) fn folded(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// The name as the registry has it.
pub(crate) fn known(names: &BTreeMap<String, Named>, name: &str) -> Option<String> {
    names.get(&folded(name)).filter(|named| named.is_there).map(|named| named.name.clone())
}

fn put(names: &mut BTreeMap<String, Named>, name: &str, is_on_broker: bool) {
    let fresh = Named { name: name.to_owned(), is_there: true, is_on_broker };
    let named = names.entry(folded(name)).or_insert_with(|| fresh.clone());
    if named.name == name {
        *named = fresh;
    }
}

fn remove(names: &mut BTreeMap<String, Named>, name: &str) {
    if let Some(named) = names.get_mut(&folded(name)) {
        named.is_there = false;
    }
}
