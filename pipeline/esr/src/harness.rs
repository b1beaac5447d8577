//! Drives one processor with hand-made records, each committed by itself.

use std::sync::Arc;

use tributary_runtime::{Headers, Output, ProcessError, Processor, Record, StateStore, TopicPartition};
use tributary_schemas::{AvroRecord, Codec, CodecBuilder, Date, LocalRegistry};

use crate::configuration::EsrSettings;
use crate::context::Context;
use crate::topics;

/// A processor with what it has sent.
pub(crate) struct Harness<P> {
    pub(crate) processor: P,
    codec: Codec,
    now: i64,
    sent: Output,
}

/// The instant at which all records are made, unless told otherwise: 2026-11-20, 14:30.
pub(crate) const NOW: &str = "2026-11-20T14:30:00Z";

pub(crate) fn millis(instant: &str) -> i64 {
    instant.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

pub(crate) fn date(text: &str) -> Date {
    Date::from_civil(text.parse().unwrap())
}

/// The built-in settings, for two offices, with a registry in memory.
pub(crate) fn context() -> Context {
    let codec = CodecBuilder::new(Arc::new(LocalRegistry::in_memory())).topics(topics::ALL).build().unwrap();
    let settings = Arc::new(EsrSettings::load(None, &|_| Err("no files here".to_owned())).unwrap());
    Context::new(codec, settings, vec!["EOE".to_owned(), "LDN".to_owned()])
}

/// Lets a processor process one record. What it has written is neither merged nor undone yet.
pub(crate) fn process<P: Processor>(
    processor: &mut P,
    (key, value): (&[u8], Option<&[u8]>),
    headers: Headers<'_>,
    timestamp: i64,
    output: &mut Output,
) -> Result<(), ProcessError> {
    let origin = TopicPartition { topic: "test", partition: 0 };
    output.inherit(timestamp, headers);
    processor.stores().into_iter().for_each(StateStore::begin_record);
    processor.process(&Record { origin, offset: 0, timestamp, key, value, headers }, output)
}

impl<P: Processor> Harness<P> {
    pub(crate) fn new(make: impl FnOnce(Context) -> P) -> Self {
        let context = context();
        let codec = context.codec.clone();
        Self { processor: make(context), codec, now: millis(NOW), sent: Output::new(1) }
    }

    pub(crate) fn at(&mut self, instant: &str) {
        self.now = millis(instant);
    }

    pub(crate) fn give<R: AvroRecord>(&mut self, key: impl AsRef<[u8]>, record: &R) {
        let mut value = Vec::new();
        self.codec.encode(record, &mut value).unwrap();
        self.process(key.as_ref(), Some(&value));
    }

    pub(crate) fn tombstone(&mut self, key: impl AsRef<[u8]>) {
        self.process(key.as_ref(), None);
    }

    fn process(&mut self, key: &[u8], value: Option<&[u8]>) {
        process(&mut self.processor, (key, value), Headers::default(), self.now, &mut self.sent).unwrap();
        self.processor.stores().into_iter().for_each(StateStore::commit);
    }

    /// The records of a type that were sent since this was last asked; all others are forgotten.
    pub(crate) fn take<R: AvroRecord>(&mut self) -> Vec<R> {
        let records =
            self.sent.records().filter_map(|record| record.value).map(|value| self.codec.open(value).unwrap());
        let taken =
            records.filter(|framed| framed.record_type() == R::TYPE).map(|framed| framed.read().unwrap()).collect();
        self.sent.clear();
        taken
    }

    /// Keys of the tombstones that were sent since this was last asked.
    pub(crate) fn take_tombstones(&mut self) -> Vec<String> {
        let tombstones = self.sent.records().filter(|record| record.value.is_none());
        let keys = tombstones.map(|record| String::from_utf8_lossy(record.key).into_owned()).collect();
        self.sent.clear();
        keys
    }
}
