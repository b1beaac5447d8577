//! Exactly once over kills: a child process counts records and is killed at random moments until it has counted all.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Instant;

use tributary_runtime::{Lag, Producer};

use super::*;

const FOLDER_VARIABLE: &str = "TRIBUTARY_TEST_KILL_FOLDER";
const RECORDS: u64 = 60_000;
const KEYS: u64 = 97;
const RECORDS_PER_COMMIT: usize = 10;
const KILLS: u32 = 12;

/// The same test is both processes: the parent, which kills, and, if a variable is set, the child, which counts.
#[test]
fn every_record_counts_once_however_often_the_process_is_killed() {
    if let Ok(folder) = std::env::var(FOLDER_VARIABLE) {
        return count_all(&open(Path::new(&folder)));
    }
    let folder = tempfile::tempdir().unwrap();
    fill(&open(folder.path()));
    let mut jitter = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
    let mut kills = 0;
    loop {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                &test_name(module_path!(), "every_record_counts_once_however_often_the_process_is_killed"),
            ])
            .env(FOLDER_VARIABLE, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        jitter = jitter.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if kills == KILLS {
            assert!(child.wait().unwrap().success());
            break;
        }
        let started = Instant::now();
        let life = Duration::from_millis(10 + u64::from(jitter >> 16) % 90);
        while started.elapsed() < life && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "the child failed after {kills} kills");
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills >= 3, "the child was too fast to be killed often: {kills}");
    check(&open(folder.path()));
}

fn fill(log: &EmbeddedLog) {
    let mut producer = log.producer("files");
    for chunk in 0..RECORDS / 1000 {
        let mut input = output();
        for number in chunk * 1000..(chunk + 1) * 1000 {
            let key = number % KEYS;
            put(&mut input, &INBOX, (key % 2) as i32, &key.to_string(), Some(&number.to_string()));
        }
        producer.publish(&input).unwrap();
    }
}

/// Restores the counts, then counts the unread records and forwards each count.
fn count_all(log: &EmbeddedLog) {
    let mut worker = log.worker(GROUP, "worker-0", &[&INBOX]).unwrap();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for partition in take_partitions(&mut worker) {
        for (key, value) in restored(&mut worker, partition.partition, 0).0 {
            counts.insert(key, value.unwrap().parse().unwrap());
        }
    }
    let lag = log.lag(vec![(GROUP.to_owned(), &INBOX)]);
    while lag.lag().unwrap() > 0 {
        let mut changes = output();
        let mut offsets = BTreeMap::new();
        let poll = worker.poll(Duration::from_millis(100), RECORDS_PER_COMMIT, &mut |record| {
            let key = std::str::from_utf8(record.key).unwrap();
            let count = counts.entry(key.to_owned()).or_default();
            *count += 1;
            put(&mut changes, &CHANGELOG, record.origin.partition, key, Some(&count.to_string()));
            put(&mut changes, &NEXT, record.origin.partition, &format!("{key}:{count}"), Some("1"));
            offsets.insert(record.origin, record.offset + 1);
        });
        assert!(matches!(poll.unwrap(), Poll::Records(_)));
        worker.send(&changes).unwrap();
        worker.commit(&offsets.into_iter().collect::<Vec<_>>()).unwrap();
    }
}

fn check(log: &EmbeddedLog) {
    let mut worker = log.worker(GROUP, "worker-0", &[&INBOX]).unwrap();
    take_partitions(&mut worker);
    assert_eq!(read_keys(&mut worker), Vec::<String>::new());
    let mut counts = BTreeMap::new();
    for partition in 0..PARTITIONS {
        counts.extend(restored(&mut worker, partition, 0).0);
    }
    let expected = |key: u64| (0..RECORDS).filter(|number| number % KEYS == key).count().to_string();
    let all = (0..KEYS).map(|key| (key.to_string(), Some(expected(key)))).collect::<BTreeMap<_, _>>();
    assert_eq!(counts, all);
    let mut sink = log.worker("sink", "sink-0", &[&NEXT]).unwrap();
    take_partitions(&mut sink);
    let mut passed = read_keys(&mut sink);
    assert_eq!(passed.len() as u64, RECORDS);
    passed.sort_unstable();
    passed.dedup();
    assert_eq!(passed.len() as u64, RECORDS, "a count was forwarded twice");
}
