//! Origin systems, clients and grants of the configuration: names are unique without regard to case, client ids are
//! unique, and grants name known origin systems.

use std::collections::BTreeMap;
use std::str::FromStr;

use toml::Spanned;
use tributary_schemas::records::cases::{self, Client, Grant, Origin, RegistryFill};
use tributary_schemas::types::cases::{NameError, OriginName};

use super::table::{Channel, ClientTable, Format, Table};

/// The longest client id that the server takes from a token, in bytes.
const LONGEST_CLIENT_ID: usize = 200;

/// A wrong entry at a byte of the file.
pub(super) struct Wrong {
    pub(super) offset: usize,
    pub(super) problem: String,
}

impl Wrong {
    fn at<T>(entry: &Spanned<T>, problem: String) -> Self {
        Self { offset: entry.span().start, problem }
    }
}

/// What fills an empty registry.
pub(super) fn fill(table: &Table) -> Result<RegistryFill, Wrong> {
    let mut fill = RegistryFill { by: "the configuration".to_owned(), ..RegistryFill::default() };
    let mut taken = Taken::default();
    for (name, entry) in &table.origins {
        let origin = entry.get_ref();
        let name: OriginName = taken.claim("origins", name, &origin.client_id, entry)?;
        let details = origin.details.iter().map(|place| place.0.clone()).collect();
        fill.origins.push(Origin { client_id: origin.client_id.clone(), details, ..Origin::of(name) });
    }
    let mut taken = Taken::default();
    for (name, entry) in &table.clients {
        let client = client(name, entry, &mut taken, table.rabbitmq.is_some())?;
        for seen in &entry.get_ref().sees {
            let known = fill.origins.iter().find(|origin| origin.name.as_str().eq_ignore_ascii_case(seen));
            let unknown =
                || Wrong::at(entry, format!("UnknownOrigin: {name} sees {seen}, which is no origin of this file"));
            let origin = known.ok_or_else(unknown)?.name.clone();
            fill.grants.push(Grant::of(client.name.clone(), origin));
        }
        fill.clients.push(client);
    }
    Ok(fill)
}

/// The first client that needs Kafka, as the error for a log without it.
pub(super) fn needs_kafka(table: &Table) -> Option<Wrong> {
    let (name, entry) = table.clients.iter().find(|(_, client)| client.get_ref().channel == Channel::Kafka)?;
    let problem = format!("NoKafka: {name} has the channel kafka, and the log is not on Kafka: start with --log kafka");
    Some(Wrong::at(entry, problem))
}

fn client(name: &str, entry: &Spanned<ClientTable>, taken: &mut Taken, has_broker: bool) -> Result<Client, Wrong> {
    let client = entry.get_ref();
    if client.channel == Channel::Rabbitmq && !has_broker {
        let problem = format!("NoExternalBroker: {name} has the channel rabbitmq: add the table [cases.rabbitmq]");
        return Err(Wrong::at(entry, problem));
    }
    let channel = match client.channel {
        Channel::Api => cases::Channel::Api,
        Channel::Kafka => cases::Channel::Kafka,
        Channel::Rabbitmq => cases::Channel::Rabbitmq,
    };
    let format = match client.format {
        Format::Masstransit => cases::Format::Masstransit,
        Format::RawJson => cases::Format::RawJson,
        Format::Cloudevents => cases::Format::Cloudevents,
    };
    let name = taken.claim("clients", name, &client.client_id, entry)?;
    Ok(Client { client_id: client.client_id.clone(), channel, format, ..Client::of(name) })
}

/// Checks the client id of a token. Nobody could ever call with another one.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_client_id(text: &str) -> Result<(), &'static str> {
    if text.trim().is_empty() {
        return Err("is empty");
    }
    if text.len() > LONGEST_CLIENT_ID || text.chars().any(char::is_control) {
        return Err("has more than 200 bytes or a control character");
    }
    Ok(())
}

/// Names in lower case and client ids, each with the name that has it.
#[derive(Default)]
struct Taken {
    names: BTreeMap<String, String>,
    client_ids: BTreeMap<String, String>,
}

impl Taken {
    fn claim<N: FromStr<Err = NameError>, T>(
        &mut self,
        table: &str,
        name: &str,
        client_id: &str,
        entry: &Spanned<T>,
    ) -> Result<N, Wrong> {
        let parsed = name.parse().map_err(|error| Wrong::at(entry, format!("InvalidName: {error}")))?;
        let wrong_id = |reason| Wrong::at(entry, format!("InvalidName: the client_id of {name} {reason}"));
        check_client_id(client_id).map_err(wrong_id)?;
        if let Some(other) = self.names.insert(name.to_ascii_lowercase(), name.to_owned()) {
            let problem = format!("NameTaken: [cases.{table}] has {other} and {name}, which differ only in case");
            return Err(Wrong::at(entry, problem));
        }
        if let Some(other) = self.client_ids.insert(client_id.to_owned(), name.to_owned()) {
            let problem = format!("NameTaken: [cases.{table}] gives the client_id {client_id} to {other} and {name}");
            return Err(Wrong::at(entry, problem));
        }
        Ok(parsed)
    }
}
