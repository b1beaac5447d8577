//! The notes about the baseline on a shared log. There, other programs may write the topics of TIS, and any process may
//! load the snapshot (D1).
//!
//! The first process of a namespace notes the time and the ends of the topics of TIS. A snapshot that is loaded into
//! empty topics also belongs to the baseline. The notes say so until all of it is loaded. A process that takes over
//! then continues the load as baseline.

use std::collections::HashMap;

use tributary_esr::baseline::Baseline;
use tributary_esr::topics;
use tributary_flow::Process;
use tributary_runtime::{LogError, Output, Topic, TopicPartition, TopicReader};

/// The key of the note that a snapshot is being loaded as baseline.
const SNAPSHOT: &[u8] = b"snapshot";

/// The key of the note of the time.
const TIME: &[u8] = b"time";

/// The topics that other programs may write.
const WRITTEN_BY_OTHERS: [&Topic; 3] = [&topics::TIS_POST, &topics::TIS_PLACEMENT, &topics::TIS_PERSON];

/// The baseline that the first start of the namespace noted. If this is the first start, notes it. A log that only this
/// process writes has no baseline.
///
/// # Errors
/// [`LogError`] when the log does not answer.
pub(crate) fn of_log(process: &dyn Process) -> Result<Baseline, LogError> {
    if !process.is_shared() {
        return Ok(Baseline::default());
    }
    let reader = process.reader()?;
    if let Some(noted) = noted(&*reader)? {
        return Ok(noted);
    }
    // The producer fences other processes that write the same notes. One of them may already have written them.
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
    // One transaction wrote all notes, so the time is never without the ends.
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

/// Whether this process, or one that was interrupted, is loading a snapshot as baseline.
///
/// # Errors
/// [`LogError`] when the log does not answer.
pub(crate) fn is_being_loaded(process: &dyn Process) -> Result<bool, LogError> {
    let mut is_loading = false;
    process.reader()?.read(&topics::BASELINE, 1, &mut |key, value| {
        if key == SNAPSHOT {
            is_loading = value.is_some();
        }
    })?;
    Ok(is_loading)
}

/// Adds the note that a snapshot is being loaded as baseline, or that the load is complete.
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
