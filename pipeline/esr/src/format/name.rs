//! Names of interface files: `DE_<office>_<kind>_<YYYYMMDD>_<number>.DAT`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tributary_schemas::records::esr::FileKind;

use super::office::Office;
use super::value::{parse_date, push_date};

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
    /// How many digits the number had when it was read, 7 or 8. Names are always written with 8.
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

    /// A name with eight digits; `None` when the number does not fit into them.
    pub fn new(office: Office, kind: FileKind, date: Date, number: u64) -> Option<Self> {
        (number <= Self::MAX_NUMBER).then_some(Self { office, kind, date, number, digits: 8 })
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

    /// The name as it was read, with 7 digits if it came so.
    pub fn original(&self) -> String {
        self.render(usize::from(self.digits))
    }

    fn render(&self, digits: usize) -> String {
        let mut date = String::with_capacity(8);
        push_date(&mut date, self.date);
        format!("{}_{}_{}_{date}_{:0digits$}.DAT", Self::FAMILY, self.office, self.kind, self.number)
    }

    fn sort_key(&self) -> (Date, u64, FileKind, Office) {
        (self.date, self.number, self.kind, self.office)
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

impl fmt::Display for FileName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.render(8))
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
        serializer.serialize_str(&self.original())
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
    fn a_name_has_seven_or_eight_digits_and_is_written_with_eight() {
        let name = parse("DE_TIS_APC_20180625_0000142.DAT");
        assert_eq!((name.kind, name.number, name.digits), (FileKind::Apc, 142, 7));
        assert_eq!(name.to_string(), "DE_TIS_APC_20180625_00000142.DAT");
        assert_eq!(name.original(), "DE_TIS_APC_20180625_0000142.DAT");
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
    fn an_rtc_carries_the_date_and_number_of_the_file_it_confirms() {
        let confirmation = parse("DE_EOE_RMC_20261120_0000017.DAT").with_kind(FileKind::Rtc);
        assert_eq!(confirmation.original(), "DE_EOE_RTC_20261120_00000017.DAT");
    }
}
