//! The register. It answers every call with an invented person, after a time, and knows when each number was asked for.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use crate::durations::now_us;
use crate::{Failure, Outcome, body, messages};

/// Runs until it is ended. `GET /` tells how many calls there were, of how many numbers, and how many at once;
/// `GET /arrivals` when each number was first asked for, in microseconds since 1970.
#[derive(Debug, Args)]
pub(crate) struct Register {
    /// How long an answer takes.
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// 0: a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

struct Played {
    delay: Duration,
    calls: AtomicUsize,
    open: AtomicUsize,
    most: AtomicUsize,
    arrivals: Mutex<HashMap<String, u64>>,
}

impl Register {
    pub(crate) async fn run(&self) -> Outcome {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await?;
        println!("READY url=http://{}/", listener.local_addr()?);
        let played = Arc::new(Played {
            delay: Duration::from_millis(self.delay_ms),
            calls: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            arrivals: Mutex::default(),
        });
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(serve(stream, Arc::clone(&played)));
        }
    }
}

/// Serves a connection. A request that fails ends it, and is said on standard error.
async fn serve(stream: TcpStream, played: Arc<Played>) {
    let answer = move |request| Arc::clone(&played).answer(request);
    let mut server = http1::Builder::new();
    let served = server.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service_fn(answer));
    if let Err(error) = served.await
        && !error.is_incomplete_message()
        && !error.is_canceled()
    {
        eprintln!("a connection: {error:?}");
    }
}

impl Played {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<String>, Failure> {
        let arrived = now_us();
        if request.method() == Method::GET {
            let text = if request.uri().path() == "/arrivals" { self.listed() } else { self.statistics() };
            return Ok(Response::new(text));
        }
        let call = body::text(request.into_body()).await?;
        let number = messages::asked(&call).ok_or("a call has no number")?;
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).entry(number.to_owned()).or_insert(arrived);
        let answer = messages::answer(&call).ok_or("a call has no body")?;
        self.calls.fetch_add(1, Ordering::Relaxed);
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(open, Ordering::Relaxed);
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
        let mut response = Response::new(answer);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(messages::CONTENT_TYPE));
        Ok(response)
    }

    fn listed(&self) -> String {
        let (arrivals, mut text) = (self.arrivals.lock().unwrap_or_else(PoisonError::into_inner), String::new());
        for (number, arrived) in &*arrivals {
            let _ = writeln!(text, "{number} {arrived}");
        }
        text
    }

    fn statistics(&self) -> String {
        let numbers = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).len();
        let (calls, most) = (self.calls.load(Ordering::Relaxed), self.most.load(Ordering::Relaxed));
        format!("calls={calls} numbers={numbers} most_at_once={most}\n")
    }
}
