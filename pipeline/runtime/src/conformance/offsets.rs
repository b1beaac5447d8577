//! Tests of workers whose group offsets do not fit their state, or whose records were deleted.

use super::LogFactory;
use super::harness::{Harness, failure, step_until_restored};
use super::word_count::{COUNT_CHANGELOG, GROUP, LINES, PARTITIONS, SPLIT_CHANGELOG, WORDS};
use crate::{OffsetFault, Topic, TopicPartition, WorkerError, input_offset};

/// The offsets up to which the states of both stages go, as their changelogs say.
fn offsets_of_states(harness: &mut Harness<'_>) -> Vec<(TopicPartition, i64)> {
    let mut offsets = Vec::new();
    for (inbox, changelog) in [(&LINES, &SPLIT_CHANGELOG), (&WORDS, &COUNT_CHANGELOG)] {
        for partition in 0..PARTITIONS {
            let records = harness.factory.read_committed(changelog, partition);
            let last =
                records.iter().filter_map(|record| input_offset(&record.key, record.value.as_deref())).next_back();
            offsets.extend(last.map(|offset| (TopicPartition { topic: inbox.name, partition }, offset)));
        }
    }
    assert!(offsets.len() >= 4, "{offsets:?}");
    offsets
}

/// Processes lines, and ends the worker: with a clean end, or as if it were killed.
fn process(harness: &mut Harness<'_>, lines: usize, cleanly: bool) {
    harness.publish_many(lines);
    let mut worker = harness.worker("member");
    harness.settle(&mut [&mut worker]);
    if cleanly {
        worker.close().expect("close");
    }
    harness.kill("member", worker);
}

/// A worker is refused for this reason, and has read nothing.
fn refused(harness: &mut Harness<'_>) -> OffsetFault {
    let unread = harness.unread();
    let mut worker = harness.worker("member");
    let error = failure(&mut worker);
    harness.kill("member", worker);
    assert_eq!(harness.unread(), unread, "a refused worker has read something");
    assert!(!error.can_restart());
    let WorkerError::Offsets { fault, .. } = error else { panic!("{error}") };
    fault
}

/// A worker continues with `more` lines, and the result is that of all lines.
fn goes_on(harness: &mut Harness<'_>, more: usize) {
    harness.publish_many(more);
    let mut worker = harness.worker("member");
    harness.settle(&mut [&mut worker]);
    harness.check(&mut [&mut worker]);
}

fn truncate(harness: &mut Harness<'_>, topics: &[&'static Topic]) -> bool {
    topics.iter().all(|topic| harness.factory.truncate(topic))
}

pub(super) fn state_without_offsets_is_refused_until_they_are_those_of_the_state(factory: &mut dyn LogFactory) {
    let mut harness = Harness::new(factory);
    process(&mut harness, 50, false);
    if !harness.factory.forget_offsets(GROUP) {
        return;
    }
    let offsets = offsets_of_states(&mut harness);
    let fault = refused(&mut harness);
    assert!(matches!(fault, OffsetFault::Missing { state: Some(_) }), "{fault}");
    // With offsets for some partitions, it is refused for the others.
    harness.factory.set_offsets(GROUP, &offsets[1..]);
    assert_eq!(refused(&mut harness), OffsetFault::Missing { state: Some(offsets[0].1) });
    harness.factory.set_offsets(GROUP, &offsets);
    goes_on(&mut harness, 20);
}

pub(super) fn a_snapshot_without_offsets_is_refused(factory: &mut dyn LogFactory) {
    let mut harness = Harness::new(factory);
    harness.with_snapshots();
    process(&mut harness, 50, true);
    if !harness.factory.forget_offsets(GROUP) {
        return;
    }
    // The state of the snapshots goes up to the end of the changelogs, so nothing else is read.
    let fault = refused(&mut harness);
    assert!(matches!(fault, OffsetFault::Missing { state: Some(_) }), "{fault}");
    let offsets = offsets_of_states(&mut harness);
    harness.factory.set_offsets(GROUP, &offsets);
    goes_on(&mut harness, 20);
}

pub(super) fn offsets_behind_the_state_are_refused(factory: &mut dyn LogFactory) {
    let mut harness = Harness::new(factory);
    process(&mut harness, 50, false);
    let offsets = offsets_of_states(&mut harness);
    let rewound: Vec<_> = offsets.iter().map(|(inbox, offset)| (*inbox, offset - 1)).collect();
    if !harness.factory.set_offsets(GROUP, &rewound) {
        return;
    }
    let fault = refused(&mut harness);
    assert!(matches!(fault, OffsetFault::BehindState { committed, state } if committed + 1 == state), "{fault}");
    harness.factory.set_offsets(GROUP, &offsets);
    goes_on(&mut harness, 20);
}

pub(super) fn offsets_after_the_end_are_refused(factory: &mut dyn LogFactory) {
    let mut harness = Harness::new(factory);
    process(&mut harness, 50, false);
    let offsets = offsets_of_states(&mut harness);
    let ahead: Vec<_> = offsets.iter().map(|(inbox, offset)| (*inbox, offset + 1000)).collect();
    if !harness.factory.set_offsets(GROUP, &ahead) {
        return;
    }
    let fault = refused(&mut harness);
    assert!(matches!(fault, OffsetFault::BeyondEnd { committed, end } if committed > end), "{fault}");
}

pub(super) fn records_that_were_deleted_before_they_were_read_are_refused(factory: &mut dyn LogFactory) {
    let mut harness = Harness::new(factory);
    process(&mut harness, 50, false);
    harness.publish_many(20);
    if !truncate(&mut harness, &[&LINES]) {
        return;
    }
    let fault = refused(&mut harness);
    assert!(matches!(fault, OffsetFault::Deleted { committed, start } if committed < start), "{fault}");
}

pub(super) fn records_that_were_deleted_after_they_were_read_change_nothing(factory: &mut dyn LogFactory) {
    let mut harness = Harness::new(factory);
    process(&mut harness, 50, false);
    // A worker that is killed leaves its group at the marker of the last transaction. The next one moves on.
    let mut worker = harness.worker("member");
    step_until_restored(&mut worker);
    worker.close().expect("close");
    harness.kill("member", worker);
    if !truncate(&mut harness, &[&LINES, &WORDS]) {
        return;
    }
    goes_on(&mut harness, 20);
}

pub(super) fn the_first_start_reads_what_is_left_of_an_inbox(factory: &mut dyn LogFactory) {
    let mut harness = Harness::new(factory);
    harness.publish_many(20);
    if !truncate(&mut harness, &[&LINES]) {
        return;
    }
    harness.lines.clear();
    goes_on(&mut harness, 30);
}
