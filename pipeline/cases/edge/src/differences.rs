//! What differs between the origin systems, clients and grants of a file and those of the registry: the changes that
//! make the registry like the file, in an order that works.
//!
//! A file has no grants on single cases, so those of the registry stay. Names are the same but for case.

use std::collections::BTreeMap;
use std::fmt;

use tributary_schemas::records::cases::{Client, Grant, Origin, RegistryFill};
use tributary_schemas::types::cases::{ClientName, OriginName};

/// Names of one kind that a warning lists.
const LISTED: usize = 5;

/// A change that makes the registry more like the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// Revokes a grant on a whole origin system.
    Revoke(ClientName, OriginName),
    /// Removes a client.
    RemoveClient(ClientName),
    /// Removes an origin system.
    RemoveOrigin(OriginName),
    /// Adds an origin system, or changes the one that was before.
    PutOrigin(Origin, Option<Origin>),
    /// Adds a client, or changes the one that was before.
    PutClient(Client, Option<Client>),
    /// Grants a client all cases of an origin system.
    Grant(ClientName, OriginName),
}

impl Change {
    /// What it does, as the audit names it.
    pub(crate) fn action(&self) -> &'static str {
        match self {
            Self::Revoke(..) => "grant.revoke",
            Self::RemoveClient(_) => "client.delete",
            Self::RemoveOrigin(_) => "origin.delete",
            Self::PutOrigin(..) => "origin.put",
            Self::PutClient(..) => "client.put",
            Self::Grant(..) => "grant.add",
        }
    }

    /// The client that it names.
    pub(crate) fn client(&self) -> Option<&ClientName> {
        match self {
            Self::Revoke(client, _) | Self::Grant(client, _) | Self::RemoveClient(client) => Some(client),
            Self::PutClient(client, _) => Some(&client.name),
            Self::RemoveOrigin(_) | Self::PutOrigin(..) => None,
        }
    }

    /// The origin system that it names.
    pub(crate) fn origin(&self) -> Option<&OriginName> {
        match self {
            Self::Revoke(_, origin) | Self::Grant(_, origin) | Self::RemoveOrigin(origin) => Some(origin),
            Self::PutOrigin(origin, _) => Some(&origin.name),
            Self::RemoveClient(_) | Self::PutClient(..) => None,
        }
    }

    /// How the file and the registry differ.
    fn kind(&self) -> &'static str {
        match self {
            Self::Revoke(..) => "grants of the registry that the file does not have",
            Self::RemoveClient(_) => "clients of the registry that the file does not have",
            Self::RemoveOrigin(_) => "origin systems of the registry that the file does not have",
            Self::PutOrigin(_, None) => "origin systems of the file that the registry does not have",
            Self::PutOrigin(_, Some(_)) => "origin systems that are not as in the file",
            Self::PutClient(_, None) => "clients of the file that the registry does not have",
            Self::PutClient(_, Some(_)) => "clients that are not as in the file",
            Self::Grant(..) => "grants of the file that the registry does not have",
        }
    }

    /// What differs, in short.
    fn subject(&self) -> String {
        match (self.client(), self.origin()) {
            (Some(client), Some(origin)) => format!("{client} on {origin}"),
            (Some(client), None) => client.to_string(),
            (None, origin) => origin.map(ToString::to_string).unwrap_or_default(),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoke(client, origin) => write!(formatter, "revoke the grant of {client} on {origin}"),
            Self::RemoveClient(name) => write!(formatter, "remove the client {name}, its grants and its queue"),
            Self::RemoveOrigin(name) => write!(formatter, "remove the origin {name} and its grants; its cases stay"),
            Self::PutOrigin(origin, before) => {
                let before = before.as_ref();
                let parts = [
                    part("client id", before.map(|before| before.client_id.clone()), &origin.client_id),
                    part("details", before.map(|before| before.details.join(" ")), &origin.details.join(" ")),
                ];
                put(formatter, "origin", origin.name.as_str(), before.is_some(), parts)
            }
            Self::PutClient(client, before) => {
                let before = before.as_ref();
                let parts = [
                    part("client id", before.map(|before| before.client_id.clone()), &client.client_id),
                    part("channel", before.map(|before| before.channel.symbol().to_owned()), client.channel.symbol()),
                    part("format", before.map(|before| before.format.symbol().to_owned()), client.format.symbol()),
                ];
                put(formatter, "client", client.name.as_str(), before.is_some(), parts)
            }
            Self::Grant(client, origin) => write!(formatter, "grant {client} the cases of {origin}"),
        }
    }
}

/// The value, or the change of it. `None` when it stays.
fn part(what: &str, before: Option<String>, after: &str) -> Option<String> {
    match before {
        None => Some(format!("{what} {after}")),
        Some(before) if before == after => None,
        Some(before) => Some(format!("{what} {before} -> {after}")),
    }
}

fn put<const N: usize>(
    formatter: &mut fmt::Formatter<'_>,
    what: &str,
    name: &str,
    existed: bool,
    parts: [Option<String>; N],
) -> fmt::Result {
    let verb = if existed { "change" } else { "add" };
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    write!(formatter, "{verb} the {what} {name}: {}", parts.join(", "))
}

/// Whether it names no origin system and no client.
pub(crate) fn is_empty(fill: &RegistryFill) -> bool {
    fill.origins.is_empty() && fill.clients.is_empty()
}

/// The changes that make `registry` like `file`. Revocations come first, grants last. A client id that moves is free
/// before another one gets it, unless ids go round in a circle.
pub(crate) fn between(file: &RegistryFill, registry: &RegistryFill) -> Vec<Change> {
    let gone_clients: Vec<&ClientName> =
        missing(&registry.clients, &file.clients, |client| &client.name, is_same_client);
    let gone_origins: Vec<&OriginName> =
        missing(&registry.origins, &file.origins, |origin| &origin.name, is_same_origin);
    // A grant ends with its client and its origin.
    let ends = |grant: &Grant| gone_clients.contains(&&grant.client) || gone_origins.contains(&&grant.origin);
    let revoked = whole(&registry.grants).filter(|grant| !ends(grant) && !has_grant(&file.grants, grant));
    let added = whole(&file.grants).filter(|grant| !has_grant(&registry.grants, grant));
    let mut changes: Vec<Change> =
        revoked.map(|grant| Change::Revoke(grant.client.clone(), grant.origin.clone())).collect();
    changes.extend(gone_clients.iter().map(|name| Change::RemoveClient((*name).clone())));
    changes.extend(gone_origins.iter().map(|name| Change::RemoveOrigin((*name).clone())));
    changes.extend(puts_of_origins(file, registry));
    changes.extend(puts_of_clients(file, registry));
    changes.extend(added.map(|grant| Change::Grant(grant.client.clone(), grant.origin.clone())));
    changes
}

/// A line for each kind of difference: how many, and which.
pub(crate) fn in_words(changes: &[Change]) -> Vec<String> {
    let mut kinds: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for change in changes {
        kinds.entry(change.kind()).or_default().push(change.subject());
    }
    let line = |(kind, subjects): (&str, Vec<String>)| {
        let more = if subjects.len() > LISTED { ", ..." } else { "" };
        let listed: Vec<&str> = subjects.iter().take(LISTED).map(String::as_str).collect();
        format!("{kind}: {} ({}{more})", subjects.len(), listed.join(", "))
    };
    kinds.into_iter().map(line).collect()
}

fn is_same_client(one: &ClientName, other: &ClientName) -> bool {
    one.is_same(other)
}

fn is_same_origin(one: &OriginName, other: &OriginName) -> bool {
    one.is_same(other)
}

/// The names of `these` that `others` do not have.
fn missing<'a, R, N>(these: &'a [R], others: &'a [R], name: fn(&R) -> &N, is_same: fn(&N, &N) -> bool) -> Vec<&'a N> {
    let is_missing = |one: &&N| !others.iter().any(|other| is_same(one, name(other)));
    these.iter().map(name).filter(is_missing).collect()
}

fn whole(grants: &[Grant]) -> impl Iterator<Item = &Grant> {
    grants.iter().filter(|grant| grant.case_id.is_none())
}

fn has_grant(grants: &[Grant], wanted: &Grant) -> bool {
    whole(grants).any(|grant| grant.client.is_same(&wanted.client) && grant.origin.is_same(&wanted.origin))
}

fn puts_of_origins(file: &RegistryFill, registry: &RegistryFill) -> Vec<Change> {
    let puts = file.origins.iter().filter_map(|wanted| {
        let before = registry.origins.iter().find(|origin| origin.name.is_same(&wanted.name));
        // The registry keeps its spelling of the name.
        let name = before.map_or(&wanted.name, |before| &before.name).clone();
        let wanted = Origin { name, ..wanted.clone() };
        (before != Some(&wanted)).then(|| (wanted.client_id.clone(), Change::PutOrigin(wanted, before.cloned())))
    });
    let gone = missing(&registry.origins, &file.origins, |origin| &origin.name, is_same_origin);
    let stay = registry.origins.iter().filter(|origin| !gone.contains(&&origin.name));
    let held = stay.map(|origin| (origin.name.to_string(), origin.client_id.clone())).collect();
    by_free_client_ids(puts.collect(), held)
}

fn puts_of_clients(file: &RegistryFill, registry: &RegistryFill) -> Vec<Change> {
    let puts = file.clients.iter().filter_map(|wanted| {
        let before = registry.clients.iter().find(|client| client.name.is_same(&wanted.name));
        let name = before.map_or(&wanted.name, |before| &before.name).clone();
        let wanted = Client { name, ..wanted.clone() };
        (before != Some(&wanted)).then(|| (wanted.client_id.clone(), Change::PutClient(wanted, before.cloned())))
    });
    let gone = missing(&registry.clients, &file.clients, |client| &client.name, is_same_client);
    let stay = registry.clients.iter().filter(|client| !gone.contains(&&client.name));
    let held = stay.map(|client| (client.name.to_string(), client.client_id.clone())).collect();
    by_free_client_ids(puts.collect(), held)
}

/// Orders puts so that each finds its client id free. Those in a circle come last, and the registry refuses them.
fn by_free_client_ids(mut puts: Vec<(String, Change)>, mut held: BTreeMap<String, String>) -> Vec<Change> {
    let mut ordered = Vec::with_capacity(puts.len());
    while !puts.is_empty() {
        let is_free = |(wanted, change): &(String, Change)| {
            let own = change.subject();
            !held.iter().any(|(name, id)| id == wanted && *name != own)
        };
        let next = puts.iter().position(is_free).unwrap_or(0);
        let (client_id, change) = puts.remove(next);
        held.insert(change.subject(), client_id);
        ordered.push(change);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use tributary_schemas::records::cases::Channel;

    use super::*;

    fn origin(name: &str) -> Origin {
        let details = vec![format!("https://{name}.example")];
        Origin { client_id: format!("{name}-id"), details, ..Origin::of(name.parse().unwrap()) }
    }

    fn client(name: &str, client_id: &str) -> Client {
        Client { client_id: client_id.to_owned(), ..Client::of(name.parse().unwrap()) }
    }

    fn grant(client: &str, origin: &str) -> Grant {
        Grant::of(client.parse().unwrap(), origin.parse().unwrap())
    }

    fn registry(origins: &[&str], clients: &[(&str, &str)], grants: &[(&str, &str)]) -> RegistryFill {
        RegistryFill {
            origins: origins.iter().map(|name| origin(name)).collect(),
            clients: clients.iter().map(|(name, id)| client(name, id)).collect(),
            grants: grants.iter().map(|(client, origin)| grant(client, origin)).collect(),
            ..RegistryFill::default()
        }
    }

    fn texts(changes: &[Change]) -> Vec<String> {
        changes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_same_but_for_case_and_grants_on_cases_is_no_difference() {
        let file = registry(&["esdh-a"], &[("Journal-1", "j")], &[("Journal-1", "esdh-a")]);
        let mut kept = registry(&["esdh-a"], &[("journal-1", "j")], &[("journal-1", "ESDH-A")]);
        let case_id = Some("6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e".parse().unwrap());
        kept.grants.push(Grant { case_id, ..grant("journal-1", "esdh-a") });
        assert_eq!(between(&file, &kept), []);
    }

    #[test]
    fn revocations_come_first_and_grants_last() {
        let file =
            registry(&["esdh-a", "esdh-b"], &[("journal-1", "j"), ("journal-2", "k")], &[("journal-2", "esdh-b")]);
        let kept = registry(
            &["esdh-a", "esdh-c"],
            &[("journal-1", "i"), ("old", "o")],
            &[("journal-1", "esdh-a"), ("old", "esdh-a"), ("journal-1", "esdh-c")],
        );
        assert_eq!(
            texts(&between(&file, &kept)),
            [
                "revoke the grant of journal-1 on esdh-a",
                "remove the client old, its grants and its queue",
                "remove the origin esdh-c and its grants; its cases stay",
                "add the origin esdh-b: client id esdh-b-id, details https://esdh-b.example",
                "change the client journal-1: client id i -> j",
                "add the client journal-2: client id k, channel api, format masstransit",
                "grant journal-2 the cases of esdh-b",
            ]
        );
    }

    #[test]
    fn a_client_id_that_moves_is_free_before_another_gets_it() {
        let kept = registry(&[], &[("a", "1"), ("b", "2"), ("c", "3"), ("gone", "4")], &[]);
        let file = registry(&[], &[("a", "2"), ("b", "3"), ("c", "4")], &[]);
        let order: Vec<String> = between(&file, &kept).iter().map(Change::subject).collect();
        assert_eq!(order, ["gone", "c", "b", "a"]);
        let circle = registry(&[], &[("a", "2"), ("b", "1")], &[]);
        let two = registry(&[], &[("a", "1"), ("b", "2")], &[]);
        assert_eq!(between(&circle, &two).len(), 2, "the registry refuses them");
    }

    #[test]
    fn a_warning_counts_a_kind_and_names_the_first() {
        let kept = registry(&["esdh-a"], &[("j", "j")], &[]);
        let mut file = registry(&["esdh-a"], &[("j", "j")], &[("j", "esdh-a")]);
        file.clients[0].channel = Channel::Kafka;
        assert_eq!(
            in_words(&between(&file, &kept)),
            [
                "clients that are not as in the file: 1 (j)",
                "grants of the file that the registry does not have: 1 (j on esdh-a)"
            ]
        );
    }
}
