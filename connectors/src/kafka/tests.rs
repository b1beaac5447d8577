//! Against a real broker: the suite that every log has to pass, and what is special about Kafka.
//!
//! `TRIBUTARY_KAFKA` has the address of the broker. With `TRIBUTARY_CONFORMANCE`, only those tests of the suite run
//! whose names contain its value.

mod group;
mod outage;

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Message, Offset};
use tributary_harness::{fresh_namespace, kafka};
use tributary_runtime::conformance::{self, ConformanceTest, Killer, LogFactory, word_count};
use tributary_runtime::memory::OwnedRecord;
use tributary_runtime::{Lag, Log, LogError, Output, Poll, Producer, Role, Topic, TopicPartition};

use super::{
    KafkaConfiguration, KafkaLag, KafkaLog, KafkaProducer, KafkaReader, TopicChange, TopicPlan, headers, offsets,
};

const SESSION_TIMEOUT: Duration = Duration::from_secs(4);

/// A configuration with an unused namespace.
fn configuration(broker: &str) -> KafkaConfiguration {
    let mut configuration = KafkaConfiguration::new(broker, fresh_namespace("test"), "a");
    configuration.session_timeout = SESSION_TIMEOUT;
    configuration.transaction_timeout = Duration::from_secs(3);
    configuration
}

fn create_topics(configuration: &KafkaConfiguration, topics: &[&'static Topic]) {
    TopicPlan::compare(configuration, topics, word_count::PARTITIONS, 1).unwrap().apply().unwrap();
}

/// Makes the broker compact changelogs during the test.
fn compact_soon(configuration: &KafkaConfiguration, topics: &[&'static Topic]) {
    let changelogs = topics.iter().filter(|topic| topic.role == Role::Changelog);
    let names: Vec<String> = changelogs.map(|topic| configuration.name(topic.name)).collect();
    let soon = [("cleanup.policy", "compact"), ("segment.ms", "100"), ("min.cleanable.dirty.ratio", "0.01")];
    alter(configuration, &names, &soon);
}

fn alter(configuration: &KafkaConfiguration, topics: &[String], settings: &[(&str, &str)]) {
    let altered: Vec<AlterConfig<'_>> = topics
        .iter()
        .map(|name| {
            let altered = AlterConfig::new(ResourceSpecifier::Topic(name));
            settings.iter().fold(altered, |altered, (key, value)| altered.set(key, value))
        })
        .collect();
    block_on(admin(configuration).alter_configs(&altered, &AdminOptions::new())).unwrap();
}

fn admin(configuration: &KafkaConfiguration) -> AdminClient<DefaultClientContext> {
    configuration.base().create().unwrap()
}

/// A namespace of the broker for each test of the suite.
struct Kafka {
    broker: String,
    configuration: KafkaConfiguration,
    killer: Killer,
    folders: Vec<tempfile::TempDir>,
}

impl Kafka {
    fn new(broker: &str) -> Self {
        let configuration = configuration(broker);
        Self { broker: broker.to_owned(), configuration, killer: Killer::default(), folders: Vec::new() }
    }
}

impl LogFactory for Kafka {
    fn reset(&mut self) {
        self.configuration = configuration(&self.broker);
    }

    fn create_topics(&mut self, topics: &[&'static Topic], flow_partitions: i32) {
        TopicPlan::compare(&self.configuration, topics, flow_partitions, 1).unwrap().apply().unwrap();
        compact_soon(&self.configuration, topics);
    }

    fn open(&mut self, group: &str, id: &str, inboxes: &[&'static Topic]) -> Box<dyn Log> {
        let log = KafkaLog::open(&self.configuration, group, id, inboxes).unwrap();
        self.killer.watch(id, log, KafkaLog::kill)
    }

    fn producer(&mut self, id: &str) -> Box<dyn Producer> {
        Box::new(KafkaProducer::open(&self.configuration, "conformance", id).unwrap())
    }

    fn lag(&mut self, group: &str, inboxes: &[&'static Topic]) -> Box<dyn Lag> {
        let groups = [(group, inboxes.to_vec())];
        Box::new(KafkaLag::open(&self.configuration, &groups, word_count::PARTITIONS).unwrap())
    }

    fn read_committed(&mut self, topic: &'static Topic, partition: i32) -> Vec<OwnedRecord> {
        read_committed(&self.configuration, topic, partition)
    }

    fn kill(&mut self, _group: &str, id: &str) {
        self.killer.kill(id);
    }

    fn expire(&mut self, _group: &str, _id: &str) {
        std::thread::sleep(SESSION_TIMEOUT + Duration::from_secs(1));
    }

    fn compact(&mut self) {
        // Compaction removes the first value of a partition once its key has been written again. A schema comes before
        // it, which stays.
        let compacted = |factory: &mut Self| {
            let mut partitions = 0..word_count::PARTITIONS;
            partitions.any(|number| factory.read_committed(&word_count::COUNT_CHANGELOG, number)[1].offset > 1)
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !compacted(self) {
            assert!(Instant::now() < deadline, "the broker has not compacted");
        }
    }

    fn truncate(&mut self, topic: &'static Topic) -> bool {
        let name = self.configuration.name(topic.name);
        if topic.role == Role::Changelog {
            // The broker deletes nothing from a topic that is only compacted.
            alter(&self.configuration, std::slice::from_ref(&name), &[("cleanup.policy", "compact,delete")]);
        }
        let partitions = (0..word_count::PARTITIONS).map(|partition| (name.as_str(), partition, Offset::End));
        let ends = offsets::list(partitions).unwrap();
        let admin = admin(&self.configuration);
        let deadline = Instant::now() + Duration::from_secs(30);
        // A broker confirms a change of a topic's settings some time before it follows it.
        loop {
            let answer = block_on(admin.delete_records(&ends, &AdminOptions::new())).unwrap();
            let refused = answer.elements().iter().find_map(|element| element.error().err());
            let Some(error) = refused else { return true };
            assert!(Instant::now() < deadline, "records of {name} cannot be deleted: {error}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn forget_offsets(&mut self, group: &str) -> bool {
        let group = self.configuration.name(group);
        let admin = admin(&self.configuration);
        let deadline = Instant::now() + 3 * SESSION_TIMEOUT;
        loop {
            let answer = block_on(admin.delete_groups(&[&group], &AdminOptions::new())).unwrap();
            match answer.into_iter().next().unwrap() {
                Ok(_) => return true,
                // A killed member stays in its group until its session times out.
                Err((_, code)) => assert!(Instant::now() < deadline, "{group} cannot be deleted: {code}"),
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn set_offsets(&mut self, group: &str, to: &[(TopicPartition, i64)]) -> bool {
        let mut config = self.configuration.consumer(group);
        let consumer: BaseConsumer = config.remove("group.instance.id").create().unwrap();
        let named = |(at, offset): &(TopicPartition, i64)| (self.configuration.name(at.topic), at.partition, *offset);
        let named: Vec<_> = to.iter().map(named).collect();
        let list = named.iter().map(|(topic, number, to)| (topic.as_str(), *number, Offset::Offset(*to)));
        let list = offsets::list(list).unwrap();
        let deadline = Instant::now() + 3 * SESSION_TIMEOUT;
        while let Err(error) = consumer.commit(&list, CommitMode::Sync) {
            assert!(Instant::now() < deadline, "offsets of {group} cannot be set: {error}");
            std::thread::sleep(Duration::from_millis(100));
        }
        true
    }

    fn folder(&mut self) -> PathBuf {
        self.folders.push(tempfile::tempdir().unwrap());
        self.folders.last().unwrap().path().to_owned()
    }
}

/// All committed records of a partition, up to the last stable offset.
fn read_committed(configuration: &KafkaConfiguration, topic: &Topic, partition: i32) -> Vec<OwnedRecord> {
    let mut config = configuration.consumer("reader");
    config.set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create().unwrap();
    let name = configuration.name(topic.name);
    let list = offsets::list(std::iter::once((name.as_str(), partition, Offset::Beginning))).unwrap();
    consumer.assign(&list).unwrap();
    let mut records = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        assert!(Instant::now() < deadline, "reading {name}-{partition} takes too long");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let mut compact = Vec::new();
                let timestamp = headers::from_wire(
                    message.timestamp().to_millis(),
                    message.headers(),
                    headers::TimeHeader::Trusted,
                    &mut compact,
                );
                records.push(OwnedRecord {
                    offset: message.offset(),
                    timestamp,
                    key: message.key().unwrap_or_default().to_vec(),
                    value: message.payload().map(<[u8]>::to_vec),
                    headers: compact,
                });
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => return records,
            Some(Err(error)) => panic!("reading {name}-{partition}: {error}"),
            None => {}
        }
    }
}

#[test]
fn kafka_passes_the_conformance_suite() {
    let Some(broker) = kafka() else { return };
    let only = std::env::var("TRIBUTARY_CONFORMANCE").unwrap_or_default();
    let tests = conformance::all().into_iter().filter(|(name, _)| name.contains(&only));
    let tests = Mutex::new(tests.collect::<Vec<_>>().into_iter());
    // Tests mostly wait for the broker, so several run at once, each in its own namespace.
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| run_tests(&broker, &tests))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "failed: {failed:?}");
}

#[test]
fn a_topic_of_kafka_is_followed_from_positions_of_the_reader() {
    let Some(broker) = kafka() else { return };
    conformance::a_follower_reads_what_is_committed_once(&mut Kafka::new(&broker), |kafka| {
        Box::new(KafkaReader::open(&kafka.configuration, "conformance").unwrap())
    });
}

#[test]
fn ranges_of_a_topic_of_kafka_are_read_together_up_to_their_ends() {
    let Some(broker) = kafka() else { return };
    conformance::a_follower_reads_ranges_up_to_their_ends(&mut Kafka::new(&broker), |kafka| {
        Box::new(KafkaReader::open(&kafka.configuration, "conformance").unwrap())
    });
}

type Tests = Mutex<std::vec::IntoIter<(&'static str, ConformanceTest)>>;

/// Runs tests until there are none left, and returns the names of those that failed.
fn run_tests(broker: &str, tests: &Tests) -> Vec<&'static str> {
    let mut failed = Vec::new();
    loop {
        let Some((name, test)) = tests.lock().unwrap().next() else { return failed };
        let started = Instant::now();
        let run = std::panic::catch_unwind(|| test(&mut Kafka::new(broker)));
        eprintln!("{name}: {} in {:.1} s", if run.is_ok() { "ok" } else { "FAILED" }, started.elapsed().as_secs_f64());
        if run.is_err() {
            failed.push(name);
        }
    }
}

fn output(topic: &'static Topic, records: &[(&str, &str)]) -> Output {
    let mut output = Output::new(word_count::PARTITIONS);
    for (key, value) in records {
        output.send(topic, key.as_bytes(), |buffer| buffer.extend_from_slice(value.as_bytes()));
    }
    output
}

fn wait_until_nothing_is_left(lag: &KafkaLag) {
    let started = Instant::now();
    while lag.lag() != Ok(0) {
        assert!(started.elapsed() < Duration::from_secs(10), "still {:?}", lag.lag());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Polls until `count` records have arrived, and accepts every assignment.
fn read(log: &mut KafkaLog, count: usize) -> Vec<(TopicPartition, i64)> {
    let mut records = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(30);
    while records.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} records", records.len());
        let polled = log.poll(Duration::from_millis(50), 100, &mut |record| {
            records.push((record.origin, record.offset + 1));
        });
        match polled.unwrap() {
            Poll::Assigned(partitions) => log.resume(&partitions).unwrap(),
            Poll::Revoked(partitions) => log.release(&partitions).unwrap(),
            _ => {}
        }
    }
    records
}

#[test]
fn topics_are_planned_and_created_as_declared() {
    let Some(broker) = kafka() else { return };
    let configuration = configuration(&broker);
    let mut plan = TopicPlan::compare(&configuration, &word_count::TOPICS, 3, 1).unwrap();
    assert_eq!(plan.changes().len(), word_count::TOPICS.len());
    assert!(plan.changes().iter().all(|change| matches!(change, TopicChange::Create { partitions: 3, .. })));
    plan.apply().unwrap();
    let plan = TopicPlan::compare(&configuration, &word_count::TOPICS, 3, 1).unwrap();
    assert_eq!(plan.changes(), [], "what was applied needs no change");
}

#[test]
fn other_partitions_are_a_conflict_and_nothing_is_changed() {
    let Some(broker) = kafka() else { return };
    let configuration = configuration(&broker);
    create_topics(&configuration, &[&word_count::LINES]);
    let mut plan = TopicPlan::compare(&configuration, &word_count::TOPICS, 4, 1).unwrap();
    let text = plan.changes().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(text.contains("CONFLICT") && text.contains("has 3 partitions and 4 are configured"), "{text}");
    assert!(matches!(plan.apply(), Err(LogError::Fatal(text)) if text.contains("3 partitions")));
    let again = TopicPlan::compare(&configuration, &word_count::TOPICS, 4, 1).unwrap();
    assert_eq!(again.changes(), plan.changes());
}

#[test]
fn a_setting_that_differs_is_altered_and_others_stay() {
    static SHORT: Topic = Topic {
        name: "conformance.lines",
        partitions: word_count::LINES.partitions,
        cleanup: tributary_runtime::Cleanup::Delete(Duration::from_hours(1)),
        role: Role::Inbox,
        records: &[],
    };
    let Some(broker) = kafka() else { return };
    let configuration = configuration(&broker);
    create_topics(&configuration, &[&SHORT]);
    let mut plan = TopicPlan::compare(&configuration, &[&word_count::LINES], 3, 1).unwrap();
    let topic = configuration.name("conformance.lines");
    let expected = TopicChange::AlterConfig {
        topic,
        key: "retention.ms".to_owned(),
        from: "3600000".to_owned(),
        to: "604800000".to_owned(),
    };
    assert_eq!(plan.changes(), [expected]);
    plan.apply().unwrap();
    assert_eq!(TopicPlan::compare(&configuration, &[&word_count::LINES], 3, 1).unwrap().changes(), []);
}

#[test]
fn small_transactions_are_committed_in_a_few_milliseconds() {
    let Some(broker) = kafka() else { return };
    let configuration = configuration(&broker);
    create_topics(&configuration, &word_count::TOPICS);
    let lines = output(&word_count::LINES, &[("a", "1"), ("b", "2"), ("c", "3")]);
    let mut producer = KafkaProducer::open(&configuration, "conformance", "source").unwrap();
    let mut log = KafkaLog::open(&configuration, "conformance", "0", &word_count::INBOXES).unwrap();
    let mut times = Vec::new();
    for _ in 0..50 {
        producer.publish(&lines).unwrap();
        let read = read(&mut log, 3);
        let started = Instant::now();
        log.send(&output(&word_count::COUNTS, &[("a", "1"), ("b", "2")])).unwrap();
        log.commit(&read).unwrap();
        times.push(started.elapsed());
    }
    times.sort();
    eprintln!("commit of a small transaction: p50 {:?}, p90 {:?}, max {:?}", times[25], times[45], times[49]);
    // The method of the client crate takes at least 100 ms.
    assert!(times[25] < Duration::from_millis(60), "p50 {:?}", times[25]);
}

#[test]
fn a_transaction_that_the_broker_has_ended_is_abortable_not_fenced() {
    let Some(broker) = kafka() else { return };
    let mut configuration = configuration(&broker);
    configuration.transaction_timeout = Duration::from_secs(1);
    create_topics(&configuration, &word_count::TOPICS);
    let mut log = KafkaLog::open(&configuration, "conformance", "0", &word_count::INBOXES).unwrap();
    log.send(&output(&word_count::COUNTS, &[("a", "late")])).unwrap();
    // The broker looks for late transactions every ten seconds.
    std::thread::sleep(Duration::from_secs(12));
    log.send(&output(&word_count::COUNTS, &[("b", "late")])).unwrap_or_default();
    let refused = log.commit(&[]);
    assert!(matches!(refused, Err(LogError::Abortable(_) | LogError::Unavailable(_))), "{refused:?}");
    log.abort().unwrap();
    log.send(&output(&word_count::COUNTS, &[("a", "in time")])).unwrap();
    log.commit(&[]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let values = loop {
        let partitions = 0..word_count::PARTITIONS;
        let records = partitions.flat_map(|number| read_committed(&configuration, &word_count::COUNTS, number));
        let values: Vec<_> = records.filter_map(|record| record.value).collect();
        if !values.is_empty() || Instant::now() > deadline {
            break values;
        }
    };
    assert_eq!(values, [b"in time"]);
}

#[test]
fn offsets_without_output_are_committed_too() {
    let Some(broker) = kafka() else { return };
    let configuration = configuration(&broker);
    create_topics(&configuration, &word_count::TOPICS);
    let mut producer = KafkaProducer::open(&configuration, "conformance", "source").unwrap();
    producer.publish(&output(&word_count::LINES, &[("a", "1"), ("b", "2"), ("c", "3")])).unwrap();
    let lag = KafkaLag::open(&configuration, &[("conformance", word_count::INBOXES.to_vec())], word_count::PARTITIONS)
        .unwrap();
    assert_eq!(lag.lag().unwrap(), 3);
    let mut log = KafkaLog::open(&configuration, "conformance", "0", &word_count::INBOXES).unwrap();
    let read = read(&mut log, 3);
    assert_eq!(lag.lag().unwrap(), 3);
    log.commit(&read).unwrap();
    // The offsets are visible once the marker of their transaction is written, some milliseconds after the answer.
    wait_until_nothing_is_left(&lag);
    // The output of the next commit still knows the partitions of the flow.
    let mut rows = output(&word_count::COUNTS, &[("a", "1")]);
    log.begin_commit(&mut rows, &[]).unwrap();
    log.await_commit().unwrap();
    assert!(rows.is_like(&output(&word_count::COUNTS, &[])));
}

#[test]
fn a_missing_topic_is_named_with_what_to_do() {
    let Some(broker) = kafka() else { return };
    let configuration = configuration(&broker);
    let lag =
        KafkaLag::open(&configuration, &[("conformance", vec![&word_count::LINES])], word_count::PARTITIONS).unwrap();
    // The first answer may say that the client does not know the topic yet.
    let error = (0..10).map(|_| lag.lag().unwrap_err().to_string()).find(|error| error.contains("does not exist"));
    assert!(error.as_ref().is_some_and(|error| error.contains("tributary topics apply")), "{error:?}");
    // Once the topic exists, the next question is answered.
    create_topics(&configuration, &[&word_count::LINES]);
    wait_until_nothing_is_left(&lag);
}

#[test]
fn a_changelog_with_aborted_records_at_its_end_is_restored() {
    let Some(broker) = kafka() else { return };
    let configuration = configuration(&broker);
    create_topics(&configuration, &word_count::TOPICS);
    let mut log = KafkaLog::open(&configuration, "conformance", "0", &word_count::INBOXES).unwrap();
    let mut changes = Output::new(word_count::PARTITIONS);
    changes.send_to(&word_count::COUNT_CHANGELOG, 1, b"a", |buffer| buffer.push(1));
    changes.tombstone_to(&word_count::COUNT_CHANGELOG, 1, b"b");
    log.send(&changes).unwrap();
    log.commit(&[]).unwrap();
    let changelog = TopicPartition { topic: word_count::COUNT_CHANGELOG.name, partition: 1 };
    let end = log.end_offset(changelog).unwrap();
    for _ in 0..3 {
        log.send(&changes).unwrap();
        // Only records that have reached the broker leave a trace there.
        std::thread::sleep(Duration::from_millis(50));
        log.abort().unwrap();
    }
    let mut restored = Vec::new();
    let started = Instant::now();
    let mut restore = |log: &mut KafkaLog, from| {
        log.restore(changelog, from, &mut |key, value| restored.push((key.to_vec(), value.map(<[u8]>::to_vec))))
    };
    let next = restore(&mut log, 0).unwrap();
    eprintln!("restore of a small changelog: {:?}", started.elapsed());
    assert!(next > end, "{next} is not after the aborted records, which start at {end}");
    assert!(restore(&mut log, end).unwrap() >= next);
    assert!(matches!(restore(&mut log, next + 100), Err(LogError::OffsetOutOfRange(_))));
    assert_eq!(restored, [(b"a".to_vec(), Some(vec![1])), (b"b".to_vec(), None)]);
}
