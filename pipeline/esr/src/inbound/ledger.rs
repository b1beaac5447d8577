//! What the ledger keeps about a file.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tributary_schemas::records::esr::FileArrived;

/// A file that has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Hash of its content, hexadecimal.
    pub sha256: String,
    /// Size in bytes, as last seen.
    pub size: i64,
    /// When it was last changed, as last seen, in milliseconds since 1970.
    pub modified: i64,
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

/// The status of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LedgerStatus {
    /// Its lines are being taken in.
    Receiving,
    /// All lines have been sent. Some position partitions have not answered yet.
    Confirming,
    /// All partitions have answered.
    Processed,
    /// It is suspect and waits for an operator or for other content (D10).
    Parked,
    /// An operator has refused it.
    Refused,
}

/// Lines of one record type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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

    /// Whether the file is no longer in flight.
    pub fn is_taken_in(&self) -> bool {
        !matches!(self.status, LedgerStatus::Receiving | LedgerStatus::Confirming)
    }

    pub(super) fn count(&mut self, record_type: &str) -> &mut Counts {
        self.counts.entry(record_type.to_owned()).or_default()
    }
}
