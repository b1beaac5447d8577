//! Services on sockets of the test.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A service that does with each connection what the test says.
pub(super) struct Service {
    pub(super) address: SocketAddr,
    pub(super) seen: Arc<Seen>,
}

/// What a service has seen.
#[derive(Default)]
pub(super) struct Seen {
    /// Requests, head and body.
    pub(super) requests: Mutex<Vec<String>>,
    /// Connections so far.
    pub(super) connections: AtomicUsize,
    /// Connections that are open.
    pub(super) open: AtomicUsize,
    /// The most connections that were open at once.
    pub(super) most_open: AtomicUsize,
}

impl Seen {
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Reads a request. `None` if the client has gone.
    pub(super) async fn request(&self, stream: &mut (impl AsyncRead + Unpin)) -> Option<()> {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(request).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).await.ok()?;
        self.requests.lock().unwrap().push(head + std::str::from_utf8(&body).unwrap());
        Some(())
    }
}

impl Service {
    pub(super) async fn start<F, W>(serve: F) -> Self
    where
        F: Fn(TcpStream, Arc<Seen>) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Seen::default()));
        let known = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                known.connections.fetch_add(1, Ordering::SeqCst);
                let open = known.open.fetch_add(1, Ordering::SeqCst) + 1;
                known.most_open.fetch_max(open, Ordering::SeqCst);
                let (serving, seen) = (serve(stream, Arc::clone(&known)), Arc::clone(&known));
                tokio::spawn(async move {
                    serving.await;
                    seen.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, seen }
    }

    /// Answers the first request of each connection with these bytes, and then closes it.
    pub(super) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        Self::start(move |mut stream, seen| {
            let answer = Arc::clone(&answer);
            async move {
                if seen.request(&mut stream).await.is_some() {
                    let _ = stream.write_all(&answer).await;
                }
            }
        })
        .await
    }

    /// Answers with `first`, and then with `again` and a short pause until the client goes away.
    pub(super) async fn dripping(first: &'static str, again: &'static [u8]) -> Self {
        Self::start(move |mut stream, seen| async move {
            let _ = seen.request(&mut stream).await;
            let mut sent = stream.write_all(first.as_bytes()).await;
            while sent.is_ok() {
                tokio::time::sleep(super::IMPATIENCE / 30).await;
                sent = if again.is_empty() { gone(&mut stream).await } else { stream.write_all(again).await };
            }
        })
        .await
    }

    /// Answers all requests of a connection.
    pub(super) async fn keeping(answer: &'static str) -> Self {
        Self::start(move |mut stream, seen| async move { keep(&mut stream, &seen, answer).await }).await
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// An error once the client has closed the connection.
async fn gone(stream: &mut TcpStream) -> std::io::Result<()> {
    match tokio::time::timeout(super::IMPATIENCE / 30, stream.read_u8()).await {
        Ok(read) => read.map(|_| ()),
        Err(_) => Ok(()),
    }
}

/// Answers all requests of a connection.
pub(super) async fn keep(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), seen: &Seen, answer: &str) {
    while seen.request(stream).await.is_some() {
        tokio::task::yield_now().await;
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// A server of HTTP as others run it. Returns its URL.
pub(super) async fn real_server(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Waits until something holds.
pub(super) async fn until(mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(super::IMPATIENCE / 30).await;
        }
    };
    tokio::time::timeout(super::PATIENCE, waiting).await.unwrap();
}
