//! Calls services of SOAP over HTTP: one message there, one answer back, within bounds. [`mutual_tls`] calls one
//! service within a time, with certificates that are replaced while it runs.
//!
//! A call has no time limit of its own but that of connecting. Whoever drops its future cuts it: the connection is
//! closed, however slowly a header or a body drips. Redirects are answers like all others and are not followed. There
//! are no cookies, and proxies of the environment are ignored. Of the request nothing is sent but what it has, `Host`,
//! `Content-Length` and `Accept`. A body is never chunked: old services cannot read that.
//!
//! Connections are kept and used again, because an answer is read to its end whatever its status is. There are as many
//! as calls at once, and sometimes one more: it is opened if a call begins just before another one's is free. A kept
//! connection that the service closes is noticed, and another one is used. If it closes just while the next call takes
//! it, the call is sent again only if nothing of it was written. Otherwise the service may have acted on it, and the
//! call fails as [`SoapCallError::Lost`].

mod answer;
mod client;
mod error;
pub mod mutual_tls;
mod request;
#[cfg(test)]
mod tests;
mod unpack;

use std::fmt;
use std::time::Duration;

pub use answer::{SoapAnswer, Space};
pub use client::SoapClient;
pub use error::{SoapCallError, SoapClientError};
pub use request::SoapRequest;

/// The settings of a client.
#[derive(Clone, Debug)]
pub struct SoapClientSettings {
    /// How long a connection may take, from the name of the host to the end of the TLS handshake.
    pub connect_timeout: Duration,
    /// Whom to trust, and who this client is.
    pub tls: SoapTls,
    /// The largest header of an answer, in bytes of names and values. Beyond about 400 KiB the reader refuses it in any
    /// case.
    pub largest_header: usize,
}

/// Certificates, as PEM.
#[derive(Clone, Default)]
pub struct SoapTls {
    /// The only authorities whose certificates are accepted. `None`: those of the system.
    pub ca: Option<Vec<u8>>,
    /// What this client shows to services that ask for a certificate.
    pub identity: Option<SoapIdentity>,
}

impl fmt::Debug for SoapTls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SoapTls").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// A client certificate with the others of its chain, and its key, as PEM.
#[derive(Clone)]
pub struct SoapIdentity {
    /// The certificate, then those between it and the authority.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
}

/// Never shows the key.
impl fmt::Debug for SoapIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SoapIdentity").finish_non_exhaustive()
    }
}
