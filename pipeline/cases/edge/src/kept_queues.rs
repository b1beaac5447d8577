//! The notifications of all clients that the log keeps, in memory. Most are told to many clients, so what is told is
//! kept once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tributary_schemas::records::cases::{Notification, QueueEntry};
use tributary_schemas::types::cases::{ClientName, MessageId};

/// Notifications that are looked for when another client is told the same. Those of one command come together.
const MOST_RECENT: usize = 20_000;

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
#[derive(Default)]
pub(crate) struct KeptQueues {
    by_client: HashMap<ClientName, BTreeMap<i64, Entry>>,
    recent: HashMap<MessageId, Arc<Notification>>,
}

impl KeptQueues {
    pub(crate) fn put(&mut self, entry: QueueEntry) {
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

    pub(crate) fn remove(&mut self, client: &ClientName, position: i64) {
        let Some(queue) = self.by_client.get_mut(client) else { return };
        queue.remove(&position);
        if queue.is_empty() {
            self.by_client.remove(client);
        }
    }

    /// The entries of a client at and after a position, in order.
    pub(crate) fn from<'a>(
        &'a self,
        client: &ClientName,
        position: i64,
    ) -> impl DoubleEndedIterator<Item = &'a Entry> + use<'a> {
        let queue = self.by_client.get(client);
        queue.into_iter().flat_map(move |queue| queue.range(position..)).map(|(_, entry)| entry)
    }
}

#[cfg(test)]
mod tests {
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

    fn positions(queues: &KeptQueues, client: &str, from: i64) -> Vec<i64> {
        queues.from(&client.parse().unwrap(), from).map(|entry| entry.position).collect()
    }

    #[test]
    fn what_several_clients_are_told_is_kept_once() {
        let mut queues = KeptQueues::default();
        for (client, position, uri) in [("a", 1, "https://x"), ("b", 7, "https://x"), ("c", 1, "https://y")] {
            queues.put(entry(client, position, uri));
        }
        let told = |client: &str| Arc::clone(&queues.from(&client.parse().unwrap(), 0).next().unwrap().notification);
        assert!(Arc::ptr_eq(&told("a"), &told("b")));
        assert_eq!(told("c").case_details_uri.as_deref(), Some("https://y"), "it has the same message id");
    }

    #[test]
    fn entries_of_a_client_come_in_order_and_go_one_by_one() {
        let mut queues = KeptQueues::default();
        for (client, position) in [("a", 3), ("a", 1), ("ab", 2), ("a", 2)] {
            queues.put(entry(client, position, "https://x"));
        }
        assert_eq!((positions(&queues, "a", 2), positions(&queues, "ab", 0)), (vec![2, 3], vec![2]));
        queues.remove(&"a".parse().unwrap(), 2);
        queues.remove(&"ab".parse().unwrap(), 2);
        queues.remove(&"b".parse().unwrap(), 2);
        assert_eq!((positions(&queues, "a", 0), positions(&queues, "ab", 0)), (vec![1, 3], Vec::new()));
    }

    #[test]
    fn more_than_are_looked_for_are_kept_all_the_same() {
        let mut queues = KeptQueues::default();
        for position in 1..=MOST_RECENT as i64 + 1 {
            let mut entry = entry("a", position, "https://x");
            entry.notification.message_id = format!("{position:08x}-0000-4000-8000-000000000000").parse().unwrap();
            queues.put(entry);
        }
        assert_eq!((positions(&queues, "a", 0).len(), queues.recent.len()), (MOST_RECENT + 1, 1));
    }
}
