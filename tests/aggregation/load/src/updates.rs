//! Updates of the index, and questions to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use hyper::Uri;
use tokio::task::JoinSet;

use crate::body;
use crate::caller::Caller;
use crate::engagements::Known;
use crate::messages::{find_content, patient, update};
use crate::numbers::Durations;
use crate::scan::Scan;
use crate::{Failure, Outcome};

/// Updates the index: each engagement is a new one.
#[derive(Clone, Debug, Args)]
pub(crate) struct Update {
    /// The service for updates.
    #[arg(long)]
    url: Uri,
    #[command(flatten)]
    known: Known,
    /// Engagements of an update.
    #[arg(long, default_value_t = 1)]
    each: usize,
    /// The first engagement.
    #[arg(long, default_value_t = 0)]
    from: usize,
    /// Updates.
    #[arg(long)]
    updates: usize,
    /// Updates at once.
    #[arg(long, default_value_t = 40)]
    at_once: usize,
}

impl Update {
    pub(crate) async fn run(&self) -> Outcome {
        let (begun, number) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
        let (caller, mut workers) = (Caller::new(), JoinSet::new());
        for _ in 0..self.at_once {
            let (updates, caller, number) = (self.clone(), caller.clone(), Arc::clone(&number));
            workers.spawn(async move {
                let mut durations = Durations::default();
                loop {
                    let number = number.fetch_add(1, Ordering::Relaxed);
                    if number >= updates.updates {
                        return Ok::<_, Failure>(durations);
                    }
                    let first = updates.from + number * updates.each;
                    let message = update((first..first + updates.each).map(|number| updates.known.engaged(number)));
                    let asked = Instant::now();
                    let seen = send(&caller, &updates.url, message).await?;
                    durations.add(asked.elapsed());
                    if !seen.is_ok {
                        return Err("an update was not accepted".into());
                    }
                }
            });
        }
        let mut durations = Durations::default();
        while let Some(worker) = workers.join_next().await {
            durations.join(worker??);
        }
        let seconds = begun.elapsed().as_secs_f64();
        println!("updates={} per_s={:.0} {}", self.updates, self.updates as f64 / seconds, durations.pairs(""));
        Ok(())
    }
}

/// Asks the index for all engagements of a patient, of another one each time.
#[derive(Clone, Debug, Args)]
pub(crate) struct Find {
    /// The service for questions.
    #[arg(long)]
    url: Uri,
    #[command(flatten)]
    known: Known,
    /// Patients in the index.
    #[arg(long)]
    patients: usize,
    /// Questions a second.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// How many.
    #[arg(long, default_value_t = 2000)]
    questions: usize,
    /// Questions at the start that do not count.
    #[arg(long, default_value_t = 200)]
    warm_up: usize,
}

impl Find {
    pub(crate) async fn run(&self) -> Outcome {
        let mut tick = tokio::time::interval(Duration::from_secs(1) / self.rate);
        let (caller, mut asking) = (Caller::new(), JoinSet::new());
        for number in 0..self.warm_up + self.questions {
            tick.tick().await;
            // A prime, so that neighbours in time are not neighbours in the index.
            let message = find_content(&patient(number * 7919 % self.patients));
            let (find, caller, asked) = (self.clone(), caller.clone(), Instant::now());
            asking.spawn(async move {
                let seen = send(&caller, &find.url, message).await?;
                let (hits, took) = (seen.engagements, asked.elapsed());
                let is_right = hits == find.known.of_patient();
                if is_right { Ok((number, took)) } else { Err(Failure::from(format!("{hits} engagements were found"))) }
            });
        }
        let mut durations = Durations::default();
        while let Some(ended) = asking.join_next().await {
            let (number, took) = ended??;
            if number >= self.warm_up {
                durations.add(took);
            }
        }
        println!("questions={} rate={} {}", durations.count(), self.rate, durations.pairs(""));
        Ok(())
    }
}

async fn send(caller: &Caller, url: &Uri, message: String) -> Result<Scan, Failure> {
    let response = caller.send(url, "bench", message).await?;
    let (status, mut seen) = (response.status().as_u16(), Scan::default());
    body::read(response.into_body(), |piece| seen.take(&piece)).await?;
    seen.end();
    if status == 200 && !seen.is_fault {
        Ok(seen)
    } else {
        Err(format!("the index answered with status {status}").into())
    }
}
