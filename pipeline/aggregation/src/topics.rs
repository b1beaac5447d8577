//! The topics of the flow, each declared once.
//!
//! Records about a patient are in the partition of the patient, whatever their key is. Their keys are empty or hashes,
//! because keys are shown where values are not.

use std::time::Duration;

use tributary_runtime::{Cleanup, Partitions, Role, Topic};

const WEEK: Duration = Duration::from_hours(7 * 24);
const YEAR: Duration = Duration::from_hours(366 * 24);

const fn inbox(name: &'static str, records: &'static [&'static str]) -> Topic {
    Topic { name, partitions: Partitions::Flow, cleanup: Cleanup::Delete(WEEK), role: Role::Inbox, records }
}

const fn changelog(name: &'static str) -> Topic {
    Topic { name, partitions: Partitions::Flow, cleanup: Cleanup::Compact, role: Role::Changelog, records: &[] }
}

const fn output(name: &'static str, cleanup: Cleanup, records: &'static [&'static str]) -> Topic {
    Topic { name, partitions: Partitions::Flow, cleanup, role: Role::Output, records }
}

/// Accepted transactions, by patient, and what closes and opens the write lock.
pub static INDEX_INBOX: Topic = inbox(
    "aggregation.index.inbox",
    &["aggregation.AcceptedTransactions", "aggregation.IndexLock", "aggregation.IndexRelease", "tributary.Clock"],
);
/// Transactions that neither wait for others nor for the end of the write lock, by patient, and the subscribers.
pub static INDEX_COLLECTED: Topic =
    inbox("aggregation.index.collected", &["aggregation.AcceptedTransactions", "aggregation.SubscriberList"]);

/// The index, keyed by business key and partitioned by patient.
pub static ENGAGEMENT: Topic = output("aggregation.engagement", Cleanup::Compact, &["aggregation.Engagement"]);
/// What waits in each partition of the index, keyed by its number.
pub static INDEX_STATE: Topic = output("aggregation.index.state", Cleanup::Compact, &["aggregation.IndexState"]);
/// Notifications, keyed by subscriber.
pub static NOTIFICATION: Topic =
    output("aggregation.notification", Cleanup::Delete(WEEK), &["aggregation.Notification"]);
/// How far each subscriber is notified, keyed by subscriber.
pub static NOTIFICATION_PROGRESS: Topic = Topic {
    name: "aggregation.notification.progress",
    partitions: Partitions::Fixed(1),
    cleanup: Cleanup::Compact,
    role: Role::Output,
    records: &["aggregation.NotificationProgress"],
};
/// What marks addresses in the caches of all processes, partitioned by patient. An entry of a cache that is older than
/// the marks here must not be served.
pub static INVALIDATION: Topic =
    output("aggregation.invalidation", Cleanup::Delete(WEEK), &["aggregation.Invalidation"]);
/// Entries of the cache that survive restarts, keyed by a keyed hash of the question. The contents are sealed in the
/// entry, never a record of their own: they are named here because they are written with a schema of the registry.
pub static CACHE: Topic =
    output("aggregation.cache", Cleanup::Compact, &["aggregation.CacheEntry", "aggregation.CacheContents"]);
/// The audit of every question, keyed by its correlation id.
pub static CALL: Topic = output("aggregation.call", Cleanup::Delete(YEAR), &["aggregation.Call"]);
/// What a person should see.
pub static ALERT: Topic = output("aggregation.alert", Cleanup::Delete(YEAR), &["tributary.Alert"]);
/// The level of the namespace, under `level`, and the processes that have started in it, under `member/INSTANCE`.
pub static CONTROL: Topic = Topic {
    name: "aggregation.control",
    partitions: Partitions::Fixed(1),
    cleanup: Cleanup::Compact,
    role: Role::Output,
    records: &["tributary.NamespaceLevel", "tributary.GroupMember"],
};
/// Records that can never be processed, and notifications that could not be delivered, with the reason in their
/// headers.
pub static DEAD_LETTER: Topic = output("aggregation.dead-letter", Cleanup::Delete(YEAR), &[]);

/// Changelog of `collect`.
pub static COLLECT_CHANGELOG: Topic = changelog("aggregation.collect-changelog");
/// Changelog of `index`.
pub static INDEX_CHANGELOG: Topic = changelog("aggregation.index-changelog");
