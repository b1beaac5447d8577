//! The snapshot folder of TIS, as a batch of the oracle has it.

use std::fs;
use std::path::Path;

use tributary_esr_oracle::Snapshot;

/// Makes `folder` hold the files of the snapshot, and none that it does not have.
pub fn lay_out(folder: &Path, snapshot: &Snapshot) {
    let files = [
        ("posts.jsonl", &snapshot.posts),
        ("placements.jsonl", &snapshot.placements),
        ("people.jsonl", &snapshot.people),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        match text {
            Some(text) => fs::write(path, text).unwrap(),
            None if path.exists() => fs::remove_file(path).unwrap(),
            None => {}
        }
    }
}
