//! Why a call has no answer, told apart by what an operator looks at first. No text has a part of a message.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

use super::AnswerHead;
use crate::causes::{causes, innermost};
use crate::soap::{SoapCallError, SoapClientError};

/// The client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MutualTlsError {
    /// The URL is none.
    #[error("the URL is not one of https or http with a host and no user part")]
    Url,
    /// What goes over http can be read on its way.
    #[error("http is allowed only to this machine, unless plain http is allowed")]
    PlainHttp,
    /// A file cannot be read.
    #[error("{} cannot be read: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// A file is too large for what it should be.
    #[error("{} is larger than {limit} bytes", .path.display())]
    LargeFile {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// The certificates cannot be used.
    #[error(transparent)]
    Certificates(#[from] SoapClientError),
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MutualTlsCallError {
    /// No connection came about. Nothing was sent.
    #[error("the service cannot be connected to: {0}")]
    Refused(String),
    /// The name has no address. Nothing was sent.
    #[error("the name of the host has no address")]
    Dns,
    /// TLS fails: the service's certificate, or this client's. The service did not act on the message.
    #[error("TLS fails: {0}")]
    Tls(String),
    /// The connection ended before the answer did, or what came is no answer of HTTP. The service may have acted on the
    /// message.
    #[error("the answer ended early: {0}")]
    Closed(String),
    /// The answer was not whole in time. The service may have acted on the message.
    #[error("there was no whole answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The answer has more bytes than are taken, packed or unpacked.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// What stood before it.
        head: AnswerHead,
        /// The limit in bytes.
        limit: usize,
    },
    /// The bytes of the answer cannot be unpacked.
    #[error("the answer cannot be unpacked: {reason}")]
    Packed {
        /// What stood before it.
        head: AnswerHead,
        /// Why.
        reason: &'static str,
    },
    /// The call cannot be made with this header.
    #[error("the call cannot be made: {0}")]
    NotMade(String),
}

impl MutualTlsCallError {
    /// The error of a request that has no answer.
    pub(super) fn of_request(error: &reqwest::Error, is_https: bool, timeout: Duration) -> Self {
        let kinds = || causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).flat_map(kinds_of);
        if error.is_dns() {
            Self::Dns
        } else if causes(error).any(is_of_tls) {
            Self::Tls(innermost(error))
        } else if error.is_timeout() || kinds().any(|kind| kind == ErrorKind::TimedOut) {
            Self::Timeout(timeout)
        } else if !error.is_connect() {
            Self::Closed(innermost(error))
        } else if is_https && kinds().any(ends_a_handshake) {
            Self::Tls(innermost(error))
        } else {
            Self::Refused(innermost(error))
        }
    }

    /// The error of an answer that is not whole.
    pub(super) fn of_answer(error: SoapCallError, head: AnswerHead) -> Self {
        match error {
            SoapCallError::TooLarge(limit) => Self::TooLarge { head, limit },
            SoapCallError::Packed(reason) => Self::Packed { head, reason },
            SoapCallError::NotConnected(reason) | SoapCallError::Lost(reason) => Self::Closed(reason),
            SoapCallError::NotMade(reason) => Self::NotMade(reason),
        }
    }
}

/// Whether TLS says so itself. An error of a socket does not name the error that it carries as its cause, and it may
/// carry another error of a socket.
fn is_of_tls(cause: &(dyn Error + 'static)) -> bool {
    if cause.is::<rustls::Error>() {
        return true;
    }
    match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(carried) => is_of_tls(carried),
        None => false,
    }
}

/// The kinds of an error of a socket, and of the errors of sockets that it carries.
fn kinds_of(error: &io::Error) -> impl Iterator<Item = ErrorKind> {
    std::iter::successors(Some(error), |&error| error.get_ref()?.downcast_ref::<io::Error>()).map(io::Error::kind)
}

/// Whether a connection that came about was ended in its handshake. Some services do so instead of saying why.
fn ends_a_handshake(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}
