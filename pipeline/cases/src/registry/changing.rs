//! Changes of the registry: what is refused, what changes nothing, and what follows from a change.

use tributary_runtime::{Output, StateKey, Store};
use tributary_schemas::records::cases::{
    AuditEntry, Client, Grant, Origin, RegistryAction, RegistryChange, RegistryRequest,
};
use tributary_schemas::records::cases_state::PendingChange;
use tributary_schemas::types::cases::{ClientName, OriginName};

use super::targets::targets;
use super::{GrantKey, MOST_AUDITED, RegistryStage};
use crate::{topics, uri};

/// Places of one origin system.
const MOST_PLACES: usize = 100;

/// The longest client id in bytes.
const LONGEST_CLIENT_ID: usize = 255;

/// Whether what is named was there before, or the code of a refusal.
type Decided = Result<bool, &'static str>;

impl RegistryStage {
    pub(super) fn change(&mut self, now: i64, request: &RegistryRequest, output: &mut Output) -> Decided {
        match request.action {
            RegistryAction::OriginPut => self.put_origin(now, request, output),
            RegistryAction::ClientPut => self.put_client(now, request, output),
            RegistryAction::OriginDelete => self.delete_origin(now, request, output),
            RegistryAction::ClientDelete => self.delete_client(now, request, output),
            RegistryAction::GrantAdd => self.add_grant(now, request, output),
            RegistryAction::GrantRevoke => self.revoke_grant(now, request, output),
            RegistryAction::QueuePause | RegistryAction::QueueResume => {
                request.queue.ok_or("UnknownQueue")?;
                self.carry_out(now, request.clone(), output);
                Ok(true)
            }
        }
    }

    fn put_origin(&mut self, now: i64, request: &RegistryRequest, output: &mut Output) -> Decided {
        let name = request.origin.clone().ok_or("InvalidName")?;
        let client_id = client_id(request)?;
        if request.details.len() > MOST_PLACES || request.details.iter().any(|place| uri::place(place).is_err()) {
            return Err("InvalidDetails");
        }
        let key = folded(name.as_str());
        let is_other = |other: &Origin| !other.name.is_same(&name) && other.client_id == client_id;
        if self.origins.iter().any(|(_, other)| is_other(other)) {
            return Err("NameTaken");
        }
        let before = self.origins.get(&key);
        let written =
            before.map(|before| &before.name).or_else(|| former(&self.former_origins, &key, OriginName::first()));
        if written.is_some_and(|written| *written != name) {
            return Err("NameTaken");
        }
        let origin = Origin { client_id, details: request.details.clone(), ..Origin::of(name.clone()) };
        let existed = before.is_some();
        if before != Some(&origin) {
            self.context.send(output, &topics::REGISTRY_ROWS, &format!("origin/{name}"), &origin);
            self.former_origins.delete((key.clone(), name));
            self.origins.put(key, origin);
            self.carry_out(now, request.clone(), output);
        }
        Ok(existed)
    }

    fn put_client(&mut self, now: i64, request: &RegistryRequest, output: &mut Output) -> Decided {
        let name = request.client.clone().ok_or("InvalidName")?;
        let client_id = client_id(request)?;
        let key = folded(name.as_str());
        let is_other = |other: &Client| !other.name.is_same(&name) && other.client_id == client_id;
        if self.clients.iter().any(|(_, other)| is_other(other)) {
            return Err("NameTaken");
        }
        let before = self.clients.get(&key);
        let written =
            before.map(|before| &before.name).or_else(|| former(&self.former_clients, &key, ClientName::first()));
        if written.is_some_and(|written| *written != name) {
            return Err("NameTaken");
        }
        let client = Client { client_id, channel: request.channel, format: request.format, ..Client::of(name.clone()) };
        let existed = before.is_some();
        if before != Some(&client) {
            self.context.send(output, &topics::REGISTRY_ROWS, &format!("client/{name}"), &client);
            self.former_clients.delete((key.clone(), name));
            self.clients.put(key, client);
            self.carry_out(now, request.clone(), output);
        }
        Ok(existed)
    }

    /// The grants of an origin end with it. Its cases stay.
    fn delete_origin(&mut self, now: i64, request: &RegistryRequest, output: &mut Output) -> Decided {
        let name = self.known_origin(request)?;
        let grants = self.grants.iter().map(|(key, ())| key.clone()).filter(|key| key.1.0 == name).collect();
        self.revoke_all(now, request, grants, output);
        output.tombstone(&topics::REGISTRY_ROWS, format!("origin/{name}").as_bytes());
        self.origins.delete(folded(name.as_str()));
        self.former_origins.put((folded(name.as_str()), name.clone()), ());
        let change = RegistryRequest { origin: Some(name), ..request.clone() };
        self.carry_out(now, change, output);
        Ok(true)
    }

    fn delete_client(&mut self, now: i64, request: &RegistryRequest, output: &mut Output) -> Decided {
        let name = self.known_client(request)?;
        let grants = self.grants.iter().map(|(key, ())| key.clone()).filter(|key| key.0 == name).collect();
        self.revoke_all(now, request, grants, output);
        output.tombstone(&topics::REGISTRY_ROWS, format!("client/{name}").as_bytes());
        self.clients.delete(folded(name.as_str()));
        self.former_clients.put((folded(name.as_str()), name.clone()), ());
        let change = RegistryRequest { client: Some(name), ..request.clone() };
        self.carry_out(now, change, output);
        Ok(true)
    }

    fn add_grant(&mut self, now: i64, request: &RegistryRequest, output: &mut Output) -> Decided {
        let key = self.grant_key(request)?;
        if self.grants.get(&key).is_some() {
            return Ok(true);
        }
        let (client, (origin, case_id)) = key.clone();
        let grant = Grant { case_id, ..Grant::of(client, origin) };
        self.context.send(output, &topics::REGISTRY_ROWS, &grant_row(&key), &grant);
        self.grants.put(key.clone(), ());
        self.carry_out(now, of_grant(request, key), output);
        Ok(false)
    }

    fn revoke_grant(&mut self, now: i64, request: &RegistryRequest, output: &mut Output) -> Decided {
        let key = self.grant_key(request)?;
        if self.grants.get(&key).is_none() {
            return Err("UnknownGrant");
        }
        self.revoke_all(now, request, vec![key], output);
        Ok(true)
    }

    fn revoke_all(&mut self, now: i64, request: &RegistryRequest, grants: Vec<GrantKey>, output: &mut Output) {
        for key in grants {
            output.tombstone(&topics::REGISTRY_ROWS, grant_row(&key).as_bytes());
            self.grants.delete(key.clone());
            let revoke = RegistryRequest { action: RegistryAction::GrantRevoke, ..request.clone() };
            self.carry_out(now, of_grant(&revoke, key), output);
        }
    }

    fn grant_key(&self, request: &RegistryRequest) -> Result<GrantKey, &'static str> {
        Ok((self.known_client(request)?, (self.known_origin(request)?, request.case_id)))
    }

    /// The name as the registry has it.
    fn known_origin(&self, request: &RegistryRequest) -> Result<OriginName, &'static str> {
        let named = request.origin.as_ref().ok_or("UnknownOrigin")?;
        let known = self.origins.get(&folded(named.as_str())).ok_or("UnknownOrigin")?;
        Ok(known.name.clone())
    }

    fn known_client(&self, request: &RegistryRequest) -> Result<ClientName, &'static str> {
        let named = request.client.as_ref().ok_or("UnknownClient")?;
        let known = self.clients.get(&folded(named.as_str())).ok_or("UnknownClient")?;
        Ok(known.name.clone())
    }

    /// Gives the change a version and sends it to each partition that needs it.
    fn carry_out(&mut self, now: i64, change: RegistryRequest, output: &mut Output) {
        let mut progress = self.progress();
        progress.version += 1;
        let version = progress.version;
        self.progress.put((), progress);
        self.audit(now, version, &change, output);
        let targets = targets(&self.context, &change, output);
        self.pending.put(version, PendingChange { remaining: targets.len() as i32 });
        let change = RegistryChange { version, change };
        for (topic, partition) in targets {
            self.context.send_to(output, topic, partition, b"registry", &change);
        }
        self.note_version(output);
    }

    fn audit(&mut self, now: i64, version: i64, change: &RegistryRequest, output: &mut Output) {
        let entry = AuditEntry {
            version,
            time: now,
            by: change.by.clone(),
            action: change.action,
            client: change.client.clone(),
            origin: change.origin.clone(),
            case_id: change.case_id,
            queue: change.queue,
        };
        self.context.send(output, &topics::REGISTRY_ROWS, &audit_row(version), &entry);
        self.audit.put(version, entry);
        let forgotten = version - MOST_AUDITED;
        if self.audit.get(&forgotten).is_some() {
            self.audit.delete(forgotten);
            output.tombstone(&topics::REGISTRY_ROWS, audit_row(forgotten).as_bytes());
        }
    }
}

/// A removed name as it was written. `first` sorts before all names.
fn former<'a, N: StateKey>(names: &'a Store<(String, N), ()>, key: &str, first: N) -> Option<&'a N> {
    let ((found, name), ()) = names.range((key.to_owned(), first)..).next()?;
    (found == key).then_some(name)
}

fn of_grant(request: &RegistryRequest, (client, (origin, case_id)): GrantKey) -> RegistryRequest {
    RegistryRequest { client: Some(client), origin: Some(origin), case_id, ..request.clone() }
}

fn client_id(request: &RegistryRequest) -> Result<String, &'static str> {
    let is_possible = |id: &String| (1..=LONGEST_CLIENT_ID).contains(&id.len());
    request.client_id.clone().filter(is_possible).ok_or("InvalidName")
}

fn folded(name: &str) -> String {
    name.to_ascii_lowercase()
}

fn grant_row((client, (origin, case)): &GrantKey) -> String {
    match case {
        None => format!("grant/{client}/{origin}"),
        Some(case) => format!("grant/{client}/{origin}/{case}"),
    }
}

/// The newest has the lowest number, so that it comes first.
fn audit_row(version: i64) -> String {
    format!("audit/{:019}", i64::MAX - version)
}
