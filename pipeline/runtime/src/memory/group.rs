//! Consumer groups: which member reads which partition, and how that changes.
//!
//! A partition belongs to one member until that member releases it or is expelled; only then is it assigned to another.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

/// A partition inside the broker: number of the topic, and partition.
pub(super) type PartitionIndex = (usize, i32);

/// One consumer group.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) members: BTreeMap<String, Member>,
    /// The next offset to read.
    pub(super) offsets: FxHashMap<PartitionIndex, i64>,
    /// Partitions whose offsets depend on a transaction without outcome: they are assigned to nobody before it is
    /// decided.
    pub(super) undecided: Vec<PartitionIndex>,
    /// Moves partitions on a forced rebalance.
    shift: usize,
}

/// One member of a group.
#[derive(Debug)]
pub(super) struct Member {
    /// Tells a member from an earlier one of the same name.
    pub(super) token: u64,
    topics: Vec<usize>,
    target: Vec<PartitionIndex>,
    owned: Vec<PartitionIndex>,
    revoking: Vec<PartitionIndex>,
}

/// The change that a member has to learn of next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    Assigned(Vec<PartitionIndex>),
    Revoked(Vec<PartitionIndex>),
}

impl Group {
    /// Adds a member, or at once replaces the member of the same name, as static membership does.
    pub(super) fn join(&mut self, name: &str, token: u64, topics: Vec<usize>, partitions: impl Fn(usize) -> i32) {
        let member = Member { token, topics, target: Vec::new(), owned: Vec::new(), revoking: Vec::new() };
        self.members.insert(name.to_owned(), member);
        self.assign(partitions);
    }

    /// The partitions that others own, when `name` is not a member.
    pub(super) fn held_by_others(&self, name: &str) -> Vec<PartitionIndex> {
        if self.members.contains_key(name) {
            return Vec::new();
        }
        self.members.values().flat_map(|member| member.owned.iter().copied()).collect()
    }

    pub(super) fn leave(&mut self, name: &str, partitions: impl Fn(usize) -> i32) {
        self.members.remove(name);
        self.assign(partitions);
    }

    /// Moves every partition to another member, when there is another.
    pub(super) fn rotate(&mut self, partitions: impl Fn(usize) -> i32) {
        self.shift += 1;
        self.assign(partitions);
    }

    fn assign(&mut self, partitions: impl Fn(usize) -> i32) {
        let mut topics: Vec<usize> = self.members.values().flat_map(|member| member.topics.iter().copied()).collect();
        topics.sort_unstable();
        topics.dedup();
        for member in self.members.values_mut() {
            member.target.clear();
        }
        for (rank, topic) in topics.into_iter().enumerate() {
            let mut readers: Vec<&mut Member> =
                self.members.values_mut().filter(|member| member.topics.contains(&topic)).collect();
            let count = readers.len();
            for partition in 0..partitions(topic) {
                // The rank spreads topics of one partition over the members.
                readers[(partition as usize + rank + self.shift) % count].target.push((topic, partition));
            }
        }
    }

    /// Takes the next change for a member: first the partitions it must release, then those it gains.
    pub(super) fn next_change(&mut self, name: &str) -> Change {
        let Some(member) = self.members.get_mut(name) else { return Change::None };
        let keeps = |place: &PartitionIndex| member.target.contains(place);
        let (kept, revoked): (Vec<PartitionIndex>, Vec<PartitionIndex>) =
            member.owned.iter().partition(|place| keeps(place));
        if !revoked.is_empty() {
            member.owned = kept;
            member.revoking.extend_from_slice(&revoked);
            return Change::Revoked(revoked);
        }
        let target = member.target.clone();
        let gained: Vec<PartitionIndex> = target.into_iter().filter(|place| self.is_free(*place)).collect();
        if gained.is_empty() {
            return Change::None;
        }
        if let Some(member) = self.members.get_mut(name) {
            member.owned.extend_from_slice(&gained);
        }
        Change::Assigned(gained)
    }

    fn is_free(&self, place: PartitionIndex) -> bool {
        !self.undecided.contains(&place) && !self.members.values().any(|member| member.holds(place))
    }

    /// Ends a member's hold on partitions that were revoked, or that it releases by itself.
    pub(super) fn release(&mut self, name: &str, places: &[PartitionIndex]) {
        let Some(member) = self.members.get_mut(name) else { return };
        member.revoking.retain(|place| !places.contains(place));
        member.owned.retain(|place| !places.contains(place));
    }

    /// Whether the member with this token holds the partition.
    pub(super) fn holds(&self, name: &str, token: u64, place: PartitionIndex) -> bool {
        self.members.get(name).is_some_and(|member| member.token == token && member.holds(place))
    }

    pub(super) fn reads(&self, topic: usize) -> bool {
        self.members.values().any(|member| member.topics.contains(&topic))
            || self.offsets.keys().any(|(read, _)| *read == topic)
    }
}

impl Member {
    fn holds(&self, place: PartitionIndex) -> bool {
        self.owned.contains(&place) || self.revoking.contains(&place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_moves_only_after_its_release() {
        let mut group = Group::default();
        group.join("a", 1, vec![0], |_| 2);
        assert_eq!(group.next_change("a"), Change::Assigned(vec![(0, 0), (0, 1)]));
        group.join("b", 2, vec![0], |_| 2);
        assert_eq!(group.next_change("b"), Change::None);
        assert_eq!(group.next_change("a"), Change::Revoked(vec![(0, 1)]));
        assert_eq!(group.next_change("b"), Change::None);
        assert!(group.holds("a", 1, (0, 1)));
        group.release("a", &[(0, 1)]);
        assert_eq!(group.next_change("b"), Change::Assigned(vec![(0, 1)]));
        assert!(!group.holds("a", 1, (0, 1)));
    }

    #[test]
    fn an_undecided_partition_is_given_to_nobody() {
        let mut group = Group::default();
        group.undecided.push((0, 0));
        group.join("a", 1, vec![0], |_| 1);
        assert_eq!(group.next_change("a"), Change::None);
        group.undecided.clear();
        assert_eq!(group.next_change("a"), Change::Assigned(vec![(0, 0)]));
    }
}
