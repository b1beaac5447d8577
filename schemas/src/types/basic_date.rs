//! Dates as file names and interface files write them: `YYYYMMDD`, the basic format of ISO 8601.

use std::fmt::Write as _;

use jiff::civil::Date;

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

/// Appends `YYYYMMDD`.
pub fn push_date(out: &mut String, date: Date) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{:04}{:02}{:02}", date.year(), date.month(), date.day());
}

/// The number that `text` writes in decimal digits alone, without a sign.
pub fn digits(text: &str) -> Option<u32> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if all { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

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
}
