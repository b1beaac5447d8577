//! Who waits for which rows. A change wakes only those who wait for it, so a thousand waiting requests cost nothing
//! while nothing comes for them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tributary_schemas::types::cases::{ClientName, CommandId, OriginName};

/// What a request waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Awaited {
    /// Something in the queue of a client.
    Queue(ClientName),
    /// What becomes of a command.
    Outcome(OriginName, CommandId),
    /// The answer to a request for operators.
    Answer(String),
}

/// What has changed in the rows.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    awaited: HashSet<Awaited>,
    /// The registry has changed, which concerns everybody: permissions, and what is in force.
    registry: bool,
}

impl Changed {
    /// The rows of one thing have changed.
    pub(crate) fn note(&mut self, awaited: Awaited) {
        self.awaited.insert(awaited);
    }

    /// The registry has changed.
    pub(crate) fn note_registry(&mut self) {
        self.registry = true;
    }
}

/// All who wait.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<HashMap<Awaited, watch::Sender<()>>>);

impl Waiting {
    /// Waits for changes from now on.
    pub(crate) fn join(self: &Arc<Self>, awaited: Awaited) -> Waiter {
        let mut senders = self.senders();
        let receiver = senders.entry(awaited.clone()).or_insert_with(|| watch::Sender::new(())).subscribe();
        drop(senders);
        Waiter { waiting: Arc::clone(self), awaited, receiver }
    }

    /// Wakes those whose rows have changed.
    pub(crate) fn wake(&self, changed: &Changed) {
        let senders = self.senders();
        if changed.registry {
            senders.values().for_each(|sender| sender.send_replace(()));
        } else if !senders.is_empty() {
            let awaited = changed.awaited.iter().filter_map(|awaited| senders.get(awaited));
            awaited.for_each(|sender| sender.send_replace(()));
        }
    }

    fn senders(&self) -> MutexGuard<'_, HashMap<Awaited, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits. It sees every change since it joined.
#[derive(Debug)]
pub(crate) struct Waiter {
    waiting: Arc<Waiting>,
    awaited: Awaited,
    receiver: watch::Receiver<()>,
}

impl Waiter {
    /// Waits for a change since the last one that it saw.
    pub(crate) async fn changed(&mut self) {
        // The sender lives at least as long as this value.
        let _ = self.receiver.changed().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut senders = self.waiting.senders();
        if senders.get(&self.awaited).is_some_and(|sender| sender.receiver_count() <= 1) {
            senders.remove(&self.awaited);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn queue(client: &str) -> Awaited {
        Awaited::Queue(client.parse().unwrap())
    }

    fn changed(awaited: &[Awaited]) -> Changed {
        let mut changed = Changed::default();
        for one in awaited {
            changed.note(one.clone());
        }
        changed
    }

    #[test]
    fn a_change_wakes_those_who_wait_for_it_and_nobody_else() {
        let waiting = Arc::new(Waiting::default());
        let (mut first, mut second, mut other) =
            (waiting.join(queue("journal-1")), waiting.join(queue("journal-1")), waiting.join(queue("journal-2")));
        waiting.wake(&changed(&[queue("journal-1"), queue("nobody")]));
        assert!(first.changed().now_or_never().is_some() && second.changed().now_or_never().is_some());
        assert!(first.changed().now_or_never().is_none(), "each change is seen once");
        assert!(other.changed().now_or_never().is_none());
        let mut registry = Changed::default();
        registry.note_registry();
        waiting.wake(&registry);
        assert!(first.changed().now_or_never().is_some() && other.changed().now_or_never().is_some());
    }

    #[test]
    fn nothing_stays_of_those_who_have_left() {
        let waiting = Arc::new(Waiting::default());
        let (first, second) = (waiting.join(queue("journal-1")), waiting.join(queue("journal-1")));
        drop(first);
        assert_eq!(waiting.senders().len(), 1);
        drop(second);
        assert_eq!(waiting.senders().len(), 0);
    }
}
