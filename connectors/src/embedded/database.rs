//! The database below the embedded log: opening it, applying changes atomically, and recovering from failed writes.
//!
//! Every set of changes carries a sequence number. After a failed write the database is opened again, and its number
//! says whether the changes are stored. So a write is never reported as failed and found stored later.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Instant;

use fjall::{CompressionType, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};
use tributary_runtime::LogError;
use tributary_runtime::trouble::Troubles;

use super::folder::{StateFolder, StateFolderError};
use crate::events;
use crate::key_value::{describe, is_about_content, open_patiently, wait_for_memtables};

/// Holds the number of the newest change that is known to be on the disk. A lower number in the database means damage.
const SYNCED_FILE: &str = "synced";
/// The database writes this file last when it is created.
const VERSION_MARKER: &str = "version";
const SEQUENCE_KEY: &[u8] = b"s";
const CACHE_BYTES: u64 = 32 << 20;
const BATCH_MEMTABLE_BYTES: u64 = 32 << 20;
/// The subject of troubles with opening the database again.
const REOPENING: &str = "reopening";

/// The two key spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    /// Small entries: topics, partitions, offsets of groups, the sequence number.
    Meta,
    /// Record batches.
    Batches,
}

/// One change: a value to write, or a key to remove.
pub(super) struct Change {
    pub(super) space: Space,
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
}

/// The open database.
pub(super) struct Opened {
    database: fjall::Database,
    pub(super) meta: Keyspace,
    pub(super) batches: Keyspace,
}

/// The database of one state folder.
pub(super) struct Database {
    path: PathBuf,
    synced: File,
    /// `None` between a failed write and the next opening.
    opened: RwLock<Option<Opened>>,
    /// The number of the newest change that is known to be on the disk.
    on_disk: AtomicU64,
    /// Whether each change waits for the disk.
    durability: PersistMode,
    writer: Mutex<Writer>,
}

struct Writer {
    /// The number of the last change that succeeded.
    sequence: u64,
    /// The number of a failed change of which it is not known yet whether it is stored.
    in_doubt: Option<u64>,
    is_closed: bool,
    troubles: Troubles,
}

impl Database {
    /// Opens the database of `folder`, or creates it.
    pub(super) fn open(folder: &StateFolder, sync_each: bool) -> Result<Self, StateFolderError> {
        let path = folder.database();
        let synced_path = folder.path().join(SYNCED_FILE);
        let io_error = |action, path: &Path, source| StateFolderError::Io { action, path: path.to_owned(), source };
        let synced = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&synced_path)
            .map_err(|source| io_error("open", &synced_path, source))?;
        let known = read_synced(&synced).map_err(|source| io_error("read", &synced_path, source))?;
        if known == 0 && path.exists() && !path.join(VERSION_MARKER).exists() {
            // The process ended while it created the database, so nothing can have been stored.
            fs::remove_dir_all(&path).map_err(|source| io_error("remove", &path, source))?;
        } else if known > 0 && !path.join(VERSION_MARKER).exists() {
            return Err(folder.damaged("the database is missing"));
        }
        let opened = Opened::open(&path).map_err(|error| open_error(folder, error))?;
        let sequence = opened.sequence().map_err(|error| folder.damaged(describe(&error)))?;
        if sequence < known {
            return Err(folder.damaged(format!("it ends at change {sequence}, but change {known} had been stored")));
        }
        let writer = Mutex::new(Writer { sequence, in_doubt: None, is_closed: false, troubles: Troubles::new() });
        let durability = if sync_each { PersistMode::SyncData } else { PersistMode::Buffer };
        let on_disk = AtomicU64::new(known);
        Ok(Self { path, synced, opened: RwLock::new(Some(opened)), on_disk, durability, writer })
    }

    /// Applies all changes or none.
    pub(super) fn apply(&self, changes: Vec<Change>) -> Result<(), LogError> {
        let mut writer = self.lock_writer();
        self.ensure_open(&mut writer)?;
        let sequence = writer.sequence + 1;
        let result = match self.read().as_ref() {
            Some(opened) => opened.apply(changes, sequence, self.durability),
            None => Err(fjall::Error::Poisoned),
        };
        let Err(error) = result else {
            writer.sequence = sequence;
            writer.troubles.end(REOPENING, Instant::now()).iter().for_each(events::state_folder_trouble);
            return Ok(());
        };
        writer.in_doubt = Some(sequence);
        *self.opened.write().unwrap_or_else(PoisonError::into_inner) = None;
        if let Err(again) = self.reopen() {
            let report = writer.troubles.note(REOPENING, describe(&again), Instant::now());
            report.iter().for_each(events::state_folder_trouble);
            return Err(self.unavailable(error));
        }
        // The database can be read again, so the outcome is certain.
        writer.in_doubt = None;
        if self.stored_sequence()? == sequence {
            writer.sequence = sequence;
            return Ok(());
        }
        Err(self.unavailable(error))
    }

    /// Calls `read` with the open database.
    pub(super) fn with<T>(&self, read: impl FnOnce(&Opened) -> Result<T, LogError>) -> Result<T, LogError> {
        self.ensure_open(&mut self.lock_writer())?;
        match self.read().as_ref() {
            Some(opened) => read(opened),
            None => Err(LogError::unavailable(format!("{} is being opened again", self.path.display()))),
        }
    }

    /// Syncs all changes so far to the disk, and records the number of the last one.
    pub(super) fn sync(&self) -> Result<(), LogError> {
        let sequence = self.lock_writer().sequence;
        if self.on_disk.load(Ordering::Acquire) >= sequence {
            return Ok(());
        }
        let guard = self.read();
        let Some(opened) = guard.as_ref() else {
            return Err(LogError::unavailable("the database has to be opened again before it can be synced"));
        };
        opened.database.persist(PersistMode::SyncData).map_err(|error| self.unavailable(error))?;
        let text = format!("{sequence:020}\n");
        self.synced.write_all_at(text.as_bytes(), 0).map_err(|error| {
            LogError::unavailable(format!("cannot write to {SYNCED_FILE}: {error}")).caused_by(error)
        })?;
        self.on_disk.fetch_max(sequence, Ordering::AcqRel);
        Ok(())
    }

    /// Syncs everything to the disk and closes the database, even if it is still shared.
    pub(super) fn close(&self) -> Result<(), LogError> {
        self.lock_writer().is_closed = true;
        let synced = self.sync();
        *self.opened.write().unwrap_or_else(PoisonError::into_inner) = None;
        synced
    }

    /// The number of the last change.
    pub(super) fn sequence(&self) -> u64 {
        self.lock_writer().sequence
    }

    /// The error for stored bytes that cannot be understood.
    pub(super) fn damaged(&self, what: &str) -> LogError {
        LogError::fatal(format!(
            "{} is damaged ({what}): restore the state folder from a backup, or move it away and start with an empty one",
            self.path.display()
        ))
    }

    /// The error of a read. An error of the disk may pass, an error in the content does not.
    pub(super) fn unreadable(&self, error: fjall::Error) -> LogError {
        match &error {
            fjall::Error::Io(source) | fjall::Error::Storage(fjall::LsmError::Io(source))
                if !is_about_content(source) =>
            {
                let text = format!("cannot read {}: {source}; check that disk", self.path.display());
                LogError::unavailable(text).caused_by(error)
            }
            fjall::Error::Poisoned | fjall::Error::Locked => self.unavailable(error),
            _ => self.damaged(&describe(&error)).caused_by(error),
        }
    }

    /// The error for a database that cannot be written now.
    pub(super) fn unavailable(&self, error: fjall::Error) -> LogError {
        LogError::unavailable(format!(
            "cannot write to {}: {}; free space on that disk or check its permissions; the work is tried again",
            self.path.display(),
            describe(&error)
        ))
        .caused_by(error)
    }

    /// Opens the database again after a failure, and finds out whether the change in doubt is stored.
    fn ensure_open(&self, writer: &mut Writer) -> Result<(), LogError> {
        if writer.is_closed {
            return Err(LogError::fatal(format!("{} is closed", self.path.display())));
        }
        if self.read().is_none() {
            self.reopen().map_err(|error| self.unavailable(error))?;
        }
        let Some(in_doubt) = writer.in_doubt else { return Ok(()) };
        if self.stored_sequence()? == in_doubt {
            return Err(LogError::fatal(format!(
                "a failed write to {} was found stored after all: restart to continue from it",
                self.path.display()
            )));
        }
        writer.in_doubt = None;
        Ok(())
    }

    fn reopen(&self) -> Result<(), fjall::Error> {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        *opened = Some(open_patiently(|| Opened::open(&self.path))?);
        Ok(())
    }

    fn stored_sequence(&self) -> Result<u64, LogError> {
        match self.read().as_ref().map(Opened::sequence) {
            Some(Ok(sequence)) => Ok(sequence),
            Some(Err(error)) => Err(self.unavailable(error)),
            None => Err(self.unavailable(fjall::Error::Poisoned)),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<Opened>> {
        self.opened.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Batches are large, written once, and mostly removed soon. They are stored apart from their keys, so that merging the
/// tree of keys does not copy them. This halves the work of a commit.
fn batch_options() -> KeyspaceCreateOptions {
    let apart = KvSeparationOptions::default().compression(CompressionType::None);
    KeyspaceCreateOptions::default().max_memtable_size(BATCH_MEMTABLE_BYTES).with_kv_separation(Some(apart))
}

impl Opened {
    fn open(path: &Path) -> Result<Self, fjall::Error> {
        let database = fjall::Database::builder(path)
            .cache_size(CACHE_BYTES)
            .journal_compression(CompressionType::None)
            .worker_threads(2)
            .open()?;
        let meta = database.keyspace("meta", KeyspaceCreateOptions::default)?;
        let batches = database.keyspace("batches", batch_options)?;
        Ok(Self { database, meta, batches })
    }

    fn sequence(&self) -> Result<u64, fjall::Error> {
        let stored = self.meta.get(SEQUENCE_KEY)?;
        Ok(stored.and_then(|bytes| Some(u64::from_be_bytes(bytes.as_ref().try_into().ok()?))).unwrap_or(0))
    }

    fn apply(&self, changes: Vec<Change>, sequence: u64, durability: PersistMode) -> Result<(), fjall::Error> {
        wait_for_memtables(&self.database, &self.batches)?;
        let mut batch = fjall::OwnedWriteBatch::with_capacity(self.database.clone(), changes.len() + 1)
            .durability(Some(durability));
        for change in changes {
            let space = match change.space {
                Space::Meta => &self.meta,
                Space::Batches => &self.batches,
            };
            match change.value {
                Some(value) => batch.insert(space, change.key, value),
                None => batch.remove(space, change.key),
            }
        }
        batch.insert(&self.meta, SEQUENCE_KEY, sequence.to_be_bytes().as_slice());
        batch.commit()
    }
}

fn read_synced(file: &File) -> io::Result<u64> {
    let mut bytes = [0; 20];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => Ok(std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok()).unwrap_or(0)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
        Err(error) => Err(error),
    }
}

fn open_error(folder: &StateFolder, error: fjall::Error) -> StateFolderError {
    match error {
        fjall::Error::Locked => StateFolderError::InUse { folder: folder.path().to_owned(), holder: String::new() },
        fjall::Error::Io(source) if !is_about_content(&source) => {
            StateFolderError::Io { action: "open", path: folder.database(), source }
        }
        error => folder.damaged(describe(&error)),
    }
}
