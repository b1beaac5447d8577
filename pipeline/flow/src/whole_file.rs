//! Files that are written whole. A stage sends each row as a record, then a closing record with count and checksum. The
//! writer stage collects the rows and writes the file when it is closed.
//!
//! Files are written at least once: after a crash, the writer writes the same bytes again under the same name.

use std::collections::BTreeMap;
use std::sync::Arc;

use tributary_runtime::{Output, ProcessError, Processor, Record, StateStore, Store, Topic, partition_for_key};
use tributary_schemas::records::tributary::{FileClose, FileEvent, FileRow, FileStatus, FileWritten, RecordCount};
use tributary_schemas::records::tributary_state::WaitingRow;
use tributary_schemas::{Codec, RecordType};

use crate::events;
use crate::framed;

/// A file whose rows a stage is sending to the writer.
pub struct OutgoingFile<'a> {
    codec: &'a Codec,
    topic: &'static Topic,
    file_name: String,
    rows: i32,
    checksum: u32,
    counts: BTreeMap<String, i64>,
}

/// The content of the closing record besides rows and checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// The party that the file is for.
    pub party: String,
    /// Its type, as the flow spells it.
    pub kind: String,
    /// Its number.
    pub number: i64,
    /// Whether the sender waits for the record that the file has been written.
    pub acknowledged: bool,
}

impl<'a> OutgoingFile<'a> {
    /// Starts a file. Its rows go to `topic`, the inbox of the writer.
    pub fn start(codec: &'a Codec, topic: &'static Topic, file_name: String) -> Self {
        Self { codec, topic, file_name, rows: 0, checksum: 0, counts: BTreeMap::new() }
    }

    /// Adds a line. Header and trailer are lines too.
    pub fn line(&mut self, line: String, output: &mut Output) {
        self.checksum = checksum(self.checksum, &line);
        let row = FileRow { file_name: self.file_name.clone(), row: self.rows, line };
        framed::send(self.codec, output, self.topic, self.file_name.as_bytes(), &row);
        self.rows += 1;
    }

    /// Counts the last line as a row of this record type.
    pub fn count(&mut self, record_type: &str) {
        *self.counts.entry(record_type.to_owned()).or_default() += 1;
    }

    /// The number of lines so far.
    pub fn lines(&self) -> i32 {
        self.rows
    }

    /// Ends the file. The writer may now write it.
    pub fn close(self, closing: Closing, output: &mut Output) {
        let count = |(record_type, rows)| RecordCount { record_type, received: rows, accepted: rows };
        let close = FileClose {
            party: closing.party,
            kind: closing.kind,
            number: closing.number,
            rows: self.rows,
            crc32c: i64::from(self.checksum),
            acknowledged: closing.acknowledged,
            counts: self.counts.into_iter().map(count).collect(),
            file_name: self.file_name,
        };
        framed::send(self.codec, output, self.topic, close.file_name.as_bytes(), &close);
    }
}

/// The CRC32C of lines, each followed by LF. `before` is that of the lines before `line`.
pub fn checksum(before: u32, line: &str) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(before, line.as_bytes()), b"\n")
}

/// Where files are written: the port to the outside.
pub trait FileSink: Send + Sync {
    /// Writes the whole file under its name and replaces an existing file. Nobody ever sees a part of it.
    ///
    /// # Errors
    /// A sentence that says what could not be written, why, and what to do. The writer retries.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), String>;
}

/// How the writer of a flow works.
#[derive(Debug, Clone, Copy)]
pub struct WriterSettings {
    /// The end of each line.
    pub line_end: &'static str,
    /// The number of lines that are header or trailer and so do not count as rows of the file.
    pub frame_lines: i64,
    /// The topic of events about written files.
    pub events: &'static Topic,
    /// The topic on which senders learn that a file has been written, partitioned by party.
    pub acknowledgements: &'static Topic,
}

/// The processor of one partition of the writer stage, keyed by file name.
///
/// The stage needs its own group, because it waits for the outside.
pub struct Writer {
    codec: Codec,
    settings: WriterSettings,
    sink: Arc<dyn FileSink>,
    rows: Store<(String, i32), WaitingRow>,
}

impl Writer {
    /// A processor without state.
    pub fn new(codec: Codec, settings: WriterSettings, sink: Arc<dyn FileSink>) -> Self {
        Self { codec, settings, sink, rows: Store::new(0, "rows") }
    }

    fn close(&mut self, close: FileClose, output: &mut Output) -> Result<(), ProcessError> {
        let keys = (close.file_name.clone(), 0)..=(close.file_name.clone(), i32::MAX);
        let mut content = String::new();
        let (mut rows, mut sum) = (0, 0);
        for (_, WaitingRow { line }) in self.rows.range(keys) {
            content.push_str(line);
            content.push_str(self.settings.line_end);
            sum = checksum(sum, line);
            rows += 1;
        }
        if rows != close.rows || i64::from(sum) != close.crc32c {
            let text = format!("{}: {rows} of {} rows, or other rows than were sent", close.file_name, close.rows);
            return Err(ProcessError::Stop(text));
        }
        self.sink.write(&close.file_name, content.as_bytes()).map_err(ProcessError::Retry)?;
        for row in 0..rows {
            self.rows.delete((close.file_name.clone(), row));
        }
        self.report(close, output);
        Ok(())
    }

    fn report(&self, close: FileClose, output: &mut Output) {
        if close.acknowledged {
            self.acknowledge(&close, output);
        }
        let event = FileEvent {
            rows: i64::from(close.rows) - self.settings.frame_lines,
            file_name: close.file_name,
            party: close.party,
            kind: close.kind,
            number: close.number,
            status: FileStatus::Written,
            counts: close.counts,
            ..FileEvent::default()
        };
        framed::send(&self.codec, output, self.settings.events, event.file_name.as_bytes(), &event);
    }

    fn acknowledge(&self, close: &FileClose, output: &mut Output) {
        let written = FileWritten { file_name: close.file_name.clone(), party: close.party.clone() };
        let key = format!("{}/written/{}", close.party, close.file_name);
        let topic = self.settings.acknowledgements;
        let partition = partition_for_key(close.party.as_bytes(), output.partition_count(topic));
        output.send_to(topic, partition, key.as_bytes(), |buffer| framed::write(&self.codec, &written, buffer));
    }
}

impl Processor for Writer {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let framed = framed::open(&self.codec, record)?;
        match framed.record_type() {
            RecordType::TributaryFileRow => {
                let row = framed.read::<FileRow>()?;
                self.rows.put((row.file_name, row.row), WaitingRow { line: row.line });
                Ok(())
            }
            RecordType::TributaryFileClose => {
                let close = framed.read::<FileClose>()?;
                let file_name = close.file_name.clone();
                let closed = self.close(close, output);
                if let Err(ProcessError::Retry(reason)) = &closed {
                    events::file_not_written(&file_name, reason);
                }
                closed
            }
            _ => Err(framed::unexpected(&framed)),
        }
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![&mut self.rows]
    }
}

#[cfg(test)]
mod tests;
