//! The time of the batch or of the service. It bounds the times that other programs give their records (D104).

use std::sync::atomic::{AtomicI64, Ordering};

use tributary_runtime::TimestampMillis;

const DAY: i64 = 24 * 60 * 60 * 1000;

/// The earliest time of a record that is believed, before the time of the service.
const EARLIEST: i64 = 400 * DAY;

/// The latest time of a record that is believed, after the time of the service.
const LATEST: i64 = DAY;

/// Header of records whose time was not believed. The date of the run takes its place.
pub(crate) const UNDATED_HEADER: &str = "undated";

/// How the time of a record is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OddTime {
    /// More than 400 days ago.
    Early = 0,
    /// More than a day ahead.
    Late = 1,
}

/// The time as of which a batch runs, or the time of the service. The edge sets it. A stage uses it only to refuse a
/// record time that cannot be right, so that it stays a function of its records otherwise.
#[derive(Debug, Default)]
pub struct ServiceTime(AtomicI64);

impl ServiceTime {
    /// Sets the time, in milliseconds since 1970.
    pub fn set(&self, now: TimestampMillis) {
        self.0.store(now, Ordering::Relaxed);
    }

    /// The time. `None` until it is set.
    pub(crate) fn get(&self) -> Option<TimestampMillis> {
        Some(self.0.load(Ordering::Relaxed)).filter(|now| *now != 0)
    }

    /// What is wrong with the time of a record. Nothing, if the time of the service is not known.
    pub(crate) fn judge(&self, timestamp: TimestampMillis) -> Option<OddTime> {
        let now = self.get()?;
        if timestamp < now.saturating_sub(EARLIEST) {
            return Some(OddTime::Early);
        }
        (timestamp > now.saturating_add(LATEST)).then_some(OddTime::Late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d104_a_time_more_than_a_day_ahead_or_400_days_back_is_odd() {
        let time = ServiceTime::default();
        assert_eq!(time.judge(0), None, "no time is known");
        let now = 1_800_000_000_000;
        time.set(now);
        assert_eq!((time.judge(now + DAY), time.judge(now + DAY + 1)), (None, Some(OddTime::Late)));
        assert_eq!((time.judge(now - 400 * DAY), time.judge(now - 400 * DAY - 1)), (None, Some(OddTime::Early)));
        assert_eq!((time.judge(i64::MIN), time.judge(i64::MAX)), (Some(OddTime::Early), Some(OddTime::Late)));
    }
}
