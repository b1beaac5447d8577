//! The generated encoding is Avro's: for every record type, apache-avro reads what it writes, and the reverse.

#![allow(clippy::unwrap_used, reason = "a test states what must hold")]

mod values;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tributary_schemas::{AvroRecord, Malformed, RecordType, RecordVisitor};

/// Reads a body into the record. Returns the record as JSON, and written again.
struct ReadAndWrite<'a>(&'a [u8]);

impl RecordVisitor for ReadAndWrite<'_> {
    type Output = Result<(serde_json::Value, Vec<u8>), Malformed>;

    fn visit<R: AvroRecord>(self) -> Self::Output {
        let record = R::decode_all(self.0)?;
        let mut body = Vec::new();
        record.encode(&mut body);
        Ok((serde_json::to_value(&record).unwrap(), body))
    }
}

fn schema(record: RecordType) -> Schema {
    Schema::parse_str(record.schema_json()).unwrap()
}

fn for_all_records(check: impl Fn(RecordType, &Schema, Value)) {
    for record in RecordType::ALL {
        let schema = schema(record);
        let expanded = values::expanded(&schema);
        let mut runner = TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
        let result = runner.run(&values::any_value(&expanded), |value| {
            check(record, &schema, value);
            Ok(())
        });
        result.unwrap_or_else(|e| panic!("{record}: {e}"));
    }
}

#[test]
fn every_record_reads_what_apache_avro_writes_and_writes_what_it_reads() {
    for_all_records(|record, schema, value| {
        let written = GenericDatumWriter::builder(schema).build().unwrap().write_value_to_vec(value.clone()).unwrap();
        let (json, rewritten) = record.visit(ReadAndWrite(&written)).unwrap();
        assert_eq!(rewritten, written, "{record}");
        let read = GenericDatumReader::builder(schema).build().unwrap().read_value(&mut rewritten.as_slice()).unwrap();
        assert_eq!(read, value, "{record}");
        assert_eq!(json, serde_json::Value::try_from(value).unwrap(), "{record}: each field has its own value");
    });
}

#[test]
fn cut_off_bodies_are_refused() {
    for_all_records(|record, schema, value| {
        let written = GenericDatumWriter::builder(schema).build().unwrap().write_value_to_vec(value).unwrap();
        for end in 0..written.len() {
            assert!(record.visit(ReadAndWrite(&written[..end])).is_err(), "{record} of {end} bytes");
        }
        let longer = [written.as_slice(), &[0]].concat();
        assert!(record.visit(ReadAndWrite(&longer)).is_err(), "{record} with a byte too many");
    });
}

proptest! {
    #![proptest_config(Config { cases: 512, failure_persistence: None, ..Config::default() })]

    /// A failure is a panic, or running out of memory on a short body that claims to be long.
    #[test]
    fn hostile_bodies_do_no_harm(body in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(2), Just(0xff)], 0..200)) {
        for record in RecordType::ALL {
            if let Ok((_, rewritten)) = record.visit(ReadAndWrite(&body)) {
                prop_assert!(record.visit(ReadAndWrite(&rewritten)).is_ok());
            }
        }
    }
}

#[test]
fn schemas_need_no_other_schema() {
    for record in RecordType::ALL {
        let schema = schema(record);
        assert_eq!(schema.name().unwrap().fullname(None), record.full_name());
        assert_eq!(RecordType::from_full_name(record.full_name()), Some(record));
    }
}
