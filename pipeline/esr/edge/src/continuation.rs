//! The note of a batch in progress, in the state folder. Because of it, the same command continues an interrupted batch
//! and does not start another one under new file numbers.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tributary_esr::format::Office;
use tributary_flow::Failure;
use tributary_runtime::{remove_durably, write_atomically};

use crate::exchange::Exchange;

/// The name of the note. The file exists from the first step of a batch to the last.
const FILE: &str = "batch-in-progress";

/// What distinguishes a batch from others, and where its events start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Begun {
    now: Timestamp,
    offices: Vec<Office>,
    include_late: bool,
    /// The first event of its summary.
    first_event: i64,
}

/// A batch that was started now or by an interrupted process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Continuation {
    /// Whether an interrupted process started it.
    pub(crate) continues: bool,
    /// The first event of its summary.
    pub(crate) first_event: i64,
}

impl Continuation {
    /// Notes the start of the batch, unless the note of the same batch exists. `next_event` is the first event of a new
    /// batch.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the state folder cannot be written.
    pub(crate) fn begin(exchange: &Exchange, now: Timestamp, next_event: i64) -> Result<Self, Failure> {
        let path = path(exchange);
        let begins = Begun {
            now,
            offices: exchange.configured.offices.clone(),
            include_late: exchange.configured.include_late,
            first_event: next_event,
        };
        // A note that cannot be read is from another version, and so from another batch.
        let found: Option<Begun> = fs::read(&path).ok().and_then(|content| serde_json::from_slice(&content).ok());
        let found = found.filter(|found| found.is_same(&begins));
        let continues = found.is_some();
        let begun = found.unwrap_or(begins);
        // A found note is also written, because a power cut may lose it if the killed process had not synced it.
        write(&path, &begun)?;
        Ok(Self { continues, first_event: begun.first_event })
    }

    /// Notes that the batch is complete and its summary delivered. The next batch is a new one, even as of the same
    /// time.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the state folder cannot be written.
    pub(crate) fn end(exchange: &Exchange) -> Result<(), Failure> {
        let path = path(exchange);
        remove_durably(&path).map_err(|error| cannot_write(&path, &error))
    }
}

impl Begun {
    fn is_same(&self, other: &Self) -> bool {
        (self.now, &self.offices, self.include_late) == (other.now, &other.offices, other.include_late)
    }
}

fn path(exchange: &Exchange) -> PathBuf {
    exchange.process.state().join(FILE)
}

fn write(path: &Path, begun: &Begun) -> Result<(), Failure> {
    let content = serde_json::to_vec(begun).map_err(Failure::unfinished)?;
    write_atomically(path, &content).map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::unfinished(format!("cannot write {}: {error}", path.display()))
}
