//! What makes two questions the same.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tributary_schemas::types::aggregation::PatientId;

use crate::caller::Caller;
use crate::soap::{Message, Scope};

/// The key of an entry. What a question holds about a patient is in it only as a hash, which `Debug` does not show.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct CacheKey {
    service: Arc<str>,
    digest: [u8; 32],
}

impl CacheKey {
    /// The key of a question. Senders and original consumers are apart, because source systems filter for the one that
    /// asks, and TAK permits it (A 4.4). The rest of the request is what goes on to source systems: the body, and the
    /// headers but `LogicalAddress`. Requests that mean the same in other bytes are different: that costs a call and is
    /// never wrong.
    pub(crate) fn of(service: &str, patient: &PatientId, caller: &Caller, request: &Message) -> Self {
        let mut headers = String::new();
        for header in request.other_headers() {
            header.splice(&mut headers, &Scope::of_envelope());
        }
        let mut body = String::with_capacity(request.size());
        request.body().splice(&mut body, &Scope::of_envelope());
        let mut digest = Sha256::new();
        for field in [service, patient.as_str(), &caller.sender, &caller.original_consumer, &headers, &body] {
            // With the length before it, a text cannot run into the next one.
            digest.update((field.len() as u64).to_be_bytes());
            digest.update(field.as_bytes());
        }
        Self { service: service.into(), digest: digest.finalize().into() }
    }

    /// The key of a digest that was kept.
    pub(super) fn of_digest(service: &str, digest: [u8; 32]) -> Self {
        Self { service: service.into(), digest }
    }

    /// The service that is asked.
    pub(super) fn service(&self) -> &str {
        &self.service
    }

    /// The digest of the question.
    pub(super) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CacheKey({})", self.service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::{CORRELATION, ORIGINAL_CONSUMER, SENDER};
    use crate::soap::ENVELOPE;

    const PATIENT: &str = "191212121212";

    fn key(service: &str, [sender, original, correlation]: [&str; 3], header: &str, body: &str) -> CacheKey {
        let headers = [(SENDER, sender), (ORIGINAL_CONSUMER, original), (CORRELATION, correlation)];
        let caller = Caller::read(&headers.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap();
        let text = format!(
            "<e:Envelope xmlns:e=\"{ENVELOPE}\" xmlns:r=\"urn:riv:itintegration:registry:1\"><e:Header>{header}\
             </e:Header><e:Body><q xmlns=\"urn:q\">{body}</q></e:Body></e:Envelope>"
        );
        let request = Message::read(text.into_bytes(), None, 10_000, &[]).unwrap();
        CacheKey::of(service, &PATIENT.parse().unwrap(), &caller, &request)
    }

    #[test]
    fn a_question_is_the_same_if_service_caller_and_rest_of_the_request_are() {
        let asks = ["sender", "original", "1"];
        let actor = "<a:Actor xmlns:a='urn:a'>1</a:Actor>";
        let first = key("s", asks, actor, "<p>1</p>");
        let address = format!("<r:LogicalAddress>SE-1</r:LogicalAddress>{actor}");
        assert_eq!(key("s", ["sender", "original", "2"], &address, "<p>1</p>"), first);
        for other in [
            key("t", asks, actor, "<p>1</p>"),
            key("s", ["other", "original", "1"], actor, "<p>1</p>"),
            key("s", ["sender", "other", "1"], actor, "<p>1</p>"),
            key("s", ["sendero", "riginal", "1"], actor, "<p>1</p>"),
            key("s", asks, "<a:Actor xmlns:a='urn:a'>2</a:Actor>", "<p>1</p>"),
            key("s", asks, "", "<p>1</p>"),
            key("s", asks, actor, "<p>1</p><from>2</from>"),
        ] {
            assert_ne!(other, first);
        }
    }

    #[test]
    fn a_key_shows_nothing_of_a_patient() {
        let shown = format!("{:?}", key("s", ["sender", "original", "1"], "", PATIENT));
        assert_eq!(shown, "CacheKey(s)");
    }
}
