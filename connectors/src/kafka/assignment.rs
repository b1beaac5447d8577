//! The partitions of a worker, and where it stands in each.

use std::time::Instant;

use rdkafka::{Offset, TopicPartitionList};
use tributary_runtime::{LogError, Role, Topic, TopicPartition};

use super::committer::Committed;
use super::configuration::KafkaConfiguration;
use super::headers::TimeHeader;
use super::offsets::{self, BrokerPartition};

/// The partitions of the inboxes that a worker reads.
pub(super) struct Assignment {
    inboxes: Vec<Inbox>,
    /// Index of the inbox found last: records of one inbox arrive in runs.
    last: usize,
}

struct Inbox {
    topic: &'static str,
    /// Its name on the broker.
    name: String,
    time_header: TimeHeader,
    partitions: Vec<Option<Progress>>,
}

/// Where a worker stands in a partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    /// The next offset to read after the last commit.
    pub(super) committed: i64,
    /// The next offset to hand to the worker.
    pub(super) position: i64,
    /// Whether records may be handed to the worker.
    pub(super) flowing: bool,
}

impl Assignment {
    pub(super) fn new(configuration: &KafkaConfiguration, inboxes: &[&'static Topic]) -> Self {
        let inbox = |topic: &&'static Topic| Inbox {
            topic: topic.name,
            name: configuration.name(topic.name),
            time_header: match topic.role {
                Role::ForeignInbox => TimeHeader::Dropped,
                Role::Inbox | Role::Changelog | Role::Output => TimeHeader::Trusted,
            },
            partitions: Vec::new(),
        };
        Self { inboxes: inboxes.iter().map(inbox).collect(), last: 0 }
    }

    /// The names of all inboxes on the broker.
    pub(super) fn names(&self) -> Vec<&str> {
        self.inboxes.iter().map(|inbox| inbox.name.as_str()).collect()
    }

    /// The name of an inbox on the broker.
    pub(super) fn name_of(&self, topic: &str) -> Option<&str> {
        self.inboxes.iter().find(|inbox| inbox.topic == topic).map(|inbox| inbox.name.as_str())
    }

    /// The name on the broker of the inbox of which this worker has the fewest partitions.
    pub(super) fn least_owned(&self) -> Option<&str> {
        let owned = |inbox: &&Inbox| inbox.partitions.iter().flatten().count();
        self.inboxes.iter().min_by_key(owned).map(|inbox| inbox.name.as_str())
    }

    /// The logical partitions of a list from the broker. Other topics are left out.
    pub(super) fn partitions_of(&self, list: &TopicPartitionList) -> Vec<TopicPartition> {
        let logical = |name: &str| self.inboxes.iter().find(|inbox| inbox.name == name).map(|inbox| inbox.topic);
        list.elements()
            .iter()
            .filter_map(|element| {
                Some(TopicPartition { topic: logical(element.topic())?, partition: element.partition() })
            })
            .collect()
    }

    /// Looks up a partition by its name on the broker, and says whether its records may carry their time in a header.
    pub(super) fn find(&mut self, name: &str, partition: i32) -> Option<(TopicPartition, &mut Progress, TimeHeader)> {
        if self.inboxes.get(self.last).is_none_or(|inbox| inbox.name != name) {
            self.last = self.inboxes.iter().position(|inbox| inbox.name == name)?;
        }
        let inbox = &mut self.inboxes[self.last];
        let progress = inbox.partitions.get_mut(usize::try_from(partition).ok()?)?.as_mut()?;
        Some((TopicPartition { topic: inbox.topic, partition }, progress, inbox.time_header))
    }

    /// Takes note of the committed offsets, and says when the commit ended.
    pub(super) fn note_committed(&mut self, committed: &Committed) -> Instant {
        for (partition, offset) in &committed.offsets {
            if let Some(progress) = self.progress(*partition) {
                progress.committed = *offset;
            }
        }
        committed.at
    }

    /// Where the worker stands in a partition, if it has it.
    pub(super) fn progress(&mut self, partition: TopicPartition) -> Option<&mut Progress> {
        let inbox = self.inboxes.iter_mut().find(|inbox| inbox.topic == partition.topic)?;
        inbox.partitions.get_mut(usize::try_from(partition.partition).ok()?)?.as_mut()
    }

    /// Adds a partition, with the first offset to read. Its records do not flow yet.
    pub(super) fn insert(&mut self, partition: TopicPartition, committed: i64) {
        let progress = Progress { committed, position: committed, flowing: false };
        let Ok(index) = usize::try_from(partition.partition) else { return };
        if let Some(inbox) = self.inboxes.iter_mut().find(|inbox| inbox.topic == partition.topic) {
            if inbox.partitions.len() <= index {
                inbox.partitions.resize(index + 1, None);
            }
            inbox.partitions[index] = Some(progress);
        }
    }

    /// Removes a partition.
    pub(super) fn remove(&mut self, partition: TopicPartition) {
        let Ok(index) = usize::try_from(partition.partition) else { return };
        if let Some(inbox) = self.inboxes.iter_mut().find(|inbox| inbox.topic == partition.topic)
            && let Some(progress) = inbox.partitions.get_mut(index)
        {
            *progress = None;
        }
    }

    /// The partitions whose records flow, by their names on the broker.
    pub(super) fn flowing(&self) -> Vec<BrokerPartition> {
        let flowing = self.inboxes.iter().flat_map(|inbox| {
            let partitions = inbox.partitions.iter().enumerate();
            let flowing = partitions.filter(|(_, progress)| progress.is_some_and(|progress| progress.flowing));
            flowing.map(|(partition, _)| (inbox.name.clone(), partition as i32))
        });
        flowing.collect()
    }

    /// The partitions of which more was handed out than is committed, each with its committed offset.
    pub(super) fn ahead(&self) -> Result<TopicPartitionList, LogError> {
        let ahead = self.inboxes.iter().flat_map(|inbox| {
            let partitions = inbox.partitions.iter().enumerate();
            partitions.filter_map(|(partition, progress)| {
                let progress = (*progress)?;
                let ahead = progress.position != progress.committed;
                ahead.then_some((inbox.name.as_str(), partition as i32, Offset::Offset(progress.committed)))
            })
        });
        offsets::list(ahead)
    }

    /// Returns every partition to its committed offset.
    pub(super) fn rewind(&mut self) {
        for progress in self.inboxes.iter_mut().flat_map(|inbox| inbox.partitions.iter_mut().flatten()) {
            progress.position = progress.committed;
        }
    }

    /// Partitions and offsets in librdkafka's own form.
    pub(super) fn list(&self, partitions: &[(TopicPartition, Offset)]) -> Result<TopicPartitionList, LogError> {
        let named = partitions
            .iter()
            .filter_map(|(partition, offset)| Some((self.name_of(partition.topic)?, partition.partition, *offset)));
        offsets::list(named)
    }
}
