//! What lies in a snapshot folder under the names of a snapshot: six files and the manifest. Other names are nobody's
//! concern here.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Kind, MANIFEST_FILE};
use crate::files::in_words;

/// The entries of a snapshot folder that belong to a snapshot. Two listings are equal if nothing has changed between
/// them, as far as the file system shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing(Vec<(String, Found)>);

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    /// A file, or something in its place.
    Entry { is_file: bool, size: u64, inode: u64, modified: (i64, i64), changed: (i64, i64) },
    /// A link to nothing, or an entry that the file system does not describe.
    Unknown(io::ErrorKind),
}

impl Listing {
    /// Looks into `folder`.
    ///
    /// # Errors
    /// The error of the operating system if the folder itself cannot be read.
    pub fn of(folder: &Path) -> io::Result<Self> {
        fs::read_dir(folder)?;
        let mut entries = Vec::new();
        for name in names() {
            let found = match stat(&folder.join(&name)) {
                Ok(None) => continue,
                Ok(Some(metadata)) => Found::of(&metadata),
                Err(error) => Found::Unknown(error.kind()),
            };
            entries.push((name, found));
        }
        Ok(Self(entries))
    }

    /// Whether the folder has no entry of a snapshot.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Found {
    fn of(metadata: &Metadata) -> Self {
        Self::Entry {
            is_file: metadata.is_file(),
            size: metadata.len(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// The names of a snapshot.
fn names() -> impl Iterator<Item = String> {
    let files =
        Kind::ALL.into_iter().flat_map(|kind| [kind.file_name().to_owned(), format!("{}.gz", kind.file_name())]);
    files.chain([MANIFEST_FILE.to_owned()])
}

/// The entry at `path`. It follows links. `None` if there is no entry.
fn stat(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a file lies at `path`. The inner error is what lies there instead.
pub(super) fn is_file(path: &Path) -> io::Result<Result<bool, &'static str>> {
    match stat(path) {
        Ok(None) => Ok(Ok(false)),
        Ok(Some(metadata)) if metadata.is_file() => Ok(Ok(true)),
        Ok(Some(metadata)) => Ok(Err(in_words(metadata.file_type()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Err("a link to nothing")),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(folder: &Path) -> Listing {
        Listing::of(folder).unwrap()
    }

    #[test]
    fn only_the_six_names_and_the_manifest_belong_to_a_snapshot() {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["notes.txt", "posts.jsonl.tmp", ".posts.jsonl", "POSTS.JSONL", "posts.json", "people.jsonl.gz.part"]
        {
            fs::write(folder.path().join(name), "x").unwrap();
            assert!(listing(folder.path()).is_empty(), "{name}");
        }
        let mut before = listing(folder.path());
        for name in names() {
            fs::write(folder.path().join(&name), "x").unwrap();
            let now = listing(folder.path());
            assert_ne!(now, before, "{name}");
            before = now;
        }
        assert_eq!(names().count(), 7);
        assert_eq!(listing(folder.path()), before);
    }

    #[test]
    fn a_change_that_keeps_size_and_time_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("posts.jsonl");
        fs::write(&path, "one").unwrap();
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let before = listing(folder.path());
        let other = folder.path().join("other");
        fs::write(&other, "two").unwrap();
        fs::File::options().write(true).open(&other).unwrap().set_modified(modified).unwrap();
        fs::rename(&other, &path).unwrap();
        assert_ne!(listing(folder.path()), before);
    }

    #[test]
    fn a_folder_that_is_away_is_an_error_and_a_link_to_nothing_is_an_entry() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Listing::of(&folder.path().join("away")).is_err());
        std::os::unix::fs::symlink("gone", folder.path().join("posts.jsonl")).unwrap();
        assert!(!listing(folder.path()).is_empty());
        assert_eq!(is_file(&folder.path().join("posts.jsonl")).unwrap(), Err("a link to nothing"));
    }
}
