//! Records as values of stores.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tributary_runtime::{Convert, StateSchema};

use crate::records::{AvroRecord, RecordType};
use crate::registry::RegisteredSchema;
use crate::resolution::WriterSchema;

/// Today's schema of a record, as a changelog holds it.
pub const fn schema<R: AvroRecord>() -> StateSchema {
    StateSchema { fingerprint: R::FINGERPRINT, name: R::TYPE.full_name(), text: R::TYPE.schema_json() }
}

/// How to read the bodies of `record` that were written under the schema `writer`.
///
/// # Errors
/// Why today's schema cannot read them.
pub fn convert(record: RecordType, writer: &str) -> Result<Convert, String> {
    let schema = writer_schema(writer)?;
    if schema.record != record {
        return Err(format!("it is the schema of {}, not of {record}", schema.record));
    }
    Ok(Box::new(move |body| match &schema.resolver {
        Some(resolver) => resolver.convert(body),
        None => Ok(body.to_vec()),
    }))
}

/// The schema that a changelog holds. Each is parsed once, however many tasks restore values of it.
fn writer_schema(text: &str) -> Result<Arc<WriterSchema>, String> {
    static PARSED: Mutex<Option<HashMap<String, Arc<WriterSchema>>>> = Mutex::new(None);
    let mut parsed = PARSED.lock().unwrap_or_else(PoisonError::into_inner);
    let parsed = parsed.get_or_insert_default();
    if let Some(known) = parsed.get(text) {
        return Ok(Arc::clone(known));
    }
    let registered = RegisteredSchema { json: text.to_owned(), references: Vec::new() };
    let schema = WriterSchema::of(&registered).map_err(|unreadable| unreadable.reason)?;
    Ok(Arc::clone(parsed.entry(text.to_owned()).or_insert_with(|| Arc::new(schema))))
}

/// Makes a record a value of stores.
macro_rules! state_value {
    ($record:ident) => {
        impl tributary_runtime::StateValue for $record {
            const SCHEMA: Option<tributary_runtime::StateSchema> = Some(crate::state::schema::<Self>());

            fn write(&self, out: &mut Vec<u8>) {
                AvroRecord::encode(self, out);
            }

            fn read(body: &[u8]) -> Result<Self, String> {
                Self::decode_all(body).map_err(|malformed| malformed.to_string())
            }

            fn convert(writer: &str) -> Result<tributary_runtime::Convert, String> {
                crate::state::convert(Self::TYPE, writer)
            }
        }
    };
}

pub(crate) use state_value;

/// Makes a value of stores out of a record of the contract.
///
/// - `stored!(struct Name(Record))` declares a struct around the record that gives access to its fields, for methods.
/// - `stored!(Name as Record)` stores a type of its own form as the record, through `From<&Name> for Record` and
///   `TryFrom<Record> for Name`.
#[macro_export]
macro_rules! stored {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident($record:ty)) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, PartialEq)]
        $visibility struct $name(pub(crate) $record);

        impl std::ops::Deref for $name {
            type Target = $record;

            fn deref(&self) -> &$record {
                &self.0
            }
        }

        impl std::ops::DerefMut for $name {
            fn deref_mut(&mut self) -> &mut $record {
                &mut self.0
            }
        }

        impl tributary_runtime::StateValue for $name {
            const SCHEMA: Option<tributary_runtime::StateSchema> =
                <$record as tributary_runtime::StateValue>::SCHEMA;

            fn write(&self, out: &mut Vec<u8>) {
                tributary_runtime::StateValue::write(&self.0, out);
            }

            fn read(body: &[u8]) -> Result<Self, String> {
                <$record as tributary_runtime::StateValue>::read(body).map(Self)
            }

            fn convert(writer: &str) -> Result<tributary_runtime::Convert, String> {
                <$record as tributary_runtime::StateValue>::convert(writer)
            }
        }
    };
    ($name:ident as $record:ty) => {
        impl tributary_runtime::StateValue for $name {
            const SCHEMA: Option<tributary_runtime::StateSchema> =
                <$record as tributary_runtime::StateValue>::SCHEMA;

            fn write(&self, out: &mut Vec<u8>) {
                tributary_runtime::StateValue::write(&<$record>::from(self), out);
            }

            fn read(body: &[u8]) -> Result<Self, String> {
                let record = <$record as tributary_runtime::StateValue>::read(body)?;
                Self::try_from(record).map_err(|error| error.to_string())
            }

            fn convert(writer: &str) -> Result<tributary_runtime::Convert, String> {
                <$record as tributary_runtime::StateValue>::convert(writer)
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use apache_avro::rabin::Rabin;
    use serde_json::{Value, json};
    use tributary_runtime::StateValue as _;

    use super::*;
    use crate::compatibility;
    use crate::records::esr_state::{ApplicantState, ApplicantStatus, KnownPost, Pair};
    use crate::records::{RecordVisitor, esr_state};

    struct Fingerprint;

    impl RecordVisitor for Fingerprint {
        type Output = u64;

        fn visit<R: AvroRecord>(self) -> u64 {
            R::FINGERPRINT
        }
    }

    /// The library leaves `{"type":"int"}` of a date in the canonical form, where the specification wants `"int"`.
    #[test]
    fn fingerprints_are_those_of_avro() {
        for record in RecordType::ALL {
            let plain = record.schema_json().replace(r#"{"type":"int","logicalType":"date"}"#, r#""int""#);
            let schema = compatibility::parse(&plain).unwrap();
            let bytes = schema.fingerprint::<Rabin>().bytes;
            assert_eq!(record.visit(Fingerprint).to_le_bytes().to_vec(), bytes, "{}", schema.canonical_form());
        }
    }

    /// The schema of a release that has changed it.
    fn changed(record: RecordType, change: impl Fn(&mut Value)) -> String {
        let mut schema = serde_json::from_str(record.schema_json()).unwrap();
        change(&mut schema);
        schema.to_string()
    }

    fn avro(json: Value) -> apache_avro::types::Value {
        use apache_avro::types::Value as Avro;
        match json {
            Value::Null => Avro::Null,
            Value::Bool(value) => Avro::Boolean(value),
            Value::Number(value) => Avro::Int(value.as_i64().unwrap() as i32),
            Value::String(value) => Avro::String(value),
            Value::Array(items) => Avro::Array(items.into_iter().map(avro).collect()),
            Value::Object(fields) => Avro::Map(fields.into_iter().map(|(name, value)| (name, avro(value))).collect()),
        }
    }

    /// A body that a release with this schema wrote.
    fn body(schema: &str, value: Value) -> Vec<u8> {
        let schema = compatibility::parse(schema).unwrap();
        let value = avro(value).resolve(&schema).unwrap();
        let writer = apache_avro::writer::datum::GenericDatumWriter::builder(&schema).build().unwrap();
        writer.write_value_to_vec(value).unwrap()
    }

    #[test]
    fn a_field_that_a_newer_release_has_added_is_left_out() {
        let newer = changed(RecordType::EsrStatePair, |schema| {
            let dates = &mut schema["fields"][0]["type"][1]["fields"];
            dates.as_array_mut().unwrap().insert(0, json!({"name": "reason", "type": "string", "default": ""}));
        });
        let written = body(
            &newer,
            json!({"exported": {"reason": "late", "from": 20_000, "to": null, "fileName": "", "gmcNumber": "",
                  "gdcNumber": ""}, "withdrawn": true, "gmcNumber": "", "gdcNumber": ""}),
        );
        let read = Pair::read(&Pair::convert(&newer).unwrap()(&written).unwrap()).unwrap();
        let exported = esr_state::ExportedDates { from: crate::Date(20_000), ..esr_state::ExportedDates::default() };
        assert_eq!(read, Pair { exported: Some(exported), withdrawn: true, ..Pair::default() });
    }

    #[test]
    fn a_field_that_an_older_release_did_not_have_takes_its_default() {
        let older = changed(RecordType::EsrStateApplicantState, |schema| {
            schema["fields"].as_array_mut().unwrap().retain(|field| field["name"] != "file");
        });
        let state = body(
            &older,
            json!({"status": "EXPORTED", "reason": null, "applicant": null, "digest": vec![1; 17],
                   "effectiveDate": 20_000, "atRun": null, "seenByRun": true}),
        );
        let read = ApplicantState::read(&ApplicantState::convert(&older).unwrap()(&state).unwrap()).unwrap();
        assert_eq!((read.status, read.file, read.seen_by_run), (ApplicantStatus::Exported, None, true));
    }

    /// A newer release has inserted a status before the others. By position, EXPORTED would read as PENDING.
    #[test]
    fn symbols_are_read_by_name_and_one_of_a_newer_release_is_not_guessed() {
        let newer = changed(RecordType::EsrStateApplicantState, |schema| {
            schema["fields"][0]["type"]["symbols"].as_array_mut().unwrap().insert(1, json!("HELD"));
        });
        let read = |status| {
            let state = body(
                &newer,
                json!({"status": status, "file": null, "reason": null, "applicant": null, "digest": vec![1; 17],
                       "effectiveDate": 20_000, "atRun": null, "seenByRun": true}),
            );
            ApplicantState::read(&ApplicantState::convert(&newer).unwrap()(&state).unwrap())
        };
        assert_eq!(read("EXPORTED").unwrap().status, ApplicantStatus::Exported);
        let error = read("HELD").unwrap_err();
        assert!(error.contains("a symbol that this release does not know"), "{error}");
    }

    #[test]
    fn a_schema_that_cannot_be_read_says_why() {
        let other = changed(RecordType::EsrStateKnownPost, |schema| schema["fields"][2]["type"] = json!("string"));
        assert!(KnownPost::convert(&other).is_err());
        let error = KnownPost::convert(RecordType::EsrStatePair.schema_json()).err().unwrap();
        assert_eq!(error, "it is the schema of esr.state.Pair, not of esr.state.KnownPost");
    }
}
