//! Splits a file into its lines. Each line becomes a record for its position, a count, or a rejection.

use tributary_runtime::{Headers, Output, Record, append_header};
use tributary_schemas::records::esr::{FileChunk, LineVerdict, PositionLine, ReconciliationLine};
use tributary_schemas::records::tributary::Severity;
use tributary_schemas::types::esr::PositionId;

use super::{Inbound, LedgerEntry};
use crate::format::{self, FileName, Indicator, Line, LineParser, LineReader, Note, Parsed, Rejection};
use crate::topics;

/// Header with the file and the line from which a record comes. All records that it causes inherit this header, up to
/// the exported row.
pub(super) const CORRELATION_HEADER: &str = "correlation";

/// One line of a file, while it is being split.
struct At<'a> {
    file: FileName,
    /// The name of the file as text, for the records of its lines.
    file_text: &'a str,
    line: i32,
    bytes: &'a [u8],
}

impl Inbound {
    pub(super) fn split(
        &mut self,
        chunk: &FileChunk,
        entry: &mut LedgerEntry,
        record: &Record<'_>,
        output: &mut Output,
    ) {
        let layouts = std::sync::Arc::clone(&self.context.inbound_layouts);
        let mut parser = LineParser::new(&layouts, chunk.file_name.office);
        let file_text = chunk.file_name.to_string();
        let first = u64::from(chunk.first_line_number.unsigned_abs());
        let mut headers = Vec::new();
        for line in LineReader::new(&chunk.content) {
            let line = Line { number: line.number + first - 1, ..line };
            let parsed = parser.parse(line);
            let at = At { file: chunk.file_name, file_text: &file_text, line: line.number as i32, bytes: line.bytes };
            headers.clear();
            headers.extend_from_slice(record.headers.as_bytes());
            append_header(&mut headers, CORRELATION_HEADER, format!("{file_text}:{}", at.line).as_bytes());
            output.set_headers(Headers::from_bytes(&headers));
            self.take(&at, parsed, entry, output);
        }
    }

    fn take(&mut self, at: &At<'_>, parsed: Parsed<'_>, entry: &mut LedgerEntry, output: &mut Output) {
        match parsed {
            Parsed::Blank | Parsed::Header(_) | Parsed::Trailer(_) => {}
            Parsed::Rejected(rejection) => {
                entry.count(&rejection.record_type).received += 1;
                self.reject(at, rejection, output);
            }
            Parsed::Person(person) => {
                let record_type = person.record_type.as_str();
                accept(entry, record_type);
                self.note(at, record_type, person.id.parse().ok(), "", &person.notes);
            }
            Parsed::Position(line) => {
                accept(entry, "POS");
                self.note(at, "POS", Some(line.position_id), &line.dpn, &line.notes);
                let line = position_line(at, line);
                let key = line.position_id.0.to_be_bytes();
                self.context.send(output, &topics::POSITION_INBOX, &key, &line);
            }
            Parsed::Reconciliation(line) => {
                accept(entry, "POR");
                self.note(at, "POR", Some(line.position_id), &line.dpn, &line.notes);
                let line = reconciliation_line(at, line);
                let key = line.position_id.0.to_be_bytes();
                self.context.send(output, &topics::POSITION_INBOX, &key, &line);
            }
        }
    }

    /// Keeps a rejected line unchanged as a dead letter, with the reason in its headers.
    fn reject(&mut self, at: &At<'_>, rejection: Rejection, output: &mut Output) {
        let mut headers = Vec::new();
        let line = at.line.to_string();
        let column = rejection.column.to_string();
        for (name, value) in [
            ("file", at.file_text),
            ("line", &line),
            ("column", &column),
            ("__connect.errors.stage", "inbound"),
            ("__connect.errors.exception.class.name", "line-rejected"),
            ("__connect.errors.exception.message", &rejection.reason),
        ] {
            append_header(&mut headers, name, value.as_bytes());
        }
        output.set_headers(Headers::from_bytes(&headers));
        let key = format!("{}:{}", at.file_text, at.line);
        output.send(&topics::DEAD_LETTER, key.as_bytes(), |buffer| buffer.extend_from_slice(at.bytes));
        let verdict = LineVerdict {
            line: at.line,
            record_type: rejection.record_type,
            id: rejection.id,
            dpn: rejection.dpn.into(),
            accepted: false,
            severity: Severity::Error,
            column: rejection.column as i32,
            text: rejection.reason,
            overtaken_by: None,
        };
        self.add_verdict(at.file, verdict);
    }

    fn note(&mut self, at: &At<'_>, record_type: &str, id: Option<i64>, dpn: &str, notes: &[Note]) {
        for note in notes {
            let verdict = LineVerdict {
                line: at.line,
                record_type: record_type.to_owned(),
                id,
                dpn: dpn.into(),
                accepted: true,
                severity: Severity::Info,
                column: 0,
                text: note.to_string(),
                overtaken_by: None,
            };
            self.add_verdict(at.file, verdict);
        }
    }
}

fn accept(entry: &mut LedgerEntry, record_type: &str) {
    let counts = entry.count(record_type);
    counts.received += 1;
    counts.accepted += 1;
}

fn position_line(at: &At<'_>, line: format::PositionLine<'_>) -> PositionLine {
    PositionLine {
        file_name: at.file,
        line: at.line,
        office: at.file.office,
        position_id: PositionId(line.position_id),
        delete: line.indicator == Some(Indicator::Delete),
        position_number: line.number.map(std::borrow::Cow::into_owned),
        staff_group: line.staff_group.into_owned(),
        position_title: line.position_title.into_owned(),
        occupation_code: line.occupation_code.into_owned(),
        area_of_work: line.area_of_work.into_owned(),
        dpn: line.dpn.into_owned().into(),
        managing_office: line.managing_office.into_owned(),
        ods_code: line.ods_code.into_owned(),
        grade_trust: line.grade_trust.into_owned(),
        grade_payscale: line.grade_payscale.into_owned(),
        grade_description: line.grade_description.into_owned(),
        workplace_organisation: line.workplace_organisation.into_owned(),
    }
}

fn reconciliation_line(at: &At<'_>, line: format::ReconciliationLine<'_>) -> ReconciliationLine {
    ReconciliationLine {
        file_name: at.file,
        line: at.line,
        office: at.file.office,
        position_id: PositionId(line.position_id),
        delete: line.indicator == Some(Indicator::Delete),
        position_number: line.number.map(std::borrow::Cow::into_owned),
        position_title: line.position_title.into_owned(),
        dpn: line.dpn.into_owned().into(),
        managing_office: line.managing_office.into_owned(),
        host_lead_indicator: line.host_lead_indicator.into_owned(),
        ods_code: line.ods_code.into_owned(),
        employing_vpd: line.employing_vpd.into_owned(),
        esr_organisation: line.esr_organisation.into_owned(),
        esr_location: line.esr_location.into_owned(),
    }
}
