//! The client.

use std::fmt;
use std::time::Duration;

use reqwest::{Body, Certificate, Client, ClientBuilder, Identity, RequestBuilder, Response};

use super::answer::{self, Limits};
use super::request::Pieces;
use super::{SoapAnswer, SoapCallError, SoapClientError, SoapClientSettings, SoapIdentity, SoapRequest, Space};
use crate::causes::innermost;
use crate::{events, plain_http};

/// How long a connection is kept that no call uses. Services often close one after 20 s or more, and what this client
/// closes first is not closed under a call. However many were in use at once are kept: one host may route to many
/// services, so the number of those that a caller uses at once bounds them, not a number for the host.
const KEPT: Duration = Duration::from_secs(15);

/// Calls SOAP services. Its clones share their connections.
#[derive(Clone)]
pub struct SoapClient {
    client: Client,
    connect_timeout: Duration,
    largest_header: usize,
}

impl fmt::Debug for SoapClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SoapClient").field("connect_timeout", &self.connect_timeout).finish_non_exhaustive()
    }
}

impl SoapClient {
    /// A client. It connects to nothing yet.
    ///
    /// # Errors
    /// [`SoapClientError`] when TLS cannot be set up.
    pub fn new(settings: &SoapClientSettings) -> Result<Self, SoapClientError> {
        let identity = settings.tls.identity.as_ref().map(identity).transpose()?;
        let builder = || match &identity {
            Some(identity) => builder(settings).identity(identity.clone()),
            None => builder(settings),
        };
        let client = match &settings.tls.ca {
            Some(ca) => builder().tls_certs_only(certificates(ca)?).build(),
            // A machine without certificates of its own can still call services over http.
            None => builder().build().or_else(|error| {
                events::no_system_certificates("service", &error);
                builder().tls_certs_only([]).build()
            }),
        };
        Ok(Self {
            client: client.map_err(SoapClientError::Client)?,
            connect_timeout: settings.connect_timeout,
            largest_header: settings.largest_header,
        })
    }

    /// Makes a call, and reads its answer to the end. The bytes of the answer count in `space` before they are kept.
    /// To drop the future cancels the call.
    ///
    /// # Errors
    /// [`SoapCallError`]: there is no answer, or not a whole one.
    pub async fn call<S: Space>(&self, request: SoapRequest<'_>, space: &mut S) -> Result<SoapAnswer, SoapCallError> {
        let limit = request.limit;
        let sending = self.prepared(request)?.send();
        let response = sending.await.map_err(|error| SoapCallError::of_request(&error, self.connect_timeout))?;
        self.read(response, limit, space).await
    }

    /// The request, ready to be sent.
    pub(super) fn prepared(&self, request: SoapRequest<'_>) -> Result<RequestBuilder, SoapCallError> {
        let (url, headers) = (request.checked_url()?, request.checked_headers()?);
        Ok(self.client.post(url).headers(headers).body(Body::wrap(Pieces::new(request.body))))
    }

    /// Reads an answer to its end, of which at most `limit` bytes are taken.
    pub(super) async fn read<S: Space>(
        &self,
        response: Response,
        limit: usize,
        space: &mut S,
    ) -> Result<SoapAnswer, SoapCallError> {
        answer::read(response, Limits { header: self.largest_header, body: limit }, space).await
    }
}

fn builder(settings: &SoapClientSettings) -> ClientBuilder {
    plain_http::builder().pool_idle_timeout(KEPT).connect_timeout(settings.connect_timeout)
}

fn certificates(ca: &[u8]) -> Result<Vec<Certificate>, SoapClientError> {
    let certificates = Certificate::from_pem_bundle(ca).map_err(|_| SoapClientError::Ca)?;
    if certificates.is_empty() { Err(SoapClientError::Ca) } else { Ok(certificates) }
}

fn identity(identity: &SoapIdentity) -> Result<Identity, SoapClientError> {
    let pem = [identity.certificate.as_slice(), b"\n", &identity.key].concat();
    Identity::from_pem(&pem).map_err(|error| SoapClientError::Identity(innermost(&error)))
}
