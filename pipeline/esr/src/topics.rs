//! The topics of the ESR flow, each declared once.

use std::time::Duration;

use tributary_runtime::{Cleanup, Partitions, Role, Topic};

const WEEK: Duration = Duration::from_hours(7 * 24);
const YEAR: Duration = Duration::from_hours(366 * 24);

const fn inbox(name: &'static str, partitions: Partitions, records: &'static [&'static str]) -> Topic {
    Topic { name, partitions, cleanup: Cleanup::Delete(WEEK), role: Role::Inbox, records }
}

const fn entities(name: &'static str, records: &'static [&'static str]) -> Topic {
    Topic { name, partitions: Partitions::Flow, cleanup: Cleanup::Compact, role: Role::Inbox, records }
}

const fn changelog(name: &'static str, partitions: Partitions) -> Topic {
    Topic { name, partitions, cleanup: Cleanup::Compact, role: Role::Changelog, records: &[] }
}

const fn output(name: &'static str, cleanup: Cleanup, records: &'static [&'static str]) -> Topic {
    Topic { name, partitions: Partitions::Flow, cleanup, role: Role::Output, records }
}

/// Posts of TIS, keyed by their id. A tombstone deletes.
pub static TIS_POST: Topic = entities("tis.post", &["tis.Post"]);
/// Placements of TIS, keyed by their id. A tombstone deletes.
pub static TIS_PLACEMENT: Topic = entities("tis.placement", &["tis.Placement"]);
/// People of TIS, keyed by their id. A tombstone deletes.
pub static TIS_PERSON: Topic = entities("tis.person", &["tis.Person"]);

/// Files that have arrived. It has one partition, because files are taken in in one order (D9).
pub static INBOUND: Topic = inbox(
    "esr.inbound",
    Partitions::Fixed(1),
    &["esr.FileArrived", "esr.FileChunk", "esr.FileDecision", "esr.PositionFileDone"],
);
/// All records about a position, keyed by position id.
pub static POSITION_INBOX: Topic = inbox(
    "esr.position.inbox",
    Partitions::Flow,
    &[
        "esr.PositionLine",
        "esr.ReconciliationLine",
        "esr.FileEnd",
        "esr.PostMatch",
        "esr.PositionPlacement",
        "esr.PositionPlacementGone",
        "esr.ApplicantExported",
    ],
);
/// All records about a trainee, keyed by person id.
pub static TRAINEE: Topic = inbox(
    "esr.trainee",
    Partitions::Flow,
    &["tis.Person", "esr.PersonRemoved", "esr.TraineePlacement", "esr.TraineePlacementRemoved", "esr.TraineeChanged"],
);
/// All records about a post, keyed by the folded DPN.
pub static POST: Topic = inbox(
    "esr.post",
    Partitions::Flow,
    &[
        "esr.PostAtNumber",
        "esr.PostGone",
        "esr.PlacementAtPost",
        "esr.PlacementGone",
        "esr.PositionSubscription",
        "esr.PositionUnsubscribed",
        "esr.PlacementExported",
        "esr.NotificationCut",
        "esr.RunsForgotten",
    ],
);
/// Requests for export runs, what operators change, the time, and files that the writer could not write. It has one
/// partition, because one task gives out the file numbers.
pub static SCHEDULE: Topic = inbox(
    "esr.schedule",
    Partitions::Fixed(1),
    &["tributary.Clock", "esr.RunRequested", "esr.RunsForgotten", "esr.CounterSet", "tributary.FileRetry"],
);
/// Applicant records, notifications and runs, partitioned by office: the inbox of the exporters.
pub static EXPORTS: Topic = entities(
    "esr.exports",
    &[
        "esr.Applicant",
        "esr.Notification",
        "esr.NotificationCutDone",
        "esr.ExportRun",
        "tributary.FileWritten",
        "tributary.Clock",
    ],
);
/// Rows of outgoing files, keyed by file name.
pub static WRITER: Topic =
    inbox("esr.file.rows", Partitions::Flow, &["tributary.FileRow", "tributary.FileClose", "tributary.FileRetry"]);
/// Events about files, and alerts. It has one partition, so that the report has one order.
pub static EVENT: Topic = inbox("esr.event", Partitions::Fixed(1), &["tributary.FileEvent", "tributary.Alert"]);

/// The stored positions.
pub static POSITION: Topic = output("esr.position", Cleanup::Compact, &["esr.Position"]);
/// Pairings of positions and posts, and their ends.
pub static POSITION_RECONCILED: Topic =
    output("esr.position.reconciled", Cleanup::Compact, &["esr.PositionReconciled"]);
/// Notes about the baseline (D1), as text. `time` is the time of the first start, in milliseconds since 1970.
/// `tis.post-0` is the end of that partition at the first start. `snapshot` is `loading` while a snapshot is loaded as
/// baseline. `alive` is the last time at which a process was at work (D103).
pub static BASELINE: Topic = Topic {
    name: "esr.baseline",
    partitions: Partitions::Fixed(1),
    cleanup: Cleanup::Compact,
    role: Role::Output,
    records: &[],
};
/// The level of the namespace, under `level`, and the processes that have started in it, under `member/INSTANCE`.
pub static CONTROL: Topic = Topic {
    name: "esr.control",
    partitions: Partitions::Fixed(1),
    cleanup: Cleanup::Compact,
    role: Role::Output,
    records: &["tributary.NamespaceLevel", "tributary.GroupMember"],
};
/// Rows of the views, keyed by `file/NAME`, `alert/NUMBER` (the newest alert has the lowest number) and `office/CODE`.
/// `clock` is the last time that the exporter of the partition has sent.
pub static VIEW: Topic = output(
    "esr.view",
    Cleanup::Compact,
    &["tributary.FileEvent", "tributary.Alert", "esr.OfficeApplicants", "tributary.Clock"],
);
/// Records and lines that can never be processed, as raw bytes, with the reason in their headers.
pub static DEAD_LETTER: Topic = output("esr.dead-letter", Cleanup::Delete(YEAR), &[]);

/// Changelog of the `tis` stage for posts.
pub static TIS_POST_CHANGELOG: Topic = changelog("esr.tis-post-changelog", Partitions::Flow);
/// Changelog of the `tis` stage for placements.
pub static TIS_PLACEMENT_CHANGELOG: Topic = changelog("esr.tis-placement-changelog", Partitions::Flow);
/// Changelog of the `tis` stage for people.
pub static TIS_PERSON_CHANGELOG: Topic = changelog("esr.tis-person-changelog", Partitions::Flow);
/// Changelog of `inbound`.
pub static INBOUND_CHANGELOG: Topic = changelog("esr.inbound-changelog", Partitions::Fixed(1));
/// Changelog of `trainee`.
pub static TRAINEE_CHANGELOG: Topic = changelog("esr.trainee-changelog", Partitions::Flow);
/// Changelog of `position`.
pub static POSITION_CHANGELOG: Topic = changelog("esr.position-changelog", Partitions::Flow);
/// Changelog of `post`.
pub static POST_CHANGELOG: Topic = changelog("esr.post-changelog", Partitions::Flow);
/// Changelog of `schedule`.
pub static SCHEDULE_CHANGELOG: Topic = changelog("esr.schedule-changelog", Partitions::Fixed(1));
/// Changelog of `exporter`.
pub static EXPORTER_CHANGELOG: Topic = changelog("esr.exporter-changelog", Partitions::Flow);
/// Changelog of `writer`.
pub static WRITER_CHANGELOG: Topic = changelog("esr.writer-changelog", Partitions::Flow);
/// Changelog of `report`.
pub static REPORT_CHANGELOG: Topic = changelog("esr.report-changelog", Partitions::Fixed(1));
