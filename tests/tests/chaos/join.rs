//! The position join under chaos: its output is the batch join of its inputs.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use tributary_harness::Services;
use tributary_harness::process::built;
use tributary_position_join::flow::{FLOW, INBOXES};
use tributary_position_join::sample::{Input, Sample, Size};
use tributary_position_join::topics::{APP_RECORDS, OPEN};
use tributary_tests::chaos::{
    Fault, Feeder, Group, Plan, Program, SESSION_TIMEOUT_MILLIS, Site, Subject, alone, duration, seed,
};

const PARTITIONS: i32 = 4;
const WORKERS: usize = 2;

/// A short run injects each kind once, in this order.
const FAULTS: [Fault; 17] = [
    Fault::RestartBroker,
    Fault::Expire,
    Fault::Kill,
    Fault::Cut,
    Fault::Lose,
    Fault::FreezeBroker,
    Fault::Pause,
    Fault::Add,
    Fault::Delay,
    Fault::End,
    Fault::Remove,
    Fault::Kill,
    Fault::Kill,
    Fault::Pause,
    Fault::Cut,
    Fault::Lose,
    Fault::Delay,
];

/// A program of the crate `position-join`, built beside this test.
fn example(name: &str) -> PathBuf {
    let how = "run `cargo build -p tributary-position-join --examples` first";
    built(&format!("examples/{name}"), how).unwrap_or_else(|text| panic!("{text}"))
}

fn program(site: &Site) -> Program {
    let (kafka, namespace) = (site.services.proxied.clone(), site.namespace.clone());
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
fn load(site: &Site, seed: u64, during: Duration) -> u64 {
    let size = Size { positions: 4_000, bucket: 300, changes: 4.0, bucket_changes: 20 };
    // The sample's own estimate: positions and placements, each with its changes.
    let expected = f64::from(size.positions) * 16.0;
    let mut feeder = Feeder::start(site, expected / during.as_secs_f64());
    let mut sink = |input: Input<'_>| feeder.send(input.topic, input.key, input.value);
    let mut sample = Sample::new(seed, size);
    sample.load(&mut sink);
    sample.change(&mut sink);
    feeder.finish()
}

/// Compares the output with the batch join; gives what the comparison prints.
fn verify(site: &Site) -> String {
    let output = Command::new(example("position_join_data"))
        .args(["--kafka", &site.services.kafka, "--namespace", &site.namespace])
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
    let (seed, during) = (seed(), duration(Duration::from_mins(1)));
    let group = Group { name: FLOW, inboxes: INBOXES.to_vec(), workers: WORKERS };
    let subject = Subject { name: "join", topics: OPEN.to_vec(), groups: vec![group], partitions: PARTITIONS };
    let site = subject.set_up(&services);
    let watcher = site.watch(&[&APP_RECORDS]);
    let started = Instant::now();
    let mut driver = site.drive(seed, Plan::new(&FAULTS), program(&site), None);
    let records = std::thread::scope(|scope| {
        let loader = scope.spawn(|| load(&site, seed, during));
        driver.run(during, &mut || {});
        loader.join().unwrap()
    });
    driver.finish();
    let seen = watcher.finish();
    let found = verify(&site);
    let zombies = driver.zombies();
    println!(
        "join, seed {seed}: {} in {} s, {zombies:?}; {records} records in, {seen} records seen; {found}",
        driver.plan.figures(),
        started.elapsed().as_secs()
    );
    assert!(found.contains("gone_back=0"), "{found}");
    assert!(zombies.partitions_lost > 0 && zombies.without_transaction() > 0, "no pause was long enough");
}
