//! Request List Transformer: from engagements to calls (A 2.6).

use std::sync::Arc;

use jiff::Timestamp;

use crate::descriptor::{Descriptor, ValueSource};
use crate::engagement::Engagement;
use crate::filter::{Admitted, Filtered, Reason};
use crate::soap::{self, Message, Scope, push_text};
use crate::tak::Tak;

/// The body of a call: what is its own, and what it shares with the other calls of the question.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestBody {
    head: String,
    tail: Arc<str>,
}

impl std::fmt::Debug for RequestBody {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "RequestBody({} bytes)", self.size())
    }
}

impl RequestBody {
    /// A body that shares nothing.
    pub(crate) fn of(text: String) -> Self {
        Self { head: text, tail: Arc::from("") }
    }

    /// How many bytes it has.
    pub fn size(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// All its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), self.tail.as_bytes()].concat()
    }

    /// All its bytes in two pieces, without a copy: those of its own, and those that other calls share.
    pub fn into_pieces(self) -> (Vec<u8>, Arc<[u8]>) {
        (self.head.into_bytes(), self.tail.into())
    }
}

/// A call that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The logical address that is called.
    pub address: String,
    /// Where it goes. `None` if neither descriptor, platform nor route say.
    pub url: Option<String>,
    /// The message.
    pub body: RequestBody,
}

/// What decides over the calls of a question.
#[derive(Clone, Copy, Debug)]
pub struct RequestList<'a> {
    /// The service.
    pub descriptor: &'a Descriptor,
    /// The consumer's request.
    pub request: &'a Message,
    /// The URL of the platform, if all calls go there.
    pub platform_url: Option<&'a str>,
    /// The catalogue, for routes of called addresses.
    pub tak: Option<&'a Tak>,
    /// The time of the question.
    pub now: Timestamp,
}

impl RequestList<'_> {
    /// One call for each receiver that an engagement names, in the order of the first one. Also which engagements the
    /// request does not ask for.
    pub fn make(&self, admitted: Vec<Admitted>) -> (Vec<Request>, Vec<Filtered>) {
        let wanted: Vec<Vec<String>> = self.descriptor.requests.keep.iter().map(|keep| self.asked_for(keep)).collect();
        let mut filtered = Vec::new();
        let mut receivers: Vec<(String, Admitted)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for one in admitted {
            let rules = self.descriptor.requests.keep.iter().zip(&wanted);
            let kept = |(keep, wanted): (&crate::descriptor::Keep, &Vec<String>)| {
                wanted.is_empty() || wanted.iter().any(|value| value == one.engagement.field(keep.engagement))
            };
            if !rules.into_iter().all(kept) {
                filtered.push(Filtered { address: one.engagement.logical_address, reason: Reason::Service });
                continue;
            }
            let receiver = self.descriptor.requests.group_by.receiver(&one.engagement).to_owned();
            if seen.insert(receiver.clone()) {
                receivers.push((receiver, one));
            }
        }
        let tail = self.shared_tail();
        let requests = receivers.into_iter().map(|(address, first)| self.request_to(address, &first, tail.clone()));
        (requests.collect(), filtered)
    }

    /// The values of a rule's element in the request that are not empty.
    fn asked_for(&self, keep: &crate::descriptor::Keep) -> Vec<String> {
        let values = keep.request.values(self.request).into_iter();
        values.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()).collect()
    }

    fn request_to(&self, address: String, first: &Admitted, tail: Option<Arc<str>>) -> Request {
        let mut head = soap::open_envelope();
        head.push_str("<soap:Header>");
        soap::push_logical_address(&mut head, &address);
        let tail = tail.unwrap_or_else(|| {
            self.push_headers(&mut head);
            self.push_new_body(&mut head, &first.engagement);
            Arc::from("")
        });
        let contract = &self.descriptor.contract;
        let own_route = || self.tak?.route(contract, &address, self.now)?.map(str::to_owned);
        let configured = self.descriptor.url.as_deref().or(self.platform_url).map(str::to_owned);
        let url = configured.or_else(own_route).or_else(|| first.url.clone());
        Request { address, url, body: RequestBody { head, tail } }
    }

    /// Everything after `LogicalAddress`, if the body goes on as it came. It is the same for all calls.
    fn shared_tail(&self) -> Option<Arc<str>> {
        if self.descriptor.requests.body.is_some() {
            return None;
        }
        let mut tail = String::with_capacity(self.request.size());
        self.push_headers(&mut tail);
        self.request.body().splice(&mut tail, &Scope::of_envelope());
        tail.push_str("</soap:Body></soap:Envelope>");
        Some(Arc::from(tail))
    }

    fn push_headers(&self, out: &mut String) {
        for header in self.request.other_headers() {
            header.splice(out, &Scope::of_envelope());
        }
        out.push_str("</soap:Header><soap:Body>");
    }

    fn push_new_body(&self, out: &mut String, engagement: &Engagement) {
        let Descriptor { contract, interaction, requests, .. } = self.descriptor;
        out.push_str(&format!("<q:{interaction} xmlns:q=\"{contract}\">"));
        for element in requests.body.iter().flatten() {
            let texts = match &element.from {
                ValueSource::Engagement(field) => vec![engagement.field(*field).to_owned()],
                ValueSource::Request(path) => path.values(self.request),
                ValueSource::Text(text) => vec![text.clone()],
            };
            let given = matches!(element.from, ValueSource::Text(_));
            for text in texts.into_iter().filter(|text| given || !text.is_empty()) {
                out.push_str(&format!("<q:{}>", element.element));
                push_text(out, &text);
                out.push_str(&format!("</q:{}>", element.element));
            }
        }
        out.push_str(&format!("</q:{interaction}></soap:Body></soap:Envelope>"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_the_same_whole_and_in_pieces() {
        let body = RequestBody { head: "<a>".to_owned(), tail: Arc::from("</a>") };
        let (head, tail) = body.clone().into_pieces();
        assert_eq!((head.as_slice(), &*tail), (b"<a>".as_slice(), b"</a>".as_slice()));
        assert_eq!([head.as_slice(), &*tail].concat(), body.to_bytes());
        assert_eq!(RequestBody::of("<a></a>".to_owned()).to_bytes(), body.to_bytes());
    }
}
