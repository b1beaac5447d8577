//! Views in a folder of this process.
//!
//! Keys of the key space `rows` are the topic, a zero byte and the key of the record; values are its time (8 bytes,
//! big-endian) and its value. Keys of `positions` are the topic, a zero byte and the partition (4 bytes); values are
//! offset and time. `about` holds which log this was read from, and when it was last written.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};

use super::{Change, Piece, Range, ReadPosition, RowKey, StoredRow, ViewError, ViewStore};
use crate::key_value::open_patiently;

const LOG: &[u8] = b"log";
const WRITTEN: &[u8] = b"written";
/// Offset and time.
const POSITION_BYTES: usize = 16;
const CACHE_BYTES: u64 = 8 << 20;

/// Which log views belong to, and for how long they can be continued.
#[derive(Debug, Clone)]
pub struct EmbeddedViewsConfig<'a> {
    /// The folder; created when missing.
    pub folder: &'a Path,
    /// What tells the log from others. Views of another log are forgotten.
    pub log: &'a str,
    /// Views that were written longer ago are forgotten: the log may have forgotten deletions since then.
    pub max_age: Duration,
}

/// The views of one process.
pub struct EmbeddedViews {
    folder: PathBuf,
    database: Database,
    rows: Keyspace,
    positions: Keyspace,
    about: Keyspace,
}

impl EmbeddedViews {
    /// Opens the folder.
    ///
    /// # Errors
    /// [`ViewError`] when it cannot be used, or another process uses it.
    pub fn open(config: &EmbeddedViewsConfig<'_>) -> Result<Self, ViewError> {
        let folder = config.folder.to_owned();
        let database = open_database(&folder).map_err(|error| failed(&folder, "opened", error))?;
        let space = |name: &str| {
            database.keyspace(name, KeyspaceCreateOptions::default).map_err(|error| failed(&folder, "opened", error))
        };
        let (rows, positions, about) = (space("rows")?, space("positions")?, space("about")?);
        let views = Self { folder, database, rows, positions, about };
        views.forget_unless_usable(config)?;
        Ok(views)
    }

    fn forget_unless_usable(&self, config: &EmbeddedViewsConfig<'_>) -> Result<(), ViewError> {
        let about = |key: &[u8]| self.about.get(key).map_err(|error| self.failed("read", error));
        let is_same_log = about(LOG)?.is_some_and(|log| *log == *config.log.as_bytes());
        let written = about(WRITTEN)?.and_then(|bytes| Some(u64::from_be_bytes((*bytes).try_into().ok()?)));
        let is_young = written.is_some_and(|then| is_young(then, config.max_age));
        if is_same_log && is_young {
            return self.check_positions();
        }
        let mut batch = self.batch();
        self.remove_all(&mut batch, b"")?;
        batch.insert(&self.about, LOG, config.log.as_bytes());
        self.commit(batch)
    }

    fn check_positions(&self) -> Result<(), ViewError> {
        for entry in self.positions.iter() {
            let value = entry.value().map_err(|error| self.failed("read", error))?;
            if value.len() != POSITION_BYTES {
                return Err(self.damaged());
            }
        }
        Ok(())
    }

    /// Removes rows and positions whose keys begin with `prefix`.
    fn remove_all(&self, batch: &mut OwnedWriteBatch, prefix: &[u8]) -> Result<(), ViewError> {
        for space in [&self.rows, &self.positions] {
            for entry in space.prefix(prefix) {
                batch.remove(space, entry.key().map_err(|error| self.failed("read", error))?);
            }
        }
        Ok(())
    }

    fn batch(&self) -> OwnedWriteBatch {
        // A lost end is read again: rows and position are lost together.
        OwnedWriteBatch::with_capacity(self.database.clone(), 8).durability(Some(PersistMode::Buffer))
    }

    fn commit(&self, mut batch: OwnedWriteBatch) -> Result<(), ViewError> {
        batch.insert(&self.about, WRITTEN, seconds_now().to_be_bytes().as_slice());
        batch.commit().map_err(|error| self.failed("written", error))
    }

    fn failed(&self, action: &'static str, error: fjall::Error) -> ViewError {
        failed(&self.folder, action, error)
    }

    fn position(&self, topic: &str, partition: i32) -> Result<Option<ReadPosition>, ViewError> {
        let stored = self.positions.get(position_key(topic, partition)).map_err(|error| self.failed("read", error))?;
        let Some(bytes) = stored else { return Ok(None) };
        let (offset, rest) = bytes.split_first_chunk().ok_or_else(|| self.damaged())?;
        let timestamp = rest.try_into().map_err(|_| self.damaged())?;
        Ok(Some(ReadPosition { offset: i64::from_be_bytes(*offset), timestamp: i64::from_be_bytes(timestamp) }))
    }

    fn stored_row(&self, key: Vec<u8>, stored: &[u8]) -> Result<StoredRow, ViewError> {
        let (timestamp, value) = stored.split_first_chunk().ok_or_else(|| self.damaged())?;
        Ok(StoredRow { key, timestamp: i64::from_be_bytes(*timestamp), value: value.to_vec() })
    }

    fn damaged(&self) -> ViewError {
        ViewError::Damaged { folder: self.folder.display().to_string() }
    }
}

impl ViewStore for EmbeddedViews {
    fn positions(&self, topic: &str, partitions: i32) -> Result<Vec<Option<ReadPosition>>, ViewError> {
        (0..partitions).map(|partition| self.position(topic, partition)).collect()
    }

    fn apply(&self, topic: &str, partition: i32, changes: Vec<Change>, piece: Piece) -> Result<(), ViewError> {
        piece.check(topic, self.position(topic, partition)?)?;
        let mut batch = self.batch();
        for change in changes {
            for (key, value) in change.put {
                let mut stored = change.timestamp.to_be_bytes().to_vec();
                stored.extend_from_slice(&value);
                batch.insert(&self.rows, row_key(topic, &key), stored);
            }
            for key in change.delete {
                batch.remove(&self.rows, row_key(topic, &key));
            }
        }
        let numbers = [piece.to.offset, piece.to.timestamp];
        let value: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        batch.insert(&self.positions, position_key(topic, partition), value);
        self.commit(batch)
    }

    fn clear(&self, topic: &str) -> Result<(), ViewError> {
        let mut batch = self.batch();
        self.remove_all(&mut batch, &row_key(topic, b""))?;
        self.commit(batch)
    }

    fn get(&self, topic: &str, keys: &[RowKey]) -> Result<Vec<Option<StoredRow>>, ViewError> {
        let row = |wanted: &RowKey| {
            let stored = self.rows.get(row_key(topic, &wanted.key)).map_err(|error| self.failed("read", error))?;
            stored.map(|stored| self.stored_row(wanted.key.clone(), &stored)).transpose()
        };
        keys.iter().map(row).collect()
    }

    fn rows(&self, range: Range<'_>) -> Result<Vec<StoredRow>, ViewError> {
        let prefix = row_key(range.topic, range.prefix);
        let start = match range.after {
            Some(after) => Bound::Excluded(row_key(range.topic, after).max(prefix.clone())),
            None => Bound::Included(prefix.clone()),
        };
        let key_start = row_key(range.topic, b"").len();
        let mut rows = Vec::new();
        for entry in self.rows.range((start, Bound::Unbounded)).take(range.limit) {
            let (key, value) = entry.into_inner().map_err(|error| self.failed("read", error))?;
            if !key.starts_with(&prefix) {
                break;
            }
            rows.push(self.stored_row(key[key_start..].to_vec(), &value)?);
        }
        Ok(rows)
    }
}

fn open_database(folder: &Path) -> Result<Database, fjall::Error> {
    open_patiently(|| {
        Database::builder(folder)
            .cache_size(CACHE_BYTES)
            .journal_compression(CompressionType::None)
            .worker_threads(1)
            .open()
    })
}

fn failed(folder: &Path, action: &'static str, source: fjall::Error) -> ViewError {
    ViewError::Folder { folder: folder.display().to_string(), action, source }
}

fn row_key(topic: &str, key: &[u8]) -> Vec<u8> {
    [topic.as_bytes(), &[0], key].concat()
}

fn position_key(topic: &str, partition: i32) -> Vec<u8> {
    row_key(topic, &partition.to_be_bytes())
}

/// A time in the future is not young: the clock was set back, so the age is not known.
fn is_young(written: u64, max_age: Duration) -> bool {
    seconds_now().checked_sub(written).is_some_and(|age| age <= max_age.as_secs())
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_hours(1);

    fn open(folder: &Path, log: &str, max_age: Duration) -> EmbeddedViews {
        EmbeddedViews::open(&EmbeddedViewsConfig { folder, log, max_age }).unwrap()
    }

    fn put(key: &str, value: &str) -> Change {
        Change { of: key.into(), offset: 0, timestamp: 5, put: vec![(key.into(), value.into())], delete: Vec::new() }
    }

    fn delete(key: &str) -> Change {
        Change { of: key.into(), offset: 0, timestamp: 5, put: Vec::new(), delete: vec![key.into()] }
    }

    fn at(offset: i64) -> ReadPosition {
        ReadPosition { offset, timestamp: 100 + offset }
    }

    fn up_to(offset: i64) -> Piece {
        Piece { from: 0, to: at(offset) }
    }

    fn listed(views: &EmbeddedViews, prefix: &str, after: Option<&str>, limit: usize) -> Vec<(String, String)> {
        let after = after.map(str::as_bytes);
        let rows = views.rows(Range { topic: "t", prefix: prefix.as_bytes(), after, limit }).unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        rows.into_iter().map(|row| (text(row.key), text(row.value))).collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn rows_of_two_partitions_and_their_positions_are_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let views = open(folder.path(), "a", AGE);
        assert_eq!(views.positions("t", 2).unwrap(), [None, None]);
        views.apply("t", 0, vec![put("file/b", "1"), put("file/d", "2"), put("file/b", "3")], up_to(7)).unwrap();
        views.apply("t", 1, vec![put("file/c", "4"), put("other", "5")], up_to(9)).unwrap();
        views.apply("t", 0, vec![delete("file/d"), put("file/a", "6")], up_to(11)).unwrap();
        drop(views);
        let views = open(folder.path(), "a", AGE);
        assert_eq!(views.positions("t", 3).unwrap(), [Some(at(11)), Some(at(9)), None]);
        assert_eq!(listed(&views, "file/", None, 9), pairs(&[("file/a", "6"), ("file/b", "3"), ("file/c", "4")]));
    }

    #[test]
    fn pieces_of_a_list_put_together_are_the_list() {
        let folder = tempfile::tempdir().unwrap();
        let views = open(folder.path(), "a", AGE);
        let changes = ["e", "f/1", "f/2", "f/3", "g"].map(|key| put(key, key)).to_vec();
        views.apply("t", 0, changes, up_to(5)).unwrap();
        views.apply("t2", 0, vec![put("f/4", "of another topic")], up_to(1)).unwrap();
        assert_eq!(listed(&views, "f/", None, 2), pairs(&[("f/1", "f/1"), ("f/2", "f/2")]));
        assert_eq!(listed(&views, "f/", Some("f/2"), 2), pairs(&[("f/3", "f/3")]));
        assert_eq!(listed(&views, "f/", Some("f/3"), 2), []);
        assert_eq!(listed(&views, "f/", Some("a"), 9).len(), 3, "a key before the prefix begins with the first");
    }

    #[test]
    fn a_process_that_is_killed_between_two_changes_leaves_the_first_whole() {
        let folder = tempfile::tempdir().unwrap();
        let views = open(folder.path(), "a", AGE);
        views.apply("t", 0, vec![put("k", "1")], up_to(1)).unwrap();
        // What the kernel has is what another process finds after a kill.
        let killed = tempfile::tempdir().unwrap();
        copy(folder.path(), killed.path());
        views.apply("t", 0, vec![put("k", "2"), put("l", "2")], up_to(3)).unwrap();
        let found = open(killed.path(), "a", AGE);
        assert_eq!(found.positions("t", 1).unwrap(), [Some(at(1))]);
        assert_eq!(listed(&found, "", None, 9), pairs(&[("k", "1")]));
        found.apply("t", 0, vec![put("k", "2"), put("l", "2")], up_to(3)).unwrap();
        assert_eq!(listed(&found, "", None, 9), listed(&views, "", None, 9));
    }

    #[test]
    fn views_of_another_log_and_old_ones_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let fill = |views: &EmbeddedViews| views.apply("t", 0, vec![put("k", "1")], up_to(1)).unwrap();
        fill(&open(folder.path(), "a", AGE));
        let other = open(folder.path(), "b", AGE);
        assert_eq!((listed(&other, "", None, 9).len(), other.positions("t", 1).unwrap()), (0, vec![None]));
        fill(&other);
        drop(other);
        assert_eq!(listed(&open(folder.path(), "b", AGE), "", None, 9).len(), 1);
        for seconds in [seconds_now() - 2 * AGE.as_secs(), seconds_now() + 2 * AGE.as_secs()] {
            let views = open(folder.path(), "b", AGE);
            fill(&views);
            views.about.insert(WRITTEN, seconds.to_be_bytes()).unwrap();
            drop(views);
            assert_eq!(listed(&open(folder.path(), "b", AGE), "", None, 9).len(), 0, "written at {seconds}");
        }
    }

    #[test]
    fn a_position_that_cannot_be_read_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let views = open(folder.path(), "a", AGE);
        views.apply("t", 0, vec![put("k", "1")], up_to(1)).unwrap();
        views.positions.insert(position_key("t", 0), b"short").unwrap();
        drop(views);
        let config = EmbeddedViewsConfig { folder: folder.path(), log: "a", max_age: AGE };
        assert!(matches!(EmbeddedViews::open(&config), Err(ViewError::Damaged { .. })));
    }

    #[test]
    fn a_topic_is_cleared_without_others() {
        let folder = tempfile::tempdir().unwrap();
        let views = open(folder.path(), "a", AGE);
        views.apply("t", 0, vec![put("k", "1")], up_to(1)).unwrap();
        views.apply("tt", 0, vec![put("k", "1")], up_to(1)).unwrap();
        views.clear("t").unwrap();
        assert_eq!((listed(&views, "", None, 9).len(), views.positions("t", 1).unwrap()), (0, vec![None]));
        assert_eq!(views.positions("tt", 1).unwrap(), [Some(at(1))]);
    }

    fn copy(from: &Path, to: &Path) {
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                std::fs::create_dir_all(&target).unwrap();
                copy(&entry.path(), &target);
            } else {
                std::fs::copy(entry.path(), &target).unwrap();
            }
        }
    }
}
