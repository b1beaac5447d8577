//! The program on the real broker and registry: the scenarios of the oracle with the process killed (-9), the broker
//! and the registry restarted; the same files as on the embedded log; and what others see in the topics.
//!
//! `TRIBUTARY_KAFKA_SEEDS` is the number of scenarios with kills, `TRIBUTARY_SEED` one of them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use jiff::civil::date;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message};
use tributary_esr_oracle::scenario;
use tributary_esr_sample::{SampleRegion, Scale};
use tributary_esr_tests::comparison::difference;
use tributary_esr_tests::process::Exchange;
use tributary_esr_tests::scenario_run::ScenarioRun;
use tributary_harness::process::program;
use tributary_harness::{Services, fresh_namespace};

/// Kills of one batch at most: a start on Kafka takes seconds.
const MOST_KILLS: u64 = 2;

/// How long a program may wait for a service that is being restarted.
const RESTART_LIMIT: Duration = Duration::from_mins(2);

/// A test that restarts a service uses it alone.
static SERVICES: RwLock<()> = RwLock::new(());

fn shared() -> RwLockReadGuard<'static, ()> {
    SERVICES.read().unwrap_or_else(PoisonError::into_inner)
}

fn alone() -> RwLockWriteGuard<'static, ()> {
    SERVICES.write().unwrap_or_else(PoisonError::into_inner)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn a_batch_that_is_killed_goes_on_where_it_was() {
    let Some(services) = Services::find() else { return };
    let _shared = shared();
    let seeds: Vec<u64> = match number("TRIBUTARY_SEED") {
        Some(seed) => vec![seed],
        // Not those of the embedded log.
        None => (100..100 + number("TRIBUTARY_KAFKA_SEEDS").unwrap_or(2)).collect(),
    };
    let mut kills = 0;
    for &seed in &seeds {
        let mut run = ScenarioRun::new(seed, &services.flags(&fresh_namespace("killed")));
        let mut batches = scenario::scenario(seed).into_iter();
        // The first batch also creates the topics, so it is slower than the others.
        let usual = run.undisturbed(&batches.next().unwrap());
        batches.for_each(|batch| run.with_kills(&batch, usual, MOST_KILLS));
        kills += run.kills;
    }
    println!("{kills} processes were killed in {} scenarios", seeds.len());
    assert!(kills > 0, "no process was killed");
}

/// One scenario in which each batch but the first meets a restart of `service`.
fn restart_in_the_middle(service: &'static str, seed: u64) {
    let Some(services) = Services::find() else { return };
    let _alone = alone();
    let mut flags = services.flags(&fresh_namespace("restarted"));
    flags.extend(["--give-up-after".to_owned(), RESTART_LIMIT.as_secs().to_string()]);
    let mut run = ScenarioRun::new(seed, &flags);
    let mut usual = Duration::ZERO;
    for (at, batch) in scenario::scenario(seed).iter().take(3).enumerate() {
        if at == 0 {
            usual = run.undisturbed(batch);
            continue;
        }
        run.exchange.put(batch);
        let child = run.exchange.command(&batch.now.to_string()).spawn().unwrap();
        // Once while it starts, once while it works.
        std::thread::sleep(usual.mul_f64(if at == 1 { 0.5 } else { 0.1 }));
        services.restart(service, Duration::from_millis(500));
        let mut answer = run.exchange.end_of(child, RESTART_LIMIT);
        if answer.code == Some(1) {
            // It may give up at its start with a message; the same command then continues.
            assert!(answer.stderr.contains("tributary: "), "{answer:?}");
            answer = run.exchange.run(&batch.now.to_string());
        }
        run.check(batch, &answer);
    }
}

#[test]
fn the_broker_is_restarted_in_the_middle() {
    restart_in_the_middle("kafka", 7);
}

#[test]
fn the_registry_is_restarted_in_the_middle() {
    restart_in_the_middle("registry", 9);
}

/// Runs two days of the sample region; the outbox after them.
fn two_days(flags: &[String]) -> BTreeMap<String, String> {
    let mut region = SampleRegion::new(Scale::Region, 1, date(2026, 11, 21));
    let mut exchange = Exchange::new(region.offices(), flags);
    let (inbox, tis) = (exchange.path("inbox"), exchange.path("tis"));
    let first = region.write_first_day(&inbox, &tis).unwrap();
    let answer = exchange.run(&first.now.to_string());
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let second = region.write_second_day(&inbox, &tis).unwrap();
    let answer = exchange.run(&second.now.to_string());
    assert_eq!(answer.code, Some(0), "{answer:?}");
    exchange.watch().clone()
}

#[test]
fn kafka_and_the_embedded_log_lead_to_the_same_files_and_others_can_read_the_topics() {
    let Some(services) = Services::find() else { return };
    let _shared = shared();
    let namespace = fresh_namespace("region");
    let (embedded, kafka) = (two_days(&[]), two_days(&services.flags(&namespace)));
    assert!(embedded.len() > 12 && embedded.values().any(|content| content.lines().count() > 20));
    if let Some(text) = difference(&embedded, &kafka) {
        panic!("the embedded log is what is expected, Kafka what is found\n{text}");
    }
    let framed = [
        ("tis.post", vec!["tis.Post"]),
        ("tis.placement", vec!["tis.Placement"]),
        ("esr.position", vec!["esr.Position"]),
        ("esr.position.reconciled", vec!["esr.PositionReconciled"]),
        ("esr.file.rows", vec!["tributary.FileRow", "tributary.FileClose"]),
        ("esr.event", vec!["tributary.FileEvent", "tributary.Alert"]),
    ];
    for (topic, records) in framed {
        check_frames(&services, &format!("{namespace}.{topic}"), &records);
    }
}

/// Every value in the topic has the frame of the Confluent format, with a schema that the registry knows under its id.
fn check_frames(services: &Services, topic: &str, records: &[&str]) {
    let mut names: BTreeMap<u32, String> = BTreeMap::new();
    let values = committed_values(&services.kafka, topic);
    assert!(!values.is_empty(), "{topic} is empty");
    for value in values {
        assert_eq!(value[0], 0, "{topic}: the magic byte");
        let id = u32::from_be_bytes(value[1..5].try_into().unwrap());
        let name = names.entry(id).or_insert_with(|| {
            let answer: serde_json::Value =
                serde_json::from_str(&services.ask_registry(&format!("schemas/ids/{id}"))).unwrap();
            let schema: serde_json::Value = serde_json::from_str(answer["schema"].as_str().unwrap()).unwrap();
            format!("{}.{}", schema["namespace"].as_str().unwrap(), schema["name"].as_str().unwrap())
        });
        assert!(records.contains(&name.as_str()), "{topic} holds {name}");
    }
}

/// What a consumer that does not know Tributary reads: all committed values, without tombstones.
fn committed_values(broker: &str, topic: &str) -> Vec<Vec<u8>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("group.id", fresh_namespace("stranger"))
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).unwrap();
    let partitions = metadata.topics()[0].partitions().len();
    let mut assignment = rdkafka::TopicPartitionList::new();
    for partition in 0..partitions {
        assignment.add_partition_offset(topic, partition as i32, rdkafka::Offset::Beginning).unwrap();
    }
    consumer.assign(&assignment).unwrap();
    let (mut values, mut ended, begun) = (Vec::new(), 0, Instant::now());
    while ended < partitions {
        assert!(begun.elapsed() < Duration::from_mins(1), "{topic} has no end");
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(record)) => values.extend(record.payload().map(<[u8]>::to_vec)),
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => panic!("{topic}: {error}"),
            None => {}
        }
    }
    values
}

/// `tributary topics ...` in a namespace; what it prints.
fn topics(services: &Services, what: &str, namespace: &str) -> String {
    let output = Command::new(program().unwrap())
        .args(["topics", what, "--kafka", &services.kafka, "--namespace", namespace, "--partitions", "3"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn topics_are_planned_and_created_with_their_policies() {
    let Some(services) = Services::find() else { return };
    let _shared = shared();
    let namespace = fresh_namespace("topics");
    let plan = topics(&services, "plan", &namespace);
    assert!(plan.lines().count() > 20 && plan.lines().all(|line| line.starts_with("create ")), "{plan}");
    assert_eq!(topics(&services, "plan", &namespace), plan, "a plan changes nothing");
    let applied = topics(&services, "apply", &namespace);
    assert!(applied.ends_with("applied\n"), "{applied}");
    assert_eq!(topics(&services, "plan", &namespace), "all topics are as they should be\n");
    let expected = [
        ("tis.placement", 3, "compact"),
        ("esr.inbound", 1, "delete"),
        ("esr.position.inbox", 3, "delete"),
        ("esr.position", 3, "compact"),
        ("esr.dead-letter", 3, "delete"),
        ("esr.schedule", 1, "delete"),
        ("esr.schedule-changelog", 1, "compact"),
        ("esr.position-changelog", 3, "compact"),
    ];
    let found = partitions_and_policies(&services.kafka, &namespace);
    for (topic, partitions, policy) in expected {
        assert_eq!(found.get(&format!("{namespace}.{topic}")), Some(&(partitions, policy.to_owned())), "{topic}");
    }
    let changelogs: Vec<_> = found.iter().filter(|(name, _)| name.ends_with("-changelog")).collect();
    assert!(changelogs.len() > 8 && changelogs.iter().all(|(_, (_, policy))| policy == "compact"), "{changelogs:?}");
}

/// The topics of a namespace as the broker describes them.
fn partitions_and_policies(broker: &str, namespace: &str) -> BTreeMap<String, (usize, String)> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", broker).create().unwrap();
    let metadata = admin.inner().fetch_metadata(None, Duration::from_secs(10)).unwrap();
    let prefix = format!("{namespace}.");
    let topics = metadata.topics().iter().filter(|topic| topic.name().starts_with(&prefix));
    let partitions: Vec<(&str, usize)> = topics.map(|topic| (topic.name(), topic.partitions().len())).collect();
    let resources: Vec<_> = partitions.iter().map(|(name, _)| ResourceSpecifier::Topic(name)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answers = runtime.block_on(admin.describe_configs(&resources, &AdminOptions::new())).unwrap();
    let policy = |resource: rdkafka::admin::ConfigResource| {
        let entry = resource.entries.into_iter().find(|entry| entry.name == "cleanup.policy");
        entry.and_then(|entry| entry.value).unwrap_or_default()
    };
    partitions
        .iter()
        .zip(answers)
        .map(|((name, partitions), answer)| ((*name).to_owned(), (*partitions, policy(answer.unwrap()))))
        .collect()
}
