//! The client.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use reqwest::Url;
use reqwest::header::RETRY_AFTER;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use url::Host;

use super::files::WatchedFiles;
use super::{AnswerHead, MutualTlsAnswer, MutualTlsCallError, MutualTlsError, MutualTlsRequest, MutualTlsSettings};
use crate::events;
use crate::soap::{SoapCallError, SoapClient, SoapClientSettings, SoapRequest, SoapTls, Space};

/// Calls one service. Its clones share their connections.
#[derive(Clone)]
pub struct MutualTlsClient {
    url: Arc<str>,
    is_https: bool,
    timeout: Duration,
    largest_answer: usize,
    /// With the certificates that were read last and fit together.
    current: Arc<RwLock<SoapClient>>,
    /// `None`: there are no files.
    watched: Option<Arc<Mutex<WatchedFiles>>>,
}

impl fmt::Debug for MutualTlsClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MutualTlsClient").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// As many bytes as the limit of an answer.
struct UpToTheLimit;

impl Space for UpToTheLimit {
    async fn grow_to(&mut self, _: usize) {}
}

impl MutualTlsClient {
    /// A client. It reads the files, and connects to nothing yet.
    ///
    /// # Errors
    /// [`MutualTlsError`]: the URL is not allowed, or the files cannot be used.
    pub fn new(settings: &MutualTlsSettings) -> Result<Self, MutualTlsError> {
        let is_https = checked(&settings.url, settings.allow_plain_http)?;
        let of_client = SoapClientSettings {
            connect_timeout: settings.timeout,
            tls: SoapTls::default(),
            largest_header: settings.largest_header,
        };
        let (watched, client) = match &settings.files {
            None => (None, SoapClient::new(&of_client)?),
            Some(files) => {
                let (watched, client) = WatchedFiles::new(files.clone(), of_client)?;
                (Some(Arc::new(Mutex::new(watched))), client)
            }
        };
        Ok(Self {
            url: settings.url.as_str().into(),
            is_https,
            timeout: settings.timeout,
            largest_answer: settings.largest_answer,
            current: Arc::new(RwLock::new(client)),
            watched,
        })
    }

    /// Sends a message, and reads its answer to the end. To drop the future cancels the call.
    ///
    /// # Errors
    /// [`MutualTlsCallError`]: there is no answer, or not a whole one.
    pub async fn call(&self, request: MutualTlsRequest<'_>) -> Result<MutualTlsAnswer, MutualTlsCallError> {
        let within = tokio::time::timeout(self.timeout, self.call_at_leisure(request)).await;
        within.unwrap_or(Err(MutualTlsCallError::Timeout(self.timeout)))
    }

    async fn call_at_leisure(&self, request: MutualTlsRequest<'_>) -> Result<MutualTlsAnswer, MutualTlsCallError> {
        let client = self.client().await;
        let limit = self.largest_answer;
        let request = SoapRequest { url: &self.url, headers: request.headers, body: vec![request.body.into()], limit };
        let prepared = client.prepared(request).map_err(|error| match error {
            SoapCallError::NotMade(reason) => MutualTlsCallError::NotMade(reason),
            other => MutualTlsCallError::NotMade(other.to_string()),
        })?;
        let of_request = |error| MutualTlsCallError::of_request(&error, self.is_https, self.timeout);
        let response = prepared.send().await.map_err(of_request)?;
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let head = AnswerHead { status: response.status().as_u16(), retry_after };
        match client.read(response, limit, &mut UpToTheLimit).await {
            Ok(answer) => Ok(MutualTlsAnswer { head, body: answer.body }),
            Err(error) => Err(MutualTlsCallError::of_answer(error, head)),
        }
    }

    /// The client with the certificates that are in the files now. One call at a time looks at them; a call that begins
    /// meanwhile does not wait for that, because a file system may hang.
    async fn client(&self) -> SoapClient {
        if let Some(mut watched) = self.watched.as_ref().and_then(|watched| Arc::clone(watched).try_lock_owned().ok()) {
            let current = Arc::clone(&self.current);
            let looking = spawn_blocking(move || {
                let found = watched.look_again(Instant::now());
                if let Some(report) = &found.report {
                    events::client_certificate_trouble(report);
                }
                if let Some(client) = found.client {
                    events::client_certificate_replaced(&watched.name());
                    // The connections of the client before it are closed with its last call.
                    *current.write().unwrap_or_else(PoisonError::into_inner) = client;
                }
            });
            // It fails only when the runtime ends.
            drop(looking.await);
        }
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether it is https.
fn checked(url: &str, allow_plain_http: bool) -> Result<bool, MutualTlsError> {
    let url = Url::parse(url).map_err(|_| MutualTlsError::Url)?;
    let host = url.host().ok_or(MutualTlsError::Url)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(MutualTlsError::Url);
    }
    let is_this_machine = match host {
        Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    match url.scheme() {
        "https" => Ok(true),
        "http" if is_this_machine || allow_plain_http => Ok(false),
        "http" => Err(MutualTlsError::PlainHttp),
        _ => Err(MutualTlsError::Url),
    }
}
