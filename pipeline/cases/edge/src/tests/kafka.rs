//! Commands from topics of origin systems, and notifications to topics of clients, on the memory log.

use std::time::Duration;

use serde_json::json;
use tributary_cases::topics;
use tributary_runtime::{Headers, Output, Producer as _, Topic, append_header, dead_letter_header};
use tributary_schemas::records::cases::{CaseState, Notification};
use tributary_schemas::records::dis::DeleteCaseCommand;

use super::world::{CONFIGURATION, World};
use super::{CASE, URI};
use crate::settings::EdgeSettings;
use tributary_flow::configuration::Source;

/// Two clients more, on Kafka. One has no topic.
fn on_kafka() -> String {
    let client = |name: &str| {
        format!("[cases.clients.{name}]\nclient_id = \"{name}-id\"\nchannel = \"kafka\"\nsees = [\"esdh-a\"]\n")
    };
    format!("{CONFIGURATION}{}{}", client("forbidden"), client("journal-2"))
}

fn header(name: &str, value: &str) -> Vec<u8> {
    let mut headers = Vec::new();
    append_header(&mut headers, name, value.as_bytes());
    headers
}

impl World {
    /// An origin system sends a record.
    fn produce(&self, topic: &'static Topic, headers: &[u8], value: &[u8]) {
        let mut output = Output::new(3);
        output.inherit(jiff::Timestamp::now().as_millisecond(), Headers::from_bytes(headers));
        output.send(topic, CASE.as_bytes(), |buffer| buffer.extend_from_slice(value));
        self.site.broker.producer("an origin system").publish(&output).unwrap();
    }

    fn create(&self, headers: &[u8]) {
        let body = json!({"caseId": CASE, "created": "2026-11-20T10:00:00Z", "caseDetailsUri": URI});
        self.produce(&topics::CREATE_COMMANDS, headers, body.to_string().as_bytes());
    }

    fn delete(&self, headers: &[u8]) {
        let command = DeleteCaseCommand { case_id: CASE.to_owned(), ..DeleteCaseCommand::default() };
        let mut value = Vec::new();
        self.site.codec.encode(&command, &mut value).unwrap();
        self.produce(&topics::DELETE_COMMANDS, headers, &value);
    }

    /// Code and credentials of all dead letters.
    fn refused(&self) -> Vec<(String, Option<String>)> {
        let records = (0..3).flat_map(|partition| self.site.broker.read_committed(topics::DEAD_LETTER.name, partition));
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let told = records.map(|record| {
            let headers = record.headers();
            let code = headers.get(dead_letter_header::CODE).map(text).unwrap_or_default();
            (code, headers.get("authorization").map(text))
        });
        told.collect()
    }

    fn states(&self) -> Vec<Option<CaseState>> {
        let records = (0..3).flat_map(|partition| self.site.broker.read_committed(topics::STATE.name, partition));
        records.map(|record| record.value.map(|value| self.site.codec.open(&value).unwrap().read().unwrap())).collect()
    }

    /// The types that the topic of a client tells, and the headers of the last one.
    fn told(&self, client: &str) -> (Vec<i32>, Vec<(String, String)>) {
        let records = self.site.broker.read_committed(&format!("dis_notifications_{client}"), 0);
        let type_of = |value: &[u8]| {
            let notification: Notification = self.site.codec.open(value).unwrap().read().unwrap();
            notification.notification_type.number()
        };
        let types = records.iter().map(|record| type_of(record.value.as_ref().unwrap())).collect();
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = records.last().map(|last| {
            assert_eq!(last.key, CASE.as_bytes());
            last.headers().iter().map(|(name, value)| (name.to_owned(), text(value))).collect()
        });
        (types, headers.unwrap_or_default())
    }

    /// Waits while this process leads.
    async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        for _ in 0..1500 {
            if is_so() {
                return;
            }
            self.lead();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not so after a long time: {what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_on_kafka_are_those_of_the_origin_whose_token_they_carry() {
    let world = World::shared(CONFIGURATION);
    world.filled().await;
    for token in ["bad", "good nobody", "good journal-id"] {
        world.create(&header("authorization", token));
    }
    world.create(&[]);
    world.until("four are refused", || world.refused().len() == 4).await;
    let refused = world.refused();
    let codes: Vec<&str> = refused.iter().map(|(code, _)| code.as_str()).collect();
    assert_eq!(codes, ["Unauthenticated", "UnknownClient", "NotAnOrigin", "Unauthenticated"]);
    let shown: Vec<Option<&str>> = refused.iter().map(|(_, token)| token.as_deref()).collect();
    assert_eq!(shown, [Some("***"), Some("***"), Some("***"), None]);
    world.create(&header("authorization", "good esdh-a-id"));
    world.until("the case is there", || world.states().len() == 1).await;
    assert_eq!(world.states()[0].as_ref().unwrap().origin_system.as_str(), "esdh-a");
    world.delete(&header("authorization", "good esdh-a-id"));
    world.until("the case is gone", || world.states().last() == Some(&None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_issuer_is_away_commands_wait_and_are_no_dead_letters() {
    let world = World::shared(CONFIGURATION);
    world.filled().await;
    world.create(&header("authorization", "away"));
    world.delete(&header("authorization", "bad"));
    world.until("the other one is refused", || !world.refused().is_empty()).await;
    assert_eq!(world.refused().len(), 1);
    assert!(world.states().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_header_names_the_origin() {
    let world = World::shared(&format!("{CONFIGURATION}[cases.kafka]\nsender = \"header\"\n"));
    world.filled().await;
    world.create(&header("origin", "ESDH-A"));
    world.create(&header("authorization", "good esdh-a-id"));
    world.until("one is refused", || !world.refused().is_empty()).await;
    world.until("the case is there", || world.states().len() == 1).await;
    assert_eq!(world.refused()[0].0, "Unauthenticated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_on_kafka_is_told_once_each_also_by_a_process_that_takes_over() {
    let world = World::shared(&on_kafka());
    world.filled().await;
    let create = json!({"caseId": CASE, "created": "2026-11-20T10:00:00Z", "caseDetailsUri": URI,
        "eventTime": "2026-11-20T10:00:00Z"});
    assert_eq!(world.command("esdh-a-id", "CreateCase", create).await.status, 200);
    world.until("it is told", || !world.told("journal-2").0.is_empty()).await;
    let (types, headers) = world.told("journal-2");
    assert_eq!(types, [0]);
    let header = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!(header("ce_type"), Some("dk.egdw.dis.case.created.v1"));
    assert_eq!((header("ce_subject"), header("ce_specversion")), (Some(CASE), Some("1.0")));
    assert_eq!((header("ce_source"), header("ce_time")), (Some("/dis/origins/esdh-a"), Some("2026-11-20T10:00:00Z")));
    assert_eq!(header("content-type"), Some("application/avro"));

    let other = world.take_over();
    let update = json!({"caseId": CASE, "updated": "2026-11-20T11:00:00Z"});
    assert_eq!(world.command("esdh-a-id", "UpdateCase", update).await.status, 200);
    assert_eq!(world.command("esdh-a-id", "CloseCase", json!({"caseId": CASE})).await.status, 200);
    world.until("all is told", || world.told("journal-2").0.len() >= 3).await;
    drop(other);
    assert_eq!(world.command("esdh-a-id", "DeleteCase", json!({"caseId": CASE})).await.status, 200);
    world.until("the end is told", || world.told("journal-2").0.len() >= 4).await;
    assert_eq!(world.told("journal-2").0, [0, 1, 2, 3]);
    let mut acknowledged = 0;
    for _ in 0..500 {
        acknowledged = world.get("journal-2-id", "/api/Notifications").await.body["acknowledged"].as_i64().unwrap();
        if acknowledged == 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((acknowledged, world.refused()), (4, Vec::new()), "what is copied is acknowledged");
    assert_eq!(world.get("forbidden-id", "/api/Notifications").await.body["acknowledged"], 0);
}

#[test]
fn a_client_on_kafka_needs_kafka() {
    let settings = EdgeSettings::load(Some(&Source::new("dis.toml", on_kafka()))).unwrap();
    let refused = settings.needs_kafka.unwrap();
    assert!(refused.line > 10 && refused.problem.starts_with("NoKafka: forbidden"), "{refused}");
}
