//! The embedded log as a whole: what a restart finds, what a kill leaves, and which folders are refused.

mod conformance;
mod full_disk;
mod kill;
mod refusal;
mod restart;

use std::path::Path;
use std::time::Duration;

use tributary_runtime::{Cleanup, Headers, Log, Output, Partitions, Poll, Role, Topic, TopicPartition};

use super::{EmbeddedLog, Fsync, GroupInboxes};

const PARTITIONS: i32 = 2;
const GROUP: &str = "flow";

static INBOX: Topic = topic("test.inbox", Role::Inbox, Cleanup::Delete(Duration::from_mins(1)));
static NEXT: Topic = topic("test.next", Role::Inbox, Cleanup::Delete(Duration::from_mins(1)));
static CHANGELOG: Topic = topic("test.changelog", Role::Changelog, Cleanup::Compact);
static EVENTS: Topic = topic("test.events", Role::Output, Cleanup::Delete(Duration::from_mins(1)));
static TOPICS: [&Topic; 4] = [&INBOX, &NEXT, &CHANGELOG, &EVENTS];

const fn topic(name: &'static str, role: Role, cleanup: Cleanup) -> Topic {
    Topic { name, partitions: Partitions::Flow, cleanup, role, records: &[] }
}

fn at(topic: &'static Topic, partition: i32) -> TopicPartition {
    TopicPartition { topic: topic.name, partition }
}

fn open(path: &Path) -> EmbeddedLog {
    let readers =
        [GroupInboxes { group: GROUP, inboxes: &[&INBOX] }, GroupInboxes { group: "sink", inboxes: &[&NEXT] }];
    EmbeddedLog::open(path, Fsync::default(), &TOPICS, PARTITIONS, &readers).unwrap()
}

fn output() -> Output {
    let mut output = Output::new(PARTITIONS);
    output.inherit(1_000, Headers::default());
    output
}

/// Sends `value` under `key` to a partition, or a tombstone.
fn put(output: &mut Output, topic: &'static Topic, partition: i32, key: &str, value: Option<&str>) {
    match value {
        Some(value) => {
            output.send_to(topic, partition, key.as_bytes(), |bytes| bytes.extend_from_slice(value.as_bytes()));
        }
        None => output.tombstone_to(topic, partition, key.as_bytes()),
    }
}

/// Polls until partitions are assigned, and resumes them.
fn take_partitions(log: &mut impl Log) -> Vec<TopicPartition> {
    loop {
        if let Poll::Assigned(partitions) = log.poll(Duration::from_secs(5), 1, &mut |_| {}).unwrap() {
            log.resume(&partitions).unwrap();
            return partitions;
        }
    }
}

/// Keys of the records that can be read now.
fn read_keys(log: &mut impl Log) -> Vec<String> {
    let mut keys = Vec::new();
    while let Poll::Records(_) = log
        .poll(Duration::from_millis(1), 1000, &mut |record| keys.push(String::from_utf8(record.key.to_vec()).unwrap()))
        .unwrap()
    {}
    keys
}

fn restored(log: &mut impl Log, partition: i32, from: i64) -> (Vec<(String, Option<String>)>, i64) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut records = Vec::new();
    let end = log
        .restore(at(&CHANGELOG, partition), from, &mut |key, value| records.push((text(key), value.map(text))))
        .unwrap();
    (records, end)
}

/// The name of a test in the test runner, for a child process that runs only this one.
fn test_name(module: &str, test: &str) -> String {
    let path = module.split_once("::").map_or("", |(_, path)| path);
    format!("{path}::{test}")
}
