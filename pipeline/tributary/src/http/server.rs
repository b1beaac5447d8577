//! The server: listens, accepts connections, and ends within a given time.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use tributary_connectors::trouble::Troubles;
use tributary_flow::http::Scheme;

use super::auth::{Authenticator, MessageAuthenticator};
use super::certificates::Subject;
use super::metrics::HttpMetrics;
use super::settings::{AuthSettings, HttpSettings};
use super::site::{Shared, Site};
use super::status::ProcessStatus;
use super::tls::{self, TlsFiles};
use super::unread::ClosedIfUnread;
use super::{HttpError, metrics};
use crate::events;

/// How long a client may take for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How often certificates and tokens are checked for changes.
const REFRESH_EVERY: Duration = Duration::from_secs(1);

/// The pause after a failed `accept`. Usually all file handles are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The subject of troubles with new connections.
const ACCEPTING: &str = "accept";

/// The largest number of threads for calls that may block, such as the lag.
const LOOKS: usize = 4;

/// A bound port. [`Server::serve`] answers on it.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<TlsFiles>>,
    site: Arc<Site>,
    connections: Arc<Semaphore>,
    idle: Duration,
}

impl Server {
    /// Binds the address and reads certificates and tokens. Connections wait in the system's queue until
    /// [`Server::serve`]. Paths in the settings are used as they are: see [`HttpSettings::in_folder`].
    ///
    /// # Errors
    /// [`HttpError`]. Each error is wrong usage or configuration.
    pub fn bind(
        listen: &str,
        settings: &HttpSettings,
        auth: &AuthSettings,
        status: Arc<dyn ProcessStatus>,
        runtime: &Handle,
    ) -> Result<Self, HttpError> {
        let has_client_ca = settings.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        if !auth.certificates.is_empty() && !has_client_ca {
            return Err(HttpError::NoClientCa);
        }
        let tls = settings.tls.as_ref().map(tls::load).transpose()?.map(Arc::new);
        let authenticator = Arc::new(Authenticator::new(auth)?);
        let (listener, address) = listen_on(listen, &authenticator, runtime)?;
        let registry = metrics::registry().map_err(|error| HttpError::Routes(error.to_string()))?;
        let metrics = HttpMetrics::register(&registry).map_err(|error| HttpError::Routes(error.to_string()))?;
        let site = Site::new(Shared {
            status,
            registry,
            metrics,
            authenticator,
            places: Arc::new(Semaphore::new(settings.max_requests.clamp(1, Semaphore::MAX_PERMITS))),
            looks: Arc::new(Semaphore::new(LOOKS)),
            max_body: usize::try_from(settings.max_body.as_u64()).unwrap_or(usize::MAX),
            deadline: settings.deadline,
            ending: AtomicBool::new(false),
        })?;
        let connections = Arc::new(Semaphore::new(settings.max_connections.clamp(1, Semaphore::MAX_PERMITS)));
        Ok(Self { listener, address, tls, site: Arc::new(site), connections, idle: settings.idle })
    }

    /// The bound address, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`, or with `https`.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Checks the credentials of messages as those of requests. `tokio` is the runtime of the process.
    pub fn message_authenticator(&self, tokio: &Handle) -> Arc<dyn tributary_flow::Authenticator> {
        Arc::new(MessageAuthenticator::new(&self.site.shared.authenticator, tokio))
    }

    /// The site to mount the flows' paths on, also while the server runs.
    pub fn site(&self) -> Arc<Site> {
        Arc::clone(&self.site)
    }

    /// Serves until `shutdown` is done, then waits at most `drain` for open requests. Handlers that are still running
    /// then are dropped at their next await.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send, drain: Duration) {
        let mut companions = JoinSet::new();
        companions.spawn(refresh_files(Arc::clone(&self.site), self.tls.clone()));
        let site = Arc::clone(&self.site);
        companions.spawn(async move { site.shared.authenticator.prepare().await });
        let graceful = GracefulShutdown::new();
        let mut open = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        let mut troubles = Troubles::new();
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = open.join_next(), if !open.is_empty() => {}
                (stream, permit) = self.accept(&mut troubles) => {
                    let connection = Connection::new(&self, permit);
                    let _: AbortHandle = open.spawn(connection.run(stream, graceful.watcher()));
                }
            }
        }
        self.site.shared.ending.store(true, Ordering::Relaxed);
        drop(self.listener);
        let ends = async {
            graceful.shutdown().await;
            while open.join_next().await.is_some() {}
        };
        if tokio::time::timeout(drain, ends).await.is_err() {
            events::requests_dropped(open.len());
        }
        // A handler that blocks its thread cannot be ended, so the server does not wait for it.
        open.abort_all();
        open.detach_all();
    }

    /// The next connection, once there is a free place.
    async fn accept(&self, troubles: &mut Troubles) -> (TcpStream, OwnedSemaphorePermit) {
        loop {
            let permit = Arc::clone(&self.connections).acquire_owned().await;
            match (self.listener.accept().await, permit) {
                (Ok((stream, _)), Ok(permit)) => {
                    troubles.end(ACCEPTING, Instant::now()).iter().for_each(events::accept_trouble);
                    return (stream, permit);
                }
                (Err(error), _) => {
                    let trouble = troubles.note(ACCEPTING, error.to_string(), Instant::now());
                    trouble.iter().for_each(events::accept_trouble);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                // The semaphore is never closed.
                (Ok(_), Err(_)) => {}
            }
        }
    }
}

fn listen_on(
    listen: &str,
    authenticator: &Authenticator,
    runtime: &Handle,
) -> Result<(TcpListener, SocketAddr), HttpError> {
    let failed = |source| HttpError::Listen { address: listen.to_owned(), source };
    let listener = StdListener::bind(listen).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    authenticator.check_address(address, listen)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let _guard = runtime.enter();
    Ok((TcpListener::from_std(listener).map_err(failed)?, address))
}

async fn refresh_files(site: Arc<Site>, tls: Option<Arc<TlsFiles>>) {
    loop {
        tokio::time::sleep(REFRESH_EVERY).await;
        let (site, tls) = (Arc::clone(&site), tls.clone());
        let refreshed = tokio::task::spawn_blocking(move || {
            site.shared.authenticator.refresh_files();
            if let Some(tls) = &tls {
                tls.refresh();
            }
        });
        if let Err(error) = refreshed.await {
            events::files_not_looked_at(&error);
        }
    }
}

/// One open connection.
struct Connection {
    site: Arc<Site>,
    tls: Option<Arc<TlsFiles>>,
    idle: Duration,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    fn new(server: &Server, permit: OwnedSemaphorePermit) -> Self {
        server.site.shared.metrics.connections.inc();
        Self { site: Arc::clone(&server.site), tls: server.tls.clone(), idle: server.idle, _permit: permit }
    }

    async fn run(self, stream: TcpStream, watcher: Watcher) {
        // With Nagle's algorithm, small answers wait for the client's acknowledgement. A failure only makes them
        // slower.
        let _ = stream.set_nodelay(true);
        let stream = ClosedIfUnread::new(stream, self.idle);
        let Some(tls) = &self.tls else {
            return self.answer(stream, None, false, watcher).await;
        };
        let acceptor = TlsAcceptor::from(Arc::clone(&*tls.current()));
        let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else {
            events::handshake_failed();
            return;
        };
        let (_, session) = stream.get_ref();
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        let peer = certificate.and_then(|certificate| Subject::of_certificate(certificate)).map(Arc::new);
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        self.answer(stream, peer, is_http2, watcher).await;
    }

    async fn answer<S>(&self, stream: S, peer: Option<Arc<Subject>>, is_http2: bool, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let site = Arc::clone(&self.site);
        let scheme = if self.tls.is_some() { Scheme::Https } else { Scheme::Http };
        let service = tower::service_fn(move |request: axum::http::Request<hyper::body::Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(scheme);
            if let Some(peer) = &peer {
                request.extensions_mut().insert(Arc::clone(peer));
            }
            site.router().oneshot(request)
        });
        let builder = self.builder(is_http2);
        let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        // An operator cannot fix a client that goes away or does not send HTTP, so this is only for debugging.
        if let Err(error) = watcher.watch(connection.into_owned()).await {
            events::connection_failed(&error);
        }
    }

    /// The HTTP version is fixed before the first byte, so the server does not wait forever for a client that sends
    /// nothing.
    fn builder(&self, is_http2: bool) -> Builder<TokioExecutor> {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(self.idle);
        builder.http2().timer(TokioTimer::new()).keep_alive_interval(self.idle).keep_alive_timeout(HANDSHAKE);
        if is_http2 { builder.http2_only() } else { builder.http1_only() }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.site.shared.metrics.connections.dec();
    }
}

/// Prints on standard error that the port is bound. Programs read this line, so it is the same in every log format.
pub fn announce_listening(url: &str) {
    eprintln!("listening: {url}");
}

/// Prints on standard error, once, that all partitions are assigned and restored.
pub fn announce_ready(url: &str) {
    eprintln!("ready: {url}");
}
