//! Requests at a rate, whether the last is answered or not.

use std::collections::HashMap;
use std::future::Future;
use std::time::{Duration, Instant};

use clap::Args;
use hyper::Uri;
use tokio::task::JoinSet;

use crate::durations::{Durations, now_us};
use crate::messages::number;
use crate::panel::Panel;
use crate::{Failure, Outcome};

/// How long calls may come after the last answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// When requests are sent.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Pace {
    /// Requests a second.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// For how long.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Seconds at the start that do not count.
    #[arg(long, default_value_t = 3)]
    warm_up: u32,
}

/// Starts jobs at a rate, each of another number. The register must not know any of them.
#[derive(Debug, Args)]
pub(crate) struct Rate {
    /// The URL of GraphQL.
    #[arg(long)]
    url: Uri,
    /// Where the register lists when calls have come.
    #[arg(long)]
    arrivals: Uri,
    #[command(flatten)]
    pace: Pace,
    /// The first number.
    #[arg(long, default_value_t = 0)]
    from: usize,
}

/// Asks for rows at a rate, for another one each time.
#[derive(Debug, Args)]
pub(crate) struct Query {
    /// The URL of GraphQL.
    #[arg(long)]
    url: Uri,
    /// Rows that are there.
    #[arg(long)]
    rows: usize,
    #[command(flatten)]
    pace: Pace,
}

/// A request that was answered.
struct Answered {
    index: usize,
    took: Duration,
    /// Microseconds since 1970.
    at: u64,
}

impl Pace {
    /// Sends requests. Gives those that count.
    async fn keep<S, F>(&self, send: S) -> Result<Vec<Answered>, Failure>
    where
        S: Fn(usize) -> F,
        F: Future<Output = Outcome> + Send + 'static,
    {
        let mut tick = tokio::time::interval(Duration::from_secs(1) / self.rate);
        let (first, end) = (self.rate * self.warm_up, self.rate * (self.warm_up + self.seconds));
        let mut sending = JoinSet::new();
        for index in 0..end as usize {
            tick.tick().await;
            let (asked, request) = (Instant::now(), send(index));
            sending.spawn(async move {
                request.await?;
                Ok::<_, Failure>(Answered { index, took: asked.elapsed(), at: now_us() })
            });
        }
        let mut answered = Vec::new();
        while let Some(ended) = sending.join_next().await {
            answered.push(ended??);
        }
        answered.retain(|one| one.index >= first as usize);
        Ok(answered)
    }
}

fn times(answered: &[Answered]) -> Durations {
    let mut durations = Durations::default();
    for one in answered {
        durations.add(one.took);
    }
    durations
}

impl Rate {
    pub(crate) async fn run(&self) -> Outcome {
        let panel = Panel::new(&self.url);
        let send = |index: usize| {
            let (panel, number) = (panel.clone(), number(self.from + index));
            async move { panel.start(&number).await }
        };
        let answered = self.pace.keep(send).await?;
        let (to_call, missing) = self.to_call(&panel, &answered).await?;
        let (count, rate) = (answered.len(), self.pace.rate);
        let answers = times(&answered).pairs("answer_");
        println!("mutations={count} rate={rate} {answers} {} missing={missing}", to_call.pairs("to_call_"));
        Ok(())
    }

    /// The times from the answers to the calls, and how many calls did not come. One that comes before the answer took
    /// no time.
    async fn to_call(&self, panel: &Panel, answered: &[Answered]) -> Result<(Durations, usize), Failure> {
        let begun = Instant::now();
        loop {
            let text = panel.get(&self.arrivals).await?;
            let arrived = text.lines().filter_map(|line| {
                let (number, at) = line.split_once(' ')?;
                Some((number, at.parse::<u64>().ok()?))
            });
            let arrivals: HashMap<&str, u64> = arrived.collect();
            let mut durations = Durations::default();
            for one in answered {
                if let Some(at) = arrivals.get(number(self.from + one.index).as_str()) {
                    durations.add(Duration::from_micros(at.saturating_sub(one.at)));
                }
            }
            let missing = answered.len() - durations.count();
            if missing == 0 || begun.elapsed() >= PATIENCE {
                return Ok((durations, missing));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Query {
    pub(crate) async fn run(&self) -> Outcome {
        let panel = Panel::new(&self.url);
        let send = |index: usize| {
            // A prime, so that neighbours in time are not neighbours in the state.
            let (panel, number) = (panel.clone(), number(index * 7919 % self.rows));
            async move { panel.find(&number).await }
        };
        let answered = self.pace.keep(send).await?;
        println!("queries={} rate={} {}", answered.len(), self.pace.rate, times(&answered).pairs(""));
        Ok(())
    }
}
