//! What the ledger keeps about a file.

use std::collections::{BTreeMap, BTreeSet};

use tributary_schemas::records::esr::FileArrived;
use tributary_schemas::records::esr_state::{self, LedgerCount};
use tributary_schemas::stored;

use crate::inbox::Fingerprint;

/// A file that has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// Hash of its content, hexadecimal.
    pub sha256: String,
    /// Size in bytes, as last seen.
    pub size: i64,
    /// When its content was last changed, as last seen, in milliseconds since 1970.
    pub modified: i64,
    /// Its number in the file system, as last seen (D109).
    pub inode: Option<i64>,
    /// When its content, name or rights were last changed, as last seen, in milliseconds since 1970 (D109).
    pub changed: Option<i64>,
    /// Its status.
    pub status: LedgerStatus,
    /// Whether an operator has accepted it, although it is suspect (D10).
    pub accepted: bool,
    /// Whether its RTC is held back (D12).
    pub confirmation_held: bool,
    pub(super) next_chunk: i32,
    pub(super) counts: BTreeMap<String, Counts>,
    pub(super) answered: BTreeSet<i32>,
    pub(super) unnamed: i64,
    pub(super) unnamed_examples: Vec<i64>,
}

pub use tributary_schemas::records::esr_state::LedgerStatus;

/// Lines of one record type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines received.
    pub received: i64,
    /// Lines accepted.
    pub accepted: i64,
}

impl LedgerEntry {
    pub(super) fn of(arrived: &FileArrived) -> Self {
        Self {
            sha256: arrived.sha256.clone(),
            size: arrived.size,
            modified: arrived.modified,
            inode: arrived.inode,
            changed: arrived.changed,
            status: LedgerStatus::Receiving,
            accepted: false,
            confirmation_held: false,
            next_chunk: 0,
            counts: BTreeMap::new(),
            answered: BTreeSet::new(),
            unnamed: 0,
            unnamed_examples: Vec::new(),
        }
    }

    /// What distinguished the file from its other versions, as last seen.
    pub fn print(&self) -> Fingerprint {
        Fingerprint {
            size: self.size.unsigned_abs(),
            modified: self.modified,
            inode: self.inode,
            changed: self.changed,
        }
    }

    /// Whether the file need not be sent as long as it does not change. Interrupted files must be sent, and accepted
    /// ones that were not sent again yet.
    pub fn is_known(&self) -> bool {
        match self.status {
            LedgerStatus::Receiving => false,
            LedgerStatus::Parked => !self.accepted,
            LedgerStatus::Confirming | LedgerStatus::Processed | LedgerStatus::Refused => true,
        }
    }

    /// Whether an operator has to decide about the file (D10).
    pub fn is_undecided(&self) -> bool {
        self.status == LedgerStatus::Parked && !self.accepted
    }

    /// Whether the arrived file is this one, and only its place in the file system or its rights have changed (D109).
    pub(super) fn has_only_moved(&self, arrived: &FileArrived) -> bool {
        let seen = Self::of(arrived);
        let place_is_known = self.inode.is_some() && seen.inode.is_some();
        let same = (&self.sha256, self.size, self.modified) == (&seen.sha256, seen.size, seen.modified);
        same && place_is_known && !self.print().is_same(&seen.print())
    }

    pub(super) fn see(&mut self, arrived: &FileArrived) {
        self.size = arrived.size;
        self.modified = arrived.modified;
        self.inode = arrived.inode;
        self.changed = arrived.changed;
    }

    /// Whether the file is no longer in flight.
    pub fn is_taken_in(&self) -> bool {
        !matches!(self.status, LedgerStatus::Receiving | LedgerStatus::Confirming)
    }

    pub(super) fn count(&mut self, record_type: &str) -> &mut Counts {
        self.counts.entry(record_type.to_owned()).or_default()
    }
}

stored!(LedgerEntry as esr_state::LedgerEntry);

impl From<&LedgerEntry> for esr_state::LedgerEntry {
    fn from(entry: &LedgerEntry) -> Self {
        let count = |(record_type, counts): (&String, &Counts)| LedgerCount {
            record_type: record_type.clone(),
            received: counts.received,
            accepted: counts.accepted,
        };
        Self {
            sha256: entry.sha256.clone(),
            size: entry.size,
            modified: entry.modified,
            status: entry.status,
            accepted: entry.accepted,
            confirmation_held: entry.confirmation_held,
            next_chunk: entry.next_chunk,
            counts: entry.counts.iter().map(count).collect(),
            answered: entry.answered.iter().copied().collect(),
            unnamed: entry.unnamed,
            unnamed_examples: entry.unnamed_examples.clone(),
            inode: entry.inode,
            changed: entry.changed,
        }
    }
}

impl From<esr_state::LedgerEntry> for LedgerEntry {
    fn from(record: esr_state::LedgerEntry) -> Self {
        let counts =
            |count: LedgerCount| (count.record_type, Counts { received: count.received, accepted: count.accepted });
        Self {
            sha256: record.sha256,
            size: record.size,
            modified: record.modified,
            inode: record.inode,
            changed: record.changed,
            status: record.status,
            accepted: record.accepted,
            confirmation_held: record.confirmation_held,
            next_chunk: record.next_chunk,
            counts: record.counts.into_iter().map(counts).collect(),
            answered: record.answered.into_iter().collect(),
            unnamed: record.unnamed,
            unnamed_examples: record.unnamed_examples,
        }
    }
}
