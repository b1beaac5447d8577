//! The `writer` stage, keyed by file name: collects the rows of a file and, when it is closed, writes it whole.
//!
//! It runs in a group of its own, because it waits for the outside. Writing is at least once: after a crash the same
//! bytes are written again under the same name.

use tributary_runtime::{Output, ProcessError, Processor, Record, StateStore, Store};
use tributary_schemas::RecordType;
use tributary_schemas::records::tributary::{FileClose, FileEvent, FileRow, FileStatus, FileWritten, Severity};

use crate::context::{Context, unexpected};
use crate::outgoing::checksum;

/// Where files go: the port to the outbox.
pub trait FileSink: Send + Sync {
    /// Writes the whole file under its name, so that nobody ever sees a part of it; an existing file is replaced.
    ///
    /// # Errors
    /// A sentence that says what could not be written, why, and what to do; the write is tried again.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), String>;
}

/// The processor of one partition.
pub struct Writer {
    context: Context,
    sink: std::sync::Arc<dyn FileSink>,
    rows: Store<(String, i32), String>,
}

impl Writer {
    /// A task without state yet.
    pub fn new(context: Context, sink: std::sync::Arc<dyn FileSink>) -> Self {
        Self { context, sink, rows: Store::new() }
    }

    fn close(&mut self, close: &FileClose, output: &mut Output) -> Result<(), ProcessError> {
        let keys = (close.file_name.clone(), 0)..=(close.file_name.clone(), i32::MAX);
        let line_end = self.context.templates.line_end.as_str();
        let mut content = String::new();
        let (mut rows, mut sum) = (0, 0);
        for (_, line) in self.rows.range(keys) {
            content.push_str(line);
            content.push_str(line_end);
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
        self.tell(close, output);
        Ok(())
    }

    fn tell(&self, close: &FileClose, output: &mut Output) {
        if close.acknowledged {
            let written = FileWritten { file_name: close.file_name.clone(), party: close.party.clone() };
            let key = format!("{}/written/{}", close.party, close.file_name);
            self.context.send_export(output, &close.party, &key, &written);
        }
        let event = FileEvent {
            file_name: close.file_name.clone(),
            party: close.party.clone(),
            kind: close.kind.clone(),
            number: close.number,
            status: FileStatus::Written,
            rows: i64::from(close.rows) - 2,
            ..FileEvent::default()
        };
        self.context.file_event(output, &event);
    }
}

impl Processor for Writer {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let framed = self.context.open(record)?;
        match framed.record_type() {
            RecordType::TributaryFileRow => {
                let row = framed.read::<FileRow>()?;
                self.rows.put((row.file_name, row.row), row.line);
                Ok(())
            }
            RecordType::TributaryFileClose => {
                let close = framed.read::<FileClose>()?;
                let closed = self.close(&close, output);
                if let Err(ProcessError::Retry(reason)) = &closed {
                    tracing::warn!(file = %close.file_name, severity = ?Severity::Error, %reason, "file cannot be written");
                }
                closed
            }
            _ => Err(unexpected(&framed)),
        }
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![&mut self.rows]
    }
}

#[cfg(test)]
mod tests;
