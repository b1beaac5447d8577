//! Parses a line from ESR into a typed record: which lines are accepted, noted or rejected (D3 to D6).

use std::borrow::Cow;

use super::Office;
use super::columns::{InboundLayouts, PositionColumns};
use super::layout::{ColumnKind, RecordType};
pub use super::parsed::{
    HeaderLine, Indicator, Note, Parsed, PersonLine, PositionLine, ReconciliationLine, Rejection, TrailerLine,
};
use super::read::{Fields, Line, decode};
use super::value::{parse_date, parse_timestamp};

/// Characters of an unknown record type that a rejection repeats.
const REPORTED_TYPE: usize = 3;

/// Parses the lines of one file, with one buffer for the fields of all lines.
#[derive(Clone, Debug)]
pub struct LineParser<'l> {
    layouts: &'l InboundLayouts,
    office: Office,
    fields: Fields,
}

/// Parses one line. For many lines, a [`LineParser`] reuses its buffer.
pub fn parse_line<'a>(line: Line<'a>, office: Office, layouts: &InboundLayouts) -> Parsed<'a> {
    LineParser::new(layouts, office).parse(line)
}

impl<'l> LineParser<'l> {
    /// Creates a parser for the lines of a file of `office`.
    pub fn new(layouts: &'l InboundLayouts, office: Office) -> Self {
        Self { layouts, office, fields: Fields::new() }
    }

    /// Parses one line by the rules of D3, D4 and D6.
    pub fn parse<'a>(&mut self, line: Line<'a>) -> Parsed<'a> {
        if line.is_blank() {
            return Parsed::Blank;
        }
        if line.bytes.len() > self.layouts.line_limit {
            return Parsed::Rejected(self.too_long(line.bytes));
        }
        match decode(line.bytes) {
            (Cow::Borrowed(text), true) => self.parse_text(text),
            (text, utf8) => {
                let mut parsed = self.parse_text(&text).into_owned();
                if !utf8 {
                    parsed.add_note(Note::NotUtf8);
                }
                parsed
            }
        }
    }

    fn parse_text<'a>(&mut self, text: &'a str) -> Parsed<'a> {
        let split = self.fields.split(text);
        if let Err(error) = split {
            let unsplit = self.rejection(text, error.column, error.to_string());
            return Parsed::Rejected(Rejection { id: None, dpn: String::new(), ..unsplit });
        }
        let record_type = self.text(text, Some(0));
        let parsed = match RecordType::parse(&record_type) {
            Some(RecordType::Pos) => self.position(text),
            Some(RecordType::Por) => self.reconciliation(text),
            Some(RecordType::Hdr) => self.header(text),
            Some(RecordType::Trl) => self.trailer(text),
            Some(
                person @ (RecordType::Asg | RecordType::Per | RecordType::Add | RecordType::Abs | RecordType::Pbd),
            ) => self.person(text, person),
            _ => Err(Wrong::new(1, "the record type is unknown")),
        };
        parsed.unwrap_or_else(|wrong| Parsed::Rejected(self.rejection(text, wrong.column, wrong.reason)))
    }

    fn position<'a>(&self, line: &'a str) -> Result<Parsed<'a>, Wrong> {
        let columns = &self.layouts.position;
        let key = self.position_key(line, columns)?;
        let text = |index| self.text(line, index);
        Ok(Parsed::Position(PositionLine {
            position_id: key.position_id,
            indicator: key.indicator,
            number: key.number,
            staff_group: text(columns.staff_group),
            position_title: text(columns.position_title),
            occupation_code: text(columns.occupation_code),
            area_of_work: text(columns.area_of_work),
            dpn: key.dpn,
            managing_office: key.managing_office,
            ods_code: text(columns.ods_code),
            grade_trust: text(columns.grade_trust),
            grade_payscale: text(columns.grade_payscale),
            grade_description: text(columns.grade_description),
            workplace_organisation: text(columns.workplace_organisation),
            notes: key.notes,
        }))
    }

    fn reconciliation<'a>(&self, line: &'a str) -> Result<Parsed<'a>, Wrong> {
        let columns = &self.layouts.reconciliation;
        let key = self.position_key(line, columns)?;
        let text = |index| self.text(line, index);
        Ok(Parsed::Reconciliation(ReconciliationLine {
            position_id: key.position_id,
            indicator: key.indicator,
            number: key.number,
            position_title: text(columns.position_title),
            dpn: key.dpn,
            managing_office: key.managing_office,
            host_lead_indicator: text(columns.host_lead_indicator),
            ods_code: text(columns.ods_code),
            employing_vpd: text(columns.employing_vpd),
            esr_organisation: text(columns.esr_organisation),
            esr_location: text(columns.esr_location),
            notes: key.notes,
        }))
    }

    /// Parses and checks the columns that POS and POR share (D4).
    fn position_key<'a>(&self, line: &'a str, columns: &PositionColumns) -> Result<PositionKey<'a>, Wrong> {
        self.check_record(line, columns.record_type)?;
        let id_text = self.text(line, columns.position_id);
        let position_id = number(&id_text, columns.position_id_max)
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| Wrong::at(columns.position_id, "the position id is not a number of up to 15 digits"))?;
        let indicator = match self.text(line, columns.indicator).as_ref() {
            "" => None,
            "C" => Some(Indicator::Change),
            "D" => Some(Indicator::Delete),
            _ => return Err(Wrong::at(columns.indicator, "the indicator is not C, D or blank")),
        };
        let number_text = self.text(line, columns.position_number);
        let number = match number_text.as_ref() {
            "" => None,
            text if number(text, columns.position_number_max).is_some() => Some(number_text),
            _ => {
                let reason = "the position number is not a number of up to 10 digits";
                return Err(Wrong::at(columns.position_number, reason));
            }
        };
        let dpn = self.text(line, columns.dpn);
        if dpn.chars().count() > columns.dpn_max {
            return Err(Wrong::at(columns.dpn, format!("the DPN has more than {} characters", columns.dpn_max)));
        }
        let managing_office = self.text(line, columns.managing_office);
        let mut notes = Vec::new();
        if !managing_office.is_empty() && managing_office != self.office.as_str() {
            notes.push(Note::OtherOffice(managing_office.clone().into_owned()));
        }
        Ok(PositionKey { position_id, indicator, number, dpn, managing_office, notes })
    }

    fn person<'a>(&self, line: &'a str, record_type: RecordType) -> Result<Parsed<'a>, Wrong> {
        self.check_record(line, record_type)?;
        Ok(Parsed::Person(PersonLine { record_type, id: self.text(line, Some(1)), notes: Vec::new() }))
    }

    fn header<'a>(&self, line: &'a str) -> Result<Parsed<'a>, Wrong> {
        self.check_count(RecordType::Hdr)?;
        let columns = &self.layouts.header;
        Ok(Parsed::Header(HeaderLine {
            file_name: self.text(line, columns.file_name),
            office: self.text(line, columns.office),
            created: parse_timestamp(&self.text(line, columns.created)),
        }))
    }

    fn trailer<'a>(&self, line: &'a str) -> Result<Parsed<'a>, Wrong> {
        self.check_count(RecordType::Trl)?;
        let count = self.text(line, self.layouts.trailer_count);
        let count = number(&count, usize::MAX).and_then(|digits| digits.parse().ok());
        Ok(Parsed::Trailer(TrailerLine { count }))
    }

    /// Checks the number of columns, and the dates.
    fn check_record(&self, line: &str, record_type: RecordType) -> Result<(), Wrong> {
        self.check_count(record_type)?;
        let layout = self.layouts.record(record_type);
        for (index, column) in layout.columns.iter().enumerate() {
            if column.kind != ColumnKind::Date {
                continue;
            }
            let text = self.text(line, Some(index));
            if !text.is_empty() && parse_date(&text).is_none() {
                let reason = format!("`{}` is not a date in the form YYYYMMDD", column.name);
                return Err(Wrong::at(Some(index), reason));
            }
        }
        Ok(())
    }

    fn check_count(&self, record_type: RecordType) -> Result<(), Wrong> {
        let layout = self.layouts.record(record_type);
        let found = self.fields.len();
        let expected = layout.columns.len();
        if layout.columns_exact && found != expected {
            let column = found.min(expected) + 1;
            return Err(Wrong::new(column, format!("{record_type} has {expected} columns, found {found}")));
        }
        let needed = layout.columns.iter().rposition(|column| column.mandatory).map_or(0, |last| last + 1);
        if found < needed {
            return Err(Wrong::new(found + 1, format!("{record_type} has at least {needed} columns, found {found}")));
        }
        Ok(())
    }

    /// A field without outer blanks. A missing field is empty.
    fn text<'a>(&self, line: &'a str, index: Option<usize>) -> Cow<'a, str> {
        match index.and_then(|index| self.fields.get(line, index)) {
            None => Cow::Borrowed(""),
            Some(Cow::Borrowed(text)) => Cow::Borrowed(text.trim()),
            Some(Cow::Owned(text)) => Cow::Owned(text.trim().to_owned()),
        }
    }

    fn rejection(&self, line: &str, column: u32, reason: String) -> Rejection {
        let record_type = self.text(line, Some(0));
        let known = RecordType::parse(&record_type);
        let columns = match known {
            Some(RecordType::Pos) => Some(&self.layouts.position),
            Some(RecordType::Por) => Some(&self.layouts.reconciliation),
            _ => None,
        };
        // The columns of an unknown record type are unknown.
        let id_column = columns.map_or(Some(1), |columns| columns.position_id).filter(|_| known.is_some());
        let id = self.text(line, id_column);
        // With a wrong number of columns, the DPN may be in any of them.
        let whole = known.is_some_and(|known| self.fields.len() == self.layouts.record(known).columns.len());
        let dpn = columns
            .filter(|_| whole)
            .map(|columns| (self.text(line, columns.dpn), columns.dpn_max))
            .filter(|(dpn, most)| dpn.chars().count() <= *most)
            .map(|(dpn, _)| dpn)
            .unwrap_or_default();
        Rejection {
            record_type: record_type.chars().take(REPORTED_TYPE).collect(),
            id: number(&id, 15).and_then(|digits| digits.parse().ok()),
            dpn: dpn.into_owned(),
            column,
            reason,
        }
    }

    /// Rejects a line that is too long, without splitting it. Its type is the text before the first comma.
    fn too_long(&self, bytes: &[u8]) -> Rejection {
        let start = bytes.split(|byte| *byte == b',').next().unwrap_or_default();
        let start = String::from_utf8_lossy(&start[..start.len().min(32)]);
        Rejection {
            record_type: start.trim().chars().take(REPORTED_TYPE).collect(),
            id: None,
            dpn: String::new(),
            column: 0,
            reason: format!("the line has {} bytes, more than {}", bytes.len(), self.layouts.line_limit),
        }
    }
}

struct PositionKey<'a> {
    position_id: i64,
    indicator: Option<Indicator>,
    number: Option<Cow<'a, str>>,
    dpn: Cow<'a, str>,
    managing_office: Cow<'a, str>,
    notes: Vec<Note>,
}

struct Wrong {
    column: u32,
    reason: String,
}

impl Wrong {
    fn new(column: usize, reason: impl Into<String>) -> Self {
        Self { column: u32::try_from(column).unwrap_or(u32::MAX), reason: reason.into() }
    }

    fn at(index: Option<usize>, reason: impl Into<String>) -> Self {
        Self::new(index.map_or(0, |index| index + 1), reason)
    }
}

/// `text` if it is a number of at most `max` digits.
fn number(text: &str, max: usize) -> Option<&str> {
    let digits = !text.is_empty() && text.len() <= max && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then_some(text)
}
