//! The floor: what the log alone costs.
//!
//! It reads the same commands and writes as many records of the same size over the same hops in the same transactions
//! as the flow did (the output of `sizes` says how many), through the same log. It decodes nothing, keeps no state and
//! decides nothing, so what it writes is nonsense.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use tributary_cases::topics;
use tributary_connectors::kafka::{KafkaConfiguration, KafkaLog, TopicPlan};
use tributary_runtime::{CommitLimits, Headers, Log, Output, Poll, Record, Topic, TopicPartition};

use crate::numbers::now_ms;
use crate::{Broker, Outcome};

/// Each hop: what it reads, and what it writes. The changelogs of queues have nothing per command.
static HOPS: [(&Topic, &[&Topic]); 4] = [
    (&topics::CREATE_COMMANDS, &[&topics::CREATE]),
    (&topics::CREATE, &[&topics::CASE]),
    (&topics::CASE, &[&topics::STATE, &topics::OUTCOME, &topics::CASE_CHANGELOG, &topics::CLIENT]),
    (&topics::CLIENT, &[&topics::QUEUE, &topics::CLIENT_CHANGELOG]),
];

static INBOXES: [&Topic; 4] = [HOPS[0].0, HOPS[1].0, HOPS[2].0, HOPS[3].0];

/// Runs until it is ended.
#[derive(Debug, Args)]
pub(crate) struct Floor {
    #[command(flatten)]
    broker: Broker,
    /// What `sizes` has printed.
    #[arg(long)]
    sizes: PathBuf,
    #[arg(long)]
    partitions: i32,
    #[arg(long, default_value_t = 100)]
    commit_ms: u64,
    /// Creates the topics, and ends.
    #[arg(long)]
    create_only: bool,
}

/// Records to write for each record that is read, and their size.
struct Share {
    topic: &'static Topic,
    each: f64,
    carried: f64,
    bytes: usize,
}

struct Pass {
    shares: HashMap<&'static str, Vec<Share>>,
    output: Output,
    offsets: Vec<(TopicPartition, i64)>,
    number: u64,
}

impl Pass {
    fn take(&mut self, record: &Record<'_>) {
        match self.offsets.iter_mut().find(|(partition, _)| *partition == record.origin) {
            Some(place) => place.1 = record.offset + 1,
            None => self.offsets.push((record.origin, record.offset + 1)),
        }
        for share in self.shares.get_mut(record.origin.topic).into_iter().flatten() {
            share.carried += share.each;
            while share.carried >= 1.0 {
                share.carried -= 1.0;
                self.number += 1;
                let key = format!("{:036}", self.number);
                let bytes = share.bytes.saturating_sub(key.len());
                self.output.send(share.topic, key.as_bytes(), |buffer| buffer.resize(buffer.len() + bytes, 7));
            }
        }
    }
}

impl Floor {
    pub(crate) fn run(&self) -> Outcome {
        let shares = shares(&std::fs::read_to_string(&self.sizes)?);
        let kafka = KafkaConfiguration::new(&self.broker.kafka, &self.broker.namespace, "floor");
        let mut all: Vec<&Topic> =
            HOPS.iter().flat_map(|(inbox, outputs)| outputs.iter().copied().chain([*inbox])).collect();
        all.sort_by_key(|topic| topic.name);
        all.dedup_by_key(|topic| topic.name);
        TopicPlan::compare(&kafka, &all, self.partitions, 1)?.apply()?;
        if self.create_only {
            return Ok(());
        }
        println!("START {}", now_ms());
        let mut log = KafkaLog::open(&kafka, "cases-floor", "0", &INBOXES)?;
        let output = Output::new(self.partitions);
        let mut pass = Pass { shares, output, offsets: Vec::new(), number: 0 };
        let (mut since, mut records) = (None, 0);
        loop {
            pass.output.inherit(now_ms() as i64, Headers::default());
            let wait = if since.is_some() { Duration::ZERO } else { Duration::from_millis(20) };
            let due = match &log.poll(wait, 2048, &mut |record| pass.take(record))? {
                Poll::Assigned(partitions) => {
                    log.resume(partitions)?;
                    false
                }
                Poll::Records(count) => {
                    records += count;
                    let limits = CommitLimits::default();
                    let elapsed = since.get_or_insert_with(Instant::now).elapsed();
                    let bytes = pass.output.byte_size();
                    elapsed.as_millis() as u64 >= self.commit_ms || records >= limits.records || bytes >= limits.bytes
                }
                _ => since.is_some(),
            };
            if due {
                // As a worker does: the records of the next transaction are made while this one is committed.
                log.await_commit()?;
                log.begin_commit(&mut pass.output, &pass.offsets)?;
                pass.offsets.clear();
                (since, records) = (None, 0);
            }
        }
    }
}

/// What each hop writes, from lines `topic=NAME records=COUNT bytes_each=BYTES`.
fn shares(sizes: &str) -> HashMap<&'static str, Vec<Share>> {
    let mut found: HashMap<&str, (f64, usize)> = HashMap::new();
    for line in sizes.lines() {
        let values: HashMap<&str, &str> = line.split(' ').filter_map(|pair| pair.split_once('=')).collect();
        let number = |name: &str| values.get(name).and_then(|value| value.parse().ok()).unwrap_or_default();
        if let Some(topic) = values.get("topic") {
            found.insert(topic, (number("records") as f64, number("bytes_each")));
        }
    }
    let of = |topic: &Topic| found.get(topic.name).copied().unwrap_or((0.0, 0));
    let share = |inbox: &Topic, topic: &'static Topic| {
        let (records, bytes) = of(topic);
        Share { topic, each: records / of(inbox).0.max(1.0), carried: 0.0, bytes }
    };
    let hop = |(inbox, outputs): &(&'static Topic, &'static [&'static Topic])| {
        (inbox.name, outputs.iter().map(|topic| share(inbox, topic)).collect())
    };
    HOPS.iter().map(hop).collect()
}
