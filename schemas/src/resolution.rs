//! Reads values of another version of a schema: Avro's schema resolution, through the generic `Value` of apache-avro.
//!
//! It is several times slower than reading a record of today's schema, and is needed only while versions mix.

use std::fmt;
use std::sync::OnceLock;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;

use crate::compatibility;
use crate::records::RecordType;
use crate::registry::RegisteredSchema;

/// The most bytes that one length in such a body may claim. apache-avro has one such limit for the whole process.
const MOST_ALLOCATED_BYTES: usize = 64 * 1024 * 1024;

/// The schema of a writer, compared with today's.
#[derive(Debug)]
pub(crate) struct WriterSchema {
    /// The record that it describes.
    pub(crate) record: RecordType,
    /// How to read it. `None` when its encoding is that of today's schema.
    pub(crate) resolver: Option<Resolver>,
}

/// Why a writer's schema cannot be read.
#[derive(Debug, Clone)]
pub(crate) struct Unreadable {
    /// Full name of the writer's schema, or what the schema is instead of a record.
    pub(crate) writer: String,
    /// What does not fit.
    pub(crate) reason: String,
}

/// Converts bodies of a writer's schema to today's.
pub(crate) struct Resolver {
    reader: GenericDatumReader<'static>,
    writer: GenericDatumWriter<'static>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl WriterSchema {
    /// Compares the schema of a writer with today's.
    pub(crate) fn of(registered: &RegisteredSchema) -> Result<Self, Unreadable> {
        let unnamed = |reason: String| Unreadable { writer: "not an Avro record".to_owned(), reason };
        let writer = parse(registered).map_err(unnamed)?;
        let Some(name) = writer.name().map(|name| name.fullname(None)) else {
            return Err(unnamed("it has no name".to_owned()));
        };
        let unreadable = |reason: String| Unreadable { writer: name.clone(), reason };
        let Some(record) = RecordType::from_full_name(&name) else {
            return Err(unreadable("this version of Tributary has no such record".to_owned()));
        };
        let reader = todays(record).map_err(unreadable)?;
        if writer.canonical_form() == reader.canonical_form() {
            return Ok(Self { record, resolver: None });
        }
        compatibility::can_read(&writer, reader).map_err(unreadable)?;
        let resolver = Resolver::new(writer, reader).map_err(unreadable)?;
        Ok(Self { record, resolver: Some(resolver) })
    }
}

impl Resolver {
    fn new(writer: Schema, reader: &'static Schema) -> Result<Self, String> {
        apache_avro::util::max_allocation_bytes(MOST_ALLOCATED_BYTES);
        // Reader and writer borrow their schemas. A leaked schema lives as long as the process. There are no more of
        // them than versions of schemas in the topics.
        let written_with: &'static Schema = Box::leak(Box::new(writer));
        Ok(Self {
            reader: GenericDatumReader::builder(written_with)
                .reader_schema(reader)
                .build()
                .map_err(|e| e.to_string())?,
            writer: GenericDatumWriter::builder(reader).build().map_err(|e| e.to_string())?,
        })
    }

    /// The body under today's schema.
    pub(crate) fn convert(&self, body: &[u8]) -> Result<Vec<u8>, String> {
        let mut rest = body;
        let value = self.reader.read_value(&mut rest).map_err(|e| e.to_string())?;
        if !rest.is_empty() {
            return Err(format!("{} bytes are left over after the record", rest.len()));
        }
        let mut converted = Vec::with_capacity(body.len());
        self.writer.write_value_ref(&mut converted, &value).map_err(|e| e.to_string())?;
        Ok(converted)
    }
}

/// Today's schema of a record, parsed once.
fn todays(record: RecordType) -> Result<&'static Schema, String> {
    static PARSED: [OnceLock<Result<Schema, String>>; RecordType::COUNT] =
        [const { OnceLock::new() }; RecordType::COUNT];
    let parsed = PARSED[record as usize].get_or_init(|| compatibility::parse(record.schema_json()));
    parsed.as_ref().map_err(Clone::clone)
}

/// Parses a registered schema and writes out what it refers to.
fn parse(registered: &RegisteredSchema) -> Result<Schema, String> {
    if registered.references.is_empty() {
        return compatibility::parse(&registered.json);
    }
    let (mut schema, others) =
        Schema::parse_str_with_list(&registered.json, &registered.references).map_err(|e| e.to_string())?;
    schema.denormalize(&others).map_err(|e| e.to_string())?;
    Ok(schema)
}
