//! Files that are written whole. A stage sends each row as a record, then a closing record with count and checksum. The
//! writer stage collects the rows and writes the file when it is closed.
//!
//! Files are written at least once: after a crash, the writer writes the same bytes again under the same name. A file
//! never replaces another one (D63): if another file has its name, the writer keeps it, goes on with other files, and
//! asks a stage that knows the time to return a request for a retry.

use std::collections::BTreeMap;
use std::sync::Arc;

use tributary_runtime::{
    Output, ProcessError, Processor, Record, StateStore, Store, TimestampMillis, Topic, partition_for_key,
};
use tributary_schemas::records::tributary::{
    FileClose, FileEvent, FileRetry, FileRow, FileStatus, FileWritten, RecordCount, Severity,
};
use tributary_schemas::records::tributary_state::{UnwrittenFile, WaitingRow};
use tributary_schemas::{Codec, RecordType};

use crate::framed;

/// How often a file that is not written is reported again, in milliseconds.
const REMINDER_MILLIS: i64 = 60 * 60 * 1000;

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
    /// Writes the whole file under its name. Nobody ever sees a part of it. If a file of this name is there with the
    /// same bytes, it is written. If it has other bytes, it stays as it is (D63).
    ///
    /// # Errors
    /// [`NotWritten`].
    fn write(&self, name: &str, content: &[u8]) -> Result<(), NotWritten>;
}

/// Why a file is not written: a sentence that says what could not be written, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotWritten {
    /// The place does not accept files now. The writer retries, and no other file is written before.
    #[error("{0}")]
    Unavailable(String),
    /// Something else has the name of the file. This concerns no other file.
    #[error("{0}")]
    InTheWay(String),
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
    /// The topic of requests to retry a file later. The stage that reads it sends each one to the writer, with the file
    /// name as key.
    pub retries: &'static Topic,
}

/// A file that is not written: its name and the checksum of its lines. Two files may wait for one name.
type Unwritten = (String, i64);

/// The processor of one partition of the writer stage, keyed by file name.
///
/// The stage needs its own group, because it waits for the outside.
pub struct Writer {
    codec: Codec,
    settings: WriterSettings,
    sink: Arc<dyn FileSink>,
    rows: Store<(String, i32), WaitingRow>,
    unwritten: Store<Unwritten, UnwrittenFile>,
    unwritten_rows: Store<(Unwritten, i32), WaitingRow>,
}

impl Writer {
    /// A processor without state.
    pub fn new(codec: Codec, settings: WriterSettings, sink: Arc<dyn FileSink>) -> Self {
        Self {
            codec,
            settings,
            sink,
            rows: Store::new(0, "rows"),
            unwritten: Store::new(1, "unwritten"),
            unwritten_rows: Store::new(2, "unwritten_rows"),
        }
    }

    fn close(&mut self, close: FileClose, now: TimestampMillis, output: &mut Output) -> Result<(), ProcessError> {
        let name = &close.file_name;
        let (mut content, mut rows, mut sum) = (String::new(), 0, 0);
        for (_, WaitingRow { line }) in self.rows.range((name.clone(), 0)..=(name.clone(), i32::MAX)) {
            self.push_line(&mut content, line);
            sum = checksum(sum, line);
            rows += 1;
        }
        if rows != close.rows || i64::from(sum) != close.crc32c {
            let text = format!("{name}: {rows} of {} rows, or other rows than were sent", close.rows);
            return Err(ProcessError::Stop(text));
        }
        let in_the_way = self.write(name, &content)?;
        for row in 0..rows {
            let key = (name.clone(), row);
            if let Some(line) = self.rows.get(&key).filter(|_| in_the_way.is_some()) {
                self.unwritten_rows.put(((name.clone(), close.crc32c), row), line.clone());
            }
            self.rows.delete(key);
        }
        match in_the_way {
            None => self.report(close, output),
            Some(reason) => self.keep(close, reason, now, output),
        }
        Ok(())
    }

    fn push_line(&self, content: &mut String, line: &str) {
        content.push_str(line);
        content.push_str(self.settings.line_end);
    }

    /// Writes a file. Returns what is in its way.
    fn write(&self, name: &str, content: &str) -> Result<Option<String>, ProcessError> {
        match self.sink.write(name, content.as_bytes()) {
            Ok(()) => Ok(None),
            Err(NotWritten::InTheWay(reason)) => Ok(Some(reason)),
            Err(NotWritten::Unavailable(reason)) => {
                Err(ProcessError::Retry(format!("{name} cannot be written: {reason}")))
            }
        }
    }

    /// Keeps a file until its name is free, and reports it: at first, when the reason changes, and each hour.
    fn keep(&mut self, close: FileClose, reason: String, now: TimestampMillis, output: &mut Output) {
        let file_name = close.file_name.clone();
        let file: Unwritten = (file_name.clone(), close.crc32c);
        let said = self.unwritten.get(&file);
        if said.is_none_or(|said| said.reason != reason || now - said.reported_at >= REMINDER_MILLIS) {
            let alert = framed::alert(Severity::Error, "file-in-the-way", &file_name, reason.clone());
            framed::send(&self.codec, output, self.settings.events, file_name.as_bytes(), &alert);
            self.unwritten.put(file, UnwrittenFile { close, reason, reported_at: now });
        }
        let retry = FileRetry { file_name };
        framed::send(&self.codec, output, self.settings.retries, retry.file_name.as_bytes(), &retry);
    }

    /// Writes the files that wait for this name, the first that can be.
    fn retry(&mut self, file_name: &str, now: TimestampMillis, output: &mut Output) -> Result<(), ProcessError> {
        let keys = (file_name.to_owned(), i64::MIN)..=(file_name.to_owned(), i64::MAX);
        let waiting: Vec<(Unwritten, FileClose)> =
            self.unwritten.range(keys).map(|(file, unwritten)| (file.clone(), unwritten.close.clone())).collect();
        for (file, close) in waiting {
            let keys = (file.clone(), 0)..=(file.clone(), i32::MAX);
            let mut content = String::new();
            self.unwritten_rows.range(keys).for_each(|(_, row)| self.push_line(&mut content, &row.line));
            if let Some(reason) = self.write(file_name, &content)? {
                self.keep(close, reason, now, output);
                continue;
            }
            for row in 0..close.rows {
                self.unwritten_rows.delete((file.clone(), row));
            }
            self.unwritten.delete(file);
            self.report(close, output);
        }
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
            RecordType::TributaryFileClose => self.close(framed.read()?, record.timestamp, output),
            RecordType::TributaryFileRetry => {
                let retry = framed.read::<FileRetry>()?;
                self.retry(&retry.file_name, record.timestamp, output)
            }
            _ => Err(framed::unexpected(&framed)),
        }
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![&mut self.rows, &mut self.unwritten, &mut self.unwritten_rows]
    }
}

#[cfg(test)]
mod tests;
