//! Dates and time stamps as they stand in file names and records: `YYYYMMDD` and `YYYYMMDD HHMMSS`.

use std::fmt::Write as _;

use jiff::civil::{Date, DateTime, Time};

/// Reads `YYYYMMDD`; `None` when it is not a date of the calendar.
pub fn parse_date(text: &str) -> Option<Date> {
    if text.len() != 8 {
        return None;
    }
    let year = digits(text.get(..4)?)?;
    let month = digits(text.get(4..6)?)?;
    let day = digits(text.get(6..)?)?;
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// Reads `YYYYMMDD HHMMSS`; `None` when it is not a moment of the calendar.
pub fn parse_timestamp(text: &str) -> Option<DateTime> {
    let (date, time) = text.split_once(' ')?;
    if time.len() != 6 {
        return None;
    }
    let hour = i8::try_from(digits(time.get(..2)?)?).ok()?;
    let minute = i8::try_from(digits(time.get(2..4)?)?).ok()?;
    let second = i8::try_from(digits(time.get(4..)?)?).ok()?;
    let time = Time::new(hour, minute, second, 0).ok()?;
    Some(parse_date(date)?.to_datetime(time))
}

/// Appends `YYYYMMDD`.
pub fn push_date(out: &mut String, date: Date) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{:04}{:02}{:02}", date.year(), date.month(), date.day());
}

/// Appends `YYYYMMDD HHMMSS`.
pub fn push_timestamp(out: &mut String, moment: DateTime) {
    push_date(out, moment.date());
    let _ = write!(out, " {:02}{:02}{:02}", moment.hour(), moment.minute(), moment.second());
}

fn digits(text: &str) -> Option<u32> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if all { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::{date, datetime};

    #[test]
    fn dates_are_read_and_written_as_eight_digits() {
        assert_eq!(parse_date("20240229"), Some(date(2024, 2, 29)));
        for wrong in ["20230229", "2024022", "2024-2-9", "", "2024022é", "+2024022"] {
            assert_eq!(parse_date(wrong), None, "{wrong}");
        }
        let mut out = String::new();
        push_date(&mut out, date(2024, 2, 9));
        assert_eq!(out, "20240209");
    }

    #[test]
    fn timestamps_are_read_and_written_with_a_space() {
        let moment = datetime(2026, 11, 21, 14, 5, 9, 0);
        let mut out = String::new();
        push_timestamp(&mut out, moment);
        assert_eq!(out, "20261121 140509");
        assert_eq!(parse_timestamp(&out), Some(moment));
        for wrong in ["20261121", "20261121 246000", "20261121 1405", "20261121T140509"] {
            assert_eq!(parse_timestamp(wrong), None, "{wrong}");
        }
    }
}
