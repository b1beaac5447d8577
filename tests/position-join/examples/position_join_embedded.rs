//! The position join on the embedded log, beside its floor: the store's batch writes of as many bytes in as many
//! transactions, and nothing else.
//!
//! All inputs are in the log before the clock starts. The run counts only if its output is the batch join of its
//! inputs.

#[path = "position_join_data/processor.rs"]
mod processor;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use tributary_connectors::embedded::{EmbeddedLog, Fsync, GroupInboxes};
use tributary_position_join::flow::{FLOW, INBOXES, topology};
use tributary_position_join::layout::{PAIR_KEY_LENGTH, ROW_LENGTH};
use tributary_position_join::oracle::{Difference, Inputs, Rows};
use tributary_position_join::sample::{Input, Sample, Size};
use tributary_position_join::topics::{APP_RECORDS, INTERNAL, OPEN};
use tributary_runtime::{Lag, Metrics, Output, Producer, Topic, WorkerConfig, WorkerPool};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

#[derive(Debug, Parser)]
struct Arguments {
    #[arg(long, default_value_t = 100_000)]
    positions: u32,
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// How often, in turn.
    #[arg(long, default_value_t = 3)]
    runs: u32,
}

/// Records that a transaction of the loader carries.
const LOADED_AT_ONCE: usize = 20_000;

/// Bytes that a record takes beside key and value in a batch, about.
const RECORD_OVERHEAD: u64 = 12;

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    for _ in 0..arguments.runs {
        let folder = tempfile::tempdir()?;
        let (figures, metrics) = join(&arguments, &folder.path().join("join"))?;
        println!("join   {figures}");
        println!("floor  {}", floor(&arguments, &metrics, &folder.path().join("floor"))?);
    }
    Ok(())
}

/// Loads the inputs, joins them, and compares.
fn join(arguments: &Arguments, folder: &Path) -> Result<(String, Arc<Metrics>), Failure> {
    let topics: Vec<&'static Topic> = OPEN.iter().chain(&INTERNAL).copied().collect();
    let readers = [GroupInboxes { group: FLOW, inboxes: &INBOXES }];
    let log = Arc::new(EmbeddedLog::open(folder, Fsync::default(), &topics, arguments.partitions, &readers)?);
    let (records, expected) = load(arguments, &log)?;

    let (started, used) = (Instant::now(), processor::seconds_of(std::process::id()));
    let workers = Arc::clone(&log);
    let open = move |slot: usize| -> Result<Box<dyn tributary_runtime::Log>, _> {
        Ok(Box::new(workers.worker(FLOW, &format!("worker-{slot}"), &INBOXES)?))
    };
    let topology = Arc::new(topology(arguments.partitions));
    let pool = WorkerPool::start(topology, WorkerConfig::default(), arguments.workers, open)?;
    let lag = log.lag(INBOXES.iter().map(|inbox| (FLOW.to_owned(), *inbox)).collect());
    while lag.lag()? > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    log.sync()?;
    let (wall, used) = (started.elapsed().as_secs_f64(), processor::seconds_of(std::process::id()) - used);
    let metrics = pool.metrics();
    pool.stop()?;

    let difference = Difference::between(&rows(&log, arguments.partitions)?, &expected);
    let output = if difference.is_none() { "ok" } else { "MISMATCH" };
    let rate = records as f64 / wall;
    let transactions = metrics.workers().commits;
    let figures = format!(
        "{records} inputs, {wall:.2} s, {rate:.0} inputs/s, processor {used:.2} s, {transactions} transactions, \
         output {output}"
    );
    if difference.is_none() { Ok((figures, metrics)) } else { Err(figures.into()) }
}

/// Publishes the sample; gives the number of its records and the rows that must come of them.
fn load(arguments: &Arguments, log: &EmbeddedLog) -> Result<(usize, Rows), Failure> {
    let (mut inputs, mut records, mut failed) = (Inputs::default(), 0, None);
    let (mut producer, mut output) = (log.producer("inputs"), Output::new(arguments.partitions));
    let mut sink = |input: Input<'_>| {
        records += 1;
        match input.topic.name {
            "positions" => inputs.position(input.key, input.value),
            "posts" => inputs.post(input.key, input.value),
            _ => inputs.placement(input.key, input.value),
        }
        input.send(&mut output);
        if output.len() >= LOADED_AT_ONCE {
            failed = failed.take().or_else(|| producer.publish(&output).err());
            output.clear();
        }
    };
    let mut sample = Sample::new(42, Size { positions: arguments.positions, ..Size::default() });
    sample.load(&mut sink);
    sample.change(&mut sink);
    failed.map_or(Ok(()), Err)?;
    producer.publish(&output)?;
    Ok((records, inputs.join()))
}

fn rows(log: &EmbeddedLog, partitions: i32) -> Result<Rows, Failure> {
    let mut rows = Rows::new();
    for partition in 0..partitions {
        for record in log.read_committed(&APP_RECORDS, partition)? {
            let key = record.key.as_slice().try_into()?;
            match record.value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
    }
    Ok(rows)
}

/// As many transactions as the join, each with one batch for each partition of the three kinds of topics it writes.
fn floor(arguments: &Arguments, metrics: &Metrics, folder: &Path) -> Result<String, Failure> {
    let (transactions, batches) = (metrics.workers().commits.max(1), 3 * arguments.partitions as u64);
    let bytes = bytes_written(metrics);
    let database = fjall::Database::builder(folder).open()?;
    let space = database.keyspace("batches", fjall::KeyspaceCreateOptions::default)?;
    let value = vec![7_u8; (bytes / transactions / batches) as usize];
    let (started, used) = (Instant::now(), processor::seconds_of(std::process::id()));
    for transaction in 0..transactions {
        let mut batch = database.batch();
        for number in 0..batches {
            batch.insert(&space, [number.to_be_bytes(), transaction.to_be_bytes()].concat(), &*value);
        }
        batch.commit()?;
    }
    database.persist(fjall::PersistMode::SyncData)?;
    let (wall, used) = (started.elapsed().as_secs_f64(), processor::seconds_of(std::process::id()) - used);
    Ok(format!("{:.0} MB, {wall:.2} s, processor {used:.2} s", bytes as f64 / 1e6))
}

/// What the join wrote: messages of the first hop, rows, and changes of state, of which each record of the last stage
/// makes about one.
fn bytes_written(metrics: &Metrics) -> u64 {
    let (mut bytes, mut routed) = (0, 0);
    for stage in metrics.stages() {
        if stage.name == "pair" {
            let rows = stage.records_out.saturating_sub(stage.records_in.saturating_sub(routed));
            bytes += rows * ((PAIR_KEY_LENGTH + ROW_LENGTH) as u64 + RECORD_OVERHEAD);
            bytes += stage.records_in * (33 + 165 + RECORD_OVERHEAD);
        } else {
            routed += stage.records_out;
            bytes += stage.records_out * (24 + 150 + RECORD_OVERHEAD);
        }
    }
    bytes
}
