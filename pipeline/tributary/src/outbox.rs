//! The outbox: where the writer puts files, and what it last complained about.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tributary_connectors::files::{FileStore, Folder};
use tributary_esr::writer::FileSink;

/// The place for files to ESR.
pub struct Outbox {
    store: Box<dyn FileStore>,
    trouble: Mutex<Option<String>>,
}

impl Outbox {
    /// The outbox in `folder`, which is created when the first file comes.
    pub fn new(folder: &Path) -> Self {
        Self { store: Box::new(Folder::new(folder)), trouble: Mutex::new(None) }
    }

    /// Why the last file could not be written, while it cannot.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Rows of each notification type in a file that was written (field 1 of 6.5).
    pub fn notification_types(&self, file_name: &str) -> BTreeMap<String, u64> {
        let content = self.store.read(file_name).unwrap_or_default();
        let mut types = BTreeMap::new();
        for line in content.split(|byte| *byte == b'\n') {
            let mut fields = line.split(|byte| *byte == b',');
            if fields.next() == Some(b"NOT")
                && let Some(kind) = fields.next()
            {
                let kind = String::from_utf8_lossy(kind).trim_matches('"').to_owned();
                *types.entry(kind).or_default() += 1;
            }
        }
        types
    }

    /// The first rows of a file that was written, without header.
    pub fn first_rows(&self, file_name: &str, rows: usize) -> Vec<String> {
        let content = self.store.read(file_name).unwrap_or_default();
        let text = String::from_utf8_lossy(&content);
        text.lines()
            .filter(|line| !line.starts_with("HDR") && !line.starts_with("TRL"))
            .take(rows)
            .map(str::to_owned)
            .collect()
    }
}

impl FileSink for Outbox {
    fn write(&self, name: &str, content: &[u8]) -> Result<(), String> {
        let result = self.store.write(name, content).map_err(|error| format!("the outbox: {error}"));
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = result.as_ref().err().cloned();
        result
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn d54_files_appear_whole_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(&folder.path().join("out"));
        outbox.write("a.DAT", b"HDR\nNOT,\"1\",x\nNOT,\"4\",x\nNOT,\"1\",y\nTRL,5\n").unwrap();
        outbox.write("a.DAT", b"HDR\nNOT,\"1\",x\nNOT,\"4\",x\nNOT,\"1\",y\nTRL,5\n").unwrap();
        let names: Vec<_> =
            fs::read_dir(folder.path().join("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["a.DAT"]);
        assert_eq!(outbox.notification_types("a.DAT"), BTreeMap::from([("1".into(), 2), ("4".into(), 1)]));
        assert_eq!(outbox.first_rows("a.DAT", 1), ["NOT,\"1\",x"]);
    }

    #[test]
    fn an_unwritable_outbox_is_explained() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("out"), b"a file").unwrap();
        let outbox = Outbox::new(&folder.path().join("out"));
        assert!(outbox.write("a.DAT", b"x").unwrap_err().starts_with("the outbox: cannot "));
        assert!(outbox.trouble().is_some());
    }
}
