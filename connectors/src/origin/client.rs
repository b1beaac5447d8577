//! The client.

use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::Resolve;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, ClientBuilder, Response, StatusCode, Url};
use tokio::time::{Instant, timeout_at};
use url::Host;

use super::answer::{AnswerBody, Source};
use super::calls::{Call, Calls};
use super::error::{ClientError, OriginError};
use super::networks::Networks;
use super::resolver::{CheckedResolver, SystemResolver};
use super::{OriginAnswer, OriginLimits, OriginRequest};
use crate::{events, plain_http};

/// The longest header that is passed on, in bytes.
pub(super) const LONGEST_HEADER: usize = 1024;

/// Fetches URIs of systems of somebody else's.
pub struct OriginClient {
    client: Client,
    networks: Arc<Networks>,
    calls: Arc<Calls>,
    timeout: Duration,
    body_limit: u64,
}

impl OriginClient {
    /// A client that asks the operating system for names.
    ///
    /// # Errors
    /// [`ClientError`] when TLS cannot be set up.
    pub fn new(limits: &OriginLimits) -> Result<Self, ClientError> {
        Self::with_names(limits, Arc::new(SystemResolver))
    }

    /// A client that asks `names`. What it answers is checked.
    ///
    /// # Errors
    /// [`ClientError`] when TLS cannot be set up.
    pub fn with_names(limits: &OriginLimits, names: Arc<dyn Resolve>) -> Result<Self, ClientError> {
        let networks = Arc::new(Networks::new(limits.private_networks.clone()));
        let resolver = Arc::new(CheckedResolver::new(names, Arc::clone(&networks)));
        let connect = pause(limits.timeout);
        // A machine without certificates of its own can still call origins over http.
        let client = builder(Arc::clone(&resolver), connect).build().or_else(|error| {
            events::no_system_certificates("origin", &error);
            builder(resolver, connect).tls_certs_only([]).build()
        });
        Ok(Self {
            client: client.map_err(ClientError)?,
            networks,
            calls: Arc::new(Calls::new(limits.most_calls, limits.most_calls_of_one)),
            timeout: limits.timeout,
            body_limit: limits.body_limit,
        })
    }

    /// Fetches a URI. The answer is there when its first piece is. The rest of the body follows, or is cut off.
    ///
    /// # Errors
    /// [`OriginError`]: no answer that can be passed on.
    pub async fn fetch(&self, request: OriginRequest<'_>) -> Result<OriginAnswer, OriginError> {
        let call = self.calls.begin(request.origin, request.caller).ok_or(OriginError::Busy)?;
        let deadline = Instant::now() + self.timeout;
        let url = self.checked(request.uri)?;
        let sending = self.client.get(url).headers(request.headers).send();
        let response = timeout_at(deadline, sending).await.map_err(|_| OriginError::TooSlow(self.timeout))?;
        let response = response.map_err(OriginError::of_request)?;
        let headers = response.headers();
        let mut answer = OriginAnswer {
            status: response.status().as_u16(),
            content_type: kept(headers, &CONTENT_TYPE, "Content-Type")?,
            content_encoding: kept(headers, &CONTENT_ENCODING, "Content-Encoding")?,
            etag: kept(headers, &ETAG, "ETag")?,
            body: None,
        };
        if response.status() == StatusCode::OK {
            answer.body = Some(self.body(response, deadline, call, request.origin).await?);
        }
        Ok(answer)
    }

    /// The URI, if its host is not an address that may not be called. The client connects to an address in a URI
    /// without asking its resolver. All spellings of an address are one here, because the URI is parsed once.
    fn checked(&self, uri: &str) -> Result<Url, OriginError> {
        let url = Url::parse(uri).map_err(|_| OriginError::Uri)?;
        let has_user = !url.username().is_empty() || url.password().is_some();
        if has_user || !matches!(url.scheme(), "http" | "https") {
            return Err(OriginError::Uri);
        }
        let address = match url.host().ok_or(OriginError::Uri)? {
            Host::Domain(_) => return Ok(url),
            Host::Ipv4(address) => address.into(),
            Host::Ipv6(address) => address.into(),
        };
        if self.networks.allow(address) { Ok(url) } else { Err(OriginError::AddressRefused(address)) }
    }

    async fn body(
        &self,
        response: Response,
        deadline: Instant,
        call: Call,
        origin: &str,
    ) -> Result<AnswerBody, OriginError> {
        let length = response.content_length();
        if length.is_some_and(|length| length > self.body_limit) {
            return Err(OriginError::TooLarge(self.body_limit));
        }
        let (timeout, pause) = (self.timeout, pause(self.timeout));
        let source = Source { response, deadline, timeout, pause, limit: self.body_limit, read: 0, call };
        AnswerBody::start(source, length, origin).await
    }
}

fn builder(resolver: Arc<CheckedResolver>, connect: Duration) -> ClientBuilder {
    plain_http::builder().pool_max_idle_per_host(0).connect_timeout(connect).dns_resolver(resolver)
}

/// How long a step may take of a call that may take `timeout`.
fn pause(timeout: Duration) -> Duration {
    timeout / 3
}

/// A header to pass on.
fn kept(headers: &HeaderMap, name: &HeaderName, shown: &'static str) -> Result<Option<HeaderValue>, OriginError> {
    match headers.get(name) {
        Some(value) if value.len() > LONGEST_HEADER => Err(OriginError::LongHeader(shown)),
        value => Ok(value.cloned()),
    }
}
