//! The position join under chaos: its output is the batch join of its inputs.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use tributary_connectors::kafka::{KafkaConfiguration, KafkaLag, TopicPlan};
use tributary_harness::process::built;
use tributary_harness::{Services, fresh_namespace};
use tributary_position_join::flow::{FLOW, INBOXES};
use tributary_position_join::sample::{Input, Sample, Size};
use tributary_position_join::topics::{APP_RECORDS, OPEN};
use tributary_runtime::partition_for_key;

use crate::driver::{Driver, Work};
use crate::fault::{OF_JOIN, Plan, SESSION_TIMEOUT_MILLIS};
use crate::members::Members;
use crate::processes::{Processes, Program};
use crate::watch::{Watched, Watcher};
use crate::{alone, duration, seed};

const PARTITIONS: i32 = 4;
const WORKERS: usize = 2;

/// A program of the crate `position-join`, built beside this test.
fn example(name: &str) -> PathBuf {
    let how = "run `cargo build -p tributary-position-join --examples` first";
    built(&format!("examples/{name}"), how).unwrap_or_else(|text| panic!("{text}"))
}

fn program(services: &Services, namespace: &str) -> Program {
    let (kafka, namespace) = (services.proxied.clone(), namespace.to_owned());
    Box::new(move |state, instance| {
        let mut command = Command::new(example("position_join"));
        command.args(["--kafka", &kafka, "--namespace", &namespace, "--instance", instance]);
        command.args(["--partitions", &PARTITIONS.to_string(), "--workers", &WORKERS.to_string()]);
        command.args(["--consumer", &format!("session.timeout.ms={SESSION_TIMEOUT_MILLIS}")]);
        command.arg("--state").arg(state);
        command
    })
}

/// Sends the sample, spread over `during`; gives the number of records.
fn load(services: &Services, namespace: &str, seed: u64, during: Duration) -> u64 {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", &services.kafka)
        .set("log.connection.close", "false")
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .create()
        .unwrap();
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

/// Compares the output with the batch join; gives what was found.
fn verify(services: &Services, namespace: &str) -> String {
    let output = Command::new(example("position_join_data"))
        .args(["--kafka", &services.kafka, "--namespace", namespace])
        .args(["--partitions", &PARTITIONS.to_string(), "verify"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn nothing_is_lost_or_doubled_or_undone_whatever_dies() {
    let Some(services) = Services::find() else { return };
    let _alone = alone();
    let (seed, during) = (seed(), duration());
    let namespace = fresh_namespace("chaos-join");
    let configuration = KafkaConfiguration::new(&services.kafka, &namespace, "chaos");
    TopicPlan::compare(&configuration, &OPEN, PARTITIONS, 1).unwrap().apply().unwrap();
    let topics = vec![&APP_RECORDS];
    let watched = Watched { services: services.clone(), namespace: namespace.clone(), topics, partitions: PARTITIONS };
    let watcher = Watcher::start(&watched);
    let loader = {
        let (services, namespace) = (services.clone(), namespace.clone());
        std::thread::spawn(move || load(&services, &namespace, seed, during))
    };
    let lag = KafkaLag::open(&configuration, &[(FLOW, INBOXES.to_vec())], PARTITIONS).unwrap();
    let members = Members::new(&services, &namespace, &[(FLOW, WORKERS)]);
    let work = Work { processes: Processes::new(program(&services, &namespace)), outbox: None, lag, members };
    let mut driver = Driver::start(seed, &services, &namespace, Plan::new(&OF_JOIN), work);
    let started = Instant::now();
    while started.elapsed() < during || !driver.plan.missing().is_empty() {
        driver.inject(&mut || {});
    }
    let records = loader.join().unwrap();
    driver.settle();
    driver.wait_for_members();
    driver.processes.end_all();
    let seen = watcher.finish();
    let found = verify(&services, &namespace);
    let zombies = driver.zombies();
    println!(
        "join, seed {seed}: {} in {} s, {zombies:?}; {records} records in, {seen} records seen; {found}",
        driver.plan.figures(),
        started.elapsed().as_secs()
    );
    assert!(found.contains("gone_back=0"), "{found}");
    assert!(zombies.partitions_lost > 0 && zombies.without_transaction() > 0, "no pause was long enough");
}
