//! Snapshot files between the death of a process and its return: lost, damaged, out of date, or ahead of the changelog.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tributary_runtime::memory::SimulationRng;

/// Where the changelog offset stands in a snapshot file: after magic, version, owner and time of writing.
const OWNER_LENGTH: usize = 10;
const TIME_BYTES: usize = 8;
const AHEAD: i64 = i64::MAX / 2;

/// The folder of snapshots, and copies of files as they once were.
pub(super) struct Snapshots {
    folder: tempfile::TempDir,
    earlier: BTreeMap<PathBuf, Vec<u8>>,
}

impl Snapshots {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), earlier: BTreeMap::new() }
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Lets something happen to each file, or nothing; says what.
    pub(super) fn disturb(&mut self, rng: &mut SimulationRng) -> Vec<String> {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.into_iter().filter_map(|path| self.disturb_file(&path, rng)).collect()
    }

    fn disturb_file(&mut self, path: &Path, rng: &mut SimulationRng) -> Option<String> {
        let mut bytes = fs::read(path).unwrap();
        let at = rng.below(bytes.len() as u64) as usize;
        let what = match rng.below(14) {
            0 => {
                fs::remove_file(path).unwrap();
                return Some(format!("{} is lost", path.display()));
            }
            1 => {
                bytes.truncate(at);
                "is cut"
            }
            2 => {
                *bytes.get_mut(at)? ^= 1 << rng.below(8);
                "has a flipped bit"
            }
            3 => {
                put_ahead(&mut bytes)?;
                "is ahead of the changelog"
            }
            4 => {
                bytes.clone_from(self.earlier.get(path)?);
                "is an earlier one"
            }
            5 => {
                self.earlier.insert(path.to_owned(), bytes);
                return None;
            }
            _ => return None,
        };
        fs::write(path, bytes).unwrap();
        Some(format!("{} {what}", path.display()))
    }
}

/// Makes the file claim an offset that the changelog never had, with a checksum that fits. `None` when the file was cut
/// before.
fn put_ahead(bytes: &mut [u8]) -> Option<()> {
    let (content, checksum) = bytes.split_last_chunk_mut::<4>()?;
    let (_, rest) = content.split_at_mut_checked(OWNER_LENGTH)?;
    let (length, rest) = rest.split_first_chunk_mut::<4>()?;
    let (_, offset) = rest.split_at_mut_checked(u32::from_le_bytes(*length) as usize + TIME_BYTES)?;
    offset.get_mut(..8)?.copy_from_slice(&AHEAD.to_le_bytes());
    *checksum = crc32c::crc32c(content).to_le_bytes();
    Some(())
}
