//! SOAP 1.1 faults (A 3.5).

use std::fmt;

use super::Name;
use super::splice::{open_envelope, push_text};
use super::values;

/// The longest text of a fault that is kept.
const LONGEST: usize = 4096;

/// The longest name of an element that is shown.
const LONGEST_NAME: usize = 512;

/// Whose mistake a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultCode {
    /// The caller's.
    Client,
    /// Ours, or that of a service we depend on.
    Server,
}

/// A fault. Its text may name a patient, so `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Fault {
    /// The faultcode as written, without a prefix.
    pub code: String,
    /// The faultstring, which may be empty.
    pub text: String,
}

impl fmt::Debug for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Fault({}, {} characters)", self.code, self.text.chars().count())
    }
}

impl Fault {
    /// A fault of ours.
    pub fn new(code: FaultCode, text: impl Into<String>) -> Self {
        let code = match code {
            FaultCode::Client => "Client",
            FaultCode::Server => "Server",
        };
        Self { code: code.to_owned(), text: text.into() }
    }

    /// The fault of a request whose body element is another than that of the service (A 3.1).
    pub fn not_recognized(name: &Name) -> Self {
        let shown: String = name.to_string().chars().take(LONGEST_NAME).collect();
        Self::new(FaultCode::Client, format!("Message part {shown} was not recognized."))
    }

    /// Reads the element `Fault` of a well-formed message.
    pub(super) fn of_element(element: &str) -> Self {
        let value = |name: &str| values::along(element, &[name.to_owned()]).into_iter().next().unwrap_or_default();
        let code = value("faultcode");
        let code = code.trim().rsplit(':').next().unwrap_or_default().chars().take(64).collect();
        Self { code, text: value("faultstring").trim().chars().take(LONGEST).collect() }
    }

    /// The fault as a message in UTF-8.
    pub fn write(&self) -> String {
        let mut out = open_envelope();
        out.push_str("<soap:Body><soap:Fault><faultcode>soap:");
        push_text(&mut out, &self.code);
        out.push_str("</faultcode><faultstring>");
        push_text(&mut out, &self.text);
        out.push_str("</faultstring></soap:Fault></soap:Body></soap:Envelope>");
        out
    }
}
