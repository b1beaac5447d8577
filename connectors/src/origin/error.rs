//! Why a call has no answer, or no whole one. No text has the URI, a header or a part of a body.

use std::net::IpAddr;
use std::time::Duration;

use super::resolver::RefusedAddress;
use crate::causes::{causes, innermost};

/// The client cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make an HTTP client: {0}")]
pub struct ClientError(#[source] pub(super) reqwest::Error);

/// Why a call has no answer, or no whole one.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// The URI cannot be called.
    #[error("the URI is not one of http or https with a host and without a user part")]
    Uri,
    /// The address of the host may not be called.
    #[error("the host has the address {0}, which is in no network that may be called")]
    AddressRefused(IpAddr),
    /// There is no connection.
    #[error("there is no connection: {}", innermost(.0))]
    Unreachable(#[source] reqwest::Error),
    /// The connection broke, or what came is no answer of HTTP.
    #[error("the answer broke off or is not HTTP: {}", innermost(.0))]
    Broken(#[source] reqwest::Error),
    /// A header is longer than is accepted.
    #[error("the header {0} of the answer is longer than {limit} bytes", limit = super::client::LONGEST_HEADER)]
    LongHeader(&'static str),
    /// The call takes too long.
    #[error("the answer was not there within {} s", .0.as_secs_f64())]
    TooSlow(Duration),
    /// The body pauses for too long.
    #[error("the body paused for {} s", .0.as_secs_f64())]
    Paused(Duration),
    /// The caller does not take the body.
    #[error("the caller did not take the body within {} s", .0.as_secs_f64())]
    NotTaken(Duration),
    /// The body is too large.
    #[error("the body is larger than {0} bytes")]
    TooLarge(u64),
    /// Too many calls are in work.
    #[error("too many calls are in work")]
    Busy,
    /// The body ends here, and is not whole.
    #[error("the body was cut off")]
    CutOff,
}

impl OriginError {
    /// The error of a request that has no answer.
    pub(super) fn of_request(error: reqwest::Error) -> Self {
        if let Some(RefusedAddress(address)) = causes(&error).find_map(|cause| cause.downcast_ref()) {
            return Self::AddressRefused(*address);
        }
        // The text of the client has the URI.
        let error = error.without_url();
        if error.is_connect() { Self::Unreachable(error) } else { Self::Broken(error) }
    }

    /// The error of a body.
    pub(super) fn of_body(error: reqwest::Error) -> Self {
        Self::Broken(error.without_url())
    }
}
