//! Values in the Confluent wire format: a zero byte, the schema id in four bytes (big-endian), the Avro body.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::error::{DecodeError, EncodeError};
use crate::records::{AvroRecord, RecordType};
use crate::registry::Registry;
use crate::resolution::{Resolver, Unreadable, WriterSchema};

const MAGIC: u8 = 0;
const FRAME_BYTES: usize = 5;
/// An estimate of the size of a body's small fields, so that a fresh buffer does not grow byte by byte.
const USUAL_BODY_BYTES: usize = 64;
/// How long the codec does not ask again for an id that the registry does not know.
const MISSING_FOR: Duration = Duration::from_secs(10);

/// Writes records with the ids of today's schemas and reads what any known schema wrote. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Codec {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    registry: Arc<dyn Registry>,
    topics: Vec<TopicRecords>,
    /// Id under which each record type is written.
    ids: [Option<u32>; RecordType::COUNT],
    /// Ids of today's schemas. They never change, so reading takes no lock.
    todays: FxHashMap<u32, RecordType>,
    /// Other ids that were read so far.
    others: RwLock<FxHashMap<u32, Known>>,
}

/// A topic and the records on it.
#[derive(Debug, Clone)]
pub(crate) struct TopicRecords {
    pub(crate) topic: String,
    pub(crate) records: Vec<RecordType>,
}

#[derive(Debug, Clone)]
enum Known {
    Readable(Arc<WriterSchema>),
    Unreadable(Unreadable),
    Missing(Instant),
}

impl Codec {
    pub(crate) fn new(registry: Arc<dyn Registry>, topics: Vec<TopicRecords>, ids: &[(RecordType, u32)]) -> Self {
        let mut by_record = [None; RecordType::COUNT];
        let mut todays = FxHashMap::default();
        for (record, id) in ids {
            by_record[*record as usize].get_or_insert(*id);
            todays.insert(*id, *record);
        }
        let shared = Shared { registry, topics, ids: by_record, todays, others: RwLock::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Appends `record` as a value: frame and body.
    ///
    /// # Errors
    /// [`EncodeError::NotDeclared`] when no topic of this codec holds such records.
    pub fn encode<R: AvroRecord>(&self, record: &R, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let id = self.shared.ids[R::TYPE as usize].ok_or(EncodeError::NotDeclared { record: R::TYPE })?;
        out.reserve(FRAME_BYTES + R::FEWEST_BYTES + USUAL_BODY_BYTES);
        out.push(MAGIC);
        out.extend_from_slice(&id.to_be_bytes());
        record.encode(out);
        Ok(())
    }

    /// Reads the frame of a value and finds out which record it holds.
    ///
    /// # Errors
    /// [`DecodeError`] when there is no frame, or its schema is unknown, unreadable or cannot be fetched now.
    pub fn open<'a>(&self, value: &'a [u8]) -> Result<Framed<'a>, DecodeError> {
        let Some(([MAGIC, id @ ..], body)) = value.split_first_chunk::<FRAME_BYTES>() else {
            return Err(DecodeError::NotFramed { length: value.len(), expected: self.expected() });
        };
        let id = u32::from_be_bytes(*id);
        if let Some(record) = self.shared.todays.get(&id) {
            return Ok(Framed { id, record: *record, body, writer: None });
        }
        let writer = self.other_schema(id)?;
        Ok(Framed { id, record: writer.record, body, writer: Some(writer) })
    }

    /// The schema of an id that is not one of today's.
    fn other_schema(&self, id: u32) -> Result<Arc<WriterSchema>, DecodeError> {
        let known = self.shared.others.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        let known = match known {
            Some(Known::Missing(since)) if since.elapsed() >= MISSING_FOR => self.fetch(id)?,
            Some(known) => known,
            None => self.fetch(id)?,
        };
        match known {
            Known::Readable(writer) => Ok(writer),
            Known::Missing(_) => Err(DecodeError::UnknownSchema { id, expected: self.expected() }),
            Known::Unreadable(Unreadable { writer, reason }) => {
                Err(DecodeError::Unresolvable { id, writer, reason, expected: self.expected() })
            }
        }
    }

    /// Asks the registry. It holds no lock while it waits.
    fn fetch(&self, id: u32) -> Result<Known, DecodeError> {
        let known = match self.shared.registry.schema(id) {
            Ok(None) => Known::Missing(Instant::now()),
            Ok(Some(schema)) => match WriterSchema::of(&schema) {
                Ok(writer) => Known::Readable(Arc::new(writer)),
                Err(unreadable) => Known::Unreadable(unreadable),
            },
            Err(e) if e.is_transient() => return Err(DecodeError::RegistryUnavailable { id, reason: e.to_string() }),
            Err(e) => Known::Unreadable(Unreadable { writer: "not fetched".to_owned(), reason: e.to_string() }),
        };
        let mut others = self.shared.others.write().unwrap_or_else(PoisonError::into_inner);
        match others.entry(id) {
            Entry::Occupied(mut entry) if matches!(entry.get(), Known::Missing(_)) => {
                entry.insert(known.clone());
                Ok(known)
            }
            Entry::Occupied(entry) => Ok(entry.get().clone()),
            Entry::Vacant(entry) => Ok(entry.insert(known).clone()),
        }
    }

    /// What a value should be, for errors.
    fn expected(&self) -> String {
        let described = self.shared.topics.iter().map(|TopicRecords { topic, records }| {
            let records: Vec<&str> = records.iter().map(|record| record.full_name()).collect();
            format!("{} on topic {topic}", records.join(" or "))
        });
        described.collect::<Vec<_>>().join(", ")
    }
}

/// A value whose frame has been read.
#[derive(Debug, Clone)]
pub struct Framed<'a> {
    id: u32,
    record: RecordType,
    body: &'a [u8],
    writer: Option<Arc<WriterSchema>>,
}

impl<'a> Framed<'a> {
    /// Which record the value holds.
    pub fn record_type(&self) -> RecordType {
        self.record
    }

    /// The id of the writer's schema.
    pub fn schema_id(&self) -> u32 {
        self.id
    }

    /// Reads the record.
    ///
    /// # Errors
    /// [`DecodeError::OtherRecord`] when it holds another record, [`DecodeError::Damaged`] when the body is not what
    /// its schema says.
    pub fn read<R: AvroRecord>(&self) -> Result<R, DecodeError> {
        if R::TYPE != self.record {
            return Err(DecodeError::OtherRecord { id: self.id, found: self.record, wanted: R::TYPE });
        }
        R::decode_all(&self.body()?).map_err(|malformed| self.damaged(malformed.to_string()))
    }

    /// The body under today's schema. If the writer used today's schema, these are the value's own bytes.
    ///
    /// # Errors
    /// [`DecodeError::Damaged`] when the writer used another schema and the body does not fit it.
    pub fn body(&self) -> Result<Cow<'a, [u8]>, DecodeError> {
        match self.resolver() {
            None => Ok(Cow::Borrowed(self.body)),
            Some(resolver) => resolver.convert(self.body).map(Cow::Owned).map_err(|reason| self.damaged(reason)),
        }
    }

    fn resolver(&self) -> Option<&Resolver> {
        self.writer.as_ref()?.resolver.as_ref()
    }

    fn damaged(&self, reason: String) -> DecodeError {
        DecodeError::Damaged { id: self.id, record: self.record, reason }
    }
}
