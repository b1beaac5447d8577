//! SOAP messages as text whose subtrees are moved, never parsed into objects (A 2.7, A 3.1), and small ones as trees.
//!
//! One reader for all flows that speak SOAP. It has bounds for everything that comes from outside, and does no I/O.
//! Numbers such as A 2.7 are sections of the domain description of the aggregation platform.

mod encoding;
mod fault;
mod message;
mod scan;
mod splice;
mod tag;
mod tree;
mod values;
mod walk;

use std::fmt;

pub use encoding::decode;
pub use fault::{Fault, FaultCode};
pub use message::{Block, Message, Version};
pub use splice::{Elements, Fragment, Scope};
pub use splice::{open_envelope, push_declaration, push_logical_address, push_text, splice_all};
pub use tag::{is_character, is_name, is_space};
pub use tree::Element;
pub use walk::Step;

/// The namespace of SOAP 1.1.
pub const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";
/// The namespace of SOAP 1.2, which is refused unless a reader wants it.
pub const ENVELOPE_1_2: &str = "http://www.w3.org/2003/05/soap-envelope";
/// The namespace of the SOAP header `LogicalAddress`.
pub const REGISTRY: &str = "urn:riv:itintegration:registry:1";
/// The content type of every message that is written.
pub const CONTENT_TYPE: &str = "text/xml; charset=UTF-8";
/// How deep elements may be nested, the envelope included.
pub const DEEPEST: usize = 256;

/// The name of an element: namespace and local name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// The namespace. Empty for none.
    pub namespace: String,
    /// The local name.
    pub local: String,
}

impl Name {
    /// Makes a name.
    pub fn new(namespace: impl Into<String>, local: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), local: local.into() }
    }

    /// Whether this is the name of an element with that namespace, if any, and local name.
    fn is(&self, namespace: Option<&str>, local: &str) -> bool {
        self.local == local && self.namespace == namespace.unwrap_or_default()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{{{}}}{}", self.namespace, self.local)
    }
}

/// Why bytes are no SOAP message that is taken. The texts hold nothing of the content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SoapError {
    /// No byte at all.
    #[error("the message is empty")]
    Empty,
    /// More bytes than are taken.
    #[error("the message is larger than {0} bytes")]
    TooLarge(usize),
    /// The encoding is not known.
    #[error("the encoding of the message is not supported")]
    UnknownEncoding,
    /// Bytes that the encoding does not have.
    #[error("the message has bytes that are not {0}")]
    BadEncoding(&'static str),
    /// Not well-formed: what is wrong, and the byte where the reader noticed.
    #[error("the XML is malformed at byte {1}: {0}")]
    Malformed(&'static str, usize),
    /// It ends before its elements do.
    #[error("the XML is truncated: elements are still open at its end")]
    Truncated,
    /// A document type declaration. Nothing is expanded or fetched.
    #[error("the XML has a DOCTYPE, which SOAP does not allow")]
    Doctype,
    /// An entity that XML itself does not define.
    #[error("the XML refers to an undefined entity at byte {0}")]
    UndefinedEntity(usize),
    /// Nested deeper than [`DEEPEST`].
    #[error("the XML is nested deeper than {DEEPEST} elements")]
    TooDeep,
    /// SOAP 1.2.
    #[error("the message is SOAP 1.2, and SOAP 1.1 is expected")]
    Version12,
    /// XML, but no SOAP envelope.
    #[error("the XML is no SOAP envelope")]
    NoEnvelope,
    /// An envelope without a body, or an element that does not belong there.
    #[error("the SOAP envelope has {0}")]
    Envelope(&'static str),
    /// The declarations that each element would have to carry take too much space.
    #[error("the namespace declarations in scope would take more than {0} bytes once each element carries them")]
    Declarations(usize),
}

#[cfg(test)]
mod tests;
