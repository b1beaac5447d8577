//! Folders that are refused: in use, damaged, or created with other partitions.

use std::fs;

use tributary_runtime::{LogError, Producer};

use super::*;
use crate::embedded::{OpenError, StateFolderError};

fn open_error(path: &Path, partitions: i32) -> OpenError {
    match EmbeddedLog::open(path, Fsync::Always, &TOPICS, partitions, &[]) {
        Ok(_) => panic!("the folder was accepted"),
        Err(error) => error,
    }
}

fn filled() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    for number in 0..100 {
        let mut input = output();
        put(&mut input, &INBOX, 0, &number.to_string(), Some(&"value".repeat(20)));
        log.producer("files").publish(&input).unwrap();
    }
    folder
}

fn is_damaged(error: &OpenError) -> bool {
    matches!(error, OpenError::Folder(StateFolderError::Damaged { .. }))
}

#[test]
fn a_folder_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _log = open(folder.path());
    let error = open_error(folder.path(), PARTITIONS);
    assert!(matches!(error, OpenError::Folder(StateFolderError::InUse { .. })), "{error}");
}

#[test]
fn other_numbers_of_partitions_are_refused() {
    let folder = filled();
    let error = open_error(folder.path(), PARTITIONS + 1);
    assert!(matches!(&error, OpenError::Log(LogError::Fatal(text)) if text.contains("2 partitions")), "{error}");
}

#[test]
fn a_journal_with_changed_bytes_is_damage() {
    let folder = filled();
    let journal = folder.path().join("log/0.jnl");
    let mut bytes = fs::read(&journal).unwrap();
    bytes[4000] ^= 0xff;
    fs::write(&journal, bytes).unwrap();
    let error = open_error(folder.path(), PARTITIONS);
    assert!(is_damaged(&error), "{error}");
}

#[test]
fn a_truncated_journal_is_damage() {
    let folder = filled();
    let journal = folder.path().join("log/0.jnl");
    fs::OpenOptions::new().write(true).open(&journal).unwrap().set_len(6000).unwrap();
    let error = open_error(folder.path(), PARTITIONS);
    assert!(is_damaged(&error), "{error}");
    assert!(error.to_string().contains("had been stored"), "{error}");
}

#[test]
fn a_missing_database_or_marker_is_damage() {
    let folder = filled();
    fs::remove_file(folder.path().join("log/version")).unwrap();
    assert!(is_damaged(&open_error(folder.path(), PARTITIONS)));
    fs::remove_dir_all(folder.path().join("log")).unwrap();
    assert!(is_damaged(&open_error(folder.path(), PARTITIONS)));
}

#[test]
fn a_kill_while_the_database_is_created_leaves_a_usable_folder() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    fs::remove_file(folder.path().join("log/version")).unwrap();
    fs::remove_file(folder.path().join("synced")).unwrap();
    drop(open(folder.path()));
}

#[test]
fn a_group_that_was_not_declared_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    assert!(matches!(log.worker("stranger", "s-0", &[&INBOX]), Err(LogError::Fatal(_))));
    assert!(matches!(log.worker(GROUP, "w-0", &[&NEXT]), Err(LogError::Fatal(_))));
}

#[test]
fn stored_batches_with_changed_bytes_are_damage() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let megabyte = "x".repeat(1 << 20);
    for _ in 0..45 {
        let mut input = output();
        put(&mut input, &INBOX, 0, "large", Some(&megabyte));
        log.producer("files").publish(&input).unwrap();
    }
    let largest = wait_for_table(&folder.path().join("log/keyspaces"));
    drop(log);
    let mut bytes = fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&largest, bytes).unwrap();
    let error = open_error(folder.path(), PARTITIONS);
    assert!(error.to_string().contains("is damaged"), "{error}");
}

/// Waits for a file to which the database has moved batches from its journal.
fn wait_for_table(folder: &Path) -> std::path::PathBuf {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        let mut files = Vec::new();
        collect_files(folder, &mut files);
        if let Some((_, path)) = files.into_iter().filter(|(size, _)| *size > 10 << 20).max() {
            return path;
        }
        assert!(std::time::Instant::now() < deadline, "no batch was moved");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn collect_files(folder: &Path, files: &mut Vec<(u64, std::path::PathBuf)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // The database may remove files during this.
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => collect_files(&path, files),
            Ok(metadata) => files.push((metadata.len(), path)),
            Err(_) => {}
        }
    }
}
