//! Drives one processor with hand-made records, and shows under which keys, on which topics it sends, and its errors.

use tributary_runtime::{Headers, Output, ProcessError, Processor, StateStore, Topic, append_header};
use tributary_schemas::{AvroRecord, Codec};

use crate::context::Context;
use crate::harness::{NOW, context, millis, process};

/// A processor of a flow with some partitions.
pub(crate) struct Keyed<P> {
    pub(crate) processor: P,
    codec: Codec,
    headers: Vec<u8>,
    partitions: i32,
    /// When records are made, in milliseconds since 1970.
    pub(crate) now: i64,
}

/// A record that was sent.
pub(crate) struct Sent {
    pub(crate) topic: &'static str,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
    headers: Vec<u8>,
}

impl Sent {
    pub(crate) fn text_key(&self) -> String {
        String::from_utf8(self.key.clone()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        Headers::from_bytes(&self.headers).get(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }
}

impl<P: Processor> Keyed<P> {
    pub(crate) fn new(make: impl FnOnce(Context) -> P) -> Self {
        let context = context();
        let codec = context.codec.clone();
        Self { processor: make(context), codec, headers: Vec::new(), partitions: 1, now: millis(NOW) }
    }

    pub(crate) fn partitions(self, partitions: i32) -> Self {
        Self { partitions, ..self }
    }

    /// Records that follow carry this header alone, or none.
    pub(crate) fn header(&mut self, name: Option<&str>) {
        self.headers.clear();
        if let Some(name) = name {
            append_header(&mut self.headers, name, b"1");
        }
    }

    /// What processing the record sends. When it fails its writes are undone, as the worker does.
    pub(crate) fn try_give<R: AvroRecord>(
        &mut self,
        key: impl AsRef<[u8]>,
        record: &R,
    ) -> Result<Vec<Sent>, ProcessError> {
        let mut value = Vec::new();
        self.codec.encode(record, &mut value).unwrap();
        self.process(key.as_ref(), Some(&value))
    }

    pub(crate) fn give<R: AvroRecord>(&mut self, key: impl AsRef<[u8]>, record: &R) -> Vec<Sent> {
        self.try_give(key, record).unwrap()
    }

    pub(crate) fn tombstone(&mut self, key: impl AsRef<[u8]>) -> Vec<Sent> {
        self.process(key.as_ref(), None).unwrap()
    }

    /// The code with which the record becomes a dead letter.
    pub(crate) fn dead_letter<R: AvroRecord>(&mut self, key: impl AsRef<[u8]>, record: &R) -> &'static str {
        match self.try_give(key, record) {
            Err(ProcessError::DeadLetter { code, .. }) => code,
            Err(other) => panic!("no dead letter: {other}"),
            Ok(_) => panic!("no dead letter: it was processed"),
        }
    }

    /// The records of a type among those sent.
    pub(crate) fn read<R: AvroRecord>(&self, sent: &[Sent]) -> Vec<R> {
        let values =
            sent.iter().filter_map(|sent| sent.value.as_deref()).filter_map(|value| self.codec.open(value).ok());
        values.filter(|framed| framed.record_type() == R::TYPE).map(|framed| framed.read().unwrap()).collect()
    }

    /// The one record that was sent, of this type, to this topic, with its key.
    pub(crate) fn only<R: AvroRecord>(&self, sent: &[Sent], topic: &Topic) -> (Vec<u8>, R) {
        assert_eq!(sent.len(), 1, "one record is sent");
        assert_eq!(sent[0].topic, topic.name);
        (sent[0].key.clone(), self.read(sent).pop().unwrap())
    }

    /// Processes a record as far as its sends, and then undoes it: the transaction was aborted.
    pub(crate) fn aborted<R: AvroRecord>(&mut self, key: impl AsRef<[u8]>, record: &R) {
        let mut value = Vec::new();
        self.codec.encode(record, &mut value).unwrap();
        self.one(key.as_ref(), Some(&value)).unwrap();
        self.processor.stores().into_iter().for_each(StateStore::undo_record);
    }

    fn process(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<Vec<Sent>, ProcessError> {
        let result = self.one(key, value);
        let end = if result.is_ok() { StateStore::commit } else { StateStore::undo_record };
        self.processor.stores().into_iter().for_each(end);
        result
    }

    fn one(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<Vec<Sent>, ProcessError> {
        let mut output = Output::new(self.partitions);
        let headers = Headers::from_bytes(&self.headers);
        process(&mut self.processor, (key, value), headers, self.now, &mut output)?;
        let sent = output.records().map(|record| Sent {
            topic: record.topic.name,
            key: record.key.to_vec(),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers.as_bytes().to_vec(),
        });
        Ok(sent.collect())
    }
}
