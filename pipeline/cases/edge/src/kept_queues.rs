//! The notifications of all clients that the log keeps: in memory, or in a table with the newest of them in memory as
//! well. Most are told to many clients, so in memory what is told is kept once.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use tributary_runtime::{KeyRange, StateKey, StateValue, Table, TableError, TableWrites};
use tributary_schemas::records::cases::{Notification, QueueEntry};
use tributary_schemas::types::cases::{ClientName, MessageId};

/// Notifications that are looked for when another client is told the same. Those of one command come together.
const MOST_RECENT: usize = 20_000;

/// The newest notifications of a table that are in memory as well. A client that is not far behind is told of these, so
/// nothing waits for the disk.
const MOST_NEWEST: usize = 20_000;

/// The entries of the first piece that is read of a table. Each later piece is twice as long, up to the longest.
const FIRST_PIECE: usize = 16;
const LONGEST_PIECE: usize = 256;

/// A notification in the queue of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) position: i64,
    /// When it was made, in milliseconds since 1970.
    pub(crate) made: i64,
    /// Where it stood first, if it is told again.
    pub(crate) original: Option<i64>,
    pub(crate) notification: Arc<Notification>,
}

/// The queues.
pub(crate) enum KeptQueues {
    /// In memory.
    Memory(QueuesInMemory),
    /// In a table.
    Table(QueuesInTable),
}

/// Queues in memory.
#[derive(Default)]
pub(crate) struct QueuesInMemory {
    by_client: HashMap<ClientName, BTreeMap<i64, Entry>>,
    recent: HashMap<MessageId, Arc<Notification>>,
}

/// Queues in a table. It is empty when the process starts, so its values need no schema.
pub(crate) struct QueuesInTable {
    table: Box<dyn Table>,
    newest: Newest,
    /// What was put or removed, and is not in the table yet. Nothing is read of it until it is.
    unwritten: TableWrites,
    /// Whether the table is to be cleared before anything else.
    is_stale: bool,
}

/// The newest entries of a table.
#[derive(Default)]
struct Newest {
    queues: QueuesInMemory,
    /// Their keys in the order in which they were put.
    order: VecDeque<(ClientName, i64)>,
    /// Up to which position of a client entries may be in the table alone.
    on_disk: HashMap<ClientName, i64>,
}

impl Default for KeptQueues {
    fn default() -> Self {
        Self::Memory(QueuesInMemory::default())
    }
}

impl KeptQueues {
    /// Queues in an empty table.
    pub(crate) fn in_table(table: Box<dyn Table>) -> Self {
        let (newest, unwritten) = (Newest::default(), TableWrites::new());
        Self::Table(QueuesInTable { table, newest, unwritten, is_stale: false })
    }

    pub(crate) fn is_in_table(&self) -> bool {
        matches!(self, Self::Table(_))
    }

    /// Whether all entries of a client at and after a position are in memory, so that no look at them waits for a disk.
    pub(crate) fn is_in_memory(&self, client: &ClientName, position: i64) -> bool {
        match self {
            Self::Memory(_) => true,
            Self::Table(queues) => queues.newest.covers(client, position),
        }
    }

    /// Puts an entry. One of a table is there after [`KeptQueues::write`].
    pub(crate) fn put(&mut self, entry: QueueEntry) {
        match self {
            Self::Memory(queues) => queues.put(entry),
            Self::Table(queues) => queues.put(entry),
        }
    }

    /// Removes an entry. One of a table is gone after [`KeptQueues::write`].
    pub(crate) fn remove(&mut self, client: &ClientName, position: i64) {
        match self {
            Self::Memory(queues) => queues.remove(client, position),
            Self::Table(queues) => {
                queues.newest.queues.remove(client, position);
                queues.unwritten.insert(key(client, position), None);
            }
        }
    }

    /// Removes all entries. Those of a table are gone after [`KeptQueues::write`].
    pub(crate) fn clear(&mut self) {
        match self {
            Self::Memory(queues) => *queues = QueuesInMemory::default(),
            Self::Table(queues) => {
                (queues.newest, queues.unwritten) = (Newest::default(), TableWrites::new());
                queues.is_stale = true;
            }
        }
    }

    /// Writes what has changed to the table, if there is one.
    ///
    /// # Errors
    /// [`TableError`]. Only what is in memory can be read then until it has succeeded.
    pub(crate) fn write(&mut self) -> Result<(), TableError> {
        let Self::Table(queues) = self else { return Ok(()) };
        queues.write()
    }

    /// Whether the table, if there is one, has taken all that has changed.
    pub(crate) fn is_written(&self) -> bool {
        match self {
            Self::Memory(_) => true,
            Self::Table(queues) => queues.is_written(),
        }
    }

    /// The entries of a client at and after a position, in order. After an error there is nothing more.
    pub(crate) fn from<'a>(
        &'a self,
        client: &ClientName,
        position: i64,
    ) -> impl Iterator<Item = Result<Cow<'a, Entry>, TableError>> + use<'a> {
        let (memory, table) = match self {
            Self::Memory(queues) => (Some(queues.from(client, position)), None),
            Self::Table(queues) if queues.newest.covers(client, position) => {
                (Some(queues.newest.queues.from(client, position)), None)
            }
            Self::Table(queues) => (None, Some(queues.from(client, position))),
        };
        let table = table.into_iter().flatten().map(|entry| entry.map(Cow::Owned));
        memory.into_iter().flatten().map(|entry| Ok(Cow::Borrowed(entry))).chain(table)
    }

    /// The newest entries of a client before a position, at most `limit`, the newest first.
    ///
    /// # Errors
    /// [`TableError`].
    pub(crate) fn newest(&self, client: &ClientName, before: i64, limit: usize) -> Result<Vec<Entry>, TableError> {
        match self {
            Self::Memory(queues) => {
                let queue = queues.by_client.get(client).into_iter();
                let older = queue.flat_map(|queue| queue.range(..before).rev());
                Ok(older.take(limit).map(|(_, entry)| entry.clone()).collect())
            }
            Self::Table(queues) => queues.newest(client, before, limit),
        }
    }
}

impl QueuesInMemory {
    fn put(&mut self, entry: QueueEntry) {
        let QueueEntry { client, position, notification, made, original } = entry;
        let notification = self.shared(notification);
        self.by_client.entry(client).or_default().insert(position, Entry { position, made, original, notification });
    }

    /// The same notification as another client is told, if there is one.
    fn shared(&mut self, notification: Notification) -> Arc<Notification> {
        if let Some(known) = self.recent.get(&notification.message_id)
            && **known == notification
        {
            return Arc::clone(known);
        }
        if self.recent.len() == MOST_RECENT {
            self.recent.clear();
        }
        let notification = Arc::new(notification);
        self.recent.insert(notification.message_id, Arc::clone(&notification));
        notification
    }

    fn remove(&mut self, client: &ClientName, position: i64) {
        let Some(queue) = self.by_client.get_mut(client) else { return };
        queue.remove(&position);
        if queue.is_empty() {
            self.by_client.remove(client);
        }
    }

    fn from<'a>(&'a self, client: &ClientName, position: i64) -> impl DoubleEndedIterator<Item = &'a Entry> + use<'a> {
        let queue = self.by_client.get(client);
        queue.into_iter().flat_map(move |queue| queue.range(position..)).map(|(_, entry)| entry)
    }
}

impl Newest {
    fn covers(&self, client: &ClientName, position: i64) -> bool {
        self.on_disk.get(client).is_none_or(|on_disk| position > *on_disk)
    }

    fn put(&mut self, entry: QueueEntry) {
        self.order.push_back((entry.client.clone(), entry.position));
        self.queues.put(entry);
        if self.order.len() > MOST_NEWEST
            && let Some((client, position)) = self.order.pop_front()
        {
            self.queues.remove(&client, position);
            let on_disk = self.on_disk.entry(client).or_insert(position);
            *on_disk = position.max(*on_disk);
        }
    }
}

impl QueuesInTable {
    fn put(&mut self, entry: QueueEntry) {
        let mut value = Vec::new();
        StateValue::write(&entry, &mut value);
        self.unwritten.insert(key(&entry.client, entry.position), Some(value));
        self.newest.put(entry);
    }

    fn write(&mut self) -> Result<(), TableError> {
        if self.is_stale {
            self.table.clear()?;
            self.is_stale = false;
        }
        if !self.unwritten.is_empty() {
            self.table.apply(&self.unwritten)?;
            self.unwritten = TableWrites::new();
        }
        Ok(())
    }

    fn is_written(&self) -> bool {
        self.unwritten.is_empty() && !self.is_stale
    }

    fn check(&self) -> Result<(), TableError> {
        if self.is_written() {
            return Ok(());
        }
        Err(TableError::Unavailable("the table of notifications does not take what is new".to_owned()))
    }

    fn from<'a>(
        &'a self,
        client: &ClientName,
        position: i64,
    ) -> impl Iterator<Item = Result<Entry, TableError>> + use<'a> {
        let (mut from, to) = (Bound::Included(key(client, position)), key(client, i64::MAX));
        let (mut length, mut is_end) = (FIRST_PIECE, false);
        let pieces = std::iter::from_fn(move || {
            if is_end {
                return None;
            }
            let range = KeyRange { from: from.as_ref().map(Vec::as_slice), to: Bound::Included(&to) };
            let piece = self.check().and_then(|()| self.table.first(range, length));
            is_end = piece.as_ref().map_or(true, |piece| piece.len() < length);
            length = (length * 2).min(LONGEST_PIECE);
            if let Ok([.., (last, _)]) = piece.as_deref() {
                from = Bound::Excluded(last.clone());
            }
            Some(piece)
        });
        pieces.flat_map(|piece| {
            let (piece, error) = piece.map_or_else(|error| (Vec::new(), Some(Err(error))), |piece| (piece, None));
            piece.into_iter().map(|(_, value)| entry(&value)).chain(error)
        })
    }

    fn newest(&self, client: &ClientName, before: i64, limit: usize) -> Result<Vec<Entry>, TableError> {
        self.check()?;
        let (from, to) = (key(client, 0), key(client, before));
        let range = KeyRange { from: Bound::Included(&from), to: Bound::Excluded(&to) };
        self.table.last(range, limit)?.iter().map(|(_, value)| entry(value)).collect()
    }
}

fn key(client: &ClientName, position: i64) -> Vec<u8> {
    let mut key = Vec::new();
    client.write_key(&mut key);
    position.write_key(&mut key);
    key
}

fn entry(value: &[u8]) -> Result<Entry, TableError> {
    let QueueEntry { position, notification, made, original, .. } = StateValue::read(value).map_err(|reason| {
        TableError::Damaged(format!("the table of notifications is damaged ({reason}): check that disk, and restart"))
    })?;
    Ok(Entry { position, made, original, notification: Arc::new(notification) })
}

#[cfg(test)]
mod tests {
    use tributary_runtime::{MemoryTables, TableFaults, Tables as _};
    use tributary_schemas::records::cases::NotificationType;

    use super::*;

    fn entry(client: &str, position: i64, uri: &str) -> QueueEntry {
        let id = "0ca5e000-0000-4000-8000-000000000001";
        let notification = Notification {
            message_id: id.parse().unwrap(),
            id: id.parse().unwrap(),
            notification_type: NotificationType::Created,
            case_details_uri: Some(uri.to_owned()),
            event_time: None,
            origin_system: "esdh-a".parse().unwrap(),
        };
        QueueEntry { client: client.parse().unwrap(), position, notification, made: position, original: None }
    }

    fn both() -> [KeptQueues; 2] {
        [KeptQueues::default(), KeptQueues::in_table(MemoryTables::default().create("entries"))]
    }

    fn positions(queues: &KeptQueues, client: &str, from: i64) -> Vec<i64> {
        queues.from(&client.parse().unwrap(), from).map(|entry| entry.unwrap().position).collect()
    }

    #[test]
    fn what_several_clients_are_told_is_kept_once_in_memory() {
        let mut queues = KeptQueues::default();
        for (client, position, uri) in [("a", 1, "https://x"), ("b", 7, "https://x"), ("c", 1, "https://y")] {
            queues.put(entry(client, position, uri));
        }
        let first = |client: &str| queues.from(&client.parse().unwrap(), 0).next().unwrap().unwrap();
        let told = |client: &str| Arc::clone(&first(client).notification);
        assert!(Arc::ptr_eq(&told("a"), &told("b")));
        assert_eq!(told("c").case_details_uri.as_deref(), Some("https://y"), "it has the same message id");
    }

    #[test]
    fn entries_of_a_client_come_in_order_and_go_one_by_one() {
        for mut queues in both() {
            for (client, position) in [("a", 3), ("a", 1), ("ab", 2), ("a", 2)] {
                queues.put(entry(client, position, "https://x"));
            }
            queues.write().unwrap();
            assert_eq!((positions(&queues, "a", 2), positions(&queues, "ab", 0)), (vec![2, 3], vec![2]));
            queues.remove(&"a".parse().unwrap(), 2);
            queues.remove(&"ab".parse().unwrap(), 2);
            queues.remove(&"b".parse().unwrap(), 2);
            queues.write().unwrap();
            assert_eq!((positions(&queues, "a", 0), positions(&queues, "ab", 0)), (vec![1, 3], Vec::new()));
            queues.clear();
            queues.write().unwrap();
            assert!(positions(&queues, "a", 0).is_empty());
        }
    }

    #[test]
    fn a_long_queue_is_read_in_pieces_from_both_ends() {
        for mut queues in both() {
            (1..=2_000).for_each(|position| queues.put(entry("a", position, "https://x")));
            queues.put(entry("b", 1, "https://x"));
            queues.write().unwrap();
            assert_eq!(positions(&queues, "a", 500), (500..=2_000).collect::<Vec<_>>());
            let newest = |before, limit| {
                let found = queues.newest(&"a".parse().unwrap(), before, limit).unwrap();
                found.iter().map(|entry| entry.position).collect::<Vec<_>>()
            };
            assert_eq!(
                (newest(i64::MAX, 2), newest(1_999, 1), newest(1, 9)),
                (vec![2_000, 1_999], vec![1_998], vec![])
            );
        }
    }

    #[test]
    fn nothing_is_read_of_a_table_that_lacks_what_is_new() {
        let tables = MemoryTables::default();
        let mut queues = KeptQueues::in_table(tables.create("entries"));
        queues.put(entry("a", 1, "https://x"));
        put_newest(&mut queues, "b", MOST_NEWEST);
        queues.write().unwrap();
        tables.set_faults(Some(TableFaults { seed: 1, read: 0.0, write: 1.0 }));
        queues.put(entry("a", 2, "https://x"));
        let client = "a".parse().unwrap();
        assert_eq!(positions(&queues, "a", 2), [2], "what is in memory is read");
        for _ in 0..2 {
            queues.write().unwrap_err();
            let read: Vec<Result<_, TableError>> = queues.from(&client, 0).collect();
            assert!(matches!(&*read, [Err(TableError::Unavailable(_))]), "{read:?}");
            queues.newest(&client, 9, 9).unwrap_err();
        }
        tables.set_faults(None);
        queues.put(entry("a", 2, "https://x"));
        queues.write().unwrap();
        assert_eq!(positions(&queues, "a", 0), [1, 2]);
    }

    fn put_newest(queues: &mut KeptQueues, client: &str, count: usize) {
        (1..=count as i64).for_each(|position| queues.put(entry(client, position, "https://x")));
    }

    #[test]
    fn the_newest_of_a_table_are_read_from_memory_and_the_others_from_the_table() {
        let tables = MemoryTables::default();
        let mut queues = KeptQueues::in_table(tables.create("entries"));
        put_newest(&mut queues, "a", MOST_NEWEST + 500);
        queues.write().unwrap();
        let (client, last) = ("a".parse().unwrap(), MOST_NEWEST as i64 + 500);
        assert!(queues.is_in_memory(&client, 501) && !queues.is_in_memory(&client, 500));
        assert!(queues.is_in_memory(&"b".parse().unwrap(), 0), "all of a client without entries");
        assert_eq!(positions(&queues, "a", 499), (499..=last).collect::<Vec<_>>());
        queues.remove(&client, last - 1);
        queues.write().unwrap();
        for from in [last - 2, 500] {
            assert_eq!(positions(&queues, "a", from).last_chunk(), Some(&[last - 2, last]));
        }
        tables.set_faults(Some(TableFaults { seed: 1, read: 1.0, write: 0.0 }));
        assert_eq!(positions(&queues, "a", last - 2), [last - 2, last]);
        assert!(queues.from(&client, 500).next().unwrap().is_err());
        queues.clear();
        tables.set_faults(None);
        queues.write().unwrap();
        assert!(queues.is_in_memory(&client, 0) && positions(&queues, "a", 0).is_empty());
    }

    #[test]
    fn more_than_are_looked_for_are_kept_all_the_same() {
        let mut queues = QueuesInMemory::default();
        for position in 1..=MOST_RECENT as i64 + 1 {
            let mut entry = entry("a", position, "https://x");
            entry.notification.message_id = format!("{position:08x}-0000-4000-8000-000000000000").parse().unwrap();
            queues.put(entry);
        }
        assert_eq!((queues.from(&"a".parse().unwrap(), 0).count(), queues.recent.len()), (MOST_RECENT + 1, 1));
    }
}
