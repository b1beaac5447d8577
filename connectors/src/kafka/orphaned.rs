//! Partitions that no member of the group has: how they come about after a restart, and what is done about it.
//!
//! A cooperative rebalance moves partitions in two rounds. In the first their owner gives them up and joins again, which
//! begins the second, in which the new owner gets them. When the owner ends between the two and comes back under its
//! fixed name, the broker gives it what the first round left, without a round of its own, and nobody asks for the second:
//! the partitions would stay unread for as long as all members live.
//!
//! So a worker that has joined looks at what the group as a whole has. If the group is at rest and partitions are missing,
//! the worker changes its subscription for a moment, which makes the group distribute anew; what its members hold stays
//! where it is.

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

/// Between two looks at the group. What is missing at one look and still at the next is missing for good.
const PAUSE: Duration = Duration::from_millis(500);

/// The longest pause, for a group that does not come to rest.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long the group may take to answer the changed subscription.
const PATIENCE: Duration = Duration::from_secs(10);

/// What this worker knows of partitions that nobody has.
#[derive(Debug)]
pub(super) enum OrphanWatch {
    /// The worker has not joined the group yet.
    NotJoined,
    /// The group is looked at again at `next`.
    Looking { next: Instant, pause: Duration, missing: BTreeSet<BrokerPartition> },
    /// The subscription is a narrower one until the group has answered.
    Asking { until: Instant },
    /// Every partition has a member. From here on the group itself takes care of that.
    Complete,
}

impl OrphanWatch {
    /// The group is about to be answered that this worker has taken its partitions, perhaps none.
    ///
    /// A worker that has just joined and got nothing will get what others give up for it, in a second round, for which
    /// every member has to join again. The client joins at most once a second, unless its subscription was set in the middle
    /// of a rebalance. The partitions that move stand still until then.
    pub(super) fn answering(
        &self,
        consumer: &MemberConsumer,
        assignment: &Assignment,
        got_none: bool,
    ) -> Result<(), LogError> {
        if got_none && matches!(self, Self::NotJoined) { subscribe(consumer, &assignment.names()) } else { Ok(()) }
    }

    /// The group has given this worker its partitions, perhaps none.
    pub(super) fn assigned(&mut self, consumer: &MemberConsumer, assignment: &Assignment) -> Result<(), LogError> {
        match self {
            Self::NotJoined => *self = Self::look_soon(),
            Self::Asking { .. } => self.subscribe_to_all(consumer, assignment)?,
            Self::Looking { .. } | Self::Complete => {}
        }
        Ok(())
    }

    /// Looks at the group when it is time, and asks it to distribute anew when partitions are missing. Called before
    /// each poll, so it must cost nothing once all is well.
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

    /// Leaves out the topic of which this worker has the fewest partitions, most often none.
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
    consumer.subscribe(names).map_err(|error| log_error::from_call("asking the group to distribute anew", &error))
}

/// The partitions that no member has; `None` while the group is distributing.
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
            .map_err(|error| log_error::from_call("asking what partitions there are", &error))?;
        let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
        missing.extend(partitions.map(|partition| (name.to_owned(), partition.id())));
    }
    for partition in members.iter().flat_map(|member| &member.holds) {
        missing.remove(partition);
    }
    Ok(Some(missing))
}
