//! Asking for first and last offsets, of many partitions in one request.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use tributary_runtime::LogError;

use super::fault;

/// A partition by its name on the broker.
pub(super) type BrokerPartition = (String, i32);

/// The first offset that is still there, of each partition.
pub(super) fn first<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    partitions: &[BrokerPartition],
    timeout: Duration,
) -> Result<Vec<i64>, LogError> {
    query(client, partitions, Offset::Beginning, timeout)
}

/// The offset after the last, of each partition: after the last record of all for a `read_uncommitted` client, the
/// last stable offset (before the first open transaction) for a `read_committed` one.
pub(super) fn end<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    partitions: &[BrokerPartition],
    timeout: Duration,
) -> Result<Vec<i64>, LogError> {
    query(client, partitions, Offset::End, timeout)
}

/// Where `which` is an offset of each partition. A `ListOffsets` request takes the logical offsets in place of a time.
fn query<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    partitions: &[BrokerPartition],
    which: Offset,
    timeout: Duration,
) -> Result<Vec<i64>, LogError> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let what = "asking for offsets";
    let asked = list(partitions.iter().map(|(topic, partition)| (topic.as_str(), *partition, which)))?;
    let failed = |error: &KafkaError| {
        if matches!(error.rdkafka_error_code(), Some(Code::UnknownTopicOrPartition | Code::UnknownPartition)) {
            look_again(client, partitions, timeout);
        }
        fault::asked(what, error)
    };
    let answer = client.offsets_for_times(asked, timeout).map_err(|error| failed(&error))?;
    let mut offsets = Vec::with_capacity(partitions.len());
    for element in answer.elements() {
        element.error().map_err(|error| failed(&error))?;
        match element.offset() {
            Offset::Offset(offset) => offsets.push(offset),
            other => {
                let place = format!("{}-{}", element.topic(), element.partition());
                return Err(LogError::Unavailable(format!("{what} of {place}: no answer yet ({other:?})")));
            }
        }
    }
    Ok(offsets)
}

/// Asks whether topics exist by now. The client remembers for ever that one did not, and answers questions without asking.
fn look_again<C: ConsumerContext>(client: &BaseConsumer<C>, partitions: &[BrokerPartition], timeout: Duration) {
    let mut topics: Vec<&str> = partitions.iter().map(|(topic, _)| topic.as_str()).collect();
    topics.sort_unstable();
    topics.dedup();
    for topic in topics {
        if let Err(error) = client.fetch_metadata(Some(topic), timeout) {
            tracing::debug!("asking for topic {topic}: {error}");
        }
    }
}

/// A list of partitions in the client's own form.
pub(super) fn list<'a>(
    partitions: impl Iterator<Item = (&'a str, i32, Offset)>,
) -> Result<TopicPartitionList, LogError> {
    let mut list = TopicPartitionList::new();
    for (topic, partition, offset) in partitions {
        list.add_partition_offset(topic, partition, offset)
            .map_err(|error| LogError::Fatal(format!("offset {offset:?} of {topic}-{partition}: {error}")))?;
    }
    Ok(list)
}
