//! Tests of workers over the log: crashes, restores, rebalances, snapshots, retries and dead letters.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::LogFactory;
use super::harness::{Harness, PATIENCE, failure, step, try_step};
use super::word_count::{COUNT_CHANGELOG, DEAD_LETTERS, GROUP, Outcome};
use crate::{CommitLimits, SnapshotConfig, Step, Worker, WorkerError, dead_letter_header};

/// A worker that commits only when it must.
fn hoarding(harness: &mut Harness<'_>) {
    harness.config.limits = CommitLimits { time: Duration::from_hours(1), records: 1 << 20, bytes: 1 << 30 };
    harness.config.linger = Duration::from_millis(50);
}

/// Steps until the worker has processed something that is not committed.
fn step_until_processed(worker: &mut Worker) {
    let deadline = Instant::now() + PATIENCE;
    while !matches!(step(worker), Step::Processed(_)) {
        assert!(Instant::now() < deadline, "the worker received nothing to process");
    }
}

pub(super) fn a_crash_after_every_step_changes_nothing(factory: &mut dyn LogFactory) {
    let mut harness = Harness::new(factory);
    // Few records at a time, so that lives of different lengths end at different points.
    harness.config.poll_records = 3;
    harness.config.poll_timeout = Duration::from_millis(5);
    harness.config.limits = CommitLimits { time: Duration::from_hours(1), records: 8, bytes: 1 << 30 };
    harness.publish_many(60);
    for life in 1..=14 {
        let mut worker = harness.worker("member");
        for _ in 0..life {
            if let Err(error) = try_step(&mut worker) {
                assert!(error.can_restart(), "worker failed: {error}");
                break;
            }
        }
        harness.publish_many(3);
        harness.kill("member", worker);
        harness.factory.power_cut();
    }
    let mut worker = harness.worker("member");
    harness.settle(&mut [&mut worker]);
    harness.check(&mut [&mut worker]);
}

pub(super) fn state_is_restored_exactly(factory: &mut dyn LogFactory) {
    let mut harness = Harness::new(factory);
    harness.publish_many(50);
    harness.publish(&[("line3", None), ("line4", None), ("lineA", Some("x y z"))]);
    let mut worker = harness.worker("member");
    harness.settle(&mut [&mut worker]);
    harness.publish(&[("line4", Some("back again")), ("lineB", None)]);
    harness.settle(&mut [&mut worker]);
    let before = harness.outcome(&mut [&mut worker]);
    worker.close().expect("close");
    drop(worker);
    let mut worker = harness.worker("member");
    harness.settle(&mut [&mut worker]);
    wait_for_tasks(&mut harness, &mut worker, &before);
    assert_eq!(harness.outcome(&mut [&mut worker]), before);
    harness.check(&mut [&mut worker]);
}

/// Waits for an outcome: a group may take a while to assign partitions to a member that has nothing to read.
fn wait_for_tasks(harness: &mut Harness<'_>, worker: &mut Worker, expected: &Outcome) {
    let deadline = Instant::now() + PATIENCE;
    while harness.outcome(&mut [worker]) != *expected && Instant::now() < deadline {
        step(worker);
    }
}

pub(super) fn a_rebalance_with_work_in_flight_changes_nothing(factory: &mut dyn LogFactory) {
    let mut harness = Harness::new(factory);
    hoarding(&mut harness);
    harness.config.poll_records = 20;
    harness.publish_many(100);
    let mut first = harness.worker("first");
    step_until_processed(&mut first);
    let mut second = harness.worker("second");
    harness.publish_many(50);
    harness.settle(&mut [&mut first, &mut second]);
    harness.publish_many(50);
    harness.settle(&mut [&mut first, &mut second]);
    second.close().expect("close");
    drop(second);
    harness.publish_many(50);
    harness.settle(&mut [&mut first]);
    harness.check(&mut [&mut first]);
}

/// A member dies with a transaction open.
fn kill_with_open_transaction(harness: &mut Harness<'_>) {
    hoarding(harness);
    harness.config.poll_records = 10;
    harness.publish_many(60);
    let mut worker = harness.worker("first");
    step_until_processed(&mut worker);
    step_until_processed(&mut worker);
    harness.kill("first", worker);
    harness.factory.power_cut();
}

pub(super) fn another_member_goes_on_after_a_kill(factory: &mut dyn LogFactory) {
    let mut harness = Harness::new(factory);
    kill_with_open_transaction(&mut harness);
    harness.factory.expire(GROUP, "first");
    let mut heir = harness.worker("second");
    harness.settle(&mut [&mut heir]);
    harness.check(&mut [&mut heir]);
}

pub(super) fn the_same_member_goes_on_after_a_kill(factory: &mut dyn LogFactory) {
    let mut harness = Harness::new(factory);
    kill_with_open_transaction(&mut harness);
    let mut heir = harness.worker("first");
    harness.settle(&mut [&mut heir]);
    harness.check(&mut [&mut heir]);
}

pub(super) fn compaction_keeps_the_state(factory: &mut dyn LogFactory) {
    let mut harness = Harness::new(factory);
    harness.config.poll_records = 10;
    harness.config.limits.records = 10;
    harness.publish_many(200);
    harness.publish(&[("line1", None)]);
    let mut worker = harness.worker("member");
    harness.settle(&mut [&mut worker]);
    harness.factory.compact();
    harness.publish_many(5);
    harness.settle(&mut [&mut worker]);
    harness.kill("member", worker);
    harness.factory.power_cut();
    let mut worker = harness.worker("member");
    harness.publish_many(5);
    harness.settle(&mut [&mut worker]);
    harness.check(&mut [&mut worker]);
}

/// Leaves snapshots behind that are older than the end of the changelog.
fn snapshot_with_tail(harness: &mut Harness<'_>) {
    harness.publish_many(100);
    let mut worker = harness.worker("member");
    harness.settle(&mut [&mut worker]);
    worker.close().expect("close");
    drop(worker);
    let snapshots = harness.config.snapshots.take();
    let mut worker = harness.worker("member");
    harness.publish_many(7);
    harness.publish(&[("line2", None)]);
    harness.settle(&mut [&mut worker]);
    harness.kill("member", worker);
    harness.factory.power_cut();
    harness.config.snapshots = snapshots;
}

pub(super) fn a_snapshot_is_continued_from_the_changelog(factory: &mut dyn LogFactory) {
    let mut harness = Harness::new(factory);
    let folder = harness.with_snapshots();
    snapshot_with_tail(&mut harness);
    let files = std::fs::read_dir(&folder).unwrap().count();
    assert!(files >= 2, "{files} snapshots");
    let mut worker = harness.worker("member");
    harness.publish_many(1);
    harness.settle(&mut [&mut worker]);
    harness.check(&mut [&mut worker]);
}

pub(super) fn a_damaged_snapshot_is_not_used(factory: &mut dyn LogFactory) {
    let mut harness = Harness::new(factory);
    let folder = harness.with_snapshots();
    snapshot_with_tail(&mut harness);
    for (number, file) in std::fs::read_dir(&folder).unwrap().enumerate() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        match number % 3 {
            0 => {
                let middle = bytes.len() - 6;
                bytes[middle] ^= 1;
            }
            1 => bytes.truncate(bytes.len() / 2),
            _ => bytes[8] = 99,
        }
        std::fs::write(&path, bytes).unwrap();
    }
    let mut worker = harness.worker("member");
    harness.publish_many(1);
    harness.settle(&mut [&mut worker]);
    harness.check(&mut [&mut worker]);
}

pub(super) fn a_snapshot_newer_than_the_changelog_is_not_used(factory: &mut dyn LogFactory) {
    let mut harness = Harness::new(factory);
    let folder = harness.with_snapshots();
    snapshot_with_tail(&mut harness);
    // The log is created again; the snapshots stay.
    let mut harness = Harness::new(harness.factory);
    harness.config.snapshots = Some(SnapshotConfig::new(folder, "conformance"));
    harness.publish(&[("line1", Some("all new")), ("lineX", Some("all"))]);
    let mut worker = harness.worker("member");
    harness.settle(&mut [&mut worker]);
    harness.check(&mut [&mut worker]);
    // It is not used either once the new changelog has grown past it.
    harness.publish_many(200);
    harness.settle(&mut [&mut worker]);
    harness.kill("member", worker);
    let mut worker = harness.worker("member");
    harness.publish_many(1);
    harness.settle(&mut [&mut worker]);
    harness.check(&mut [&mut worker]);
}

pub(super) fn a_changelog_that_was_truncated_is_refused(factory: &mut dyn LogFactory) {
    let mut harness = Harness::new(factory);
    let folder = harness.with_snapshots();
    snapshot_with_tail(&mut harness);
    if !harness.factory.truncate(&COUNT_CHANGELOG) {
        return;
    }
    let files = || std::fs::read_dir(&folder).unwrap().count();
    let before = files();
    for with_snapshots in [true, false] {
        if !with_snapshots {
            harness.config.snapshots = None;
        }
        let mut worker = harness.worker("member");
        let error = failure(&mut worker);
        assert!(matches!(error, WorkerError::Truncated { stage: "count", .. }), "{error}");
        assert!(!error.can_restart());
        harness.kill("member", worker);
    }
    assert_eq!(files(), before, "only the snapshots are left, so they are kept");
    assert!(harness.unread() == 0, "nothing was read with a part of the state");
}

pub(super) fn a_snapshot_outlives_a_truncated_changelog(factory: &mut dyn LogFactory) {
    let mut harness = Harness::new(factory);
    harness.with_snapshots();
    harness.publish_many(50);
    let mut worker = harness.worker("member");
    harness.settle(&mut [&mut worker]);
    worker.close().expect("close");
    drop(worker);
    // The snapshots go up to the end of the changelog, so none of the deleted records is missing.
    if !harness.factory.truncate(&COUNT_CHANGELOG) {
        return;
    }
    let mut worker = harness.worker("member");
    harness.publish_many(5);
    harness.settle(&mut [&mut worker]);
    harness.check(&mut [&mut worker]);
}

pub(super) fn a_retried_record_is_processed_once(factory: &mut dyn LogFactory) {
    let mut harness = Harness::new(factory);
    harness.publish(&[("line1", Some("before all")), ("line2", Some("sent flaky all")), ("line1", Some("after all"))]);
    harness.outside.store(3, Ordering::Relaxed);
    let mut worker = harness.worker("member");
    let deadline = Instant::now() + PATIENCE;
    let mut pauses = Vec::new();
    while pauses.len() < 3 {
        assert!(Instant::now() < deadline, "the record was tried {} times", pauses.len());
        if let Step::Retry(pause) = step(&mut worker) {
            pauses.push(pause);
        }
    }
    assert!(pauses[0] < pauses[1] && pauses[1] < pauses[2], "the pauses grow: {pauses:?}");
    harness.settle(&mut [&mut worker]);
    harness.check(&mut [&mut worker]);
}

pub(super) fn a_dead_letter_names_its_origin(factory: &mut dyn LogFactory) {
    let mut harness = Harness::new(factory);
    harness.publish(&[("line1", Some("good")), ("line1", Some("sent poison never")), ("line1", Some("good"))]);
    let mut worker = harness.worker("member");
    harness.settle(&mut [&mut worker]);
    harness.check(&mut [&mut worker]);
    let letters = harness.read(&DEAD_LETTERS);
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!(letter.key, b"line1");
    assert_eq!(letter.value.as_deref(), Some(b"sent poison never".as_slice()));
    let header = |name| String::from_utf8(letter.headers().get(name).unwrap_or_default().to_vec()).unwrap();
    assert_eq!(header(dead_letter_header::TOPIC), "conformance.lines");
    assert_eq!(header(dead_letter_header::STAGE), "split");
    assert_eq!(header(dead_letter_header::FLOW), "conformance");
    assert_eq!(header(dead_letter_header::CODE), "POISON");
    assert_eq!(header(dead_letter_header::MESSAGE), "line 1 is poison");
    assert_eq!(header(dead_letter_header::PARTITION), header(dead_letter_header::TASK));
    let offset: i64 = header(dead_letter_header::OFFSET).parse().unwrap();
    assert!(offset >= 1);
}
