//! Who sends the records of other programs on Kafka: by token, as over HTTP, or by a header that ACLs protect.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::runtime::Handle;
use tributary_cases::intake::{SenderError, Senders};
use tributary_flow::{Authenticator, Process};
use tributary_runtime::{Headers, TimestampMillis};
use tributary_schemas::types::cases::OriginName;

use crate::rows::{Rows, folded};
use crate::service::Service;

/// The header with the token.
const AUTHORIZATION: &str = "authorization";
/// The header that names an origin system.
const ORIGIN: &str = "origin";
/// The header with a client id, if callers name themselves.
const CLIENT: &str = "tributary-client";

/// Finds senders in the registry.
pub(crate) struct KafkaSenders {
    service: Arc<Service>,
    authenticator: Option<Arc<dyn Authenticator>>,
    tokio: Handle,
}

/// Whom a record names.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    ClientId(String),
    Origin(String),
}

impl KafkaSenders {
    pub(crate) fn new(service: &Arc<Service>, process: &dyn Process) -> Self {
        let (authenticator, tokio) = (process.authenticator(), process.tokio().clone());
        Self { service: Arc::clone(service), authenticator, tokio }
    }

    fn named(&self, headers: Headers<'_>, sent: TimestampMillis) -> Result<Named, SenderError> {
        if self.service.settings.trusts_origin_header {
            let origin = only(headers, ORIGIN)?;
            return origin.map(Named::Origin).ok_or_else(|| unauthenticated("the record has no header `origin`"));
        }
        let no_port = "no token can be checked, because this process has no HTTP port: start it with --http, or set \
                       [cases.kafka] sender = \"header\"";
        let authenticator = self.authenticator.as_ref().ok_or_else(|| SenderError::Unavailable(no_port.to_owned()))?;
        if authenticator.is_open() {
            return self_named(headers);
        }
        let token = only(headers, AUTHORIZATION)?;
        let token = token.ok_or_else(|| unauthenticated("the record has no header `authorization: Bearer TOKEN`"))?;
        let sent = Timestamp::from_millisecond(sent).map_err(|_| unauthenticated("the time of the record is none"))?;
        let caller = authenticator.caller(&token, sent).map_err(|problem| {
            let detail = problem.detail().to_owned();
            if problem.status().is_server_error() {
                SenderError::Unavailable(detail)
            } else {
                SenderError::Unauthenticated(detail)
            }
        })?;
        Ok(Named::ClientId(caller.name().to_owned()))
    }
}

impl Senders for KafkaSenders {
    fn sender(&self, headers: Headers<'_>, sent: TimestampMillis) -> Result<OriginName, SenderError> {
        let named = self.named(headers, sent)?;
        // A known origin need not wait: each command is checked again by its queue.
        if let Ok(origin) = origin(&self.service.following.rows(), &named) {
            return Ok(origin);
        }
        let caught_up = self.service.following.catch_up_cases_blocking(&self.tokio);
        caught_up.map_err(|problem| SenderError::Unavailable(problem.detail().to_owned()))?;
        let rows = self.service.following.rows();
        if rows.version.version == 0 {
            return Err(SenderError::Unavailable("the registry of origin systems is still empty".to_owned()));
        }
        origin(&rows, &named)
    }
}

/// If callers name themselves, a header gives the client id or the name of an origin system.
fn self_named(headers: Headers<'_>) -> Result<Named, SenderError> {
    if let Some(client) = only(headers, CLIENT)? {
        return Ok(Named::ClientId(client));
    }
    let origin = only(headers, ORIGIN)?;
    origin.map(Named::Origin).ok_or_else(|| unauthenticated("the record has no header `tributary-client` or `origin`"))
}

/// The origin system that is named, as the registry knows it.
fn origin(rows: &Rows, named: &Named) -> Result<OriginName, SenderError> {
    match named {
        Named::Origin(name) => match rows.origins.get(&name.to_ascii_lowercase()) {
            Some(origin) => Ok(origin.name.clone()),
            None if rows.clients.contains_key(&name.to_ascii_lowercase()) => Err(SenderError::NotAnOrigin(shown(name))),
            None => Err(SenderError::UnknownClient(shown(name))),
        },
        Named::ClientId(id) => {
            let viewer = rows.viewer(id).ok_or_else(|| SenderError::UnknownClient(shown(id)))?;
            let known = viewer.origin.and_then(|name| rows.origins.get(&folded(&name)));
            known.map(|origin| origin.name.clone()).ok_or_else(|| SenderError::NotAnOrigin(shown(id)))
        }
    }
}

/// The value of a header, whatever the case of its name.
fn only(headers: Headers<'_>, wanted: &str) -> Result<Option<String>, SenderError> {
    let mut values = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(unauthenticated(&format!("the record has more than one header `{wanted}`")));
    }
    let text = std::str::from_utf8(value).map_err(|_| unauthenticated(&format!("the header `{wanted}` is no text")))?;
    Ok(Some(text.trim().to_owned()))
}

fn unauthenticated(reason: &str) -> SenderError {
    SenderError::Unauthenticated(reason.to_owned())
}

/// A name as a message shows it.
fn shown(name: &str) -> String {
    name.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use tributary_runtime::append_header;
    use tributary_schemas::records::cases::{Client, Origin};

    use super::*;

    fn rows() -> Rows {
        let mut rows = Rows::default();
        let origin = Origin { client_id: "a-id".to_owned(), ..Origin::of("Esdh-A".parse().unwrap()) };
        rows.origins.insert(folded(&origin.name), origin);
        let client = Client { client_id: "j-id".to_owned(), ..Client::of("journal-1".parse().unwrap()) };
        rows.clients.insert(folded(&client.name), client);
        rows
    }

    #[test]
    fn the_registry_says_who_is_an_origin() {
        let rows = rows();
        let of = |named| origin(&rows, &named).map(|name| name.to_string());
        assert_eq!(of(Named::ClientId("a-id".to_owned())), Ok("Esdh-A".to_owned()));
        assert_eq!(of(Named::Origin("ESDH-a".to_owned())), Ok("Esdh-A".to_owned()));
        assert_eq!(of(Named::ClientId("j-id".to_owned())), Err(SenderError::NotAnOrigin("j-id".to_owned())));
        assert_eq!(of(Named::Origin("journal-1".to_owned())), Err(SenderError::NotAnOrigin("journal-1".to_owned())));
        assert_eq!(of(Named::ClientId("Esdh-A".to_owned())), Err(SenderError::UnknownClient("Esdh-A".to_owned())));
    }

    #[test]
    fn a_header_may_be_there_once() {
        let mut bytes = Vec::new();
        append_header(&mut bytes, "Authorization", b" Bearer x ");
        let read = |bytes: &[u8]| only(Headers::from_bytes(bytes), AUTHORIZATION);
        assert_eq!(read(&bytes), Ok(Some("Bearer x".to_owned())));
        append_header(&mut bytes, "authorization", b"Bearer y");
        assert!(matches!(read(&bytes), Err(SenderError::Unauthenticated(_))));
        assert_eq!(
            self_named(Headers::default()),
            Err(unauthenticated("the record has no header `tributary-client` or `origin`"))
        );
    }
}
