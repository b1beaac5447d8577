//! Framing, schema evolution and failures of the codec, as a reader of topics sees them.

#![allow(clippy::unwrap_used, reason = "a test states what must hold")]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use serde_json::{Value, json};
use tributary_runtime::ProcessError;
use tributary_schemas::Date;
use tributary_schemas::records::esr::{ExportRun, FileKind};
use tributary_schemas::records::tis::Post;
use tributary_schemas::records::tributary::Clock;
use tributary_schemas::registry::RegisteredSchema;
use tributary_schemas::{
    AvroRecord, Codec, CodecBuilder, DecodeError, EncodeError, LocalRegistry, RecordType, Registry, RegistryError,
};

const TOPIC: &str = "esr.test";

/// A registry that also holds schemas of strangers, counts requests for schemas, and can be down.
#[derive(Debug)]
struct TestRegistry {
    own: LocalRegistry,
    strangers: Mutex<BTreeMap<u32, RegisteredSchema>>,
    asked: AtomicUsize,
    is_down: AtomicBool,
}

impl TestRegistry {
    fn new() -> Arc<Self> {
        let (own, strangers) = (LocalRegistry::in_memory(), Mutex::default());
        Arc::new(Self { own, strangers, asked: AtomicUsize::new(0), is_down: AtomicBool::new(false) })
    }

    fn add(&self, id: u32, json: String, references: Vec<String>) {
        self.strangers.lock().unwrap().insert(id, RegisteredSchema { json, references });
    }
}

impl Registry for TestRegistry {
    fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        self.own.register(subject, schema)
    }

    fn lookup(&self, subject: &str, schema: &str) -> Result<Option<u32>, RegistryError> {
        self.own.lookup(subject, schema)
    }

    fn schema(&self, id: u32) -> Result<Option<RegisteredSchema>, RegistryError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.is_down.load(Ordering::Relaxed) {
            let (location, reason) = ("test".to_owned(), "connection refused".to_owned());
            return Err(RegistryError::Unavailable { location, attempts: 1, reason });
        }
        Ok(self.strangers.lock().unwrap().get(&id).cloned())
    }

    fn check_compatible(&self, subject: &str, schema: &str) -> Result<(), RegistryError> {
        self.own.check_compatible(subject, schema)
    }

    fn location(&self) -> String {
        "test".to_owned()
    }
}

fn codec(registry: &Arc<TestRegistry>) -> Codec {
    let registry: Arc<dyn Registry> = registry.clone();
    CodecBuilder::new(registry).topic(TOPIC, &[RecordType::EsrExportRun, RecordType::TributaryClock]).build().unwrap()
}

fn run() -> ExportRun {
    ExportRun {
        run: 7,
        kind: FileKind::from_symbol("APP").unwrap(),
        office: "EOE".parse().unwrap(),
        file_name: "DE_EOE_APP_20261121_00000007.DAT".parse().unwrap(),
        number: 7,
        now: 1_795_000_000_000,
        today: Date(20_778),
        previous_run: Some(-3),
        include_late: true,
    }
}

fn todays_schema() -> Value {
    serde_json::from_str(RecordType::EsrExportRun.schema_json()).unwrap()
}

fn fields(schema: &mut Value) -> &mut Vec<Value> {
    schema["fields"].as_array_mut().unwrap()
}

/// The body of a record under today's schema.
fn body(codec: &Codec, record: &ExportRun) -> Vec<u8> {
    let mut value = Vec::new();
    codec.encode(record, &mut value).unwrap();
    value.split_off(5)
}

fn value(id: u32, body: &[u8]) -> Vec<u8> {
    [&[0], id.to_be_bytes().as_slice(), body].concat()
}

/// A body that apache-avro writes under `schema`: the record, with a text in the field `remark` if there is such a
/// field.
fn body_under(schema: &Value, record: &ExportRun) -> Vec<u8> {
    use apache_avro::{Schema, reader::datum::GenericDatumReader, types, writer::datum::GenericDatumWriter};
    let todays = Schema::parse_str(RecordType::EsrExportRun.schema_json()).unwrap();
    let mut body = Vec::new();
    record.encode(&mut body);
    let value = GenericDatumReader::builder(&todays).build().unwrap().read_value(&mut body.as_slice()).unwrap();
    let types::Value::Record(mut fields) = value else { panic!("{value:?} is not a record") };
    fields.push(("remark".to_owned(), types::Value::String("new".to_owned())));
    let schema = Schema::parse_str(&schema.to_string()).unwrap();
    let value = types::Value::Record(fields).resolve(&schema).unwrap();
    GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(value).unwrap()
}

#[test]
fn a_value_is_a_zero_byte_the_schema_id_and_the_body() {
    let codec = codec(&TestRegistry::new());
    let mut value = Vec::new();
    codec.encode(&Clock::default(), &mut value).unwrap();
    assert_eq!(value[..5], [0, 0, 0, 0, 2], "the clock is the second record on the topic");
    let framed = codec.open(&value).unwrap();
    assert_eq!((framed.record_type(), framed.schema_id()), (RecordType::TributaryClock, 2));
    assert_eq!(framed.read::<Clock>().unwrap(), Clock::default());
    assert!(matches!(framed.body().unwrap(), Cow::Borrowed(_)));
}

#[test]
fn an_older_schema_without_an_optional_field_is_read() {
    let registry = TestRegistry::new();
    let mut older = todays_schema();
    fields(&mut older).retain(|field| field["name"] != "previousRun");
    registry.add(40, older.to_string(), Vec::new());
    let value = value(40, &body_under(&older, &run()));
    let read: ExportRun = codec(&registry).open(&value).unwrap().read().unwrap();
    assert_eq!(read, ExportRun { previous_run: None, ..run() });
}

#[test]
fn a_newer_schema_with_another_order_and_one_more_field_is_read() {
    let registry = TestRegistry::new();
    let mut newer = todays_schema();
    fields(&mut newer).reverse();
    fields(&mut newer).insert(2, json!({"name": "remark", "type": "string", "default": ""}));
    registry.add(41, newer.to_string(), Vec::new());
    let codec = codec(&registry);
    let value = value(41, &body_under(&newer, &run()));
    for _ in 0..3 {
        let framed = codec.open(&value).unwrap();
        assert_eq!(framed.read::<ExportRun>().unwrap(), run());
        assert_eq!(framed.body().unwrap(), body(&codec, &run()));
    }
    assert_eq!(registry.asked.load(Ordering::Relaxed), 1, "a schema is fetched once");
}

#[test]
fn todays_schema_under_another_id_is_read_without_conversion() {
    let registry = TestRegistry::new();
    let mut without_docs = todays_schema();
    without_docs.as_object_mut().unwrap().remove("doc");
    registry.add(42, format!("{without_docs:#}"), Vec::new());
    let codec = codec(&registry);
    let value = value(42, &body(&codec, &run()));
    let framed = codec.open(&value).unwrap();
    assert!(matches!(framed.body().unwrap(), Cow::Borrowed(_)));
    assert_eq!(framed.read::<ExportRun>().unwrap(), run());
}

#[test]
fn a_schema_with_references_is_read() {
    let registry = TestRegistry::new();
    let mut schema = todays_schema();
    let mut kind = Value::Null;
    for field in fields(&mut schema) {
        if field["name"] == "kind" {
            kind = std::mem::replace(&mut field["type"], json!("esr.FileKind"));
        }
    }
    assert_eq!(kind["name"], "FileKind");
    registry.add(43, schema.to_string(), vec![kind.to_string()]);
    let codec = codec(&registry);
    let value = value(43, &body(&codec, &run()));
    assert_eq!(codec.open(&value).unwrap().read::<ExportRun>().unwrap(), run());
}

#[test]
fn an_unknown_id_is_named_with_the_topic_and_its_records() {
    let registry = TestRegistry::new();
    let error = codec(&registry).open(&value(99, &[])).unwrap_err();
    let text = error.to_string();
    for part in ["99", TOPIC, "esr.ExportRun", "tributary.Clock", "Register"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(matches!(ProcessError::from(error), ProcessError::DeadLetter { code: "unknown-schema", .. }));
}

#[test]
fn an_unknown_id_is_not_asked_for_again_and_again() {
    let registry = TestRegistry::new();
    let codec = codec(&registry);
    for _ in 0..50 {
        codec.open(&value(99, &[])).unwrap_err();
    }
    assert_eq!(registry.asked.load(Ordering::Relaxed), 1);
}

#[test]
fn unreadable_schemas_are_named_with_the_reason() {
    let registry = TestRegistry::new();
    let mut renamed = todays_schema();
    renamed["name"] = json!("Stranger");
    registry.add(50, renamed.to_string(), Vec::new());
    let mut retyped = todays_schema();
    fields(&mut retyped)[0]["type"] = json!("boolean");
    registry.add(51, retyped.to_string(), Vec::new());
    registry.add(52, "\"long\"".to_owned(), Vec::new());
    registry.add(53, "not json".to_owned(), Vec::new());
    let codec = codec(&registry);
    for (id, part) in [(50, "esr.Stranger"), (51, "esr.ExportRun"), (52, "no name"), (53, "JSON")] {
        let error = codec.open(&value(id, &[])).unwrap_err();
        assert!(matches!(error, DecodeError::Unresolvable { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&id.to_string()) && text.contains(part), "{text}");
    }
}

#[test]
fn a_registry_that_is_down_is_asked_again() {
    let registry = TestRegistry::new();
    let mut older = todays_schema();
    fields(&mut older).retain(|field| field["name"] != "previousRun");
    registry.add(40, older.to_string(), Vec::new());
    registry.is_down.store(true, Ordering::Relaxed);
    let codec = codec(&registry);
    let value = value(40, &body_under(&older, &run()));
    let error = codec.open(&value).unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(matches!(ProcessError::from(error), ProcessError::Retry(_)));
    registry.is_down.store(false, Ordering::Relaxed);
    assert!(codec.open(&value).is_ok());
}

#[test]
fn values_without_a_frame_are_refused() {
    let codec = codec(&TestRegistry::new());
    for bytes in [b"".as_slice(), &[0, 0, 0, 0], &[1, 0, 0, 0, 1], b"{\"json\": true}"] {
        let error = codec.open(bytes).unwrap_err();
        assert!(matches!(error, DecodeError::NotFramed { length, .. } if length == bytes.len()), "{error}");
    }
}

#[test]
fn another_record_and_a_damaged_body_are_refused() {
    let codec = codec(&TestRegistry::new());
    let mut value = Vec::new();
    codec.encode(&run(), &mut value).unwrap();
    let error = codec.open(&value).unwrap().read::<Clock>().unwrap_err();
    assert!(matches!(error, DecodeError::OtherRecord { found: RecordType::EsrExportRun, .. }), "{error}");
    value.push(0);
    let error = codec.open(&value).unwrap().read::<ExportRun>().unwrap_err();
    assert!(matches!(error, DecodeError::Damaged { .. }) && error.to_string().contains("left over"), "{error}");
    value.truncate(9);
    let error = codec.open(&value).unwrap().read::<ExportRun>().unwrap_err();
    assert!(error.to_string().contains("ends too early"), "{error}");
}

#[test]
fn a_text_that_does_not_fit_its_type_makes_a_dead_letter_whatever_schema_wrote_it() {
    let registry = TestRegistry::new();
    let mut other = todays_schema();
    fields(&mut other).reverse();
    registry.add(60, other.to_string(), Vec::new());
    let codec = codec(&registry);
    let mut values = vec![value(60, &body_under(&other, &run())), Vec::new()];
    codec.encode(&run(), &mut values[1]).unwrap();
    for mut value in values {
        assert_eq!(codec.open(&value).unwrap().read::<ExportRun>().unwrap(), run());
        // The length of the office, then its text.
        let office = value.windows(4).position(|bytes| bytes == b"\x06EOE").unwrap() + 1;
        value[office] = b'e';
        let error = codec.open(&value).unwrap().read::<ExportRun>().unwrap_err();
        assert!(error.to_string().contains("the field office does not fit its type, esr.Office"), "{error}");
        assert!(matches!(ProcessError::from(error), ProcessError::DeadLetter { code: "damaged-record", .. }));
    }
}

#[test]
fn a_record_on_no_topic_is_not_written() {
    let codec = codec(&TestRegistry::new());
    let mut value = Vec::new();
    let error = codec.encode(&Post::default(), &mut value).unwrap_err();
    assert_eq!(error, EncodeError::NotDeclared { record: RecordType::TisPost });
    assert!(value.is_empty());
    assert!(matches!(ProcessError::from(error), ProcessError::Stop(_)));
}

#[test]
fn a_topic_with_a_record_that_is_not_in_the_contract_is_refused() {
    static TOPIC: tributary_runtime::Topic = tributary_runtime::Topic {
        name: "esr.odd",
        partitions: tributary_runtime::Partitions::Flow,
        cleanup: tributary_runtime::Cleanup::Compact,
        role: tributary_runtime::Role::Output,
        records: &["tributary.Clock", "esr.Nonsense"],
    };
    let error = CodecBuilder::new(TestRegistry::new()).topics([&TOPIC]).build().unwrap_err().to_string();
    assert!(error.contains("esr.odd") && error.contains("esr.Nonsense"), "{error}");
}

#[test]
fn one_codec_serves_many_threads() {
    fn is_shared<T: Send + Sync + Clone>() {}
    is_shared::<Codec>();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hostile_bodies_of_another_schema_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        let registry = TestRegistry::new();
        let mut newer = todays_schema();
        fields(&mut newer).reverse();
        let lists = json!({"name": "l", "type": {"type": "array", "items": "string"}, "default": []});
        fields(&mut newer).insert(0, lists);
        registry.add(41, newer.to_string(), Vec::new());
        let value = value(41, &bytes);
        let codec = codec(&registry);
        let _ = codec.open(&value).unwrap().read::<ExportRun>();
    }
}

#[test]
fn a_codec_that_registers_nothing_names_what_is_missing() {
    let registry = TestRegistry::new();
    let builder = || {
        let registry: Arc<dyn Registry> = registry.clone();
        CodecBuilder::new(registry)
            .namespace("n.")
            .topic(TOPIC, &[RecordType::EsrExportRun, RecordType::TributaryClock])
    };
    let error = builder().registers(false).build().unwrap_err();
    let RegistryError::NotRegistered { subjects, .. } = &error else { panic!("{error}") };
    assert_eq!(subjects, &[format!("n.{TOPIC}-esr.ExportRun"), format!("n.{TOPIC}-tributary.Clock")]);
    assert!(error.to_string().contains("kafka.register_schemas"), "{error}");
    // The failed start has registered nothing: the next one fails too.
    assert!(builder().registers(false).build().is_err());
    builder().build().unwrap();
    builder().registers(false).build().unwrap();
}
