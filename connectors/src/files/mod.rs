//! Folders with files that come from outside or go there: a port, and its implementation on the file system.
//!
//! Which files are ours and what is in them is decided elsewhere.

mod folder;
mod settling;

use std::path::PathBuf;
use std::time::SystemTime;

pub use folder::Folder;
pub use settling::Settling;

/// A file as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Its name, without folder.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// When it was last changed.
    pub modified: SystemTime,
}

/// A place with files: a folder now, an object store or a server later.
pub trait FileStore: Send + Sync {
    /// The files there, sorted by name. Names that start with a dot are temporary and not shown (D54).
    ///
    /// # Errors
    /// [`FileError`] when the place cannot be read.
    fn list(&self) -> Result<Vec<FileEntry>, FileError>;

    /// The content of a file.
    ///
    /// # Errors
    /// [`FileError`] when the file cannot be read.
    fn read(&self, name: &str) -> Result<Vec<u8>, FileError>;

    /// Puts a file there whole or not at all, in place of one of the same name.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be written; then nobody sees any of it.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), FileError>;

    /// Moves a file to the archive (D11). One that is there already under this name is kept beside it.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be moved.
    fn archive(&self, name: &str) -> Result<(), FileError>;
}

/// Why a file could not be listed, read, written or moved: which, why, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It may succeed later.
    #[error("cannot {action} {}: {source}; {advice}", path.display())]
    Failed {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
        /// What to do.
        advice: &'static str,
    },
    /// A name that would lead out of the folder or hide the file.
    #[error("`{0}` is not the name of a file: it must not be empty, start with a dot or hold a slash")]
    Name(String),
}
