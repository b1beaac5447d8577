//! How others are called: source systems, another index, and who else speaks SOAP.

use std::future::Future;
use std::sync::Arc;

use axum::body::Bytes;
use tributary_aggregation::ei_settings::Index as IndexPlace;
use tributary_aggregation::find_content::{self, Found, IndexError};
use tributary_aggregation::memory::Share;
use tributary_aggregation::port::{
    Answering, Index, IndexQuestion, OutgoingCall, ProducerAnswer, Producers, TransportError,
};
use tributary_aggregation::response_list::ContentType;
use tributary_connectors::soap::{
    SoapCallError, SoapClient, SoapClientError, SoapClientSettings, SoapIdentity, SoapRequest, SoapTls, Space,
};

use crate::settings::EdgeSettings;

/// The largest header of an answer, in bytes.
const LARGEST_HEADER: usize = 64 * 1024;

/// How others are called. The demo plays them.
#[derive(Clone)]
pub(crate) struct Outside {
    /// The source systems.
    pub(crate) producers: Arc<dyn Producers>,
    /// The index, if it is elsewhere.
    pub(crate) index: Option<Arc<dyn Index>>,
}

impl Outside {
    /// Calls over HTTP.
    pub(crate) fn over_http(settings: &EdgeSettings, client: &SoapClient) -> Self {
        let index = match &settings.index {
            IndexPlace::Own(_) => None,
            IndexPlace::External { url, logical_address, .. } => Some(Arc::new(ExternalIndex {
                client: client.clone(),
                url: url.clone(),
                logical_address: logical_address.clone(),
                limit: settings.flow.max_answer_bytes,
            }) as Arc<dyn Index>),
        };
        Self { producers: Arc::new(HttpProducers { client: client.clone() }), index }
    }
}

/// A client for these settings.
///
/// # Errors
/// [`SoapClientError`] when the certificates are none.
pub(crate) fn client(settings: &EdgeSettings) -> Result<SoapClient, SoapClientError> {
    let settings = &settings.calls;
    let identity = settings.tls.identity.clone();
    SoapClient::new(&SoapClientSettings {
        connect_timeout: settings.connect_timeout,
        tls: SoapTls {
            ca: settings.tls.ca.clone(),
            identity: identity.map(|(certificate, key)| SoapIdentity { certificate, key }),
        },
        largest_header: LARGEST_HEADER,
    })
}

/// The source systems, called over HTTP.
struct HttpProducers {
    client: SoapClient,
}

/// The share of an answer in the memory for answers.
struct ShareOfAnswer<'a>(&'a mut Share);

impl Space for ShareOfAnswer<'_> {
    fn grow_to(&mut self, bytes: usize) -> impl Future<Output = ()> + Send {
        self.0.grow_to(bytes)
    }
}

/// Space for what is small and bounded by its limit alone.
pub(crate) struct Unbounded;

impl Space for Unbounded {
    async fn grow_to(&mut self, _: usize) {}
}

impl Producers for HttpProducers {
    fn call(&self, call: OutgoingCall) -> Answering<Result<ProducerAnswer, TransportError>> {
        let client = self.client.clone();
        Box::pin(async move {
            let OutgoingCall { url, headers, body, limit, mut share, .. } = call;
            let (own, shared) = body.into_pieces();
            let pieces = vec![Bytes::from(own), Bytes::from_owner(shared)];
            let request = SoapRequest { url: &url, headers: &headers, body: pieces, limit };
            let answer = client.call(request, &mut ShareOfAnswer(&mut share)).await.map_err(transport_error)?;
            let (status, content_type, body) = (answer.status, answer.content_type, answer.body);
            Ok(ProducerAnswer { status, content_type, body, share })
        })
    }
}

fn transport_error(error: SoapCallError) -> TransportError {
    match error {
        SoapCallError::NotConnected(reason) => TransportError::Refused(reason),
        SoapCallError::Lost(reason) => TransportError::Lost(reason),
        SoapCallError::TooLarge(limit) => TransportError::TooLarge(limit),
        SoapCallError::Packed(reason) => TransportError::Packed(reason.to_owned()),
        SoapCallError::NotMade(reason) => TransportError::NotMade(reason),
    }
}

/// Another index, asked over HTTP.
struct ExternalIndex {
    client: SoapClient,
    url: String,
    logical_address: String,
    limit: usize,
}

impl Index for ExternalIndex {
    fn find(&self, question: IndexQuestion) -> Answering<Result<Found, IndexError>> {
        let (client, url, limit) = (self.client.clone(), self.url.clone(), self.limit);
        let body = question.find.write(&self.logical_address);
        Box::pin(async move {
            let request = SoapRequest { url: &url, headers: &question.headers, body: vec![body.into()], limit };
            let answer = client.call(request, &mut Unbounded).await;
            let answer = answer.map_err(|error| IndexError::Failed(error.to_string()))?;
            let charset = answer.content_type.as_deref().and_then(|text| ContentType::read(text).charset);
            let found = find_content::read_answer(answer.body, charset.as_deref(), limit);
            match found {
                // What is no message is explained better by its status.
                Err(IndexError::Failed(_)) if !(200..300).contains(&answer.status) => {
                    Err(IndexError::Failed(format!("HTTP status {}", answer.status)))
                }
                found => found,
            }
        })
    }
}
