//! Jobs that are waited for: how many end in a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use hyper::Uri;
use tokio::task::JoinSet;

use crate::durations::Durations;
use crate::messages::number;
use crate::panel::Panel;
use crate::{Failure, Outcome};

/// Starts jobs, each of another number, and waits for the end of each. A job that does not end well ends the command
/// with an error.
#[derive(Debug, Args)]
pub(crate) struct Jobs {
    /// The URL of GraphQL.
    #[arg(long)]
    url: Uri,
    /// Jobs at once, as the panel sees it. To keep all calls busy they must be more than calls in flight.
    #[arg(long, default_value_t = 64)]
    at_once: usize,
    /// For how long.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// So many jobs, however long it takes.
    #[arg(long, conflicts_with = "seconds")]
    lookups: Option<usize>,
    /// Seconds at the start that do not count.
    #[arg(long, default_value_t = 3)]
    warm_up: u64,
    /// The first number.
    #[arg(long, default_value_t = 0)]
    from: usize,
}

/// Makes rows, and says how long it took.
#[derive(Debug, Args)]
pub(crate) struct Fill {
    /// The URL of GraphQL.
    #[arg(long)]
    url: Uri,
    /// How many.
    #[arg(long, default_value_t = 100_000)]
    rows: usize,
    /// Jobs at once.
    #[arg(long, default_value_t = 256)]
    at_once: usize,
}

/// When jobs are started, and which of them count.
#[derive(Clone, Copy, Debug)]
struct Plan {
    first: usize,
    /// After the last number.
    end: usize,
    counts_from: Instant,
    until: Option<Instant>,
}

impl Plan {
    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    fn counts(&self, ended: Instant) -> bool {
        ended >= self.counts_from && self.until.is_none_or(|until| ended < until)
    }
}

impl Jobs {
    pub(crate) async fn run(&self) -> Outcome {
        let warm_up = if self.lookups.is_some() { 0 } else { self.warm_up };
        let counts_from = Instant::now() + Duration::from_secs(warm_up);
        let until = self.lookups.is_none().then(|| counts_from + Duration::from_secs(self.seconds));
        let end = self.lookups.map_or(usize::MAX, |count| self.from + count);
        let plan = Plan { first: self.from, end, counts_from, until };
        let ended = run(&Panel::new(&self.url), self.at_once, plan).await?;
        let seconds = if until.is_some() { self.seconds as f64 } else { counts_from.elapsed().as_secs_f64() };
        println!("jobs={} per_s={:.1} {}", ended.count(), ended.count() as f64 / seconds, ended.pairs(""));
        Ok(())
    }
}

impl Fill {
    pub(crate) async fn run(&self) -> Outcome {
        let plan = Plan { first: 0, end: self.rows, counts_from: Instant::now(), until: None };
        let ended = run(&Panel::new(&self.url), self.at_once, plan).await?;
        let seconds = plan.counts_from.elapsed().as_secs_f64();
        println!("rows={} seconds={seconds:.1} per_s={:.0}", ended.count(), ended.count() as f64 / seconds);
        Ok(())
    }
}

/// Gives how long each job that counts has taken, from the mutation to the answer.
async fn run(panel: &Panel, at_once: usize, plan: Plan) -> Result<Durations, Failure> {
    let (next, mut workers) = (Arc::new(AtomicUsize::new(plan.first)), JoinSet::new());
    for _ in 0..at_once {
        let (panel, next) = (panel.clone(), Arc::clone(&next));
        workers.spawn(async move {
            let mut durations = Durations::default();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= plan.end || plan.is_over() {
                    return Ok::<_, Failure>(durations);
                }
                let asked = Instant::now();
                panel.complete(&number(index)).await?;
                let ended = Instant::now();
                if plan.counts(ended) {
                    durations.add(ended - asked);
                }
            }
        });
    }
    let mut all = Durations::default();
    while let Some(worker) = workers.join_next().await {
        all.join(worker??);
    }
    Ok(all)
}
