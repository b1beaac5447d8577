//! The floor of the position join: what the log alone costs.
//!
//! It reads the same inputs and the same inbox, and writes as many records of the same size to the same topics in the
//! same transactions as the join did with the same data (its counts are arguments), through the same log. It decodes
//! nothing, keeps no state and joins nothing, so what it writes is nonsense.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use tributary_connectors::kafka::{KafkaConfiguration, KafkaLog, TopicPlan};
use tributary_position_join::flow::INBOXES;
use tributary_position_join::topics::{APP_RECORDS, DEANERY, INTERNAL, PAIR_CHANGELOG, ROUTE_PLACEMENTS_CHANGELOG};
use tributary_runtime::{CommitLimits, Log, Output, Poll, Record, Topic, TopicPartition};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
struct Arguments {
    /// Brokers to start from.
    #[arg(long, env = "TRIBUTARY_KAFKA", default_value = "127.0.0.1:9092")]
    kafka: String,
    /// Put in front of all names.
    #[arg(long)]
    namespace: String,
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    #[arg(long, default_value_t = 100)]
    commit_ms: u64,
    /// Records of the inbox for each thousand inputs; rows, and state changes, for each thousand records of the inbox.
    #[arg(long, value_delimiter = ',', default_value = "1061,1075,950")]
    per_thousand: Vec<u64>,
}

/// Selects this number per thousand, evenly.
struct Share {
    per_thousand: u64,
    carried: u64,
}

impl Share {
    fn next(&mut self) -> u64 {
        self.carried += self.per_thousand;
        let whole = self.carried / 1000;
        self.carried %= 1000;
        whole
    }
}

struct Floor {
    inbox: Share,
    rows: Share,
    changes: Share,
    output: Output,
    offsets: Vec<(TopicPartition, i64)>,
    number: u64,
}

impl Floor {
    fn take(&mut self, record: &Record<'_>) {
        match self.offsets.iter_mut().find(|(partition, _)| *partition == record.origin) {
            Some(place) => place.1 = record.offset + 1,
            None => self.offsets.push((record.origin, record.offset + 1)),
        }
        if record.origin.topic == DEANERY.name {
            let key = record.key.first_chunk::<16>().copied().unwrap_or_default();
            for _ in 0..self.rows.next() {
                self.write(&APP_RECORDS, &key, 250);
            }
            for _ in 0..self.changes.next() {
                self.write(&PAIR_CHANGELOG, &[key.as_slice(), &key].concat(), 165);
            }
        } else {
            let mut key = [b' '; 24];
            key[..8].copy_from_slice(&self.number.to_be_bytes());
            let length = record.value.map_or(0, <[u8]>::len) + 14;
            for _ in 0..self.inbox.next() {
                self.write(&DEANERY, &key, length);
            }
            if self.number % 20 < 9 {
                self.write(&ROUTE_PLACEMENTS_CHANGELOG, &key[..6], 27);
            }
        }
        self.number += 1;
    }

    fn write(&mut self, topic: &'static Topic, key: &[u8], length: usize) {
        self.output.send(topic, key, |buffer| buffer.resize(buffer.len() + length, 7));
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let stop = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&stop))?;
    println!("START {}", SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis());
    let kafka = KafkaConfiguration::new(&arguments.kafka, &arguments.namespace, "floor");
    TopicPlan::compare(&kafka, &INTERNAL, arguments.partitions, 1)?.apply()?;
    let mut log = KafkaLog::open(&kafka, "position-join-floor", "0", &INBOXES)?;
    let share = |at: usize| Share { per_thousand: arguments.per_thousand.get(at).copied().unwrap_or(1000), carried: 0 };
    let mut floor = Floor {
        inbox: share(0),
        rows: share(1),
        changes: share(2),
        output: Output::new(arguments.partitions),
        offsets: Vec::new(),
        number: 0,
    };
    let (mut since, mut records) = (None, 0);
    while !stop.load(Ordering::Relaxed) {
        floor.output.inherit(
            SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64,
            tributary_runtime::Headers::default(),
        );
        let wait = if since.is_some() { Duration::ZERO } else { Duration::from_millis(20) };
        let poll = log.poll(wait, 2048, &mut |record| floor.take(record))?;
        let due = match &poll {
            Poll::Assigned(partitions) => {
                log.resume(partitions)?;
                false
            }
            Poll::Records(count) => {
                records += count;
                since.get_or_insert_with(Instant::now).elapsed() >= Duration::from_millis(arguments.commit_ms)
                    || records >= CommitLimits::default().records
            }
            _ => since.is_some(),
        };
        if due {
            // As a worker does: the records of the next transaction are made while this one is committed.
            log.await_commit()?;
            log.begin_commit(&mut floor.output, &floor.offsets)?;
            floor.offsets.clear();
            (since, records) = (None, 0);
        }
    }
    Ok(())
}
