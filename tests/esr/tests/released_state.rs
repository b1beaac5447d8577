//! The state of every release stays readable: the folder that a release left after the first of the golden
//! days lies in `tests/esr/state`, and the second day must come out as ever, from the changelogs and from the snapshots.
//!
//! `TRIBUTARY_STATE=write` adds the folder of this program under the next number, when what it writes has changed. A
//! folder that is there is never replaced.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tributary_esr_oracle::Batch;
use tributary_esr_tests::golden_days;
use tributary_esr_tests::process::Exchange;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("state")
}

/// The archives, by number.
fn released() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).into_iter().flatten();
    let mut archives: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    let number = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().split('.').next()?.parse::<u32>().ok();
    archives.sort_by_key(number);
    archives
}

fn tar(arguments: &[&str], archive: &Path, folder: &Path) {
    let mut command = Command::new("tar");
    command.args(arguments).arg(archive).arg("-C").arg(folder).arg("state");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}: {}", archive.display(), String::from_utf8_lossy(&output.stderr));
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
    tar(&["-xzf"], archive, &exchange.path(""));
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
    let archives = released();
    assert!(!archives.is_empty());
    for archive in archives {
        let exchange = unpacked(&archive);
        fs::remove_dir_all(exchange.path("state/snapshots")).unwrap();
        check_second_day(exchange);
    }
}

#[test]
fn the_snapshots_of_every_release_are_read() {
    for archive in released() {
        let exchange = unpacked(&archive);
        date_snapshots(&exchange, SystemTime::now());
        let stderr = check_second_day(exchange);
        assert!(!stderr.contains(NOT_USED), "a snapshot was not used: {stderr}");
    }
}

/// What the debug log says of each snapshot that is not used.
const NOT_USED: &str = "restoring the whole changelog";

#[test]
fn f12_snapshots_of_the_day_before_are_ordinary_and_cause_no_warning() {
    let mut exchange = exchange();
    let [first, second] = golden_days::batches();
    run(&mut exchange, &first);
    date_snapshots(&exchange, SystemTime::now() - Duration::from_hours(24));
    let stderr = run(&mut exchange, &second);
    assert!(stderr.matches(NOT_USED).count() > 10, "the snapshots were not too old: {stderr}");
    assert!(!stderr.contains("WARN") && !stderr.contains("ERROR"), "{stderr}");
}

/// Writes a time into all snapshot files, because old snapshots are not used.
fn date_snapshots(exchange: &Exchange, time: SystemTime) {
    let millis = time.duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    for snapshot in fs::read_dir(exchange.path("state/snapshots")).unwrap() {
        date_snapshot(&snapshot.unwrap().path(), millis);
    }
}

/// The layout of a snapshot file: eight bytes of magic, two of version, the owner with its length in four bytes, the
/// time in eight bytes, and a CRC-32C at the end.
fn date_snapshot(path: &Path, millis: u64) {
    let mut bytes = fs::read(path).unwrap();
    let owner = u32::from_le_bytes(bytes[10..14].try_into().unwrap()) as usize;
    bytes[14 + owner..22 + owner].copy_from_slice(&millis.to_le_bytes());
    let end = bytes.len() - 4;
    let crc = crc32c::crc32c(&bytes[..end]);
    bytes[end..].copy_from_slice(&crc.to_le_bytes());
    fs::write(path, bytes).unwrap();
}

#[test]
fn the_newest_folder_holds_the_schemas_that_this_program_writes() {
    let mut exchange = exchange();
    let [first, _] = golden_days::batches();
    run(&mut exchange, &first);
    let written = schemas(&exchange);
    let archives = released();
    let is_there = archives.last().is_some_and(|newest| schemas(&unpacked(newest)) == written);
    if !is_there && std::env::var("TRIBUTARY_STATE").is_ok_and(|value| value == "write") {
        fs::create_dir_all(folder()).unwrap();
        let archive = folder().join(format!("{}.tar.gz", archives.len() + 1));
        fs::remove_file(exchange.path("state/lock")).unwrap();
        tar(&["--sparse", "-czf"], &archive, &exchange.path(""));
        return;
    }
    assert!(is_there, "what stores hold has changed: TRIBUTARY_STATE=write adds the folder of this program");
}

/// The schemas of state in the snapshots, sorted: JSON texts of records.
fn schemas(exchange: &Exchange) -> Vec<String> {
    let mut found = Vec::new();
    for snapshot in fs::read_dir(exchange.path("state/snapshots")).unwrap() {
        let bytes = fs::read(snapshot.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let starts = text.match_indices("{\"type\":\"record\"").map(|(start, _)| start);
        found.extend(starts.filter_map(|start| {
            let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<serde_json::Value>();
            values.next()?.ok().map(|schema| schema.to_string())
        }));
    }
    found.sort();
    found.dedup();
    found
}
