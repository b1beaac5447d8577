//! Tests of the log alone: transactions, isolation, order, fencing, lag.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::LogFactory;
use super::harness::{Harness, PATIENCE, as_text};
use super::word_count::{COUNTS, GROUP, INBOXES, LINES, PARTITIONS, TOPICS};
use crate::memory::OwnedRecord;
use crate::{Headers, Log, LogError, Output, Poll, Topic, TopicPartition, append_header};

/// Long enough for a record that should not appear to appear.
const QUIET: Duration = Duration::from_millis(300);

fn start(factory: &mut dyn LogFactory) {
    factory.reset();
    factory.create_topics(&TOPICS, PARTITIONS);
}

fn output(topic: &'static Topic, records: &[(&str, &str)]) -> Output {
    let mut output = Output::new(PARTITIONS);
    for (key, value) in records {
        output.send(topic, key.as_bytes(), |buffer| buffer.extend_from_slice(value.as_bytes()));
    }
    output
}

fn read_all(factory: &mut dyn LogFactory, topic: &'static Topic) -> Vec<OwnedRecord> {
    (0..PARTITIONS).flat_map(|partition| factory.read_committed(topic, partition)).collect()
}

fn values(records: &[OwnedRecord]) -> Vec<String> {
    let mut values: Vec<String> =
        records.iter().map(|record| as_text(record.value.as_deref().unwrap_or_default())).collect();
    values.sort();
    values
}

fn read_until(factory: &mut dyn LogFactory, topic: &'static Topic, count: usize) -> Vec<OwnedRecord> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let records = read_all(factory, topic);
        if records.len() >= count {
            return records;
        }
        assert!(Instant::now() < deadline, "only {} of {count} records are visible", records.len());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A record that was polled: its position and its value.
type Polled = (TopicPartition, i64, String);

/// Polls until `count` records arrived, and handles events as a worker does.
fn poll_records(log: &mut dyn Log, count: usize) -> Vec<Polled> {
    let mut polled = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while polled.len() < count {
        assert!(Instant::now() < deadline, "only {} of {count} records arrived", polled.len());
        poll_once(log, &mut polled);
    }
    polled
}

fn poll_once(log: &mut dyn Log, polled: &mut Vec<Polled>) {
    let poll = log.poll(Duration::from_millis(50), 100, &mut |record| {
        polled.push((record.origin, record.offset, as_text(record.value.unwrap_or_default())));
    });
    match poll {
        Ok(Poll::Assigned(partitions)) => log.resume(&partitions).expect("resume"),
        Ok(Poll::Revoked(partitions)) => log.release(&partitions).expect("release"),
        Ok(_) | Err(LogError::Unavailable(_)) => {}
        Err(error) => panic!("poll: {error}"),
    }
}

fn next_offsets(polled: &[Polled]) -> Vec<(TopicPartition, i64)> {
    let mut next = BTreeMap::new();
    for (partition, offset, _) in polled {
        next.insert(*partition, offset + 1);
    }
    next.into_iter().collect()
}

pub(super) fn a_reader_never_sees_uncommitted_records(factory: &mut dyn LogFactory) {
    start(factory);
    let mut log = factory.open(GROUP, "member", &INBOXES);
    log.send(&output(&COUNTS, &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")])).expect("send");
    std::thread::sleep(QUIET);
    assert!(read_all(factory, &COUNTS).is_empty());
    log.commit(&[]).expect("commit");
    assert_eq!(values(&read_until(factory, &COUNTS, 4)), ["1", "2", "3", "4"]);
}

pub(super) fn a_reader_never_sees_aborted_records(factory: &mut dyn LogFactory) {
    start(factory);
    let mut log = factory.open(GROUP, "member", &INBOXES);
    for round in 0..5 {
        let aborted: Vec<(String, String)> =
            (0..20).map(|number| (format!("key{number}"), format!("aborted{round}"))).collect();
        let aborted: Vec<(&str, &str)> = aborted.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        log.send(&output(&COUNTS, &aborted)).expect("send");
        log.abort().expect("abort");
        log.send(&output(&COUNTS, &[("key1", "kept"), ("key2", "kept"), ("key3", "kept")])).expect("send");
        log.commit(&[]).expect("commit");
    }
    let records = read_until(factory, &COUNTS, 15);
    assert_eq!(values(&records), ["kept"; 15]);
}

pub(super) fn an_abort_returns_to_the_committed_offsets(factory: &mut dyn LogFactory) {
    start(factory);
    let lines = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")];
    factory.producer("conformance-producer").publish(&output(&LINES, &lines)).expect("publish");
    let mut log = factory.open(GROUP, "member", &INBOXES);
    let mut first = poll_records(&mut *log, 4);
    log.send(&output(&COUNTS, &[("a", "dropped")])).expect("send");
    log.abort().expect("abort");
    let mut second = poll_records(&mut *log, 4);
    first.sort();
    second.sort();
    assert_eq!(first, second);
    log.send(&output(&COUNTS, &[("a", "kept")])).expect("send");
    log.commit(&next_offsets(&second)).expect("commit");
    log.abort().expect("an abort without transaction only returns to the committed offsets");
    let mut third = Vec::new();
    poll_once(&mut *log, &mut third);
    poll_once(&mut *log, &mut third);
    assert_eq!(third, []);
    assert_eq!(values(&read_until(factory, &COUNTS, 1)), ["kept"]);
}

pub(super) fn a_publish_reaches_all_its_partitions(factory: &mut dyn LogFactory) {
    start(factory);
    let mut producer = factory.producer("conformance-producer");
    let mut all = Output::new(PARTITIONS);
    all.broadcast(&LINES, b"tick", |buffer| buffer.push(b'1'));
    all.broadcast(&LINES, b"tick", |buffer| buffer.push(b'2'));
    producer.publish(&all).expect("publish");
    read_until(factory, &LINES, 2 * PARTITIONS as usize);
    for partition in 0..PARTITIONS {
        let records = factory.read_committed(&LINES, partition);
        assert_eq!(values(&records), ["1", "2"]);
    }
}

pub(super) fn records_keep_all_their_parts(factory: &mut dyn LogFactory) {
    start(factory);
    let mut headers = Vec::new();
    append_header(&mut headers, "correlation", b"file 1 line 2");
    append_header(&mut headers, "empty", b"");
    let mut sent = Output::new(PARTITIONS);
    sent.inherit(1_764_000_000_123, Headers::from_bytes(&headers));
    sent.send_to(&COUNTS, 1, &[0, 255, 7], |buffer| buffer.extend_from_slice(&[1, 0, 2]));
    sent.send_to(&COUNTS, 1, b"empty", |_| {});
    sent.inherit(1_764_000_000_124, Headers::default());
    sent.tombstone_to(&COUNTS, 1, b"gone");
    let mut log = factory.open(GROUP, "member", &INBOXES);
    log.send(&sent).expect("send");
    log.commit(&[]).expect("commit");
    read_until(factory, &COUNTS, 3);
    let records = factory.read_committed(&COUNTS, 1);
    assert_eq!((&records[0].key, &records[0].value), (&vec![0, 255, 7], &Some(vec![1, 0, 2])));
    assert_eq!((records[0].timestamp, &records[0].headers), (1_764_000_000_123, &headers));
    assert_eq!(records[1].value, Some(Vec::new()));
    assert_eq!((&records[2].value, records[2].timestamp), (&None, 1_764_000_000_124));
    assert_eq!(records[2].headers().iter().count(), 0);
}

pub(super) fn order_per_key_is_kept(factory: &mut dyn LogFactory) {
    start(factory);
    let mut producer = factory.producer("conformance-producer");
    let keys = ["a", "b", "c", "d", "e"];
    for batch in 0..20 {
        let records: Vec<(&str, String)> =
            (0..50).map(|number| (keys[number % 5], format!("{}", batch * 50 + number))).collect();
        let records: Vec<(&str, &str)> = records.iter().map(|(key, value)| (*key, value.as_str())).collect();
        producer.publish(&output(&LINES, &records)).expect("publish");
    }
    let mut log = factory.open(GROUP, "member", &INBOXES);
    let polled = poll_records(&mut *log, 1000);
    assert_eq!(polled.len(), 1000);
    let mut last: BTreeMap<(TopicPartition, usize), usize> = BTreeMap::new();
    for (partition, _, value) in &polled {
        let number: usize = value.parse().unwrap();
        if let Some(before) = last.insert((*partition, number % 5), number) {
            assert!(before < number, "{number} came after {before}");
        }
    }
    assert_eq!(last.len(), keys.len(), "each key in one partition");
}

pub(super) fn a_zombie_is_fenced(factory: &mut dyn LogFactory) {
    start(factory);
    let lines = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")];
    factory.producer("conformance-producer").publish(&output(&LINES, &lines)).expect("publish");
    let mut zombie = factory.open(GROUP, "member", &INBOXES);
    let polled = poll_records(&mut *zombie, 4);
    zombie.send(&output(&COUNTS, &[("a", "of the zombie")])).expect("send");
    let mut heir = factory.open(GROUP, "member", &INBOXES);
    let refused = zombie.commit(&next_offsets(&polled));
    assert!(refused.is_err(), "a fenced producer committed");
    // Its clean-up must not touch its successor of the same name.
    drop(zombie);
    let mut again = poll_records(&mut *heir, 4);
    again.sort();
    let mut polled = polled;
    polled.sort();
    assert_eq!(again, polled, "the successor receives what the zombie did not commit");
    heir.send(&output(&COUNTS, &[("a", "of the successor")])).expect("send");
    heir.commit(&next_offsets(&again)).expect("commit");
    assert_eq!(values(&read_until(factory, &COUNTS, 1)), ["of the successor"]);
}

pub(super) fn lag_is_zero_only_when_settled(factory: &mut dyn LogFactory) {
    let mut harness = Harness::new(factory);
    assert_eq!(harness.unread(), 0);
    harness.publish(&[("line1", Some("a b c")), ("line2", Some("d"))]);
    // A log may count its own control records as well.
    assert!(harness.unread() >= 2);
    let mut worker = harness.worker("member");
    harness.settle(&mut [&mut worker]);
    assert_eq!(read_until(harness.factory, &COUNTS, 4).len(), 4);
    harness.publish(&[("line1", Some("a"))]);
    assert!(harness.unread() >= 1);
}
