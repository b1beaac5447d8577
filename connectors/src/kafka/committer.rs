//! Commits on a thread of their own: a worker processes what comes next while the broker answers.
//!
//! The thread takes the producer, the records and the offsets, and brings the producer back with the outcome. So there is
//! never more than one user of a producer, and nothing can be sent while a commit is on its way.

use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use tributary_runtime::{LogError, Output};

use super::transaction::Transactions;

/// Input offsets, and the member of the group that sets them.
pub(super) type InputOffsets = (TopicPartitionList, ConsumerGroupMetadata);

/// The transactions of one worker.
pub(super) struct Committer {
    /// `None` while a commit is on its way, and after it was given up.
    transactions: Option<Transactions>,
    commit: Option<OnItsWay>,
    /// After so long a commit is given up: librdkafka may never come back from sending offsets when the broker stood still
    /// meanwhile, whatever time-out it was given.
    patience: Duration,
    /// The output of the commit before, whose memory serves the next.
    spare: Option<Output>,
}

/// A commit whose outcome is not known yet.
struct OnItsWay {
    ended: Receiver<Ended>,
    deadline: Instant,
}

/// A commit that has ended, with what it was made of.
struct Ended {
    transactions: Transactions,
    output: Output,
    outcome: Result<Instant, LogError>,
}

impl Committer {
    /// `patience` must be longer than the time-outs of all calls of a commit together.
    pub(super) fn new(transactions: Transactions, patience: Duration) -> Self {
        Self { transactions: Some(transactions), commit: None, patience, spare: None }
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
        let (sender, ended) = sync_channel(1);
        let commit = move || {
            let offsets = offsets.as_ref().map(|(list, group)| (list, group));
            let outcome = transactions.send_and_commit(&output, offsets).map(|()| Instant::now());
            output.clear();
            // Nobody is left to tell when it was given up.
            let _ = sender.send(Ended { transactions, output, outcome });
        };
        let thread = std::thread::Builder::new().name("commit".to_owned()).spawn(commit);
        thread.map_err(|error| LogError::Unavailable(format!("no thread to commit with: {error}")))?;
        self.commit = Some(OnItsWay { ended, deadline: Instant::now() + self.patience });
        Ok(())
    }

    /// How and when the commit that was begun last has ended; `None` while it is on its way.
    pub(super) fn outcome(&mut self, wait: bool) -> Option<Result<Instant, LogError>> {
        let Some(commit) = self.commit.take() else { return Some(Ok(Instant::now())) };
        let left = commit.deadline.saturating_duration_since(Instant::now());
        match commit.ended.recv_timeout(if wait { left } else { Duration::ZERO }) {
            Ok(ended) => {
                self.transactions = Some(ended.transactions);
                self.spare = Some(ended.output);
                Some(ended.outcome)
            }
            Err(RecvTimeoutError::Timeout) if !wait && !left.is_zero() => {
                self.commit = Some(commit);
                None
            }
            Err(RecvTimeoutError::Timeout) => {
                Some(Err(LogError::Unavailable("the client does not come back from a commit".to_owned())))
            }
            Err(RecvTimeoutError::Disconnected) => Some(Err(LogError::Fatal("a commit panicked".to_owned()))),
        }
    }
}

fn away() -> LogError {
    LogError::Unavailable("the producer is committing or was lost".to_owned())
}
