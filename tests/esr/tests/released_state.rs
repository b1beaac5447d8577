//! The state of every release stays readable: the folder that a release left after the first of the golden days lies in
//! `tests/esr/state`, and the second day must come out as ever, from the changelogs and from the snapshots.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tributary_esr_oracle::Batch;
use tributary_esr_tests::golden_days;
use tributary_esr_tests::process::Exchange;
use tributary_harness::released_state::{NOT_USED, check_newest, date_snapshots, released, unpack};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("state")
}

/// The debug log says which snapshots are not used, also those that are only too old.
fn exchange() -> Exchange {
    Exchange::new(&["EOE"], &["--partitions", "4", "--log-level", "debug"].map(str::to_owned))
}

fn run(exchange: &mut Exchange, batch: &Batch) -> String {
    exchange.put(batch);
    let answer = exchange.run(&batch.now.to_string());
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    answer.stderr
}

/// The folder of a release, unpacked.
fn unpacked(archive: &Path) -> Exchange {
    let exchange = exchange();
    unpack(archive, &exchange.path(""));
    exchange
}

/// The files of the second day are the golden ones, byte for byte.
fn check_second_day(mut exchange: Exchange) -> String {
    let [_, second] = golden_days::batches();
    let stderr = run(&mut exchange, &second);
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden");
    let files = exchange.watch();
    assert_eq!(files.len(), 3, "{:?}", files.keys());
    for (name, content) in files {
        assert_eq!(&fs::read_to_string(golden.join(name)).unwrap(), content, "{name}");
    }
    stderr
}

#[test]
fn the_changelogs_of_every_release_are_read() {
    let archives = released(&folder());
    assert!(!archives.is_empty());
    for archive in archives {
        let exchange = unpacked(&archive);
        fs::remove_dir_all(exchange.path("state/snapshots")).unwrap();
        check_second_day(exchange);
    }
}

#[test]
fn the_snapshots_of_every_release_are_read() {
    for archive in released(&folder()) {
        let exchange = unpacked(&archive);
        date_snapshots(&exchange.path("state"), SystemTime::now());
        let stderr = check_second_day(exchange);
        assert!(!stderr.contains(NOT_USED), "a snapshot was not used: {stderr}");
    }
}

#[test]
fn f12_snapshots_of_the_day_before_are_ordinary_and_cause_no_warning() {
    let mut exchange = exchange();
    let [first, second] = golden_days::batches();
    run(&mut exchange, &first);
    date_snapshots(&exchange.path("state"), SystemTime::now() - Duration::from_hours(24));
    let stderr = run(&mut exchange, &second);
    assert!(stderr.matches(NOT_USED).count() > 10, "the snapshots were not too old: {stderr}");
    assert!(!stderr.contains("WARN") && !stderr.contains("ERROR"), "{stderr}");
}

#[test]
fn the_newest_folder_holds_the_schemas_that_this_program_writes() {
    let mut exchange = exchange();
    let [first, _] = golden_days::batches();
    run(&mut exchange, &first);
    check_newest(&folder(), &exchange.path(""));
}
