//! Work of a fixed size, for a tool that counts the instructions of one function: see `tests/instructions/run`.
//!
//! Wall time on a shared machine says little; the number of instructions is the same each time.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use tributary_position_join::flow::{FLOW, INBOXES, topology};
use tributary_position_join::sample::{Input, Sample, Size};
use tributary_position_join::topics::{INTERNAL, OPEN};
use tributary_runtime::memory::{Broker, BrokerConfig, Retention};
use tributary_runtime::{CommitLimits, LogError, Metrics, Output, Producer, Step, Worker, WorkerConfig, WorkerError};
use tributary_schemas::Date;
use tributary_schemas::records::tis::{LifecycleState, Placement, Post, PostStatus};
use tributary_schemas::types::tis::{Dpn, PersonId, PlacementId, PostId};
use tributary_schemas::{Codec, CodecBuilder, LocalRegistry, RecordType};

type Failure = Box<dyn std::error::Error>;

const PARTITIONS: i32 = 4;
const DECODED: i64 = 5_000;
const POSITIONS: u32 = 1_000;

fn main() -> Result<(), Failure> {
    let codec = CodecBuilder::new(Arc::new(LocalRegistry::in_memory()))
        .topic("tis.placement", &[RecordType::TisPlacement])
        .topic("tis.post", &[RecordType::TisPost])
        .build()?;
    let values = encoded(&codec)?;
    println!("decoded {} values", decode(&codec, &values)?);

    let mut worker = worker_with_inputs()?;
    let (mut joined, mut commits) = (0, 0);
    for step in plan()? {
        match step {
            Step::Processed(_) => joined += join(&mut worker)?,
            Step::Idle => {
                commit(&mut worker)?;
                commits += 1;
            }
            other => return Err(format!("{other:?} does not belong to the work").into()),
        }
    }
    println!("joined {joined} records, committed {commits} transactions");
    Ok(())
}

/// Placements and posts with usual content.
fn encoded(codec: &Codec) -> Result<Vec<Vec<u8>>, Failure> {
    let mut values = Vec::new();
    for id in 0..DECODED {
        let mut value = Vec::new();
        let dpn = Dpn::from(format!("YHD/RC{:03}/019/STR/{id:05}", id % 900));
        if id % 4 == 0 {
            let post = Post { id: PostId(id), dpn, status: PostStatus::Current, ..Post::default() };
            codec.encode(&post, &mut value)?;
        } else {
            codec.encode(&placement(id, dpn), &mut value)?;
        }
        values.push(value);
    }
    Ok(values)
}

fn placement(id: i64, dpn: Dpn) -> Placement {
    Placement {
        id: PlacementId(id),
        trainee_id: PersonId(id / 3),
        dpn,
        date_from: Date(20_670),
        date_to: Some(Date(20_851)),
        whole_time_equivalent: Some(0.8),
        site_code: Some("RAJ01".to_owned()),
        site_name: Some("An invented hospital".to_owned()),
        grade_abbreviation: Some("ST3".to_owned()),
        placement_type: "In post".to_owned(),
        lifecycle_state: LifecycleState::Approved,
        ..Placement::default()
    }
}

#[inline(never)]
fn decode(codec: &Codec, values: &[Vec<u8>]) -> Result<usize, Failure> {
    let mut decoded = 0;
    for value in values {
        let framed = codec.open(value)?;
        match framed.record_type() {
            RecordType::TisPost => drop(black_box(framed.read::<Post>()?)),
            _ => drop(black_box(framed.read::<Placement>()?)),
        }
        decoded += 1;
    }
    Ok(decoded)
}

/// Publishes the inputs of the position join.
fn publish_inputs(broker: &Broker) -> Result<(), LogError> {
    let mut output = Output::new(PARTITIONS);
    let mut sink = |input: Input<'_>| input.send(&mut output);
    let mut sample = Sample::new(42, Size { positions: POSITIONS, bucket: 50, changes: 1.0, bucket_changes: 2 });
    sample.load(&mut sink);
    sample.change(&mut sink);
    broker.producer("inputs").publish(&output)
}

/// A worker that has its partitions, with inputs that it has not read. It commits when nothing is left to read.
fn worker_with_inputs() -> Result<Worker, WorkerError> {
    let broker = Broker::new(BrokerConfig::embedded(Retention::Unread));
    broker.create_topics(&OPEN, PARTITIONS);
    broker.create_topics(&INTERNAL, PARTITIONS);
    let topology = Arc::new(topology(PARTITIONS));
    let metrics = Arc::new(Metrics::new(&topology));
    let limits = CommitLimits { time: Duration::from_hours(1), records: usize::MAX, bytes: usize::MAX };
    let config = WorkerConfig { limits, poll_timeout: Duration::ZERO, ..WorkerConfig::default() };
    let log = Box::new(broker.open(FLOW, "worker", &INBOXES)?);
    let mut worker = Worker::new(topology, config, log, metrics);
    while worker.step()? != Step::Idle {}
    publish_inputs(&broker)?;
    Ok(worker)
}

/// What the worker does step by step: it processes, and commits at the end of each of two hops.
fn plan() -> Result<Vec<Step>, Failure> {
    let mut worker = worker_with_inputs()?;
    let mut steps = Vec::new();
    while steps.iter().filter(|step| **step == Step::Idle).count() < 2 {
        steps.push(worker.step()?);
    }
    Ok(steps)
}

#[inline(never)]
fn join(worker: &mut Worker) -> Result<usize, Failure> {
    match worker.step()? {
        Step::Processed(count) => Ok(count),
        other => Err(format!("expected records, found {other:?}").into()),
    }
}

#[inline(never)]
fn commit(worker: &mut Worker) -> Result<(), Failure> {
    match worker.step()? {
        Step::Idle => Ok(()),
        other => Err(format!("expected a commit, found {other:?}").into()),
    }
}
