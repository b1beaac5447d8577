//! Who asks: the HTTP headers that are read, and those that go on (A 2.8, A 3.2).

use crate::soap::{CONTENT_TYPE, Fault, FaultCode};

/// The caller of the platform, as it established it.
pub const SENDER: &str = "x-vp-sender-id";
/// The first consumer of the chain of calls.
pub const ORIGINAL_CONSUMER: &str = "x-rivta-original-serviceconsumer-hsaid";
/// The id of the business transaction.
pub const CORRELATION: &str = "x-skltp-correlation-id";
/// The platform that a call belongs to.
pub const INSTANCE: &str = "x-vp-instance-id";
/// The trace that a call belongs to (W3C).
const TRACE: &str = "traceparent";
/// The longest value of a mandatory header, in bytes. They are kept in the audit.
const LONGEST: usize = 256;
/// Headers of this kind go on.
const RIVTA: &str = "x-rivta-";

/// A header: its name in lower case, and its value.
pub type Header = (String, String);

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The caller of the platform.
    pub sender: String,
    /// The first consumer.
    pub original_consumer: String,
    /// The id of the business transaction.
    pub correlation: String,
    /// Other headers that go on.
    passed_on: Vec<Header>,
}

impl Caller {
    /// Reads the headers of a request. The names may be of any case.
    ///
    /// # Errors
    /// A fault that names all mandatory headers that are missing, a line each.
    pub fn read(headers: &[Header]) -> Result<Self, Fault> {
        let value = |name: &str| {
            let found = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty()).map(str::to_owned)
        };
        let found = [SENDER, ORIGINAL_CONSUMER, CORRELATION].map(|name| (name, value(name)));
        let [(_, Some(sender)), (_, Some(original_consumer)), (_, Some(correlation))] = found else {
            let missing = found.iter().filter(|(_, value)| value.is_none());
            let lines: Vec<_> = missing.map(|(name, _)| format!("Mandatory HTTP header {name} is missing")).collect();
            return Err(Fault::new(FaultCode::Server, lines.join("\n")));
        };
        for (name, value) in [(SENDER, &sender), (ORIGINAL_CONSUMER, &original_consumer), (CORRELATION, &correlation)] {
            if value.len() > LONGEST {
                let text = format!("HTTP header {name} is longer than {LONGEST} bytes");
                return Err(Fault::new(FaultCode::Server, text));
            }
        }
        let lower = headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
        let goes_on = |name: &str| name == TRACE || (name.starts_with(RIVTA) && name != ORIGINAL_CONSUMER);
        let passed_on = lower.filter(|(name, _)| goes_on(name)).collect();
        Ok(Self { sender, original_consumer, correlation, passed_on })
    }

    /// The platform itself, as the first and only caller.
    pub(crate) fn own(sender: &str, correlation: &str) -> Self {
        Self {
            sender: sender.to_owned(),
            original_consumer: sender.to_owned(),
            correlation: correlation.to_owned(),
            passed_on: Vec::new(),
        }
    }

    /// The correlation id of a request that lacks other headers.
    pub fn correlation_of(headers: &[Header]) -> Option<String> {
        headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(CORRELATION)).map(|(_, value)| value.clone())
    }

    /// The headers of a call. An allow list: nothing else of the consumer's goes on.
    pub fn headers(&self, instance: &str, soap_action: &str) -> Vec<Header> {
        self.headers_of(&self.sender, instance, soap_action)
    }

    /// The headers of the question to the index, which sees its own sender.
    pub fn index_headers(&self, index_sender: &str, instance: &str, soap_action: &str) -> Vec<Header> {
        self.headers_of(index_sender, instance, soap_action)
    }

    fn headers_of(&self, sender: &str, instance: &str, soap_action: &str) -> Vec<Header> {
        let action = format!("\"{soap_action}\"");
        let own = [
            (SENDER, sender),
            (ORIGINAL_CONSUMER, self.original_consumer.as_str()),
            (CORRELATION, self.correlation.as_str()),
            (INSTANCE, instance),
            ("soapaction", action.as_str()),
            ("content-type", CONTENT_TYPE),
            ("accept-encoding", "gzip"),
        ];
        let own = own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        own.chain(self.passed_on.iter().cloned()).collect()
    }
}

/// Checks the SOAP action of a request. Without one, or with an empty one, the body decides.
///
/// # Errors
/// A fault if it is another operation's.
pub fn check_soap_action(found: Option<&str>, expected: &str) -> Result<(), Fault> {
    let found = found.map(|action| action.trim().trim_matches('"')).unwrap_or_default();
    if found.is_empty() || found == expected {
        return Ok(());
    }
    let found: String = found.chars().take(256).collect();
    Err(Fault::new(FaultCode::Server, format!("The given SOAPAction {found} does not match an operation.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(names: &[(&str, &str)]) -> Vec<Header> {
        names.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn no_hdr() {
        let fault = Caller::read(&headers(&[(ORIGINAL_CONSUMER, " ")])).unwrap_err();
        let expected = "Mandatory HTTP header x-vp-sender-id is missing\n\
                        Mandatory HTTP header x-rivta-original-serviceconsumer-hsaid is missing\n\
                        Mandatory HTTP header x-skltp-correlation-id is missing";
        assert_eq!(fault, Fault::new(FaultCode::Server, expected));
        let one = Caller::read(&headers(&[(SENDER, "a"), (CORRELATION, "c")])).unwrap_err();
        assert_eq!(one.text, "Mandatory HTTP header x-rivta-original-serviceconsumer-hsaid is missing");
    }

    #[test]
    fn a_long_mandatory_header_is_a_fault() {
        let long = "x".repeat(LONGEST + 1);
        let fault =
            Caller::read(&headers(&[(SENDER, "a"), (ORIGINAL_CONSUMER, "b"), (CORRELATION, &long)])).unwrap_err();
        assert_eq!(fault.text, "HTTP header x-skltp-correlation-id is longer than 256 bytes");
    }

    #[test]
    fn only_headers_of_the_allow_list_go_on() {
        let caller = Caller::read(&headers(&[
            ("X-VP-Sender-Id", "sender"),
            (ORIGINAL_CONSUMER, "original"),
            (CORRELATION, "id"),
            (INSTANCE, "theirs"),
            ("x-rivta-test1", "1"),
            ("X-RIVTA-TEST2", "2"),
            ("x-rivta-123", "3"),
            ("traceparent", "00-1"),
            ("Authorization", "secret"),
            ("Cookie", "secret"),
            ("SOAPAction", "theirs"),
            ("x-skltp-prt", "5"),
            ("Host", "h"),
        ]));
        let caller = caller.unwrap();
        let own = [
            (ORIGINAL_CONSUMER, "original"),
            (CORRELATION, "id"),
            (INSTANCE, "ours"),
            ("soapaction", "\"urn:a\""),
            ("content-type", CONTENT_TYPE),
            ("accept-encoding", "gzip"),
            ("x-rivta-test1", "1"),
            ("x-rivta-test2", "2"),
            ("x-rivta-123", "3"),
            ("traceparent", "00-1"),
        ];
        let with = |sender: &str| [headers(&[(SENDER, sender)]), headers(&own)].concat();
        assert_eq!(caller.headers("ours", "urn:a"), with("sender"));
        assert_eq!(caller.index_headers("ei", "ours", "urn:a"), with("ei"));
    }

    #[test]
    fn another_soap_action_is_a_fault() {
        for right in [None, Some(""), Some("\"\""), Some("urn:a:B"), Some("\"urn:a:B\"")] {
            assert_eq!(check_soap_action(right, "urn:a:B"), Ok(()));
        }
        let fault = check_soap_action(Some("\"urn:a:C\""), "urn:a:B").unwrap_err();
        assert_eq!(fault, Fault::new(FaultCode::Server, "The given SOAPAction urn:a:C does not match an operation."));
    }
}
