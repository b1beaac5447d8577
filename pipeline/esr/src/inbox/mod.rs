//! Brings files from ESR from the inbox folder into the log.
//!
//! This module decides which files are sent, and in which order. The `inbound` stage decides what happens to them. Its
//! ledger contains the files that have already arrived.

mod chunks;

use std::collections::{HashMap, HashSet};

use crate::format::{FileKind, FileName, Office};
use tributary_runtime::Output;
use tributary_schemas::{Codec, EncodeError};

/// A file in the inbox with a name that ESR uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundFile {
    /// Its name.
    pub name: FileName,
    /// Size in bytes.
    pub size: u64,
    /// When it was last changed, in milliseconds since 1970.
    pub modified: i64,
}

impl FoundFile {
    /// Adds the records that bring the file with this content into the log.
    ///
    /// # Errors
    /// [`EncodeError`] if a record is not declared on the topic.
    pub fn write(&self, content: &[u8], codec: &Codec, output: &mut Output) -> Result<(), EncodeError> {
        chunks::write(self, content, codec, output)
    }
}

/// Size and time of the last change of a file. A change of the file changes its fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// Size in bytes.
    pub size: u64,
    /// Milliseconds since 1970.
    pub modified: i64,
}

/// The result of a look into the inbox.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// New and changed files, in the order in which they are taken in (D9).
    pub files: Vec<FoundFile>,
    /// Messages about files that stay where they are. Each file is named once.
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

    /// Sorts the entries of the inbox into files to take in and files to leave. `known` is the ledger, by file name.
    pub fn look(
        &mut self,
        entries: impl IntoIterator<Item = (String, Fingerprint)>,
        known: &HashMap<FileName, Fingerprint>,
    ) -> Found {
        let mut found = Found::default();
        for (entry, fingerprint) in entries {
            if entry.starts_with('.') {
                continue;
            }
            match self.judge(&entry) {
                Ok(Some(name)) => {
                    if known.get(&name) != Some(&fingerprint) {
                        found.files.push(FoundFile { name, size: fingerprint.size, modified: fingerprint.modified });
                    }
                }
                Ok(None) => {}
                Err(reason) => {
                    if self.reported.insert(entry.clone()) {
                        found.left.push(reason);
                    }
                }
            }
        }
        found.files.sort_by_key(|file| file.name);
        found.left.sort();
        found
    }

    /// `Ok(None)` for a file that stays where it is and is not reported. `Err` for a file that a person should look at.
    fn judge(&self, entry: &str) -> Result<Option<FileName>, String> {
        let name: FileName = entry.parse().map_err(|error| format!("left in the inbox: {error}"))?;
        if !name.kind.is_inbound() {
            return Err(format!("left in the inbox: `{entry}` is of a type that ESR does not send ({})", name.kind));
        }
        if !self.configured.contains(&name.office) {
            return Err(format!("left in the inbox: `{entry}` is of the unknown office {}", name.office));
        }
        if !self.served.contains(&name.office) {
            return Ok(None);
        }
        match name.kind {
            FileKind::Rmf | FileKind::Rmc => Ok(Some(name)),
            kind => Err(format!("left in the inbox: `{entry}` is a confirmation ({kind}), which is not yet used")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINT: Fingerprint = Fingerprint { size: 10, modified: 1 };

    fn inbox() -> Inbox {
        let office = |code: &str| code.parse().unwrap();
        Inbox::new(vec![office("EOE")], vec![office("EOE"), office("LDN")])
    }

    fn entries<'a>(names: &'a [&str]) -> impl Iterator<Item = (String, Fingerprint)> + 'a {
        names.iter().map(|name| ((*name).to_owned(), PRINT))
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
    }

    #[test]
    fn d11_a_file_of_the_ledger_is_not_sent_again_unless_it_changed() {
        let name = "DE_EOE_RMC_20261120_00000001.DAT";
        let known = HashMap::from([(name.parse().unwrap(), PRINT)]);
        assert!(inbox().look(entries(&[name]), &known).files.is_empty());
        let changed = HashMap::from([(name.parse().unwrap(), Fingerprint { size: 11, ..PRINT })]);
        assert_eq!(inbox().look(entries(&[name]), &changed).files.len(), 1);
    }
}
