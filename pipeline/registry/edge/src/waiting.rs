//! Requests that wait for what the log says of them: what has become of them, and the end of a job.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;
use tributary_registry::row_key::RowKey;
use tributary_schemas::records::registry::{JobRow, JobStatus, Reply, ReplyOutcome};
use tributary_schemas::types::registry::KindName;

/// What has become of a request.
#[derive(Debug)]
pub(crate) struct Replied {
    /// What the stage says.
    pub(crate) reply: Reply,
    /// The row as the request has left it, if the request has left it pending. A row may change faster than it is read.
    pub(crate) row: Option<JobRow>,
}

/// What a request is about: what it changes is read before its reply is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A row.
    Row(RowKey),
    /// A kind.
    Kind(KindName),
    /// Nothing that is kept.
    Nothing,
}

/// The requests that wait.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<Waiters>);

#[derive(Default)]
struct Waiters {
    /// For a reply, by the request.
    replies: HashMap<String, ReplyWaiter>,
    /// For the end of a job, by its row and a number.
    ends: BTreeMap<(RowKey, u64), oneshot::Sender<()>>,
    next: u64,
}

struct ReplyWaiter {
    subject: Subject,
    /// Whether its subject has changed since it began to wait.
    has_changed: bool,
    row: Option<JobRow>,
    /// The reply, if it was read before the change.
    reply: Option<Reply>,
    sender: oneshot::Sender<Replied>,
}

impl ReplyWaiter {
    /// Whether the change is read that comes with the reply. Partitions of one transaction are seen one after the
    /// other.
    fn is_whole(&self) -> bool {
        let Some(reply) = &self.reply else { return false };
        let changes = matches!(reply.outcome, ReplyOutcome::Accepted | ReplyOutcome::Joined | ReplyOutcome::Done);
        self.has_changed || !changes || self.subject == Subject::Nothing
    }
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

/// A request that waits for the end of a job. It waits no more once this is dropped.
pub(crate) struct AwaitedEnd {
    waiting: Arc<Waiting>,
    place: (RowKey, u64),
    receiver: oneshot::Receiver<()>,
}

impl AwaitedEnd {
    /// Waits.
    pub(crate) async fn end(&mut self) {
        // An error would mean that nobody tells it any more.
        let _ = (&mut self.receiver).await;
    }
}

impl Drop for AwaitedEnd {
    fn drop(&mut self) {
        self.waiting.waiters(|waiters| drop(waiters.ends.remove(&self.place)));
    }
}

impl Waiting {
    fn waiters<T>(&self, act: impl FnOnce(&mut Waiters) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for the reply to a request, and for the change that comes with it. Called before the request is sent.
    pub(crate) fn for_reply(self: &Arc<Self>, request: String, subject: Subject) -> AwaitedReply {
        let (sender, receiver) = oneshot::channel();
        let waiter = ReplyWaiter { subject, has_changed: false, row: None, reply: None, sender };
        self.waiters(|waiters| drop(waiters.replies.insert(request.clone(), waiter)));
        AwaitedReply { waiting: Arc::clone(self), request, receiver }
    }

    /// Waits for the end of a job. Called before its row is looked at.
    pub(crate) fn for_end(self: &Arc<Self>, key: RowKey) -> AwaitedEnd {
        let (sender, receiver) = oneshot::channel();
        let place = self.waiters(|waiters| {
            waiters.next += 1;
            let place = (key, waiters.next);
            waiters.ends.insert(place, sender);
            place
        });
        AwaitedEnd { waiting: Arc::clone(self), place, receiver }
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
                waiters.ended(key);
            }
            waiters.changed(&Subject::Row(key), pending);
        });
    }

    /// A kind was paused or resumed. That was taken in before.
    pub(crate) fn kind_changed(&self, kind: &KindName) {
        self.waiters(|waiters| waiters.changed(&Subject::Kind(kind.clone()), None));
    }

    /// A request has its reply.
    pub(crate) fn replied(&self, request: &str, reply: Reply) {
        self.waiters(|waiters| {
            if let Some(waiter) = waiters.replies.get_mut(request) {
                waiter.reply = Some(reply);
                waiters.tell(request);
            }
        });
    }
}

impl Waiters {
    /// A job has ended.
    fn ended(&mut self, key: RowKey) {
        let places: Vec<_> = self.ends.range((key, 0)..=(key, u64::MAX)).map(|(place, _)| *place).collect();
        for waiter in places.iter().filter_map(|place| self.ends.remove(place)) {
            // Who has left needs no word.
            let _ = waiter.send(());
        }
    }

    fn changed(&mut self, subject: &Subject, pending: Option<&JobRow>) {
        let mut whole = Vec::new();
        for (request, waiter) in self.replies.iter_mut().filter(|(_, waiter)| waiter.subject == *subject) {
            waiter.has_changed = true;
            if let Some(pending) = pending {
                waiter.row = Some(pending.clone());
            }
            if waiter.is_whole() {
                whole.push(request.clone());
            }
        }
        for request in whole {
            self.tell(&request);
        }
    }

    /// Tells a request its reply, if all is read that comes with it.
    fn tell(&mut self, request: &str) {
        if !self.replies.get(request).is_some_and(ReplyWaiter::is_whole) {
            return;
        }
        let Some(ReplyWaiter { row, reply: Some(reply), sender, .. }) = self.replies.remove(request) else { return };
        // Who has left needs no word.
        let _ = sender.send(Replied { reply, row });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let mut awaited = waiting.for_reply("a".to_owned(), Subject::Row(key(1)));
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

    /// Partitions of one transaction are seen one after the other.
    #[tokio::test]
    async fn a_reply_waits_for_its_change_and_a_refusal_does_not() {
        let waiting = Arc::new(Waiting::default());
        let mut awaited = waiting.for_reply("a".to_owned(), Subject::Row(key(1)));
        let mut refused = waiting.for_reply("b".to_owned(), Subject::Row(key(1)));
        waiting.replied("a", reply());
        waiting.replied("b", Reply { outcome: ReplyOutcome::Refused, ..reply() });
        assert!(refused.reply().await.unwrap().row.is_none());
        assert!(awaited.receiver.try_recv().is_err());
        waiting.row_changed(key(1), Some(&row(JobStatus::Pending, 7)));
        assert_eq!(awaited.reply().await.unwrap().row.map(|row| row.version), Some(7));
        let kind: KindName = "unzr".parse().unwrap();
        let mut paused = waiting.for_reply("c".to_owned(), Subject::Kind(kind.clone()));
        waiting.replied("c", Reply { outcome: ReplyOutcome::Done, ..reply() });
        assert!(paused.receiver.try_recv().is_err());
        waiting.kind_changed(&kind);
        assert!(paused.reply().await.is_some());
    }

    #[tokio::test]
    async fn the_end_of_a_job_is_told_to_all_who_wait_for_it() {
        let waiting = Arc::new(Waiting::default());
        let ends = [waiting.for_end(key(1)), waiting.for_end(key(1))];
        let mut gone = waiting.for_end(key(2));
        waiting.row_changed(key(1), Some(&row(JobStatus::Pending, 1)));
        assert_eq!(waiting.has_waiters(), (false, true));
        waiting.row_changed(key(1), Some(&row(JobStatus::Failed, 2)));
        for mut end in ends {
            end.end().await;
        }
        waiting.row_changed(key(2), None);
        gone.end().await;
        assert_eq!(waiting.has_waiters(), (false, false));
    }

    #[tokio::test]
    async fn who_waits_no_more_is_forgotten() {
        let waiting = Arc::new(Waiting::default());
        drop(waiting.for_reply("a".to_owned(), Subject::Nothing));
        (0..100).for_each(|_| drop(waiting.for_end(key(1))));
        assert_eq!(waiting.has_waiters(), (false, false));
    }
}
