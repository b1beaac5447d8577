//! Records of TIS whose times cannot be right, written by another program (D104).

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use jiff::{Timestamp, ToSpan};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use serde_json::Value;
use tributary_connectors::kafka::{KafkaConfiguration, KafkaReader};
use tributary_connectors::tis::snapshot::TisSnapshot;
use tributary_connectors::tis::{Deletions, Held, KnownLines, Load, Topics};
use tributary_esr::flow::DECLARATION;
use tributary_esr::topics;
use tributary_runtime::{LogError, Output, Producer, TopicFollower as _, TopicPartition};
use tributary_schemas::records::tributary::Alert;
use tributary_schemas::{Codec, CodecBuilder, ConfluentRegistry, ConfluentSettings};

use crate::group::{Services, join_namespace, names_of};
use crate::world::{FULL_FILE, POST_NUMBER, World, answer, person, placement, position, post, status_of};

/// 2099-01-01, in milliseconds since 1970.
const FAR_AHEAD: i64 = 4_070_908_800_000;

/// A program that gives its records a time of its own.
struct Foreign<'a> {
    services: &'a Services,
    namespace: &'a str,
    time: i64,
}

/// The errors of deliveries.
#[derive(Clone, Default)]
struct Deliveries(Arc<std::sync::Mutex<Vec<KafkaError>>>);

impl rdkafka::ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0.lock().unwrap().push(error.clone());
        }
    }
}

impl Producer for Foreign<'_> {
    fn publish(&mut self, output: &Output) -> Result<(), LogError> {
        let deliveries = Deliveries::default();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.services.kafka);
        let producer = BaseProducer::from_config_and_context(&config, deliveries.clone()).unwrap();
        for record in output.records() {
            let topic = format!("{}.{}", self.namespace, record.topic.name);
            let sent = BaseRecord::<[u8], [u8]>::to(&topic).partition(record.partition).key(record.key);
            let sent = sent.timestamp(self.time).payload(record.value.unwrap());
            producer.send(sent).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(30)).unwrap();
        let errors = deliveries.0.lock().unwrap();
        errors.first().map_or(Ok(()), |error| Err(LogError::fatal(format!("{:?}", error.rdkafka_error_code()))))
    }
}

fn codec(services: &Services, namespace: &str) -> Codec {
    let registry = ConfluentRegistry::connect(ConfluentSettings::new(&services.registry)).unwrap();
    let builder = CodecBuilder::new(Arc::new(registry)).namespace(&format!("{namespace}."));
    builder.topics(DECLARATION.topics()).build().unwrap()
}

/// The texts of all alerts about record times. A summary has only those that came after its batch began to look.
fn alerts(services: &Services, namespace: &str) -> Vec<String> {
    let codec = codec(services, namespace);
    let cluster = KafkaConfiguration::new(&services.kafka, namespace, "another");
    let reader = KafkaReader::open(&cluster, "esr").unwrap();
    let mut found = Vec::new();
    let read = reader.read_from(TopicPartition { topic: topics::EVENT.name, partition: 0 }, 0, &mut |record| {
        let framed = codec.open(record.value.unwrap()).unwrap();
        if let Ok(alert) = framed.read::<Alert>()
            && alert.code == "record-time"
        {
            found.push(alert.text);
        }
        Ok(())
    });
    read.unwrap();
    found
}

/// Writes one placement with this record time.
fn write(services: &Services, namespace: &str, time: i64, placement: Value) -> Result<(), String> {
    let codec = codec(services, namespace);
    let load = Load {
        codec: &codec,
        topics: Topics { posts: &topics::TIS_POST, placements: &topics::TIS_PLACEMENT, people: &topics::TIS_PERSON },
        deletions: Deletions { from_full_snapshots: true, refuse_percent: 5, refuse_count: 50, setting: "" },
        flow_partitions: 4,
        header: None,
        now: 0,
        known: &KnownLines::default(),
    };
    let world = World::empty();
    world.jsonl("placements", &[placement]);
    let snapshot = TisSnapshot::open(&world.path("tis")).unwrap();
    let mut producer = Foreign { services, namespace, time };
    load.run(&snapshot, &Held::default(), &mut producer).map(|_| ()).map_err(|error| error.to_string())
}

/// Lets the broker take records from the future, as with an old setting.
fn accept_any_time(services: &Services, topic: &str) {
    let mut config = ClientConfig::new();
    let admin: AdminClient<DefaultClientContext> = config.set("bootstrap.servers", &services.kafka).create().unwrap();
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic))
        .set("cleanup.policy", "compact")
        .set("message.timestamp.after.max.ms", "9223372036854775807");
    let answered = futures_executor::block_on(admin.alter_configs([&change], &AdminOptions::new())).unwrap();
    for result in answered {
        result.unwrap();
    }
}

fn of_person(id: i64) -> Value {
    let mut person = person(id, "Testcase");
    person["gmcDetails"]["gmcNumber"] = format!("70000{id}").into();
    person
}

#[test]
fn f08_a_record_time_that_cannot_be_right_gives_the_date_of_the_run_and_one_alert() {
    let Some(services) = Services::found() else { return };
    let mut world = World::empty();
    let namespace = join_namespace(&mut world, &services, "");
    let mut apply = Command::new(env!("CARGO_BIN_EXE_tributary"));
    apply.args(["topics", "apply", "--kafka", &services.kafka, "--registry", &services.registry]);
    let applied = answer(apply.args(["--namespace", &namespace, "--partitions", "4"]));
    assert_eq!(applied.code, 0, "{applied:?}");
    world.file(FULL_FILE, &[&position(7_000_001, "", POST_NUMBER)]);
    world.jsonl("posts", &[post(1, POST_NUMBER)]);
    world.jsonl("people", &[of_person(11), of_person(12), of_person(13)]);
    let now = Timestamp::now();
    let first = world.once(&now.to_string(), &[]).document();
    assert_eq!(first["offices"]["EOE"]["matched"], 1);

    let today = now.in_tz("Europe/London").unwrap().date();
    let day = |days: i64| (today + days.days()).to_string();
    let of = |id: i64| placement(100 + id, 10 + id, &day(30 + id), &day(200));
    let refused = write(&services, &namespace, FAR_AHEAD, of(2)).unwrap_err();
    let code = format!("{:?}", RDKafkaErrorCode::InvalidTimestamp);
    assert!(refused.contains(&code), "the broker's own setting refuses it: {refused}");
    accept_any_time(&services, &format!("{namespace}.tis.placement"));
    // librdkafka takes 0 for no time at all.
    for (id, time) in [(1, 1), (2, FAR_AHEAD), (3, now.as_microsecond())] {
        write(&services, &namespace, time, of(id)).unwrap();
    }
    let second = world.once(&(now + 1.minutes()).to_string(), &[]).document();
    let named = alerts(&services, &namespace);
    for (time, how) in [(1, "more than 400 days ago"), (FAR_AHEAD, "more than a day ahead")] {
        let of_time = |alert: &&String| alert.contains(&format!("record time {time} ")) && alert.contains(how);
        assert_eq!(named.iter().filter(of_time).count(), 1, "{named:?}");
    }
    for id in [101, 102, 103] {
        assert_eq!(status_of(&second, id).as_deref(), Some("EXPORTED"), "{second}");
    }
    let files = names_of(&world, "APP");
    let rows = world.outgoing(&files[files.len() - 1]);
    let applicants: Vec<&String> = rows.iter().filter(|row| row.starts_with("APP")).collect();
    assert_eq!(applicants.len(), 3, "{rows:?}");
    let effective = today.strftime("%Y%m%d").to_string();
    assert!(applicants.iter().all(|row| row.contains(&effective)), "{effective}: {applicants:?}");

    // The next one of a kind in its partition has no alert.
    let changed = placement(102, 12, &day(33), &day(201));
    write(&services, &namespace, FAR_AHEAD + 1, changed).unwrap();
    assert_eq!(world.once(&(now + 2.minutes()).to_string(), &[]).code, 0);
    assert_eq!(alerts(&services, &namespace), named);
}
