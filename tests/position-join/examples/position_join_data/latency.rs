//! Sends changes at a steady rate, and measures from when each was due until its row is visible to a reader of what is
//! committed. A change that is sent late counts as late: it carries the time at which it was due.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use rdkafka::Message;
use rdkafka::consumer::BaseConsumer;
use rdkafka::producer::Producer as _;
use tributary_position_join::sample::{Input, Sample};
use tributary_position_join::topics::APP_RECORDS;
use tributary_runtime::partition_for_key;

use crate::cluster::{Cluster, epoch_millis};
use crate::inputs::Content;
use crate::{Failure, row};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What the inputs were first filled with, without changes.
    #[command(flatten)]
    content: Content,
    /// Input records per second.
    #[arg(long, default_value_t = 2_000)]
    rate: u32,
    /// For how long.
    #[arg(long, default_value_t = 50)]
    seconds: u32,
    /// Changes that were due in the first seconds are not counted.
    #[arg(long, default_value_t = 10)]
    skip_seconds: u32,
}

/// How long after the last change the reader waits for more.
const REST: Duration = Duration::from_secs(3);

pub(crate) fn measure(cluster: &Cluster, options: &Options) -> Result<(), Failure> {
    let mut sample = options.content.sample(0.0, 0);
    sample.load(&mut |_| {});
    let consumer = cluster.follow(&APP_RECORDS)?;
    let since = epoch_millis() + i64::from(options.skip_seconds) * 1000;
    let fed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let feeder = scope.spawn(|| {
            let sent = feed(cluster, options, &mut sample);
            fed.store(true, Ordering::Relaxed);
            sent
        });
        let seen = read(cluster, &consumer, since, &fed);
        let sent = feeder.join().map_err(|_| "the feeder panicked")??;
        println!("records_in={sent} {}", seen.figures());
        Ok(())
    })
}

/// Sends for the given time; gives the number of records.
fn feed(cluster: &Cluster, options: &Options, sample: &mut Sample) -> Result<u64, Failure> {
    let producer = cluster.producer(1)?;
    let (started, started_at) = (Instant::now(), epoch_millis());
    let all = u64::from(options.rate) * u64::from(options.seconds);
    let (mut sent, mut failed) = (0_u64, None);
    while sent < all {
        let due = Duration::from_secs_f64(sent as f64 / f64::from(options.rate));
        std::thread::sleep(due.saturating_sub(started.elapsed()));
        sample.set_clock(started_at + due.as_millis() as i64);
        sample.step(&mut |input: Input<'_>| {
            sent += 1;
            failed = failed.take().or_else(|| cluster.send(&producer, &input).err());
        });
        failed.take().map_or(Ok(()), Err)?;
    }
    producer.flush(Duration::from_mins(1))?;
    Ok(sent)
}

/// How long changes took, and how long nothing came from a partition of DPNs.
#[derive(Default)]
struct Seen {
    milliseconds: Vec<u32>,
    /// The longest wait of the changes that were due in each second since the first.
    longest_by_second: BTreeMap<i64, u32>,
    last: HashMap<i32, Instant>,
    longest_gap: Duration,
}

impl Seen {
    fn note_arrival(&mut self, partition: i32) {
        let now = Instant::now();
        let before = self.last.insert(partition, now).unwrap_or(now);
        self.longest_gap = self.longest_gap.max(now - before);
    }

    fn note_wait(&mut self, second: i64, milliseconds: u32) {
        self.milliseconds.push(milliseconds);
        let longest = self.longest_by_second.entry(second).or_default();
        *longest = milliseconds.max(*longest);
    }

    /// The three seconds with the longest waits, as `second:milliseconds`.
    fn slowest(&self) -> String {
        let mut by_wait: Vec<_> = self.longest_by_second.iter().collect();
        by_wait.sort_by_key(|(_, milliseconds)| std::cmp::Reverse(**milliseconds));
        by_wait.truncate(3);
        by_wait.iter().map(|(second, milliseconds)| format!("{second}:{milliseconds}")).collect::<Vec<_>>().join(",")
    }

    fn figures(mut self) -> String {
        self.milliseconds.sort_unstable();
        let count = self.milliseconds.len();
        let part = |share: f64| self.milliseconds.get((count as f64 * share) as usize).copied().unwrap_or_default();
        format!(
            "samples={count} p50_ms={} p90_ms={} p99_ms={} p999_ms={} max_ms={} gap_ms={} slowest={}",
            part(0.5),
            part(0.9),
            part(0.99),
            part(0.999),
            self.milliseconds.last().copied().unwrap_or_default(),
            self.longest_gap.as_millis(),
            self.slowest()
        )
    }
}

/// Reads until no more comes. A change of a row is counted once: a row is written again when a neighbour changes.
fn read(cluster: &Cluster, consumer: &BaseConsumer, since: i64, fed: &AtomicBool) -> Seen {
    let mut counted: HashMap<Vec<u8>, i64> = HashMap::new();
    let (mut seen, mut last) = (Seen::default(), Instant::now());
    while !(fed.load(Ordering::Relaxed) && last.elapsed() > REST) {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let (Some(key), Some(value)) = (message.key(), message.payload()) else { continue };
        last = Instant::now();
        let changed = row::newest_change(value);
        if changed < since || counted.get(key).is_some_and(|before| *before >= changed) {
            continue;
        }
        counted.insert(key.to_vec(), changed);
        seen.note_wait((changed - since) / 1000, (epoch_millis() - changed).max(0) as u32);
        seen.note_arrival(partition_for_key(row::dpn(value), cluster.partitions));
    }
    seen
}
