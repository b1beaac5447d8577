//! The lines that ESR sends as typed records, and the check of a file's header and trailer.

use std::borrow::Cow;
use std::fmt;

use jiff::civil::DateTime;

use super::columns::{InboundLayouts, PositionColumns};
use super::layout::{ColumnKind, RecordType};
use super::office::Office;
use super::read::{Fields, Line, decode};
use super::value::{parse_date, parse_timestamp};

/// Longest record type that is repeated in a report.
const REPORTED_TYPE: usize = 3;

/// Whether ESR changed or deleted a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indicator {
    /// `C`
    Change,
    /// `D`
    Delete,
}

impl Indicator {
    /// The letter in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Change => "C",
            Self::Delete => "D",
        }
    }
}

/// Something about an accepted line that is worth an RTC row (SUCCESS / INFO).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The line is not UTF-8 and was read as Windows-1252 (D3).
    NotUtf8,
    /// The managing office differs from the office of the file (D6).
    OtherOffice(String),
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => formatter.write_str("the line is not UTF-8 and was read as Windows-1252"),
            Self::OtherOffice(office) => {
                write!(formatter, "the managing office is {office}, not the office of the file")
            }
        }
    }
}

/// A POS line. Texts are trimmed and may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionLine<'a> {
    /// Column 02.
    pub position_id: i64,
    /// Column 04.
    pub indicator: Option<Indicator>,
    /// Column 05, digits.
    pub number: Option<Cow<'a, str>>,
    /// Column 06.
    pub staff_group: Cow<'a, str>,
    /// Column 07.
    pub position_title: Cow<'a, str>,
    /// Column 08.
    pub occupation_code: Cow<'a, str>,
    /// Column 09.
    pub area_of_work: Cow<'a, str>,
    /// Column 10, as ESR wrote it (D21). Blank is for the position stage to judge (D5).
    pub dpn: Cow<'a, str>,
    /// Column 11.
    pub managing_office: Cow<'a, str>,
    /// Column 12.
    pub ods_code: Cow<'a, str>,
    /// Column 13.
    pub grade_trust: Cow<'a, str>,
    /// Column 14.
    pub grade_payscale: Cow<'a, str>,
    /// Column 15.
    pub grade_description: Cow<'a, str>,
    /// Column 16.
    pub workplace_organisation: Cow<'a, str>,
    /// What is worth a note.
    pub notes: Vec<Note>,
}

/// A POR line. Texts are trimmed and may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconciliationLine<'a> {
    /// Column 02.
    pub position_id: i64,
    /// Column 04.
    pub indicator: Option<Indicator>,
    /// Column 05, digits.
    pub number: Option<Cow<'a, str>>,
    /// Column 06.
    pub position_title: Cow<'a, str>,
    /// Column 07, as ESR wrote it (D21). Blank is for the position stage to judge (D5).
    pub dpn: Cow<'a, str>,
    /// Column 08.
    pub managing_office: Cow<'a, str>,
    /// Column 09.
    pub host_lead_indicator: Cow<'a, str>,
    /// Column 10.
    pub ods_code: Cow<'a, str>,
    /// Column 11, text for the sake of leading zeros.
    pub employing_vpd: Cow<'a, str>,
    /// Column 12.
    pub esr_organisation: Cow<'a, str>,
    /// Column 13.
    pub esr_location: Cow<'a, str>,
    /// What is worth a note.
    pub notes: Vec<Note>,
}

/// A line of the ASG family, which is parsed and counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonLine<'a> {
    /// ASG, PER, ADD, ABS or PBD.
    pub record_type: RecordType,
    /// Assignment id of an ASG, else person id; as written.
    pub id: Cow<'a, str>,
    /// What is worth a note.
    pub notes: Vec<Note>,
}

/// A header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderLine<'a> {
    /// The file name in it.
    pub file_name: Cow<'a, str>,
    /// The office in it.
    pub office: Cow<'a, str>,
    /// When the file was made, if that is readable.
    pub created: Option<DateTime>,
}

/// A trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrailerLine {
    /// The count in it; `None` when it is not a number.
    pub count: Option<u64>,
}

/// A line that cannot be taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The first field, cut to three characters; may be empty.
    pub record_type: String,
    /// Position or person id, as far as it could be read.
    pub id: Option<i64>,
    /// DPN, as far as it could be read.
    pub dpn: String,
    /// The column that is wrong, counted from 1; 0 when it is the line as a whole.
    pub column: u32,
    /// What is wrong.
    pub reason: String,
}

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// POS
    Position(PositionLine<'a>),
    /// POR
    Reconciliation(ReconciliationLine<'a>),
    /// ASG, PER, ADD, ABS, PBD
    Person(PersonLine<'a>),
    /// HDR
    Header(HeaderLine<'a>),
    /// TRL
    Trailer(TrailerLine),
    /// Nothing but blanks.
    Blank,
    /// Not one of ours, or wrong.
    Rejected(Rejection),
}

/// Parses the lines of one file; holds the buffer for their fields.
#[derive(Clone, Debug)]
pub struct LineParser<'l> {
    layouts: &'l InboundLayouts,
    office: Office,
    fields: Fields,
}

/// Parses one line. For many lines a [`LineParser`] spares the buffer.
pub fn parse_line<'a>(line: Line<'a>, office: Office, layouts: &InboundLayouts) -> Parsed<'a> {
    LineParser::new(layouts, office).parse(line)
}

impl<'l> LineParser<'l> {
    /// A parser for the lines of a file of `office`.
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
            return Parsed::Rejected(self.rejection(text, error.column, error.to_string()));
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

    /// What POS and POR have in common and D4 judges.
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

    /// The number of columns, and the dates.
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

    /// A field without the blanks around it; empty when there is none.
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
        let id = self.text(line, columns.map_or(Some(1), |columns| columns.position_id));
        // With a column too many or too few nobody knows which one is the DPN.
        let whole = known.is_some_and(|known| self.fields.len() == self.layouts.record(known).columns.len());
        let dpn = columns.filter(|_| whole).map(|columns| self.text(line, columns.dpn)).unwrap_or_default();
        Rejection {
            record_type: record_type.chars().take(REPORTED_TYPE).collect(),
            id: number(&id, 15).and_then(|digits| digits.parse().ok()),
            dpn: dpn.into_owned(),
            column,
            reason,
        }
    }

    /// An over-long line is not split; what stands before its first comma is its type.
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

fn own(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

impl Parsed<'_> {
    /// The same, independent of the bytes that were read.
    pub fn into_owned(self) -> Parsed<'static> {
        match self {
            Self::Position(line) => Parsed::Position(line.into_owned()),
            Self::Reconciliation(line) => Parsed::Reconciliation(line.into_owned()),
            Self::Person(line) => {
                Parsed::Person(PersonLine { record_type: line.record_type, id: own(line.id), notes: line.notes })
            }
            Self::Header(line) => Parsed::Header(HeaderLine {
                file_name: own(line.file_name),
                office: own(line.office),
                created: line.created,
            }),
            Self::Trailer(line) => Parsed::Trailer(line),
            Self::Blank => Parsed::Blank,
            Self::Rejected(rejection) => Parsed::Rejected(rejection),
        }
    }

    fn add_note(&mut self, note: Note) {
        match self {
            Self::Position(line) => line.notes.push(note),
            Self::Reconciliation(line) => line.notes.push(note),
            Self::Person(line) => line.notes.push(note),
            Self::Header(_) | Self::Trailer(_) | Self::Blank | Self::Rejected(_) => {}
        }
    }
}

impl PositionLine<'_> {
    /// The same, independent of the bytes that were read.
    pub fn into_owned(self) -> PositionLine<'static> {
        PositionLine {
            position_id: self.position_id,
            indicator: self.indicator,
            number: self.number.map(own),
            staff_group: own(self.staff_group),
            position_title: own(self.position_title),
            occupation_code: own(self.occupation_code),
            area_of_work: own(self.area_of_work),
            dpn: own(self.dpn),
            managing_office: own(self.managing_office),
            ods_code: own(self.ods_code),
            grade_trust: own(self.grade_trust),
            grade_payscale: own(self.grade_payscale),
            grade_description: own(self.grade_description),
            workplace_organisation: own(self.workplace_organisation),
            notes: self.notes,
        }
    }
}

impl ReconciliationLine<'_> {
    /// The same, independent of the bytes that were read.
    pub fn into_owned(self) -> ReconciliationLine<'static> {
        ReconciliationLine {
            position_id: self.position_id,
            indicator: self.indicator,
            number: self.number.map(own),
            position_title: own(self.position_title),
            dpn: own(self.dpn),
            managing_office: own(self.managing_office),
            host_lead_indicator: own(self.host_lead_indicator),
            ods_code: own(self.ods_code),
            employing_vpd: own(self.employing_vpd),
            esr_organisation: own(self.esr_organisation),
            esr_location: own(self.esr_location),
            notes: self.notes,
        }
    }
}
