//! What a restart finds after a clean end, before and after a compaction.

use tributary_runtime::{Lag, LogError, Producer};

use super::*;

#[test]
fn unread_records_offsets_and_state_are_found_again() {
    let folder = tempfile::tempdir().unwrap();
    {
        let log = open(folder.path());
        let mut input = output();
        for key in ["a", "b", "c"] {
            put(&mut input, &INBOX, 1, key, Some("1"));
        }
        log.producer("files").publish(&input).unwrap();
        let mut worker = log.worker(GROUP, "worker-0", &[&INBOX]).unwrap();
        take_partitions(&mut worker);
        assert_eq!(read_keys(&mut worker), ["a", "b", "c"]);
        let mut changes = output();
        put(&mut changes, &CHANGELOG, 1, "a", Some("state"));
        put(&mut changes, &NEXT, 0, "out", Some("x"));
        worker.send(&changes).unwrap();
        worker.commit(&[(at(&INBOX, 1), 2)]).unwrap();
        let mut lost = output();
        put(&mut lost, &NEXT, 0, "uncommitted", Some("x"));
        worker.send(&lost).unwrap();
    }
    let log = open(folder.path());
    let lag = log.lag(vec![(GROUP.to_owned(), &INBOX), ("sink".to_owned(), &NEXT)]);
    assert_eq!(lag.lag().unwrap(), 2);
    let mut worker = log.worker(GROUP, "worker-0", &[&INBOX]).unwrap();
    take_partitions(&mut worker);
    assert_eq!(read_keys(&mut worker), ["c"]);
    assert_eq!(restored(&mut worker, 1, 0), (vec![("a".to_owned(), Some("state".to_owned()))], 1));
    let mut sink = log.worker("sink", "sink-0", &[&NEXT]).unwrap();
    take_partitions(&mut sink);
    assert_eq!(read_keys(&mut sink), ["out"]);
}

#[test]
fn inbox_records_are_gone_once_their_group_has_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    for round in 0..3 {
        let mut input = output();
        put(&mut input, &INBOX, 0, "key", Some("1"));
        put(&mut input, &INBOX, 0, "key", Some("2"));
        log.producer("files").publish(&input).unwrap();
        assert_eq!(stored_batches(&log, &INBOX), round + 1);
    }
    let mut worker = log.worker(GROUP, "worker-0", &[&INBOX]).unwrap();
    take_partitions(&mut worker);
    worker.commit(&[(at(&INBOX, 0), 5)]).unwrap();
    assert_eq!(stored_batches(&log, &INBOX), 1, "the third batch is half read");
    worker.commit(&[(at(&INBOX, 0), 6)]).unwrap();
    assert_eq!(stored_batches(&log, &INBOX), 0);
}

#[test]
fn a_compaction_keeps_the_newest_record_of_each_key_and_the_deletions_since() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let mut producer = log.producer("state");
    let mut write = |key: &str, value: Option<&str>| {
        let mut changes = output();
        put(&mut changes, &CHANGELOG, 0, key, value);
        producer.publish(&changes).unwrap();
    };
    write("a", Some("1"));
    write("b", Some("1"));
    write("a", Some("2"));
    write("b", None);
    compact(&log, &CHANGELOG, PARTITIONS);
    write("c", Some("1"));
    drop(log);
    let log = open(folder.path());
    let mut worker = log.worker(GROUP, "worker-0", &[&INBOX]).unwrap();
    let owned = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
    let all = [owned("a", Some("2")), owned("b", None), owned("c", Some("1"))];
    assert_eq!(restored(&mut worker, 0, 0), (all.to_vec(), 5));
    assert_eq!(restored(&mut worker, 0, 3), (all[1..].to_vec(), 5));
    assert_eq!(restored(&mut worker, 0, 5), (vec![], 5));

    compact(&log, &CHANGELOG, PARTITIONS);
    assert_eq!(
        restored(&mut worker, 0, 0),
        (vec![all[0].clone(), all[2].clone()], 5),
        "the second compaction removes the deletion"
    );
    for from in [1, 3, 6] {
        let answer = worker.restore(at(&CHANGELOG, 0), from, &mut |_, _| {});
        assert!(matches!(answer, Err(LogError::OffsetOutOfRange(_))), "{from}: {answer:?}");
    }
    assert_eq!(restored(&mut worker, 0, 4), (vec![all[2].clone()], 5));
}

#[test]
fn a_large_compaction_is_split_into_batches_and_reads_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let value = "v".repeat(500);
    for round in 0..20 {
        let mut changes = output();
        for number in 0..1000 {
            put(&mut changes, &CHANGELOG, 1, &format!("{:04}", (number * 7 + round) % 1500), Some(&value));
        }
        log.producer("state").publish(&changes).unwrap();
    }
    let mut worker = log.worker(GROUP, "worker-0", &[&INBOX]).unwrap();
    let newest =
        |records: Vec<(String, Option<String>)>| records.into_iter().collect::<std::collections::BTreeMap<_, _>>();
    let before = restored(&mut worker, 1, 0);
    compact(&log, &CHANGELOG, PARTITIONS);
    let after = restored(&mut worker, 1, 0);
    assert_eq!(after.0.len(), 1500);
    assert_eq!((newest(before.0), before.1), (newest(after.0), after.1));
    assert!((2..10).contains(&stored_batches(&log, &CHANGELOG)), "{}", stored_batches(&log, &CHANGELOG));
}

#[test]
fn outputs_are_kept_for_their_retention_by_the_time_of_the_records() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    for timestamp in [0, 50_000, 61_000] {
        let mut events = Output::new(PARTITIONS);
        events.inherit(timestamp, Headers::default());
        put(&mut events, &EVENTS, 0, "key", Some("1"));
        log.producer("stage").publish(&events).unwrap();
    }
    drop(log);
    assert_eq!(stored_batches(&open(folder.path()), &EVENTS), 2);
}

#[test]
fn a_record_with_a_time_far_ahead_deletes_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let now = crate::embedded::upkeep::now_millis();
    for timestamp in [now, 4_070_908_800_000] {
        let mut events = Output::new(PARTITIONS);
        events.inherit(timestamp, Headers::default());
        put(&mut events, &EVENTS, 0, "key", Some("1"));
        log.producer("stage").publish(&events).unwrap();
    }
    drop(log);
    assert_eq!(stored_batches(&open(folder.path()), &EVENTS), 2);
}

fn stored_batches(log: &EmbeddedLog, topic: &'static Topic) -> usize {
    let stored = log.upkeep.stored();
    let entry = stored.topics.iter().find(|stored| stored.topic == topic).unwrap();
    let mut count = 0;
    for partition in 0..PARTITIONS {
        stored
            .each_batch(entry.id, partition, 0, &mut |_, _| {
                count += 1;
                Ok(())
            })
            .unwrap();
    }
    count
}

pub(super) fn compact(log: &EmbeddedLog, topic: &'static Topic, partitions: i32) {
    let stored = log.upkeep.stored();
    let number = stored.topics.iter().position(|stored| stored.topic == topic).unwrap();
    for partition in 0..partitions {
        stored.compact(number, stored.topics[number].id, partition).unwrap();
    }
}
