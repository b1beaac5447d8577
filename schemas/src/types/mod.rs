//! Ids and dates of the records, by namespace (`"tributary.type"` in the schemas).

use std::fmt;

use serde::{Deserialize, Serialize};
use tributary_runtime::StateKey;

/// An id that is a long in the schemas.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
        )]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl tributary_runtime::StateKey for $name {
            fn write_key(&self, out: &mut Vec<u8>) {
                self.0.write_key(out);
            }

            fn read_key(input: &mut &[u8]) -> Option<Self> {
                i64::read_key(input).map(Self)
            }
        }
    };
}

#[macro_use]
mod identifiers;

pub mod aggregation;
pub mod basic_date;
pub mod cases;
pub mod esr;
pub mod registry;
pub mod tis;
pub mod tributary;

/// A calendar date as days since 1970-01-01 (Avro logical type `date`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Date(pub i32);

impl Date {
    /// 0000-01-01, the first date that four digits of a year can name.
    pub const FIRST: Self = Self(-719_528);
    /// 9999-12-31, the last date that four digits of a year can name. As an end it means that there is no end (D15).
    pub const LAST: Self = Self(2_932_896);

    /// The date `days` later, or earlier when negative.
    #[must_use]
    pub fn plus_days(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// The date `months` calendar months later. If that month is too short, its last day.
    #[must_use]
    pub fn plus_months(self, months: i32) -> Self {
        let later = self.to_civil().saturating_add(jiff::Span::new().months(months));
        Self::from_civil(later)
    }

    /// The civil date. Dates outside the years -9999 to 9999 are clamped.
    pub fn to_civil(self) -> jiff::civil::Date {
        jiff::civil::Date::constant(1970, 1, 1)
            .saturating_add(jiff::Span::new().days(self.0.clamp(-4_371_587, Self::LAST.0)))
    }

    /// The date of a civil date.
    pub fn from_civil(date: jiff::civil::Date) -> Self {
        let epoch = jiff::civil::Date::constant(1970, 1, 1);
        Self(date.duration_since(epoch).as_hours() as i32 / 24)
    }
}

impl StateKey for Date {
    fn write_key(&self, out: &mut Vec<u8>) {
        self.0.write_key(out);
    }

    fn read_key(input: &mut &[u8]) -> Option<Self> {
        i32::read_key(input).map(Self)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_civil())
    }
}

/// Whether a field with this `tributary.type` takes only some values of the Avro type `avro`. An id takes every long, and
/// a DPN every text. A type that this program does not know may take few.
pub(crate) fn is_restricted(value_type: &str, avro: &str) -> bool {
    matches!(avro, "int" | "string" | "bytes") && value_type != "tis.Dpn"
}

/// Whether a field with this `tributary.type` takes `value`.
pub(crate) fn allows(value_type: &str, value: &serde_json::Value) -> bool {
    let is_text = |fits: fn(&str) -> bool| value.as_str().is_some_and(fits);
    match value_type {
        "esr.NotificationType" => value
            .as_i64()
            .and_then(|number| i32::try_from(number).ok())
            .is_some_and(|number| esr::NotificationType::try_from(number).is_ok()),
        "aggregation.Address" => is_text(|text| text.parse::<aggregation::Address>().is_ok()),
        "aggregation.InstanceId" => is_text(|text| text.parse::<aggregation::InstanceId>().is_ok()),
        "aggregation.PatientId" => is_text(|text| text.parse::<aggregation::PatientId>().is_ok()),
        "aggregation.Stamp" => is_text(|text| text.parse::<aggregation::Stamp>().is_ok()),
        "cases.CaseId" => is_text(|text| text.parse::<cases::CaseId>().is_ok()),
        "cases.CommandId" => is_text(|text| text.parse::<cases::CommandId>().is_ok()),
        "cases.MessageId" => is_text(|text| text.parse::<cases::MessageId>().is_ok()),
        "cases.OriginName" => is_text(|text| text.parse::<cases::OriginName>().is_ok()),
        "cases.ClientName" => is_text(|text| text.parse::<cases::ClientName>().is_ok()),
        "esr.Office" => is_text(|text| text.parse::<esr::Office>().is_ok()),
        "esr.FileName" => is_text(|text| text.parse::<esr::FileName>().is_ok()),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_convert_both_ways() {
        for text in ["1970-01-01", "1969-12-31", "2026-11-22", "2000-02-29"] {
            let civil: jiff::civil::Date = text.parse().unwrap();
            assert_eq!(Date::from_civil(civil).to_civil(), civil);
        }
        assert_eq!(Date(0).plus_days(-1).to_string(), "1969-12-31");
    }

    /// Both ends of the range, and every day between them in steps that share no factor with months and years.
    #[test]
    fn every_date_of_the_calendar_converts_both_ways() {
        let near_ends = (Date::FIRST.0..Date::FIRST.0 + 800).chain(Date::LAST.0 - 800..=Date::LAST.0);
        for days in near_ends.chain((Date::FIRST.0..=Date::LAST.0).step_by(97)) {
            let civil = Date(days).to_civil();
            assert_eq!(Date::from_civil(civil), Date(days));
            let mut text = String::new();
            basic_date::push_date(&mut text, civil);
            assert_eq!(basic_date::parse_date(&text), Some(civil), "{days}");
        }
        assert_eq!([Date::FIRST, Date::LAST].map(|date| date.to_string()), ["0000-01-01", "9999-12-31"]);
        assert_eq!(Date(i32::MAX).to_civil(), Date::LAST.to_civil());
    }

    #[test]
    fn months_end_at_the_last_day() {
        let end_of_november = Date::from_civil(jiff::civil::Date::constant(2026, 11, 30));
        assert_eq!(end_of_november.plus_months(3).to_string(), "2027-02-28");
    }
}
