//! The id that connects a request with its log lines and with the records that it causes.

use std::fmt;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use uuid::Uuid;

/// The trace of a request: that of its `traceparent` (W3C), or a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correlation {
    trace: String,
    span: String,
    flags: String,
}

impl Correlation {
    /// A new trace.
    pub fn generate() -> Self {
        Self { trace: Uuid::new_v4().simple().to_string(), span: new_span(), flags: "00".to_owned() }
    }

    /// The trace of a `traceparent`, with a new span. `None` when the text is not a `traceparent`.
    pub fn from_traceparent(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_known = version != "ff" && (version != "00" || parts.next().is_none());
        let is_right = is_hex(version, 2) && is_id(trace, 32) && is_id(span, 16) && is_hex(flags, 2);
        let correlation = || Self { trace: trace.to_owned(), span: new_span(), flags: flags.to_owned() };
        (is_known && is_right).then(correlation)
    }

    /// The id: the trace id, 32 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.trace
    }

    /// The `traceparent` of the records that this request causes.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{}", self.trace, self.span, self.flags)
    }
}

impl fmt::Display for Correlation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.trace)
    }
}

impl<S: Sync> FromRequestParts<S> for Correlation {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(Self::generate))
    }
}

fn new_span() -> String {
    let (high, _) = Uuid::new_v4().as_u64_pair();
    format!("{high:016x}")
}

/// Upper case is not accepted, as W3C requires.
fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_id(text: &str, length: usize) -> bool {
    is_hex(text, length) && text.bytes().any(|byte| byte != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_traceparent_goes_on_with_a_span_of_our_own() {
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let correlation = Correlation::from_traceparent(&parent).unwrap();
        assert_eq!(correlation.id(), TRACE);
        assert!(correlation.traceparent().starts_with(&format!("00-{TRACE}-")));
        assert!(correlation.traceparent().ends_with("-01"));
        assert_ne!(correlation.traceparent(), parent);
    }

    #[test]
    fn what_is_not_a_traceparent_is_not_believed() {
        let zero = "0".repeat(32);
        let upper = TRACE.to_uppercase();
        let wrong = [
            String::new(),
            "00".to_owned(),
            format!("00-{zero}-00f067aa0ba902b7-01"),
            format!("00-{upper}-00f067aa0ba902b7-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{TRACE}-00f067aa0ba902b7-01-more"),
            format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{TRACE}-00f067aa0ba902b7"),
        ];
        for text in wrong {
            assert_eq!(Correlation::from_traceparent(&text), None, "{text}");
        }
        assert!(Correlation::from_traceparent(&format!("01-{TRACE}-00f067aa0ba902b7-01-more")).is_some());
    }
}
