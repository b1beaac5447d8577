//! Calls one service of SOAP that may ask for a client certificate, such as a security server.
//!
//! A call has one time limit, from connecting to the last byte of the answer. The files of the certificate, its key and
//! the authority are looked at before each call, and read again when they have changed. New files are used once they
//! fit together, and only by new connections: a connection with the old certificate ends with the call that has it.
//! Files that cannot be used change nothing, and that is said once.
//!
//! For the rest it is as [`super`] says: nothing is redirected, kept as a cookie, or sent through a proxy.

mod client;
mod error;
pub(super) mod files;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub use client::MutualTlsClient;
pub use error::{MutualTlsCallError, MutualTlsError};

/// The settings of a client.
#[derive(Clone, Debug)]
pub struct MutualTlsSettings {
    /// The service: https, or http to this machine, without a user part.
    pub url: String,
    /// Whether http to other machines is allowed.
    pub allow_plain_http: bool,
    /// Whom to trust, and who this client is. `None`: the authorities of the system, and nobody.
    pub files: Option<MutualTlsFiles>,
    /// How long a call may take, from connecting to the last byte of the answer.
    pub timeout: Duration,
    /// The largest header of an answer, in bytes of names and values.
    pub largest_header: usize,
    /// The largest body of an answer, in bytes, packed and unpacked.
    pub largest_answer: usize,
}

/// Files in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MutualTlsFiles {
    /// The only authorities whose certificates are accepted.
    pub ca: PathBuf,
    /// What this client shows to a service that asks for a certificate.
    pub identity: Option<MutualTlsIdentity>,
}

/// The files of a client certificate, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MutualTlsIdentity {
    /// The certificate, then those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A message to the service.
#[derive(Clone)]
pub struct MutualTlsRequest<'a> {
    /// Names and values of headers.
    pub headers: &'a [(String, String)],
    /// The message.
    pub body: Vec<u8>,
}

/// Shows nothing of the message.
impl fmt::Debug for MutualTlsRequest<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MutualTlsRequest({} headers, {} bytes)", self.headers.len(), self.body.len())
    }
}

/// What stands before the body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerHead {
    /// The HTTP status, redirects and errors included.
    pub status: u16,
    /// `Retry-After`, if there is one in ASCII.
    pub retry_after: Option<String>,
}

/// A whole answer.
#[derive(Clone, PartialEq, Eq)]
pub struct MutualTlsAnswer {
    /// What stands before its body.
    pub head: AnswerHead,
    /// All bytes, unpacked.
    pub body: Vec<u8>,
}

/// Shows nothing of the message.
impl fmt::Debug for MutualTlsAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MutualTlsAnswer({}, {} bytes)", self.head.status, self.body.len())
    }
}
