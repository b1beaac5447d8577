//! The members of a group and their partitions, as the broker reports them.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::groups::{GroupInfo, GroupList, GroupMemberInfo};
use tributary_runtime::LogError;

use super::configuration::{CLIENT_PREFIX, KafkaConfiguration};
use super::connect::connect;
use super::log_error;
use super::offsets::BrokerPartition;
use super::rebalance::MemberConsumer;

/// How long a worker waits for the description of a group.
pub(super) const QUESTION_TIMEOUT: Duration = Duration::from_secs(2);

/// A member of a group.
pub(super) struct GroupMember {
    /// The id that the broker gave it.
    id: String,
    pub(super) holds: Vec<BrokerPartition>,
}

/// The members of a group; `None` when the group does not exist or is in a rebalance.
pub(super) fn members(consumer: &MemberConsumer, group: &str) -> Result<Option<Vec<GroupMember>>, LogError> {
    let list = described(consumer, group)?;
    let Some(found) = list.groups().iter().find(|found| found.name() == group && found.state() == "Stable") else {
        return Ok(None);
    };
    let mut members = Vec::with_capacity(found.members().len());
    for member in found.members() {
        let Some(holds) = decode(member.assignment().unwrap_or_default()) else { return Ok(None) };
        members.push(GroupMember { id: member.id().to_owned(), holds });
    }
    Ok(Some(members))
}

/// A member of a group, as it names itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedMember {
    /// The name of its process, [`KafkaConfiguration::instance`]. `None` for a client that is not of this program, or
    /// has a `client.id` of its own.
    pub instance: Option<String>,
    /// Its client and its host, for people.
    pub name: String,
}

/// What the broker says about a group. Nothing if it does not exist.
fn described<C: ConsumerContext, D: Consumer<C>>(consumer: &D, group: &str) -> Result<GroupList, LogError> {
    let list = consumer.fetch_group_list(Some(group), QUESTION_TIMEOUT);
    list.map_err(|error| log_error::from_call("asking for the members of the group", &error))
}

/// The members of a group, by its name on the broker, whether it is in a rebalance or not.
pub(super) fn named_members_of(consumer: &BaseConsumer, group: &str) -> Result<Vec<NamedMember>, LogError> {
    let list = described(consumer, group)?;
    let members = list.groups().iter().filter(|found| found.name() == group).flat_map(GroupInfo::members);
    let named = |member: &GroupMemberInfo| NamedMember {
        instance: member.client_id().strip_prefix(CLIENT_PREFIX).map(str::to_owned),
        name: format!("{} at {}", member.client_id(), member.client_host()),
    };
    Ok(members.map(named).collect())
}

/// The members of these groups, each process once.
///
/// # Errors
/// [`LogError`] when the broker does not answer.
pub fn named_members(configuration: &KafkaConfiguration, groups: &[&str]) -> Result<BTreeSet<NamedMember>, LogError> {
    let consumer: BaseConsumer = configuration
        .base()
        .create()
        .map_err(|error| log_error::from_creation("the client that asks for members", &error))?;
    connect(consumer.client());
    let mut named = BTreeSet::new();
    for group in groups {
        named.extend(named_members_of(&consumer, &configuration.name(group))?);
    }
    Ok(named)
}

/// The partitions of all members of a group that this consumer has not joined. Nothing when the group knows a member
/// with the fixed name `instance`: this consumer will get the partitions of that member.
pub(super) fn held_by_others(
    consumer: &MemberConsumer,
    group: &str,
    instance: Option<&str>,
) -> Result<Vec<BrokerPartition>, LogError> {
    let members = members(consumer, group)?.unwrap_or_default();
    let is_known = |instance: &str| members.iter().any(|member| member.is_instance(instance));
    if instance.is_some_and(is_known) {
        return Ok(Vec::new());
    }
    Ok(members.into_iter().flat_map(|member| member.holds).collect())
}

impl GroupMember {
    /// The broker composes the id of a member with a fixed name from that name, a hyphen and a UUID.
    fn is_instance(&self, instance: &str) -> bool {
        const UUID_LENGTH: usize = 36;
        let rest = self.id.strip_prefix(instance).and_then(|rest| rest.strip_prefix('-'));
        rest.is_some_and(|uuid| uuid.len() == UUID_LENGTH)
    }
}

/// Reads an assignment of the consumer protocol: a version, then the name and the partitions of each topic. Later
/// versions append to this. `None` when the bytes are not an assignment. A member without partitions may have no bytes
/// at all.
fn decode(assignment: &[u8]) -> Option<Vec<BrokerPartition>> {
    if assignment.is_empty() {
        return Some(Vec::new());
    }
    let mut bytes = assignment.get(2..)?;
    let mut held = Vec::new();
    for _ in 0..take_i32(&mut bytes)? {
        let length = usize::from(u16::from_be_bytes(take(&mut bytes)?));
        let (name, rest) = bytes.split_at_checked(length)?;
        let name = std::str::from_utf8(name).ok()?;
        bytes = rest;
        for _ in 0..take_i32(&mut bytes)? {
            held.push((name.to_owned(), take_i32(&mut bytes)?));
        }
    }
    Some(held)
}

fn take_i32(bytes: &mut &[u8]) -> Option<i32> {
    take(bytes).map(i32::from_be_bytes)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_with_a_fixed_name_is_known_by_its_id() {
        let is_instance =
            |id: &str, instance| GroupMember { id: id.to_owned(), holds: Vec::new() }.is_instance(instance);
        let uuid = "9f6d3a3e-32a5-4c50-8a27-0d2b6a1f6f3c";
        assert!(is_instance(&format!("test.esr.a.0-{uuid}"), "test.esr.a.0"));
        assert!(!is_instance(&format!("test.esr.a.0-b-{uuid}"), "test.esr.a.0"));
        assert!(!is_instance(&format!("test.esr.a.01-{uuid}"), "test.esr.a.0"));
    }

    #[test]
    fn an_assignment_of_the_consumer_protocol_is_read() {
        let one = b"\0\x01\0\0\0\x02\0\x01a\0\0\0\x02\0\0\0\0\0\0\0\x05\0\x02bc\0\0\0\x01\0\0\0\x01\xff\xff\xff\xff";
        let held = vec![("a".to_owned(), 0), ("a".to_owned(), 5), ("bc".to_owned(), 1)];
        assert_eq!(decode(one), Some(held));
        assert_eq!(decode(b""), Some(Vec::new()));
        assert_eq!(decode(b"\0\x01\0\0\0\0\xff\xff\xff\xff"), Some(Vec::new()));
    }

    #[test]
    fn bytes_that_are_no_assignment_are_not_read() {
        let whole = b"\0\x01\0\0\0\x01\0\x01a\0\0\0\x01\0\0\0\x07";
        for end in 1..whole.len() {
            assert_eq!(decode(&whole[..end]), None, "{end}");
        }
        assert_eq!(decode(b"\0\x01\x7f\xff\xff\xff"), None);
    }
}
