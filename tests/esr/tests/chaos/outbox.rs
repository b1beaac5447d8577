//! The files in the outbox, watched all the time.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tributary_tests::chaos::{SmallDisk, file_names};

const PAUSE: Duration = Duration::from_millis(30);

/// Names under which a file is being written, or was by a process that has died.
pub fn left_over(outbox: &SmallDisk) -> Vec<String> {
    file_names(&outbox.files()).into_iter().filter(|name| name.starts_with('.')).collect()
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
        for name in file_names(folder).into_iter().filter(|name| !name.starts_with('.')) {
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
    /// The disk exists until the last look, also after a failure.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been printed already.
            let _ = thread.join();
        }
    }
}

impl OutboxWatcher {
    pub fn start(outbox: &SmallDisk) -> Self {
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
