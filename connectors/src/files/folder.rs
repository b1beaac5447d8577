//! A folder of the file system as a [`FileStore`].

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::once::{Once, write_once};
use super::regular::{in_words, open_regular};
use super::{FileEntry, FileError, FileStore, Listing, NotAFile, OtherEntry};

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

    /// Adds an entry of the folder to its listing.
    fn add(entry: &fs::DirEntry, listing: &mut Listing) {
        let name = entry.file_name();
        let text = name.to_str();
        if name.as_bytes().starts_with(b".") {
            return;
        }
        let reason = match (text, file_metadata(&entry.path())) {
            // It was removed after the listing.
            (_, Ok(None)) => return,
            (Some(name), Ok(Some(metadata))) if metadata.is_file() => {
                listing.files.push(file_entry(name, &metadata));
                return;
            }
            (Some(ARCHIVE), Ok(Some(metadata))) if metadata.is_dir() => return,
            (None, Ok(Some(metadata))) if metadata.is_file() => NotAFile::Name,
            (_, Ok(Some(metadata))) => NotAFile::Kind(in_words(metadata.file_type())),
            (_, Err(source)) => NotAFile::Failed(failed("read", &entry.path(), source)),
        };
        let name = text.map_or_else(|| name.as_bytes().escape_ascii().to_string(), str::to_owned);
        listing.others.push(OtherEntry { name, reason });
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
    fn list(&self) -> Result<Listing, FileError> {
        let failed = |source| failed("list", &self.path, source);
        let mut listing = Listing::default();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            match entry {
                Ok(entry) => Self::add(&entry, &mut listing),
                // The entries so far are right, and those after it are listed next time.
                Err(source) => {
                    let name = self.path.display().to_string();
                    listing.others.push(OtherEntry { name, reason: NotAFile::Failed(failed(source)) });
                }
            }
        }
        listing.files.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        listing.others.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(listing)
    }

    fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, FileError> {
        let place = self.place(name)?;
        let read = || -> io::Result<Option<Vec<u8>>> {
            let file = open_regular(&place)?;
            let size = file.metadata()?.len();
            if size > limit {
                return Ok(None);
            }
            let mut content = Vec::with_capacity(size as usize + 1);
            // It may grow while it is read.
            file.take(limit.saturating_add(1)).read_to_end(&mut content)?;
            Ok((content.len() as u64 <= limit).then_some(content))
        };
        let content = read().map_err(|source| failed("read", &place, source))?;
        content.ok_or(FileError::TooLarge { path: place, limit })
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

/// What lies at `path`. Links are followed, so that a linked file counts as a file; a link to nothing is a link. `None`
/// if there is nothing.
fn file_metadata(path: &Path) -> io::Result<Option<Metadata>> {
    let missing = |error: io::Error| if error.kind() == ErrorKind::NotFound { Ok(None) } else { Err(error) };
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == ErrorKind::NotFound => fs::symlink_metadata(path).map(Some).or_else(missing),
        Err(error) => Err(error),
    }
}

fn file_entry(name: &str, metadata: &Metadata) -> FileEntry {
    let since_1970 = Duration::new(metadata.ctime().max(0).unsigned_abs(), metadata.ctime_nsec() as u32);
    FileEntry {
        name: name.to_owned(),
        size: metadata.len(),
        modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        changed: SystemTime::UNIX_EPOCH + since_1970,
        inode: metadata.ino(),
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
    use std::ffi::OsStr;
    use std::io::Write;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    fn names(folder: &Folder) -> Vec<String> {
        folder.list().unwrap().files.into_iter().map(|entry| entry.name).collect()
    }

    #[test]
    fn d54_a_written_file_is_whole_and_nothing_else_is_left() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new(parent.path().join("out/box"));
        folder.write("b.DAT", b"second").unwrap();
        folder.write("a.DAT", b"").unwrap();
        let entries = folder.list().unwrap().files;
        assert_eq!(
            entries.iter().map(|entry| (entry.name.as_str(), entry.size)).collect::<Vec<_>>(),
            [("a.DAT", 0), ("b.DAT", 6)]
        );
        assert_eq!(folder.read("b.DAT", 6).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn d54_temporary_files_and_folders_are_not_listed() {
        let parent = tempfile::tempdir().unwrap();
        fs::write(parent.path().join(".a.DAT.0123456789abcdef.part"), "x").unwrap();
        fs::create_dir(parent.path().join("archive")).unwrap();
        fs::write(parent.path().join("a.DAT"), "x").unwrap();
        let listing = Folder::new(parent.path()).list().unwrap();
        assert_eq!((listing.files.len(), listing.files[0].name.as_str()), (1, "a.DAT"));
        assert!(listing.others.is_empty(), "{listing:?}");
    }

    #[test]
    fn d107_what_is_no_file_with_a_name_in_utf8_is_listed_apart_and_hides_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let path = |name: &str| parent.path().join(name);
        fs::write(path("file"), "x").unwrap();
        fs::create_dir(path("folder")).unwrap();
        for (target, link) in [("gone", "dangling"), ("loop", "loop"), ("file", "link"), ("folder", "to-folder")] {
            symlink(target, path(link)).unwrap();
        }
        assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        let _socket = UnixListener::bind(path("socket")).unwrap();
        symlink("/dev/null", path("device")).unwrap();
        fs::write(parent.path().join(OsStr::from_bytes(b"name-\xb5")), "x").unwrap();
        let folder = Folder::new(parent.path());
        assert_eq!(names(&folder), ["file", "link"]);
        let others = folder.list().unwrap().others.into_iter().map(|other| (other.name, other.reason.to_string()));
        let others: Vec<(String, String)> = others.collect();
        let expected = [
            ("dangling", "it is a link to nothing, not a regular file"),
            ("device", "it is a device, not a regular file"),
            ("folder", "it is a folder, not a regular file"),
            ("loop", "cannot read"),
            ("name-\\xb5", "its name is not in UTF-8"),
            ("pipe", "it is a named pipe, not a regular file"),
            ("socket", "it is a socket, not a regular file"),
            ("to-folder", "it is a folder, not a regular file"),
        ];
        assert_eq!(others.len(), expected.len(), "{others:?}");
        for ((name, reason), (expected_name, start)) in others.iter().zip(expected) {
            assert!(name == expected_name && reason.starts_with(start), "{name}: {reason}");
        }
    }

    #[test]
    fn d107_only_regular_files_within_the_limit_are_read() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new(parent.path());
        folder.write("a.DAT", b"12345").unwrap();
        assert_eq!(folder.read("a.DAT", 5).unwrap(), b"12345");
        assert!(matches!(folder.read("a.DAT", 4), Err(FileError::TooLarge { limit: 4, .. })));
        assert!(Command::new("mkfifo").arg(parent.path().join("pipe")).status().unwrap().success());
        assert!(folder.read("pipe", 5).unwrap_err().to_string().contains("a named pipe"));
    }

    #[test]
    fn d109_a_file_that_is_written_with_size_and_time_as_before_has_another_entry() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new(parent.path());
        let path = parent.path().join("a.DAT");
        let entry = || folder.list().unwrap().files.remove(0);
        folder.write("a.DAT", b"first").unwrap();
        let first = entry();
        let write_in_place = || {
            let file = File::options().write(true).open(&path).unwrap();
            (&file).write_all(b"other").unwrap();
            file.set_modified(first.modified).unwrap();
        };
        // The clock of the file system has steps of some milliseconds.
        while entry().changed == first.changed {
            write_in_place();
        }
        let second = entry();
        assert_eq!((second.size, second.modified, second.inode), (first.size, first.modified, first.inode));
        assert_ne!(first, second);
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
        assert_eq!(archive.read("a.DAT.2", 100).unwrap(), b"second");
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
        assert!(folder.read("absent.DAT", 100).unwrap_err().to_string().contains("absent.DAT"));
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
            assert!(matches!(folder.read(name, 100), Err(FileError::Name(_))), "{name}");
        }
    }
}
