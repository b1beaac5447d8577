//! Whether a consumer is stuck on its way into its group, as its own statistics tell.
//!
//! librdkafka connects again by itself, with exceptions. A client that is told that the cluster has no brokers, as for a
//! moment after the only one stood still, may look for none ever after (librdkafka issue 5301). And a question after the
//! coordinator that is lost together with a broker is not asked again. Such a consumer reads nothing and says nothing;
//! its worker has to begin anew.

use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;

use crate::events;

/// How often in a row the statistics must find a member where it should be for a moment only. Once is nothing: the broker
/// may be starting, or the group distributing its partitions.
const ADRIFT: u32 = 2;

/// What the last statistics of a member told.
#[derive(Debug, Default)]
pub(super) struct Membership {
    /// So often in a row the member had no coordinator, or did not know what partitions there are.
    stuck: AtomicU32,
}

#[derive(Deserialize)]
struct Statistics {
    cgrp: Option<Group>,
}

#[derive(Deserialize)]
struct Group {
    state: String,
    join_state: String,
}

impl Membership {
    /// Takes note of statistics, in librdkafka's JSON.
    pub(super) fn note(&self, statistics: &[u8]) {
        let group = match serde_json::from_slice(statistics) {
            Ok(Statistics { cgrp: Some(group) }) => group,
            Ok(_) => return,
            Err(error) => {
                events::statistics_unreadable(&error);
                return;
            }
        };
        // Before it joins, a member asks what partitions there are; the answer may be lost in the same way.
        if group.state == "up" && group.join_state != "wait-metadata" {
            self.note_well();
        } else {
            self.stuck.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The member is not stuck, whatever the last statistics said. Records that have come show it too.
    pub(super) fn note_well(&self) {
        self.stuck.store(0, Ordering::Relaxed);
    }

    /// Whether the member has been stuck for some time.
    pub(super) fn is_adrift(&self) -> bool {
        self.stuck.load(Ordering::Relaxed) >= ADRIFT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(membership: &Membership, state: &str, join_state: &str) {
        let group = format!(r#"{{"state": "{state}", "stateage": 1, "join_state": "{join_state}"}}"#);
        membership.note(format!(r#"{{"name": "a", "brokers": {{}}, "cgrp": {group}}}"#).as_bytes());
    }

    #[test]
    fn a_member_that_waits_for_its_coordinator_again_and_again_is_adrift() {
        let membership = Membership::default();
        note(&membership, "wait-coord", "init");
        assert!(!membership.is_adrift());
        note(&membership, "query-coord", "init");
        assert!(membership.is_adrift());
        note(&membership, "up", "wait-join");
        assert!(!membership.is_adrift());
    }

    #[test]
    fn a_member_that_gets_records_is_not_adrift() {
        let membership = Membership::default();
        note(&membership, "wait-coord", "init");
        note(&membership, "wait-coord", "init");
        membership.note_well();
        assert!(!membership.is_adrift());
    }

    #[test]
    fn a_member_that_waits_for_what_partitions_there_are_is_adrift() {
        let membership = Membership::default();
        note(&membership, "up", "wait-metadata");
        note(&membership, "up", "wait-metadata");
        assert!(membership.is_adrift());
        note(&membership, "up", "steady");
        assert!(!membership.is_adrift());
    }

    #[test]
    fn what_is_no_statistics_of_a_member_says_nothing() {
        let membership = Membership::default();
        for statistics in ["", "{", "{}", r#"{"cgrp": {"state": 1}}"#] {
            membership.note(statistics.as_bytes());
            membership.note(statistics.as_bytes());
            assert!(!membership.is_adrift(), "{statistics}");
        }
    }
}
