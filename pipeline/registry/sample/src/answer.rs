//! What the register answers.

use std::collections::VecDeque;
use std::time::Duration;

use crate::call::{Call, SoapVersion};
use crate::person::person;

/// An answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// An invented person.
    Found,
    /// A good answer without data.
    Empty,
    /// A good answer with these elements, as XML.
    Content(String),
    /// A good answer but for this.
    Changed(Change),
    /// A SOAP fault with this HTTP status, code, and detail.
    Fault(u16, String, Option<String>),
    /// A fault of SOAP 1.2 with a value and a subcode, in whatever version the call came.
    Subcode(String, String),
    /// A non-technical error: this code in a normal answer, beside an element without a text.
    Service(String),
    /// An HTTP status without SOAP, and a header `Retry-After`.
    Status(u16, Option<String>),
    /// A redirect to this place.
    Redirect(String),
    /// These bytes, as a SOAP message with status 200.
    Raw(Vec<u8>),
    /// A good answer of which only this part comes, in bytes, before the connection is closed.
    CutOff(usize),
    /// A good answer, one byte after each pause.
    Trickling(Duration),
    /// So many bytes inside of a good answer.
    Endless(usize),
    /// Nothing, ever.
    Hanging,
    /// An answer after a pause.
    Late(Duration, Box<Answer>),
}

/// What is wrong with an otherwise good answer.
#[derive(Clone, Debug)]
pub enum Change {
    /// Another call's `id`.
    Id(String),
    /// No `id`.
    NoId,
    /// Another member as `client`.
    Client(String),
    /// Another member as `service`.
    Service(String),
    /// Another wrapper.
    Wrapper(String),
    /// The element of the number says another one.
    Number(String),
    /// The other version of SOAP: that is allowed.
    Version,
    /// Another content type: that is allowed.
    ContentType(String),
}

/// The answers about a number, one after the other. The last one stays.
#[derive(Clone, Debug)]
pub struct Answers(VecDeque<Answer>);

impl Answers {
    pub(crate) fn next(&mut self) -> Option<Answer> {
        if self.0.len() > 1 { self.0.pop_front() } else { self.0.front().cloned() }
    }
}

impl From<Answer> for Answers {
    fn from(answer: Answer) -> Self {
        Self([answer].into())
    }
}

impl<const N: usize> From<[Answer; N]> for Answers {
    fn from(answers: [Answer; N]) -> Self {
        Self(answers.into())
    }
}

/// A message with what HTTP needs around it.
pub(crate) struct Message {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

impl Message {
    fn soap(status: u16, version: SoapVersion, body: String) -> Self {
        Self { status, content_type: version.content_type().to_owned(), body: body.into_bytes() }
    }

    /// A good answer with these elements.
    pub(crate) fn good(call: &Call, content: &str) -> Self {
        let headers = Headers::of(call);
        Self::soap(200, call.version, envelope(call.version, &headers.write(), &wrapped(call, None, content)))
    }

    /// A good answer about an invented person.
    pub(crate) fn found(call: &Call) -> Self {
        Self::good(call, &person(call.number()))
    }

    pub(crate) fn changed(call: &Call, change: &Change) -> Self {
        let (mut headers, mut version, mut content) = (Headers::of(call), call.version, person(call.number()));
        let (mut wrapper, mut type_of) = (None, None);
        match change {
            Change::Id(id) => headers.id = Some(id.clone()),
            Change::NoId => headers.id = None,
            Change::Client(member) => replace_member(&mut headers.client, member),
            Change::Service(member) => replace_member(&mut headers.service, member),
            Change::Wrapper(name) => wrapper = Some(name.as_str()),
            Change::Number(number) => {
                let name = call.elements.first().map_or("UNZR", |(name, _)| name.as_str());
                content.push_str(&format!("<{name}>{}</{name}>", escaped(number)));
            }
            Change::Version => {
                version = if version == SoapVersion::V11 { SoapVersion::V12 } else { SoapVersion::V11 };
            }
            Change::ContentType(other) => type_of = Some(other.clone()),
        }
        let mut message =
            Self::soap(200, version, envelope(version, &headers.write(), &wrapped(call, wrapper, &content)));
        if let Some(other) = type_of {
            message.content_type = other;
        }
        message
    }

    pub(crate) fn fault(call: &Call, status: u16, code: &str, detail: Option<&str>) -> Self {
        let (code, detail) = (escaped(code), detail.map(escaped));
        let detail = detail.map(|detail| format!("<faultDetail xmlns=\"\">{detail}</faultDetail>")).unwrap_or_default();
        let body = match call.version {
            SoapVersion::V11 => format!(
                "<s:Fault><faultcode>{code}</faultcode><faultstring>invented</faultstring><detail>{detail}</detail>\
                 </s:Fault>"
            ),
            SoapVersion::V12 => format!(
                "<s:Fault><s:Code><s:Value>{code}</s:Value></s:Code><s:Reason><s:Text xml:lang=\"en\">invented</s:Text>\
                 </s:Reason><s:Detail>{detail}</s:Detail></s:Fault>"
            ),
        };
        Self::soap(status, call.version, envelope(call.version, "", &body))
    }

    pub(crate) fn subcode(value: &str, subcode: &str) -> Self {
        let body = format!(
            "<s:Fault><s:Code><s:Value>s:{}</s:Value><s:Subcode><s:Value>x:{}</s:Value></s:Subcode></s:Code>\
             <s:Reason><s:Text xml:lang=\"en\">invented</s:Text></s:Reason></s:Fault>",
            escaped(value),
            escaped(subcode)
        );
        Self::soap(500, SoapVersion::V12, envelope(SoapVersion::V12, "", &body))
    }

    pub(crate) fn service(call: &Call, code: &str) -> Self {
        let content = format!("<result/><faultCode>{}</faultCode><faultString>invented</faultString>", escaped(code));
        Self::good(call, &content)
    }
}

/// The headers that an answer repeats.
struct Headers {
    client: Vec<(String, String)>,
    service: Vec<(String, String)>,
    user_id: String,
    id: Option<String>,
    protocol_version: String,
}

impl Headers {
    fn of(call: &Call) -> Self {
        Self {
            client: call.client.clone(),
            service: call.service.clone(),
            user_id: call.user_id.clone(),
            id: Some(call.id.clone()),
            protocol_version: call.protocol_version.clone(),
        }
    }

    fn write(&self) -> String {
        let identifier = |name: &str, kind: &str, parts: &[(String, String)]| {
            let parts: Vec<String> =
                parts.iter().map(|(name, text)| format!("<i:{name}>{}</i:{name}>", escaped(text))).collect();
            format!("<h:{name} i:objectType=\"{kind}\">{}</h:{name}>", parts.concat())
        };
        let id = self.id.as_deref().map(|id| format!("<h:id>{}</h:id>", escaped(id))).unwrap_or_default();
        format!(
            "{}{}<h:userId>{}</h:userId>{id}<h:protocolVersion>{}</h:protocolVersion>\
             <h:requestHash algorithmId=\"http://www.w3.org/2001/04/xmlenc#sha512\">AAAA</h:requestHash>",
            identifier("client", "SUBSYSTEM", &self.client),
            identifier("service", "SERVICE", &self.service),
            escaped(&self.user_id),
            escaped(&self.protocol_version),
        )
    }
}

fn replace_member(parts: &mut [(String, String)], member: &str) {
    for (name, text) in parts {
        if name == "memberCode" {
            member.clone_into(text);
        }
    }
}

fn wrapped(call: &Call, wrapper: Option<&str>, content: &str) -> String {
    let (code, namespace) = &call.wrapper;
    let name = wrapper.map_or_else(|| format!("{code}Response"), str::to_owned);
    if namespace.is_empty() {
        return format!("<{name}>{content}</{name}>");
    }
    format!("<w:{name} xmlns:w=\"{}\">{content}</w:{name}>", escaped(namespace))
}

fn envelope(version: SoapVersion, headers: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<s:Envelope xmlns:s=\"{}\" \
         xmlns:h=\"http://x-road.eu/xsd/xroad.xsd\" xmlns:i=\"http://x-road.eu/xsd/identifiers\">\
         <s:Header>{headers}</s:Header><s:Body>{body}</s:Body></s:Envelope>",
        version.namespace()
    )
}

/// A text with the letters that XML reserves written as it demands.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
