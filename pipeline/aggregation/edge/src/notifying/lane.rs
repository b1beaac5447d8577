//! One subscriber: its queue, and the task that empties it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tributary_aggregation::delivery::{Courier, End, Queue, Waiting};

use super::term::Ledger;

/// The queue of a subscriber. It is fed by the thread of the term and emptied by its task.
pub(super) struct Lane {
    queue: Mutex<Queue>,
    partition: i32,
    fed: Notify,
    /// Held from when a progress is written until the queue knows it: each one on the log knows those before it.
    pub(super) storing: tokio::sync::Mutex<()>,
}

impl Lane {
    pub(super) fn new(queue: Queue) -> Self {
        let partition = queue.progress().partition;
        Self { queue: Mutex::new(queue), partition, fed: Notify::new(), storing: tokio::sync::Mutex::default() }
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn partition(&self) -> i32 {
        self.partition
    }

    /// Wakes the task, after something was fed.
    pub(super) fn wake(&self) {
        self.fed.notify_one();
    }

    /// Delivers what is in the queue in its order, until the term is over.
    pub(super) async fn empty(self: Arc<Self>, courier: Courier, ledger: Arc<Ledger>, mut over: watch::Receiver<bool>) {
        // How many go out one by one, after a call with several was not taken.
        let mut alone = 0_usize;
        loop {
            let next = self.queue().next(if alone > 0 { 1 } else { usize::MAX });
            if next.is_empty() {
                tokio::select! {
                    () = self.fed.notified() => continue,
                    () = ended(&mut over) => return,
                }
            }
            if *over.borrow() {
                return;
            }
            let Some(delivery) = courier.deliver(self.partition, &next, ended(&mut over)).await else { return };
            let done = next.get(..delivery.count).unwrap_or(&next);
            if !self.store(&ledger, done, &delivery.end, &over).await {
                return;
            }
            alone = alone.max(delivery.tried).saturating_sub(delivery.count);
        }
    }

    /// Stores what has become of notifications. `false` once the term is over.
    async fn store(&self, ledger: &Arc<Ledger>, done: &[Waiting], end: &End, over: &watch::Receiver<bool>) -> bool {
        let _storing = self.storing.lock().await;
        let mut output = ledger.output();
        let now = Timestamp::now().as_millisecond();
        self.queue().write(ledger.codec(), &mut output, now, done, end);
        if !ledger.store(output, over).await {
            return false;
        }
        self.queue().finish(done, end);
        true
    }
}

/// Waits for the end of the term.
async fn ended(over: &mut watch::Receiver<bool>) {
    // Without a sender it is over, too.
    let _ = over.wait_for(|over| *over).await;
}
