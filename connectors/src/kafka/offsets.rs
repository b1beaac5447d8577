//! Asking for the first and last offsets of many partitions in one request.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use tributary_runtime::LogError;

use super::log_error;
use crate::events;

const WHAT: &str = "asking for offsets";

/// Between two requests while a leader moves.
const PAUSE: Duration = Duration::from_millis(50);

/// How long to look up a topic again. A client that has no broker any more gets no answer.
const LOOK: Duration = Duration::from_secs(2);

/// A partition by its name on the broker.
pub(super) type BrokerPartition = (String, i32);

/// The first offset of each partition that is still there.
pub(super) fn first<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    partitions: &[BrokerPartition],
    timeout: Duration,
) -> Result<Vec<i64>, LogError> {
    query(client, partitions, Offset::Beginning, timeout)
}

/// The end of each partition. For a `read_uncommitted` client this is the offset after the last record, for a
/// `read_committed` client the last stable offset, before the first open transaction.
pub(super) fn end<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    partitions: &[BrokerPartition],
    timeout: Duration,
) -> Result<Vec<i64>, LogError> {
    query(client, partitions, Offset::End, timeout)
}

/// The committed offset of each partition in the client's group; `None` where the group has none.
pub(super) fn committed<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    partitions: &[BrokerPartition],
    timeout: Duration,
) -> Result<Vec<Option<i64>>, LogError> {
    const WHAT: &str = "asking for committed offsets";
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let asked = list(partitions.iter().map(|(topic, partition)| (topic.as_str(), *partition, Offset::Invalid)))?;
    let answer = client.committed_offsets(asked, timeout).map_err(|error| log_error::from_call(WHAT, &error))?;
    let offset = |element: &TopicPartitionListElem<'_>| {
        element.error().map_err(|error| log_error::from_call(WHAT, &error))?;
        Ok(match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        })
    };
    answer.elements().iter().map(offset).collect()
}

/// The offset that `which` stands for in each partition. A `ListOffsets` request takes logical offsets instead of a
/// time.
fn query<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    partitions: &[BrokerPartition],
    which: Offset,
    timeout: Duration,
) -> Result<Vec<i64>, LogError> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let asked = list(partitions.iter().map(|(topic, partition)| (topic.as_str(), *partition, which)))?;
    let asked_first = Instant::now();
    loop {
        let error = match ask(client, asked.clone(), timeout) {
            Ok(answer) => return answer.elements().iter().map(offset).collect(),
            Err(error) => error,
        };
        let code = error.rdkafka_error_code();
        let is_moving = code.is_some_and(is_about_leader);
        if is_moving || matches!(code, Some(Code::UnknownTopicOrPartition | Code::UnknownPartition)) {
            look_again(client, partitions);
        }
        if !is_moving || asked_first.elapsed() >= timeout {
            return Err(log_error::from_call(WHAT, &error));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether the leader moves, has just been elected, or was elected again without the client's knowledge. Unlike for
/// records, the client then neither repeats the request nor asks who leads now.
fn is_about_leader(code: Code) -> bool {
    use Code::{FencedLeaderEpoch, LeaderNotAvailable, NotLeaderForPartition, UnknownLeaderEpoch};
    matches!(code, NotLeaderForPartition | LeaderNotAvailable | FencedLeaderEpoch | UnknownLeaderEpoch)
}

/// One request, and an answer for all partitions.
fn ask<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    asked: TopicPartitionList,
    timeout: Duration,
) -> Result<TopicPartitionList, KafkaError> {
    let answer = client.offsets_for_times(asked, timeout)?;
    answer.elements().iter().try_for_each(TopicPartitionListElem::error)?;
    Ok(answer)
}

fn offset(element: &TopicPartitionListElem<'_>) -> Result<i64, LogError> {
    match element.offset() {
        Offset::Offset(offset) => Ok(offset),
        other => {
            let partition = format!("{}-{}", element.topic(), element.partition());
            Err(LogError::unavailable(format!("{WHAT} of {partition}: no answer yet ({other:?})")))
        }
    }
}

/// Asks whether topics exist by now. Otherwise the client remembers forever that a topic did not exist, and answers
/// from its memory.
fn look_again<C: ConsumerContext>(client: &BaseConsumer<C>, partitions: &[BrokerPartition]) {
    let mut topics: Vec<&str> = partitions.iter().map(|(topic, _)| topic.as_str()).collect();
    topics.sort_unstable();
    topics.dedup();
    for topic in topics {
        if let Err(error) = client.fetch_metadata(Some(topic), LOOK) {
            events::topic_lookup_failed(topic, &error);
        }
    }
}

/// Partitions and offsets in librdkafka's own form.
pub(super) fn list<'a>(
    partitions: impl Iterator<Item = (&'a str, i32, Offset)>,
) -> Result<TopicPartitionList, LogError> {
    let mut list = TopicPartitionList::new();
    for (topic, partition, offset) in partitions {
        list.add_partition_offset(topic, partition, offset)
            .map_err(|error| LogError::fatal(format!("offset {offset:?} of {topic}-{partition}: {error}")))?;
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    //! A real broker does not lose its leadership on demand, but librdkafka's mock cluster can say that it has.

    use rdkafka::ClientConfig;
    use rdkafka::consumer::DefaultConsumerContext;
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::DefaultProducerContext;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;

    type Cluster = MockCluster<'static, DefaultProducerContext>;

    const MOVING: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;

    fn cluster() -> (Cluster, BaseConsumer<DefaultConsumerContext>) {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("lines", 2, 1).unwrap();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", "offsets");
        let client = config.create().unwrap();
        (cluster, client)
    }

    fn lines() -> [BrokerPartition; 2] {
        [("lines".to_owned(), 0), ("lines".to_owned(), 1)]
    }

    #[test]
    fn partitions_whose_leader_moves_are_asked_for_again() {
        let (cluster, client) = cluster();
        let fenced = RDKafkaRespErr::RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH;
        cluster.request_errors(RDKafkaApiKey::ListOffsets, &[MOVING, fenced, MOVING]);
        assert_eq!(end(&client, &lines(), Duration::from_secs(20)), Ok(vec![0, 0]));
    }

    #[test]
    fn a_leader_that_does_not_appear_in_time_is_an_error() {
        let (cluster, client) = cluster();
        cluster.request_errors(RDKafkaApiKey::ListOffsets, &[MOVING; 1000]);
        let error = end(&client, &lines(), Duration::from_secs(1)).unwrap_err();
        assert!(matches!(&error, LogError::Unavailable(text) if text.starts_with(WHAT)), "{error:?}");
    }
}
