//! Resets the offsets of groups without members: what they are, what they would become, and the change itself.
//!
//! The state of a stage knows up to which offset it goes ([`INPUT_OFFSET_KEY`]). A reset sets both in one transaction,
//! so that they fit each other whenever it ends.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::{Offset, TopicPartitionList};
use tributary_runtime::{INPUT_OFFSET_KEY, LogError, Output, Topic, input_offset};

use super::configuration::KafkaConfiguration;
use super::connect::connect;
use super::offsets::{self, BrokerPartition};
use super::restore::ChangelogReader;
use super::transaction::Transactions;
use super::{group, log_error};

/// How long a question about a topic may take.
const QUESTION: Duration = Duration::from_secs(10);

/// An inbox of a group, and the changelog of the stage that reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResetInbox {
    /// The group.
    pub group: &'static str,
    /// The inbox.
    pub inbox: &'static Topic,
    /// `None` for a stage without state.
    pub changelog: Option<&'static Topic>,
}

/// The offset to continue from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetTo {
    /// The next record after those that the state holds.
    State,
    /// The first record that is still there.
    Earliest,
    /// The next new record.
    Latest,
    /// This offset.
    Offset(i64),
}

/// What the changelog of a task says about the offsets of its inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateOffset {
    /// There is no state.
    Empty,
    /// The next offset to process.
    UpTo(i64),
    /// It was written before states kept their offset, or its changelog has lost records.
    Unknown,
}

/// The offsets of one partition. Each is the next to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionReset {
    /// Group, inbox and changelog.
    pub of: ResetInbox,
    /// The partition.
    pub partition: i32,
    /// The offset of the group; `None` when it has none.
    pub committed: Option<i64>,
    /// The first offset that is still there.
    pub start: i64,
    /// The offset after the last record.
    pub end: i64,
    /// The offset up to which the state goes.
    pub state: StateOffset,
    /// The offset of the group after the reset. `None` when nothing needs to be set.
    ///
    /// # Errors
    /// Why this offset cannot be set.
    pub target: Result<Option<i64>, String>,
}

/// A planned reset.
pub struct OffsetReset {
    configuration: KafkaConfiguration,
    partitions: Vec<PartitionReset>,
    members: Vec<(&'static str, Vec<String>)>,
}

impl OffsetReset {
    /// Asks the broker, and reads the changelogs. `partition` limits the plan to that partition of each inbox.
    ///
    /// # Errors
    /// [`LogError`] when the broker does not answer, or a topic does not exist.
    pub fn plan(
        configuration: &KafkaConfiguration,
        inboxes: &[ResetInbox],
        partition: Option<i32>,
        to: ResetTo,
    ) -> Result<Self, LogError> {
        let mut plan = Self { configuration: configuration.clone(), partitions: Vec::new(), members: Vec::new() };
        let reader = ChangelogReader::new(configuration, "offsets-reset")?;
        let mut groups: Vec<&'static str> = inboxes.iter().map(|inbox| inbox.group).collect();
        groups.dedup();
        for group in groups {
            let client = GroupClient::open(configuration, group)?;
            for inbox in inboxes.iter().filter(|inbox| inbox.group == group) {
                plan.partitions.extend(client.plan(*inbox, partition, to, &reader)?);
            }
            plan.members.push((group, client.members()?));
        }
        Ok(plan)
    }

    /// The partitions, in the order of the inboxes.
    pub fn partitions(&self) -> &[PartitionReset] {
        &self.partitions
    }

    /// The groups, each with the names of its members now.
    pub fn members(&self) -> &[(&'static str, Vec<String>)] {
        &self.members
    }

    /// Sets the offsets, group by group, once no group has a member. A group is changed whole or not at all.
    ///
    /// # Errors
    /// [`LogError::Fatal`] when an offset cannot be set or a group has members: then nothing of it was changed. Other
    /// errors of the broker: the same reset may be tried again.
    pub fn apply(&self) -> Result<(), LogError> {
        if let Some((partition, reason)) = self.partitions.iter().find_map(|it| Some((it, it.target.as_ref().err()?))) {
            let (topic, number) = (partition.of.inbox.name, partition.partition);
            return Err(LogError::fatal(format!("nothing was changed: {topic}-{number}: {reason}")));
        }
        for (group, _) in self.members.iter().filter(|(group, _)| !self.targets_of(group).is_empty()) {
            GroupClient::open(&self.configuration, group)?.refuse_members()?;
        }
        self.members.iter().try_for_each(|(group, _)| self.apply_to(group))
    }

    /// The partitions of a group whose offset is to be set.
    fn targets_of(&self, group: &str) -> Vec<(&PartitionReset, i64)> {
        let of_group = self.partitions.iter().filter(|partition| partition.of.group == group);
        of_group.filter_map(|partition| Some((partition, *partition.target.as_ref().ok()?.as_ref()?))).collect()
    }

    fn apply_to(&self, group: &'static str) -> Result<(), LogError> {
        let targets = self.targets_of(group);
        if targets.is_empty() {
            return Ok(());
        }
        let client = GroupClient::open(&self.configuration, group)?;
        client.refuse_members()?;
        let mut states = Output::new(1);
        for (partition, target) in &targets {
            // A snapshot may know a later offset than the changelog, so the changelog says it again.
            if let Some(changelog) = partition.of.changelog {
                let bytes = target.to_be_bytes();
                let number = partition.partition;
                states.send_to(changelog, number, &[INPUT_OFFSET_KEY], |buffer| buffer.extend_from_slice(&bytes));
            }
        }
        let named = targets.iter().map(|(partition, target)| (partition.of.inbox, partition.partition, *target));
        let named: Vec<_> =
            named.map(|(inbox, number, to)| (self.configuration.name(inbox.name), number, to)).collect();
        let list =
            offsets::list(named.iter().map(|(topic, number, to)| (topic.as_str(), *number, Offset::Offset(*to))))?;
        client.commit(&self.configuration, &states, list)
    }
}

/// A client of a group that it never joins.
struct GroupClient {
    group: &'static str,
    name: String,
    consumer: BaseConsumer,
    configuration: KafkaConfiguration,
}

impl GroupClient {
    fn open(configuration: &KafkaConfiguration, group: &'static str) -> Result<Self, LogError> {
        let mut config = configuration.consumer(group);
        config.remove("group.instance.id");
        let consumer: BaseConsumer =
            config.create().map_err(|error| log_error::from_creation("the client that resets offsets", &error))?;
        connect(consumer.client());
        Ok(Self { group, name: configuration.name(group), consumer, configuration: configuration.clone() })
    }

    fn plan(
        &self,
        inbox: ResetInbox,
        only: Option<i32>,
        to: ResetTo,
        reader: &ChangelogReader,
    ) -> Result<Vec<PartitionReset>, LogError> {
        let named: Vec<BrokerPartition> = self.partitions(inbox.inbox, only)?;
        let committed = offsets::committed(&self.consumer, &named, self.configuration.call_timeout())?;
        let (starts, ends) = (reader.starts(&named)?, reader.ends(&named)?);
        let mut planned = Vec::with_capacity(named.len());
        for (((_, partition), committed), (start, end)) in
            named.into_iter().zip(committed).zip(starts.into_iter().zip(ends))
        {
            let state = self.state(inbox.changelog, partition, reader)?;
            let target = target(to, state, start, end);
            planned.push(PartitionReset { of: inbox, partition, committed, start, end, state, target });
        }
        Ok(planned)
    }

    fn partitions(&self, inbox: &Topic, only: Option<i32>) -> Result<Vec<BrokerPartition>, LogError> {
        let name = self.configuration.name(inbox.name);
        let metadata = self
            .consumer
            .fetch_metadata(Some(&name), QUESTION)
            .map_err(|error| log_error::from_call("asking for the partitions of a topic", &error))?;
        let found = metadata.topics().iter().flat_map(MetadataTopic::partitions).map(MetadataPartition::id);
        let mut numbers: Vec<i32> = found.filter(|number| only.is_none_or(|only| only == *number)).collect();
        numbers.sort_unstable();
        if numbers.is_empty() {
            let text = only.map_or_else(
                || format!("topic {name} does not exist; `tributary topics plan` shows what is missing"),
                |only| format!("topic {name} has no partition {only}"),
            );
            return Err(LogError::fatal(text));
        }
        Ok(numbers.into_iter().map(|number| (name.clone(), number)).collect())
    }

    fn state(&self, changelog: Option<&Topic>, number: i32, reader: &ChangelogReader) -> Result<StateOffset, LogError> {
        let Some(changelog) = changelog else { return Ok(StateOffset::Empty) };
        let partition = (self.configuration.name(changelog.name), number);
        let mut state = StateOffset::Empty;
        let read = reader.restore(&partition, 0, &mut |key, value| match (input_offset(key, value), state) {
            (Some(offset), _) => state = StateOffset::UpTo(offset),
            (None, StateOffset::Empty) => state = StateOffset::Unknown,
            (None, _) => {}
        });
        match read {
            Err(LogError::Truncated(_)) => Ok(StateOffset::Unknown),
            read => read.map(|_| state),
        }
    }

    fn members(&self) -> Result<Vec<String>, LogError> {
        let members = group::named_members_of(&self.consumer, &self.name)?;
        Ok(members.into_iter().map(|member| member.name).collect())
    }

    fn refuse_members(&self) -> Result<(), LogError> {
        let members = self.members()?;
        if members.is_empty() {
            return Ok(());
        }
        Err(LogError::fatal(format!(
            "nothing was changed: group {} has members: {}. End their processes; a process that has ended stays a \
             member until its session times out ({} s unless configured)",
            self.group,
            members.join(", "),
            self.configuration.session_timeout.as_secs()
        )))
    }

    /// Commits offsets and states together, unless the group has members.
    fn commit(
        &self,
        configuration: &KafkaConfiguration,
        states: &Output,
        list: TopicPartitionList,
    ) -> Result<(), LogError> {
        let id = configuration.name(&format!("{}.offsets-reset", self.group));
        let mut transactions = Transactions::open(configuration, id)?;
        let member = self.consumer.group_metadata().ok_or_else(|| LogError::fatal("the consumer has no group"))?;
        // A process that joins from now on waits for the end of this transaction before it gets an offset. One that has
        // joined before is seen here.
        let done = transactions
            .send_with_offsets(states, (list, member))
            .and_then(|()| self.refuse_members())
            .and_then(|()| transactions.send_and_commit(&Output::new(1), None));
        if done.is_err() {
            transactions.abort()?;
        }
        done
    }
}

/// The offset after the reset.
fn target(to: ResetTo, state: StateOffset, start: i64, end: i64) -> Result<Option<i64>, String> {
    let target = match (to, state) {
        (ResetTo::State, StateOffset::Empty) => return Ok(None),
        (ResetTo::State, StateOffset::Unknown) => {
            return Err(
                "the state does not say up to which offset it goes; choose earliest, latest or an offset".into()
            );
        }
        (ResetTo::State, StateOffset::UpTo(offset)) | (ResetTo::Offset(offset), _) => offset,
        (ResetTo::Earliest, _) => start,
        (ResetTo::Latest, _) => end,
    };
    if target < start {
        return Err(format!("the records from offset {target} to {start} are deleted; choose earliest, or an offset"));
    }
    if target > end {
        return Err(format!("the topic ends at offset {end}, before {target}; choose earliest, latest or an offset"));
    }
    Ok(Some(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_within_what_the_partition_holds() {
        assert_eq!(target(ResetTo::State, StateOffset::UpTo(7), 3, 9), Ok(Some(7)));
        assert_eq!(target(ResetTo::State, StateOffset::Empty, 3, 9), Ok(None));
        assert_eq!(target(ResetTo::Earliest, StateOffset::Unknown, 3, 9), Ok(Some(3)));
        assert_eq!(target(ResetTo::Latest, StateOffset::UpTo(7), 3, 9), Ok(Some(9)));
        assert_eq!(target(ResetTo::Offset(5), StateOffset::UpTo(7), 3, 9), Ok(Some(5)));
        assert!(target(ResetTo::State, StateOffset::Unknown, 3, 9).unwrap_err().contains("does not say"));
        assert!(target(ResetTo::State, StateOffset::UpTo(2), 3, 9).unwrap_err().contains("deleted"));
        assert!(target(ResetTo::Offset(10), StateOffset::Empty, 3, 9).unwrap_err().contains("ends at offset 9"));
    }
}
