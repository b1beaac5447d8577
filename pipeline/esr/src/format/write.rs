//! Writing rows by layout. A template knows the columns of one record type, and the caller passes the values.

use std::fmt;

use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};

use super::ascii::push_ascii;
use super::layout::{Column, ColumnKind, RecordLayout, RecordType};
use super::value::{parse_date, parse_timestamp, push_date, push_timestamp};

/// How lines end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineEnd {
    /// Line feed.
    #[default]
    Lf,
    /// Carriage return and line feed.
    Crlf,
}

impl LineEnd {
    /// The bytes at the end of each line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::Crlf => "\r\n",
        }
    }
}

/// How text outside ASCII is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// As UTF-8, without a byte order mark.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// As ASCII: letters without their diacritics, and `?` for characters without an ASCII form.
    AsciiTranslit,
}

/// A value for a column. A text is also accepted as a number (digits) or as a date (`YYYYMMDD` or `YYYY-MM-DD`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Value<'a> {
    /// Nothing.
    #[default]
    Empty,
    /// A text, or another value in the form of a text.
    Text(&'a str),
    /// A number.
    Number(i64),
    /// A date.
    Date(Date),
    /// A moment of London time.
    Timestamp(DateTime),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<Date> for Value<'_> {
    fn from(date: Date) -> Self {
        Self::Date(date)
    }
}

impl From<DateTime> for Value<'_> {
    fn from(moment: DateTime) -> Self {
        Self::Timestamp(moment)
    }
}

impl<'a, T> From<Option<T>> for Value<'a>
where
    Value<'a>: From<T>,
{
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Empty, Value::from)
    }
}

/// A value that could not be written unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteWarning {
    /// The column.
    pub column: String,
    /// What happened to it.
    pub kind: WriteWarningKind,
}

/// How a written value differs from the value that was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WriteWarningKind {
    /// The value is longer than the column. It was cut.
    Cut,
    /// The value does not have the kind of the column. The column is blank.
    WrongKind,
    /// The column is mandatory and blank.
    MandatoryBlank,
}

impl WriteWarningKind {
    /// The code of its alert.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Cut => "value-cut",
            Self::WrongKind => "value-not-written",
            Self::MandatoryBlank => "mandatory-value-blank",
        }
    }
}

/// The end of a sentence that starts with the name of the column.
impl fmt::Display for WriteWarningKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Cut => "was too long and has been cut",
            Self::WrongKind => "does not fit the kind of the column and is blank",
            Self::MandatoryBlank => "is mandatory and blank",
        })
    }
}

impl fmt::Display for WriteWarning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.column, self.kind)
    }
}

/// A line without its line end, and a warning for each value that could not be written unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct WrittenLine {
    /// The line.
    pub text: String,
    /// The warnings, in the order of the columns.
    pub warnings: Vec<WriteWarning>,
}

/// The layout of the record type does not have this column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{record_type} has no column `{column}`")]
pub struct UnknownColumn {
    /// The record type.
    pub record_type: RecordType,
    /// The name.
    pub column: String,
}

/// The source of the content of a column.
#[derive(Clone, Debug)]
enum Content {
    /// The value at this index of the caller's list.
    Given(usize),
    /// The same text in each record.
    Constant(String),
    /// Nothing.
    Nothing,
}

impl Content {
    fn value<'a>(&'a self, given: &[Value<'a>]) -> Value<'a> {
        match self {
            Self::Given(index) => given.get(*index).copied().unwrap_or(Value::Empty),
            Self::Constant(text) => Value::Text(text),
            Self::Nothing => Value::Empty,
        }
    }
}

/// The columns of a record type, matched once with the names of the caller's values.
#[derive(Clone, Debug)]
pub struct LineTemplate {
    record_type: RecordType,
    columns: Vec<(Column, Content)>,
    values: usize,
}

impl LineTemplate {
    /// Matches `names` with the columns of `layout`. A name that is not in the layout is left out of the file, because
    /// a user's layout may drop columns. A column that is not in `names` is written blank.
    pub fn new(layout: &RecordLayout, names: &[&str]) -> Self {
        let content = |index: usize, column: &Column| {
            if index == 0 {
                return Content::Constant(layout.record_type.as_str().to_owned());
            }
            if let Some(value) = &column.value {
                return Content::Constant(value.clone());
            }
            if column.kind == ColumnKind::Opaque {
                return Content::Nothing;
            }
            names.iter().position(|name| *name == column.name).map_or(Content::Nothing, Content::Given)
        };
        let columns = layout.columns.iter().enumerate().map(|(index, column)| (column.clone(), content(index, column)));
        Self { record_type: layout.record_type, columns: columns.collect(), values: names.len() }
    }

    /// Like [`Self::new`], but every name must be in the layout. Used for the built-in layouts, in which a missing name
    /// is a bug.
    ///
    /// # Errors
    /// The first name that is not in the layout.
    pub fn strict(layout: &RecordLayout, names: &[&str]) -> Result<Self, UnknownColumn> {
        for name in names {
            if layout.index_of(name).is_none() {
                return Err(UnknownColumn { record_type: layout.record_type, column: (*name).to_owned() });
            }
        }
        Ok(Self::new(layout, names))
    }

    /// The record type that this template writes.
    pub fn record_type(&self) -> RecordType {
        self.record_type
    }

    /// Appends one row without its line end. `values` have the order of the names passed to [`Self::new`]. Values that
    /// are missing at the end are blank.
    #[must_use = "a person must learn of each value that could not be written unchanged"]
    pub fn write(&self, encoding: Encoding, values: &[Value<'_>], out: &mut String) -> Vec<WriteWarning> {
        debug_assert!(values.len() <= self.values, "{} takes {} values", self.record_type, self.values);
        let mut warnings = Vec::new();
        for (index, (column, content)) in self.columns.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            if let Some(kind) = push_column(out, column, encoding, content.value(values)) {
                warnings.push(WriteWarning { column: column.name.clone(), kind });
            }
        }
        warnings
    }

    /// The first mandatory column whose value would not be written unchanged. Such a record is not complete (5.2).
    pub fn incomplete(&self, encoding: Encoding, values: &[Value<'_>]) -> Option<WriteWarning> {
        let mut written = String::new();
        self.columns.iter().filter(|(column, _)| column.mandatory).find_map(|(column, content)| {
            written.clear();
            let kind = push_column(&mut written, column, encoding, content.value(values))?;
            Some(WriteWarning { column: column.name.clone(), kind })
        })
    }
}

/// Appends one column. Returns a warning if the value could not be written unchanged.
fn push_column(out: &mut String, column: &Column, encoding: Encoding, value: Value<'_>) -> Option<WriteWarningKind> {
    let start = out.len();
    let lost = match column.kind {
        ColumnKind::Text => push_text(out, column.max, encoding, value),
        ColumnKind::Number => push_number(out, column.max, value),
        ColumnKind::Date => push_date_column(out, value),
        ColumnKind::Timestamp => push_timestamp_column(out, value),
        ColumnKind::Literal => push_literal(out, column.max, value),
        ColumnKind::Opaque => None,
    };
    let blank = out.len() == start || &out[start..] == "\"\"";
    if lost.is_none() && column.mandatory && blank { Some(WriteWarningKind::MandatoryBlank) } else { lost }
}

fn push_text(out: &mut String, max: usize, encoding: Encoding, value: Value<'_>) -> Option<WriteWarningKind> {
    out.push('"');
    let lost = match value {
        Value::Empty => None,
        Value::Text(text) => push_quoted(out, max, encoding, text),
        Value::Number(number) => push_quoted(out, max, encoding, &number.to_string()),
        Value::Date(date) => {
            push_date(out, date);
            None
        }
        Value::Timestamp(moment) => {
            push_timestamp(out, moment);
            None
        }
    };
    out.push('"');
    lost
}

/// Appends the content of a quoted field. Quotes are doubled. A control character or a line break becomes one space.
fn push_quoted(out: &mut String, max: usize, encoding: Encoding, text: &str) -> Option<WriteWarningKind> {
    let mut transliterated = String::new();
    let text = if encoding == Encoding::AsciiTranslit && !text.is_ascii() {
        push_ascii(&mut transliterated, text);
        transliterated.as_str()
    } else {
        text
    };
    let mut characters = text.chars().peekable();
    let mut written = 0;
    while let Some(character) = characters.next() {
        if written == max {
            return Some(WriteWarningKind::Cut);
        }
        written += 1;
        match character {
            '"' => out.push_str("\"\""),
            '\r' => {
                characters.next_if_eq(&'\n');
                out.push(' ');
            }
            '\u{2028}' | '\u{2029}' => out.push(' '),
            other if other.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    None
}

fn push_number(out: &mut String, max: usize, value: Value<'_>) -> Option<WriteWarningKind> {
    let formatted;
    let digits = match value {
        Value::Empty => return None,
        Value::Text(text) => text.trim(),
        Value::Number(number) => {
            formatted = number.to_string();
            formatted.as_str()
        }
        Value::Date(_) | Value::Timestamp(_) => return Some(WriteWarningKind::WrongKind),
    };
    // A number that is too long is not cut, because it would become another number.
    if digits.len() > max || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(WriteWarningKind::WrongKind);
    }
    out.push_str(digits);
    None
}

fn push_date_column(out: &mut String, value: Value<'_>) -> Option<WriteWarningKind> {
    let date = match value {
        Value::Empty => return None,
        Value::Text(text) if text.trim().is_empty() => return None,
        Value::Text(text) => parse_date(text).or_else(|| text.parse().ok()),
        Value::Date(date) => Some(date),
        Value::Timestamp(moment) => Some(moment.date()),
        Value::Number(_) => None,
    };
    let Some(date) = date else {
        return Some(WriteWarningKind::WrongKind);
    };
    push_date(out, date);
    None
}

fn push_timestamp_column(out: &mut String, value: Value<'_>) -> Option<WriteWarningKind> {
    let moment = match value {
        Value::Empty => return None,
        Value::Text(text) if text.trim().is_empty() => return None,
        Value::Text(text) => parse_timestamp(text),
        Value::Timestamp(moment) => Some(moment),
        Value::Date(_) | Value::Number(_) => None,
    };
    let Some(moment) = moment else {
        return Some(WriteWarningKind::WrongKind);
    };
    push_timestamp(out, moment);
    None
}

/// Appends a literal, which is a word of the exchange itself. A text that could break the line is refused.
fn push_literal(out: &mut String, max: usize, value: Value<'_>) -> Option<WriteWarningKind> {
    let word = match value {
        Value::Empty => return None,
        Value::Text(text) => text.trim(),
        Value::Number(_) | Value::Date(_) | Value::Timestamp(_) => return Some(WriteWarningKind::WrongKind),
    };
    let harmless = word.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',' && byte != b'"');
    if !harmless || word.len() > max {
        return Some(WriteWarningKind::WrongKind);
    }
    out.push_str(word);
    None
}
