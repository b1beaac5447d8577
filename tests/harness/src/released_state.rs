//! State folders that releases left, packed: state of every release stays readable.
//!
//! `TRIBUTARY_STATE=write` adds the folder of this program under the next number, when what it writes has changed. A
//! folder that is there is never replaced.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// What the debug log says of each snapshot that is not used.
pub const NOT_USED: &str = "restoring the whole changelog";

/// The archives of a folder, by number.
pub fn released(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut archives: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    let number = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().split('.').next()?.parse::<u32>().ok();
    archives.sort_by_key(number);
    archives
}

/// Unpacks an archive: the folder `state` in `folder`.
pub fn unpack(archive: &Path, folder: &Path) {
    tar(&["-xzf"], archive, folder);
}

/// Checks that the newest archive holds the schemas of state that the folder `state` in `folder` holds. With
/// `TRIBUTARY_STATE=write` it is packed as the next archive if not.
pub fn check_newest(archives: &Path, folder: &Path) {
    let released = released(archives);
    let written = schemas(&folder.join("state"));
    let is_there = released.last().is_some_and(|newest| {
        let unpacked = tempfile::tempdir().unwrap();
        unpack(newest, unpacked.path());
        schemas(&unpacked.path().join("state")) == written
    });
    if !is_there && std::env::var("TRIBUTARY_STATE").is_ok_and(|value| value == "write") {
        fs::create_dir_all(archives).unwrap();
        fs::remove_file(folder.join("state/lock")).unwrap();
        tar(&["--sparse", "-czf"], &archives.join(format!("{}.tar.gz", released.len() + 1)), folder);
        return;
    }
    assert!(is_there, "what stores hold has changed: TRIBUTARY_STATE=write adds the folder of this program");
}

fn tar(arguments: &[&str], archive: &Path, folder: &Path) {
    let mut command = Command::new("tar");
    command.args(arguments).arg(archive).arg("-C").arg(folder).arg("state");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}: {}", archive.display(), String::from_utf8_lossy(&output.stderr));
}

/// The stores that a flow's `stores.txt` lists: stage and number.
pub fn declared(stores: &str) -> BTreeSet<(String, u8)> {
    let stores = stores.lines().map(|line| {
        let mut words = line.split(' ');
        (words.next().unwrap().to_owned(), words.next().unwrap().parse().unwrap())
    });
    stores.collect()
}

/// Writes a time into all snapshot files of a state folder, because old snapshots are not used.
pub fn date_snapshots(state: &Path, time: SystemTime) {
    let millis = time.duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    for snapshot in fs::read_dir(state.join("snapshots")).unwrap() {
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

/// The schemas of state in the snapshots of a state folder, sorted: JSON texts of records.
pub fn schemas(state: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for snapshot in fs::read_dir(state.join("snapshots")).unwrap() {
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
