//! What an answer of a register means: found, empty, or a failure with its class, its code, and whether to ask again
//! (R 7, R 9.4, R 9.5). Texts and bodies of a register are never kept in an error.

#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::Value;
use tributary_schemas::records::registry::{CallError, ErrorClass};
use tributary_schemas::types::registry::{CallId, ErrorCode};
use tributary_soap::{Element, Message, SoapError, Version};

use crate::call_request;
use crate::configuration::{Kind, Trembita};
use crate::info;
use crate::number::Number;

/// The most elements of an answer.
const MOST_ELEMENTS: usize = 20_000;

/// How deep the elements of an answer may be nested. A list adds a level of JSON to that of its element, and readers of
/// JSON stop at 128.
const DEEPEST: usize = 50;

/// What has come of a call.
#[derive(Clone, PartialEq, Eq)]
pub enum Received {
    /// An answer over HTTP, whatever it is.
    Answer(HttpAnswer),
    /// No whole answer.
    Failed(TransportError),
}

/// An answer over HTTP. `Debug` does not show its body.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// The body. `None` if it is larger than is taken.
    pub body: Option<Vec<u8>>,
    /// How long it wants not to be asked again, in milliseconds.
    pub retry_after: Option<i64>,
}

impl fmt::Debug for HttpAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.body.as_ref().map(Vec::len);
        write!(formatter, "HttpAnswer({}, {size:?} bytes)", self.status)
    }
}

/// Why no whole answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportError {
    /// The connection is refused, or does not come about.
    Connect,
    /// The name has no address.
    Dns,
    /// TLS fails: their certificate, or ours.
    Tls,
    /// The answer ends before its end.
    Closed,
    /// It takes too long, byte by byte or as a whole.
    Timeout,
}

impl TransportError {
    fn code(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
        }
    }
}

/// How a call has ended. `Debug` shows nothing of what was found.
#[derive(Clone, PartialEq)]
pub enum Outcome {
    /// Data, as the whole answer.
    Found(Value),
    /// Nothing: the number is not known there.
    Empty,
    /// A failure.
    Failed(Failure),
}

impl fmt::Debug for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found(_) => formatter.write_str("Found"),
            Self::Empty => formatter.write_str("Empty"),
            Self::Failed(failure) => failure.fmt(formatter),
        }
    }
}

/// A call that has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Where the error comes from.
    pub class: ErrorClass,
    /// What it is.
    pub code: ErrorCode,
    /// Whether another call may succeed.
    pub is_retryable: bool,
    /// The id under which the security server knows it.
    pub id: Option<ErrorCode>,
    /// How long not to ask again, in milliseconds.
    pub retry_after: Option<i64>,
}

impl Failure {
    fn new(class: ErrorClass, code: &str, is_retryable: bool) -> Self {
        Self { class, code: ErrorCode::of(code), is_retryable, id: None, retry_after: None }
    }

    fn decode(code: &'static str) -> Self {
        Self::new(ErrorClass::Decode, code, true)
    }

    /// Whether it speaks against the way to the register, so that it counts for the breaker.
    pub fn is_technical(&self) -> bool {
        self.is_retryable && matches!(self.class, ErrorClass::Transport | ErrorClass::Http | ErrorClass::Fault)
    }

    /// The failure for records.
    pub fn record(&self) -> CallError {
        CallError {
            error_class: self.class,
            code: self.code.clone(),
            retryable: self.is_retryable,
            id: self.id.clone(),
        }
    }
}

/// A call whose answer is read.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The kind of job.
    pub kind: &'a Kind,
    /// Our side of the exchange.
    pub trembita: &'a Trembita,
    /// The number that was sent.
    pub number: &'a Number,
    /// The id that was sent.
    pub id: CallId,
}

impl Asked<'_> {
    /// What has come of the call.
    pub fn outcome(&self, received: Received) -> Outcome {
        let result = match received {
            Received::Failed(error) => Err(Failure::new(ErrorClass::Transport, error.code(), true)),
            Received::Answer(answer) => self.read(answer),
        };
        result.unwrap_or_else(|failure| Outcome::Failed(self.masked(failure)))
    }

    /// A register may repeat the number in a code. It is not kept then.
    fn masked(&self, failure: Failure) -> Failure {
        let number = digits(self.number.expose());
        let shows = |code: &ErrorCode| {
            code.as_str().contains(self.number.expose())
                || (number.len() > 3 && digits(code.as_str()).contains(&number))
        };
        Failure {
            id: failure.id.filter(|id| !shows(id)),
            code: if shows(&failure.code) { ErrorCode::of("") } else { failure.code },
            ..failure
        }
    }

    /// A fault counts whatever the status is. Anything else counts only with a status of success.
    fn read(&self, answer: HttpAnswer) -> Result<Outcome, Failure> {
        let HttpAnswer { status, body, retry_after } = answer;
        let message = body.map_or(Err(Failure::decode("too_large")), |body| self.message(body));
        let is_success = (200..300).contains(&status);
        match message {
            Ok(message) if message.is_fault() => Err(fault(&message)),
            Ok(message) if is_success => self.judge(&message),
            Err(failure) if is_success => Err(failure),
            Ok(_) | Err(_) => {
                let is_retryable = status >= 500 || status == 429;
                let failure = Failure::new(ErrorClass::Http, &status.to_string(), is_retryable);
                Err(Failure { retry_after: retry_after.filter(|_| is_retryable), ..failure })
            }
        }
    }

    fn message(&self, body: Vec<u8>) -> Result<Message, Failure> {
        if std::str::from_utf8(&body).is_err() {
            return Err(Failure::decode("not_utf8"));
        }
        let read = Message::read_either(body, Some("utf-8"), self.trembita.max_answer);
        read.map_err(|error| Failure::decode(code_of(&error)))
    }

    fn judge(&self, message: &Message) -> Result<Outcome, Failure> {
        self.check_headers(message)?;
        let wanted = self.kind.service.code.len();
        let is_wrapper = message.name().local.split_at_checked(wanted);
        if is_wrapper != Some((self.kind.service.code.as_str(), "Response")) {
            return Err(Failure::decode("wrapper"));
        }
        let wrapper = message.body().tree(MOST_ELEMENTS).ok_or_else(|| Failure::decode("too_large"))?;
        if is_deeper(&wrapper, DEEPEST) {
            return Err(Failure::decode("too_deep"));
        }
        if let Some(failure) = self.service_error(&wrapper) {
            return Err(failure);
        }
        if says_other(&wrapper, &self.kind.number.element, self.number.expose()) {
            return Err(Failure::decode("number"));
        }
        let contents = info::contents(&wrapper);
        match &self.kind.answer.status {
            Some(_) => self.by_status(&wrapper, contents),
            None => self.by_contents(contents),
        }
    }

    /// The answer repeats the headers of the request with the same values (R 9.4).
    fn check_headers(&self, message: &Message) -> Result<(), Failure> {
        let client = call_request::client(self.trembita);
        let service = call_request::service(self.trembita, &self.kind.service);
        let id = self.id.to_string();
        let mut seen = [false; 3];
        for header in message.other_headers() {
            let Some(header) = header.tree(MOST_ELEMENTS) else { return Err(Failure::decode("too_large")) };
            let (place, code, is_right) = match header.local.as_str() {
                "client" => (0, "client", is_identifier(&header, &client)),
                "service" => (1, "service", is_identifier(&header, &service)),
                "id" => (2, "id", header.text.trim() == id),
                _ => continue,
            };
            if !is_right {
                return Err(Failure::decode(code));
            }
            if let Some(seen) = seen.get_mut(place) {
                *seen = true;
            }
        }
        match seen {
            [false, ..] => Err(Failure::decode("client")),
            [_, false, _] => Err(Failure::decode("service")),
            [.., false] => Err(Failure::decode("id")),
            _ => Ok(()),
        }
    }

    /// The error that a service tells in a normal answer (R 9.4), wherever in it.
    fn service_error(&self, wrapper: &Element) -> Option<Failure> {
        let code = first_text(wrapper, "faultCode");
        let code = code.or_else(|| first_text(wrapper, "faultString").map(|_| ""))?;
        Some(service_failure(code, &self.kind.answer.retry_codes))
    }

    /// An element of the answer says whether something was found.
    fn by_status(&self, wrapper: &Element, contents: Value) -> Result<Outcome, Failure> {
        let Some(rule) = &self.kind.answer.status else { return self.by_contents(contents) };
        let status = first_text(wrapper, &rule.element).ok_or_else(|| Failure::decode("status"))?;
        let is_in = |values: &[String]| values.iter().any(|value| value == status);
        if is_in(&rule.empty) {
            return Ok(Outcome::Empty);
        }
        if !is_in(&rule.found) {
            return Err(service_failure(status, &rule.retry));
        }
        if self.kind.answer.map(&contents).is_empty() {
            return Err(Failure::decode("unmapped"));
        }
        Ok(Outcome::Found(contents))
    }

    /// Data, or nothing but null. What cannot be mapped is neither.
    fn by_contents(&self, contents: Value) -> Result<Outcome, Failure> {
        let rule = &self.kind.answer;
        if !rule.map(&contents).is_empty() {
            return Ok(Outcome::Found(contents));
        }
        // If the place of the data is not there, something else is not taken for an empty answer.
        let data = info::at(&contents, &rule.at).unwrap_or(&contents);
        if info::is_empty(data) { Ok(Outcome::Empty) } else { Err(Failure::decode("unmapped")) }
    }
}

fn service_failure(code: &str, retried: &[String]) -> Failure {
    Failure::new(ErrorClass::Service, code, retried.iter().any(|retried| retried == code))
}

/// The code of an answer that cannot be read.
fn code_of(error: &SoapError) -> &'static str {
    match error {
        SoapError::Empty | SoapError::Envelope("an empty body") => "empty",
        SoapError::TooLarge(_) | SoapError::Declarations(_) => "too_large",
        SoapError::UnknownEncoding | SoapError::BadEncoding(_) => "not_utf8",
        SoapError::Truncated => "truncated",
        SoapError::Doctype => "doctype",
        SoapError::TooDeep => "too_deep",
        SoapError::Malformed(..) | SoapError::UndefinedEntity(_) => "not_xml",
        SoapError::NoEnvelope | SoapError::Version12 | SoapError::Envelope(_) => "not_soap",
    }
}

/// Whether an identifier has exactly these parts. Blank ones count as absent.
fn is_identifier(element: &Element, parts: &call_request::Parts<'_>) -> bool {
    let found: Vec<(&str, &str)> = element
        .children
        .iter()
        .map(|child| (child.local.as_str(), child.text.trim()))
        .filter(|(_, text)| !text.is_empty())
        .collect();
    found.len() == parts.len() && parts.iter().all(|(name, text)| found.contains(&(*name, text.trim())))
}

/// Whether elements are nested deeper than so many levels, this one included.
fn is_deeper(element: &Element, levels: usize) -> bool {
    levels == 0 || element.children.iter().any(|child| is_deeper(child, levels - 1))
}

/// The first text of an element of that name, wherever it is. Blank and `nil` elements have none.
fn first_text<'e>(element: &'e Element, local: &str) -> Option<&'e str> {
    let mut found = None;
    element.each(&mut |each| {
        let text = each.text.trim();
        if found.is_none() && each.local == local && !each.is_nil && !text.is_empty() {
            found = Some(text);
        }
    });
    found
}

/// Whether an element of that name says another text.
fn says_other(element: &Element, local: &str, expected: &str) -> bool {
    let mut is_other = false;
    element.each(&mut |each| {
        let says = each.local == local && !each.is_nil && !each.text.trim().is_empty();
        is_other |= says && each.text != expected;
    });
    is_other
}

/// Codes of the server side that another call does not change, in the form of [`folded`].
const PERMANENT: [&str; 2] = ["server.serverproxy.accessdenied", "server.serverproxy.unknownservice"];

/// A code without case and underscores: X-Road 7.8 writes `server.serverproxy.access_denied`.
fn folded(code: &str) -> String {
    code.chars().filter(|letter| *letter != '_').map(|letter| letter.to_ascii_lowercase()).collect()
}

fn fault(message: &Message) -> Failure {
    let Some(fault) = message.body().tree(MOST_ELEMENTS) else { return Failure::decode("too_large") };
    let (general, code) = match message.version() {
        Version::Soap11 => {
            let code = child_text(&fault, "faultcode").unwrap_or_default();
            (code, code)
        }
        Version::Soap12 => codes_12(&fault),
    };
    let (general, whole) = (folded(without_prefix(general)), folded(without_prefix(code)));
    let of_server = |code: &str| code == "server" || code.starts_with("server.") || code == "receiver";
    let is_retryable = (of_server(&general) || of_server(&whole)) && !PERMANENT.contains(&whole.as_str());
    let id = first_text(&fault, "faultDetail").and_then(|id| id.parse().ok());
    Failure { id, ..Failure::new(ErrorClass::Fault, without_prefix(code), is_retryable) }
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// The value of a fault of SOAP 1.2, and that of its last subcode, else the same.
fn codes_12(fault: &Element) -> (&str, &str) {
    let Some(mut place) = fault.named("Code").next() else { return ("", "") };
    let general = child_text(place, "Value").unwrap_or_default();
    let mut code = general;
    while let Some(subcode) = place.named("Subcode").next() {
        code = child_text(subcode, "Value").unwrap_or(code);
        place = subcode;
    }
    (general, code)
}

fn child_text<'e>(element: &'e Element, local: &str) -> Option<&'e str> {
    element.named(local).map(|child| child.text.trim()).find(|text| !text.is_empty())
}

fn without_prefix(code: &str) -> &str {
    code.rsplit(':').next().unwrap_or(code)
}

/// How long a header `Retry-After` asks to wait, in milliseconds: seconds, or a date. `now` is in milliseconds since
/// 1970. `None` for anything else.
pub fn retry_after(header: &str, now: i64) -> Option<i64> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(header.parse::<i64>().unwrap_or(i64::MAX).saturating_mul(1000));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(header).ok()?;
    Some(date.as_millisecond().saturating_sub(now).max(0))
}
