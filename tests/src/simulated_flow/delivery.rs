//! How the records of a batch reach the log: each source as it sends them, or cut into pieces that come in a random order.

use tributary_runtime::memory::SimulationRng;
use tributary_runtime::{Headers, LogError, Output, Producer, Topic};

/// A record on its way to the log.
struct Sent {
    topic: &'static Topic,
    partition: i32,
    timestamp: i64,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    headers: Vec<u8>,
}

/// Takes what a source publishes.
#[derive(Default)]
pub(super) struct Collector(Vec<Sent>);

impl Producer for Collector {
    fn publish(&mut self, output: &Output) -> Result<(), LogError> {
        self.0.extend(output.records().map(|record| Sent {
            topic: record.topic,
            partition: record.partition,
            timestamp: record.timestamp,
            key: record.key.to_owned(),
            value: record.value.map(ToOwned::to_owned),
            headers: record.headers.as_bytes().to_owned(),
        }));
        Ok(())
    }
}

impl Collector {
    /// Everything in the order in which it was sent, at once.
    pub(super) fn at_once(self, partitions: i32) -> Output {
        output_of(&self.0, partitions)
    }
}

/// The files in their order and the objects of TIS in any, in pieces that follow each other at random. Objects of one
/// snapshot have different keys, so nothing is promised about their order.
pub(super) fn scattered(
    files: Collector,
    mut snapshot: Collector,
    rng: &mut SimulationRng,
    partitions: i32,
) -> Vec<Output> {
    for at in (1..snapshot.0.len()).rev() {
        snapshot.0.swap(at, rng.below(at as u64 + 1) as usize);
    }
    let mut streams = [pieces(files.0, rng), pieces(snapshot.0, rng)];
    let mut outputs = Vec::new();
    while streams.iter().any(|stream| !stream.is_empty()) {
        if let Some(piece) = streams[rng.below(2) as usize].pop() {
            outputs.push(output_of(&piece, partitions));
        }
    }
    outputs
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
