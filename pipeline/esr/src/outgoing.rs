//! Files for ESR, sent to the writer: header, rows, trailer.

use std::collections::BTreeMap;
use std::fmt::Display;

use jiff::civil::DateTime;
use tributary_flow::whole_file::{self, Closing};
use tributary_runtime::{Output, ProcessError};
use tributary_schemas::records::esr::FileKind;
use tributary_schemas::records::tributary::Severity;

use crate::context::{Context, london_time};
use crate::format::{FileName, WriteWarning, WriteWarningKind, WrittenLine};
use crate::topics;

/// Most alerts of one kind that a run raises one by one. One more alert counts the others.
pub(crate) const SINGLE_ALERTS: usize = 100;

/// A file that is being sent to the writer.
pub(crate) struct OutgoingFile<'a> {
    context: &'a Context,
    name: FileName,
    file: whole_file::OutgoingFile<'a>,
    lost: LostValues,
}

/// London times of a file and of the run before it (D51).
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunTimes {
    now: DateTime,
    previous: Option<DateTime>,
}

impl RunTimes {
    /// Converts instants in milliseconds since 1970.
    ///
    /// # Errors
    /// As [`london_time`].
    pub(crate) fn new(now: i64, previous: Option<i64>) -> Result<Self, ProcessError> {
        Ok(Self { now: london_time(now)?, previous: previous.map(london_time).transpose()? })
    }
}

impl<'a> OutgoingFile<'a> {
    /// Starts a file with its header.
    pub(crate) fn start(context: &'a Context, name: FileName, times: RunTimes, output: &mut Output) -> Self {
        let header = context.templates.header(&name, times.previous, times.now);
        let file = whole_file::OutgoingFile::start(&context.codec, &topics::WRITER, name.to_string());
        let mut file = Self { context, name, file, lost: LostValues::default() };
        file.framing_row(&"the header", header, output);
        file
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, line: String, output: &mut Output) {
        self.file.line(line, output);
    }

    /// Adds a row about `subject`, and collects its warnings.
    pub(crate) fn written_row(&mut self, subject: &dyn Display, line: WrittenLine, output: &mut Output) {
        let rule = match self.name.kind {
            FileKind::App => "5.4",
            FileKind::Rtc => "3.4",
            _ => "6.5",
        };
        self.lost.add(rule, subject, line.warnings);
        self.row(line.text, output);
    }

    fn framing_row(&mut self, subject: &dyn Display, line: WrittenLine, output: &mut Output) {
        self.lost.add("2.4", subject, line.warnings);
        self.row(line.text, output);
    }

    /// Counts the last row as one of this type.
    pub(crate) fn count(&mut self, row_type: &str) {
        self.file.count(row_type);
    }

    /// Ends the file with its trailer, and raises alerts about lost values.
    pub(crate) fn close(mut self, kind: FileKind, output: &mut Output) {
        let records = u64::from(self.file.lines().unsigned_abs()).saturating_sub(1);
        self.framing_row(&"the trailer", self.context.templates.trailer(records), output);
        self.lost.raise(self.context, &self.name.to_string(), output);
        let closing = Closing {
            party: self.name.office.to_string(),
            kind: kind.to_string(),
            number: self.name.number as i64,
            // No stage waits for a written RTC: the confirmed file is already processed.
            acknowledged: kind != FileKind::Rtc,
        };
        self.file.close(closing, output);
    }
}

/// Values of a file that could not be written unchanged.
#[derive(Default)]
struct LostValues {
    columns: BTreeMap<LostColumn, LostInColumn>,
}

/// A column with the section that describes it, and what happened to its values.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct LostColumn {
    name: String,
    rule: &'static str,
    kind: WriteWarningKind,
}

/// Values of one column that were changed in the same way.
#[derive(Default)]
struct LostInColumn {
    /// The subjects of the first [`SINGLE_ALERTS`] values.
    subjects: Vec<String>,
    total: usize,
}

impl LostValues {
    fn add(&mut self, rule: &'static str, subject: &dyn Display, warnings: Vec<WriteWarning>) {
        for WriteWarning { column: name, kind } in warnings {
            let lost = self.columns.entry(LostColumn { name, rule, kind }).or_default();
            lost.total += 1;
            if lost.subjects.len() < SINGLE_ALERTS {
                lost.subjects.push(subject.to_string());
            }
        }
    }

    /// Raises one alert for each value, up to [`SINGLE_ALERTS`] in a column. For a column with more values, one further
    /// alert has their number.
    fn raise(&self, context: &Context, file_name: &str, output: &mut Output) {
        for (LostColumn { name: column, rule, kind }, lost) in &self.columns {
            for subject in &lost.subjects {
                let text = format!("{column} of {subject} {kind} in {file_name} ({rule}): correct it in TIS");
                let about = format!("{subject}/{column}");
                context.alert(output, Severity::Warning, kind.code(), &about, text);
            }
            if lost.total > lost.subjects.len() {
                let text = format!("{column} of {} rows of {file_name} {kind} ({rule}): correct it in TIS", lost.total);
                context.alert(output, Severity::Warning, kind.code(), &format!("{file_name}/{column}"), text);
            }
        }
    }
}

#[cfg(test)]
mod tests;
