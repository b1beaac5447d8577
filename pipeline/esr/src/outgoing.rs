//! Sending a whole outgoing file to the writer: rows one per record, then a closing record with their count and hash.

use tributary_runtime::Output;
use tributary_schemas::records::esr::FileKind;
use tributary_schemas::records::tributary::{FileClose, FileRow};

use crate::context::{Context, london_time};
use crate::format::FileName;
use crate::topics;

/// A file on its way to the writer.
pub(crate) struct OutgoingFile<'a> {
    context: &'a Context,
    file_name: String,
    rows: i32,
    checksum: u32,
}

/// When a file is created, and the run before it (D51).
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunTimes {
    pub(crate) now: i64,
    pub(crate) previous: Option<i64>,
}

impl<'a> OutgoingFile<'a> {
    /// Starts a file with its header.
    pub(crate) fn start(context: &'a Context, name: &FileName, times: RunTimes, output: &mut Output) -> Self {
        let header = context.templates.header(name, times.previous.map(london_time), london_time(times.now));
        let mut file = Self { context, file_name: name.to_string(), rows: 0, checksum: 0 };
        file.line(header, output);
        file
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, line: String, output: &mut Output) {
        self.line(line, output);
    }

    /// Ends the file with its trailer.
    pub(crate) fn close(mut self, name: &FileName, kind: FileKind, output: &mut Output) {
        let records = u64::from(self.rows.unsigned_abs()).saturating_sub(1);
        self.line(self.context.templates.trailer(records), output);
        let close = FileClose {
            file_name: self.file_name.clone(),
            party: name.office.as_str().to_owned(),
            kind: kind.to_string(),
            number: name.number as i64,
            rows: self.rows,
            crc32c: i64::from(self.checksum),
            acknowledged: kind != FileKind::Rtc,
            counts: Vec::new(),
        };
        self.context.send(output, &topics::WRITER, self.file_name.as_bytes(), &close);
    }

    fn line(&mut self, line: String, output: &mut Output) {
        self.checksum = checksum(self.checksum, &line);
        let row = FileRow { file_name: self.file_name.clone(), row: self.rows, line };
        self.context.send(output, &topics::WRITER, self.file_name.as_bytes(), &row);
        self.rows += 1;
    }
}

/// CRC32C of lines, each followed by LF.
pub(crate) fn checksum(before: u32, line: &str) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(before, line.as_bytes()), b"\n")
}

#[cfg(test)]
mod tests;
