//! The floor: what the calls of jobs cost without anything that makes them jobs.
//!
//! It makes the same calls with the same HTTP client as the program, and looks at the end of an answer alone. There are
//! no rows, no records, no limits and no audit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url, redirect};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{Failure, Outcome, messages};

/// Makes calls, so many at once.
#[derive(Debug, Args)]
pub(crate) struct Floor {
    /// The register.
    #[arg(long)]
    url: Url,
    /// Calls in flight.
    #[arg(long, default_value_t = 16)]
    in_flight: usize,
    /// For how long.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Seconds at the start that do not count.
    #[arg(long, default_value_t = 3)]
    warm_up: u64,
}

impl Floor {
    pub(crate) async fn run(&self) -> Outcome {
        let from = Instant::now() + Duration::from_secs(self.warm_up);
        let until = from + Duration::from_secs(self.seconds);
        let (client, next, mut workers) = (client()?, Arc::<AtomicUsize>::default(), JoinSet::new());
        let user = Uuid::new_v4();
        for _ in 0..self.in_flight {
            let (client, url, next) = (client.clone(), self.url.clone(), Arc::clone(&next));
            workers.spawn(async move {
                let mut count: usize = 0;
                while Instant::now() < until {
                    let number = messages::number(next.fetch_add(1, Ordering::Relaxed));
                    call(&client, &url, messages::call(&number, user, Uuid::new_v4())).await?;
                    let ended = Instant::now();
                    count += usize::from(ended >= from && ended < until);
                }
                Ok::<_, Failure>(count)
            });
        }
        let mut calls = 0;
        while let Some(worker) = workers.join_next().await {
            calls += worker??;
        }
        println!("calls={calls} per_s={:.1}", calls as f64 / self.seconds as f64);
        Ok(())
    }
}

/// The client of the program for services, without the certificates that plain HTTP does not need.
fn client() -> Result<Client, Failure> {
    let builder = Client::builder().no_proxy().redirect(redirect::Policy::none()).referer(false).http1_only();
    Ok(builder.pool_idle_timeout(Duration::from_secs(15)).tls_certs_only([]).build()?)
}

async fn call(client: &Client, url: &Url, message: String) -> Outcome {
    let request = client.post(url.clone()).header(CONTENT_TYPE, messages::CONTENT_TYPE).body(message);
    let answer = request.send().await?.error_for_status()?.bytes().await?;
    if answer.ends_with(messages::END.as_bytes()) { Ok(()) } else { Err("an answer is cut off".into()) }
}
