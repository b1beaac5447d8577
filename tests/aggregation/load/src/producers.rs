//! Source systems, and the index that knows them: one program, so that all that are measured call the same.
//!
//! What is asked is told from the message. A question to the index is answered at once; one to a source system after
//! the time that its address takes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::body::{self, Pieces};
use crate::caller::SENDER;
use crate::messages::{SCHEDULE, Template, address, first, found};
use crate::server::{self, Connections};
use crate::{Failure, Outcome};

/// Plays source systems and an index. A GET gives connections and calls so far.
#[derive(Debug, Args)]
pub(crate) struct Producers {
    /// How many.
    #[arg(long, default_value_t = 10)]
    addresses: usize,
    /// Each has a port of its own. Otherwise all are behind one, as behind a platform that routes.
    #[arg(long)]
    port_each: bool,
    /// The port, or the first of them; 0 takes free ones.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// How long the slowest takes. The n-th takes the n-th part of it, so that answers do not come all at once.
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// About the size of an answer.
    #[arg(long, default_value_t = 2000)]
    bytes: usize,
    /// Where the catalogue for the platform is written.
    #[arg(long)]
    tak: PathBuf,
}

struct Played {
    systems: Vec<System>,
    calls: AtomicUsize,
    ports: Vec<Arc<Connections>>,
}

struct System {
    address: String,
    delay: Duration,
    answer: Template,
}

impl Producers {
    pub(crate) async fn run(&self) -> Outcome {
        let mut listeners = Vec::new();
        for number in 0..if self.port_each { self.addresses } else { 1 } {
            let port = if self.port == 0 { 0 } else { self.port + u16::try_from(number)? };
            listeners.push(TcpListener::bind(("127.0.0.1", port)).await?);
        }
        let urls: Result<Vec<_>, std::io::Error> =
            listeners.iter().map(|listener| Ok(format!("http://{}/vp", listener.local_addr()?))).collect();
        let urls = urls?;
        std::fs::write(&self.tak, self.catalogue(&urls).to_string())?;
        let (systems, rows) = self.systems();
        let ports: Vec<_> = listeners.iter().map(|_| Arc::<Connections>::default()).collect();
        let played = Arc::new(Played { systems, calls: AtomicUsize::new(0), ports: ports.clone() });
        println!("READY url={} rows={rows}", urls[0]);
        let mut serving = JoinSet::new();
        for (listener, connections) in listeners.into_iter().zip(ports) {
            let played = Arc::clone(&played);
            let answer = move |request| Arc::clone(&played).answer(request);
            serving.spawn(server::serve(listener, connections, answer));
        }
        while let Some(ended) = serving.join_next().await {
            ended??;
        }
        Ok(())
    }

    /// The systems, and how many rows each gives.
    fn systems(&self) -> (Vec<System>, usize) {
        let mut rows = 0;
        let system = |number: usize| {
            let address = address(number);
            let (answer, count) = Template::new(&address, self.bytes);
            rows = count;
            let part = Duration::from_millis(self.delay_ms) * (number as u32 + 1) / self.addresses as u32;
            System { address, delay: part, answer }
        };
        ((0..self.addresses).map(system).collect(), rows)
    }

    /// The catalogue. With one port the platform knows where all are.
    fn catalogue(&self, urls: &[String]) -> Value {
        let entry = |number: usize, field: &str, value: &str| {
            let receiver = address(number);
            json!({"contract": SCHEDULE, "receiver": receiver, field: value})
        };
        let route = |number: usize| entry(number, "url", urls.get(number).unwrap_or(&urls[0]));
        let permission = |number: usize| entry(number, "sender", SENDER);
        json!({
            "routes": (0..self.addresses).map(route).collect::<Vec<_>>(),
            "permissions": (0..self.addresses).map(permission).collect::<Vec<_>>(),
        })
    }
}

impl Played {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Pieces>, Failure> {
        let arrived = Instant::now();
        if request.method() == Method::GET {
            return Ok(Response::new(self.statistics().into()));
        }
        let message = body::text(request.into_body()).await?;
        if let Some(patient) = first(&message, "registeredResidentIdentification") {
            let number = patient.get(4..).ok_or("the index is asked for another patient")?.parse()?;
            return Ok(server::xml(found(number, self.systems.len())));
        }
        self.calls.fetch_add(1, Ordering::Relaxed);
        let address = first(&message, "LogicalAddress").ok_or("a call has no logical address")?;
        let system = self.systems.iter().find(|system| system.address == address);
        let system = system.ok_or("a call goes to an address that is not played")?;
        if !system.delay.is_zero() {
            tokio::time::sleep(system.delay).await;
        }
        Ok(server::xml(system.answer.fill(arrived.elapsed())))
    }

    fn statistics(&self) -> String {
        let accepted: usize = self.ports.iter().map(|port| port.accepted()).sum();
        let most = self.ports.iter().map(|port| port.most()).max().unwrap_or_default();
        format!("calls={} connections={accepted} most_at_a_port={most}\n", self.calls.load(Ordering::Relaxed))
    }
}
