//! The lines from ESR, as typed records. The module `inbound` parses them.

use std::borrow::Cow;
use std::fmt;

use jiff::civil::DateTime;

use super::layout::RecordType;

/// Whether ESR has changed or deleted a position.
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

/// A note about an accepted line. It becomes an RTC row (SUCCESS / INFO).
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
    /// Column 10, as ESR wrote it (D21). The position stage decides about a blank DPN (D5).
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
    /// Notes about the line.
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
    /// Column 07, as ESR wrote it (D21). The position stage decides about a blank DPN (D5).
    pub dpn: Cow<'a, str>,
    /// Column 08.
    pub managing_office: Cow<'a, str>,
    /// Column 09.
    pub host_lead_indicator: Cow<'a, str>,
    /// Column 10.
    pub ods_code: Cow<'a, str>,
    /// Column 11. A text, because of leading zeros.
    pub employing_vpd: Cow<'a, str>,
    /// Column 12.
    pub esr_organisation: Cow<'a, str>,
    /// Column 13.
    pub esr_location: Cow<'a, str>,
    /// Notes about the line.
    pub notes: Vec<Note>,
}

/// A line of the ASG family, which is only parsed and counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonLine<'a> {
    /// ASG, PER, ADD, ABS or PBD.
    pub record_type: RecordType,
    /// The assignment id of an ASG, otherwise the person id, as ESR wrote it.
    pub id: Cow<'a, str>,
    /// Notes about the line.
    pub notes: Vec<Note>,
}

/// A header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderLine<'a> {
    /// The file name in it.
    pub file_name: Cow<'a, str>,
    /// The office in it.
    pub office: Cow<'a, str>,
    /// When the file was made. `None` if the time cannot be read.
    pub created: Option<DateTime>,
}

/// A trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrailerLine {
    /// The count in it. `None` if it is not a number.
    pub count: Option<u64>,
}

/// A line that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The first field, cut to three characters. It may be empty.
    pub record_type: String,
    /// Position or person id, if it could be read.
    pub id: Option<i64>,
    /// DPN, if it could be read.
    pub dpn: String,
    /// The wrong column, counted from 1. 0 if the line as a whole is wrong.
    pub column: u32,
    /// What is wrong.
    pub reason: String,
}

/// A parsed line.
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
    /// A line of blanks only.
    Blank,
    /// A line of an unknown type, or a wrong line.
    Rejected(Rejection),
}

fn own(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

impl Parsed<'_> {
    /// Copies the texts, so that the value no longer borrows from the file.
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

    pub(super) fn add_note(&mut self, note: Note) {
        match self {
            Self::Position(line) => line.notes.push(note),
            Self::Reconciliation(line) => line.notes.push(note),
            Self::Person(line) => line.notes.push(note),
            Self::Header(_) | Self::Trailer(_) | Self::Blank | Self::Rejected(_) => {}
        }
    }
}

impl PositionLine<'_> {
    /// Copies the texts, so that the value no longer borrows from the file.
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
    /// Copies the texts, so that the value no longer borrows from the file.
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
