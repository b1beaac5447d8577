//! Tables of state in a folder of this process: one database, with a key space for each table.
//!
//! The tables are copies of what the log has, so nothing of an earlier process is used: a start removes it. No write
//! waits until it is synced to the disk: it is only handed to the operating system.
//!
//! The memory of all tables together is bounded: [`CACHE_BYTES`] for blocks that were read, and for each table one
//! memtable of [`MEMTABLE_BYTES`], or up to four while the disk is behind. Writes that are applied together go into one
//! memtable, which may be as large as they are.
//!
//! After a failed write, such as on a full disk, the database is opened again. It then holds every write that
//! succeeded, and perhaps the failed one, which is applied again.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use fjall::{
    CompressionType, Database, Guard, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, UserKey, UserValue,
};
use tributary_runtime::trouble::Troubles;
use tributary_runtime::{KeyRange, Table, TableEntry, TableError, TableWrites, Tables};

use crate::embedded::{StateFolderError, take_lock};
use crate::events;
use crate::key_value::{describe, may_pass, open_patiently, wait_for_memtables};

/// Memory for blocks that were read, of all tables together.
pub const CACHE_BYTES: u64 = 32 << 20;
/// New entries of one table that are in memory before they go to a file.
pub const MEMTABLE_BYTES: u64 = 2 << 20;

/// The folder of the database in that of the tables.
const DATABASE: &str = "database";
/// Old writes are kept for a restart of the database up to this size. It is the least that the database takes.
const JOURNAL_BYTES: u64 = 64 << 20;
/// The pause between two attempts to open the database again, and after a failed write.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);
/// The subject of troubles with opening the database again.
const REOPENING: &str = "reopening";

/// The tables of one folder, which belongs to this process. Clones are the same tables.
#[derive(Clone)]
pub struct DiskTables(Arc<Shared>);

struct Shared {
    /// The folder of the database.
    folder: PathBuf,
    /// `None` between a failed write and the next opening.
    opened: RwLock<Option<Arc<Opened>>>,
    reopening: Mutex<Reopening>,
    /// When the last write failed, and why, until one succeeds.
    unwritten: Mutex<Option<(Instant, TableError)>>,
    /// The number of the next table.
    next: AtomicU64,
    /// Names of tables that are to be removed.
    dropped: Mutex<Vec<String>>,
    /// Dropped last.
    _lock: File,
}

struct Opened {
    database: Database,
    spaces: Mutex<HashMap<String, Keyspace>>,
}

#[derive(Default)]
struct Reopening {
    /// When the last attempt failed, and why.
    failed: Option<(Instant, TableError)>,
    troubles: Troubles,
}

impl DiskTables {
    /// Takes the folder, and removes what an earlier process has left in it. Creates it if it is missing.
    ///
    /// # Errors
    /// [`StateFolderError`] when another process uses the folder, or it cannot be used.
    pub fn open(folder: &Path) -> Result<Self, StateFolderError> {
        let io_error = |action, path: &Path, source| StateFolderError::Io { action, path: path.to_owned(), source };
        fs::create_dir_all(folder).map_err(|source| io_error("create", folder, source))?;
        let lock = take_lock(folder)?;
        let folder = folder.join(DATABASE);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|source| io_error("remove", &folder, source))?;
        }
        let opened = Opened::open(&folder);
        let opened = opened.map_err(|error| io_error("create", &folder, std::io::Error::other(describe(&error))))?;
        Ok(Self(Arc::new(Shared {
            folder,
            opened: RwLock::new(Some(Arc::new(opened))),
            reopening: Mutex::default(),
            unwritten: Mutex::default(),
            next: AtomicU64::new(0),
            dropped: Mutex::default(),
            _lock: lock,
        })))
    }

    /// Removes the tables that an earlier process has left in a folder, if there are any. The folder stays, with the
    /// lock: another process may wait for it.
    ///
    /// # Errors
    /// [`StateFolderError`] when another process uses the folder, or it cannot be removed.
    pub fn remove(folder: &Path) -> Result<(), StateFolderError> {
        let database = folder.join(DATABASE);
        if !database.exists() {
            return Ok(());
        }
        let _lock = take_lock(folder)?;
        let failed = |source| StateFolderError::Io { action: "remove", path: database.clone(), source };
        fs::remove_dir_all(&database).map_err(failed)
    }
}

impl Tables for DiskTables {
    fn create(&self, name: &str) -> Box<dyn Table> {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        Box::new(DiskTable { shared: Arc::clone(&self.0), name: format!("{name}-{number}") })
    }
}

impl Opened {
    fn open(folder: &Path) -> Result<Self, fjall::Error> {
        let database = Database::builder(folder)
            .cache_size(CACHE_BYTES)
            .journal_compression(CompressionType::None)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(1)
            .open()?;
        Ok(Self { database, spaces: Mutex::default() })
    }

    /// The key space of a table. Created if it is missing.
    fn space(&self, name: &str) -> Result<Keyspace, fjall::Error> {
        let mut spaces = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(space) = spaces.get(name) {
            return Ok(space.clone());
        }
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let space = self.database.keyspace(name, options)?;
        spaces.insert(name.to_owned(), space.clone());
        Ok(space)
    }

    fn apply(&self, space: &Keyspace, writes: &TableWrites) -> Result<(), fjall::Error> {
        wait_for_memtables(&self.database, space)?;
        let batch = OwnedWriteBatch::with_capacity(self.database.clone(), writes.len());
        let mut batch = batch.durability(Some(PersistMode::Buffer));
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(space, key.as_slice(), value.as_slice()),
                None => batch.remove(space, key.as_slice()),
            }
        }
        batch.commit()
    }

    /// Removes a table, if it is there.
    fn remove(&self, name: &str) -> Result<(), fjall::Error> {
        self.spaces.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        if !self.database.keyspace_exists(name) {
            return Ok(());
        }
        self.database.delete_keyspace(self.database.keyspace(name, KeyspaceCreateOptions::default)?)
    }
}

impl Shared {
    /// Calls `read` with the key space of a table.
    fn read<T>(&self, name: &str, read: impl FnOnce(&Keyspace) -> Result<T, fjall::Error>) -> Result<T, TableError> {
        self.ensure_open()?;
        match &*self.opened.read().unwrap_or_else(PoisonError::into_inner) {
            Some(opened) => {
                opened.space(name).and_then(|space| read(&space)).map_err(|error| self.failed("read", &error))
            }
            None => Err(self.failed("read", &fjall::Error::Poisoned)),
        }
    }

    /// Calls `write` with the key space of a table. If that fails, the database is opened again, and further writes to
    /// all tables fail for a while: each opening reads what the disk has.
    fn write(
        &self,
        name: &str,
        write: impl FnOnce(&Opened, &Keyspace) -> Result<(), fjall::Error>,
    ) -> Result<(), TableError> {
        let lately = self.unwritten().as_ref().filter(|(at, _)| at.elapsed() < REOPEN_PAUSE).cloned();
        if let Some((_, error)) = lately {
            return Err(error);
        }
        self.ensure_open()?;
        let (opened, written) = match &*self.opened.read().unwrap_or_else(PoisonError::into_inner) {
            Some(opened) => (Arc::clone(opened), opened.space(name).and_then(|space| write(opened, &space))),
            None => return Err(self.failed("write", &fjall::Error::Poisoned)),
        };
        let Err(error) = written else {
            *self.unwritten() = None;
            return Ok(());
        };
        let error = self.failed("write", &error);
        *self.unwritten() = Some((Instant::now(), error.clone()));
        self.close(opened);
        // If this fails, the next call tries again.
        let _ = self.ensure_open();
        Err(error)
    }

    /// Closes a database that has failed, unless another one is open already.
    fn close(&self, failed: Arc<Opened>) {
        let closed = {
            let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
            opened.take_if(|opened| Arc::ptr_eq(opened, &failed))
        };
        // Other calls do not wait for the end of its threads.
        drop((closed, failed));
    }

    /// Opens the database again after a failed write.
    fn ensure_open(&self) -> Result<(), TableError> {
        let is_open = || self.opened.read().unwrap_or_else(PoisonError::into_inner).is_some();
        if is_open() {
            return Ok(());
        }
        let mut reopening = self.reopening();
        if is_open() {
            return Ok(());
        }
        if let Some((at, error)) = &reopening.failed
            && at.elapsed() < REOPEN_PAUSE
        {
            return Err(error.clone());
        }
        match open_patiently(|| Opened::open(&self.folder)) {
            Ok(opened) => {
                *self.opened.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(opened));
                reopening.failed = None;
                reopening.troubles.end(REOPENING, Instant::now()).iter().for_each(events::tables_trouble);
                self.remove_dropped();
                Ok(())
            }
            Err(error) => {
                let error = self.failed("open", &error);
                let report = reopening.troubles.note(REOPENING, error.to_string(), Instant::now());
                report.iter().for_each(events::tables_trouble);
                reopening.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// Removes tables that nobody has any more. What fails is tried again with the next one.
    fn remove_dropped(&self) {
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        let Some(opened) = &*opened else { return };
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        dropped.retain(|name| {
            let removed = opened.remove(name).map_err(|error| self.failed("remove", &error));
            removed.inspect_err(|error| events::table_not_removed(name, error)).is_err()
        });
    }

    fn failed(&self, action: &str, error: &fjall::Error) -> TableError {
        let (folder, text) = (self.folder.display(), describe(error));
        if may_pass(error) {
            return TableError::Unavailable(format!(
                "cannot {action} {folder}: {text}; free space on that disk or check its permissions; the work is tried \
                 again"
            ));
        }
        TableError::Damaged(format!(
            "cannot {action} {folder}: it is damaged ({text}); check that disk and restart: the folder holds copies only, \
             which are made again from the log"
        ))
    }

    fn unwritten(&self) -> MutexGuard<'_, Option<(Instant, TableError)>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reopening(&self) -> MutexGuard<'_, Reopening> {
        self.reopening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct DiskTable {
    shared: Arc<Shared>,
    name: String,
}

impl Table for DiskTable {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        self.shared.read(&self.name, |space| Ok(space.get(key)?.map(|value| value.to_vec())))
    }

    fn first(&self, range: KeyRange<'_>, limit: usize) -> Result<Vec<TableEntry>, TableError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        self.shared
            .read(&self.name, |space| space.range::<&[u8], _>((range.from, range.to)).take(limit).map(entry).collect())
    }

    fn last(&self, range: KeyRange<'_>, limit: usize) -> Result<Vec<TableEntry>, TableError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        self.shared.read(&self.name, |space| {
            space.range::<&[u8], _>((range.from, range.to)).rev().take(limit).map(entry).collect()
        })
    }

    fn apply(&self, writes: &TableWrites) -> Result<(), TableError> {
        self.shared.write(&self.name, |opened, space| opened.apply(space, writes))
    }

    fn clear(&self) -> Result<(), TableError> {
        self.shared.write(&self.name, |_, space| space.clear())
    }
}

impl Drop for DiskTable {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        self.shared.dropped.lock().unwrap_or_else(PoisonError::into_inner).push(name);
        self.shared.remove_dropped();
    }
}

fn entry(entry: Guard) -> Result<TableEntry, fjall::Error> {
    let (key, value): (UserKey, UserValue) = entry.into_inner()?;
    Ok((key.to_vec(), value.to_vec()))
}
