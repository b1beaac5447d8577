//! The `client` stage: the queue of each client, with the position of each notification and what is acknowledged.
//!
//! A position is given out once. It grows within the queue of a client, and the queue keeps the order in which the
//! notifications came. What a client may not see any more leaves its queue, unless it is acknowledged already.
//!
//! What is kept of each notification may be on a disk. What is kept of each client is in memory.

mod dropping;
mod replay;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use tributary_flow::framed::unexpected;
use tributary_runtime::{Output, ProcessError, Processor, Record, SelectedStore, StateStore, Store, Table, TableError};
use tributary_schemas::RecordType;
use tributary_schemas::records::cases::{
    Acknowledged, NotificationDue, QueueEntry, QueuePosition, RegistryAction, RegistryChange,
};
use tributary_schemas::records::cases_state::ClientQueue;
use tributary_schemas::records::tributary::Clock;
use tributary_schemas::types::cases::{CaseId, ClientName, OriginName};

use crate::context::Context;
use crate::permission::Grants;
use crate::topics;

pub use replay::is_wanted;

/// The processor of one partition.
pub struct ClientStage {
    context: Context,
    queues: Store<ClientName, ClientQueue>,
    entries: SelectedStore<(ClientName, i64), QueueEntry>,
    granted: Granted,
    /// Notifications that were told again: client, the position at which each stood first, and its own.
    copies: SelectedStore<(ClientName, (i64, i64)), ()>,
    /// Clients whose queue has changed since the last commit. One row for each is enough.
    moved: BTreeSet<ClientName>,
}

/// Where a task keeps what grows with the number of notifications: in tables, or in memory.
#[derive(Default)]
pub struct ClientTables {
    /// The notifications.
    pub entries: Option<Box<dyn Table>>,
    /// Which of them were told again.
    pub copies: Option<Box<dyn Table>>,
}

/// The grants of the clients of a partition.
struct Granted(Store<(ClientName, (OriginName, Option<CaseId>)), ()>);

impl Grants for Granted {
    fn has(&self, client: &ClientName, origin: &OriginName, case: Option<CaseId>) -> bool {
        self.0.get(&(client.clone(), (origin.clone(), case))).is_some()
    }
}

impl ClientStage {
    /// Creates a task with empty state.
    pub fn new(context: Context, tables: ClientTables) -> Self {
        Self {
            context,
            queues: Store::new(0, "queues"),
            entries: SelectedStore::new(1, "entries", tables.entries),
            granted: Granted(Store::new(2, "grants")),
            copies: SelectedStore::new(3, "copies", tables.copies),
            moved: BTreeSet::new(),
        }
    }

    fn queue(&self, client: &ClientName) -> ClientQueue {
        self.queues.get(client).cloned().unwrap_or_default()
    }

    /// The kept notifications of a client from one position to another, in order. None if the first is the larger one.
    fn entries_of(
        &self,
        client: &ClientName,
        first: i64,
        last: i64,
    ) -> impl Iterator<Item = Result<(i64, Cow<'_, QueueEntry>), TableError>> {
        let entries = self.entries.range(positions(client, first, last));
        entries.map(|entry| entry.map(|(key, entry)| (key.1, entry)))
    }

    fn notify(&mut self, record: &Record<'_>, due: &NotificationDue, output: &mut Output) -> Result<(), ProcessError> {
        let notification = &due.notification;
        for client in &due.clients {
            // Since the notification was made, the grant may have been revoked.
            if !self.granted.cover(client, &notification.origin_system, notification.id) {
                continue;
            }
            let mut queue = self.queue(client);
            queue.last += 1;
            queue.waiting += 1;
            let entry = QueueEntry {
                client: client.clone(),
                position: queue.last,
                notification: notification.clone(),
                made: record.timestamp,
                original: None,
            };
            self.send_row(output, client, &entry_key(client, queue.last), &entry);
            self.entries.put((client.clone(), queue.last), entry)?;
            self.note(client, queue);
        }
        Ok(())
    }

    /// A client has received its notifications up to a position. An earlier position changes nothing.
    fn acknowledge(&mut self, acknowledged: &Acknowledged) -> Result<(), ProcessError> {
        let (client, position) = (&acknowledged.client, acknowledged.position);
        let mut queue = self.queue(client);
        if position > queue.last {
            let text = format!("the queue of {client} ends at {}, before {position}", queue.last);
            return Err(ProcessError::dead_letter("position-unknown", text));
        }
        if position <= queue.acknowledged {
            return Ok(());
        }
        let received = self.entries.count(positions(client, queue.acknowledged + 1, position))?;
        queue.waiting -= received as i64;
        queue.acknowledged = position;
        self.note(client, queue);
        Ok(())
    }

    fn change(&mut self, registry: &RegistryChange, output: &mut Output) -> Result<(), ProcessError> {
        let change = &registry.change;
        if let Some(client) = &change.client {
            let grant = change.origin.clone().map(|origin| (client.clone(), (origin, change.case_id)));
            match (change.action, grant) {
                (RegistryAction::GrantAdd, Some(grant)) => self.granted.0.put(grant, ()),
                (RegistryAction::GrantRevoke, Some(grant)) => {
                    self.granted.0.delete(grant.clone());
                    self.drop_hidden(client, grant.1, output)?;
                }
                (RegistryAction::ClientPut, _) => {
                    let queue = ClientQueue { channel: Some(change.channel), ..self.queue(client) };
                    self.note(client, queue);
                }
                (RegistryAction::ClientDelete, _) => self.remove(client, output)?,
                _ => {}
            }
        }
        self.context.acknowledge(output, registry.version);
        Ok(())
    }

    fn note(&mut self, client: &ClientName, queue: ClientQueue) {
        self.queues.put(client.clone(), queue);
        if !self.moved.contains(client) {
            self.moved.insert(client.clone());
        }
    }

    fn send_row<R: tributary_schemas::AvroRecord>(&self, output: &mut Output, client: &ClientName, key: &str, row: &R) {
        let partition = Context::partition_of_client(output, &topics::QUEUE, client);
        self.context.send_to(output, &topics::QUEUE, partition, key.as_bytes(), row);
    }

    /// Sends the next step of a long task to this stage.
    fn go_on<R: tributary_schemas::AvroRecord>(&self, output: &mut Output, client: &ClientName, step: &R) {
        let partition = Context::partition_of_client(output, &topics::CLIENT, client);
        self.context.send_to(output, &topics::CLIENT, partition, client.as_str().as_bytes(), step);
    }

    fn withdraw_row(output: &mut Output, client: &ClientName, key: &str) {
        let partition = Context::partition_of_client(output, &topics::QUEUE, client);
        output.tombstone_to(&topics::QUEUE, partition, key.as_bytes());
    }
}

impl Processor for ClientStage {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let framed = self.context.open(record)?;
        match framed.record_type() {
            RecordType::CasesNotificationDue => self.notify(record, &framed.read()?, output),
            RecordType::CasesRegistryChange => self.change(&framed.read()?, output),
            RecordType::CasesAcknowledged => self.acknowledge(&framed.read()?),
            RecordType::CasesQueueDrop => self.drop_some(framed.read()?, output),
            RecordType::CasesReplay => self.replay(record, framed.read()?, output),
            RecordType::TributaryClock => self.drop_old(framed.read::<Clock>()?.now, output),
            _ => Err(unexpected(&framed)),
        }
    }

    fn flush(&mut self, output: &mut Output) {
        for client in std::mem::take(&mut self.moved) {
            let ClientQueue { last, acknowledged, waiting, unread, begins, .. } = self.queue(&client);
            let row =
                QueuePosition { last, acknowledged, waiting, unread, begins, ..QueuePosition::of(client.clone()) };
            self.send_row(output, &client, &position_key(&client), &row);
        }
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![&mut self.queues, self.entries.state(), &mut self.granted.0, self.copies.state()]
    }
}

/// The keys of a client from one position to another. None if the first is the larger one.
fn positions(client: &ClientName, first: i64, last: i64) -> Range<(ClientName, i64)> {
    let end = last.saturating_add(1).max(first);
    (client.clone(), first)..(client.clone(), end)
}

/// The key of a notification in the topic of the queues. Keys sort as positions do.
fn entry_key(client: &ClientName, position: i64) -> String {
    format!("entry/{client}/{position:020}")
}

fn position_key(client: &ClientName) -> String {
    format!("client/{client}")
}
