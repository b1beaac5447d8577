//! Dates and timestamps in file names and records: `YYYYMMDD` and `YYYYMMDD HHMMSS`.

use std::fmt::Write as _;

use jiff::civil::{DateTime, Time};
use tributary_schemas::types::basic_date::digits;
pub use tributary_schemas::types::basic_date::{parse_date, push_date};

/// Parses `YYYYMMDD HHMMSS`. `None` if the calendar does not contain this moment.
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

/// Appends `YYYYMMDD HHMMSS`.
pub fn push_timestamp(out: &mut String, moment: DateTime) {
    push_date(out, moment.date());
    let _ = write!(out, " {:02}{:02}{:02}", moment.hour(), moment.minute(), moment.second());
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::datetime;

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
