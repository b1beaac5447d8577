//! What following a topic outside any group has to do, on every log that offers it.

use std::time::{Duration, Instant};

use super::LogFactory;
use super::harness::{PATIENCE, as_text};
use super::word_count::{COUNT_CHANGELOG, GROUP, INBOXES, PARTITIONS, TOPICS};
use crate::{Headers, Log, LogError, OffsetRange, Output, TopicFollower, TopicPartition};

/// The topic that is followed; it keeps the newest record of each key, as the topics of views do.
const FOLLOWED: TopicPartition = TopicPartition { topic: COUNT_CHANGELOG.name, partition: 1 };

/// A record: its offset, its time, its key and its value.
type Followed = (i64, i64, String, Option<String>);

fn output(time: i64, records: &[(&str, Option<&str>)]) -> Output {
    let mut output = Output::new(PARTITIONS);
    output.inherit(time, Headers::default());
    for (key, value) in records {
        match value {
            Some(value) => output.send_to(&COUNT_CHANGELOG, FOLLOWED.partition, key.as_bytes(), |buffer| {
                buffer.extend_from_slice(value.as_bytes());
            }),
            None => output.tombstone_to(&COUNT_CHANGELOG, FOLLOWED.partition, key.as_bytes()),
        }
    }
    output
}

fn commit(log: &mut dyn Log, time: i64, records: &[(&str, Option<&str>)]) {
    log.send(&output(time, records)).expect("send");
    log.commit(&[]).expect("commit");
}

fn read(follower: &dyn TopicFollower, from: i64) -> (Vec<Followed>, i64) {
    let mut records = Vec::new();
    let read = follower.read_from(FOLLOWED, from, &mut |record| {
        let value = record.value.map(as_text);
        records.push((record.offset, record.timestamp, as_text(record.key), value));
        Ok(())
    });
    (records, read.expect("read"))
}

/// Reads until `count` records are there: a commit may become visible a little after its outcome is known.
fn read_until(follower: &dyn TopicFollower, from: i64, count: usize) -> (Vec<Followed>, i64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (records, next) = read(follower, from);
        if records.len() >= count {
            return (records, next);
        }
        assert!(Instant::now() < deadline, "only {} of {count} records are visible", records.len());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn without_offsets(records: &[Followed]) -> Vec<(i64, &str, Option<&str>)> {
    records.iter().map(|(_, time, key, value)| (*time, key.as_str(), value.as_deref())).collect()
}

/// Committed records are read once each from the positions that the caller keeps; those of open and aborted
/// transactions are not.
pub fn a_follower_reads_what_is_committed_once<F: LogFactory>(
    factory: &mut F,
    follow: impl FnOnce(&F) -> Box<dyn TopicFollower>,
) {
    factory.reset();
    factory.create_topics(&TOPICS, PARTITIONS);
    let follower = follow(factory);
    assert_eq!(follower.ends(&COUNT_CHANGELOG, PARTITIONS), Ok(vec![0; 3]));
    assert_eq!(read(&*follower, 0), (Vec::new(), 0));

    let mut log = factory.open(GROUP, "member", &INBOXES);
    commit(&mut *log, 7, &[("a", Some("1")), ("b", Some("2"))]);
    let (first, next) = read_until(&*follower, 0, 2);
    assert_eq!(without_offsets(&first), [(7, "a", Some("1")), (7, "b", Some("2"))]);
    assert_eq!(read(&*follower, next), (Vec::new(), next));
    assert_eq!(read(&*follower, 1).0, first[1..]);

    log.send(&output(8, &[("a", Some("aborted"))])).expect("send");
    assert_eq!(read(&*follower, next).0, []);
    log.abort().expect("abort");
    commit(&mut *log, 9, &[("b", None)]);
    let (second, after) = read_until(&*follower, next, 1);
    assert_eq!(without_offsets(&second), [(9, "b", None)]);
    // The marker of a commit may follow the read.
    let ends = follower.ends(&COUNT_CHANGELOG, PARTITIONS).expect("ends");
    assert!(ends[1] >= after && ends[0] == 0 && ends[2] == 0, "{ends:?} after a read up to {after}");

    let beyond = follower.read_from(FOLLOWED, after + 100, &mut |_| Ok(()));
    assert!(matches!(beyond, Err(LogError::OffsetOutOfRange(_))), "{beyond:?}");
    let stopped = follower.read_from(FOLLOWED, 0, &mut |_| Err(LogError::unavailable("enough")));
    assert_eq!(stopped, Err(LogError::unavailable("enough")));
    assert_eq!(read(&*follower, 0).0.len(), 3, "what ended early is read again");
}

/// Ranges of several partitions are read together, each up to its end and no further.
pub fn a_follower_reads_ranges_up_to_their_ends<F: LogFactory>(
    factory: &mut F,
    follow: impl FnOnce(&F) -> Box<dyn TopicFollower>,
) {
    factory.reset();
    factory.create_topics(&TOPICS, PARTITIONS);
    let follower = follow(factory);
    let mut log = factory.open(GROUP, "member", &INBOXES);
    let mut commit = |records: &[(i32, &str)]| {
        let mut output = Output::new(PARTITIONS);
        for (partition, key) in records {
            output.send_to(&COUNT_CHANGELOG, *partition, key.as_bytes(), |buffer| buffer.push(b'1'));
        }
        log.send(&output).expect("send");
        log.commit(&[]).expect("commit");
    };
    let read = |ranges: &[OffsetRange]| {
        let mut keys = vec![Vec::new(); 3];
        let read = follower.read_ranges(ranges, &mut |record| {
            keys[record.origin.partition as usize].push(as_text(record.key));
            Ok(())
        });
        read.map(|()| keys)
    };
    let ends_with = |least: &[i64]| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ends = follower.ends(&COUNT_CHANGELOG, PARTITIONS).expect("ends");
            if ends.iter().zip(least).all(|(end, least)| end >= least) {
                return ends;
            }
            assert!(Instant::now() < deadline, "{ends:?} instead of {least:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let range = |partition: i32, from, end| {
        let partition = TopicPartition { topic: COUNT_CHANGELOG.name, partition };
        OffsetRange { partition, from, end }
    };
    let ranges = |from: &[i64], ends: &[i64]| -> Vec<OffsetRange> {
        (0..).zip(from.iter().zip(ends)).map(|(partition, (from, end))| range(partition, *from, *end)).collect()
    };
    assert_eq!(read(&[]), Ok(vec![Vec::<String>::new(); 3]));

    commit(&[(0, "a"), (1, "b"), (1, "c"), (2, "d")]);
    let first = ends_with(&[1, 2, 1]);
    commit(&[(0, "e"), (2, "f")]);
    let second = ends_with(&[first[0] + 1, first[1], first[2] + 1]);
    let texts = |keys: [&[&str]; 3]| keys.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect()).to_vec();
    assert_eq!(read(&ranges(&[0; 3], &first)), Ok(texts([&["a"], &["b", "c"], &["d"]])));
    assert_eq!(read(&ranges(&[0; 3], &second)), Ok(texts([&["a", "e"], &["b", "c"], &["d", "f"]])));
    assert_eq!(read(&ranges(&first, &second)), Ok(texts([&["e"], &[], &["f"]])));
    assert_eq!(read(&[range(1, 1, first[1])]), Ok(texts([&[], &["c"], &[]])));

    let beyond = read(&[range(0, 0, second[0]), range(1, second[1] + 100, second[1])]);
    assert!(matches!(beyond, Err(LogError::OffsetOutOfRange(_))), "{beyond:?}");
    let stopped = follower.read_ranges(&ranges(&[0; 3], &second), &mut |_| Err(LogError::unavailable("enough")));
    assert_eq!(stopped, Err(LogError::unavailable("enough")));
    assert_eq!(read(&ranges(&first, &second)), Ok(texts([&["e"], &[], &["f"]])), "what ended early leaves nothing");
}
