//! Files that appear, change and go as a whole, also across a kill or a power cut.
//!
//! A file is written under a temporary name beside its place, brought to the disk, and renamed; then the folder, which
//! knows the names, is brought to the disk too. Without the last step a power cut could undo the rename.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Marks temporary names. It starts at random, so that two processes, also on two machines with one folder, never write
/// to one temporary file.
static NEXT_MARK: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(RandomState::new().build_hasher().finish()));

/// Writes the file at `path`, or replaces it: it holds the old content or the new one, never a part. Its folder must be
/// there. After `Ok` the content is on the disk.
///
/// # Errors
/// What the file system says, without the path. Unless only the last sync failed, the old content is still there.
pub fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(content)?;
    file.commit()
}

/// Writes the file at `path` if nothing is there, not even something else than a file. Its folder must be there. After
/// `Ok` the content is on the disk.
///
/// # Errors
/// [`ErrorKind::AlreadyExists`] when something is there; it stays as it is. Otherwise what the file system says,
/// without the path.
pub fn write_new_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(content)?;
    file.commit_new()
}

/// Brings an open file and its name at `path` to the disk.
///
/// # Errors
/// What the file system says, without the path.
pub fn bring_to_disk(file: &File, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    sync_folder(path)
}

/// Creates the folder at `path`, unless it is there. Its parent must be there. After `Ok` it outlasts a power cut, with
/// what is brought to the disk in it.
///
/// # Errors
/// What the file system says, without the path.
pub fn create_folder_durably(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
        created => created?,
    }
    // Also when it was there: who created it may have been killed before the sync.
    sync_folder(path)
}

/// Removes the file at `path`, if it is there. After `Ok` it does not come back after a power cut.
///
/// # Errors
/// What the file system says, without the path.
pub fn remove_durably(path: &Path) -> io::Result<()> {
    remove(path)?;
    // Also when it was gone already: who removed it may have been killed before the sync.
    ignore_missing(sync_folder(path))
}

/// Removes the temporary files in `folder` of processes that were killed while they wrote. Those of living processes
/// are locked, and stay.
///
/// # Errors
/// What the file system says, without the path. A folder that is missing is not an error.
pub fn remove_abandoned(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let remove_one = |entry: io::Result<fs::DirEntry>| {
        let entry = entry?;
        let is_temporary = entry.file_name().to_str().is_some_and(is_temporary) && entry.file_type()?.is_file();
        if is_temporary && is_unlocked(&entry.path()) { remove(&entry.path()) } else { Ok(()) }
    };
    // One that cannot be removed does not keep the others.
    entries.map(remove_one).fold(Ok(()), Result::and)
}

/// A file that is being written, for content that should not be in memory at once. It appears at its place with
/// [`commit`](Self::commit); dropped before, it leaves nothing.
#[derive(Debug)]
pub struct AtomicFile {
    file: BufWriter<File>,
    place: PathBuf,
    temporary: PathBuf,
}

impl AtomicFile {
    /// Begins the file that will be at `place`. Its folder must be there.
    ///
    /// # Errors
    /// What the file system says, without the path.
    pub fn create(place: &Path) -> io::Result<Self> {
        let name = place.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "a path without a name"))?;
        let temporary = place.with_file_name(temporary_name(name));
        let file = File::create_new(&temporary)?;
        // Where files cannot be locked, nobody finds this one unlocked either, and it is not removed.
        let _ = file.try_lock();
        Ok(Self { file: BufWriter::new(file), place: place.to_owned(), temporary })
    }

    /// Puts the file in its place. After `Ok` it is on the disk.
    ///
    /// # Errors
    /// What the file system says, without the path. Unless only the last sync failed, what was there before still is.
    pub fn commit(mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        fs::rename(&self.temporary, &self.place)?;
        sync_folder(&self.place)
    }

    /// As [`commit`](Self::commit), if nothing is in its place.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] when something is there; it stays as it is. Otherwise as [`commit`](Self::commit).
    pub fn commit_new(mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        // A rename would replace what another process has put there in the meantime. A second name for the file does
        // not. Its temporary name goes when this value does, or is removed as abandoned after a kill.
        match fs::hard_link(&self.temporary, &self.place) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
            Err(_) => self.rename_to_free_place()?,
            Ok(()) => {}
        }
        sync_folder(&self.place)
    }

    /// For file systems without hard links. What appears between the check and the rename is replaced.
    fn rename_to_free_place(&self) -> io::Result<()> {
        match fs::symlink_metadata(&self.place) {
            Err(error) if error.kind() == ErrorKind::NotFound => fs::rename(&self.temporary, &self.place),
            Err(error) => Err(error),
            Ok(_) => Err(ErrorKind::AlreadyExists.into()),
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        // After the rename nothing has this name. Otherwise the write has failed, and its error says more than this
        // one.
        let _ = fs::remove_file(&self.temporary);
    }
}

fn temporary_name(name: &OsStr) -> OsString {
    let mark = NEXT_MARK.fetch_add(1, Ordering::Relaxed);
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{mark:016x}.part"));
    temporary
}

fn is_temporary(name: &str) -> bool {
    let hidden = name.strip_prefix('.').and_then(|name| name.strip_suffix(".part"));
    let mark = hidden.and_then(|name| name.rsplit_once('.')).map(|(_, mark)| mark);
    mark.is_some_and(|mark| mark.len() == 16 && mark.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_unlocked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| file.try_lock().is_ok())
}

/// Removes a file, unless somebody was faster.
fn remove(path: &Path) -> io::Result<()> {
    ignore_missing(fs::remove_file(path))
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    const PLACE_VARIABLE: &str = "TRIBUTARY_TEST_ATOMIC_FILE";
    static NEW: [u8; 100_000] = [b'n'; 100_000];

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// This test again, as a process of its own, which finds the place by a variable. `sh` prepares it.
    fn in_child(test: &str, place: &Path, prepare: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{prepare} exec \"$0\" \"$@\"")]).arg(std::env::current_exe().unwrap());
        command.args(["--exact", &format!("atomic_file::tests::{test}")]);
        command.env(PLACE_VARIABLE, place).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn place_of_parent() -> Option<PathBuf> {
        std::env::var_os(PLACE_VARIABLE).map(PathBuf::from)
    }

    #[test]
    fn a_folder_is_created_once_and_not_in_place_of_a_file() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("esr");
        create_folder_durably(&folder).unwrap();
        create_folder_durably(&folder).unwrap();
        assert!(folder.is_dir());
        let file = folder.join("file");
        fs::write(&file, "x").unwrap();
        assert_eq!(create_folder_durably(&file).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert!(create_folder_durably(&parent.path().join("absent/esr")).is_err());
    }

    #[test]
    fn a_written_file_is_whole_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a");
        for content in [b"first".as_slice(), b"second", b"", &NEW] {
            write_atomically(&place, content).unwrap();
            assert_eq!(fs::read(&place).unwrap(), content);
        }
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn a_new_file_appears_whole_and_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a");
        write_new_atomically(&place, &NEW).unwrap();
        assert_eq!((names(folder.path()), fs::read(&place).unwrap()), (vec!["a".to_owned()], NEW.to_vec()));
        for content in [NEW.as_slice(), b"other"] {
            assert_eq!(write_new_atomically(&place, content).unwrap_err().kind(), ErrorKind::AlreadyExists);
        }
        assert_eq!((names(folder.path()), fs::read(&place).unwrap()), (vec!["a".to_owned()], NEW.to_vec()));
        fs::remove_file(&place).unwrap();
        fs::create_dir(&place).unwrap();
        assert_eq!(write_new_atomically(&place, b"x").unwrap_err().kind(), ErrorKind::AlreadyExists);
        fs::remove_dir(&place).unwrap();
        std::os::unix::fs::symlink("gone", &place).unwrap();
        assert_eq!(write_new_atomically(&place, b"x").unwrap_err().kind(), ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_file_system_without_hard_links_is_served_by_a_rename_to_a_free_place() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a");
        let file = || {
            let mut file = AtomicFile::create(&place).unwrap();
            file.write_all(b"new").unwrap();
            file.flush().unwrap();
            file
        };
        file().rename_to_free_place().unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"new");
        assert_eq!(file().rename_to_free_place().unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn of_writers_of_a_new_file_at_the_same_time_one_succeeds() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a");
        let contents: Vec<Vec<u8>> = (1..=4).map(|number| vec![number; 50_000]).collect();
        let written: Vec<usize> = std::thread::scope(|scope| {
            let write = |content: &[u8]| write_new_atomically(&place, content).is_ok();
            let writers: Vec<_> = contents.iter().map(|content| scope.spawn(move || write(content))).collect();
            let results = writers.into_iter().map(|writer| writer.join().unwrap());
            results.enumerate().filter(|(_, is_written)| *is_written).map(|(number, _)| number).collect()
        });
        assert_eq!(written.len(), 1);
        assert_eq!(
            (fs::read(&place).unwrap(), names(folder.path())),
            (contents[written[0]].clone(), vec!["a".to_owned()])
        );
    }

    #[test]
    fn a_file_that_is_dropped_before_its_commit_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a");
        fs::write(&place, "old").unwrap();
        let mut file = AtomicFile::create(&place).unwrap();
        file.write_all(&NEW).unwrap();
        assert_eq!(names(folder.path()).len(), 2);
        drop(file);
        assert_eq!((names(folder.path()), fs::read(&place).unwrap()), (vec!["a".to_owned()], b"old".to_vec()));
    }

    #[test]
    fn a_kill_before_the_rename_leaves_the_old_file_and_one_that_is_removed_as_abandoned() {
        if let Some(place) = place_of_parent() {
            let mut file = AtomicFile::create(&place).unwrap();
            file.write_all(&NEW).unwrap();
            file.flush().unwrap();
            loop {
                std::thread::park();
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a");
        fs::write(&place, "old").unwrap();
        let test = "a_kill_before_the_rename_leaves_the_old_file_and_one_that_is_removed_as_abandoned";
        let mut child = Killed(in_child(test, &place, "").spawn().unwrap());
        let deadline = Instant::now() + Duration::from_mins(1);
        let is_written = || names(folder.path()).len() == 2 && size(&folder.path().join(&names(folder.path())[0])) > 0;
        while !is_written() {
            assert!(Instant::now() < deadline, "the child writes nothing");
            std::thread::yield_now();
        }
        remove_abandoned(folder.path()).unwrap();
        assert_eq!(names(folder.path()).len(), 2, "who writes it lives");
        child.kill();
        assert_eq!((names(folder.path()).len(), fs::read(&place).unwrap()), (2, b"old".to_vec()));
        remove_abandoned(folder.path()).unwrap();
        assert_eq!((names(folder.path()), fs::read(&place).unwrap()), (vec!["a".to_owned()], b"old".to_vec()));
    }

    fn size(path: &Path) -> u64 {
        fs::metadata(path).map_or(0, |metadata| metadata.len())
    }

    /// A process that ends with the test at the latest.
    struct Killed(Child);

    impl Killed {
        fn kill(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    impl Drop for Killed {
        fn drop(&mut self) {
            // It may have ended already.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_full_disk_leaves_the_old_file_and_no_other() {
        if let Some(place) = place_of_parent() {
            write_atomically(&place, &NEW).unwrap_err();
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a");
        fs::write(&place, "old").unwrap();
        let test = "a_full_disk_leaves_the_old_file_and_no_other";
        // Files of the child cannot grow beyond 8 blocks of 512 bytes.
        let status = in_child(test, &place, "trap '' XFSZ; ulimit -f 8;").status().unwrap();
        assert!(status.success(), "the disk took it");
        assert_eq!((names(folder.path()), fs::read(&place).unwrap()), (vec!["a".to_owned()], b"old".to_vec()));
    }

    #[test]
    fn writers_at_the_same_time_leave_one_whole_content() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a");
        let contents: Vec<Vec<u8>> = (1..=4).map(|number| vec![number; 30_000 * usize::from(number)]).collect();
        write_atomically(&place, &contents[0]).unwrap();
        std::thread::scope(|scope| {
            let write = |content: &[u8]| (0..20).for_each(|_| write_atomically(&place, content).unwrap());
            let writers: Vec<_> = contents.iter().map(|content| scope.spawn(move || write(content))).collect();
            while writers.iter().any(|writer| !writer.is_finished()) {
                assert!(contents.contains(&fs::read(&place).unwrap()));
            }
        });
        assert!(contents.contains(&fs::read(&place).unwrap()));
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn a_removed_file_is_gone_and_one_that_was_never_there_is_too() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a");
        write_atomically(&place, b"x").unwrap();
        for _ in 0..2 {
            remove_durably(&place).unwrap();
            assert!(!place.exists());
        }
        remove_durably(&folder.path().join("missing/a")).unwrap();
        fs::create_dir(&place).unwrap();
        assert!(remove_durably(&place).is_err(), "a folder is not removed");
    }

    #[test]
    fn temporary_names_differ_and_are_known_as_such() {
        let [one, other] = [temporary_name(OsStr::new("a.DAT")), temporary_name(OsStr::new("a.DAT"))];
        assert_ne!(one, other);
        assert!(is_temporary(one.to_str().unwrap()) && is_temporary(".a.DAT.0123456789abcdef.part"));
        for name in ["a.DAT", ".a.DAT.part", ".a.DAT.backup-of-mine-1.part", "a.DAT.0123456789abcdef.part"] {
            assert!(!is_temporary(name), "{name}");
        }
    }

    #[test]
    fn a_place_without_a_name_or_a_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(write_atomically(Path::new("/"), b"x").unwrap_err().kind(), ErrorKind::InvalidInput);
        let missing = folder.path().join("missing/a");
        assert_eq!(write_atomically(&missing, b"x").unwrap_err().kind(), ErrorKind::NotFound);
    }
}
