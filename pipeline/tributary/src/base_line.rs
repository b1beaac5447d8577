//! The base line on Kafka, where others may write the topics of TIS, and any process may load the snapshot (D1).
//!
//! The first process of a namespace notes the time and where the topics of TIS end. Whatever stands before that is of the base line,
//! whichever process reads it and when. A snapshot that is loaded into empty topics is of the base line too; until all of
//! it is loaded, the note says so, and another process that takes over goes on in the same way.

use std::collections::HashMap;

use tributary_connectors::kafka::{KafkaConfiguration, KafkaProducer, KafkaReader};
use tributary_esr::{flow, topics};
use tributary_runtime::{
    Cleanup, LogError, Output, Partitions, Producer, Record, Role, TimestampMillis, Topic, TopicPartition,
};

/// Holds the notes, as text: `time` = when the first start was, in milliseconds since 1970; `tis.post-0` = the end of that
/// partition then; `snapshot` = `loading`.
pub static BASE_LINE: Topic = Topic {
    name: "esr.base-line",
    partitions: Partitions::Fixed(1),
    cleanup: Cleanup::Compact,
    role: Role::Output,
    records: &[],
};

/// The note of a snapshot that is being loaded as base line.
const SNAPSHOT: &[u8] = b"snapshot";

/// The note of the time.
const TIME: &[u8] = b"time";

/// The topics that others may write.
const WRITTEN_BY_OTHERS: [&Topic; 3] = [&topics::TIS_POST, &topics::TIS_PLACEMENT, &topics::TIS_PERSON];

/// Where the base line ends in each partition of the topics of TIS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BaseLineEnds {
    /// Partitions that were empty are left out.
    ends: HashMap<TopicPartition, i64>,
    time: TimestampMillis,
}

impl BaseLineEnds {
    /// The ends that were noted at the first start of the namespace; notes them if this is it.
    ///
    /// # Errors
    /// [`LogError`] when the broker cannot be asked.
    pub fn of_namespace(cluster: &KafkaConfiguration, flow_partitions: i32) -> Result<Self, LogError> {
        let reader = KafkaReader::open(cluster, flow::FLOW)?;
        if let Some(noted) = noted_ends(&reader)? {
            return Ok(noted);
        }
        // Whoever opens the producer fences others who are at it too, and looks again.
        let mut producer = KafkaProducer::open_shared(cluster, flow::FLOW, "base-line")?;
        if let Some(noted) = noted_ends(&reader)? {
            return Ok(noted);
        }
        let time = jiff::Timestamp::now().as_millisecond();
        let mut output = Output::new(flow_partitions);
        let mut note = |key: &[u8], value: i64| {
            output.send(&BASE_LINE, key, |buffer| buffer.extend_from_slice(value.to_string().as_bytes()));
        };
        let mut ends = HashMap::new();
        note(TIME, time);
        for topic in WRITTEN_BY_OTHERS {
            for (partition, end) in (0..).zip(reader.ends(topic, flow_partitions)?) {
                let partition = TopicPartition { topic: topic.name, partition };
                note(partition.to_string().as_bytes(), end);
                ends.insert(partition, end);
            }
        }
        producer.publish(&output)?;
        Ok(Self::new(ends, time))
    }

    fn new(mut ends: HashMap<TopicPartition, i64>, time: TimestampMillis) -> Self {
        ends.retain(|_, end| *end > 0);
        Self { ends, time }
    }

    /// When the first start was: the day from which the base line counts, however old its records are.
    pub fn time(&self) -> TimestampMillis {
        self.time
    }

    /// Whether there was nothing at the first start.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Whether a record stood in its topic at the first start.
    pub fn hold(&self, record: &Record<'_>) -> bool {
        self.ends.get(&record.origin).is_some_and(|end| record.offset < *end)
    }
}

fn noted_ends(reader: &KafkaReader) -> Result<Option<BaseLineEnds>, LogError> {
    let mut ends = HashMap::new();
    let mut time = None;
    reader.read(&BASE_LINE, 1, &mut |key, value| match value {
        Some(value) if key == TIME => time = number(value),
        Some(value) => ends.extend(parse(key, value)),
        None => {}
    })?;
    // All of it was noted in one transaction.
    Ok(time.map(|time| BaseLineEnds::new(ends, time)))
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn parse(key: &[u8], value: &[u8]) -> Option<(TopicPartition, i64)> {
    let (topic, partition) = std::str::from_utf8(key).ok()?.rsplit_once('-')?;
    let topic = WRITTEN_BY_OTHERS.iter().find(|known| known.name == topic)?.name;
    Some((TopicPartition { topic, partition: partition.parse().ok()? }, number(value)?))
}

/// Whether a snapshot is being loaded as base line, by this process or by one that did not come to its end.
///
/// # Errors
/// [`LogError`] when the broker cannot be asked.
pub fn is_being_loaded(cluster: &KafkaConfiguration) -> Result<bool, LogError> {
    let mut is_loading = false;
    KafkaReader::open(cluster, flow::FLOW)?.read(&BASE_LINE, 1, &mut |key, value| {
        if key == SNAPSHOT {
            is_loading = value.is_some();
        }
    })?;
    Ok(is_loading)
}

/// Adds the note that a snapshot is being loaded as base line, or that all of it is loaded.
pub fn note_loading(output: &mut Output, is_loading: bool) {
    if is_loading {
        output.send(&BASE_LINE, SNAPSHOT, |buffer| buffer.extend_from_slice(b"loading"));
    } else {
        output.tombstone(&BASE_LINE, SNAPSHOT);
    }
}

#[cfg(test)]
mod tests {
    use tributary_runtime::Headers;

    use super::*;

    #[test]
    fn d1_what_stood_before_the_noted_end_is_of_the_base_line() {
        let noted = [parse(b"tis.post-0", b"3").unwrap(), parse(b"tis.placement-1", b"0").unwrap()];
        let ends = BaseLineEnds::new(HashMap::from(noted), 5);
        let holds = |topic: &Topic, partition, offset| {
            let origin = TopicPartition { topic: topic.name, partition };
            ends.hold(&Record { origin, offset, timestamp: 0, key: b"1", value: None, headers: Headers::default() })
        };
        assert!(holds(&topics::TIS_POST, 0, 2));
        assert!(!holds(&topics::TIS_POST, 0, 3) && !holds(&topics::TIS_POST, 1, 0));
        assert!(!holds(&topics::TIS_PLACEMENT, 1, 0) && !holds(&topics::INBOUND, 0, 0));
        assert_eq!((parse(SNAPSHOT, b"loading"), parse(TIME, b"5")), (None, None));
        assert_eq!(parse(b"esr.post-0", b"1"), None);
    }
}
