//! The outbox on a small disk of its own, watched all the time.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;

const PAUSE: Duration = Duration::from_millis(30);
/// What takes the room on the disk.
const FILLER: &str = ".filler";

/// A folder on a disk that can be filled.
#[derive(Clone)]
pub struct Outbox {
    disk: Arc<Disk>,
}

/// Where the system lets nobody mount, a link to the folder leads to a file while the disk is "full".
enum Disk {
    /// The disk is there as long as somebody has it open, so nothing of it can be left behind.
    Mounted(File),
    Linked(TempDir),
}

/// The disk is full as long as this lives.
pub struct Full(Outbox);

impl Outbox {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mounted = run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(folder.path()));
        let disk = if mounted {
            let disk = File::open(folder.path()).unwrap();
            assert!(
                run(Command::new("umount").arg("-l").arg(folder.path())),
                "cannot unmount {}",
                folder.path().display()
            );
            Disk::Mounted(disk)
        } else {
            eprintln!("no disk can be mounted here: the outbox is made unwritable in another way");
            fs::create_dir(folder.path().join("real")).unwrap();
            link("real", &folder.path().join("outbox"));
            Disk::Linked(folder)
        };
        Self { disk: Arc::new(disk) }
    }

    /// What processes are given.
    pub fn path(&self) -> PathBuf {
        match self.disk.as_ref() {
            Disk::Mounted(disk) => PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), disk.as_raw_fd())),
            Disk::Linked(folder) => folder.path().join("outbox"),
        }
    }

    /// Where the files are whatever happens.
    fn files(&self) -> PathBuf {
        match self.disk.as_ref() {
            Disk::Mounted(_) => self.path(),
            Disk::Linked(folder) => folder.path().join("real"),
        }
    }

    pub fn fill(&self) -> Full {
        match self.disk.as_ref() {
            Disk::Mounted(_) => {
                let mut filler = File::create(self.path().join(FILLER)).unwrap();
                while filler.write_all(&[0; 4096]).is_ok() {}
            }
            Disk::Linked(folder) => link("/dev/null", &folder.path().join("outbox")),
        }
        Full(self.clone())
    }

    /// Names under which a file is being written, or was by a process that has died.
    pub fn left_over(&self) -> Vec<String> {
        names(&self.files()).into_iter().filter(|name| name.starts_with('.')).collect()
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        match self.0.disk.as_ref() {
            Disk::Mounted(_) => fs::remove_file(self.0.path().join(FILLER)).unwrap(),
            Disk::Linked(folder) => link("real", &folder.path().join("outbox")),
        }
    }
}

fn run(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Nobody meets a moment without the link.
pub fn link(target: impl AsRef<Path>, place: &Path) {
    let new = place.with_extension("new");
    std::os::unix::fs::symlink(target, &new).unwrap();
    fs::rename(new, place).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The files that were ever seen, and how often one was written again with the same bytes.
#[derive(Debug, Default)]
struct Seen {
    files: BTreeMap<String, (u64, String)>,
    again: usize,
}

impl Seen {
    /// A file that was there before must be there with the same bytes.
    fn look(&mut self, folder: &Path) {
        for name in names(folder).into_iter().filter(|name| !name.starts_with('.')) {
            let path = folder.join(&name);
            let (inode, content) = (fs::metadata(&path).unwrap().ino(), fs::read_to_string(&path).unwrap());
            match self.files.get_mut(&name) {
                None => {
                    self.files.insert(name, (inode, content));
                }
                Some((known, before)) => {
                    assert_eq!(*before, content, "{name} has changed");
                    self.again += usize::from(*known != inode);
                    *known = inode;
                }
            }
        }
        for name in self.files.keys() {
            assert!(folder.join(name).exists(), "{name} is gone");
        }
    }
}

/// Looks into the outbox all the time.
pub struct OutboxWatcher {
    folder: PathBuf,
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for OutboxWatcher {
    /// The disk is there until nobody looks any more, also after a failure.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What it found has been told already.
            let _ = thread.join();
        }
    }
}

impl OutboxWatcher {
    pub fn start(outbox: &Outbox) -> Self {
        let (folder, seen, stop) = (outbox.files(), Arc::new(Mutex::default()), Arc::new(AtomicBool::new(false)));
        let (place, list, is_over) = (folder.clone(), Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                lock(&list).look(&place);
                std::thread::sleep(PAUSE);
            }
        });
        Self { folder, seen, stop, thread: Some(thread) }
    }

    /// The files as they are now.
    pub fn files(&self) -> BTreeMap<String, String> {
        let mut seen = lock(&self.seen);
        seen.look(&self.folder);
        seen.files.iter().map(|(name, (_, content))| (name.clone(), content.clone())).collect()
    }

    /// How often a file was written again, with the same bytes.
    pub fn finish(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        lock(&self.seen).again
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
