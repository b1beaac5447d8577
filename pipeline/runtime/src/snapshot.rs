//! Snapshot files: the state of one task at a commit boundary, with the changelog offset to continue from.
//!
//! A snapshot only shortens a restart; the changelog is the truth. If anything is wrong with a file, the whole
//! changelog is restored instead.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::atomic_file::{AtomicFile, remove_durably};
use crate::state::StateError;
use crate::task::Task;

const MAGIC: &[u8; 8] = b"TRIBSNAP";
const VERSION: u16 = 2;

/// Where snapshots are written, how often, and which are used.
#[derive(Debug, Clone)]
pub struct SnapshotConfig {
    /// The folder; created when missing.
    pub folder: PathBuf,
    /// Identifies the log, for example by cluster id and namespace: a snapshot of another log is not used.
    pub identity: String,
    /// How often a changed task is written, at a commit boundary. It is also written when it is released, and at the
    /// end.
    pub every: Duration,
    /// Older files are not used: the log may have forgotten deletions after them (`delete.retention.ms`).
    pub max_age: Duration,
}

impl SnapshotConfig {
    /// Snapshots in `folder` every ten minutes, used for twelve hours.
    pub fn new(folder: PathBuf, identity: impl Into<String>) -> Self {
        let (every, max_age) = (Duration::from_mins(10), Duration::from_hours(12));
        Self { folder, identity: identity.into(), every, max_age }
    }
}

/// Why a snapshot file is not used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file system refused.
    #[error("snapshot {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        #[source]
        error: io::Error,
    },
    /// The bytes are not those that were written.
    #[error("snapshot {0} is damaged")]
    Damaged(PathBuf),
    /// Written by another version of the program.
    #[error("snapshot {0} is of format version {1}, this program reads version {VERSION}")]
    Version(PathBuf, u16),
    /// It belongs to another log, stage or partition.
    #[error("snapshot {0} belongs to another log or stage")]
    Foreign(PathBuf),
    /// It is too old to continue from the changelog.
    #[error("snapshot {0} is too old")]
    TooOld(PathBuf),
    /// The state could not be read.
    #[error("snapshot {0}: {1}")]
    State(PathBuf, #[source] Box<StateError>),
}

impl SnapshotError {
    /// What is wrong, without the name of the file: the same text for all files that have the same cause.
    pub(crate) fn without_file(&self) -> String {
        match self {
            Self::Io { path, error } => {
                let folder = path.parent().unwrap_or(path);
                format!("{}: {error}", folder.display())
            }
            other => other.to_string(),
        }
    }

    /// The stable name of this kind of error; see [`crate::error_code`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } | Self::Damaged(_) | Self::Version(..) | Self::Foreign(_) | Self::TooOld(_) => {
                crate::error_code::SNAPSHOT_NOT_USED
            }
            Self::State(_, error) => error.code(),
        }
    }
}

/// The file of one task.
pub(crate) struct SnapshotFile<'a> {
    config: &'a SnapshotConfig,
    path: PathBuf,
    /// Names log, stage and partition.
    owner: String,
}

impl<'a> SnapshotFile<'a> {
    pub(crate) fn new(config: &'a SnapshotConfig, flow: &str, stage: &str, partition: i32) -> Self {
        let path = config.folder.join(format!("{flow}.{stage}-{partition}.snapshot"));
        Self { config, path, owner: format!("{}\n{flow}\n{stage}\n{partition}", config.identity) }
    }

    /// Writes the state of `task`, which must be the committed one: nothing may be open or on its way. The file appears
    /// complete or not at all.
    pub(crate) fn write(&self, task: &mut Task, changelog_offset: i64) -> Result<(), SnapshotError> {
        let io_error = |error| SnapshotError::Io { path: self.path.clone(), error };
        fs::create_dir_all(&self.config.folder).map_err(io_error)?;
        let mut sink = Checked { inner: AtomicFile::create(&self.path).map_err(io_error)?, crc: 0 };
        self.write_header(&mut sink, changelog_offset).map_err(io_error)?;
        let mut failed = None;
        let mut write = |store: u8, key: &[u8], value: &[u8]| {
            if failed.is_none() {
                failed = write_entry(&mut sink, store, key, value).err();
            }
        };
        task.entries(&mut write);
        if let Some(error) = failed {
            return Err(io_error(error));
        }
        let crc = sink.crc;
        sink.write_all(&crc.to_le_bytes()).map_err(io_error)?;
        sink.inner.commit().map_err(io_error)
    }

    fn write_header(&self, sink: &mut impl Write, changelog_offset: i64) -> io::Result<()> {
        sink.write_all(MAGIC)?;
        sink.write_all(&VERSION.to_le_bytes())?;
        sink.write_all(&(self.owner.len() as u32).to_le_bytes())?;
        sink.write_all(self.owner.as_bytes())?;
        sink.write_all(&now_millis().to_le_bytes())?;
        sink.write_all(&changelog_offset.to_le_bytes())
    }

    /// Fills `task` and returns the changelog offset to continue from, and the number of entries. `None` when there is
    /// no file. After an error the task's state is undefined: clear it.
    pub(crate) fn read(&self, task: &mut Task) -> Result<Option<(i64, u64)>, SnapshotError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SnapshotError::Io { path: self.path.clone(), error }),
        };
        let damaged = || SnapshotError::Damaged(self.path.clone());
        let (offset, mut entries) = self.read_header(&bytes)?;
        let mut count = 0;
        while !entries.is_empty() {
            let ((store, key, value), rest) = read_entry(entries).ok_or_else(damaged)?;
            let mut full_key = Vec::with_capacity(key.len() + 1);
            full_key.push(store);
            full_key.extend_from_slice(key);
            task.restore(&full_key, Some(value))
                .map_err(|error| SnapshotError::State(self.path.clone(), Box::new(error)))?;
            entries = rest;
            count += 1;
        }
        Ok(Some((offset, count)))
    }

    /// Removes the file, for good: it does not come back after a power cut.
    pub(crate) fn remove(&self) -> Result<(), SnapshotError> {
        remove_durably(&self.path).map_err(|error| SnapshotError::Io { path: self.path.clone(), error })
    }

    /// Verifies everything around the entries.
    fn read_header<'b>(&self, bytes: &'b [u8]) -> Result<(i64, &'b [u8]), SnapshotError> {
        let damaged = || SnapshotError::Damaged(self.path.clone());
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(damaged)?;
        let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(damaged)?;
        let version = u16::from_le_bytes(*version);
        if version != VERSION {
            return Err(SnapshotError::Version(self.path.clone(), version));
        }
        let (content, crc) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
        if crc32c::crc32c(content) != u32::from_le_bytes(*crc) {
            return Err(damaged());
        }
        let (owner, rest) = read_run(&rest[..rest.len().saturating_sub(4)]).ok_or_else(damaged)?;
        if owner != self.owner.as_bytes() {
            return Err(SnapshotError::Foreign(self.path.clone()));
        }
        let (created, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (offset, entries) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let age = now_millis().saturating_sub(u64::from_le_bytes(*created));
        if u128::from(age) > self.config.max_age.as_millis() {
            return Err(SnapshotError::TooOld(self.path.clone()));
        }
        Ok((i64::from_le_bytes(*offset), entries))
    }
}

fn now_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn write_entry(sink: &mut impl Write, store: u8, key: &[u8], value: &[u8]) -> io::Result<()> {
    sink.write_all(&[store])?;
    for run in [key, value] {
        sink.write_all(&(run.len() as u32).to_le_bytes())?;
        sink.write_all(run)?;
    }
    Ok(())
}

/// Store, key and value.
type Entry<'a> = (u8, &'a [u8], &'a [u8]);

fn read_entry(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let (&store, rest) = bytes.split_first()?;
    let (key, rest) = read_run(rest)?;
    let (value, rest) = read_run(rest)?;
    Some(((store, key, value), rest))
}

fn read_run(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

/// Computes the checksum of what passes through.
struct Checked<W> {
    inner: W,
    crc: u32,
}

impl<W: Write> Write for Checked<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.crc = crc32c::crc32c_append(self.crc, &bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::conformance::word_count::{self, Count, WORDS};
    use crate::task::RestoredState;
    use crate::{Output, Record, TopicPartition};

    fn empty_task() -> Task {
        let topology = word_count::topology(&Arc::default());
        Task::new(1, &topology.stages[1], TopicPartition { topic: WORDS.name, partition: 2 })
    }

    fn filled_task() -> Task {
        let (topology, mut task) = (word_count::topology(&Arc::default()), empty_task());
        let origin = TopicPartition { topic: WORDS.name, partition: 2 };
        for (offset, word) in ["a", "bb", "a", ""].into_iter().enumerate() {
            let (key, offset) = (word.as_bytes(), offset as i64);
            let headers = crate::Headers::default();
            let record = Record { origin, offset, timestamp: 0, key, value: Some(b"1"), headers };
            task.process(&record, &topology, &mut Output::new(3)).unwrap();
        }
        task.seal();
        task.settle();
        task
    }

    fn words(task: &Task) -> Vec<(String, u64)> {
        let count: &Count = task.processor().downcast_ref().unwrap();
        assert_eq!(count.words.iter().count(), count.by_length.iter().count());
        count.words.iter().map(|(word, count)| (word.clone(), *count)).collect()
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let config = SnapshotConfig::new(folder.path().join("new"), "cluster");
        let file = SnapshotFile::new(&config, "flow", "count", 2);
        assert!(file.read(&mut empty_task()).unwrap().is_none());
        let (mut written, mut read) = (filled_task(), empty_task());
        file.write(&mut written, 77).unwrap();
        assert_eq!(file.read(&mut read).unwrap(), Some((77, 7)));
        assert_eq!(read.restored_state, RestoredState::UpTo(4));
        assert_eq!(words(&read), words(&written));
        assert_eq!(words(&read).len(), 3);
        assert_eq!(fs::read_dir(&config.folder).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn files_of_another_log_or_too_old_or_of_another_version_are_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let config = SnapshotConfig::new(folder.path().to_owned(), "cluster");
        let file = SnapshotFile::new(&config, "flow", "count", 2);
        file.write(&mut filled_task(), 77).unwrap();
        let other = SnapshotConfig { identity: "other".to_owned(), ..config.clone() };
        let read = SnapshotFile::new(&other, "flow", "count", 2).read(&mut empty_task());
        assert!(matches!(read, Err(SnapshotError::Foreign(_))));
        std::thread::sleep(Duration::from_millis(5));
        let strict = SnapshotConfig { max_age: Duration::ZERO, ..config.clone() };
        let read = SnapshotFile::new(&strict, "flow", "count", 2).read(&mut empty_task());
        assert!(matches!(read, Err(SnapshotError::TooOld(_))));
        let mut bytes = fs::read(&file.path).unwrap();
        bytes[8] = 9;
        fs::write(&file.path, bytes).unwrap();
        assert!(matches!(file.read(&mut empty_task()), Err(SnapshotError::Version(_, 9))));
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let config = SnapshotConfig::new(folder.path().to_owned(), "cluster");
        let file = SnapshotFile::new(&config, "flow", "count", 2);
        file.write(&mut filled_task(), 77).unwrap();
        let good = fs::read(&file.path).unwrap();
        for place in 0..good.len() {
            fs::write(&file.path, &good[..place]).unwrap();
            assert!(file.read(&mut empty_task()).is_err(), "cut at {place}");
            let mut bad = good.clone();
            bad[place] ^= 0x10;
            fs::write(&file.path, bad).unwrap();
            assert!(file.read(&mut empty_task()).is_err(), "flipped at {place}");
        }
    }
}
