//! The records of sources cut into pieces that come in a random order, some objects with a time that cannot be.

use std::mem::take;

use tributary_runtime::memory::SimulationRng;
use tributary_runtime::{Cleanup, Headers, Output, Topic};

/// Record times that other programs give: none, the year 2099, microseconds taken for milliseconds, the largest number.
const ODD_TIMES: [i64; 4] = [0, 4_070_908_800_000, 1_795_000_000_000_000, i64::MAX];

/// A record in flight to the log.
struct Sent {
    topic: &'static Topic,
    partition: i32,
    timestamp: i64,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    headers: Vec<u8>,
}

/// What sources have sent and the log has not received yet.
#[derive(Default)]
pub(super) struct Scattered {
    /// Records of the leader topic, whose order counts.
    files: Vec<Sent>,
    /// Records of compacted inboxes: objects of one snapshot have different keys, so their order does not count.
    objects: Vec<Sent>,
}

impl Scattered {
    /// Keeps records of sources. Whether it did: records of other topics come after all that was kept.
    pub(super) fn keep(&mut self, output: &Output, leader: Option<&str>) -> bool {
        let is_file = |topic: &Topic| Some(topic.name) == leader;
        let is_object = |topic: &Topic| topic.cleanup == Cleanup::Compact;
        if !output.records().all(|record| is_file(record.topic) || is_object(record.topic)) {
            return false;
        }
        for record in output.records() {
            let stream = if is_file(record.topic) { &mut self.files } else { &mut self.objects };
            stream.push(Sent {
                topic: record.topic,
                partition: record.partition,
                timestamp: record.timestamp,
                key: record.key.to_owned(),
                value: record.value.map(ToOwned::to_owned),
                headers: record.headers.as_bytes().to_owned(),
            });
        }
        true
    }

    /// The files in their order and the objects in any, some with an odd time, in pieces that follow each other at
    /// random.
    pub(super) fn pieces(&mut self, rng: &mut SimulationRng, partitions: i32) -> Vec<Output> {
        let (files, mut objects) = (take(&mut self.files), take(&mut self.objects));
        for at in (1..objects.len()).rev() {
            objects.swap(at, rng.below(at as u64 + 1) as usize);
        }
        for object in &mut objects {
            if rng.chance(0.1) {
                object.timestamp = ODD_TIMES[rng.below(ODD_TIMES.len() as u64) as usize];
            }
        }
        let mut streams = [pieces(files, rng), pieces(objects, rng)];
        let mut outputs = Vec::new();
        while streams.iter().any(|stream| !stream.is_empty()) {
            if let Some(piece) = streams[rng.below(2) as usize].pop() {
                outputs.push(output_of(&piece, partitions));
            }
        }
        outputs
    }
}

/// Cuts a stream into a few pieces, the last one first.
fn pieces(mut records: Vec<Sent>, rng: &mut SimulationRng) -> Vec<Vec<Sent>> {
    let mut pieces = Vec::new();
    let longest = 1 + rng.below(records.len() as u64 + 1);
    while !records.is_empty() {
        let length = (1 + rng.below(longest) as usize).min(records.len());
        pieces.push(records.split_off(records.len() - length));
    }
    pieces
}

fn output_of(records: &[Sent], partitions: i32) -> Output {
    let mut output = Output::new(partitions);
    for record in records {
        output.inherit(record.timestamp, Headers::from_bytes(&record.headers));
        match &record.value {
            Some(value) => {
                output.send_to(record.topic, record.partition, &record.key, |buffer| buffer.extend_from_slice(value));
            }
            None => output.tombstone_to(record.topic, record.partition, &record.key),
        }
    }
    output
}
