//! Folders whose files others write or read: a port, and its implementation on the file system.
//!
//! This module does not decide which files belong to a flow, nor what they contain.

mod folder;
mod once;
mod regular;
mod settling;

use std::path::PathBuf;
use std::time::SystemTime;

pub use folder::Folder;
pub(crate) use regular::in_words;
pub use regular::open_regular;
pub use settling::Settling;

/// A file in a listing. Another version of the file has another entry, even if it has the same size and its owner has
/// set the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Its name, without the folder.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// When its content was last changed, or what its owner has set.
    pub modified: SystemTime,
    /// When its content, name or rights were last changed.
    pub changed: SystemTime,
    /// Its number in the file system.
    pub inode: u64,
}

/// What a place holds.
#[derive(Debug, Default)]
pub struct Listing {
    /// The regular files, sorted by name.
    pub files: Vec<FileEntry>,
    /// The other entries, sorted by name.
    pub others: Vec<OtherEntry>,
}

/// An entry that is not listed as a file.
#[derive(Debug)]
pub struct OtherEntry {
    /// Its name. Bytes that are not UTF-8 are escaped.
    pub name: String,
    /// Why it is not listed as a file.
    pub reason: NotAFile,
}

/// Why an entry is not listed as a file.
#[derive(Debug, thiserror::Error)]
pub enum NotAFile {
    /// It is something else.
    #[error("it is {0}, not a regular file")]
    Kind(&'static str),
    /// Its name is not text.
    #[error("its name is not in UTF-8")]
    Name,
    /// The file system does not say what it is. A retry may succeed.
    #[error(transparent)]
    Failed(FileError),
}

/// A place with files: a folder now, an object store or a server later.
pub trait FileStore: Send + Sync {
    /// What the place holds, without its archive. Names that start with a dot are temporary and not listed (D54). An
    /// entry that fails does not hide the others.
    ///
    /// # Errors
    /// [`FileError`] when the place as a whole cannot be read.
    fn list(&self) -> Result<Listing, FileError>;

    /// The content of a regular file.
    ///
    /// # Errors
    /// [`FileError`] when the file cannot be read, or is larger than `limit` bytes. Then it is not in memory.
    fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, FileError>;

    /// Writes a file whole or not at all. A file of this name with the same bytes is the file, already written. One
    /// with other bytes is never replaced (D63).
    ///
    /// # Errors
    /// [`FileError`] when it cannot be written. Then nobody sees any part of it. [`FileError::InTheWay`] when something
    /// else has its name.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), FileError>;

    /// Moves a file to the archive (D11). If the archive has one of this name, it keeps both.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be moved.
    fn archive(&self, name: &str) -> Result<(), FileError>;
}

/// Why a file could not be listed, read, written or moved. It names the file, the reason and what to do.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A failure of the file system. A retry may succeed.
    #[error("cannot {action} {}: {source}; {advice}", path.display())]
    Failed {
        /// The action that failed.
        action: &'static str,
        /// The path of the file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
        /// What the reader of the message should do.
        advice: &'static str,
    },
    /// A file that is too large to be read.
    #[error("{} has more than {limit} bytes and is not read", path.display())]
    TooLarge {
        /// The path of the file.
        path: PathBuf,
        /// The most bytes that may be read.
        limit: u64,
    },
    /// Something else has the name of a file that is to be written.
    #[error(
        "{} is not written, because {found}, and the file to be written has {offered}. What is there was not \
         replaced. If its receiver has fetched it, move it away: the new file then follows by itself. If it comes from \
         another state folder, stop, and name that one with --state",
        path.display()
    )]
    InTheWay {
        /// The path of the file.
        path: PathBuf,
        /// What is there.
        found: String,
        /// What was to be written.
        offered: String,
    },
    /// A name that would lead out of the folder or hide the file.
    #[error("`{0}` is not the name of a file: it must not be empty, start with a dot or hold a slash")]
    Name(String),
}

impl FileError {
    /// Whether the file is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Failed { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }
}
