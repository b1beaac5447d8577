//! What became of each source system: the SOAP header `ProcessingStatus` (A 3.4).

use std::fmt;

use jiff::Timestamp;

use crate::local_time::Stockholm;
use crate::soap::push_text;

/// The namespace of the header.
pub const NAMESPACE: &str = "urn:riv:interoperability:headers:1";
/// The longest text of a failure that is passed on.
const LONGEST: usize = 4096;

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureCode {
    /// A SOAP fault, of the platform or the source system.
    Fault,
    /// The service time-out.
    Timeout,
    /// Anything else. Nobody knows where the number comes from.
    Other,
}

impl FailureCode {
    /// The code in the record.
    pub fn code(self) -> &'static str {
        match self {
            Self::Fault => "500",
            Self::Timeout => "504",
            Self::Other => "43000",
        }
    }

    /// What has this code in the record.
    pub(crate) fn of_code(code: &str) -> Option<Self> {
        [Self::Fault, Self::Timeout, Self::Other].into_iter().find(|known| known.code() == code)
    }
}

/// Why a call failed. The text is for the consumer. It may hold what the source system wrote, so `Debug` does not show
/// it.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure {
    /// The kind.
    pub code: FailureCode,
    /// The reason in words.
    pub text: String,
}

impl fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Failure({}, {} characters)", self.code.code(), self.text.chars().count())
    }
}

impl Failure {
    /// A failure with a text, which is cut if it is very long.
    pub fn new(code: FailureCode, text: impl AsRef<str>) -> Self {
        Self { code, text: text.as_ref().chars().take(LONGEST).collect() }
    }

    /// A failure that is neither a fault nor a time-out.
    pub fn other(text: impl AsRef<str>) -> Self {
        Self::new(FailureCode::Other, text)
    }

    /// What is said of an address that has not answered when the answer goes out.
    pub fn missing() -> Self {
        Self::other("Unknown error")
    }
}

/// The state of an address in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusCode {
    /// Fresh data came from the source.
    DataFromSource,
    /// Data is from the cache and up to date. The source was not called.
    DataFromCache,
    /// Data is from the cache, because the source failed.
    DataFromCacheSynchFailed,
    /// The source failed, and there is no data.
    NoDataSynchFailed,
}

impl StatusCode {
    /// Its name in the record.
    pub fn name(self) -> &'static str {
        match self {
            Self::DataFromSource => "DataFromSource",
            Self::DataFromCache => "DataFromCache",
            Self::DataFromCacheSynchFailed => "DataFromCacheSynchFailed",
            Self::NoDataSynchFailed => "NoDataSynchFailed",
        }
    }

    fn is_from_cache(self) -> bool {
        matches!(self, Self::DataFromCache | Self::DataFromCacheSynchFailed)
    }

    fn is_in_synch(self) -> bool {
        matches!(self, Self::DataFromSource | Self::DataFromCache)
    }
}

/// The record of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The address that was called.
    pub address: String,
    /// Its state.
    pub status: StatusCode,
    /// When it last succeeded.
    pub success: Option<Timestamp>,
    /// When it last failed, and why.
    pub failure: Option<(Timestamp, Failure)>,
}

/// Appends the header block with its records.
pub fn push_status(out: &mut String, records: &[Record], stockholm: &Stockholm) {
    out.push_str(&format!("<h:ProcessingStatus xmlns:h=\"{NAMESPACE}\">"));
    for record in records {
        push_record(out, record, stockholm);
    }
    out.push_str("</h:ProcessingStatus>");
}

fn push_record(out: &mut String, record: &Record, stockholm: &Stockholm) {
    let truth = |value: bool| if value { "true" } else { "false" };
    out.push_str("<h:ProcessingStatusList>");
    push_element(out, "logicalAddress", &record.address);
    push_element(out, "statusCode", record.status.name());
    push_element(out, "isResponseFromCache", truth(record.status.is_from_cache()));
    push_element(out, "isResponseInSynch", truth(record.status.is_in_synch()));
    if let Some(time) = record.success {
        push_element(out, "lastSuccessfulSynch", &stockholm.stamp(time));
    }
    if let Some((time, failure)) = &record.failure {
        push_element(out, "lastUnsuccessfulSynch", &stockholm.stamp(*time));
        out.push_str("<h:lastUnsuccessfulSynchError>");
        push_element(out, "causingAgent", "virtualization_platform");
        push_element(out, "code", failure.code.code());
        push_element(out, "text", &failure.text);
        out.push_str("</h:lastUnsuccessfulSynchError>");
    }
    out.push_str("</h:ProcessingStatusList>");
}

fn push_element(out: &mut String, name: &str, text: &str) {
    out.push_str(&format!("<h:{name}>"));
    push_text(out, text);
    out.push_str(&format!("</h:{name}>"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn written(records: &[Record]) -> String {
        let mut out = String::new();
        push_status(&mut out, records, &Stockholm::load().unwrap());
        out
    }

    #[test]
    fn a_record_has_its_elements_in_order() {
        let record = Record {
            address: "HSA-ID-3".to_owned(),
            status: StatusCode::NoDataSynchFailed,
            success: None,
            failure: Some((time("2024-05-18T10:00:03Z"), Failure::new(FailureCode::Timeout, "timeout <4 s>"))),
        };
        let expected = "<h:ProcessingStatus xmlns:h=\"urn:riv:interoperability:headers:1\"><h:ProcessingStatusList>\
            <h:logicalAddress>HSA-ID-3</h:logicalAddress><h:statusCode>NoDataSynchFailed</h:statusCode>\
            <h:isResponseFromCache>false</h:isResponseFromCache><h:isResponseInSynch>false</h:isResponseInSynch>\
            <h:lastUnsuccessfulSynch>20240518120003</h:lastUnsuccessfulSynch><h:lastUnsuccessfulSynchError>\
            <h:causingAgent>virtualization_platform</h:causingAgent><h:code>504</h:code><h:text>timeout &lt;4 s&gt;\
            </h:text></h:lastUnsuccessfulSynchError></h:ProcessingStatusList></h:ProcessingStatus>";
        assert_eq!(written(&[record]), expected);
    }

    #[test]
    fn each_status_says_where_the_data_is_from() {
        for (status, from_cache, in_synch) in [
            (StatusCode::DataFromSource, false, true),
            (StatusCode::DataFromCache, true, true),
            (StatusCode::DataFromCacheSynchFailed, true, false),
            (StatusCode::NoDataSynchFailed, false, false),
        ] {
            let record = Record { address: "a".to_owned(), status, success: None, failure: None };
            let out = written(&[record]);
            assert!(out.contains(&format!("<h:isResponseFromCache>{from_cache}<")), "{out}");
            assert!(out.contains(&format!("<h:isResponseInSynch>{in_synch}<")), "{out}");
        }
        let success = Some(time("2026-11-28T12:00:00Z"));
        let record = Record { address: "a".to_owned(), status: StatusCode::DataFromCache, success, failure: None };
        assert!(written(&[record]).contains("<h:lastSuccessfulSynch>20261128130000</h:lastSuccessfulSynch>"));
        assert_eq!(written(&[]), format!("<h:ProcessingStatus xmlns:h=\"{NAMESPACE}\"></h:ProcessingStatus>"));
    }
}
