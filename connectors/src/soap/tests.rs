//! The client against services on sockets of the test, good and hostile ones.

mod answers;
mod connections;
mod failures;
mod gzip;
mod mutual_tls;
mod servers;
mod tls;

use std::time::Duration;

use bytes::Bytes;

use super::*;

/// Longer than any call takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Shorter than what a service drips.
const IMPATIENCE: Duration = Duration::from_millis(300);

/// How many bytes of an answer are taken.
const LIMIT: usize = 100_000;

/// A place for everything, which knows how much was wanted.
#[derive(Default)]
struct Counted {
    most: usize,
    times: usize,
}

impl Space for Counted {
    async fn grow_to(&mut self, bytes: usize) {
        self.most = self.most.max(bytes);
        self.times += 1;
    }
}

/// No place at all.
struct Full;

impl Space for Full {
    async fn grow_to(&mut self, _: usize) {
        std::future::pending::<()>().await;
    }
}

fn settings() -> SoapClientSettings {
    let tls = SoapTls::default();
    SoapClientSettings { connect_timeout: PATIENCE, tls, largest_header: 16 * 1024 }
}

fn client() -> SoapClient {
    SoapClient::new(&settings()).unwrap()
}

fn request(url: &str) -> SoapRequest<'_> {
    SoapRequest { url, headers: &[], body: vec![Bytes::from_static(b"<secret/>")], limit: LIMIT }
}

async fn call_with<S: Space>(client: &SoapClient, url: &str, space: &mut S) -> Result<SoapAnswer, SoapCallError> {
    tokio::time::timeout(PATIENCE, client.call(request(url), space)).await.unwrap()
}

async fn call(url: &str) -> Result<SoapAnswer, SoapCallError> {
    call_with(&client(), url, &mut Counted::default()).await
}
