//! Any bytes as a snapshot file of a task's state: the worker uses it or reads the changelog instead, and continues.
//!
//! Half of the inputs get a heading and a checksum that fit, so that what is behind them is reached.
#![no_main]

mod memory_folder;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tributary_runtime::conformance::word_count::{self, GROUP, INBOXES, PARTITIONS, TOPICS};
use tributary_runtime::memory::{Broker, BrokerConfig};
use tributary_runtime::{Metrics, SnapshotConfig, Step, Worker, WorkerConfig};

use memory_folder::FOLDER;

const IDENTITY: &str = "fuzz";

/// A file whose heading and checksum are right.
fn sound_file(entries: &[u8]) -> Vec<u8> {
    let owner = format!("{IDENTITY}\n{GROUP}\ncount\n0");
    let now = jiff::Timestamp::now().as_millisecond().unsigned_abs();
    let mut bytes = b"TRIBSNAP".to_vec();
    bytes.extend_from_slice(&1_u16.to_le_bytes());
    bytes.extend_from_slice(&(owner.len() as u32).to_le_bytes());
    bytes.extend_from_slice(owner.as_bytes());
    bytes.extend_from_slice(&now.to_le_bytes());
    bytes.extend_from_slice(&0_i64.to_le_bytes());
    bytes.extend_from_slice(entries);
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&way, content)) = bytes.split_first() else { return };
    let file = if way % 2 == 0 { sound_file(content) } else { content.to_vec() };
    let config = SnapshotConfig::new(FOLDER.path().to_owned(), IDENTITY);
    fs::write(FOLDER.path().join(format!("{GROUP}.count-0.snapshot")), file).expect("a file");

    let broker = Broker::new(BrokerConfig::like_kafka());
    broker.create_topics(&TOPICS, PARTITIONS);
    let topology = word_count::topology(&Arc::default());
    let metrics = Arc::new(Metrics::new(&topology));
    let log = Box::new(broker.open(GROUP, "fuzz", &INBOXES).expect("a log"));
    let config = WorkerConfig { snapshots: Some(config), poll_timeout: Duration::ZERO, ..WorkerConfig::default() };
    let mut worker = Worker::new(topology, config, log, metrics);
    while worker.step().expect("a bad snapshot is no reason to stop") != Step::Idle {}
    let mut tasks = 0;
    worker.inspect(&mut |_, _, _| tasks += 1).expect("the worker lives");
    assert_eq!(tasks, 2 * PARTITIONS, "every task is restored");
});
