//! Names of interface files: `DE_<office>_<kind>_<YYYYMMDD>_<number>.DAT`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use tributary_runtime::StateKey;

use super::office::Office;
use crate::binary;
use crate::records::esr::FileKind;
use crate::types;
use crate::types::basic_date::parse_date;

/// A parsed file name. Sorts as files are taken in (D9): date, number, kind, office.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileName {
    /// The local office.
    pub office: Office,
    /// What the file is.
    pub kind: FileKind,
    /// The date in the name.
    pub date: Date,
    /// The run sequence number, at most [`FileName::MAX_NUMBER`].
    pub number: u64,
    /// How many digits the number has: 7 or 8 in a name that was read, 8 in a new one.
    pub digits: u8,
}

/// A text that is no name of an interface file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not the name of an interface file: {reason}")]
pub struct FileNameError {
    /// The name as found.
    pub name: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Bytes of a name with eight digits.
const LONGEST: usize = "DE_EOE_RMC_20261120_00000017.DAT".len();

const UNKNOWN_KIND: &str = "the file type is not one of RMF, RMC, RTC, APP, APC, DNF, DNC, DCC";

impl FileNameError {
    fn new(name: &str, reason: &'static str) -> Self {
        Self { name: name.to_owned(), reason }
    }
}

impl FileName {
    /// The interface family, the constant first part of each name.
    pub const FAMILY: &'static str = "DE";
    /// The largest number that eight digits can hold.
    pub const MAX_NUMBER: u64 = 99_999_999;

    /// A name with eight digits; `None` when the number does not fit into them, or the year into four.
    pub fn new(office: Office, kind: FileKind, date: Date, number: u64) -> Option<Self> {
        (number <= Self::MAX_NUMBER && date.year() >= 0).then_some(Self { office, kind, date, number, digits: 8 })
    }

    /// The same office, date and number with another kind: an RTC carries those of the file that it confirms.
    #[must_use]
    pub fn with_kind(self, kind: FileKind) -> Self {
        Self { kind, digits: 8, ..self }
    }

    /// Whether both names mean the same file, whatever the number of digits.
    pub fn same_file(&self, other: &Self) -> bool {
        self.sort_key() == other.sort_key()
    }

    /// Whether this file is older than `other` in the order of D9. Of two names of the same file, neither is older.
    pub fn is_older_than(&self, other: &Self) -> bool {
        self.sort_key() < other.sort_key()
    }

    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        binary::write_bytes(out, self.text().as_bytes());
    }

    fn text(self) -> Text {
        let mut text = Text::default();
        for part in [Self::FAMILY, self.office.as_str(), self.kind.symbol()] {
            text.push(part.as_bytes());
            text.push(b"_");
        }
        text.push_number(u64::from(self.date.year().unsigned_abs()), 4);
        text.push_number(u64::from(self.date.month().unsigned_abs()), 2);
        text.push_number(u64::from(self.date.day().unsigned_abs()), 2);
        text.push(b"_");
        text.push_number(self.number, usize::from(self.digits));
        text.push(b".DAT");
        text
    }

    fn sort_key(&self) -> (Date, u64, FileKind, Office) {
        (self.date, self.number, self.kind, self.office)
    }
}

/// The date in days since 1970, the number, the three letters of the kind, the office, and the count of digits.
impl StateKey for FileName {
    fn write_key(&self, out: &mut Vec<u8>) {
        types::Date::from_civil(self.date).write_key(out);
        (self.number as u32).write_key(out);
        out.extend_from_slice(self.kind.symbol().as_bytes());
        self.office.write_key(out);
        self.digits.write_key(out);
    }

    fn read_key(input: &mut &[u8]) -> Option<Self> {
        let date = types::Date::read_key(input)?.to_civil();
        let number = u64::from(u32::read_key(input)?);
        let (kind, rest) = input.split_first_chunk::<3>()?;
        *input = rest;
        let kind = FileKind::from_symbol(std::str::from_utf8(kind).ok()?)?;
        Some(Self { date, number, kind, office: Office::read_key(input)?, digits: u8::read_key(input)? })
    }
}

/// The text of a name. It is on the stack, because every line of a file carries the name of the file.
#[derive(Default)]
struct Text {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Text {
    /// What is beyond the longest name is left out.
    fn push(&mut self, part: &[u8]) {
        let end = self.length + part.len();
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(part);
            self.length = end;
        }
    }

    /// The last `digits` digits of `number`, with leading zeros.
    fn push_number(&mut self, number: u64, digits: usize) {
        let mut rest = number;
        let end = self.length + digits;
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            for digit in room.iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
            self.length = end;
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn as_str(&self) -> &str {
        // Only ASCII gets in, so this is never the fallback.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl FromStr for FileName {
    type Err = FileNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let wrong = |reason| FileNameError::new(name, reason);
        let stem = name.strip_suffix(".DAT").ok_or_else(|| wrong("it does not end in .DAT"))?;
        let mut parts = stem.split('_');
        let mut part = || parts.next().ok_or_else(|| wrong("it does not have five parts joined by `_`"));
        let (family, office, kind, date, number) = (part()?, part()?, part()?, part()?, part()?);
        if parts.next().is_some() {
            return Err(wrong("it does not have five parts joined by `_`"));
        }
        if family != Self::FAMILY {
            return Err(wrong("it does not start with DE"));
        }
        let office = office.parse().map_err(|_| wrong("the office is not three upper-case letters"))?;
        let kind = FileKind::from_symbol(kind).ok_or_else(|| wrong(UNKNOWN_KIND))?;
        let date = parse_date(date).ok_or_else(|| wrong("the date is not a date in the form YYYYMMDD"))?;
        let all_digits = number.bytes().all(|byte| byte.is_ascii_digit());
        if !all_digits || !matches!(number.len(), 7 | 8) {
            return Err(wrong("the number does not have 7 or 8 digits"));
        }
        let digits = number.len() as u8;
        let number = number.parse().map_err(|_| wrong("the number does not have 7 or 8 digits"))?;
        Ok(Self { office, kind, date, number, digits })
    }
}

/// The name as it was read, with 7 digits if it came so.
impl fmt::Display for FileName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.text().as_str())
    }
}

impl PartialOrd for FileName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for FileName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.sort_key().cmp(&other.sort_key()).then(self.digits.cmp(&other.digits))
    }
}

impl Serialize for FileName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text().as_str())
    }
}

impl<'de> Deserialize<'de> for FileName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> FileName {
        name.parse().unwrap()
    }

    #[test]
    fn a_name_has_seven_or_eight_digits_and_is_written_as_it_was_read() {
        let name = parse("DE_TIS_APC_20180625_0000142.DAT");
        assert_eq!((name.kind, name.number, name.digits), (FileKind::Apc, 142, 7));
        assert_eq!(name.to_string(), "DE_TIS_APC_20180625_0000142.DAT");
        assert!(name.same_file(&parse("DE_TIS_APC_20180625_00000142.DAT")));
    }

    #[test]
    fn names_that_are_not_ours_are_refused_with_the_reason() {
        for (name, reason) in [
            ("DE_EOE_RMC_20261120_00000001.dat", ".DAT"),
            ("DE_EOE_RMC_20261120.DAT", "five parts"),
            ("DE_EOE_RMC_20261120_00000001_1.DAT", "five parts"),
            ("GO_EOE_RMC_20261120_00000001.DAT", "DE"),
            ("DE_EO_RMC_20261120_00000001.DAT", "office"),
            ("DE_EOE_RMX_20261120_00000001.DAT", "type"),
            ("DE_EOE_RMC_20261131_00000001.DAT", "date"),
            ("DE_EOE_RMC_20261120_001.DAT", "digits"),
            ("DE_EOE_RMC_20261120_+0000001.DAT", "digits"),
            ("", ".DAT"),
        ] {
            let error = name.parse::<FileName>().unwrap_err();
            assert!(error.to_string().contains(reason), "{name}: {error}");
        }
    }

    #[test]
    fn d9_files_sort_by_date_number_kind_office() {
        let mut names = [
            "DE_EOE_RMC_20261121_00000001.DAT",
            "DE_EOE_RMC_20261120_00000002.DAT",
            "DE_EOE_RMC_20261120_00000001.DAT",
            "DE_LDN_RMF_20261120_00000001.DAT",
            "DE_EOE_RMF_20261120_00000001.DAT",
        ]
        .map(parse);
        names.sort_unstable();
        assert_eq!(
            names.map(|name| name.to_string()),
            [
                "DE_EOE_RMF_20261120_00000001.DAT",
                "DE_LDN_RMF_20261120_00000001.DAT",
                "DE_EOE_RMC_20261120_00000001.DAT",
                "DE_EOE_RMC_20261120_00000002.DAT",
                "DE_EOE_RMC_20261121_00000001.DAT",
            ]
        );
    }

    #[test]
    fn d93_a_file_is_older_by_date_number_kind_office_and_never_by_its_digits() {
        let file = parse("DE_EOE_RMC_20261120_00000002.DAT");
        for newer in [
            "DE_EOE_RMC_20261121_00000001.DAT",
            "DE_EOE_RMC_20261120_00000003.DAT",
            "DE_LDN_RMF_20261121_00000001.DAT",
            "DE_LDN_RMC_20261120_00000002.DAT",
        ] {
            assert!(file.is_older_than(&parse(newer)) && !parse(newer).is_older_than(&file), "{newer}");
        }
        assert!(parse("DE_EOE_RMF_20261120_00000002.DAT").is_older_than(&file));
        let same = parse("DE_EOE_RMC_20261120_0000002.DAT");
        assert!(!file.is_older_than(&same) && !same.is_older_than(&file));
    }

    #[test]
    fn a_name_that_does_not_fit_into_its_digits_is_not_made() {
        let date = Date::constant(2026, 11, 20);
        let office = "EOE".parse().unwrap();
        assert!(FileName::new(office, FileKind::App, date, FileName::MAX_NUMBER).is_some());
        assert_eq!(FileName::new(office, FileKind::App, date, FileName::MAX_NUMBER + 1), None);
        assert_eq!(FileName::new(office, FileKind::App, Date::constant(-1, 1, 1), 1), None);
    }

    #[test]
    fn an_rtc_carries_the_date_and_number_of_the_file_it_confirms() {
        let confirmation = parse("DE_EOE_RMC_20261120_0000017.DAT").with_kind(FileKind::Rtc);
        assert_eq!(confirmation.to_string(), "DE_EOE_RTC_20261120_00000017.DAT");
    }
}
