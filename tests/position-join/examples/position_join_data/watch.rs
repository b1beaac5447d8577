//! Waits until the output rests, and says how long that took and what the process used.

use std::time::{Duration, Instant};

use clap::Args;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tributary_position_join::topics::APP_RECORDS;

use crate::cluster::{Cluster, epoch_millis};
use crate::{Failure, processor};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The process to measure.
    #[arg(long)]
    pid: u32,
    /// The broker, if it runs here: the seconds of the processors that it took in all are printed.
    #[arg(long)]
    broker_pid: Option<u32>,
    /// When it began to work, in epoch milliseconds.
    #[arg(long)]
    since: i64,
    /// For how long the output must rest, in milliseconds.
    #[arg(long, default_value_t = 5_000)]
    quiet_ms: u64,
    /// For how long at most it may take until the output first grows, in seconds.
    #[arg(long, default_value_t = 120)]
    first_s: u64,
    /// Output that exists already counts too.
    #[arg(long)]
    from_start: bool,
}

/// What was used when the output last grew.
#[derive(Default)]
struct Used {
    at: i64,
    process: f64,
    broker: f64,
    machine: f64,
}

impl Used {
    fn now(options: &Options) -> Self {
        Self {
            at: epoch_millis(),
            process: processor::seconds_of(options.pid),
            broker: options.broker_pid.map_or(0.0, processor::seconds_of),
            machine: machine_seconds(),
        }
    }
}

pub(crate) fn measure(cluster: &Cluster, options: &Options) -> Result<(), Failure> {
    let reader = if options.from_start { None } else { Some(cluster.follow(&APP_RECORDS)?) };
    let first_at = reader.map_or(Ok(options.since), |reader| first_row(&reader, options))?;
    let used = until_it_rests(cluster, options)?;
    let seconds = |at: i64| at.saturating_sub(options.since).max(0) as f64 / 1000.0;
    println!(
        "wall_s={:.2} first_s={:.2} cpu_s={:.2} peak_mb={} broker_total_s={:.2} machine_total_s={:.2}",
        seconds(used.at),
        seconds(first_at),
        used.process,
        peak_memory(options.pid),
        used.broker,
        used.machine
    );
    Ok(())
}

/// When a row that was not visible before becomes visible. What a transaction left behind that was aborted does not
/// count.
fn first_row(reader: &BaseConsumer, options: &Options) -> Result<i64, Failure> {
    let deadline = Instant::now() + Duration::from_secs(options.first_s);
    while Instant::now() < deadline && is_running(options.pid)? {
        if let Some(Ok(_)) = reader.poll(Duration::from_millis(100)) {
            return Ok(epoch_millis());
        }
    }
    Err("no output came".into())
}

fn until_it_rests(cluster: &Cluster, options: &Options) -> Result<Used, Failure> {
    let (consumer, name) = (cluster.reader()?, cluster.kafka.name(APP_RECORDS.name));
    let (mut end, mut last, mut used) = (0, Instant::now(), Used::default());
    while last.elapsed() < Duration::from_millis(options.quiet_ms) && is_running(options.pid)? {
        let mut sum = 0;
        for partition in 0..cluster.partitions {
            // With `read_committed` the upper end is the last stable offset.
            sum += consumer.fetch_watermarks(&name, partition, Duration::from_secs(10))?.1;
        }
        if sum > end {
            (end, last, used) = (sum, Instant::now(), Used::now(options));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(used)
}

fn is_running(pid: u32) -> Result<bool, Failure> {
    Ok(std::fs::exists(format!("/proc/{pid}"))?)
}

/// What all processes and the kernel took of all processors since the start of the machine.
fn machine_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<u64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    [0, 1, 2, 5, 6].iter().filter_map(|at| fields.get(*at)).sum::<u64>() as f64 / 100.0
}

/// Peak resident memory of a process in megabytes.
fn peak_memory(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak =
        text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<u64>().ok());
    peak.unwrap_or_default() / 1024
}
