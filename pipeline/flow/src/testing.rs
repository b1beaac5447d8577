//! Drives one processor in tests. The records are hand-made, and each is committed alone. Shows what the processor
//! sends (keys, topics, headers) and its errors.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use tributary_runtime::{
    Headers, Output, ProcessError, Processor, Record, StateStore, TimestampMillis, Topic, TopicPartition, append_header,
};
use tributary_schemas::{AvroRecord, Codec};

/// A processor in a flow with a number of partitions.
pub struct Harness<P> {
    /// The processor.
    pub processor: P,
    /// The time of the records, in milliseconds since 1970.
    pub now: TimestampMillis,
    codec: Codec,
    headers: Vec<u8>,
    partitions: i32,
    sent: Vec<Sent>,
}

/// A record that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its topic.
    pub topic: &'static str,
    /// Its key.
    pub key: Vec<u8>,
    /// Its value. `None` for a tombstone.
    pub value: Option<Vec<u8>>,
    headers: Vec<u8>,
}

impl Sent {
    /// The key as text.
    pub fn text_key(&self) -> String {
        String::from_utf8(self.key.clone()).unwrap()
    }

    /// The value of a header as text.
    pub fn header(&self, name: &str) -> Option<String> {
        Headers::from_bytes(&self.headers).get(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }
}

impl<P: Processor> Harness<P> {
    /// Drives `processor` in a flow with one partition. Its records have the time `now`.
    pub fn new(codec: Codec, processor: P, now: TimestampMillis) -> Self {
        Self { processor, now, codec, headers: Vec::new(), partitions: 1, sent: Vec::new() }
    }

    /// Sets the number of partitions of the flow.
    #[must_use]
    pub fn partitions(self, partitions: i32) -> Self {
        Self { partitions, ..self }
    }

    /// Sets the time of the records that follow, such as `2026-11-20T14:30:00Z`.
    pub fn at(&mut self, instant: &str) {
        self.now = instant.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    }

    /// Sets the only header of the records that follow. `None` for no header.
    pub fn header(&mut self, name: Option<&str>) {
        self.headers.clear();
        if let Some(name) = name {
            append_header(&mut self.headers, name, b"1");
        }
    }

    /// Processes the record and returns what was sent. If that fails, its writes are undone, as the worker does.
    ///
    /// # Errors
    /// The error of the processor.
    pub fn try_give<R: AvroRecord>(&mut self, key: impl AsRef<[u8]>, record: &R) -> Result<Vec<Sent>, ProcessError> {
        let value = self.encoded(record);
        self.process(key.as_ref(), Some(&value))
    }

    /// Processes the record and returns what was sent.
    pub fn give<R: AvroRecord>(&mut self, key: impl AsRef<[u8]>, record: &R) -> Vec<Sent> {
        self.try_give(key, record).unwrap()
    }

    /// Processes a tombstone and returns what was sent.
    pub fn tombstone(&mut self, key: impl AsRef<[u8]>) -> Vec<Sent> {
        self.process(key.as_ref(), None).unwrap()
    }

    /// The error code of the record, which must become a dead letter.
    pub fn dead_letter<R: AvroRecord>(&mut self, key: impl AsRef<[u8]>, record: &R) -> &'static str {
        match self.try_give(key, record) {
            Err(ProcessError::DeadLetter { code, .. }) => code,
            Err(other) => panic!("no dead letter: {other}"),
            Ok(_) => panic!("no dead letter: it was processed"),
        }
    }

    /// The sent records of this type.
    pub fn read<R: AvroRecord>(&self, sent: &[Sent]) -> Vec<R> {
        let values =
            sent.iter().filter_map(|sent| sent.value.as_deref()).filter_map(|value| self.codec.open(value).ok());
        values.filter(|framed| framed.record_type() == R::TYPE).map(|framed| framed.read().unwrap()).collect()
    }

    /// The only sent record, which must be of this type and on this topic. Returns it with its key.
    pub fn only<R: AvroRecord>(&self, sent: &[Sent], topic: &Topic) -> (Vec<u8>, R) {
        assert_eq!(sent.len(), 1, "one record is sent");
        assert_eq!(sent[0].topic, topic.name);
        (sent[0].key.clone(), self.read(sent).pop().unwrap())
    }

    /// The records of this type sent since the last call. All other records are forgotten.
    pub fn take<R: AvroRecord>(&mut self) -> Vec<R> {
        let sent = std::mem::take(&mut self.sent);
        self.read(&sent)
    }

    /// The keys of the tombstones sent since the last call.
    pub fn take_tombstones(&mut self) -> Vec<String> {
        let sent = std::mem::take(&mut self.sent);
        let tombstones = sent.iter().filter(|sent| sent.value.is_none());
        tombstones.map(|sent| String::from_utf8_lossy(&sent.key).into_owned()).collect()
    }

    /// Processes a record and then undoes it, as after an aborted transaction.
    pub fn aborted<R: AvroRecord>(&mut self, key: impl AsRef<[u8]>, record: &R) {
        let value = self.encoded(record);
        self.one(key.as_ref(), Some(&value)).unwrap();
        self.processor.stores().into_iter().for_each(StateStore::undo_record);
    }

    fn encoded<R: AvroRecord>(&self, record: &R) -> Vec<u8> {
        let mut value = Vec::new();
        self.codec.encode(record, &mut value).unwrap();
        value
    }

    fn process(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<Vec<Sent>, ProcessError> {
        let result = self.one(key, value);
        let end = if result.is_ok() { StateStore::commit } else { StateStore::undo_record };
        self.processor.stores().into_iter().for_each(end);
        let sent = result?;
        self.sent.extend_from_slice(&sent);
        Ok(sent)
    }

    fn one(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<Vec<Sent>, ProcessError> {
        let mut output = Output::new(self.partitions);
        let (headers, timestamp) = (Headers::from_bytes(&self.headers), self.now);
        output.inherit(timestamp, headers);
        self.processor.stores().into_iter().for_each(StateStore::begin_record);
        let origin = TopicPartition { topic: "test", partition: 0 };
        let record = Record { origin, offset: 0, timestamp, key, value, headers };
        self.processor.process(&record, &mut output)?;
        self.processor.flush(&mut output);
        let sent = output.records().map(|record| Sent {
            topic: record.topic.name,
            key: record.key.to_vec(),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers.as_bytes().to_vec(),
        });
        Ok(sent.collect())
    }
}
