//! What leaves the queue of a client: what it may not see any more, what was kept long enough, and what was never read.

use tributary_flow::framed;
use tributary_runtime::{Output, ProcessError};
use tributary_schemas::records::cases::{Channel, QueueDrop, QueueEntry};
use tributary_schemas::records::tributary::Severity;
use tributary_schemas::types::cases::{CaseId, ClientName, OriginName};

use super::{ClientStage, entry_key, position_key};
use crate::permission::Grants;
use crate::topics;

/// Notifications of one client that one record drops, so that no transaction grows with the length of a queue.
const MOST_AT_ONCE: usize = 1000;

impl ClientStage {
    /// A grant is revoked: what has not been received and is not covered by another grant leaves the queue. Whoever
    /// reads the queue checks grants too, so nobody sees what a later step drops.
    pub(super) fn drop_hidden(
        &mut self,
        client: &ClientName,
        (origin, case_id): (OriginName, Option<CaseId>),
        output: &mut Output,
    ) -> Result<(), ProcessError> {
        let until = self.queue(client).last;
        self.drop_some(QueueDrop { until, origin: Some(origin), case_id, ..QueueDrop::of(client.clone()) }, output)
    }

    /// A client is removed. The positions of its queue are never given out again, even if it returns, and what stood at
    /// them is never shown again.
    pub(super) fn remove(&mut self, client: &ClientName, output: &mut Output) -> Result<(), ProcessError> {
        let mut queue = self.queue(client);
        let until = queue.last;
        (queue.acknowledged, queue.begins, queue.waiting) = (until, until, 0);
        self.queues.put(client.clone(), queue);
        Self::withdraw_row(output, client, &position_key(client));
        self.drop_some(QueueDrop { until, ..QueueDrop::of(client.clone()) }, output)?;
        self.moved.remove(client);
        Ok(())
    }

    /// One step of a revocation, or of the removal of a client.
    pub(super) fn drop_some(&mut self, mut step: QueueDrop, output: &mut Output) -> Result<(), ProcessError> {
        let client = step.client.clone();
        let mut queue = self.queue(&client);
        let is_revocation = step.origin.is_some();
        // A revocation leaves what is acknowledged.
        let first = if is_revocation { step.after.max(queue.acknowledged) } else { step.after } + 1;
        let (mut looked, mut last, mut dropped) = (0, step.after, Vec::new());
        for entry in self.entries_of(&client, first, step.until).take(MOST_AT_ONCE) {
            let (position, entry) = entry?;
            (looked, last) = (looked + 1, position);
            if self.is_dropped(&step, &entry) {
                dropped.push(Dropped::of(position, &entry));
            }
        }
        for entry in &dropped {
            self.drop_entry(&client, entry, output)?;
        }
        if is_revocation && !dropped.is_empty() {
            queue.waiting -= dropped.len() as i64;
            self.note(&client, queue);
        }
        if looked == MOST_AT_ONCE {
            step.after = last;
            self.go_on(output, &client, &step);
        }
        Ok(())
    }

    /// Whether a step drops this notification. The revoked grant may have been given again since: what was made before
    /// its revocation goes nevertheless.
    fn is_dropped(&self, step: &QueueDrop, entry: &QueueEntry) -> bool {
        let Some(origin) = &step.origin else { return true };
        let told = &entry.notification;
        let other_grant = if step.case_id.is_none() { Some(told.id) } else { None };
        let is_meant = told.origin_system == *origin && step.case_id.is_none_or(|case| case == told.id);
        is_meant && !self.granted.has(&step.client, origin, other_grant)
    }

    /// The time has come to drop what was kept long enough.
    pub(super) fn drop_old(&mut self, now: i64, output: &mut Output) -> Result<(), ProcessError> {
        let clients: Vec<ClientName> = self.queues.iter().map(|(client, _)| client.clone()).collect();
        clients.iter().try_for_each(|client| self.drop_old_of(client, now, output))
    }

    fn drop_old_of(&mut self, client: &ClientName, now: i64, output: &mut Output) -> Result<(), ProcessError> {
        let settings = &self.context.settings;
        let mut queue = self.queue(client);
        // What waits for a broker was not delivered yet. The client cannot read it, so it waits without limit.
        let is_read_by_client = !matches!(queue.channel, Some(Channel::Kafka | Channel::Rabbitmq));
        let read = now - settings.retention;
        let unread = if is_read_by_client { now - settings.unread } else { i64::MIN };
        let acknowledged = queue.acknowledged;
        let mut old = Vec::new();
        for entry in self.entries_of(client, 0, queue.last).take(MOST_AT_ONCE) {
            let (position, entry) = entry?;
            let last = if position <= acknowledged { read } else { unread };
            // The first one that stays ends the search: the order of a queue is almost that of its times.
            if entry.made > last {
                break;
            }
            old.push(Dropped::of(position, &entry));
        }
        if old.is_empty() {
            return Ok(());
        }
        let lost = old.iter().filter(|entry| entry.position > acknowledged).count() as i64;
        for entry in &old {
            self.drop_entry(client, entry, output)?;
        }
        queue.waiting -= lost;
        queue.unread += lost;
        if lost > 0 {
            let text = format!("{client} has never read {lost} notifications, and they are dropped");
            let alert = framed::alert(Severity::Error, "notifications-never-read", client.as_str(), text);
            self.context.send(output, &topics::ALERT, client.as_str(), &alert);
        }
        self.note(client, queue);
        Ok(())
    }

    fn drop_entry(&mut self, client: &ClientName, entry: &Dropped, output: &mut Output) -> Result<(), ProcessError> {
        let Dropped { position, original } = *entry;
        Self::withdraw_row(output, client, &entry_key(client, position));
        self.entries.delete((client.clone(), position))?;
        if let Some(original) = original {
            self.copies.delete((client.clone(), (original, position)))?;
        }
        Ok(())
    }
}

/// A notification that leaves a queue.
struct Dropped {
    position: i64,
    /// Where it stood first, if it was told again.
    original: Option<i64>,
}

impl Dropped {
    fn of(position: i64, entry: &QueueEntry) -> Self {
        Self { position, original: entry.original }
    }
}
