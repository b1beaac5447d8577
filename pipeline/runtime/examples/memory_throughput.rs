//! Prints how many records per second pass through the memory log: published, polled, sent on with offsets committed,
//! and the same through a pool of workers. Run with `--release`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tributary_runtime::memory::{Broker, BrokerConfig, Retention};
use tributary_runtime::{
    Cleanup, Convert, Headers, Lag, Levels, Log, LogError, Output, Partitions, Poll, ProcessError, Processor, Producer,
    Record, Role, Stage, StateSchema, StateStore, StateValue, Store, Topic, TopicPartition, Topology, WorkerConfig,
    WorkerPool,
};

const PARTITIONS: i32 = 4;
const RECORDS: u64 = 2_000_000;
const WEEK: Cleanup = Cleanup::Delete(Duration::from_hours(7 * 24));

const fn topic(name: &'static str, cleanup: Cleanup, role: Role) -> Topic {
    Topic { name, partitions: Partitions::Flow, cleanup, role, records: &[] }
}

static FIRST: Topic = topic("first", WEEK, Role::Inbox);
static SECOND: Topic = topic("second", WEEK, Role::Inbox);
static CHANGELOG: Topic = topic("second.changelog", Cleanup::Compact, Role::Changelog);
static DEAD_LETTERS: Topic = topic("dead-letter", WEEK, Role::Output);

struct Pass;

impl Processor for Pass {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        output.send(&SECOND, record.key, |buffer| buffer.extend_from_slice(record.value.unwrap_or_default()));
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        Vec::new()
    }
}

#[derive(Clone)]
struct Kept(Vec<u8>);

impl StateValue for Kept {
    const SCHEMA: Option<StateSchema> = Some(StateSchema { fingerprint: 1, name: "Kept", text: "Kept" });

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn read(body: &[u8]) -> Result<Self, String> {
        Ok(Self(body.to_vec()))
    }

    fn convert(writer: &str) -> Result<Convert, String> {
        Err(format!("{writer} is not known"))
    }
}

struct Keep(Store<u64, Kept>);

impl Processor for Keep {
    fn process(&mut self, record: &Record<'_>, _: &mut Output) -> Result<(), ProcessError> {
        let key = record.key.try_into().map_err(|_| ProcessError::dead_letter("KEY", "not eight bytes"))?;
        self.0.put(u64::from_be_bytes(key), Kept(record.value.unwrap_or_default().to_vec()));
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![&mut self.0]
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pass_through()?;
    workers()
}

fn fill(broker: &Broker) -> Result<(), LogError> {
    let started = Instant::now();
    let mut producer = broker.producer("fill");
    let mut output = Output::new(PARTITIONS);
    for key in 0..RECORDS {
        output.inherit(0, Headers::default());
        output.send(&FIRST, &(key % 500_000).to_be_bytes(), |buffer| buffer.extend_from_slice(&[7; 200]));
        if output.len() == 20_000 {
            producer.publish(&output)?;
            output.clear();
        }
    }
    producer.publish(&output)?;
    report("publish", started);
    Ok(())
}

fn report(name: &str, started: Instant) {
    println!("{name}: {:.2} M records/s", RECORDS as f64 / started.elapsed().as_secs_f64() / 1e6);
}

fn broker() -> Broker {
    let broker = Broker::new(BrokerConfig::embedded(Retention::Unread));
    broker.create_topics(&[&FIRST, &SECOND, &CHANGELOG, &DEAD_LETTERS], PARTITIONS);
    broker
}

fn pass_through() -> Result<(), LogError> {
    let broker = broker();
    fill(&broker)?;
    let started = Instant::now();
    let mut log = broker.open("pass", "pass-0", &[&FIRST])?;
    let mut output = Output::new(PARTITIONS);
    let mut seen = 0;
    while seen < RECORDS {
        let mut offsets: Vec<(TopicPartition, i64)> = Vec::new();
        let poll = log.poll(Duration::from_millis(10), 20_000, &mut |record| {
            output.send(&SECOND, record.key, |buffer| buffer.extend_from_slice(record.value.unwrap_or_default()));
            match offsets.last_mut().filter(|last| last.0 == record.origin) {
                Some(last) => last.1 = record.offset + 1,
                None => offsets.push((record.origin, record.offset + 1)),
            }
        })?;
        match poll {
            Poll::Assigned(partitions) => log.resume(&partitions)?,
            Poll::Records(count) => {
                log.send(&output)?;
                log.commit(&offsets)?;
                output.clear();
                seen += count as u64;
            }
            _ => {}
        }
    }
    report("poll + send + commit, one thread", started);
    Ok(())
}

fn workers() -> Result<(), Box<dyn std::error::Error>> {
    let stages = vec![
        Stage { name: "pass", inbox: &FIRST, changelog: None, processor: Box::new(|_| Box::new(Pass)) },
        Stage {
            name: "keep",
            inbox: &SECOND,
            changelog: Some(&CHANGELOG),
            processor: Box::new(|_| Box::new(Keep(Store::new(0, "kept")))),
        },
    ];
    let topology = Topology {
        flow: "throughput",
        stages,
        dead_letters: &DEAD_LETTERS,
        flow_partitions: PARTITIONS,
        levels: Levels::ONE,
    };
    let broker = broker();
    fill(&broker)?;
    let started = Instant::now();
    let logs = broker.clone();
    let pool = WorkerPool::start(Arc::new(topology), WorkerConfig::default(), 2, move |slot| {
        Ok(Box::new(logs.open("throughput", &format!("throughput-{slot}"), &[&FIRST, &SECOND])?))
    })?;
    let lag = broker.lag(vec![("throughput".to_owned(), &FIRST), ("throughput".to_owned(), &SECOND)]);
    while lag.lag()? > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    report("two stages, second with state, two workers", started);
    for stage in pool.metrics().stages() {
        let rate = stage.records_in as f64 / stage.busy.as_secs_f64() / 1e6;
        println!(
            "  {}: {} in, {} out, {rate:.2} M records/s of busy time",
            stage.name, stage.records_in, stage.records_out
        );
    }
    println!("  {:?}", pool.metrics().workers());
    Ok(pool.stop()?)
}
