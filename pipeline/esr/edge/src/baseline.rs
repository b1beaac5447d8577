//! The notes about the baseline on a shared log, where others may write the topics of TIS, and any process may load the
//! snapshot (D1).
//!
//! The first process of a namespace notes the time and where the topics of TIS end. A snapshot that is loaded into
//! empty topics belongs to the baseline too. Until all of it is loaded, the notes say so, and another process that
//! takes over continues in the same way.

use std::collections::HashMap;

use tributary_esr::baseline::Baseline;
use tributary_esr::topics;
use tributary_flow::Process;
use tributary_runtime::{LogError, Output, Topic, TopicPartition, TopicReader};

/// The note of a snapshot that is being loaded as baseline.
const SNAPSHOT: &[u8] = b"snapshot";

/// The note of the time.
const TIME: &[u8] = b"time";

/// The topics that others may write.
const WRITTEN_BY_OTHERS: [&Topic; 3] = [&topics::TIS_POST, &topics::TIS_PLACEMENT, &topics::TIS_PERSON];

/// The baseline that was noted at the first start of the namespace; notes it if this is the first start. On a log that
/// nobody else writes there is none.
///
/// # Errors
/// [`LogError`] when the log cannot be asked.
pub(crate) fn of_log(process: &dyn Process) -> Result<Baseline, LogError> {
    if !process.is_shared() {
        return Ok(Baseline::default());
    }
    let reader = process.reader()?;
    if let Some(noted) = noted(&*reader)? {
        return Ok(noted);
    }
    // Opening the producer fences others that are about to note it too. Then it looks again.
    let mut producer = process.producer("baseline")?;
    if let Some(noted) = noted(&*reader)? {
        return Ok(noted);
    }
    let time = jiff::Timestamp::now().as_millisecond();
    let flow_partitions = process.flow_partitions();
    let mut output = Output::new(flow_partitions);
    let mut note = |key: &[u8], value: i64| {
        output.send(&topics::BASELINE, key, |buffer| buffer.extend_from_slice(value.to_string().as_bytes()));
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
    Ok(Baseline::new(ends, time))
}

fn noted(reader: &dyn TopicReader) -> Result<Option<Baseline>, LogError> {
    let mut ends = HashMap::new();
    let mut time = None;
    reader.read(&topics::BASELINE, 1, &mut |key, value| match value {
        Some(value) if key == TIME => time = number(value),
        Some(value) => ends.extend(parse(key, value)),
        None => {}
    })?;
    // All of it was noted in one transaction.
    Ok(time.map(|time| Baseline::new(ends, time)))
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn parse(key: &[u8], value: &[u8]) -> Option<(TopicPartition, i64)> {
    let (topic, partition) = std::str::from_utf8(key).ok()?.rsplit_once('-')?;
    let topic = WRITTEN_BY_OTHERS.iter().find(|known| known.name == topic)?.name;
    Some((TopicPartition { topic, partition: partition.parse().ok()? }, number(value)?))
}

/// Whether a snapshot is being loaded as baseline, by this process or by one that was interrupted.
///
/// # Errors
/// [`LogError`] when the log cannot be asked.
pub(crate) fn is_being_loaded(process: &dyn Process) -> Result<bool, LogError> {
    let mut is_loading = false;
    process.reader()?.read(&topics::BASELINE, 1, &mut |key, value| {
        if key == SNAPSHOT {
            is_loading = value.is_some();
        }
    })?;
    Ok(is_loading)
}

/// Adds the note that a snapshot is being loaded as baseline, or that all of it is loaded.
pub(crate) fn note_loading(output: &mut Output, is_loading: bool) {
    if is_loading {
        output.send(&topics::BASELINE, SNAPSHOT, |buffer| buffer.extend_from_slice(b"loading"));
    } else {
        output.tombstone(&topics::BASELINE, SNAPSHOT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d1_notes_name_a_partition_of_tis_and_its_end() {
        let partition = TopicPartition { topic: topics::TIS_POST.name, partition: 0 };
        assert_eq!(parse(b"tis.post-0", b"3"), Some((partition, 3)));
        assert_eq!((parse(SNAPSHOT, b"loading"), parse(TIME, b"5")), (None, None));
        assert_eq!(parse(b"esr.post-0", b"1"), None);
    }
}
