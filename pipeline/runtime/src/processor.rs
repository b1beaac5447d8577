//! The contract of a processor: a deterministic function of its state and one record.

use std::any::Any;

use crate::output::Output;
use crate::record::Record;
use crate::store::StateStore;

/// The function of one task. It owns its state stores as fields; it has no clock, no randomness and does no I/O. Time
/// arrives as records. Processors at the edge (writers of files, callers of services) are the exception: they run in a
/// worker and a consumer group of their own, and return [`ProcessError::Retry`] when the outside fails.
pub trait Processor: Send + Any {
    /// Processes one record. After an error, the runtime undoes the state changes and outputs of this record.
    ///
    /// # Errors
    /// A [`ProcessError`] says whether to dead-letter the record, to try it again, or to stop.
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError>;

    /// Sends what needs to be sent only once for all records of a transaction, such as the newest of many states of one
    /// row. It is called once before each commit and must change no state. After an abort the records are processed
    /// again, so what it has noted of them may be sent once more.
    fn flush(&mut self, _output: &mut Output) {}

    /// The state stores, always in the same order: the position is the store's number in the changelog.
    fn stores(&mut self) -> Vec<&mut dyn StateStore>;
}

/// Why a record could not be processed, by what has to happen next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProcessError {
    /// The record can never succeed: it goes to the dead-letter topic in the same transaction.
    #[error("{code}: {text}")]
    DeadLetter {
        /// A short stable code, bounded in number, used as a metric label.
        code: &'static str,
        /// What happened, to what, and what to do.
        text: String,
    },
    /// Something outside is not available: the same record is tried again after a pause.
    #[error("will be tried again: {0}")]
    Retry(String),
    /// To continue would do harm: the process stops with this message.
    #[error("stopped: {0}")]
    Stop(String),
}

impl ProcessError {
    /// A dead letter.
    pub fn dead_letter(code: &'static str, text: impl Into<String>) -> Self {
        Self::DeadLetter { code, text: text.into() }
    }
}
