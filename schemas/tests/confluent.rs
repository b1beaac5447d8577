//! The client of a Confluent-compatible registry: answers, failures and retries of a scripted server, and a complete
//! run with a real registry when `TRIBUTARY_REGISTRY` names one.

#![allow(clippy::unwrap_used, reason = "a test states what must hold")]

mod changes;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tributary_schemas::records::esr::ExportRun;
use tributary_schemas::records::tributary::Clock;
use tributary_schemas::registry::{Compatibility, LevelChange};
use tributary_schemas::{CodecBuilder, ConfluentRegistry, ConfluentSettings, RecordType, Registry, RegistryError};

const SCHEMA: &str = r#"{"type":"record","name":"Sample","namespace":"test","fields":[{"name":"id","type":"long"}]}"#;

/// Answers requests one by one, each on its own connection, and sends their first lines and bodies to the receiver.
fn scripted(answers: Vec<(u16, &'static str)>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        for (status, body) in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(&stream);
            let mut first = String::new();
            reader.read_line(&mut first).unwrap();
            let mut length = 0;
            loop {
                let mut header = String::new();
                reader.read_line(&mut header).unwrap();
                if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if header.trim().is_empty() {
                    break;
                }
            }
            let mut sent = vec![0; length];
            reader.read_exact(&mut sent).unwrap();
            sender.send(format!("{} {}", first.trim(), String::from_utf8(sent).unwrap())).unwrap();
            let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n");
            write!(&stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
        }
    });
    (url, requests)
}

fn registry(url: &str) -> ConfluentRegistry {
    let first_pause = Duration::from_millis(1);
    let settings =
        ConfluentSettings { attempts: 3, first_pause, timeout: Duration::from_secs(2), ..ConfluentSettings::new(url) };
    ConfluentRegistry::connect(settings).unwrap()
}

#[test]
fn registering_sends_the_schema_and_gives_the_id() {
    let (url, requests) = scripted(vec![(200, r#"{"id": 17}"#)]);
    assert_eq!(registry(&url).register("esr.a-test.Sample", SCHEMA).unwrap(), 17);
    let request = requests.recv().unwrap();
    assert!(request.starts_with("POST /subjects/esr.a-test.Sample/versions"), "{request}");
    let body: serde_json::Value = serde_json::from_str(&request[request.find('{').unwrap()..]).unwrap();
    assert_eq!(body["schema"], SCHEMA);
}

#[test]
fn a_failing_server_is_tried_again() {
    let (url, requests) = scripted(vec![(503, "{}"), (500, "not json"), (200, r#"{"id": 3}"#)]);
    assert_eq!(registry(&url).register("s", SCHEMA).unwrap(), 3);
    assert_eq!(requests.iter().count(), 3);
}

#[test]
fn a_server_that_keeps_failing_is_unavailable() {
    let (url, _requests) = scripted(vec![(503, "{}"), (503, "{}"), (503, "{}")]);
    let error = registry(&url).register("s", SCHEMA).unwrap_err();
    assert!(matches!(error, RegistryError::Unavailable { attempts: 3, .. }) && error.is_transient(), "{error}");
    assert!(error.to_string().contains(&url), "{error}");
}

#[test]
fn a_server_that_is_not_there_is_unavailable() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = registry(&format!("http://127.0.0.1:{port}")).schema(1).unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(error.to_string().contains("refused"), "the cause is named: {error}");
}

#[test]
fn not_found_is_an_answer() {
    let (url, requests) = scripted(vec![
        (404, r#"{"error_code": 40403, "message": "Schema not found"}"#),
        (404, r#"{"error_code": 40401, "message": "Subject not found"}"#),
    ]);
    let registry = registry(&url);
    assert_eq!(registry.schema(5).unwrap(), None);
    registry.check_compatible("s", SCHEMA).unwrap();
    assert_eq!(requests.iter().count(), 2);
}

#[test]
fn an_incompatible_schema_is_refused_with_the_reason() {
    let answer = r#"{"error_code": 409, "message": "reader type: STRING not compatible with writer type: LONG"}"#;
    let (url, _requests) = scripted(vec![(409, answer), (200, r#"{"is_compatible": false}"#)]);
    let registry = registry(&url);
    let error = registry.register("esr.a-test.Sample", SCHEMA).unwrap_err();
    assert!(matches!(error, RegistryError::Incompatible { .. }), "{error}");
    assert!(error.to_string().contains("esr.a-test.Sample") && error.to_string().contains("LONG"), "{error}");
    let error = registry.check_compatible("esr.a-test.Sample", SCHEMA).unwrap_err();
    assert!(matches!(error, RegistryError::Incompatible { .. }), "{error}");
}

#[test]
fn a_refusal_is_not_tried_again() {
    let (url, requests) = scripted(vec![(401, r#"{"error_code": 401, "message": "who are you"}"#)]);
    let error = registry(&url).register("s", SCHEMA).unwrap_err();
    assert!(matches!(error, RegistryError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("who are you"), "{error}");
    assert_eq!(requests.iter().count(), 1);
}

#[test]
fn references_of_a_schema_come_with_it() {
    let (url, requests) = scripted(vec![
        (
            200,
            r#"{"schema": "{\"type\": \"a\"}", "references": [{"name": "b", "subject": "b-subject", "version": 2}]}"#,
        ),
        (200, r#"{"id": 8, "version": 2, "subject": "b-subject", "schema": "\"b\""}"#),
    ]);
    let schema = registry(&url).schema(9).unwrap().unwrap();
    assert_eq!(schema.json, r#"{"type": "a"}"#);
    assert_eq!(schema.references, ["\"b\""]);
    assert!(requests.iter().last().unwrap().contains("/subjects/b-subject/versions/2"));
}

#[test]
fn a_url_that_is_none_is_refused_at_once() {
    for url in ["localhost:8081", ""] {
        assert!(ConfluentRegistry::connect(ConfluentSettings::new(url)).is_err());
    }
}

#[tokio::test]
async fn it_may_be_used_and_dropped_on_a_thread_of_another_runtime() {
    let (url, _requests) = scripted(vec![(200, r#"{"id": 17}"#)]);
    let registry = registry(&url);
    assert_eq!(registry.register("s", SCHEMA).unwrap(), 17);
    drop(registry);
}

#[test]
fn credentials_are_not_shown() {
    let mut settings = ConfluentSettings::new("http://localhost");
    settings.basic_credentials = Some(("someone".to_owned(), "hidden-word".to_owned()));
    settings.token = Some("hidden-word".to_owned());
    let registry = ConfluentRegistry::connect(settings.clone()).unwrap();
    assert!(!format!("{settings:?} {registry:?}").contains("hidden-word"));
}

#[test]
fn a_real_registry_serves_the_codec() {
    let Some(url) = tributary_harness::registry() else { return };
    let registry: Arc<dyn Registry> = Arc::new(registry(&url));
    let namespace = format!("{}.", tributary_harness::fresh_namespace("schemas-test"));
    let builder = || {
        CodecBuilder::new(Arc::clone(&registry))
            .namespace(&namespace)
            .topic("a", &RecordType::ALL)
            .topic("b", &[RecordType::TributaryClock])
    };
    let codec = builder().build().unwrap();
    let looked_up = builder().build().unwrap();
    let mut value = Vec::new();
    let (office, file_name) = ("EOE".parse().unwrap(), "DE_EOE_APP_20261121_00000012.DAT".parse().unwrap());
    codec.encode(&ExportRun { run: 12, ..ExportRun::of(office, file_name) }, &mut value).unwrap();
    assert_eq!(looked_up.open(&value).unwrap().read::<ExportRun>().unwrap().run, 12);
    let id = codec.open(&value).unwrap().schema_id();
    // A reader that knows only another topic fetches the schema by its id.
    let other =
        CodecBuilder::new(Arc::clone(&registry)).namespace(&namespace).topic("c", &[RecordType::TributaryClock]);
    let other = other.build().unwrap();
    assert_eq!(other.open(&value).unwrap().read::<ExportRun>().unwrap().run, 12);
    assert!(matches!(other.open(&value).unwrap().body().unwrap(), std::borrow::Cow::Borrowed(_)), "same schema");
    assert!(registry.schema(id).unwrap().is_some());
    assert_eq!(registry.schema(987_654_321).unwrap(), None);
    let mut clock = Vec::new();
    other.encode(&Clock { now: 5, ..Clock::default() }, &mut clock).unwrap();
    assert_eq!(codec.open(&clock).unwrap().read::<Clock>().unwrap().now, 5);
    let subject = format!("{namespace}b-tributary.Clock");
    registry.check_compatible(&subject, RecordType::TributaryClock.schema_json()).unwrap();
}

/// Registers `old` under a new subject of level `FULL_TRANSITIVE`, and asks whether `new` may follow.
fn registry_accepts(url: &str, subject: &str, old: &str, new: &str) -> bool {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let levels = Compatibility::new(url, runtime.handle().clone()).unwrap();
    levels.apply(&[LevelChange { subject: subject.to_owned(), from: String::new() }]).unwrap();
    let registry = registry(url);
    registry.register(subject, old).unwrap();
    let answer = registry.check_compatible(subject, new);
    let registered = registry.register(subject, new);
    match (answer, registered) {
        (Ok(()), Ok(_)) => true,
        (_, Err(RegistryError::Incompatible { .. } | RegistryError::Refused { .. })) => false,
        other => panic!("{subject}: the registry contradicts itself: {other:?}"),
    }
}

#[test]
fn a_real_registry_has_the_verdicts_of_our_check() {
    let Some(url) = tributary_harness::registry() else { return };
    let namespace = tributary_harness::fresh_namespace("schemas-check");
    let before = changes::contract(&[]).records()[changes::RECORD].clone();
    let mut wrong = Vec::new();
    for (index, change) in changes::ALLOWED.iter().chain(changes::FORBIDDEN).enumerate() {
        let after = changes::contract(change.edits).records()[changes::RECORD].clone();
        let accepted = registry_accepts(&url, &format!("{namespace}.{index}"), &before, &after);
        if accepted == changes::is_refused_by_avro(change) {
            wrong.push(format!("{}: the registry accepts it: {accepted}", change.name));
        }
    }
    for (index, (old, new, problems)) in changes::OF_OTHERS.iter().enumerate() {
        let (old, new) = (changes::record_with(old), changes::record_with(new));
        let accepted = registry_accepts(&url, &format!("{namespace}.other-{index}"), &old, &new);
        if accepted != problems.is_empty() {
            wrong.push(format!("{old} {new}: the registry accepts it: {accepted}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
