//! Layouts of the interface records as data: the columns of each record type, their order and their kinds.
//!
//! The public sources do not describe every column, so a user who owns the specification must be able to correct a
//! layout. The built-in layouts are in `config/layouts.toml`. A user's file replaces record types as a whole.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use tributary_flow::configuration::{ConfigurationError, Override, Source, read};

/// The type of a record: the first column of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordType {
    /// Header, the first line of a file.
    Hdr,
    /// Trailer, the last line of a file.
    Trl,
    /// Position information.
    Pos,
    /// Position reconciliation.
    Por,
    /// Assignment of a trainee.
    Asg,
    /// Person.
    Per,
    /// Address of a person.
    Add,
    /// Absence of a person.
    Abs,
    /// Professional body of a person.
    Pbd,
    /// Confirmation of an RMF or RMC.
    Rtc,
    /// Applicant.
    App,
    /// Confirmation of an applicant.
    Apc,
    /// Notification.
    Not,
    /// Confirmation of a notification.
    Dcc,
}

impl RecordType {
    /// All record types.
    pub const ALL: [Self; 14] = [
        Self::Hdr,
        Self::Trl,
        Self::Pos,
        Self::Por,
        Self::Asg,
        Self::Per,
        Self::Add,
        Self::Abs,
        Self::Pbd,
        Self::Rtc,
        Self::App,
        Self::Apc,
        Self::Not,
        Self::Dcc,
    ];

    /// The three letters at the start of the line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hdr => "HDR",
            Self::Trl => "TRL",
            Self::Pos => "POS",
            Self::Por => "POR",
            Self::Asg => "ASG",
            Self::Per => "PER",
            Self::Add => "ADD",
            Self::Abs => "ABS",
            Self::Pbd => "PBD",
            Self::Rtc => "RTC",
            Self::App => "APP",
            Self::Apc => "APC",
            Self::Not => "NOT",
            Self::Dcc => "DCC",
        }
    }

    /// The record type written as `text`, if there is one.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// What a column contains. The kind decides about the quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    /// Quoted, also when empty.
    Text,
    /// Digits without quotes. Nothing when empty.
    Number,
    /// `YYYYMMDD` without quotes. Nothing when empty.
    Date,
    /// `YYYYMMDD HHMMSS` without quotes. Nothing when empty.
    Timestamp,
    /// A word without quotes.
    Literal,
    /// Ignored when read, empty when written.
    Opaque,
}

/// One column of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its name. Unique in the record, except among opaque columns.
    pub name: String,
    /// What it contains.
    pub kind: ColumnKind,
    /// Longest content in characters.
    pub max: usize,
    /// Whether the record is not complete without it.
    pub mandatory: bool,
    /// A constant that is written in each record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// The columns of one record type in order. The first column is the record type itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecordLayout {
    /// The record type.
    #[serde(skip)]
    pub record_type: RecordType,
    /// Whether a line has exactly these columns.
    pub columns_exact: bool,
    /// The columns, the record type included.
    pub columns: Vec<Column>,
}

impl RecordLayout {
    /// The index, from 0, of the column with this name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.kind != ColumnKind::Opaque && column.name == name)
    }
}

/// The layouts of all record types.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layouts {
    version: u32,
    record: BTreeMap<RecordType, RecordLayout>,
}

impl Layouts {
    /// The version of the layout format that this program reads.
    pub const VERSION: u32 = 1;

    /// The built-in layouts. The record types of `user` replace them.
    ///
    /// # Errors
    /// The first wrong entry, with file and line.
    pub fn load(user: Option<&Source>) -> Result<Self, ConfigurationError> {
        let defaults = Source::new("layouts.toml", include_str!("../../config/layouts.toml"));
        let built_in = Self::check(read(&defaults, None, Override::WholeTables)?, &defaults, None)?;
        match user {
            None => Ok(built_in),
            Some(user) => Self::check(read(&defaults, Some(user), Override::WholeTables)?, user, Some(&built_in)),
        }
    }

    /// The layout of a record type.
    pub fn record(&self, record_type: RecordType) -> &RecordLayout {
        &self.record[&record_type]
    }

    /// The layouts as a TOML file that [`Self::load`] can read.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).unwrap_or_default()
    }

    fn check(raw: RawLayouts, source: &Source, built_in: Option<&Self>) -> Result<Self, ConfigurationError> {
        if *raw.version.get_ref() != Self::VERSION {
            let problem = format!("expected version {}, found {}", Self::VERSION, raw.version.get_ref());
            return Err(source.error_at(raw.version.span().start, problem));
        }
        let mut record = BTreeMap::new();
        for (record_type, raw_record) in raw.record {
            let model = built_in.map(|layouts| layouts.record(record_type));
            let layout = raw_record.check(record_type).and_then(|layout| layout.check_against(model));
            let layout = layout.map_err(|mistake| source.error_at(mistake.offset, mistake.problem))?;
            record.insert(record_type, layout.layout);
        }
        if let Some(absent) = RecordType::ALL.into_iter().find(|record_type| !record.contains_key(record_type)) {
            return Err(source.error_at(0, format!("expected a table [record.{absent}], found none")));
        }
        Ok(Self { version: Self::VERSION, record })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLayouts {
    version: Spanned<u32>,
    record: BTreeMap<RecordType, RawRecord>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRecord {
    #[serde(default = "yes")]
    columns_exact: bool,
    columns: Spanned<Vec<RawColumn>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawColumn {
    name: Spanned<String>,
    kind: Spanned<ColumnKind>,
    max: Spanned<usize>,
    #[serde(default)]
    mandatory: bool,
    value: Option<Spanned<String>>,
}

fn yes() -> bool {
    true
}

struct Mistake {
    offset: usize,
    problem: String,
}

impl Mistake {
    fn at<T>(spanned: &Spanned<T>, problem: String) -> Self {
        Self { offset: spanned.span().start, problem }
    }
}

/// A consistent layout, with the offsets of its entries in the TOML file.
struct CheckedRecord {
    layout: RecordLayout,
    offsets: Vec<usize>,
    start: usize,
}

impl RawRecord {
    fn check(self, record_type: RecordType) -> Result<CheckedRecord, Mistake> {
        let start = self.columns.span().start;
        let raw_columns = self.columns.into_inner();
        let first_is_type = raw_columns.first().is_some_and(|column| {
            column.name.get_ref() == "record_type" && *column.kind.get_ref() == ColumnKind::Literal
        });
        if !first_is_type {
            let problem = format!("expected `record_type` of kind `literal` as the first column of {record_type}");
            return Err(Mistake { offset: start, problem });
        }
        let mut seen = HashSet::new();
        let mut columns = Vec::with_capacity(raw_columns.len());
        let mut offsets = Vec::with_capacity(raw_columns.len());
        for raw in raw_columns {
            offsets.push(raw.name.span().start);
            let column = raw.check()?;
            if column.kind != ColumnKind::Opaque && !seen.insert(column.name.clone()) {
                let problem = format!("expected each column of {record_type} once, found `{}` twice", column.name);
                return Err(Mistake { offset: offsets[offsets.len() - 1], problem });
            }
            columns.push(column);
        }
        let layout = RecordLayout { record_type, columns_exact: self.columns_exact, columns };
        Ok(CheckedRecord { layout, offsets, start })
    }
}

impl RawColumn {
    fn check(self) -> Result<Column, Mistake> {
        let max = *self.max.get_ref();
        if max == 0 {
            return Err(Mistake::at(&self.max, "expected a length of at least 1, found 0".to_owned()));
        }
        let kind = *self.kind.get_ref();
        let needed = match kind {
            ColumnKind::Date => 8,
            ColumnKind::Timestamp => 15,
            _ => 0,
        };
        if max < needed {
            return Err(Mistake::at(&self.max, format!("expected a length of at least {needed}, found {max}")));
        }
        if let Some(value) = &self.value {
            let fits = value.get_ref().chars().count() <= max;
            if !fits || kind == ColumnKind::Opaque {
                let problem = format!("expected a constant that fits the column, found `{}`", value.get_ref());
                return Err(Mistake::at(value, problem));
            }
        }
        Ok(Column {
            name: self.name.into_inner(),
            kind,
            max,
            mandatory: self.mandatory,
            value: self.value.map(Spanned::into_inner),
        })
    }
}

impl CheckedRecord {
    /// Checks that the user's layout has only columns of the built-in layout, and all its mandatory columns.
    fn check_against(self, built_in: Option<&RecordLayout>) -> Result<Self, Mistake> {
        let Some(built_in) = built_in else {
            return Ok(self);
        };
        for (column, offset) in self.layout.columns.iter().zip(&self.offsets) {
            let free = column.kind == ColumnKind::Opaque || column.value.is_some();
            if !free && built_in.index_of(&column.name).is_none() {
                let names: Vec<&str> = built_in.columns.iter().skip(1).map(|known| known.name.as_str()).collect();
                let problem = format!(
                    "expected a column of {} ({}) or the kind `opaque`, found `{}`",
                    built_in.record_type,
                    names.join(", "),
                    column.name
                );
                return Err(Mistake { offset: *offset, problem });
            }
        }
        for needed in built_in.columns.iter().filter(|column| column.mandatory) {
            if self.layout.index_of(&needed.name).is_none() {
                let problem = format!("expected the column `{}` in {}, found none", needed.name, built_in.record_type);
                return Err(Mistake { offset: self.start, problem });
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d4_and_d52_the_built_in_layouts_have_the_columns_of_the_domain_page() {
        let layouts = Layouts::load(None).unwrap();
        for (record_type, columns) in [
            (RecordType::Pos, 16),
            (RecordType::Por, 13),
            (RecordType::App, 46),
            (RecordType::Not, 36),
            (RecordType::Rtc, 11),
            (RecordType::Hdr, 7),
            (RecordType::Trl, 2),
        ] {
            assert_eq!(layouts.record(record_type).columns.len(), columns, "{record_type}");
        }
        let column = |record_type, name| layouts.record(record_type).index_of(name).map(|index| index + 1);
        assert_eq!(column(RecordType::Pos, "dpn"), Some(10));
        assert_eq!(column(RecordType::Por, "dpn"), Some(7));
        assert_eq!(column(RecordType::App, "date_of_birth"), Some(15));
        assert_eq!(column(RecordType::App, "registration_expiry_1"), Some(38));
        assert_eq!(column(RecordType::Not, "current_working_hours"), Some(14));
        assert_eq!(column(RecordType::Not, "vacant_at_next_rotation"), Some(35));
    }

    #[test]
    fn a_user_layout_replaces_a_record_type_wholesale_and_leaves_the_others() {
        let user = Source::new(
            "mine.toml",
            r#"
            [record.TRL]
            columns = [
                { name = "record_type", kind = "literal", max = 3 },
                { name = "reserved", kind = "opaque", max = 5 },
                { name = "count", kind = "number", max = 6 },
            ]
            "#,
        );
        let layouts = Layouts::load(Some(&user)).unwrap();
        assert_eq!(layouts.record(RecordType::Trl).index_of("count"), Some(2));
        assert_eq!(layouts.record(RecordType::Pos).columns.len(), 16);
        let again = Source::new("shown.toml", layouts.to_toml());
        assert_eq!(Layouts::load(Some(&again)), Ok(layouts));
    }

    #[test]
    fn a_wrong_layout_is_reported_with_file_line_and_expectation() {
        let first = r#"{ name = "record_type", kind = "literal", max = 3 }"#;
        let with = |column: &str| format!("[record.TRL]\ncolumns = [\n{first},\n{column},\n]\n");
        for (text, start) in [
            (with(r#"{ name = "cont", kind = "number", max = 6 }"#), "l.toml:4: expected a column of TRL (count)"),
            (with(r#"{ name = "count", kind = "numeral", max = 6 }"#), "l.toml:4: expected one of `text`"),
            (with(r#"{ name = "count", kind = "number", max = 0 }"#), "l.toml:4: expected a length"),
            (with(r#"{ name = "count", kind = "date", max = 6 }"#), "l.toml:4: expected a length of at least 8"),
            (with(r#"{ name = "x", kind = "opaque", max = 6 }"#), "l.toml:2: expected the column `count` in TRL"),
            (with(r#"{ name = "count", kind = "number" }"#), "l.toml:4: expected the entry `max`"),
            ("[record.TRX]\n".to_owned(), "l.toml:1: expected one of `HDR`"),
            ("version = 2\n".to_owned(), "l.toml:1: expected version 1, found 2"),
            ("\n[record.TRL]\ncolumns = []\n".to_owned(), "l.toml:3: expected `record_type`"),
        ] {
            let error = Layouts::load(Some(&Source::new("l.toml", text))).unwrap_err();
            assert!(error.to_string().starts_with(start), "{error}");
        }
    }
}
