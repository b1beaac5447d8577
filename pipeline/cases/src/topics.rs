//! The topics of the flow, each declared once.

use std::time::Duration;

use tributary_runtime::{Cleanup, Partitions, Role, Topic};
use tributary_schemas::records::cases::Queue;

const DAY: Duration = Duration::from_hours(24);
const WEEK: Duration = Duration::from_hours(7 * 24);
const YEAR: Duration = Duration::from_hours(366 * 24);

const fn inbox(name: &'static str, partitions: Partitions, records: &'static [&'static str]) -> Topic {
    Topic { name, partitions, cleanup: Cleanup::Delete(WEEK), role: Role::Inbox, records }
}

const fn changelog(name: &'static str, partitions: Partitions) -> Topic {
    Topic { name, partitions, cleanup: Cleanup::Compact, role: Role::Changelog, records: &[] }
}

const fn output(name: &'static str, cleanup: Cleanup, records: &'static [&'static str]) -> Topic {
    Topic { name, partitions: Partitions::Flow, cleanup, role: Role::Output, records }
}

/// A topic that origin systems write to. The key decides the partition, which keeps the order of its commands.
const fn commands(name: &'static str, records: &'static [&'static str]) -> Topic {
    Topic { name, partitions: Partitions::Flow, cleanup: Cleanup::Delete(WEEK), role: Role::ForeignInbox, records }
}

/// Create commands of origin systems on Kafka.
pub static CREATE_COMMANDS: Topic = commands("dis-CreateCaseCommand", &["dis.CreateCaseCommand"]);
/// Update commands of origin systems on Kafka.
pub static UPDATE_COMMANDS: Topic = commands("dis-UpdateCaseCommand", &["dis.UpdateCaseCommand"]);
/// Close commands of origin systems on Kafka.
pub static CLOSE_COMMANDS: Topic = commands("dis-CloseCaseCommand", &["dis.CloseCaseCommand"]);
/// Delete commands of origin systems on Kafka.
pub static DELETE_COMMANDS: Topic = commands("dis-DeleteCaseCommand", &["dis.DeleteCaseCommand"]);

const QUEUE_RECORDS: &[&str] = &["cases.Command", "cases.RegistryChange", "cases.QueueRelease"];

/// Create commands. With strict ordering, all are in partition 0, as those of the other queues. Otherwise the key
/// decides: the id of the case.
pub static CREATE: Topic = inbox("cases.create", Partitions::Flow, QUEUE_RECORDS);
/// Update commands.
pub static UPDATE: Topic = inbox("cases.update", Partitions::Flow, QUEUE_RECORDS);
/// Close commands.
pub static CLOSE: Topic = inbox("cases.close", Partitions::Flow, QUEUE_RECORDS);
/// Delete commands.
pub static DELETE: Topic = inbox("cases.delete", Partitions::Flow, QUEUE_RECORDS);
/// Requests for changes of the registry, the partitions that have applied them, and the time. It has one partition,
/// because the registry has one version.
pub static REGISTRY: Topic = inbox(
    "cases.registry.inbox",
    Partitions::Fixed(1),
    &["cases.RegistryRequest", "cases.RegistryFill", "cases.RegistryApplied", "tributary.Clock"],
);
/// Checked commands, keyed by the id of the case. With strict ordering, all are in partition 0.
pub static CASE: Topic =
    inbox("cases.case", Partitions::Flow, &["cases.CheckedCommand", "cases.RegistryChange", "tributary.Clock"]);
/// All records about a client, in the partition of its name.
pub static CLIENT: Topic = inbox(
    "cases.client",
    Partitions::Flow,
    &[
        "cases.NotificationDue",
        "cases.RegistryChange",
        "cases.Acknowledged",
        "cases.QueueDrop",
        "cases.Replay",
        "tributary.Clock",
    ],
);

/// The metadata of all living cases, keyed by the id of the case.
pub static STATE: Topic = output("cases.state", Cleanup::Compact, &["cases.CaseState"]);
/// Deleted cases, keyed by ORIGIN/CASE, as long as their ids cannot be created again.
pub static DELETED: Topic = output("cases.deleted", Cleanup::Compact, &["cases.DeletedCase"]);
/// What became of the last commands, keyed by ORIGIN/COMMAND.
pub static OUTCOME: Topic = output("cases.outcome", Cleanup::Compact, &["cases.Outcome"]);
/// The queues of clients: notifications, keyed by `entry/CLIENT/POSITION`, and how far each client is, keyed by
/// `client/CLIENT`. All rows of a client are in the partition of its name.
pub static QUEUE: Topic = output("cases.queue", Cleanup::Compact, &["cases.QueueEntry", "cases.QueuePosition"]);
/// Rows of the registry: `origin/NAME`, `client/NAME`, `grant/CLIENT/ORIGIN[/CASE]`, `audit/NUMBER`, `version` and
/// `queue/NAME/PARTITION`.
pub static REGISTRY_ROWS: Topic = output(
    "cases.registry",
    Cleanup::Compact,
    &["cases.Origin", "cases.Client", "cases.Grant", "cases.AuditEntry", "cases.RegistryVersion", "cases.QueueState"],
);
/// Answers to requests for changes of the registry, keyed by the request.
pub static REGISTRY_ANSWER: Topic = output("cases.registry.answer", Cleanup::Delete(DAY), &["cases.RegistryAnswer"]);
/// How far the queues of clients on Kafka are copied to their topics, keyed by the client. The records in those topics,
/// whose names are known only at run time, are `cases.Notification`: their schema is registered for this topic.
pub static DELIVERED: Topic = Topic {
    name: "cases.delivered",
    partitions: Partitions::Fixed(1),
    cleanup: Cleanup::Compact,
    role: Role::Output,
    records: &["cases.Delivered", "cases.Notification"],
};
/// What a person should see.
pub static ALERT: Topic = output("cases.alert", Cleanup::Delete(YEAR), &["tributary.Alert"]);
/// The level of the namespace, under `level`, and the processes that have started in it, under `member/INSTANCE`.
pub static CONTROL: Topic = Topic {
    name: "cases.control",
    partitions: Partitions::Fixed(1),
    cleanup: Cleanup::Compact,
    role: Role::Output,
    records: &["tributary.NamespaceLevel", "tributary.GroupMember"],
};
/// Records that can never be processed and commands that are rejected, as framed records, with the reason in their
/// headers.
pub static DEAD_LETTER: Topic = output("cases.dead-letter", Cleanup::Delete(YEAR), &[]);

/// Changelog of `create`.
pub static CREATE_CHANGELOG: Topic = changelog("cases.create-changelog", Partitions::Flow);
/// Changelog of `update`.
pub static UPDATE_CHANGELOG: Topic = changelog("cases.update-changelog", Partitions::Flow);
/// Changelog of `close`.
pub static CLOSE_CHANGELOG: Topic = changelog("cases.close-changelog", Partitions::Flow);
/// Changelog of `delete`.
pub static DELETE_CHANGELOG: Topic = changelog("cases.delete-changelog", Partitions::Flow);
/// Changelog of `registry`.
pub static REGISTRY_CHANGELOG: Topic = changelog("cases.registry-changelog", Partitions::Fixed(1));
/// Changelog of `case`.
pub static CASE_CHANGELOG: Topic = changelog("cases.case-changelog", Partitions::Flow);
/// Changelog of `client`.
pub static CLIENT_CHANGELOG: Topic = changelog("cases.client-changelog", Partitions::Flow);

/// The inbox of a queue.
pub fn inbox_of(queue: Queue) -> &'static Topic {
    match queue {
        Queue::Create => &CREATE,
        Queue::Update => &UPDATE,
        Queue::Close => &CLOSE,
        Queue::Delete => &DELETE,
    }
}
