//! A call as the register reads it.

use std::time::Instant;

use quick_xml::events::Event;
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

/// Namespaces of the two envelopes, of the headers and of identifiers.
const SOAP_11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const SOAP_12: &str = "http://www.w3.org/2003/05/soap-envelope";
const HEADERS: &str = "http://x-road.eu/xsd/xroad.xsd";
const IDENTIFIERS: &str = "http://x-road.eu/xsd/identifiers";

/// The version of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoapVersion {
    /// SOAP 1.1.
    V11,
    /// SOAP 1.2.
    V12,
}

impl SoapVersion {
    /// The namespace of its envelope.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::V11 => SOAP_11,
            Self::V12 => SOAP_12,
        }
    }

    /// The content type of a message.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::V11 => "text/xml; charset=utf-8",
            Self::V12 => "application/soap+xml; charset=utf-8",
        }
    }
}

/// A header that identifies a subsystem or a service: local names and texts in their order.
pub type Identifier = Vec<(String, String)>;

/// A call that came in.
#[derive(Clone, Debug)]
pub struct Call {
    /// When it came.
    pub at: Instant,
    /// Names in lower case and values of the HTTP headers.
    pub http_headers: Vec<(String, String)>,
    /// The envelope.
    pub version: SoapVersion,
    /// The header `client`.
    pub client: Identifier,
    /// The header `service`.
    pub service: Identifier,
    /// The header `userId`.
    pub user_id: String,
    /// The header `id`.
    pub id: String,
    /// The header `protocolVersion`.
    pub protocol_version: String,
    /// Local name and namespace of the wrapper in the body. The namespace is empty for none.
    pub wrapper: (String, String),
    /// Local name and text of each element in the wrapper.
    pub elements: Vec<(String, String)>,
    /// The whole message.
    pub body: String,
}

impl Call {
    /// The text of the first element in the wrapper: the number that is asked for.
    pub fn number(&self) -> &str {
        self.elements.first().map(|(_, text)| text.as_str()).unwrap_or_default()
    }

    /// A header of HTTP.
    pub fn http_header(&self, name: &str) -> Option<&str> {
        self.http_headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Reads a message.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn read(at: Instant, http_headers: Vec<(String, String)>, body: &[u8]) -> Result<Self, String> {
        let body = String::from_utf8(body.to_vec()).map_err(|_| "the message is not UTF-8")?;
        let mut reading = Reading::default();
        reading.read(&body)?;
        let version = match reading.envelope.as_deref() {
            Some(SOAP_11) => SoapVersion::V11,
            Some(SOAP_12) => SoapVersion::V12,
            _ => return Err("the root is no SOAP envelope".to_owned()),
        };
        let header = |name: &str| {
            let found = reading.headers.iter().find(|(known, _)| known == name);
            found.map(|(_, text)| text.clone()).ok_or_else(|| format!("the header {name} is missing"))
        };
        let (user_id, id, protocol_version) = (header("userId")?, header("id")?, header("protocolVersion")?);
        if reading.client.is_empty() || reading.service.is_empty() {
            return Err("the header client or service is missing".to_owned());
        }
        let (client, service) = (reading.client, reading.service);
        let wrapper = reading.wrapper.ok_or("the SOAP body is empty")?;
        let elements = reading.elements;
        Ok(Self { at, http_headers, version, client, service, user_id, id, protocol_version, wrapper, elements, body })
    }
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    /// Names and namespaces of the open elements.
    open: Vec<(String, String)>,
    envelope: Option<String>,
    headers: Vec<(String, String)>,
    client: Identifier,
    service: Identifier,
    wrapper: Option<(String, String)>,
    elements: Vec<(String, String)>,
}

impl Reading {
    fn read(&mut self, body: &str) -> Result<(), String> {
        let mut reader = NsReader::from_str(body);
        reader.config_mut().expand_empty_elements = true;
        loop {
            let event = reader.read_event().map_err(|error| format!("the message is not well-formed: {error}"))?;
            match event {
                Event::Start(start) => {
                    let (namespace, local) = reader.resolver().resolve_element(start.name());
                    let namespace = match namespace {
                        ResolveResult::Bound(Namespace(namespace)) => unescape(namespace)?,
                        ResolveResult::Unbound => String::new(),
                        ResolveResult::Unknown(prefix) => return Err(format!("the prefix {prefix:?} is not declared")),
                    };
                    self.begin(local.into_inner().to_owned(), namespace);
                }
                Event::End(_) => drop(self.open.pop()),
                Event::Text(text) => self.text(&text.xml10_content()),
                Event::CData(text) => self.text(&text.xml10_content()),
                Event::GeneralRef(reference) => {
                    let resolved = match reference.resolve_char_ref() {
                        Ok(Some(letter)) => Some(letter.to_string()),
                        _ => named(&reference).map(str::to_owned),
                    };
                    self.text(&resolved.ok_or("an entity is not known")?);
                }
                Event::DocType(_) => return Err("a DOCTYPE is not allowed".to_owned()),
                Event::Eof if self.open.is_empty() => return Ok(()),
                Event::Eof => return Err("the message ends too early".to_owned()),
                _ => {}
            }
        }
    }

    fn begin(&mut self, local: String, namespace: String) {
        let names: Vec<&str> = self.open.iter().map(|(local, _)| local.as_str()).collect();
        match *names {
            [] if local == "Envelope" => self.envelope = Some(namespace.clone()),
            [_, "Header"] if namespace == HEADERS => self.headers.push((local.clone(), String::new())),
            [_, "Header", "client"] if namespace == IDENTIFIERS => self.client.push((local.clone(), String::new())),
            [_, "Header", "service"] if namespace == IDENTIFIERS => self.service.push((local.clone(), String::new())),
            [_, "Body"] if self.wrapper.is_none() => self.wrapper = Some((local.clone(), namespace.clone())),
            [_, "Body", _] => self.elements.push((local.clone(), String::new())),
            _ => {}
        }
        self.open.push((local, namespace));
    }

    fn text(&mut self, text: &str) {
        let names: Vec<&str> = self.open.iter().map(|(local, _)| local.as_str()).collect();
        let place = match *names {
            [_, "Header", _] => self.headers.last_mut(),
            [_, "Header", "client", _] => self.client.last_mut(),
            [_, "Header", "service", _] => self.service.last_mut(),
            [_, "Body", _, _] => self.elements.last_mut(),
            _ => None,
        };
        if let Some((_, known)) = place {
            known.push_str(text);
        }
    }
}

/// The text of an attribute.
fn unescape(text: &str) -> Result<String, String> {
    quick_xml::escape::unescape(text).map(std::borrow::Cow::into_owned).map_err(|_| "an entity is not known".to_owned())
}

/// A letter that XML knows by name.
fn named(name: &str) -> Option<&'static str> {
    Some(match name {
        "lt" => "<",
        "gt" => ">",
        "amp" => "&",
        "quot" => "\"",
        "apos" => "'",
        _ => return None,
    })
}
