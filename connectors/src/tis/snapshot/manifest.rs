//! `manifest.json` of a snapshot. The export writes it last, so that an unfinished snapshot is not taken for a complete
//! one.
//!
//! `{"files": {"posts.jsonl": {"count": 150000, "sha256": "<hex>"}, ...}}`. Count and hash are both optional. The hash
//! is that of the stored file (for `.gz`, of the compressed bytes). The count is the number of lines that are not
//! blank.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::line_reader::{Line, SnapshotLines};
use crate::files::open_regular;
use crate::hex::hex;

pub(super) const MANIFEST_FILE: &str = "manifest.json";

const BUFFER_BYTES: usize = 1 << 17;

#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    files: BTreeMap<String, Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    count: Option<u64>,
    sha256: Option<String>,
}

impl Manifest {
    /// Reads a manifest from its text.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(text).map_err(|error| error.to_string())
    }

    /// Compares the files of `folder` with the manifest. The inner result is the first difference.
    pub(super) fn check(&self, folder: &Path, present: &[&str]) -> io::Result<Result<(), String>> {
        for name in present {
            if !self.files.contains_key(*name) {
                return Ok(Err(format!("{name} is not listed in {MANIFEST_FILE}")));
            }
        }
        for (name, entry) in &self.files {
            if !present.contains(&name.as_str()) {
                return Ok(Err(format!("{name} is listed in {MANIFEST_FILE} but is not there")));
            }
            if let Err(difference) = entry.check(name, &folder.join(name))? {
                return Ok(Err(difference));
            }
        }
        Ok(Ok(()))
    }
}

impl Entry {
    fn check(&self, name: &str, path: &Path) -> io::Result<Result<(), String>> {
        if let Some(expected) = &self.sha256 {
            let found = sha256_of(path)?;
            if !found.eq_ignore_ascii_case(expected.trim()) {
                return Ok(Err(format!("{name} has SHA-256 {found}, {MANIFEST_FILE} says {expected}")));
            }
        }
        if let Some(expected) = self.count {
            let found = count_of(path)?;
            if found != expected {
                return Ok(Err(format!("{name} has {found} lines, {MANIFEST_FILE} says {expected}")));
            }
        }
        Ok(Ok(()))
    }
}

fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = open_regular(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..read]);
    }
}

fn count_of(path: &Path) -> io::Result<u64> {
    let mut lines = SnapshotLines::open(path)?;
    let mut count = 0;
    loop {
        match lines.next()? {
            Line::Text(_) | Line::TooLong => count += 1,
            Line::Broken(_) | Line::End => return Ok(count),
        }
    }
}
