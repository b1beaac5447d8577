//! Times as XML Schema writes them.

use jiff::Timestamp;
use jiff::civil::DateTime;

use crate::local_time::Stockholm;

/// Where the time of day begins, after `YYYY-MM-DDT`.
const CLOCK: usize = 11;

/// The last year of the calendar, which stands for "always".
const LAST_YEAR: i16 = 9999;

/// Reads an `xs:dateTime`. Without an offset it is Swedish local time (A 3.1). `None` if it is none. The last hours of
/// the calendar are those before them.
pub(super) fn read(text: &str, stockholm: &Stockholm) -> Option<Timestamp> {
    if text.as_bytes().get(CLOCK - 1) != Some(&b'T') {
        return None;
    }
    let offset = text.get(CLOCK..)?.find(['Z', '+', '-']);
    let (local, offset) = text.split_at_checked(offset.map_or(text.len(), |offset| CLOCK + offset))?;
    let local: DateTime = local.parse().ok()?;
    let time = if offset.is_empty() {
        stockholm.time(local)
    } else {
        // The offset alone: beyond the end of the calendar a right one is an error too.
        format!("2000-01-01T00:00:00{offset}").parse::<Timestamp>().ok()?;
        text.parse().ok()
    };
    time.or((local.year() == LAST_YEAR).then_some(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_with_and_without_an_offset() {
        let stockholm = Stockholm::load().unwrap();
        for (text, expected) in [
            ("2026-07-01T12:00:00", "2026-07-01T10:00:00Z"),
            ("2026-12-01T12:00:00.5", "2026-12-01T11:00:00.5Z"),
            ("2026-12-01T12:00:00Z", "2026-12-01T12:00:00Z"),
            ("2026-12-01T12:00:00.123+01:00", "2026-12-01T11:00:00.123Z"),
            ("2026-12-01T12:00:00-05:00", "2026-12-01T17:00:00Z"),
        ] {
            assert_eq!(read(text, &stockholm), Some(expected.parse().unwrap()), "{text}");
        }
        for always in ["9999-12-31T23:59:59", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-11:00"] {
            assert_eq!(read(always, &stockholm), Some(Timestamp::MAX), "{always}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        let stockholm = Stockholm::load().unwrap();
        for text in [
            "",
            "always",
            "2026-12-01",
            "2026-13-01T12:00:00",
            "2026-12-01T25:00:00Z",
            "2026-12-01T12:00:00+99:00",
            "9999-12-31T23:59:59x",
            "9999-12-31T23:59:59-x",
            "2026-12-01 12:00:00",
            "2026-12-åT12:00:00",
        ] {
            assert_eq!(read(text, &stockholm), None, "{text}");
        }
    }
}
