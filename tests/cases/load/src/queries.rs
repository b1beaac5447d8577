//! How long queries take.

use std::time::Instant;

use clap::Args;
use reqwest::Client;

use crate::Outcome;
use crate::numbers::Durations;

/// Asks for ranges of cases, and prints how long each answer takes.
#[derive(Debug, Args)]
pub(crate) struct Queries {
    /// The service.
    #[arg(long)]
    server: String,
    /// The token of a client.
    #[arg(long, env = "TRIBUTARY_TOKEN")]
    token: String,
    /// Paths with their queries. Each is asked in turn.
    #[arg(required = true)]
    paths: Vec<String>,
    /// How often each is asked.
    #[arg(long, default_value_t = 200)]
    times: usize,
}

impl Queries {
    pub(crate) fn run(&self) -> Outcome {
        tokio::runtime::Runtime::new()?.block_on(self.measure())
    }

    async fn measure(&self) -> Outcome {
        let http = Client::builder().no_proxy().build()?;
        let (mut durations, mut rows) = (Durations::default(), 0);
        for path in (0..self.times).flat_map(|_| &self.paths) {
            let sent = Instant::now();
            let answer = http.get(format!("{}{path}", self.server)).bearer_auth(&self.token).send().await?;
            let body = answer.error_for_status()?.bytes().await?;
            durations.add(sent.elapsed());
            rows = serde_json::from_slice::<serde_json::Value>(&body)?.as_array().map_or(0, Vec::len);
        }
        println!("rows={rows} {}", durations.pairs(""));
        Ok(())
    }
}
