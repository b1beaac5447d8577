//! The topics of the flow. All but the calls are declared once, here. Each kind has a topic of its own for its calls,
//! whose name is known only when the configuration is read.
//!
//! The key of a record about a number is the keyed hash of kind and number, in hexadecimal digits, because keys are
//! shown where values are not.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tributary_runtime::{Cleanup, Partitions, Role, Topic};
use tributary_schemas::types::registry::KindName;

const DAY: Duration = Duration::from_hours(24);
const WEEK: Duration = Duration::from_hours(7 * 24);
const YEAR: Duration = Duration::from_hours(366 * 24);

const fn output(name: &'static str, cleanup: Cleanup, records: &'static [&'static str]) -> Topic {
    Topic { name, partitions: Partitions::Flow, cleanup, role: Role::Output, records }
}

/// Requests, answers of calls, commands and the time, all of which are about a row or a kind.
pub static JOB: Topic = Topic {
    name: "registry.job",
    partitions: Partitions::Flow,
    cleanup: Cleanup::Delete(WEEK),
    role: Role::Inbox,
    records: &["registry.LookupRequest", "registry.CallAnswer", "registry.JobCommand", "tributary.Clock"],
};
/// All rows.
pub static ROW: Topic = output("registry.row", Cleanup::Compact, &["registry.JobRow"]);
/// Whether a kind is paused, keyed by its name.
pub static KIND: Topic = output("registry.kind", Cleanup::Compact, &["registry.KindState"]);
/// What has become of requests and commands, keyed by the HTTP request.
pub static REPLY: Topic = output("registry.reply", Cleanup::Delete(DAY), &["registry.Reply"]);
/// What has happened to rows, keyed by the id of the row.
pub static EVENT: Topic = output("registry.event", Cleanup::Delete(YEAR), &["registry.JobEvent"]);
/// Who has done what, keyed by the id of the row if there is one.
pub static AUDIT: Topic = output("registry.audit", Cleanup::Delete(YEAR), &["registry.AuditEntry"]);
/// The schema of the calls is registered for this topic. The calls themselves are in topics of its name and that of
/// their kind: see [`call`].
pub static CALL: Topic = output("registry.call", Cleanup::Compact, &["registry.Call"]);
/// The level of the namespace, under `level`, and the processes that have started in it, under `member/INSTANCE`.
pub static CONTROL: Topic = Topic {
    name: "registry.control",
    partitions: Partitions::Fixed(1),
    cleanup: Cleanup::Compact,
    role: Role::Output,
    records: &["tributary.NamespaceLevel", "tributary.GroupMember"],
};
/// Records that can never be processed, with the reason in their headers.
pub static DEAD_LETTER: Topic = output("registry.dead-letter", Cleanup::Delete(YEAR), &[]);
/// Changelog of `job`.
pub static JOB_CHANGELOG: Topic = Topic {
    name: "registry.job-changelog",
    partitions: Partitions::Flow,
    cleanup: Cleanup::Compact,
    role: Role::Changelog,
    records: &[],
};

/// The open calls of a kind, keyed by row: a tombstone ends a call. It is made when the kind is first asked for, and
/// stays as long as the process does. Kinds come from the configuration, so there are few.
pub fn call(kind: &KindName) -> &'static Topic {
    static TOPICS: Mutex<BTreeMap<KindName, &'static Topic>> = Mutex::new(BTreeMap::new());
    let mut topics = TOPICS.lock().unwrap_or_else(PoisonError::into_inner);
    topics.entry(kind.clone()).or_insert_with(|| {
        let name: &'static str = Box::leak(format!("{}.{kind}", CALL.name).into_boxed_str());
        Box::leak(Box::new(output(name, Cleanup::Compact, CALL.records)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_one_topic_for_its_calls() {
        let (unzr, tax): (KindName, KindName) = ("unzr".parse().unwrap(), "tax".parse().unwrap());
        assert!(std::ptr::eq(call(&unzr), call(&unzr)));
        assert_eq!((call(&unzr).name, call(&tax).name), ("registry.call.unzr", "registry.call.tax"));
    }
}
