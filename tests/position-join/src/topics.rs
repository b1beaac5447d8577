//! The topics of the flow, each declared once.

use std::time::Duration;

use tributary_runtime::{Cleanup, Partitions, Role, Topic};

const fn topic(name: &'static str, cleanup: Cleanup, role: Role) -> Topic {
    Topic { name, partitions: Partitions::Flow, cleanup, role, records: &[] }
}

/// Positions by id.
pub static POSITIONS: Topic = topic("positions", Cleanup::Compact, Role::Inbox);

/// Posts by DPN.
pub static POSTS: Topic = topic("posts", Cleanup::Compact, Role::Inbox);

/// Placements by id.
pub static PLACEMENTS: Topic = topic("placements", Cleanup::Compact, Role::Inbox);

/// One row for each pair, by placement id and position id.
pub static APP_RECORDS: Topic = topic("app-records", Cleanup::Compact, Role::Output);

/// Everything that happens at a DPN, by DPN: the inbox of the stage that joins.
pub static DEANERY: Topic = topic("position-join.deanery", Cleanup::Delete(Duration::from_hours(7 * 24)), Role::Inbox);

/// State of `route-positions`.
pub static ROUTE_POSITIONS_CHANGELOG: Topic =
    topic("position-join.route-positions.changelog", Cleanup::Compact, Role::Changelog);

/// State of `route-placements`.
pub static ROUTE_PLACEMENTS_CHANGELOG: Topic =
    topic("position-join.route-placements.changelog", Cleanup::Compact, Role::Changelog);

/// State of `pair`.
pub static PAIR_CHANGELOG: Topic = topic("position-join.pair.changelog", Cleanup::Compact, Role::Changelog);

/// Records that cannot be read.
pub static DEAD_LETTERS: Topic =
    topic("position-join.dead-letter", Cleanup::Delete(Duration::from_hours(14 * 24)), Role::Output);

/// The topics that other programs write and read.
pub static OPEN: [&Topic; 4] = [&POSITIONS, &POSTS, &PLACEMENTS, &APP_RECORDS];

/// The topics that only the flow itself needs.
pub static INTERNAL: [&Topic; 5] =
    [&DEANERY, &ROUTE_POSITIONS_CHANGELOG, &ROUTE_PLACEMENTS_CHANGELOG, &PAIR_CHANGELOG, &DEAD_LETTERS];
