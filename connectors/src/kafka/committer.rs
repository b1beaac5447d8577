//! Commits on a thread of their own: a worker processes what comes next while the broker answers.
//!
//! The thread takes the producer, the records and the offsets, and brings the producer back with the outcome. So there is
//! never more than one user of a producer, but for a call that was given up, whose producer nobody else uses any more; and
//! nothing can be sent while a commit is on its way.

use std::thread::JoinHandle;
use std::time::Instant;

use tributary_runtime::{LogError, Output};

use super::transaction::{InputOffsets, Transactions};

/// The transactions of one worker.
pub(super) struct Committer {
    /// `None` while a commit is on its way.
    transactions: Option<Transactions>,
    commit: Option<JoinHandle<Ended>>,
    /// The output of the commit before, whose memory serves the next.
    spare: Option<Output>,
}

/// A commit that has ended, with what it was made of.
struct Ended {
    transactions: Transactions,
    output: Output,
    outcome: Result<Instant, LogError>,
}

impl Committer {
    pub(super) fn new(transactions: Transactions) -> Self {
        Self { transactions: Some(transactions), commit: None, spare: None }
    }

    /// The transactions, unless a commit is on its way.
    pub(super) fn transactions(&mut self) -> Result<&mut Transactions, LogError> {
        self.transactions.as_mut().ok_or_else(away)
    }

    /// Whether something was sent that is not committed yet.
    pub(super) fn is_open(&self) -> bool {
        self.transactions.as_ref().is_some_and(Transactions::is_open)
    }

    /// Begins a commit. Takes the records of `output`.
    pub(super) fn begin(&mut self, output: &mut Output, offsets: Option<InputOffsets>) -> Result<(), LogError> {
        let mut transactions = self.transactions.take().ok_or_else(away)?;
        // That of a commit without records ([`tributary_runtime::Log::commit`]) knows nothing of the flow.
        let next = self.spare.take().filter(|spare| spare.is_like(output)).unwrap_or_else(|| output.another());
        let mut output = std::mem::replace(output, next);
        let commit = move || {
            let outcome = transactions.send_and_commit(&output, offsets).map(|()| Instant::now());
            output.clear();
            Ended { transactions, output, outcome }
        };
        let thread = std::thread::Builder::new().name("commit".to_owned()).spawn(commit);
        self.commit =
            Some(thread.map_err(|error| LogError::unavailable(format!("no thread to commit with: {error}")))?);
        Ok(())
    }

    /// How and when the commit that was begun last has ended; `None` while it is on its way.
    pub(super) fn outcome(&mut self, wait: bool) -> Option<Result<Instant, LogError>> {
        if self.commit.as_ref().is_some_and(|commit| !wait && !commit.is_finished()) {
            return None;
        }
        let Some(commit) = self.commit.take() else { return Some(Ok(Instant::now())) };
        let Ok(ended) = commit.join() else {
            return Some(Err(LogError::fatal("a commit panicked")));
        };
        self.transactions = Some(ended.transactions);
        self.spare = Some(ended.output);
        Some(ended.outcome)
    }
}

fn away() -> LogError {
    LogError::unavailable("the producer is committing or was lost")
}
