//! A folder of the file system as a [`FileStore`].

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::once::{Once, write_once};
use super::{FileEntry, FileError, FileStore};

const ARCHIVE: &str = "archive";

/// A folder of the file system. It is created when the first file is written.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn entry(entry: io::Result<fs::DirEntry>) -> io::Result<Option<FileEntry>> {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { return Ok(None) };
        // It follows links, so that a linked file counts as a file.
        let metadata = match fs::metadata(entry.path()) {
            Ok(metadata) => metadata,
            // The file was removed after the listing.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if name.starts_with('.') || !metadata.is_file() {
            return Ok(None);
        }
        Ok(Some(FileEntry { name, size: metadata.len(), modified: metadata.modified()? }))
    }

    fn place(&self, name: &str) -> Result<PathBuf, FileError> {
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
            return Err(FileError::Name(name.to_owned()));
        }
        Ok(self.path.join(name))
    }

    /// Removes the temporary files of processes that were killed while they wrote. Running processes lock theirs.
    ///
    /// # Errors
    /// [`FileError`] when the folder exists and cannot be read, or such a file cannot be removed.
    pub fn remove_abandoned(&self) -> Result<(), FileError> {
        let failed = |source| failed("remove temporary files from", &self.path, source);
        tributary_runtime::remove_abandoned(&self.path).map_err(failed)
    }

    fn move_to_archive(&self, name: &str, place: &Path) -> io::Result<()> {
        let archive = self.path.join(ARCHIVE);
        fs::create_dir_all(&archive)?;
        let mut target = archive.join(name);
        let mut number = 1;
        while target.try_exists()? {
            number += 1;
            target = archive.join(format!("{name}.{number}"));
        }
        fs::rename(place, target)?;
        File::open(&archive)?.sync_all()?;
        File::open(&self.path)?.sync_all()
    }
}

impl FileStore for Folder {
    fn list(&self) -> Result<Vec<FileEntry>, FileError> {
        let failed = |source| failed("list", &self.path, source);
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            entries.extend(Self::entry(entry).map_err(failed)?);
        }
        entries.sort_unstable_by(|one: &FileEntry, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, FileError> {
        let place = self.place(name)?;
        fs::read(&place).map_err(|source| failed("read", &place, source))
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), FileError> {
        let place = self.place(name)?;
        fs::create_dir_all(&self.path).map_err(|source| failed("create", &self.path, source))?;
        match write_once(&place, content).map_err(|source| failed("write", &place, source))? {
            Once::Written => Ok(()),
            Once::InTheWay { found, offered } => Err(FileError::InTheWay { path: place, found, offered }),
        }
    }

    fn archive(&self, name: &str) -> Result<(), FileError> {
        let place = self.place(name)?;
        self.move_to_archive(name, &place).map_err(|source| failed("archive", &place, source))
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> FileError {
    let advice = match source.kind() {
        ErrorKind::NotFound => "check that it is there",
        ErrorKind::PermissionDenied => "check that this user may read and write there",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on that disk",
        ErrorKind::ReadOnlyFilesystem => "mount that disk for writing",
        _ => "check the disk and the permissions",
    };
    FileError::Failed { action, path: path.to_owned(), source, advice }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Folder) -> Vec<String> {
        folder.list().unwrap().into_iter().map(|entry| entry.name).collect()
    }

    #[test]
    fn d54_a_written_file_is_whole_and_nothing_else_is_left() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new(parent.path().join("out/box"));
        folder.write("b.DAT", b"second").unwrap();
        folder.write("a.DAT", b"").unwrap();
        let entries = folder.list().unwrap();
        assert_eq!(
            entries.iter().map(|entry| (entry.name.as_str(), entry.size)).collect::<Vec<_>>(),
            [("a.DAT", 0), ("b.DAT", 6)]
        );
        assert_eq!(folder.read("b.DAT").unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn d54_temporary_files_and_folders_are_not_listed() {
        let parent = tempfile::tempdir().unwrap();
        fs::write(parent.path().join(".a.DAT.0123456789abcdef.part"), "x").unwrap();
        fs::create_dir(parent.path().join("archive")).unwrap();
        fs::write(parent.path().join("a.DAT"), "x").unwrap();
        assert_eq!(names(&Folder::new(parent.path())), ["a.DAT"]);
    }

    #[test]
    fn only_temporary_files_of_this_program_are_removed_as_abandoned() {
        let parent = tempfile::tempdir().unwrap();
        let path = |name: &str| parent.path().join(name);
        let abandoned = ".a.DAT.0123456789abcdef.part";
        for name in [abandoned, ".a.DAT.part", ".a.DAT.backup-of-mine-1.part", "a.DAT"] {
            fs::write(path(name), "x").unwrap();
        }
        Folder::new(parent.path()).remove_abandoned().unwrap();
        assert!(!path(abandoned).exists());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 3, "files of others stay");
        Folder::new(path("missing")).remove_abandoned().unwrap();
    }

    #[test]
    fn a_full_disk_is_explained() {
        let error = failed("write", Path::new("a.DAT"), ErrorKind::StorageFull.into()).to_string();
        assert!(error.ends_with("make room on that disk"), "{error}");
    }

    #[test]
    fn d11_an_archived_file_keeps_one_of_the_same_name() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new(parent.path());
        for content in ["first", "second"] {
            folder.write("a.DAT", content.as_bytes()).unwrap();
            folder.archive("a.DAT").unwrap();
        }
        assert_eq!(names(&folder), Vec::<String>::new());
        let archive = Folder::new(parent.path().join("archive"));
        assert_eq!(names(&archive), ["a.DAT", "a.DAT.2"]);
        assert_eq!(archive.read("a.DAT.2").unwrap(), b"second");
    }

    #[test]
    fn errors_say_which_file_why_and_what_to_do() {
        let parent = tempfile::tempdir().unwrap();
        fs::write(parent.path().join("file"), "x").unwrap();
        let missing = Folder::new(parent.path().join("missing")).list().unwrap_err().to_string();
        assert!(missing.contains("missing") && missing.contains("check that it is there"), "{missing}");
        let no_folder = Folder::new(parent.path().join("file")).write("a.DAT", b"x").unwrap_err().to_string();
        assert!(no_folder.starts_with("cannot create"), "{no_folder}");
        let folder = Folder::new(parent.path());
        assert!(folder.read("absent.DAT").unwrap_err().to_string().contains("absent.DAT"));
        assert!(folder.archive("absent.DAT").is_err());
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_other() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new(parent.path());
        // A file cannot replace a folder of that name, whoever the user is.
        fs::create_dir(parent.path().join("a.DAT")).unwrap();
        fs::write(parent.path().join("a.DAT/kept"), "x").unwrap();
        assert!(folder.write("a.DAT", b"new").is_err());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }

    #[test]
    fn names_cannot_lead_out_of_the_folder() {
        let folder = Folder::new("unused");
        for name in ["", ".", "..", "../a", "a/b", ".hidden"] {
            assert!(matches!(folder.read(name), Err(FileError::Name(_))), "{name}");
        }
    }
}
