//! Commits on a thread of their own: a worker processes further records while the broker answers.
//!
//! The thread takes the producer, the records and the offsets, and returns the producer with the outcome. So a producer
//! never has more than one user, and nothing can be sent while a commit is under way. There is one exception: a call
//! that was given up still uses its producer, but nobody else does.

use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Instant;

use tributary_runtime::{LogError, Output, TopicPartition};

use super::call_thread::CallThread;
use super::transaction::{InputOffsets, Transactions};

/// The transactions of one worker.
pub(super) struct Committer {
    state: State,
    /// The first commit starts it. All commits use it.
    thread: Option<CallThread<Ended>>,
    /// The output of the previous commit, whose memory serves the next.
    spare: Option<Output>,
}

/// Who has the producer.
enum State {
    /// The worker: it may send, commit and abort.
    Ready(Box<Transactions>),
    /// The thread, until the commit of these offsets has ended.
    Committing { offsets: Vec<(TopicPartition, i64)> },
    /// Nobody: a commit panicked.
    Lost,
}

/// A commit that has succeeded.
pub(super) struct Committed {
    pub(super) at: Instant,
    /// The input offsets: the next one to read of each partition.
    pub(super) offsets: Vec<(TopicPartition, i64)>,
}

impl Committed {
    /// The end of a commit when none was under way.
    fn nothing() -> Self {
        Self { at: Instant::now(), offsets: Vec::new() }
    }
}

/// What the thread returns after a commit.
struct Ended {
    transactions: Box<Transactions>,
    output: Output,
    outcome: Result<Instant, LogError>,
}

impl Committer {
    pub(super) fn new(transactions: Transactions) -> Self {
        Self { state: State::Ready(Box::new(transactions)), thread: None, spare: None }
    }

    /// The transactions, unless a commit is under way.
    pub(super) fn transactions(&mut self) -> Result<&mut Transactions, LogError> {
        match &mut self.state {
            State::Ready(transactions) => Ok(transactions),
            State::Committing { .. } | State::Lost => Err(away()),
        }
    }

    /// Whether something was sent that is not committed yet.
    pub(super) fn is_open(&self) -> bool {
        matches!(&self.state, State::Ready(transactions) if transactions.is_open())
    }

    /// Begins a commit. Takes the records of `output`. `input` has the `offsets` in librdkafka's own form.
    pub(super) fn begin(
        &mut self,
        output: &mut Output,
        offsets: &[(TopicPartition, i64)],
        input: Option<InputOffsets>,
    ) -> Result<(), LogError> {
        let thread = CallThread::in_slot(&mut self.thread, "commit")
            .map_err(|error| LogError::unavailable(format!("no thread to commit with: {error}")).caused_by(error))?;
        let committing = State::Committing { offsets: offsets.to_vec() };
        let mut transactions = match std::mem::replace(&mut self.state, committing) {
            State::Ready(transactions) => transactions,
            other => {
                self.state = other;
                return Err(away());
            }
        };
        // The output of a commit without records ([`tributary_runtime::Log::commit`]) knows nothing of the flow.
        let next = self.spare.take().filter(|spare| spare.is_like(output)).unwrap_or_else(|| output.another());
        let mut output = std::mem::replace(output, next);
        thread.begin(move || {
            let outcome = transactions.send_and_commit(&output, input).map(|()| Instant::now());
            output.clear();
            Ended { transactions, output, outcome }
        });
        Ok(())
    }

    /// How the commit that was begun last has ended; `None` while it is under way.
    pub(super) fn poll(&mut self) -> Option<Result<Committed, LogError>> {
        let Some(answers) = self.answers() else { return Some(Ok(Committed::nothing())) };
        match answers.try_recv() {
            Err(TryRecvError::Empty) => None,
            answer => Some(self.end(answer.ok())),
        }
    }

    /// Waits for the end of the commit that was begun last.
    pub(super) fn wait(&mut self) -> Result<Committed, LogError> {
        let Some(answers) = self.answers() else { return Ok(Committed::nothing()) };
        let answer = answers.recv().ok();
        self.end(answer)
    }

    /// Where the outcome of the commit under way arrives.
    fn answers(&self) -> Option<&Receiver<Ended>> {
        match (&self.state, &self.thread) {
            (State::Committing { .. }, Some(thread)) => Some(thread.answers()),
            _ => None,
        }
    }

    /// Takes the producer back from the thread. `ended` is missing when the commit panicked.
    fn end(&mut self, ended: Option<Ended>) -> Result<Committed, LogError> {
        let Some(Ended { transactions, output, outcome }) = ended else {
            self.state = State::Lost;
            return Err(LogError::fatal("a commit panicked"));
        };
        self.spare = Some(output);
        let offsets = match std::mem::replace(&mut self.state, State::Ready(transactions)) {
            State::Committing { offsets } => offsets,
            State::Ready(_) | State::Lost => Vec::new(),
        };
        outcome.map(|at| Committed { at, offsets })
    }
}

fn away() -> LogError {
    LogError::unavailable("the producer is committing or was lost")
}

#[cfg(test)]
mod tests {
    //! A hanging call cannot be provoked on a real broker, but on librdkafka's mock cluster.

    use std::thread::ThreadId;
    use std::time::Duration;

    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::super::transaction::tests::{cluster, offsets};
    use super::*;

    fn commit(committer: &mut Committer, offsets: Option<InputOffsets>) -> Result<(), LogError> {
        committer.begin(&mut Output::new(1), &[], offsets)?;
        assert!(committer.transactions().is_err(), "the producer has two users");
        committer.wait().map(drop)
    }

    /// The threads for commits and for offsets.
    fn threads(committer: &mut Committer) -> (ThreadId, ThreadId) {
        let offsets = committer.transactions().unwrap().offsets_thread().unwrap();
        (committer.thread.as_ref().unwrap().thread.thread().id(), offsets)
    }

    #[test]
    fn all_commits_use_the_same_threads_until_a_call_hangs() {
        let (cluster, transactions) = cluster();
        let mut committer = Committer::new(transactions);
        assert_eq!(commit(&mut committer, Some(offsets(&cluster))), Ok(()));
        let first = threads(&mut committer);
        assert_ne!(first.0, first.1);
        for _ in 0..5 {
            assert_eq!(commit(&mut committer, Some(offsets(&cluster))), Ok(()));
            assert_eq!(threads(&mut committer), first);
        }
        cluster.request_errors(RDKafkaApiKey::TxnOffsetCommit, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR__OUTDATED]);
        let hung = commit(&mut committer, Some(offsets(&cluster)));
        assert!(matches!(&hung, Err(LogError::Abortable(text)) if text.contains("did not return")), "{hung:?}");
        assert_eq!(commit(&mut committer, Some(offsets(&cluster))), Ok(()));
        let second = threads(&mut committer);
        assert_eq!(second.0, first.0, "the commit itself returned");
        assert_ne!(second.1, first.1, "the hanging call keeps its thread");
        assert_eq!(commit(&mut committer, Some(offsets(&cluster))), Ok(()));
        assert_eq!(threads(&mut committer), second);
        let started = Instant::now();
        drop(committer);
        assert!(started.elapsed() < Duration::from_secs(3), "dropping waits for the hanging call");
    }
}
