//! Any bytes as a file of a TIS snapshot, plain or compressed, or as its manifest: each line loads or is reported.
#![no_main]

mod memory_folder;

use std::fs;

use libfuzzer_sys::fuzz_target;
use tributary_connectors::tis::snapshot::{SnapshotError, TisSnapshot};

use memory_folder::FOLDER;

const NAMES: [&str; 7] = [
    "posts.jsonl",
    "placements.jsonl",
    "people.jsonl",
    "posts.jsonl.gz",
    "placements.jsonl.gz",
    "people.jsonl.gz",
    "manifest.json",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, content)) = bytes.split_first() else { return };
    let path = FOLDER.path().join(NAMES[usize::from(kind) % NAMES.len()]);
    fs::write(&path, content).expect("a file");
    if let Ok(snapshot) = TisSnapshot::open(FOLDER.path()) {
        let mut objects = 0;
        let reports = [
            snapshot.posts(|_| count(&mut objects)),
            snapshot.placements(|_| count(&mut objects)),
            snapshot.people(|_| count(&mut objects)),
        ];
        let loaded: u64 = reports.into_iter().flatten().map(|report| report.loaded).sum();
        assert_eq!(loaded, objects, "what is reported as loaded was handed out");
    }
    fs::remove_file(&path).expect("the file is there");
});

fn count(objects: &mut u64) -> Result<(), SnapshotError> {
    *objects += 1;
    Ok(())
}
