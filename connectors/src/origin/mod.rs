//! Fetches one URI of a system of somebody else's, whose answer is streamed and bounded.
//!
//! The URI comes from outside, so nothing about it is believed: a host that is a private address, or a name of one, is
//! refused, and the address that was checked is the one that is connected to. Each call has a connection of its own:
//! a connection that is kept would outlive the check of its name. Redirects are not followed, and proxies of the
//! environment are ignored.

mod answer;
mod calls;
mod client;
mod error;
mod networks;
mod resolver;
#[cfg(test)]
mod tests;

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};

pub use answer::AnswerBody;
pub use client::OriginClient;
pub use error::{ClientError, OriginError};
pub use ipnet::IpNet;
pub use resolver::SystemResolver;

/// The limits of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginLimits {
    /// How long a call may take, from its start to the last byte of its body. A third of it is the limit for the
    /// connection with its TLS handshake, and for a pause within the body.
    pub timeout: Duration,
    /// The largest body, in bytes as they are transferred.
    pub body_limit: u64,
    /// Networks that may be called although they are not public.
    pub private_networks: Vec<IpNet>,
    /// The largest number of calls at one time.
    pub most_calls: usize,
    /// The largest number of calls at one time for one origin, and for one caller.
    pub most_calls_of_one: usize,
}

/// A call.
#[derive(Debug)]
pub struct OriginRequest<'a> {
    /// What is fetched: http or https, without a user part.
    pub uri: &'a str,
    /// All headers that are sent, except `Host`, and `Accept` if it is absent.
    pub headers: HeaderMap,
    /// The name of the system that is called, for the limit of calls and for the log.
    pub origin: &'a str,
    /// The name of the caller, for the limit of calls.
    pub caller: &'a str,
}

/// An answer. Of the headers only these are kept.
#[derive(Debug)]
pub struct OriginAnswer {
    /// The status, as the system sent it.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<HeaderValue>,
    /// `Content-Encoding`. The body stays as it is encoded.
    pub content_encoding: Option<HeaderValue>,
    /// `ETag`.
    pub etag: Option<HeaderValue>,
    /// The body of an answer with status 200. Other bodies are not read.
    pub body: Option<AnswerBody>,
}
