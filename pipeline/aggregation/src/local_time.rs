//! Times as the contracts write them: in Sweden, without a zone (A 3.1).

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// The time zone of all stamps.
#[derive(Clone, Debug)]
pub struct Stockholm(TimeZone);

/// The time zone data has no Stockholm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the time zone data has no Europe/Stockholm")]
pub struct NoStockholm;

impl Stockholm {
    /// Loads the time zone.
    ///
    /// # Errors
    /// [`NoStockholm`] if the program was built without it.
    pub fn load() -> Result<Self, NoStockholm> {
        TimeZone::get("Europe/Stockholm").map(Self).map_err(|_| NoStockholm)
    }

    /// `YYYYMMDDhhmmss`.
    pub fn stamp(&self, time: Timestamp) -> String {
        time.to_zoned(self.0.clone()).strftime("%Y%m%d%H%M%S").to_string()
    }

    /// The time of a clock in Sweden. Of two that show the same it is the first. `None` beyond the end of the calendar.
    pub fn time(&self, local: DateTime) -> Option<Timestamp> {
        local.to_zoned(self.0.clone()).ok().map(|zoned| zoned.timestamp())
    }

    /// The start of the date that many days before a time, `YYYYMMDD000000`.
    pub fn days_before(&self, time: Timestamp, days: u16) -> String {
        let today = time.to_zoned(self.0.clone()).date();
        today.saturating_sub(i64::from(days).days()).strftime("%Y%m%d000000").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_swedish_local_time() {
        let stockholm = Stockholm::load().unwrap();
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(stockholm.stamp(time("2026-07-01T22:30:05.9Z")), "20260702003005");
        assert_eq!(stockholm.stamp(time("2026-12-31T23:00:00Z")), "20270101000000");
        assert_eq!(stockholm.days_before(time("2026-03-01T23:30:00Z"), 30), "20260131000000");
    }
}
