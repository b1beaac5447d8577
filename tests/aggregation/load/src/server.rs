//! An HTTP server of hyper and nothing else.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::Failure;
use crate::body::Pieces;

/// The connections of a port.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    accepted: AtomicUsize,
    open: AtomicUsize,
    most: AtomicUsize,
}

impl Connections {
    /// How many were accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// How many were open at once.
    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    fn begin(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(open, Ordering::Relaxed);
    }
}

/// Serves a port until the process ends. A request that fails ends its connection, and is said on standard error.
pub(crate) async fn serve<A>(
    listener: TcpListener,
    connections: Arc<Connections>,
    answer: impl Fn(Request<Incoming>) -> A + Clone + Send + 'static,
) -> std::io::Result<()>
where
    A: Future<Output = Result<Response<Pieces>, Failure>> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        connections.begin();
        let (connections, answer) = (Arc::clone(&connections), answer.clone());
        tokio::spawn(async move {
            let mut server = http1::Builder::new();
            let served = server.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service_fn(answer));
            if let Err(error) = served.await
                && !error.is_incomplete_message()
                && !error.is_canceled()
            {
                eprintln!("a connection: {error:?}");
            }
            connections.open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// A message as an answer.
pub(crate) fn xml(body: impl Into<Pieces>) -> Response<Pieces> {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("text/xml; charset=UTF-8"));
    response
}
