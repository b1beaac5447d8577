//! Requests that wait for what the log says of them: what has become of them, and the end of a job.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;
use tributary_registry::row_key::RowKey;
use tributary_schemas::records::registry::{JobRow, JobStatus, Reply};

/// What has become of a request.
#[derive(Debug)]
pub(crate) struct Replied {
    /// What the stage says.
    pub(crate) reply: Reply,
    /// The row as the request has left it, if the request has left it pending. A row may change faster than it is read.
    pub(crate) row: Option<JobRow>,
}

/// The requests that wait.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<Waiters>);

#[derive(Default)]
struct Waiters {
    /// For a reply, by the request.
    replies: HashMap<String, ReplyWaiter>,
    /// For the end of a job, by its row.
    ends: HashMap<RowKey, Vec<oneshot::Sender<()>>>,
}

struct ReplyWaiter {
    key: Option<RowKey>,
    row: Option<JobRow>,
    sender: oneshot::Sender<Replied>,
}

/// A request that waits for its reply. It waits no more once this is dropped.
pub(crate) struct AwaitedReply {
    waiting: Arc<Waiting>,
    request: String,
    receiver: oneshot::Receiver<Replied>,
}

impl AwaitedReply {
    /// Waits. `None` if nobody will reply any more.
    pub(crate) async fn reply(&mut self) -> Option<Replied> {
        (&mut self.receiver).await.ok()
    }
}

impl Drop for AwaitedReply {
    fn drop(&mut self) {
        self.waiting.waiters(|waiters| drop(waiters.replies.remove(&self.request)));
    }
}

impl Waiting {
    fn waiters<T>(&self, act: impl FnOnce(&mut Waiters) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for the reply to a request, and for the row that it is about. Called before the request is sent.
    pub(crate) fn for_reply(self: &Arc<Self>, request: String, key: Option<RowKey>) -> AwaitedReply {
        let (sender, receiver) = oneshot::channel();
        let waiter = ReplyWaiter { key, row: None, sender };
        self.waiters(|waiters| drop(waiters.replies.insert(request.clone(), waiter)));
        AwaitedReply { waiting: Arc::clone(self), request, receiver }
    }

    /// Waits for the end of a job. Called while the row is known to be pending.
    pub(crate) fn for_end(&self, key: RowKey) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        self.waiters(|waiters| {
            let ends = waiters.ends.entry(key).or_default();
            // Those who have left make room.
            ends.retain(|waiter| !waiter.is_closed());
            ends.push(sender);
        });
        receiver
    }

    /// Whether anybody waits for a reply, and whether for the end of a job.
    pub(crate) fn has_waiters(&self) -> (bool, bool) {
        self.waiters(|waiters| (!waiters.replies.is_empty(), !waiters.ends.is_empty()))
    }

    /// A row has changed. It was taken in before.
    pub(crate) fn row_changed(&self, key: RowKey, row: Option<&JobRow>) {
        let pending = row.filter(|row| row.status == JobStatus::Pending);
        self.waiters(|waiters| {
            if pending.is_none() {
                for waiter in waiters.ends.remove(&key).into_iter().flatten() {
                    // Who has left needs no word.
                    let _ = waiter.send(());
                }
                return;
            }
            for waiter in waiters.replies.values_mut().filter(|waiter| waiter.key == Some(key)) {
                waiter.row = pending.cloned();
            }
        });
    }

    /// A request has its reply. The change of its row was told before.
    pub(crate) fn replied(&self, request: &str, reply: Reply) {
        let Some(waiter) = self.waiters(|waiters| waiters.replies.remove(request)) else { return };
        drop(waiter.sender.send(Replied { reply, row: waiter.row }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tributary_schemas::records::registry::ReplyOutcome;

    fn key(number: u8) -> RowKey {
        RowKey::new([number; 32])
    }

    fn row(status: JobStatus, version: i64) -> JobRow {
        let id = "0ca5e000-0000-4000-8000-000000000001";
        let row = JobRow::of(
            "unzr".parse().unwrap(),
            id.parse().unwrap(),
            id.parse().unwrap(),
            id.parse().unwrap(),
            id.parse().unwrap(),
        );
        JobRow { status, version, ..row }
    }

    fn reply() -> Reply {
        Reply { outcome: ReplyOutcome::Accepted, row_id: None, retry_after: None }
    }

    #[tokio::test]
    async fn a_reply_comes_with_the_row_that_the_request_has_left() {
        let waiting = Arc::new(Waiting::default());
        let mut awaited = waiting.for_reply("a".to_owned(), Some(key(1)));
        waiting.row_changed(key(2), Some(&row(JobStatus::Pending, 9)));
        waiting.row_changed(key(1), Some(&row(JobStatus::Pending, 1)));
        // The job has ended before the reply is read.
        waiting.row_changed(key(1), Some(&row(JobStatus::Processed, 2)));
        waiting.replied("b", reply());
        waiting.replied("a", reply());
        let replied = awaited.reply().await.unwrap();
        assert_eq!(replied.row.map(|row| row.version), Some(1));
        drop(awaited);
        assert_eq!(waiting.has_waiters(), (false, false));
    }

    #[tokio::test]
    async fn the_end_of_a_job_is_told_to_all_who_wait_for_it() {
        let waiting = Arc::new(Waiting::default());
        let ends = [waiting.for_end(key(1)), waiting.for_end(key(1))];
        let gone = waiting.for_end(key(2));
        waiting.row_changed(key(1), Some(&row(JobStatus::Pending, 1)));
        assert_eq!(waiting.has_waiters(), (false, true));
        waiting.row_changed(key(1), Some(&row(JobStatus::Failed, 2)));
        for end in ends {
            end.await.unwrap();
        }
        waiting.row_changed(key(2), None);
        gone.await.unwrap();
        assert_eq!(waiting.has_waiters(), (false, false));
    }

    #[tokio::test]
    async fn who_waits_no_more_is_forgotten() {
        let waiting = Arc::new(Waiting::default());
        drop(waiting.for_reply("a".to_owned(), None));
        (0..100).for_each(|_| drop(waiting.for_end(key(1))));
        assert_eq!(waiting.waiters(|waiters| (waiters.replies.len(), waiters.ends[&key(1)].len())), (0, 1));
    }
}
