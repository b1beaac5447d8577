//! Whether a consumer is stuck on its way into its group, as its own statistics show.
//!
//! librdkafka connects again by itself, with two exceptions. A client that sees an empty broker list, as happens
//! briefly after the only broker freezes, may never look for brokers again (librdkafka issue 5301). And a coordinator
//! lookup that is lost together with its broker is not repeated. Such a consumer reads nothing and reports nothing. Its
//! worker has to restart.

use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;

use crate::events;

/// A member is stuck when this many statistics in a row show it in a state that should be short. One is not enough: the
/// broker may be starting, or the group may be in a rebalance.
const STUCK_AFTER: u32 = 2;

/// What the last statistics of a member showed.
#[derive(Debug, Default)]
pub(super) struct Membership {
    /// How many statistics in a row showed a member without a coordinator, or without the metadata of its topics.
    suspicious: AtomicU32,
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
    /// Evaluates statistics, in librdkafka's JSON.
    pub(super) fn note(&self, statistics: &[u8]) {
        let group = match serde_json::from_slice(statistics) {
            Ok(Statistics { cgrp: Some(group) }) => group,
            Ok(_) => return,
            Err(error) => {
                events::statistics_unreadable(&error);
                return;
            }
        };
        // Before it joins, a member asks for the metadata of its topics. That answer can be lost in the same way.
        if group.state == "up" && group.join_state != "wait-metadata" {
            self.note_well();
        } else {
            self.suspicious.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The member is not stuck, whatever the last statistics said. Records that arrive show this too.
    pub(super) fn note_well(&self) {
        self.suspicious.store(0, Ordering::Relaxed);
    }

    /// Whether the member is stuck.
    pub(super) fn is_stuck(&self) -> bool {
        self.suspicious.load(Ordering::Relaxed) >= STUCK_AFTER
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
    fn a_member_that_waits_for_its_coordinator_again_and_again_is_stuck() {
        let membership = Membership::default();
        note(&membership, "wait-coord", "init");
        assert!(!membership.is_stuck());
        note(&membership, "query-coord", "init");
        assert!(membership.is_stuck());
        note(&membership, "up", "wait-join");
        assert!(!membership.is_stuck());
    }

    #[test]
    fn a_member_that_gets_records_is_not_stuck() {
        let membership = Membership::default();
        note(&membership, "wait-coord", "init");
        note(&membership, "wait-coord", "init");
        membership.note_well();
        assert!(!membership.is_stuck());
    }

    #[test]
    fn a_member_that_waits_for_metadata_again_and_again_is_stuck() {
        let membership = Membership::default();
        note(&membership, "up", "wait-metadata");
        note(&membership, "up", "wait-metadata");
        assert!(membership.is_stuck());
        note(&membership, "up", "steady");
        assert!(!membership.is_stuck());
    }

    #[test]
    fn bytes_that_are_not_statistics_of_a_member_are_ignored() {
        let membership = Membership::default();
        for statistics in ["", "{", "{}", r#"{"cgrp": {"state": 1}}"#] {
            membership.note(statistics.as_bytes());
            membership.note(statistics.as_bytes());
            assert!(!membership.is_stuck(), "{statistics}");
        }
    }
}
