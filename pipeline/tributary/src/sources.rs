//! What this process brings into the flow: files of the inbox, the snapshot of TIS, decisions of an operator.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use tributary_connectors::files::{FileEntry, FileStore, Folder};
use tributary_connectors::inbox::{Fingerprint, Found, FoundFile, Inbox};
use tributary_connectors::snapshot::{Snapshot, SnapshotError};
use tributary_connectors::tis::{Held, KnownLines, Load, LoadError, LoadReport};
use tributary_esr::configuration::After;
use tributary_esr::inbound::{Inbound, LedgerEntry, LedgerStatus};
use tributary_esr::{tis, topics};
use tributary_runtime::{Headers, Output, TimestampMillis, Topic, remove_durably, write_atomically};
use tributary_schemas::records::esr::{Decision, FileDecision};

use crate::base_line;
use crate::failure::Failure;
use crate::log::log_failure;
use crate::running::RunningFlow;
use crate::settings::Settings;

/// Is in the state folder while the base line is being loaded (D1).
const BASE_LINE_MARKER: &str = "base-line-in-progress";

/// Is in the state folder while the stages hold just what the last snapshot says.
const KNOWN_LINES: &str = "snapshot-lines";

/// The sources of one process.
pub struct Sources {
    inbox_store: Box<dyn FileStore>,
    snapshot_folder: PathBuf,
    base_line_marker: PathBuf,
    /// Only with the embedded log: in Kafka, others may write into the topics of TIS too.
    known_lines: Option<PathBuf>,
    inbox: Inbox,
}

impl Sources {
    /// The sources that the settings name.
    pub fn new(settings: &Settings) -> Self {
        let configured = settings.configuration.esr.configuration.offices.keys().copied().collect();
        Self {
            inbox_store: Box::new(Folder::new(&settings.folders.inbox)),
            snapshot_folder: settings.folders.tis.clone(),
            base_line_marker: settings.folders.state.join(BASE_LINE_MARKER),
            known_lines: settings.kafka.is_none().then(|| settings.folders.state.join(KNOWN_LINES)),
            inbox: Inbox::new(settings.offices.clone(), configured),
        }
    }

    /// What in the inbox is new or has changed, beyond the ledger and what `sent` names.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the inbox cannot be read.
    pub fn look(&mut self, flow: &RunningFlow, sent: &HashMap<String, Fingerprint>) -> Result<Found, Failure> {
        let mut known = known_files(flow)?;
        known.extend(sent.iter().map(|(name, fingerprint)| (name.clone(), *fingerprint)));
        let entries = self.inbox_store.list().map_err(Failure::unfinished)?;
        let entries = entries.into_iter().map(|entry| {
            let fingerprint = fingerprint(&entry);
            (entry.name, fingerprint)
        });
        Ok(self.inbox.look(entries, &known))
    }

    /// Publishes a file. `Ok(false)` when it is gone, or changed while it was read: the next look finds it as it is.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when it cannot be read or published.
    pub fn send_file(&self, file: &FoundFile, now: TimestampMillis, flow: &mut RunningFlow) -> Result<bool, Failure> {
        let name = file.name.original();
        let content = match self.inbox_store.read(&name) {
            Ok(content) => content,
            Err(_) if !self.is_there(&name)? => return Ok(false),
            Err(error) => return Err(Failure::unfinished(error)),
        };
        if content.len() as u64 != file.size {
            return Ok(false);
        }
        let mut output = Output::new(flow.flow_partitions());
        output.inherit(now, Headers::default());
        file.write(&content, &flow.context().codec, &mut output).map_err(Failure::unfinished)?;
        flow.publish(&output)?;
        Ok(true)
    }

    fn is_there(&self, name: &str) -> Result<bool, Failure> {
        let entries = self.inbox_store.list().map_err(Failure::unfinished)?;
        Ok(entries.iter().any(|entry| entry.name == name))
    }

    /// Moves processed files into the archive, if the configuration says so (D11).
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when a file cannot be moved.
    pub fn archive(&self, flow: &RunningFlow) -> Result<(), Failure> {
        if flow.context().settings.configuration.inbound.after != After::Archive {
            return Ok(());
        }
        let processed = |entry: &LedgerEntry| entry.status == LedgerStatus::Processed;
        let ledger = ledger(flow)?;
        // A file must not leave before the ledger that knows it is on the disk.
        flow.sync()?;
        for entry in self.inbox_store.list().map_err(Failure::unfinished)? {
            let known = ledger.get(&entry.name).filter(|known| processed(known));
            if known.is_some_and(|known| fingerprint_of(known) == fingerprint(&entry)) {
                self.inbox_store.archive(&entry.name).map_err(Failure::unfinished)?;
            }
        }
        Ok(())
    }

    /// Loads the snapshot: everything it holds, and the deletions that follow from it (D2).
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the snapshot cannot be read or published.
    pub fn load_snapshot(&self, now: TimestampMillis, flow: &mut RunningFlow) -> Result<LoadReport, SnapshotFailure> {
        let snapshot = Snapshot::open(&self.snapshot_folder)?;
        if snapshot.is_empty() {
            return Ok(LoadReport::default());
        }
        let held = held(flow)?;
        let base_line = held.is_empty() || self.is_base_line_being_loaded(flow)?;
        if base_line {
            // A load that is interrupted goes on as base line.
            self.note_base_line(true, now, flow)?;
        }
        let known = match &self.known_lines {
            Some(path) => KnownLines::take(path).map_err(|error| known_lines_failure(path, &error))?,
            None => KnownLines::default(),
        };
        let context = flow.context().clone();
        let load = Load {
            known: &known,
            codec: &context.codec,
            settings: &context.settings.configuration.snapshot,
            flow_partitions: flow.flow_partitions(),
            base_line,
            now,
        };
        let report = load.run(&snapshot, &held, flow)?;
        if base_line {
            self.note_base_line(false, now, flow)?;
        }
        if let Some(path) = self.known_lines.as_ref().filter(|_| report.refused.is_none()) {
            flow.sync()?;
            report.known.write(path).map_err(|error| known_lines_failure(path, &error))?;
        }
        Ok(report)
    }

    fn is_base_line_being_loaded(&self, flow: &RunningFlow) -> Result<bool, Failure> {
        if flow.is_shared() { flow.is_base_line_being_loaded() } else { Ok(self.base_line_marker.exists()) }
    }

    /// Notes where the next process finds it whether the base line is being loaded.
    fn note_base_line(&self, is_loading: bool, now: TimestampMillis, flow: &mut RunningFlow) -> Result<(), Failure> {
        if flow.is_shared() {
            let mut output = Output::new(flow.flow_partitions());
            output.inherit(now, Headers::default());
            base_line::note_loading(&mut output, is_loading);
            return flow.publish(&output);
        }
        let noted = if is_loading {
            write_atomically(&self.base_line_marker, b"")
        } else {
            // Without the marker, what a power cut takes of the baseline would come back as changes (D1).
            flow.sync()?;
            remove_durably(&self.base_line_marker)
        };
        noted.map_err(|error| self.marker_failure(&error))
    }

    fn marker_failure(&self, error: &std::io::Error) -> Failure {
        Failure::unfinished(format!("cannot write {}: {error}", self.base_line_marker.display()))
    }

    /// The files of the snapshot folder.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when it cannot be read.
    pub fn snapshot_files(&self) -> Result<Vec<FileEntry>, Failure> {
        Folder::new(&self.snapshot_folder).list().map_err(Failure::unfinished)
    }
}

fn known_lines_failure(path: &Path, error: &std::io::Error) -> Failure {
    Failure::unfinished(format!("cannot write {}: {error}", path.display()))
}

/// Why a snapshot was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotFailure {
    /// It cannot be used as it is: it is incomplete or unreadable. The flow goes on with what it holds.
    #[error("{0}")]
    Unusable(#[from] SnapshotError),
    /// The flow cannot go on.
    #[error("{0}")]
    Flow(#[from] Failure),
}

impl From<LoadError> for SnapshotFailure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Snapshot(error) => Self::Unusable(error),
            LoadError::Log(error) => Self::Flow(log_failure(error)),
            LoadError::Encode(error) => Self::Flow(Failure::unfinished(error)),
        }
    }
}

/// Publishes the decision of an operator about a file, after checking that it can have an effect (D10, D12).
///
/// # Errors
/// [`Failure::Refused`] when it cannot.
pub fn decide(
    file_name: &str,
    decision: Decision,
    now: TimestampMillis,
    flow: &mut RunningFlow,
) -> Result<(), Failure> {
    let entry = ledger(flow)?.remove(file_name);
    let Some(entry) = entry else {
        return Err(Failure::refused(format!("{file_name} was never taken in, so nothing can be decided about it")));
    };
    let is_parked = entry.status == LedgerStatus::Parked;
    let is_done_already = match decision {
        Decision::Accept => !is_parked && entry.accepted,
        Decision::Refuse => entry.status == LedgerStatus::Refused,
        Decision::Release => false,
    };
    if is_done_already {
        return Ok(());
    }
    let (fits, expected) = match decision {
        Decision::Accept | Decision::Refuse => (is_parked, "parked"),
        Decision::Release => (entry.confirmation_held, "one whose confirmation is held back"),
    };
    if !fits {
        return Err(Failure::refused(format!("{file_name} is not {expected}, so there is nothing to decide")));
    }
    let record = FileDecision { file_name: file_name.to_owned(), decision };
    let mut value = Vec::new();
    flow.context().codec.encode(&record, &mut value).map_err(Failure::unfinished)?;
    let mut output = Output::new(flow.flow_partitions());
    output.inherit(now, Headers::default());
    output.send(&topics::INBOUND, file_name.as_bytes(), |buffer| buffer.extend_from_slice(&value));
    flow.publish(&output)
}

/// What the ledger of arrived files tells, seen by `visit`.
fn of_ledger<T: Send + 'static>(
    flow: &RunningFlow,
    visit: impl Fn(&Inbound) -> Vec<(String, T)> + Send + Sync + 'static,
) -> Result<HashMap<String, T>, Failure> {
    let ledgers = flow.inspect_all(topics::INBOUND.partition_count(flow.flow_partitions()), visit)?;
    let moving = || Failure::unfinished("the ledger of arrived files is moving to another worker or process");
    Ok(ledgers.ok_or_else(moving)?.into_iter().flatten().collect())
}

fn ledger(flow: &RunningFlow) -> Result<HashMap<String, LedgerEntry>, Failure> {
    of_ledger(flow, |inbound| inbound.ledger().map(|(name, entry)| (name.to_owned(), entry.clone())).collect())
}

/// Files that need not be sent: those of the ledger, without those whose sending was interrupted and parked ones that
/// were accepted but not sent again yet.
fn known_files(flow: &RunningFlow) -> Result<HashMap<String, Fingerprint>, Failure> {
    of_ledger(flow, |inbound| {
        let is_known = |entry: &LedgerEntry| match entry.status {
            LedgerStatus::Receiving => false,
            LedgerStatus::Parked => !entry.accepted,
            LedgerStatus::Confirming | LedgerStatus::Processed | LedgerStatus::Refused => true,
        };
        let known = inbound.ledger().filter(|(_, entry)| is_known(entry));
        known.map(|(name, entry)| (name.to_owned(), fingerprint_of(entry))).collect()
    })
}

fn fingerprint_of(entry: &LedgerEntry) -> Fingerprint {
    Fingerprint { size: entry.size.unsigned_abs(), modified: entry.modified }
}

fn fingerprint(entry: &FileEntry) -> Fingerprint {
    let modified = entry.modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    Fingerprint { size: entry.size, modified }
}

/// What the `tis` stages hold. Where other processes have some of them, or something is still to be read, the topics
/// tell what they will hold (D2).
fn held(flow: &RunningFlow) -> Result<Held, Failure> {
    if !flow.is_shared() || flow.is_idle()? {
        let all = flow.flow_partitions();
        let posts = flow.inspect_all(all, |posts: &tis::Posts| posts.ids().collect::<Vec<_>>())?;
        let placements = flow.inspect_all(all, |placements: &tis::Placements| placements.ids().collect::<Vec<_>>())?;
        let people = flow.inspect_all(all, |people: &tis::People| people.ids().collect::<Vec<_>>())?;
        if let (Some(posts), Some(placements), Some(people)) = (posts, placements, people) {
            return Ok(Held {
                posts: posts.into_iter().flatten().collect(),
                placements: placements.into_iter().flatten().collect(),
                people: people.into_iter().flatten().collect(),
            });
        }
        if !flow.is_shared() {
            return Err(Failure::unfinished("what is held of TIS is moving to another worker"));
        }
    }
    Ok(Held {
        posts: ids_of(&topics::TIS_POST, flow)?,
        placements: ids_of(&topics::TIS_PLACEMENT, flow)?,
        people: ids_of(&topics::TIS_PERSON, flow)?,
    })
}

fn ids_of<C: FromIterator<i64>>(topic: &'static Topic, flow: &RunningFlow) -> Result<C, Failure> {
    let id = |key: &Vec<u8>| std::str::from_utf8(key).ok()?.parse().ok();
    Ok(flow.keys(topic)?.iter().filter_map(id).collect())
}
