//! Brings files from ESR from the inbox folder into the log.
//!
//! This module decides which files are sent, and in which order. The `inbound` stage decides what happens to them. Its
//! ledger contains the files that have already arrived.

mod chunks;

use std::collections::{HashMap, HashSet};

use crate::format::{FileKind, FileName, Office};
use sha2::{Digest, Sha256};
use tributary_runtime::Output;
use tributary_schemas::{Codec, EncodeError};

/// A file in the inbox with a name that ESR uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundFile {
    /// Its name.
    pub name: FileName,
    /// What distinguishes it from other versions, without its content.
    pub print: Fingerprint,
}

impl FoundFile {
    /// Adds the records that bring the file with this content and the hash of it into the log.
    ///
    /// # Errors
    /// [`EncodeError`] if a record is not declared on the topic.
    pub fn write(&self, content: &[u8], sha256: &str, codec: &Codec, output: &mut Output) -> Result<(), EncodeError> {
        self.write_arrival(content, sha256, codec, output)?;
        chunks::write_content(self, content, sha256, codec, output)
    }

    /// Adds the record of the arrival alone, for a file whose content the ledger knows.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_arrival(
        &self,
        content: &[u8],
        sha256: &str,
        codec: &Codec,
        output: &mut Output,
    ) -> Result<(), EncodeError> {
        chunks::write_arrival(self, content, sha256, codec, output)
    }
}

/// The hash by which the ledger knows the content of a file, hexadecimal.
pub fn sha256(content: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(content).iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What distinguishes a file from its other versions, without its content (D109).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// Size in bytes.
    pub size: u64,
    /// When its content was last changed, in milliseconds since 1970. Its owner may set any time.
    pub modified: i64,
    /// Number of the file in its file system. `None` if it is not known.
    pub inode: Option<i64>,
    /// When its content, name or rights were last changed, in milliseconds since 1970. `None` if it is not known.
    pub changed: Option<i64>,
}

impl Fingerprint {
    /// Whether the file has not changed. What one of the two does not know is not compared.
    pub fn is_same(&self, other: &Self) -> bool {
        let same = |one: Option<i64>, other: Option<i64>| one.is_none() || other.is_none() || one == other;
        (self.size, self.modified) == (other.size, other.modified)
            && same(self.inode, other.inode)
            && same(self.changed, other.changed)
    }
}

/// An entry of the inbox folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A regular file.
    File(Fingerprint),
    /// Something else, such as a folder. The text says why it is left: "it is a folder".
    Other(String),
}

/// The result of a look into the inbox.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// New and changed files, in the order in which they are taken in (D9).
    pub files: Vec<FoundFile>,
    /// Messages about entries that stay where they are. Each is named once while it is there.
    pub left: Vec<String>,
}

/// Selects the files of the inbox that this process takes in.
#[derive(Debug)]
pub struct Inbox {
    served: Vec<Office>,
    configured: Vec<Office>,
    reported: HashSet<String>,
}

impl Inbox {
    /// Creates an inbox that takes files of the `served` offices only (D50). Files of the other `configured` offices
    /// belong to another process and are not reported.
    pub fn new(served: Vec<Office>, configured: Vec<Office>) -> Self {
        Self { served, configured, reported: HashSet::new() }
    }

    /// Sorts the entries of the inbox into files to take in and entries to leave. `known` is the ledger, by file name.
    pub fn look(
        &mut self,
        entries: impl IntoIterator<Item = (String, Entry)>,
        known: &HashMap<FileName, Fingerprint>,
    ) -> Found {
        let mut found = Found::default();
        let mut left = HashSet::new();
        for (name, entry) in entries {
            if name.starts_with('.') {
                continue;
            }
            match self.judge(&name, entry) {
                Ok(Some(file)) if known.get(&file.name).is_some_and(|known| known.is_same(&file.print)) => {}
                Ok(Some(file)) => found.files.push(file),
                Ok(None) => {}
                Err(reason) => {
                    if !self.reported.contains(&name) {
                        found.left.push(format!("left in the inbox: {reason}"));
                    }
                    left.insert(name);
                }
            }
        }
        self.reported = left;
        found.files.sort_by_key(|file| file.name);
        found.left.sort();
        found
    }

    /// `Ok(None)` for an entry that stays where it is and is not reported. `Err` for one that a person should look at.
    fn judge(&self, entry: &str, what: Entry) -> Result<Option<FoundFile>, String> {
        // A name with a line end would spoil the log.
        let shown = entry.escape_debug().to_string();
        let name = shown.parse::<FileName>();
        let is_elsewhere =
            |name: &FileName| self.configured.contains(&name.office) && !self.served.contains(&name.office);
        let print = match what {
            Entry::File(print) => print,
            Entry::Other(_) if name.as_ref().is_ok_and(is_elsewhere) => return Ok(None),
            Entry::Other(reason) => return Err(format!("`{shown}`: {reason}")),
        };
        let name = name.map_err(|error| error.to_string())?;
        if !name.kind.is_inbound() {
            return Err(format!("`{shown}` is of a type that ESR does not send ({})", name.kind));
        }
        if !self.configured.contains(&name.office) {
            return Err(format!("`{shown}` is of the unknown office {}", name.office));
        }
        if is_elsewhere(&name) {
            return Ok(None);
        }
        match name.kind {
            FileKind::Rmf | FileKind::Rmc => Ok(Some(FoundFile { name, print })),
            kind => Err(format!("`{shown}` is a confirmation ({kind}), which is not yet used")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINT: Fingerprint = Fingerprint { size: 10, modified: 1, inode: Some(7), changed: Some(2) };

    fn inbox() -> Inbox {
        let office = |code: &str| code.parse().unwrap();
        Inbox::new(vec![office("EOE")], vec![office("EOE"), office("LDN")])
    }

    fn entries<'a>(names: &'a [&str]) -> impl Iterator<Item = (String, Entry)> + 'a {
        names.iter().map(|name| ((*name).to_owned(), Entry::File(PRINT)))
    }

    #[test]
    fn d9_files_are_taken_by_date_number_and_kind() {
        let names = [
            "DE_EOE_RMC_20261121_00000001.DAT",
            "DE_EOE_RMC_20261120_00000001.DAT",
            "DE_EOE_RMF_20261120_00000001.DAT",
        ];
        let found = inbox().look(entries(&names), &HashMap::new());
        let order: Vec<String> = found.files.iter().map(|file| file.name.to_string()).collect();
        assert_eq!(order, [names[2], names[1], names[0]]);
    }

    #[test]
    fn what_is_not_ours_is_left_and_named_once() {
        let names = [
            "notes.txt",
            "DE_XYZ_RMC_20261120_00000001.DAT",
            "DE_EOE_APC_20261120_00000001.DAT",
            "DE_LDN_RMC_20261120_00000001.DAT",
            ".part",
        ];
        let mut inbox = inbox();
        let found = inbox.look(entries(&names), &HashMap::new());
        assert!(found.files.is_empty());
        assert_eq!(found.left.len(), 3, "{:?}", found.left);
        assert_eq!(inbox.look(entries(&names), &HashMap::new()), Found::default());
        assert_eq!(inbox.look(entries(&names[1..]), &HashMap::new()), Found::default());
        assert_eq!(inbox.look(entries(&names), &HashMap::new()).left.len(), 1, "it was away");
    }

    #[test]
    fn d107_what_is_no_regular_file_is_left_and_named_in_one_line() {
        let other = |name: &str| (name.to_owned(), Entry::Other("it is a folder".to_owned()));
        let names = ["DE_EOE_RMC_20261120_00000001.DAT", "DE_LDN_RMC_20261120_00000001.DAT", "two\nlines"];
        let found = inbox().look(names.map(other), &HashMap::new());
        assert!(found.files.is_empty());
        let lines = ["`DE_EOE_RMC_20261120_00000001.DAT`: it is a folder", "`two\\nlines`: it is a folder"];
        assert_eq!(found.left, lines.map(|line| format!("left in the inbox: {line}")), "LDN is of another process");
    }

    #[test]
    fn d11_a_file_of_the_ledger_is_not_sent_again_unless_it_changed() {
        let name = "DE_EOE_RMC_20261120_00000001.DAT";
        let files = |known: Fingerprint| {
            let known = HashMap::from([(name.parse().unwrap(), known)]);
            inbox().look(entries(&[name]), &known).files.len()
        };
        assert_eq!(files(PRINT), 0);
        assert_eq!(files(Fingerprint { size: 11, ..PRINT }), 1);
        assert_eq!(files(Fingerprint { modified: 2, ..PRINT }), 1);
    }

    #[test]
    fn d109_another_inode_or_time_of_change_is_a_change_if_both_are_known() {
        for other in [Fingerprint { inode: Some(8), ..PRINT }, Fingerprint { changed: Some(3), ..PRINT }] {
            assert!(!PRINT.is_same(&other) && !other.is_same(&PRINT));
        }
        let old = Fingerprint { inode: None, changed: None, ..PRINT };
        assert!(PRINT.is_same(&old) && old.is_same(&PRINT), "an earlier release did not keep them");
        assert!(!PRINT.is_same(&Fingerprint { size: 11, ..old }));
    }
}
