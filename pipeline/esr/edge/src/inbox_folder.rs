//! The inbox: the folder with the files from ESR. What fails for one file stops no other (D107).

use std::collections::{HashMap, HashSet};
use std::time::{SystemTime, UNIX_EPOCH};

use tributary_connectors::files::{FileEntry, FileError, FileStore, Folder, Listing, NotAFile};
use tributary_esr::configuration::After;
use tributary_esr::format::FileName;
use tributary_esr::inbound::{LedgerEntry, LedgerStatus};
use tributary_esr::inbox::{Entry, Fingerprint, FoundFile, Inbox, sha256};
use tributary_flow::Failure;
use tributary_runtime::TimestampMillis;

use crate::configured::Configured;
use crate::exchange::{Exchange, log_failure};
use crate::sources::of_ledger;

/// The inbox of one process.
pub(crate) struct InboxFolder {
    store: Box<dyn FileStore>,
    inbox: Inbox,
    file_limit: u64,
    archives: bool,
}

/// The result of a look into the inbox.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// New and changed files, in the order in which they are taken in (D9).
    pub(crate) files: Vec<FoundFile>,
    /// Parked files that seem unchanged. Their content may be another one all the same (D109).
    pub(crate) undecided: Vec<FoundFile>,
    /// Messages about entries that stay where they are.
    pub(crate) left: Vec<String>,
    /// The entries that cannot be looked at, with the reason.
    pub(crate) failed: Vec<(String, String)>,
}

/// What became of a file that was to be sent.
#[derive(Debug)]
pub(crate) enum Sent {
    /// Its content was published.
    TakenIn,
    /// The ledger knows its content.
    Known,
    /// It is gone, or has changed while it was read. The next listing shows its new state.
    Changing,
    /// It cannot be read now.
    Failed(FileError),
}

impl InboxFolder {
    /// The configured inbox.
    pub(crate) fn new(configured: &Configured) -> Self {
        let settings = &configured.settings.configuration;
        let offices = settings.offices.keys().copied().collect();
        Self {
            store: Box::new(Folder::new(&configured.folders.inbox)),
            inbox: Inbox::new(configured.offices.clone(), offices),
            file_limit: settings.inbound.file_limit.as_u64(),
            archives: settings.inbound.after == After::Archive,
        }
    }

    /// The entries of the inbox.
    ///
    /// # Errors
    /// [`FileError`] when the inbox as a whole cannot be read.
    pub(crate) fn list(&self) -> Result<Listing, FileError> {
        self.store.list()
    }

    /// The entries that are new or changed. Files in the ledger and in `sent` are known. Files that the ledger knows by
    /// now are removed from `sent`.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the ledger cannot be read.
    pub(crate) fn look(
        &mut self,
        exchange: &Exchange,
        listing: &Listing,
        sent: &mut HashMap<FileName, Fingerprint>,
    ) -> Result<Look, Failure> {
        let ledger = of_ledger(exchange, |inbound| {
            let known = inbound.ledger().filter(|(_, entry)| entry.is_known());
            known.map(|(name, entry)| (name, (entry.print(), entry.is_undecided()))).collect()
        })?;
        let mut known: HashMap<_, _> = ledger.iter().map(|(name, (print, _))| (*name, *print)).collect();
        sent.retain(|name, print| !known.get(name).is_some_and(|known| known.is_same(print)));
        known.extend(sent.iter().map(|(name, print)| (*name, *print)));
        let entry = |entry: &FileEntry| (entry.name.clone(), Entry::File(fingerprint(entry)));
        let mut entries: Vec<(String, Entry)> = listing.files.iter().map(entry).collect();
        let mut look = Look::default();
        for other in &listing.others {
            match &other.reason {
                NotAFile::Failed(error) => look.failed.push((other.name.clone(), left(error))),
                reason => entries.push((other.name.clone(), Entry::Other(reason.to_string()))),
            }
        }
        let found = self.inbox.look(entries, &known);
        look.files = found.files;
        look.left = found.left;
        let undecided = ledger.into_iter().filter(|(_, (_, is_undecided))| *is_undecided);
        let undecided = undecided.map(|(name, (print, _))| (name, print)).collect();
        look.undecided = unchanged(&listing.files, &undecided).map(|(_, file)| file).collect();
        Ok(look)
    }

    /// Publishes a file whose content the ledger does not know.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when it cannot be published.
    pub(crate) fn send(
        &self,
        file: &FoundFile,
        known: Option<&LedgerEntry>,
        now: TimestampMillis,
        exchange: &Exchange,
    ) -> Result<Sent, Failure> {
        let content = match self.store.read(&file.name.to_string(), self.file_limit) {
            Ok(content) if content.len() as u64 == file.print.size => content,
            Ok(_) => return Ok(Sent::Changing),
            Err(error) if error.is_missing() => return Ok(Sent::Changing),
            Err(error) => return Ok(Sent::Failed(error)),
        };
        let hash = sha256(&content);
        let known = known.filter(|known| known.is_known() && known.sha256 == hash);
        if known.is_some_and(|known| known.print() == file.print) {
            return Ok(Sent::Known);
        }
        let (codec, mut output) = (&exchange.context.codec, exchange.output(now));
        let written = match known {
            Some(_) => file.write_arrival(&content, &hash, codec, &mut output),
            None => file.write(&content, &hash, codec, &mut output),
        };
        written.map_err(Failure::unfinished)?;
        exchange.publish(&output)?;
        Ok(if known.is_some() { Sent::Known } else { Sent::TakenIn })
    }

    /// Whether processed files are moved into the archive (D11).
    pub(crate) fn archives(&self) -> bool {
        self.archives
    }

    /// Moves processed files into the archive. The names of files that cannot be moved, with the reason.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the ledger cannot be read or brought to the disk.
    pub(crate) fn archive(&self, exchange: &Exchange, listing: &Listing) -> Result<Vec<(String, String)>, Failure> {
        let processed = of_ledger(exchange, |inbound| {
            let processed = inbound.ledger().filter(|(_, entry)| entry.status == LedgerStatus::Processed);
            processed.map(|(name, entry)| (name, entry.print())).collect()
        })?;
        let files: Vec<&FileEntry> = unchanged(&listing.files, &processed).map(|(entry, _)| entry).collect();
        if files.is_empty() {
            return Ok(Vec::new());
        }
        // The ledger that knows a file must be on the disk before the file leaves the inbox.
        exchange.process.sync().map_err(log_failure)?;
        let failure = |entry: &FileEntry| {
            let error = self.store.archive(&entry.name).err().filter(|error| !error.is_missing())?;
            Some((entry.name.clone(), format!("{} has been taken in and stays in the inbox: {error}", entry.name)))
        };
        Ok(files.into_iter().filter_map(failure).collect())
    }
}

/// What the ledger holds of these files.
///
/// # Errors
/// [`Failure::Unfinished`] when the ledger cannot be read.
pub(crate) fn known(
    exchange: &Exchange,
    files: impl IntoIterator<Item = FoundFile>,
) -> Result<HashMap<FileName, LedgerEntry>, Failure> {
    let names: HashSet<FileName> = files.into_iter().map(|file| file.name).collect();
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    of_ledger(exchange, move |inbound| {
        let wanted = inbound.ledger().filter(|(name, _)| names.contains(name));
        wanted.map(|(name, entry)| (name, entry.clone())).collect()
    })
}

/// The message about a file that cannot be read.
pub(crate) fn left(error: &FileError) -> String {
    match error {
        FileError::TooLarge { .. } => {
            format!("left in the inbox: {error}; raise esr.inbound.file_limit if the file is right")
        }
        _ => format!("left in the inbox: {error}"),
    }
}

/// The listed files that are as `known` says.
fn unchanged<'a>(
    listed: &'a [FileEntry],
    known: &HashMap<FileName, Fingerprint>,
) -> impl Iterator<Item = (&'a FileEntry, FoundFile)> {
    listed.iter().filter_map(|entry| {
        let file = FoundFile { name: entry.name.parse().ok()?, print: fingerprint(entry) };
        known.get(&file.name)?.is_same(&file.print).then_some((entry, file))
    })
}

fn fingerprint(entry: &FileEntry) -> Fingerprint {
    let millis = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    Fingerprint {
        size: entry.size,
        modified: millis(entry.modified),
        inode: Some(entry.inode.cast_signed()),
        changed: Some(millis(entry.changed)),
    }
}
