//! The HTTP client.

use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::Failure;

/// Keeps as many connections as it has needed at once.
#[derive(Clone, Debug)]
pub(crate) struct Caller(Client<HttpConnector, String>);

impl Caller {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(Duration::from_secs(15));
        Self(builder.build(connector))
    }

    /// Sends a SOAP message with the headers of a consumer.
    pub(crate) async fn send(&self, url: &Uri, correlation: &str, body: String) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/xml; charset=UTF-8"));
        headers.insert("soapaction", HeaderValue::from_static("\"\""));
        headers.insert("x-vp-sender-id", HeaderValue::from_static(SENDER));
        headers.insert("x-rivta-original-serviceconsumer-hsaid", HeaderValue::from_static(SENDER));
        headers.insert("x-skltp-correlation-id", HeaderValue::from_str(correlation)?);
        Ok(self.0.request(request).await?)
    }
}

/// Who asks.
pub(crate) const SENDER: &str = "SE-BENCH-CONSUMER";
