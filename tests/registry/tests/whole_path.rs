//! One lookup from the number to the fields, over the memory log, with real keys and real SOAP. The stand-in register
//! reads the request as text and shares nothing with the caller.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tributary_flow::configuration::Source;
use tributary_registry::call_answer::{Asked, HttpAnswer, Outcome, Received};
use tributary_registry::call_request::CallRequest;
use tributary_registry::caller::{Caller, answer_of, number_of};
use tributary_registry::configuration::{Kind, RegistrySettings};
use tributary_registry::context::Context;
use tributary_registry::declaration::{DECLARATION, processor};
use tributary_registry::number::Number;
use tributary_registry::row_key::RowKey;
use tributary_registry::sealing::{KeyRing, LookupKey, Part, Sealed, Sealer};
use tributary_registry::topics;
use tributary_runtime::conformance::{SimulatedWorkers, without_time};
use tributary_runtime::memory::{Broker, BrokerConfig, SimulationRng};
use tributary_runtime::{Headers, Output, Producer as _, Topic};
use tributary_schemas::records::registry::{CommandAction, JobCommand, JobRow, JobStatus, LookupRequest};
use tributary_schemas::types::registry::{CallId, RowId, RunId, UserId};
use tributary_schemas::{AvroRecord, Codec, CodecBuilder, LocalRegistry};

const NOW: i64 = 1_800_000_000_000;
const PARTITIONS: i32 = 3;

/// The invented person.
const NUMBER: &str = "19910824-00026";
const NAME: &str = "Вигадана";

struct World {
    broker: Broker,
    codec: Codec,
    settings: Arc<RegistrySettings>,
    kind: Kind,
    workers: SimulatedWorkers,
    rng: SimulationRng,
    lookup: LookupKey,
    caller: Caller,
}

fn key_line(id: &str, byte: u8) -> String {
    format!("{id} {}\n", STANDARD.encode([byte; 32]))
}

fn ring(lines: &[String]) -> KeyRing {
    let count = AtomicU64::new(0);
    KeyRing::read(&lines.concat(), move || {
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&count.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        nonce
    })
    .unwrap()
}

impl World {
    fn new(soap: &str) -> Self {
        let text = format!("[registry.job.unzr]\nservice = {{ member_code = \"00000001\", soap = \"{soap}\" }}\n");
        let settings = Arc::new(RegistrySettings::load(Some(&Source::new("test", text))).unwrap());
        let kind = settings.kind(&"unzr".parse().unwrap()).unwrap().clone();
        let broker = Broker::new(BrokerConfig::like_kafka());
        let topics: Vec<&'static Topic> = DECLARATION.topics().into_iter().chain([kind.call_topic]).collect();
        broker.create_topics(&topics, PARTITIONS);
        let codec = CodecBuilder::new(Arc::new(LocalRegistry::in_memory())).topics(DECLARATION.topics());
        let codec = codec.build().unwrap();
        let context = Context::new(codec.clone(), Arc::clone(&settings));
        let make = move |stage, _| processor(context.clone(), stage);
        let topology = DECLARATION.groups[0].topology(DECLARATION.dead_letters, PARTITIONS, make);
        let workers = SimulatedWorkers::new(broker.clone(), Arc::new(topology), without_time(), 1);
        let lookup = LookupKey::read(&STANDARD.encode([9; 32])).unwrap();
        let caller = Caller::new(kind.calls);
        Self { broker, codec, settings, kind, workers, rng: SimulationRng::new(1), lookup, caller }
    }

    fn sealed(&self, row: RowKey, part: Part) -> Sealed<'_> {
        Sealed { kind: &self.kind.name, row, part }
    }

    fn send<R: AvroRecord>(&mut self, row: RowKey, record: &R) {
        let mut output = Output::new(PARTITIONS);
        output.inherit(NOW, Headers::default());
        let codec = &self.codec;
        output.send(&topics::JOB, row.to_string().as_bytes(), |buffer| codec.encode(record, buffer).unwrap());
        self.broker.producer("test").publish(&output).unwrap();
        self.workers.settle(&mut self.rng);
    }

    /// The records of a topic, newest last.
    fn records(&self, topic: &'static Topic) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let of = |partition| self.broker.read_committed(topic.name, partition);
        (0..PARTITIONS).flat_map(of).map(|record| (record.key, record.value)).collect()
    }

    fn row(&self) -> JobRow {
        let (_, value) = self.records(&topics::ROW).pop().unwrap();
        self.codec.open(&value.unwrap()).unwrap().read().unwrap()
    }

    fn ask(&mut self, ring: &KeyRing) -> RowKey {
        let number = Number::new(NUMBER);
        assert_eq!(self.kind.number.check_request(&number), Ok(()));
        let row = self.lookup.row(&self.kind.name, &number);
        let sealed = ring.seal(self.sealed(row, Part::Number), NUMBER.as_bytes()).unwrap();
        let ids = (RowId::from_bytes([1; 16]), RunId::from_bytes([2; 16]), UserId::from_bytes([4; 16]));
        let request = LookupRequest {
            now: NOW,
            number: sealed,
            ..LookupRequest::of(self.kind.name.clone(), ids.0, ids.1, ids.2)
        };
        self.send(row, &request);
        row
    }

    /// The caller makes the call that is open.
    fn call(&mut self, ring: &KeyRing, register: impl Fn(&str) -> HttpAnswer) -> Outcome {
        for (key, value) in self.records(self.kind.call_topic) {
            let call = value.map(|value| self.codec.open(&value).unwrap().read().unwrap());
            self.caller.note(RowKey::read(&key).unwrap(), 0, call);
        }
        let (name, call) = self.caller.begin(NOW).unwrap();
        let number = number_of(ring, name.row, &call).unwrap();
        let id = CallId::from_bytes([3; 16]);
        let trembita = &self.settings.trembita;
        let request = CallRequest { kind: &self.kind, trembita, number: &number, user: call.user, id };
        let received = Received::Answer(register(&request.body()));
        let outcome = Asked { kind: &self.kind, trembita, number: &number, id }.outcome(received);
        let answer = answer_of(ring, name.row, &call, (id, &outcome, NOW + 50)).unwrap();
        self.send(name.row, &answer);
        self.caller.ended(name, false, NOW + 50);
        outcome
    }

    /// Everything that was written, in one run of bytes.
    fn written(&self) -> Vec<u8> {
        let all = DECLARATION.topics().into_iter().chain([self.kind.call_topic]);
        let records = all.flat_map(|topic| self.records(topic));
        records.flat_map(|(key, value)| [key, value.unwrap_or_default()]).flatten().collect()
    }
}

/// The stand-in register: it repeats the headers, and knows one person.
fn register(request: &str) -> HttpAnswer {
    let (head, rest) = request.split_once("<soap:Body>").unwrap();
    let number = rest.split_once("<UNZR>").unwrap().1.split_once("</UNZR>").unwrap().0;
    assert_eq!((number, rest.matches('<').count()), (NUMBER, 6), "the number and nothing else");
    let person =
        format!("<firstName>{NAME}</firstName><documents><number>000000001</number></documents><rest>x</rest>");
    let body = format!("{head}<soap:Body><unzrResponse>{person}</unzrResponse></soap:Body></soap:Envelope>");
    HttpAnswer { status: 200, body: Some(body.into_bytes()), retry_after: None }
}

#[test]
fn a_number_becomes_a_call_an_answer_and_fields() {
    for soap in ["1.1", "1.2"] {
        let ring = ring(&[key_line("2026", 1)]);
        let mut world = World::new(soap);
        let row = world.ask(&ring);
        assert_eq!(world.row().status, JobStatus::Pending);
        assert!(matches!(world.call(&ring, register), Outcome::Found(_)));
        let kept = world.row();
        assert_eq!((kept.status, kept.synced_at), (JobStatus::Processed, Some(NOW + 50)));
        let info = ring.open(world.sealed(row, Part::Info), kept.info.as_deref().unwrap()).unwrap();
        let info: serde_json::Value = serde_json::from_slice(&info).unwrap();
        let mapped = world.kind.answer.map(&info);
        assert!(mapped.fields.contains(&("firstName", Some(NAME))) && mapped.fields.contains(&("gender", None)));
        assert!(mapped.lists[0].items[0].contains(&("number", Some("000000001"))));
        assert_eq!(info["rest"], "x", "the whole answer is kept");
        let number = ring.open(world.sealed(row, Part::Number), &kept.number).unwrap();
        assert_eq!(number.as_slice(), NUMBER.as_bytes());
        assert!(world.caller.begin(NOW).is_none(), "the call has ended");
    }
}

#[test]
fn no_personal_data_is_written_in_the_clear() {
    use sha2::Digest as _;

    let ring = ring(&[key_line("2026", 1)]);
    let mut world = World::new("1.2");
    world.ask(&ring);
    world.call(&ring, register);
    let written = world.written();
    assert!(written.len() > 1000);
    for secret in [NUMBER, NAME, "000000001"] {
        let hash = sha2::Sha256::digest(secret.as_bytes());
        let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let base64 = STANDARD.encode(secret);
        for form in [secret, base64.trim_end_matches('='), &hex(secret.as_bytes()), &hex(&hash), &STANDARD.encode(hash)]
        {
            let is_there = written.windows(form.len()).any(|part| part.eq_ignore_ascii_case(form.as_bytes()));
            assert!(!is_there, "a form of {} characters", form.len());
        }
        assert!(!written.windows(hash.len()).any(|part| part == hash.as_slice()));
    }
}

#[test]
fn rekey_rewrites_a_row_under_the_first_key() {
    let (old, new) = (key_line("2025", 1), key_line("2026", 2));
    let mut world = World::new("1.2");
    let before = ring(std::slice::from_ref(&old));
    let row = world.ask(&before);
    world.call(&before, register);
    let both = ring(&[new.clone(), old]);
    let kept = world.row();
    let anew = |part, sealed: &[u8]| {
        assert!(!both.is_current(sealed));
        let plain = both.open(world.sealed(row, part), sealed).unwrap();
        both.seal(world.sealed(row, part), &plain).unwrap()
    };
    let command = JobCommand {
        action: CommandAction::Rekey,
        now: NOW + 100,
        version: Some(kept.version),
        number: Some(anew(Part::Number, &kept.number)),
        info: kept.info.as_deref().map(|info| anew(Part::Info, info)),
        ..JobCommand::of(world.kind.name.clone(), UserId::from_bytes([9; 16]))
    };
    world.send(row, &command);
    let after = world.row();
    assert_eq!((after.updated_at, after.status), (kept.updated_at, kept.status));
    let only_new = ring(&[new]);
    let info = after.info.unwrap();
    assert!(only_new.open(world.sealed(row, Part::Info), &info).unwrap().starts_with(b"{"));
    assert!(only_new.open(world.sealed(row, Part::Number), &after.number).is_ok());
    assert!(before.open(world.sealed(row, Part::Number), &after.number).is_err());
}

#[test]
fn an_answer_to_another_call_is_not_taken() {
    let ring = ring(&[key_line("2026", 1)]);
    let mut world = World::new("1.2");
    world.ask(&ring);
    let other = |request: &str| {
        let right = CallId::from_bytes([3; 16]).to_string();
        let wrong = CallId::from_bytes([5; 16]).to_string();
        register(&request.replace(&right, &wrong))
    };
    let Outcome::Failed(failure) = world.call(&ring, other) else { panic!("it was taken") };
    assert_eq!(failure.code.as_str(), "id");
    let row = world.row();
    assert_eq!((row.status, row.info), (JobStatus::Pending, None), "it is asked for once more");
}
