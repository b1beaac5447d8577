//! The queues of clients.

use std::collections::BTreeSet;

use crate::registry::folded;
use crate::{Notice, Oracle, Replay, may_see};

/// A notification that the queue of a client keeps.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) notice: Notice,
    /// The same for all that tell the same again.
    pub(crate) message: u32,
    pub(crate) made: i64,
    pub(crate) is_received: bool,
}

impl Oracle {
    /// What the queue of a client keeps.
    pub fn kept(&self, client: &str) -> Vec<Notice> {
        self.queue(client).map(|kept| kept.notice.clone()).collect()
    }

    /// What a client has not received.
    pub fn waiting(&self, client: &str) -> Vec<Notice> {
        self.queue(client).filter(|kept| !kept.is_received).map(|kept| kept.notice.clone()).collect()
    }

    fn queue(&self, client: &str) -> impl Iterator<Item = &Kept> {
        self.queues.get(client).into_iter().flatten()
    }

    /// A client has received all that is in its queue.
    pub fn receive(&mut self, client: &str) {
        self.queues.entry(client.to_owned()).or_default().iter_mut().for_each(|kept| kept.is_received = true);
    }

    /// What the queue of a client keeps is told again, each once.
    pub fn replay(&mut self, client: &str, wanted: Replay) {
        let mut seen = BTreeSet::new();
        let mut again = Vec::new();
        for kept in self.queue(client) {
            let is_first = seen.insert(kept.message);
            let is_wanted = wanted.case.is_none_or(|case| case == kept.notice.case)
                && wanted.from.is_none_or(|from| kept.made >= from)
                && wanted.to.is_none_or(|to| kept.made < to);
            if is_first && is_wanted && may_see(&self.grants, client, &kept.notice.origin, kept.notice.case) {
                again.push(Kept { made: self.time, is_received: false, ..kept.clone() });
            }
        }
        self.queues.entry(client.to_owned()).or_default().extend(again);
    }

    pub(crate) fn drop_old(&mut self) {
        for (client, queue) in &mut self.queues {
            let is_on_broker = self.clients.get(&folded(client)).is_some_and(|named| named.is_on_broker);
            let mut lost = 0;
            queue.retain(|kept| {
                let age = self.time - kept.made;
                if kept.is_received {
                    return age < self.rules.retention;
                }
                let stays = is_on_broker || age < self.rules.unread;
                lost += i64::from(!stays);
                stays
            });
            if lost > 0 {
                *self.unread.entry(client.clone()).or_default() += lost;
            }
        }
    }
}
