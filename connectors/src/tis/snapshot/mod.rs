//! Reads a TIS snapshot: a folder with `posts.jsonl`, `placements.jsonl` and `people.jsonl` (or `*.jsonl.gz`), one
//! object per line.
//!
//! A bad line is reported, and the other lines load. This module does not decide what is new, what is deleted, or
//! whether a snapshot deletes too much. [`KindReport`] only says whether deletions may be derived (D2).

mod field;
mod line_reader;
mod listing;
mod manifest;
mod object;

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use line_reader::{Line, MAX_LINE_BYTES, SnapshotLines};
use manifest::{MANIFEST_FILE, Manifest};
use object::{LineFault, Object};

use crate::files::open_regular;

pub use field::Days;
pub use listing::Listing;
pub use object::{
    ContactDetails, EsrEvent, GdcDetails, GmcDetails, LifecycleState, Person, PersonalDetails, Placement, Post,
    PostStatus,
};

/// No manifest is larger. The limit keeps a broken file from filling the memory.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// The number of bad lines of a file that are listed one by one. All bad lines are counted.
const LISTED_BAD_LINES: usize = 100;

/// The kinds of objects in a snapshot. Each kind has its own file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `posts.jsonl`.
    Posts,
    /// `placements.jsonl`.
    Placements,
    /// `people.jsonl`.
    People,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Posts, Self::Placements, Self::People];

    /// The name of the file without compression.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Posts => "posts.jsonl",
            Self::Placements => "placements.jsonl",
            Self::People => "people.jsonl",
        }
    }
}

/// One line that was not loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Name of the file.
    pub file: String,
    /// The number of the line, from 1.
    pub line: u64,
    /// The faulty field, with dots between nested names. `None` if the whole line is faulty.
    pub field: Option<String>,
    /// What is wrong with the field or the line.
    pub reason: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, reason, .. } = self;
        match &self.field {
            Some(field) => write!(f, "{file}, line {line}: {field} {reason}"),
            None => write!(f, "{file}, line {line}: {reason}"),
        }
    }
}

/// The result of reading the file of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KindReport {
    /// Whether the snapshot has a file of this kind.
    pub is_present: bool,
    /// The number of objects read.
    pub loaded: u64,
    /// The number of lines that could not be read.
    pub bad: u64,
    /// The first bad lines.
    pub bad_lines: Vec<BadLine>,
}

impl KindReport {
    /// Whether the objects that this file does not name may count as deleted in a full snapshot: the file exists, every
    /// line of it was read (D2), and there is an object in it (D112).
    pub fn allows_deletions(&self) -> bool {
        self.is_present && self.bad == 0 && self.loaded > 0
    }

    fn add(&mut self, file: &str, line: u64, fault: LineFault) {
        self.bad += 1;
        if self.bad_lines.len() < LISTED_BAD_LINES {
            self.bad_lines.push(BadLine { file: file.to_owned(), line, field: fault.field, reason: fault.reason });
        }
    }
}

/// Why a snapshot cannot be used now.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The files are not those that the manifest describes.
    #[error(
        "the snapshot {} is not complete: {difference}; wait if it is still being written, else export it again",
        folder.display()
    )]
    Incomplete {
        /// The snapshot's folder.
        folder: PathBuf,
        /// The first difference.
        difference: String,
    },
    /// The manifest cannot be read.
    #[error(
        "cannot read {}: {reason}; expected {{\"files\": {{\"posts.jsonl\": {{\"count\": 1, \"sha256\": \"...\"}}}}}}",
        path.display()
    )]
    Manifest {
        /// The path of the manifest.
        path: PathBuf,
        /// Why it cannot be read.
        reason: String,
    },
    /// Two files of one kind.
    #[error("the snapshot {} holds both {name} and {name}.gz: remove the one that is out of date", folder.display())]
    Ambiguous {
        /// The snapshot's folder.
        folder: PathBuf,
        /// Name of the plain file.
        name: &'static str,
    },
    /// Something that is no file has the name of one.
    #[error("{} is {what}, not a file: remove it, and export the snapshot again", path.display())]
    NotAFile {
        /// Its path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The operating system refuses access.
    #[error("cannot read {}: {source}; check that it is there and that this user may read it", path.display())]
    Io {
        /// The path of the file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl SnapshotError {
    /// Whether the same files may be readable later. If not, only a change of the files helps.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Io { .. } | Self::NotAFile { .. } => true,
            Self::Incomplete { .. } | Self::Manifest { .. } | Self::Ambiguous { .. } => false,
        }
    }
}

/// A snapshot whose manifest, if it has one, agrees with its files.
#[derive(Debug)]
pub struct TisSnapshot {
    folder: PathBuf,
    files: Vec<(Kind, String)>,
}

impl TisSnapshot {
    /// Finds the files of `folder` and checks them against `manifest.json` if there is one.
    ///
    /// # Errors
    /// [`SnapshotError`] when the snapshot is incomplete or cannot be read.
    pub fn open(folder: &Path) -> Result<Self, SnapshotError> {
        let mut files = Vec::new();
        fs::read_dir(folder).map_err(|source| SnapshotError::Io { path: folder.to_owned(), source })?;
        for kind in Kind::ALL {
            let plain = kind.file_name();
            let compressed = format!("{plain}.gz");
            match (is_file(folder, plain)?, is_file(folder, &compressed)?) {
                (true, true) => return Err(SnapshotError::Ambiguous { folder: folder.to_owned(), name: plain }),
                (true, false) => files.push((kind, plain.to_owned())),
                (false, true) => files.push((kind, compressed)),
                (false, false) => {}
            }
        }
        let snapshot = Self { folder: folder.to_owned(), files };
        snapshot.check_manifest()?;
        Ok(snapshot)
    }

    /// Whether the folder holds no file of a snapshot.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Passes every post to `each`, which may end the load with an error.
    ///
    /// # Errors
    /// A [`SnapshotError`] when the file cannot be read, or the error of `each`.
    pub fn posts<E: From<SnapshotError>>(&self, each: impl FnMut(Post) -> Result<(), E>) -> Result<KindReport, E> {
        self.load(Kind::Posts, |_| false, each)
    }

    /// Passes every placement to `each`, which may end the load with an error.
    ///
    /// # Errors
    /// A [`SnapshotError`] when the file cannot be read, or the error of `each`.
    pub fn placements<E: From<SnapshotError>>(
        &self,
        each: impl FnMut(Placement) -> Result<(), E>,
    ) -> Result<KindReport, E> {
        self.load(Kind::Placements, |_| false, each)
    }

    /// Passes every person to `each`, which may end the load with an error.
    ///
    /// # Errors
    /// A [`SnapshotError`] when the file cannot be read, or the error of `each`.
    pub fn people<E: From<SnapshotError>>(&self, each: impl FnMut(Person) -> Result<(), E>) -> Result<KindReport, E> {
        self.load(Kind::People, |_| false, each)
    }

    /// As [`TisSnapshot::posts`], but does not parse lines for which `is_unchanged` returns true. They count as loaded.
    ///
    /// # Errors
    /// As [`TisSnapshot::posts`].
    pub fn changed_posts<E: From<SnapshotError>>(
        &self,
        is_unchanged: impl FnMut(&[u8]) -> bool,
        each: impl FnMut(Post) -> Result<(), E>,
    ) -> Result<KindReport, E> {
        self.load(Kind::Posts, is_unchanged, each)
    }

    /// As [`TisSnapshot::placements`], but does not parse lines for which `is_unchanged` returns true. They count as
    /// loaded.
    ///
    /// # Errors
    /// As [`TisSnapshot::placements`].
    pub fn changed_placements<E: From<SnapshotError>>(
        &self,
        is_unchanged: impl FnMut(&[u8]) -> bool,
        each: impl FnMut(Placement) -> Result<(), E>,
    ) -> Result<KindReport, E> {
        self.load(Kind::Placements, is_unchanged, each)
    }

    /// As [`TisSnapshot::people`], but does not parse lines for which `is_unchanged` returns true. They count as
    /// loaded.
    ///
    /// # Errors
    /// As [`TisSnapshot::people`].
    pub fn changed_people<E: From<SnapshotError>>(
        &self,
        is_unchanged: impl FnMut(&[u8]) -> bool,
        each: impl FnMut(Person) -> Result<(), E>,
    ) -> Result<KindReport, E> {
        self.load(Kind::People, is_unchanged, each)
    }

    fn load<T: Object, E: From<SnapshotError>>(
        &self,
        kind: Kind,
        mut is_unchanged: impl FnMut(&[u8]) -> bool,
        mut each: impl FnMut(T) -> Result<(), E>,
    ) -> Result<KindReport, E> {
        let Some((_, name)) = self.files.iter().find(|(candidate, _)| *candidate == kind) else {
            return Ok(KindReport::default());
        };
        let path = self.folder.join(name);
        let io = |source| SnapshotError::Io { path: path.clone(), source };
        let mut report = KindReport { is_present: true, ..KindReport::default() };
        let mut lines = SnapshotLines::open(&path).map_err(io)?;
        loop {
            let fault = match lines.next().map_err(io)? {
                Line::End => return Ok(report),
                Line::Broken(reason) => {
                    report.add(name, lines.number(), LineFault { field: None, reason });
                    return Ok(report);
                }
                Line::TooLong => LineFault { field: None, reason: format!("is longer than {MAX_LINE_BYTES} bytes") },
                Line::Text(text) if is_unchanged(text) => {
                    report.loaded += 1;
                    continue;
                }
                Line::Text(text) => match T::from_line(text) {
                    Ok(object) => {
                        report.loaded += 1;
                        each(object)?;
                        continue;
                    }
                    Err(fault) => fault,
                },
            };
            report.add(name, lines.number(), fault);
        }
    }

    fn check_manifest(&self) -> Result<(), SnapshotError> {
        if !is_file(&self.folder, MANIFEST_FILE)? {
            return Ok(());
        }
        let path = self.folder.join(MANIFEST_FILE);
        let mut text = Vec::new();
        let read = open_regular(&path).and_then(|file| file.take(MAX_MANIFEST_BYTES + 1).read_to_end(&mut text));
        let size = read.map_err(|source| SnapshotError::Io { path: path.clone(), source })?;
        if size as u64 > MAX_MANIFEST_BYTES {
            let reason = format!("it is larger than {MAX_MANIFEST_BYTES} bytes");
            return Err(SnapshotError::Manifest { path, reason });
        }
        let manifest = Manifest::parse(&text).map_err(|reason| SnapshotError::Manifest { path, reason })?;
        let present: Vec<&str> = self.files.iter().map(|(_, name)| name.as_str()).collect();
        let folder = &self.folder;
        manifest
            .check(folder, &present)
            .map_err(|source| SnapshotError::Io { path: folder.clone(), source })?
            .map_err(|difference| SnapshotError::Incomplete { folder: folder.clone(), difference })
    }
}

fn is_file(folder: &Path, name: &str) -> Result<bool, SnapshotError> {
    let path = folder.join(name);
    match listing::is_file(&path) {
        Ok(Ok(is_there)) => Ok(is_there),
        Ok(Err(what)) => Err(SnapshotError::NotAFile { path, what }),
        Err(source) => Err(SnapshotError::Io { path, source }),
    }
}

#[cfg(test)]
mod tests;
