//! Questions of consumers, at a rate or as many as possible, each answer of which is checked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use hyper::Uri;
use tokio::task::JoinSet;

use crate::body;
use crate::caller::Caller;
use crate::messages::{address, patient, question};
use crate::numbers::Durations;
use crate::scan::Scan;
use crate::{Failure, Outcome};

/// Asks questions. An answer that is wrong or not complete ends the command with an error.
#[derive(Clone, Debug, Args)]
pub(crate) struct Ask {
    /// The service, or the floor.
    #[arg(long)]
    url: Uri,
    /// Questions at once.
    #[arg(long, default_value_t = 32, conflicts_with = "rate")]
    at_once: usize,
    /// Questions a second, whether the last is answered or not.
    #[arg(long)]
    rate: Option<u32>,
    /// For how long.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// So many questions, however long it takes.
    #[arg(long, conflicts_with_all = ["rate", "seconds"])]
    questions: Option<usize>,
    /// Seconds at the start that do not count.
    #[arg(long, default_value_t = 3)]
    warm_up: u64,
    /// Source systems, each of which has a record in the answer.
    #[arg(long, default_value_t = 10)]
    addresses: usize,
    /// Rows of each.
    #[arg(long)]
    rows: usize,
    /// The answers have no records: those of the floor.
    #[arg(long)]
    without_records: bool,
    /// Calls may fail, and questions be refused: then they are counted, and the others must be right.
    #[arg(long)]
    may_fail: bool,
    /// Patients, asked for in turn.
    #[arg(long, default_value_t = 100)]
    patients: usize,
}

/// What came of the questions.
#[derive(Debug, Default)]
struct Counted {
    latency: Durations,
    /// What was added to the slowest source system.
    added: Durations,
    refused: usize,
    incomplete: usize,
    bytes: usize,
}

/// A question and its answer.
struct Answered {
    took: Duration,
    seen: Scan,
    bytes: usize,
}

impl Ask {
    pub(crate) async fn run(&self) -> Outcome {
        let begun = Instant::now();
        let counts_from = begun + Duration::from_secs(if self.questions.is_some() { 0 } else { self.warm_up });
        let until = counts_from + Duration::from_secs(self.seconds);
        let caller = Caller::new();
        let counted = match self.rate {
            Some(rate) => self.at_rate(&caller, rate, counts_from, until).await?,
            None => self.at_once(&caller, counts_from, until).await?,
        };
        let seconds = counts_from.elapsed().as_secs_f64();
        let count = counted.latency.count();
        println!(
            "questions={count} per_s={:.0} {} {} refused={} incomplete={} mean_bytes={}",
            count as f64 / seconds,
            counted.latency.pairs(""),
            counted.added.pairs("added_"),
            counted.refused,
            counted.incomplete,
            counted.bytes / count.max(1),
        );
        Ok(())
    }

    async fn at_rate(&self, caller: &Caller, rate: u32, from: Instant, until: Instant) -> Result<Counted, Failure> {
        let mut tick = tokio::time::interval(Duration::from_secs(1) / rate);
        let (mut asking, mut counted) = (JoinSet::new(), Counted::default());
        let mut number = 0;
        while Instant::now() < until {
            tick.tick().await;
            number += 1;
            let (ask, caller, asked) = (self.clone(), caller.clone(), Instant::now());
            asking.spawn(async move { ask.one(&caller, number, asked).await.map(|answered| (asked, answered)) });
            while let Some(ended) = asking.try_join_next() {
                let (asked, answered) = ended??;
                self.count(&mut counted, asked >= from, answered);
            }
        }
        while let Some(ended) = asking.join_next().await {
            let (asked, answered) = ended??;
            self.count(&mut counted, asked >= from, answered);
        }
        Ok(counted)
    }

    async fn at_once(&self, caller: &Caller, from: Instant, until: Instant) -> Result<Counted, Failure> {
        let number = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        for _ in 0..self.at_once {
            let (ask, caller, number) = (self.clone(), caller.clone(), Arc::clone(&number));
            workers.spawn(async move {
                let mut counted = Counted::default();
                loop {
                    let (asked, number) = (Instant::now(), number.fetch_add(1, Ordering::Relaxed));
                    if ask.questions.map_or(asked >= until, |most| number >= most) {
                        return Ok::<_, Failure>(counted);
                    }
                    let answered = ask.one(&caller, number, asked).await?;
                    let counts = asked >= from && (ask.questions.is_some() || Instant::now() < until);
                    ask.count(&mut counted, counts, answered);
                }
            });
        }
        let mut all = Counted::default();
        while let Some(worker) = workers.join_next().await {
            all.join(worker??);
        }
        Ok(all)
    }

    async fn one(&self, caller: &Caller, number: usize, asked: Instant) -> Result<Answered, Failure> {
        let message = question(&address(0), &patient(number % self.patients));
        let response = caller.send(&self.url, &format!("bench-{number}"), message).await?;
        let (status, mut seen, mut bytes) = (response.status().as_u16(), Scan::default(), 0);
        let read = body::read(response.into_body(), |piece| {
            bytes += piece.len();
            seen.take(&piece);
        });
        read.await?;
        seen.end();
        let took = asked.elapsed();
        if seen.is_fault || status != 200 {
            return if self.may_fail { Ok(Answered { took, seen, bytes }) } else { Err(wrong(status, &seen)) };
        }
        let records = if self.without_records { 0 } else { self.addresses };
        let good = if self.without_records { self.addresses } else { seen.good };
        let is_complete = good == self.addresses || self.may_fail;
        if seen.records != records || seen.rows != good * self.rows || !is_complete {
            return Err(wrong(status, &seen));
        }
        Ok(Answered { took, seen, bytes })
    }

    fn count(&self, counted: &mut Counted, counts: bool, answered: Answered) {
        if !counts {
            return;
        }
        let Answered { took, seen, bytes } = answered;
        counted.latency.add(took);
        counted.added.add(took.saturating_sub(seen.slowest));
        counted.bytes += bytes;
        if seen.is_fault {
            counted.refused += 1;
        } else if !self.without_records && seen.good < self.addresses {
            counted.incomplete += 1;
        }
    }
}

impl Counted {
    fn join(&mut self, other: Self) {
        self.latency.join(other.latency);
        self.added.join(other.added);
        self.refused += other.refused;
        self.incomplete += other.incomplete;
        self.bytes += other.bytes;
    }
}

fn wrong(status: u16, seen: &Scan) -> Failure {
    let Scan { rows, records, good, is_fault, .. } = seen;
    format!("a wrong answer: status {status}, fault {is_fault}, {rows} rows, {records} records, {good} of them good")
        .into()
}
