//! The state folder: which process may use it, and whether this program can read it.
//!
//! Layout: `format.json` (format and program version), `lock` (held while a process uses the folder) and `log/` (the
//! database). What the database holds is described in `keys`.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tributary_runtime::{remove_abandoned, write_atomically};

/// The layout of state folders that this program writes, and the newest that it can read.
pub const FORMAT_VERSION: u32 = 2;

/// The oldest format that this release reads. State of format 1 has no schemas. It was never released.
const OLDEST_FORMAT: u32 = 2;

const FORMAT_FILE: &str = "format.json";
const LOCK_FILE: &str = "lock";
const DATABASE_FOLDER: &str = "log";
const LOCK_ATTEMPTS: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Why a state folder cannot be used. Each message names the folder and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StateFolderError {
    /// Another process holds the lock.
    #[error(
        "the state folder {} is in use by another process{holder}: stop that process, or give this one another folder with --state",
        folder.display()
    )]
    InUse {
        /// The state folder.
        folder: PathBuf,
        /// ` (process 123)` if it is known, otherwise empty.
        holder: String,
    },
    /// A later release wrote the folder.
    #[error(
        "the state folder {} was written by Tributary {program} in format {found}, and this program reads formats up to \
         {FORMAT_VERSION}: run Tributary {program} or later, or give this one another folder with --state",
        folder.display()
    )]
    NewerVersion {
        /// The state folder.
        folder: PathBuf,
        /// The version of the program that wrote it.
        program: String,
        /// The format version of the folder.
        found: u32,
    },
    /// A program from before the first release wrote the folder.
    #[error(
        "the state folder {} was written by Tributary {program} in format {found}, before state had schemas: move it \
         away and start with an empty folder, which takes in all files and snapshots again as a new baseline",
        folder.display()
    )]
    OlderVersion {
        /// The state folder.
        folder: PathBuf,
        /// The version of the program that wrote it.
        program: String,
        /// The format version of the folder.
        found: u32,
    },
    /// The content cannot be trusted.
    #[error(
        "the state folder {} is damaged ({reason}): restore it from a backup, or move it away and start with an empty \
         folder, which takes in all files and snapshots again as a new baseline",
        folder.display()
    )]
    Damaged {
        /// The state folder.
        folder: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}; check that the disk has room and that this user may write there", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// A state folder that belongs to this process until it is dropped.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    /// Whether the folder held no state before.
    is_new: bool,
    /// The lock lives as long as this open file. The operating system releases it when the process ends.
    _lock: File,
}

#[derive(Debug, Serialize, Deserialize)]
struct Format {
    format: u32,
    program: String,
}

impl StateFolder {
    /// Takes the folder for this process. Creates it if it is missing.
    ///
    /// # Errors
    /// [`StateFolderError`] when it is in use, of a newer version, damaged or not accessible.
    pub fn open(path: &Path) -> Result<Self, StateFolderError> {
        fs::create_dir_all(path).map_err(|source| io_error("create", path, source))?;
        let lock = take_lock(path)?;
        remove_abandoned(path).map_err(|source| io_error("remove temporary files from", path, source))?;
        let is_new = check_format(path)?;
        Ok(Self { path: path.to_owned(), is_new, _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the database.
    pub fn database(&self) -> PathBuf {
        self.path.join(DATABASE_FOLDER)
    }

    /// Whether the folder held no state before.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// The error for content that cannot be trusted.
    pub(super) fn damaged(&self, reason: impl Into<String>) -> StateFolderError {
        StateFolderError::Damaged { folder: self.path.clone(), reason: reason.into() }
    }
}

/// Whether a process uses the folder now. It does not wait, and creates nothing.
pub fn is_in_use(folder: &Path) -> bool {
    File::open(folder.join(LOCK_FILE)).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Takes a folder for this process, as long as the file is open.
pub(crate) fn take_lock(folder: &Path) -> Result<File, StateFolderError> {
    let path = folder.join(LOCK_FILE);
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(|source| io_error("open", &path, source))?;
    let mut attempt = 0;
    loop {
        attempt += 1;
        match file.try_lock() {
            Ok(()) => break,
            // A process that has just ended may hold the lock for a moment longer.
            Err(TryLockError::WouldBlock) if attempt < LOCK_ATTEMPTS => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => {
                return Err(StateFolderError::InUse { folder: folder.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(io_error("lock", &path, source)),
        }
    }
    let write_holder = |file: &mut File| -> io::Result<()> {
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", std::process::id())
    };
    write_holder(&mut file).map_err(|source| io_error("write", &path, source))?;
    Ok(file)
}

/// The process that holds the lock, if the file names it.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(_) if !text.is_empty() => format!(" (process {})", text.trim()),
        _ => String::new(),
    }
}

/// Checks the format file, or writes it into a folder without state. Returns whether the folder was new.
fn check_format(folder: &Path) -> Result<bool, StateFolderError> {
    let path = folder.join(FORMAT_FILE);
    let damaged = |reason: String| StateFolderError::Damaged { folder: folder.to_owned(), reason };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if folder.join(DATABASE_FOLDER).exists() {
                return Err(damaged(format!("it holds a {DATABASE_FOLDER} folder but no {FORMAT_FILE}")));
            }
            write_format(folder).map_err(|source| io_error("write", &path, source))?;
            return Ok(true);
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(damaged(format!("{FORMAT_FILE} is not text")));
        }
        Err(source) => return Err(io_error("read", &path, source)),
    };
    let found: Format =
        serde_json::from_str(&text).map_err(|error| damaged(format!("{FORMAT_FILE} cannot be read: {error}")))?;
    let (folder_path, program) = (folder.to_owned(), found.program);
    if found.format > FORMAT_VERSION {
        return Err(StateFolderError::NewerVersion { folder: folder_path, program, found: found.format });
    }
    if found.format < OLDEST_FORMAT {
        return Err(StateFolderError::OlderVersion { folder: folder_path, program, found: found.format });
    }
    // A crash between writing the format file and the first commit leaves a folder without a database. It counts as
    // new.
    Ok(!folder.join(DATABASE_FOLDER).exists())
}

fn write_format(folder: &Path) -> io::Result<()> {
    let format = Format { format: FORMAT_VERSION, program: env!("CARGO_PKG_VERSION").to_owned() };
    write_atomically(&folder.join(FORMAT_FILE), &serde_json::to_vec(&format)?)
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> StateFolderError {
    StateFolderError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_use_is_refused_and_free_again_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let first = StateFolder::open(folder.path()).unwrap();
        let refused = StateFolder::open(folder.path()).unwrap_err();
        assert!(matches!(refused, StateFolderError::InUse { .. }));
        let text = refused.to_string();
        assert!(text.contains(&format!("process {}", std::process::id())) && text.contains("--state"), "{text}");
        drop(first);
        StateFolder::open(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_of_a_newer_version_is_refused_with_that_version() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FORMAT_FILE), r#"{"format": 3, "program": "9.1.0", "more": true}"#).unwrap();
        let text = StateFolder::open(folder.path()).unwrap_err().to_string();
        assert!(text.contains("9.1.0") && text.contains("format 3"), "{text}");
    }

    #[test]
    fn an_unreadable_or_missing_format_file_beside_data_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(DATABASE_FOLDER)).unwrap();
        let missing = StateFolder::open(folder.path()).unwrap_err();
        assert!(matches!(missing, StateFolderError::Damaged { .. }), "{missing}");
        for content in [b"".as_slice(), b"{", b"\xff\xfe", b"{\"format\": \"one\"}"] {
            fs::write(folder.path().join(FORMAT_FILE), content).unwrap();
            let broken = StateFolder::open(folder.path()).unwrap_err();
            assert!(matches!(broken, StateFolderError::Damaged { .. }), "{broken}");
        }
    }

    #[test]
    fn a_new_folder_is_created_with_its_parents_and_known_again() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let folder = StateFolder::open(&path).unwrap();
        assert!(folder.is_new());
        fs::create_dir(folder.database()).unwrap();
        drop(folder);
        assert!(!StateFolder::open(&path).unwrap().is_new());
    }
}
