//! The baseline: what TIS held at the first start of the exchange (D1).
//!
//! If other programs write the topics of TIS, the first process of a namespace records the time and the ends of those
//! topics. Every record before these ends belongs to the baseline, no matter which process reads it and when.
//! A snapshot that is loaded into empty topics belongs to the baseline too: its records carry a header.

use std::collections::HashMap;

use tributary_runtime::{Record, TimestampMillis, TopicPartition};

/// Header of records that belong to the baseline.
pub const BASELINE_HEADER: &str = "baseline";

/// Where the baseline ends in each partition of the topics of TIS. Empty if no other program writes these topics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Baseline {
    /// The first offset after the baseline. Partitions that were empty have no entry.
    ends: HashMap<TopicPartition, i64>,
    time: TimestampMillis,
}

impl Baseline {
    /// The baseline that ends at these offsets. It counts from `time`, even if its records are older.
    pub fn new(mut ends: HashMap<TopicPartition, i64>, time: TimestampMillis) -> Self {
        ends.retain(|_, end| *end > 0);
        Self { ends, time }
    }

    /// The time of the first start of the exchange.
    pub fn time(&self) -> TimestampMillis {
        self.time
    }

    /// Whether a record was in its topic at the first start.
    pub fn precedes(&self, record: &Record<'_>) -> bool {
        self.ends.get(&record.origin).is_some_and(|end| record.offset < *end)
    }

    /// Whether a record belongs to the baseline, by its offset or by its header.
    pub fn holds(&self, record: &Record<'_>) -> bool {
        self.precedes(record) || record.headers.get(BASELINE_HEADER).is_some()
    }
}

#[cfg(test)]
mod tests {
    use tributary_runtime::{Headers, Topic};

    use super::*;
    use crate::topics;

    #[test]
    fn d1_what_stood_before_the_noted_end_belongs_to_the_baseline() {
        let at = |topic: &Topic, partition| TopicPartition { topic: topic.name, partition };
        let ends = HashMap::from([(at(&topics::TIS_POST, 0), 3), (at(&topics::TIS_PLACEMENT, 1), 0)]);
        let baseline = Baseline::new(ends, 5);
        let precedes = |topic: &Topic, partition, offset| {
            let (origin, headers) = (at(topic, partition), Headers::default());
            baseline.precedes(&Record { origin, offset, timestamp: 0, key: b"1", value: None, headers })
        };
        assert!(precedes(&topics::TIS_POST, 0, 2));
        assert!(!precedes(&topics::TIS_POST, 0, 3) && !precedes(&topics::TIS_POST, 1, 0));
        assert!(!precedes(&topics::TIS_PLACEMENT, 1, 0) && !precedes(&topics::INBOUND, 0, 0));
    }
}
