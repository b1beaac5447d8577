//! Why a call has no answer. No text has the URL, a header or a part of a message.

use std::time::Duration;

use crate::causes::innermost;

/// The client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SoapClientError {
    /// The authorities are no certificates.
    #[error("`ca` holds no certificates in PEM")]
    Ca,
    /// Certificate and key are none, or do not belong together.
    #[error("`certificate` and `key` are no client certificate with its key in PEM: {0}")]
    Identity(String),
    /// TLS cannot be set up.
    #[error("cannot make an HTTP client: {}", innermost(.0))]
    Client(#[source] reqwest::Error),
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SoapCallError {
    /// There is no connection: its name is unknown, it was refused or not there in time, or TLS failed. Nothing was
    /// sent.
    #[error("there is no connection: {0}")]
    NotConnected(String),
    /// The connection broke, or what came is no answer of HTTP. The service may have acted on the message.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// The answer has more bytes than are taken, packed or unpacked.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The bytes of the answer cannot be unpacked.
    #[error("the answer cannot be unpacked: {0}")]
    Packed(&'static str),
    /// The call cannot be made with this URL or this header.
    #[error("the call cannot be made: {0}")]
    NotMade(String),
}

impl SoapCallError {
    /// The error of a request that has no answer.
    pub(super) fn of_request(error: &reqwest::Error, connect_timeout: Duration) -> Self {
        if !error.is_connect() {
            return Self::Lost(innermost(error));
        }
        Self::NotConnected(if error.is_dns() {
            "the name of the host has no address".to_owned()
        } else if error.is_timeout() {
            format!("not within {} ms", connect_timeout.as_millis())
        } else {
            innermost(error)
        })
    }

    /// The error of a body.
    pub(super) fn of_body(error: &reqwest::Error) -> Self {
        Self::Lost(innermost(error))
    }
}
