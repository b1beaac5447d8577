//! Reads single fields of a snapshot line, and reports those that cannot be read.
//!
//! Exports differ in details: ids may be numbers or text, texts may be numbers, whole numbers may be written as `1.0`,
//! and blank text means no value.

use std::fmt;

use serde::de::{Deserializer, Error, Visitor};

/// The longest part of a wrong value that a report repeats.
const SHOWN_CHARACTERS: usize = 40;

/// Days since 1970-01-01.
pub type Days = i32;

/// An id: a whole number, also as text. Blank text and `null` mean no value.
pub(super) fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    deserializer.deserialize_any(Id)
}

/// A text. A number counts as its digits. Blank text and `null` mean no value.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    deserializer.deserialize_any(Text)
}

/// A date as `YYYY-MM-DD`. A time after it is ignored. Blank text and `null` mean no value.
pub(super) fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Days>, D::Error> {
    deserializer.deserialize_any(Date)
}

/// A decimal, also as text. Blank text and `null` mean no value.
pub(super) fn decimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    deserializer.deserialize_any(Decimal)
}

struct Id;

impl Visitor<'_> for Id {
    type Value = Option<i64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        i64::try_from(value).map(Some).map_err(|_| E::custom(format_args!("`{value}` is too large for an id")))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        whole(value).map(Some).ok_or_else(|| wrong(&value.to_string(), "a whole number"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        match value.trim() {
            "" => Ok(None),
            // Text is a whole number where the number would be one: `1`, `1.0`.
            digits => {
                let number = digits.parse().ok().or_else(|| digits.parse().ok().and_then(whole));
                number.map(Some).ok_or_else(|| wrong(value, "a whole number"))
            }
        }
    }
}

struct Text;

impl Visitor<'_> for Text {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        // Rust writes a whole decimal without its `.0`.
        Ok(Some(value.to_string()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok((!is_blank(value)).then(|| value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Self::Value, E> {
        Ok((!is_blank(&value)).then_some(value))
    }
}

struct Date;

impl Visitor<'_> for Date {
    type Value = Option<Days>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a date as YYYY-MM-DD")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        match value.trim() {
            "" => Ok(None),
            text => days_of(text).map(Some).ok_or_else(|| wrong(value, "a date as YYYY-MM-DD")),
        }
    }
}

struct Decimal;

impl Visitor<'_> for Decimal {
    type Value = Option<f64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decimal number")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(value as f64))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        match value.trim() {
            "" => Ok(None),
            text => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Some(number)),
                _ => Err(wrong(value, "a decimal number")),
            },
        }
    }
}

/// The whole number that a decimal is. `None` if it has a fraction, or is so large that decimals do not hold each whole
/// number of that size.
fn whole(value: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (value.fract() == 0.0 && value.abs() < EXACT).then_some(value as i64)
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

pub(super) fn wrong<E: Error>(value: &str, expected: &str) -> E {
    let shown: String = value.chars().take(SHOWN_CHARACTERS).collect();
    let more = if shown.len() < value.len() { "..." } else { "" };
    E::custom(format_args!("`{shown}{more}` is not {expected}"))
}

/// Days since 1970-01-01 of a text that starts with `YYYY-MM-DD`, and ends there or continues with a time. TIS dates
/// are calendar days, so a time zone after them does not move them.
fn days_of(text: &str) -> Option<Days> {
    let (date, rest) = text.as_bytes().split_first_chunk::<10>()?;
    if !matches!(rest.first(), None | Some(b'T' | b't' | b' ')) || date[4] != b'-' || date[7] != b'-' {
        return None;
    }
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_i32, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i32::from(digit - b'0')))
    };
    let (year, month, day) = (number(&date[..4])?, number(&date[5..7])?, number(&date[8..])?);
    let is_valid = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    is_valid.then(|| days_from_civil(year, month, day))
}

fn days_in_month(year: i32, month: i32) -> i32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Counts from March, so that the leap day is the last day of its year. 0000-03-01 is 719,468 days before 1970-01-01.
fn days_from_civil(year: i32, month: i32, day: i32) -> Days {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_count_days_and_ignore_a_time() {
        for (text, days) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2000-02-29", 11_016),
            ("2026-11-21", 20_778),
            ("2026-11-21T23:30:00Z", 20_778),
            ("2026-11-21 00:00:00", 20_778),
        ] {
            assert_eq!(days_of(text), Some(days), "{text}");
        }
    }

    #[test]
    fn impossible_dates_are_refused() {
        for text in
            ["2025-02-29", "2026-13-01", "2026-00-10", "2026-04-31", "21/11/2026", "2026-11-2", "2026-11-21x", ""]
        {
            assert_eq!(days_of(text), None, "{text}");
        }
    }
}
