//! Chaos on the real broker: processes of one consumer group are killed (-9), paused beyond the session timeout, ended and
//! started again, and the broker is restarted, while input comes in and a reader of what is committed watches.
//!
//! At the end the output is the batch join of the inputs, and nothing that the reader ever saw has been undone.
//!
//! `TRIBUTARY_CHAOS_SECONDS` says how long faults go on, `TRIBUTARY_SEED` decides which; `tests/chaos` sets them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use tributary_connectors::kafka::{KafkaConfiguration, KafkaLag, TopicPlan};
use tributary_position_join::flow::{FLOW, INBOXES};
use tributary_position_join::sample::{Input, Sample, Size};
use tributary_position_join::topics::{APP_RECORDS, OPEN};
use tributary_runtime::memory::SimulationRng;
use tributary_runtime::{Lag, partition_for_key};
use tributary_tests::process::{built, signal};
use tributary_tests::services::{Services, fresh_namespace};

const PARTITIONS: i32 = 4;
const MEMBERS: usize = 3;
const MOST_MEMBERS: usize = 4;
/// Shorter than the longest pause, so that a paused process comes back as a zombie.
const SESSION_TIMEOUT_MILLIS: &str = "6000";
const SETTLE_LIMIT: Duration = Duration::from_mins(2);

/// Where a record was seen, and a hash of it.
type Sightings = HashMap<(i32, i64), u64>;

/// A process of the group.
struct Member {
    instance: String,
    child: Option<Child>,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fault {
    Kill,
    Pause,
    End,
    Join,
    RestartBroker,
}

struct Chaos {
    services: Services,
    namespace: String,
    state: tempfile::TempDir,
    rng: SimulationRng,
    members: Vec<Member>,
    injected: HashMap<Fault, u32>,
}

impl Drop for Chaos {
    /// A failed test leaves no process behind.
    fn drop(&mut self) {
        for child in self.members.iter_mut().filter_map(|member| member.child.as_mut()) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A program of the crate `position-join`, built beside this test.
fn example(name: &str) -> PathBuf {
    let how = "run `cargo build -p tributary-position-join --examples` first";
    built(&format!("examples/{name}"), how).unwrap_or_else(|text| panic!("{text}"))
}

impl Chaos {
    fn start(&mut self, number: usize) {
        let member = &mut self.members[number];
        let log = std::fs::File::options().create(true).append(true).open(self.state.path().join("log")).unwrap();
        let child = Command::new(example("position_join"))
            .args(["--kafka", &self.services.kafka, "--namespace", &self.namespace])
            .args(["--instance", &member.instance, "--partitions", &PARTITIONS.to_string(), "--workers", "2"])
            .args(["--consumer", &format!("session.timeout.ms={SESSION_TIMEOUT_MILLIS}")])
            .arg("--state")
            .arg(self.state.path().join(&member.instance))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        member.child = Some(child);
    }

    fn add(&mut self) {
        let instance = format!("member-{}", self.members.len());
        self.members.push(Member { instance, child: None });
        self.start(self.members.len() - 1);
    }

    /// Ends a process with a signal and waits for it. It must end well when it was asked to end.
    fn end(&mut self, number: usize, name: &str) {
        let Some(mut child) = self.members[number].child.take() else { return };
        signal(child.id(), name);
        let status = child.wait().unwrap();
        assert!(name == "KILL" || status.success(), "{} ended with {status}: {}", number, self.log());
    }

    fn log(&self) -> String {
        let text = std::fs::read_to_string(self.state.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn sleep(&mut self, most_millis: u64) {
        std::thread::sleep(Duration::from_millis(self.rng.below(most_millis)));
    }

    /// One of each kind first, so that a short run meets them all.
    fn next_fault(&mut self) -> Fault {
        let first = [Fault::RestartBroker, Fault::Pause, Fault::Kill, Fault::Join, Fault::End];
        if let Some(fault) = first.into_iter().find(|fault| !self.injected.contains_key(fault)) {
            return fault;
        }
        match self.rng.below(12) {
            0..5 => Fault::Kill,
            5..8 => Fault::Pause,
            8..10 => Fault::End,
            10 if self.members.len() < MOST_MEMBERS => Fault::Join,
            _ => Fault::RestartBroker,
        }
    }

    fn inject(&mut self) {
        let number = self.rng.below(self.members.len() as u64) as usize;
        let fault = self.next_fault();
        *self.injected.entry(fault).or_default() += 1;
        match fault {
            Fault::Kill => {
                self.end(number, "KILL");
                self.sleep(3_000);
                self.start(number);
            }
            Fault::Pause => {
                let id = self.members[number].child.as_ref().unwrap().id();
                signal(id, "STOP");
                self.sleep(14_000);
                signal(id, "CONT");
            }
            Fault::End => {
                self.end(number, "TERM");
                self.sleep(8_000);
                self.start(number);
            }
            Fault::Join => self.add(),
            Fault::RestartBroker => {
                let pause = Duration::from_millis(self.rng.below(3_000));
                self.services.restart("kafka", pause);
            }
        }
        for number in 0..self.members.len() {
            let ended = self.members[number].child.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "a process has ended by itself: {ended:?}\n{}", self.log());
        }
    }

    fn configuration(&self) -> KafkaConfiguration {
        KafkaConfiguration::new(&self.services.kafka, &self.namespace, "chaos")
    }

    /// Waits until nothing is left to read.
    fn settle(&self) {
        let lag = KafkaLag::open(&self.configuration(), &[(FLOW, INBOXES.to_vec())], PARTITIONS).unwrap();
        let deadline = Instant::now() + SETTLE_LIMIT;
        let mut quiet = 0;
        while quiet < 5 {
            let left = lag.lag();
            quiet = if left == Ok(0) { quiet + 1 } else { 0 };
            assert!(Instant::now() < deadline, "does not settle: {left:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn verify(&self) -> String {
        let output = Command::new(example("position_join_data"))
            .args(["--kafka", &self.services.kafka, "--namespace", &self.namespace])
            .args(["--partitions", &PARTITIONS.to_string(), "verify"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(output.status.success(), "{text}\n{}\n{}", String::from_utf8_lossy(&output.stderr), self.log());
        text
    }
}

fn client(services: &Services) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &services.kafka).set("log.connection.close", "false");
    client
}

/// Sends the sample, spread over `during`; gives the number of records.
fn load(services: &Services, namespace: &str, seed: u64, during: Duration) -> u64 {
    let producer: ThreadedProducer<DefaultProducerContext> =
        client(services).set("enable.idempotence", "true").set("linger.ms", "5").create().unwrap();
    let mut records = 0_u64;
    let started = Instant::now();
    let size = Size { positions: 4_000, bucket: 300, changes: 4.0, bucket_changes: 20 };
    // The sample's own estimate: positions and placements, each with its changes.
    let expected = u64::from(size.positions) * 16;
    let mut sink = |input: Input<'_>| {
        let name = format!("{namespace}.{}", input.topic.name);
        let partition = partition_for_key(input.key, PARTITIONS);
        let mut record = BaseRecord::<[u8], [u8]>::to(&name).partition(partition).key(input.key);
        record.payload = input.value;
        while let Err((_, rejected)) = producer.send(record) {
            record = rejected;
            std::thread::sleep(Duration::from_millis(1));
        }
        records += 1;
        let due = during.mul_f64(records as f64 / expected as f64);
        if records.is_multiple_of(50) {
            std::thread::sleep(due.saturating_sub(started.elapsed()));
        }
    };
    let mut sample = Sample::new(seed, size);
    sample.load(&mut sink);
    sample.change(&mut sink);
    producer.flush(Duration::from_mins(2)).unwrap();
    records
}

fn hash(key: Option<&[u8]>, value: Option<&[u8]>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, value).hash(&mut hasher);
    hasher.finish()
}

/// Reads what is committed until `stop` says so, then to the end of each partition.
fn watch(services: &Services, namespace: &str, stop: &AtomicBool) -> Sightings {
    let consumer: BaseConsumer = client(services)
        .set("group.id", format!("{namespace}-watch"))
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut assigned = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        let name = format!("{namespace}.{}", APP_RECORDS.name);
        assigned.add_partition_offset(&name, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&assigned).unwrap();
    let mut seen = Sightings::new();
    let mut at_end = [false; PARTITIONS as usize];
    while !(stop.load(Ordering::Relaxed) && at_end.iter().all(|at_end| *at_end)) {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                at_end[message.partition() as usize] = false;
                let place = (message.partition(), message.offset());
                let found = hash(message.key(), message.payload());
                assert_eq!(*seen.entry(place).or_insert(found), found, "{place:?} has changed");
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => at_end[partition as usize] = true,
            // The broker is being restarted; the client connects again by itself.
            Some(Err(_)) | None => {}
        }
    }
    seen
}

#[test]
fn nothing_is_lost_or_doubled_or_undone_whatever_dies() {
    let Some(services) = Services::find("nothing_is_lost_or_doubled_or_undone_whatever_dies") else { return };
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = number("TRIBUTARY_SEED").unwrap_or(1);
    let during = Duration::from_secs(number("TRIBUTARY_CHAOS_SECONDS").unwrap_or(60));
    let namespace = fresh_namespace("chaos");
    let mut chaos = Chaos {
        services: services.clone(),
        namespace: namespace.clone(),
        state: tempfile::tempdir().unwrap(),
        rng: SimulationRng::new(seed),
        members: Vec::new(),
        injected: HashMap::new(),
    };
    TopicPlan::compare(&chaos.configuration(), &OPEN, PARTITIONS, 1).unwrap().apply().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let watcher = {
        let (services, namespace, stop) = (services.clone(), namespace.clone(), Arc::clone(&stop));
        std::thread::spawn(move || watch(&services, &namespace, &stop))
    };
    let loader = {
        let (services, namespace) = (services.clone(), namespace.clone());
        std::thread::spawn(move || load(&services, &namespace, seed, during))
    };
    (0..MEMBERS).for_each(|_| chaos.add());
    let started = Instant::now();
    while started.elapsed() < during {
        chaos.sleep(4_000);
        chaos.inject();
    }
    let records = loader.join().unwrap();
    chaos.settle();
    (0..chaos.members.len()).for_each(|number| chaos.end(number, "TERM"));
    stop.store(true, Ordering::Relaxed);
    let seen = watcher.join().unwrap();
    let found = chaos.verify();
    println!("seed {seed}: {records} records in, faults {:?}, {} records seen; {found}", chaos.injected, seen.len());
    assert!(found.contains("gone_back=0"), "{found}");
    let in_the_end = watch(&services, &namespace, &AtomicBool::new(true));
    assert_eq!(seen, in_the_end, "what a reader saw while it happened is what the log holds");
    assert_eq!(chaos.injected.len(), 5, "every kind of fault must be injected: {:?}", chaos.injected);
}
