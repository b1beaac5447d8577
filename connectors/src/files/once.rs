//! Writes a file once: the same bytes are done, and something else of that name is never replaced (D63).

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use tributary_runtime::{bring_to_disk, write_new_atomically};

use super::open_regular;
use crate::hex::hex;

/// How often a file that goes between two looks is written again.
const ATTEMPTS: u32 = 3;

/// The digits of a hash that a message shows.
const SHOWN_HASH_DIGITS: usize = 12;

/// What became of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Once {
    /// It is there and on the disk, from now or from before.
    Written,
    /// Something else is there.
    InTheWay {
        /// What is there, as a part of a sentence.
        found: String,
        /// What was to be written.
        offered: String,
    },
}

/// Writes the file at `path`, unless something is there.
///
/// # Errors
/// What the file system says about the file to be written, without the path. If what is there cannot be read, that is
/// no error: it is in the way.
pub(super) fn write_once(path: &Path, content: &[u8]) -> io::Result<Once> {
    let mut attempt = 0;
    loop {
        // The comparison comes first, so that a file that is written already costs no second copy on the disk.
        match compare(path, content)? {
            Some(once) => return Ok(once),
            None => attempt += 1,
        }
        match write_new_atomically(path, content) {
            // Another process has been faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < ATTEMPTS => {}
            written => return written.map(|()| Once::Written),
        }
    }
}

/// Compares what is at `path` with `content`. `None` if nothing is there.
fn compare(path: &Path, content: &[u8]) -> io::Result<Option<Once>> {
    let in_the_way = |found: String, offered: String| Ok(Some(Once::InTheWay { found, offered }));
    let offered = || format!("{} bytes", content.len());
    let opened = match open_regular(path) {
        Ok(file) => read(&file, content.len()).map(|found| (file, found)),
        Err(error) => match fs::symlink_metadata(path) {
            Ok(_) => Err(error),
            Err(missing) if missing.kind() == ErrorKind::NotFound => return Ok(None),
            // The folder cannot be read, which concerns every file.
            Err(error) => return Err(error),
        },
    };
    let (file, found) = match opened {
        Ok(opened) => opened,
        Err(error) => return in_the_way(format!("what is there cannot be compared ({error})"), offered()),
    };
    match found {
        Found::Size(size) => in_the_way(format!("another file of {size} bytes has its name"), offered()),
        Found::Content(found) if found == content => {
            // The process that wrote it may have been killed before it brought it to the disk.
            bring_to_disk(&file, path)?;
            Ok(Some(Once::Written))
        }
        Found::Content(found) => in_the_way(
            format!("another file of {} bytes with the SHA-256 {}... has its name", found.len(), hash(&found)),
            format!("{} and the SHA-256 {}...", offered(), hash(content)),
        ),
    }
}

/// What a file holds.
enum Found {
    /// A file of another size has other bytes.
    Size(u64),
    Content(Vec<u8>),
}

fn read(file: &File, expected: usize) -> io::Result<Found> {
    let size = file.metadata()?.len();
    if size != expected as u64 {
        return Ok(Found::Size(size));
    }
    let mut content = Vec::with_capacity(expected + 1);
    // It may grow while it is read.
    file.take(size + 1).read_to_end(&mut content)?;
    Ok(if content.len() == expected { Found::Content(content) } else { Found::Size(file.metadata()?.len()) })
}

/// The begin of a hash in hexadecimal digits.
fn hash(content: &[u8]) -> String {
    let mut digits = hex(&Sha256::digest(content));
    digits.truncate(SHOWN_HASH_DIGITS);
    digits
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn d63_the_same_bytes_are_done_and_other_bytes_stay_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.DAT");
        for _ in 0..2 {
            assert_eq!(write_once(&path, b"first").unwrap(), Once::Written);
        }
        for other in [b"other".as_slice(), b"", b"first and more"] {
            let Once::InTheWay { found, offered } = write_once(&path, other).unwrap() else { panic!("{other:?}") };
            assert!(
                found.contains("5 bytes") && offered.contains(&format!("{} bytes", other.len())),
                "{found} {offered}"
            );
        }
        let Once::InTheWay { found, offered } = write_once(&path, b"other").unwrap() else { panic!("written") };
        assert!(
            found.contains(&hash(b"first")) && offered.contains(&hash(b"other")),
            "both are named: {found} {offered}"
        );
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn d63_what_is_no_file_is_in_the_way_and_nothing_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.DAT");
        let in_the_way = || matches!(write_once(&path, b"x").unwrap(), Once::InTheWay { .. });
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(in_the_way());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(in_the_way());
        fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink("gone", &path).unwrap();
        assert!(in_the_way());
        fs::remove_file(&path).unwrap();
        assert_eq!(write_once(&path, b"x").unwrap(), Once::Written);
    }

    #[test]
    fn d63_of_two_processes_with_other_bytes_one_writes_and_the_other_finds_it_in_its_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.DAT");
        let contents: Vec<Vec<u8>> = (1..=4).map(|number| vec![number; 50_000]).collect();
        let results: Vec<Once> = std::thread::scope(|scope| {
            let writers: Vec<_> =
                contents.iter().map(|content| scope.spawn(|| write_once(&path, content).unwrap())).collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        let written: Vec<usize> = (0..4).filter(|number| results[*number] == Once::Written).collect();
        assert_eq!(written.len(), 1, "{results:?}");
        assert_eq!(fs::read(&path).unwrap(), contents[written[0]]);
    }
}
