//! Every released record stays readable, and every released version can read today's records.

#![allow(clippy::unwrap_used, reason = "a test states what must hold")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use serde_json::Value;
use tributary_schemas::release::{self, ReleasedVersion};
use tributary_schemas::{
    AvroRecord, CodecBuilder, DecodeError, Framed, LocalRegistry, RecordType, RecordVisitor, Registry,
};

const TOPIC: &str = "test.released";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("released")
}

fn released() -> Vec<ReleasedVersion> {
    let versions = release::released(&folder()).unwrap();
    assert!(!versions.is_empty(), "nothing is released in {}", folder().display());
    versions
}

fn record_of(version: &ReleasedVersion) -> RecordType {
    RecordType::from_full_name(&version.record)
        .unwrap_or_else(|| panic!("{} was released, and data of it may still be in topics: keep it", version.record))
}

struct ReadAsJson<'a>(&'a Framed<'a>);

impl RecordVisitor for ReadAsJson<'_> {
    type Output = Result<Value, DecodeError>;

    fn visit<R: AvroRecord>(self) -> Self::Output {
        Ok(serde_json::to_value(self.0.read::<R>()?).unwrap())
    }
}

#[test]
fn every_fixture_is_read_with_todays_records() {
    for version in released() {
        let record = record_of(&version);
        let registry = Arc::new(LocalRegistry::in_memory());
        let writers_id = registry.register("of the writer", &version.schema).unwrap();
        let codec = CodecBuilder::new(registry).topic(TOPIC, &[record]).build().unwrap();
        let value = [&[0], writers_id.to_be_bytes().as_slice(), &version.body].concat();
        let framed = codec.open(&value).unwrap();
        assert_eq!(framed.record_type(), record);
        let read = record.visit(ReadAsJson(&framed)).unwrap();
        let schema = Schema::parse_str(&version.schema).unwrap();
        let reader = GenericDatumReader::builder(&schema).build().unwrap();
        let written = Value::try_from(reader.read_value(&mut version.body.as_slice()).unwrap()).unwrap();
        assert_common_fields_are_equal(&written, &read, &format!("{} version {}", version.record, version.version));
    }
}

/// Skips fields that only one of the two versions has.
fn assert_common_fields_are_equal(written: &Value, read: &Value, path: &str) {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => {
            for (name, value) in written {
                if let Some(other) = read.get(name) {
                    assert_common_fields_are_equal(value, other, &format!("{path}, {name}"));
                }
            }
        }
        (Value::Array(written), Value::Array(read)) => {
            assert_eq!(written.len(), read.len(), "{path}");
            written.iter().zip(read).for_each(|(one, other)| assert_common_fields_are_equal(one, other, path));
        }
        _ => assert_eq!(written, read, "{path}"),
    }
}

#[test]
fn todays_schemas_are_compatible_with_all_released_versions() {
    for version in released() {
        release::check_compatible(&version.schema, record_of(&version).schema_json())
            .unwrap_or_else(|reason| panic!("{} version {}: {reason}", version.record, version.version));
    }
}

#[test]
fn every_schema_is_released() {
    let changed = release::unreleased(&folder()).unwrap();
    assert!(
        changed.is_empty(),
        "changed without a release: {changed:?}; run `cargo run -p tributary-schemas --bin release-schemas`"
    );
}
