//! Partitions that no member of the group has: why a restart can leave them, and what is done about them.
//!
//! A cooperative rebalance moves partitions in two rounds. In the first round their owner gives them up and joins
//! again. This begins the second round, in which the new owner gets them. If the owner ends between the rounds and
//! returns under its fixed name, the broker gives it what the first round left, without a rebalance. Then nobody begins
//! the second round, and the partitions stay unread as long as all members live.
//!
//! So a worker that has joined looks at the partitions of all members. If the group is stable and partitions are
//! missing, the worker changes its subscription for a moment. This makes the group distribute its partitions again, and
//! those that members hold stay where they are.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::metadata::MetadataTopic;
use tributary_runtime::LogError;

use super::assignment::Assignment;
use super::offsets::BrokerPartition;
use super::rebalance::MemberConsumer;
use super::{group, log_error};
use crate::events;

/// Between two looks at the group. Partitions that are missing at two looks in a row are orphaned.
const PAUSE: Duration = Duration::from_millis(500);

/// The longest pause, for a group that does not become stable.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long the group may take to react to the changed subscription.
const PATIENCE: Duration = Duration::from_secs(10);

/// What this worker knows about partitions that no member has.
#[derive(Debug)]
pub(super) enum OrphanWatch {
    /// The worker has not joined the group yet.
    NotJoined,
    /// The worker looks at the group again at `next`.
    Looking { next: Instant, pause: Duration, missing: BTreeSet<BrokerPartition> },
    /// The worker subscribes to fewer topics until the group has reacted.
    Asking { until: Instant },
    /// Every partition has a member. From here on the group itself ensures that.
    Complete,
}

impl OrphanWatch {
    /// Called before the worker accepts an assignment, which may be empty.
    ///
    /// A worker that has just joined and got nothing gets partitions in a second round, for which every member has to
    /// join again. The client joins at most once a second, unless its subscription is set in the middle of a rebalance.
    /// So it is set here: the partitions that move are frozen until the second round.
    pub(super) fn answering(
        &self,
        consumer: &MemberConsumer,
        assignment: &Assignment,
        got_none: bool,
    ) -> Result<(), LogError> {
        if got_none && matches!(self, Self::NotJoined) { subscribe(consumer, &assignment.names()) } else { Ok(()) }
    }

    /// Called after the worker has accepted an assignment, which may be empty.
    pub(super) fn assigned(&mut self, consumer: &MemberConsumer, assignment: &Assignment) -> Result<(), LogError> {
        match self {
            Self::NotJoined => *self = Self::look_soon(),
            Self::Asking { .. } => self.subscribe_to_all(consumer, assignment)?,
            Self::Looking { .. } | Self::Complete => {}
        }
        Ok(())
    }

    /// Looks at the group when it is time, and makes it distribute its partitions again when some are orphaned. This is
    /// called before each poll, so it must cost nothing once the group is complete.
    pub(super) fn look(
        &mut self,
        consumer: &MemberConsumer,
        assignment: &Assignment,
        name_of_group: impl FnOnce() -> String,
    ) -> Result<(), LogError> {
        match self {
            Self::Looking { next, .. } if *next <= Instant::now() => {
                self.look_now(consumer, assignment, &name_of_group())
            }
            Self::Asking { until } if *until <= Instant::now() => self.subscribe_to_all(consumer, assignment),
            _ => Ok(()),
        }
    }

    fn look_now(&mut self, consumer: &MemberConsumer, assignment: &Assignment, group: &str) -> Result<(), LogError> {
        let Self::Looking { next, pause, missing } = self else { return Ok(()) };
        let found = missing_partitions(consumer, assignment, group).unwrap_or_else(|error| {
            events::group_not_described(group, &error);
            None
        });
        match found {
            Some(found) if found.is_empty() => *self = Self::Complete,
            Some(found) if found == *missing => return self.ask(found.len(), consumer, assignment, group),
            found => {
                *missing = found.unwrap_or_default();
                (*next, *pause) = (Instant::now() + *pause, (*pause * 2).min(LONGEST_PAUSE));
            }
        }
        Ok(())
    }

    fn look_soon() -> Self {
        Self::Looking { next: Instant::now() + PAUSE, pause: PAUSE, missing: BTreeSet::new() }
    }

    /// Subscribes to all topics but one: the one of which this worker has the fewest partitions, usually none.
    fn ask(
        &mut self,
        partitions: usize,
        consumer: &MemberConsumer,
        assignment: &Assignment,
        group: &str,
    ) -> Result<(), LogError> {
        events::orphans_redistributed(group, partitions);
        let mut names = assignment.names();
        if let Some(index) = names.iter().position(|name| Some(*name) == assignment.least_owned()) {
            names.remove(index);
        }
        *self = Self::Asking { until: Instant::now() + PATIENCE };
        subscribe(consumer, &names)
    }

    fn subscribe_to_all(&mut self, consumer: &MemberConsumer, assignment: &Assignment) -> Result<(), LogError> {
        *self = Self::look_soon();
        subscribe(consumer, &assignment.names())
    }
}

fn subscribe(consumer: &MemberConsumer, names: &[&str]) -> Result<(), LogError> {
    consumer
        .subscribe(names)
        .map_err(|error| log_error::from_call("asking the group to distribute its partitions again", &error))
}

/// The partitions that no member has; `None` while the group is in a rebalance.
fn missing_partitions(
    consumer: &MemberConsumer,
    assignment: &Assignment,
    group: &str,
) -> Result<Option<BTreeSet<BrokerPartition>>, LogError> {
    let Some(members) = group::members(consumer, group)? else { return Ok(None) };
    let mut missing = BTreeSet::new();
    for name in assignment.names() {
        let metadata = consumer
            .fetch_metadata(Some(name), group::QUESTION_TIMEOUT)
            .map_err(|error| log_error::from_call("asking for the partitions of a topic", &error))?;
        let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
        missing.extend(partitions.map(|partition| (name.to_owned(), partition.id())));
    }
    for partition in members.iter().flat_map(|member| &member.holds) {
        missing.remove(partition);
    }
    Ok(Some(missing))
}
