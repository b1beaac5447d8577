//! The outbox: the folder of the writer, with the reason of its last failure and the files that are in the way.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tributary_connectors::files::{FileError, FileStore, Folder};
use tributary_flow::whole_file::{FileSink, NotWritten};
use tributary_runtime::LogError;

use crate::events;

/// Writes everything so far to the disk.
type Secure = dyn Fn() -> Result<(), LogError> + Send + Sync;

/// The folder for files to ESR.
pub(crate) struct Outbox {
    store: Box<dyn FileStore>,
    secure: Box<Secure>,
    state: Mutex<OutboxState>,
}

#[derive(Default)]
struct OutboxState {
    /// Why the last file could not be written.
    trouble: Option<String>,
    /// The files whose names something else has (D63).
    in_the_way: BTreeSet<String>,
}

impl Outbox {
    /// The outbox in `folder`, which is created with the first file. `secure` is called before each file. The state
    /// that led to the file, above all its number, must survive a power cut if the file does.
    pub(crate) fn new(folder: &Path, secure: impl Fn() -> Result<(), LogError> + Send + Sync + 'static) -> Self {
        let folder = Folder::new(folder);
        if let Err(error) = folder.remove_abandoned() {
            events::abandoned_files_stay(&error);
        }
        Self { store: Box::new(folder), secure: Box::new(secure), state: Mutex::default() }
    }

    /// Why the last file could not be written. `None` after a success.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.state().trouble.clone()
    }

    /// The files that this process could not write, because something else has their names (D63).
    pub(crate) fn not_written(&self) -> Vec<String> {
        self.state().in_the_way.iter().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, OutboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FileSink for Outbox {
    fn write(&self, name: &str, content: &[u8]) -> Result<(), NotWritten> {
        let secured = (self.secure)().map_err(|error| NotWritten::Unavailable(format!("the state folder: {error}")));
        let result = secured.and_then(|()| self.store.write(name, content).map_err(not_written));
        let mut state = self.state();
        state.trouble = match &result {
            Err(NotWritten::Unavailable(reason)) => Some(reason.clone()),
            _ => None,
        };
        match &result {
            Ok(()) => state.in_the_way.remove(name),
            Err(NotWritten::InTheWay(_)) => state.in_the_way.insert(name.to_owned()),
            Err(NotWritten::Unavailable(_)) => false,
        };
        result
    }
}

fn not_written(error: FileError) -> NotWritten {
    match error {
        FileError::InTheWay { .. } => NotWritten::InTheWay(error.to_string()),
        other => NotWritten::Unavailable(format!("the outbox: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn d54_files_appear_whole_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(&folder.path().join("out"), || Ok(()));
        outbox.write("a.DAT", b"HDR\nNOT,\"1\",x\nNOT,\"4\",x\nNOT,\"1\",y\nTRL,5\n").unwrap();
        outbox.write("a.DAT", b"HDR\nNOT,\"1\",x\nNOT,\"4\",x\nNOT,\"1\",y\nTRL,5\n").unwrap();
        let names: Vec<_> =
            fs::read_dir(folder.path().join("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["a.DAT"]);
    }

    #[test]
    fn d63_a_file_with_other_bytes_stays_and_the_new_one_is_known_not_to_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(folder.path(), || Ok(()));
        fs::write(folder.path().join("a.DAT"), "of ESR").unwrap();
        assert!(matches!(outbox.write("a.DAT", b"new"), Err(NotWritten::InTheWay(_))));
        assert_eq!((outbox.not_written(), outbox.trouble()), (vec!["a.DAT".to_owned()], None));
        outbox.write("b.DAT", b"new").unwrap();
        assert_eq!(outbox.not_written(), ["a.DAT"], "another file goes on");
        assert_eq!(fs::read(folder.path().join("a.DAT")).unwrap(), b"of ESR");
        fs::remove_file(folder.path().join("a.DAT")).unwrap();
        outbox.write("a.DAT", b"new").unwrap();
        assert!(outbox.not_written().is_empty());
    }

    #[test]
    fn no_file_is_out_before_what_led_to_it_is_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let is_down = Arc::new(AtomicBool::new(true));
        let down = Arc::clone(&is_down);
        let secure = move || {
            let full = || LogError::unavailable("the disk is full");
            if down.load(Ordering::Relaxed) { Err(full()) } else { Ok(()) }
        };
        let outbox = Outbox::new(folder.path(), secure);
        assert_eq!(
            outbox.write("a.DAT", b"x").unwrap_err().to_string(),
            "the state folder: log is not available: the disk is full"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(outbox.trouble().is_some());
        is_down.store(false, Ordering::Relaxed);
        outbox.write("a.DAT", b"x").unwrap();
        assert_eq!((outbox.trouble(), fs::read(folder.path().join("a.DAT")).unwrap()), (None, b"x".to_vec()));
    }

    #[test]
    fn an_unwritable_outbox_is_explained() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("out"), b"a file").unwrap();
        let outbox = Outbox::new(&folder.path().join("out"), || Ok(()));
        assert!(outbox.write("a.DAT", b"x").unwrap_err().to_string().starts_with("the outbox: cannot "));
        assert!(outbox.trouble().is_some());
    }
}
