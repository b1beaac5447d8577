//! The connections.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::stream;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::answer::{Answer, Message};
use crate::call::Call;
use crate::register::State;

/// The largest request.
const LARGEST: usize = 1 << 20;

/// Certificates in PEM.
#[derive(Clone)]
pub struct Tls {
    /// Of the server.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: Vec<u8>,
    /// The authority of callers. With one, a caller without a certificate of it is refused.
    pub client_ca: Option<Vec<u8>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// Why a register does not start.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The port cannot be used.
    #[error("the register cannot listen on {0}: {1}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// The certificates cannot be used.
    #[error("the certificates of the register cannot be used: {0}")]
    Tls(String),
}

/// A listening server, until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    pub(crate) async fn start(
        address: SocketAddr,
        tls: Option<&Tls>,
        state: Arc<State>,
    ) -> Result<Self, RegisterError> {
        let acceptor = tls.map(acceptor).transpose()?;
        let listener = listen(address).await.map_err(|error| RegisterError::Listen(address, error))?;
        let address = listener.local_addr().map_err(|error| RegisterError::Listen(address, error))?;
        let service = Router::new()
            .route("/", post(called))
            .route("/listClients", get(clients))
            .layer(DefaultBodyLimit::max(LARGEST))
            .with_state(state);
        let accepting = tokio::spawn(accept(listener, acceptor, service));
        Ok(Self { address, accepting })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Listens, also on a port whose last connections are not forgotten yet. The port of a register that goes away may be
/// in use for a moment.
async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let mut attempts = 50;
    loop {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        match socket.bind(address).and_then(|()| socket.listen(1024)) {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && attempts > 0 => attempts -= 1,
            listener => return listener,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Serves connections until it is dropped, and they with it.
async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, service: Router) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = open.join_next(), if !open.is_empty() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let (acceptor, service) = (acceptor.clone(), service.clone());
                open.spawn(async move {
                    match acceptor {
                        None => serve(stream, service).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, service).await;
                            }
                        }
                    }
                });
            }
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, service: Router) {
    let builder = Builder::new(TokioExecutor::new()).http1_only();
    // A caller that goes away is none of the register's business.
    let _ = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).await;
}

fn acceptor(tls: &Tls) -> Result<TlsAcceptor, RegisterError> {
    let wrong = |error: &dyn fmt::Display| RegisterError::Tls(error.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificates = |pem: &[u8]| CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let chain = certificates(&tls.certificate).map_err(|error| wrong(&error))?;
    let key = PrivateKeyDer::from_pem_slice(&tls.key).map_err(|error| wrong(&error))?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| wrong(&error))?;
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(ca).map_err(|error| wrong(&error))? {
                roots.add(certificate).map_err(|error| wrong(&error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| wrong(&error))?)
        }
    };
    let config = builder.with_single_cert(chain, key).map_err(|error| wrong(&error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The clients of a security server, as it lists them.
async fn clients() -> Response {
    let list = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<x:clientList xmlns:x=\"http://x-road.eu/xsd/xroad.xsd\" \
                xmlns:i=\"http://x-road.eu/xsd/identifiers\"><x:member><x:id i:objectType=\"MEMBER\">\
                <i:xRoadInstance>SEVDEIR-TEST</i:xRoadInstance><i:memberClass>GOV</i:memberClass>\
                <i:memberCode>00000000</i:memberCode></x:id><x:name>Invented ministry</x:name></x:member></x:clientList>";
    ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], list).into_response()
}

async fn called(Shared(state): Shared<Arc<State>>, headers: HeaderMap, body: Bytes) -> Response {
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    match Call::read(Instant::now(), headers, &body) {
        Ok(call) => {
            let (delay, answer) = state.answer(call.clone());
            tokio::time::sleep(delay).await;
            respond(&call, answer).await
        }
        Err(reason) => {
            state.refuse(reason.clone());
            (StatusCode::BAD_REQUEST, reason).into_response()
        }
    }
}

async fn respond(call: &Call, mut answer: Answer) -> Response {
    while let Answer::Late(pause, then) = answer {
        tokio::time::sleep(pause).await;
        answer = *then;
    }
    let message = match &answer {
        Answer::Found => Message::found(call),
        Answer::Empty => Message::good(call, ""),
        Answer::Content(content) => Message::good(call, content),
        Answer::Changed(change) => Message::changed(call, change),
        Answer::Fault(status, code, detail) => Message::fault(call, *status, code, detail.as_deref()),
        Answer::Subcode(value, subcode) => Message::subcode(value, subcode),
        Answer::Service(code) => Message::service(call, code),
        Answer::Raw(body) => Message { body: body.clone(), ..Message::found(call) },
        Answer::Status(status, retry_after) => return refused(*status, header::RETRY_AFTER, retry_after.as_deref()),
        Answer::Redirect(place) => return refused(302, header::LOCATION, Some(place)),
        Answer::CutOff(bytes) => return cut_off(&Message::found(call), *bytes),
        Answer::Trickling(pause) => return trickling(Message::found(call), *pause),
        Answer::Endless(bytes) => return endless(*bytes),
        Answer::Hanging | Answer::Late(..) => std::future::pending().await,
    };
    let Message { status, content_type, body } = message;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
}

fn refused(status: u16, name: header::HeaderName, value: Option<&str>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, [(header::CONTENT_TYPE, "text/html")], "<p>invented").into_response();
    if let Some(value) = value.and_then(|value| value.parse().ok()) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// So many bytes of a message whose length was announced as a whole.
fn cut_off(message: &Message, bytes: usize) -> Response {
    let part = Bytes::copy_from_slice(message.body.get(..bytes).unwrap_or(&message.body));
    let pieces = [Ok(part), Err(std::io::Error::other("the end"))];
    let headers = [
        (header::CONTENT_TYPE, message.content_type.clone()),
        (header::CONTENT_LENGTH, message.body.len().to_string()),
    ];
    (headers, Body::from_stream(stream::iter(pieces))).into_response()
}

fn trickling(message: Message, pause: Duration) -> Response {
    let pieces = stream::unfold(message.body.into_iter(), move |mut left| async move {
        tokio::time::sleep(pause).await;
        let byte = left.next()?;
        Some((Ok::<_, Infallible>(Bytes::copy_from_slice(&[byte])), left))
    });
    ([(header::CONTENT_TYPE, message.content_type)], Body::from_stream(pieces)).into_response()
}

fn endless(bytes: usize) -> Response {
    const PIECE: usize = 64 * 1024;
    let piece = Bytes::from(vec![b' '; PIECE]);
    let pieces = stream::iter((0..bytes.div_ceil(PIECE)).map(move |_| Ok::<_, Infallible>(piece.clone())));
    ([(header::CONTENT_TYPE, "text/xml")], Body::from_stream(pieces)).into_response()
}
