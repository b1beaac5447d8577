//! What leaves the queue of a client: what it may not see any more, what was kept long enough, and what was never read.

use tributary_flow::framed;
use tributary_runtime::Output;
use tributary_schemas::records::tributary::Severity;
use tributary_schemas::types::cases::ClientName;

use super::{ClientStage, entry_key, position_key};
use crate::permission::Grants;
use crate::topics;

/// Notifications of one client that one tick of the clock drops.
const MOST_AT_ONCE: usize = 1000;

impl ClientStage {
    /// A grant is revoked: what has not been received and is not covered by another grant leaves the queue.
    pub(super) fn drop_hidden(&mut self, client: &ClientName, output: &mut Output) {
        let mut queue = self.queue(client);
        let waiting = self.entries_of(client, queue.acknowledged + 1, queue.last);
        let hidden = waiting.filter(|(_, entry)| {
            let notification = &entry.notification;
            !self.granted.cover(client, &notification.origin_system, notification.id)
        });
        let hidden: Vec<i64> = hidden.map(|(position, _)| position).collect();
        if hidden.is_empty() {
            return;
        }
        queue.waiting -= hidden.len() as i64;
        for position in hidden {
            self.drop_entry(client, position, output);
        }
        self.note(client, queue, output);
    }

    /// A client is removed. The positions of its queue are never given out again, even if it returns.
    pub(super) fn remove(&mut self, client: &ClientName, output: &mut Output) {
        let mut queue = self.queue(client);
        let all = self.entries_of(client, 0, queue.last);
        let all: Vec<i64> = all.map(|(position, _)| position).collect();
        for position in all {
            self.drop_entry(client, position, output);
        }
        queue.acknowledged = queue.last;
        queue.waiting = 0;
        self.queues.put(client.clone(), queue);
        Self::withdraw_row(output, client, &position_key(client));
    }

    /// The time has come to drop what was kept long enough.
    pub(super) fn drop_old(&mut self, now: i64, output: &mut Output) {
        let clients: Vec<ClientName> = self.queues.iter().map(|(client, _)| client.clone()).collect();
        for client in clients {
            self.drop_old_of(&client, now, output);
        }
    }

    fn drop_old_of(&mut self, client: &ClientName, now: i64, output: &mut Output) {
        let settings = &self.context.settings;
        let (read, unread) = (now - settings.retention, now - settings.unread);
        let mut queue = self.queue(client);
        let acknowledged = queue.acknowledged;
        // The first one that stays ends the search: the order of a queue is almost that of its times.
        let old = self.entries_of(client, 0, queue.last).take_while(|(position, entry)| {
            let last = if *position <= acknowledged { read } else { unread };
            entry.made <= last
        });
        let old: Vec<i64> = old.take(MOST_AT_ONCE).map(|(position, _)| position).collect();
        if old.is_empty() {
            return;
        }
        let lost = old.iter().filter(|position| **position > acknowledged).count() as i64;
        for position in old {
            self.drop_entry(client, position, output);
        }
        queue.waiting -= lost;
        queue.unread += lost;
        if lost > 0 {
            let text = format!("{client} has never read {lost} notifications, and they are dropped");
            let alert = framed::alert(Severity::Error, "notifications-never-read", client.as_str(), text);
            self.context.send(output, &topics::ALERT, client.as_str(), &alert);
        }
        self.note(client, queue, output);
    }

    fn drop_entry(&mut self, client: &ClientName, position: i64, output: &mut Output) {
        Self::withdraw_row(output, client, &entry_key(client, position));
        self.entries.delete((client.clone(), position));
    }
}
