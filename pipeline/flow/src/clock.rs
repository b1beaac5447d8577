//! Whether the clock of the machine can be believed: it is compared with the monotonic clock, and at the start with the
//! last time in the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// An anchor is renewed after this time, so that a slow correction of the clock is no jump.
const ANCHOR_LASTS: Duration = Duration::from_hours(1);

/// When the clock is in doubt, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct ClockLimits {
    /// A larger difference between the wall clock and the monotonic clock is a jump.
    pub jump: Duration,
    /// A clock in doubt is believed after it has been steady for this time.
    pub steady: Duration,
    /// A start that is later than this after the last time in the log is in doubt.
    pub silence: Duration,
}

impl Default for ClockLimits {
    fn default() -> Self {
        Self { jump: Duration::from_mins(5), steady: Duration::from_mins(10), silence: Duration::from_hours(30 * 24) }
    }
}

/// Why the clock is in doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockDoubt {
    /// What happened, until when nothing that is due takes place, and what an operator can do.
    pub reason: String,
    /// Whether the process has started with this clock. Then no right time is known, not even by the monotonic clock.
    pub since_start: bool,
}

/// The time, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockReading {
    /// The time of the clock. While the clock is in doubt, the last time that was believed and what the monotonic clock
    /// has counted since.
    pub now: Timestamp,
    /// Why the clock is in doubt.
    pub doubt: Option<Arc<ClockDoubt>>,
    /// Why the last doubt ended.
    pub believed: Option<Arc<str>>,
}

/// Judges the clock of one process.
#[derive(Debug)]
pub struct ClockGuard {
    limits: ClockLimits,
    /// The last time that was believed.
    anchor: Option<Anchor>,
    doubt: Option<Doubt>,
    /// Why the last doubt ended.
    believed: Option<Arc<str>>,
    confirmed_by: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Anchor {
    wall: Timestamp,
    at: Instant,
}

#[derive(Debug)]
struct Doubt {
    told: Arc<ClockDoubt>,
    /// Since when the clock is steady.
    steady: Anchor,
}

impl Anchor {
    /// The time that the wall clock should show.
    fn expected(&self, at: Instant) -> Timestamp {
        let passed = SignedDuration::try_from(at.saturating_duration_since(self.at)).unwrap_or(SignedDuration::MAX);
        self.wall.saturating_add(passed).unwrap_or(Timestamp::MAX)
    }

    /// How far the wall clock is from the expected time.
    fn distance(&self, wall: Timestamp, at: Instant) -> Duration {
        wall.duration_since(self.expected(at)).unsigned_abs()
    }
}

impl ClockGuard {
    /// A guard that believes the first time that it sees.
    pub fn new(limits: ClockLimits) -> Self {
        Self { limits, anchor: None, doubt: None, believed: None, confirmed_by: None }
    }

    /// Compares the clock with the last time in the log, when a process begins to make runs.
    pub fn begin(&mut self, last_sign_of_life: Timestamp, wall: Timestamp, at: Instant) {
        if self.is_plausible(last_sign_of_life, wall) || self.doubt.is_some() {
            return;
        }
        self.anchor = Some(Anchor { wall: last_sign_of_life, at });
        let what = format!("the clock says {wall}, but the last time in the log is {last_sign_of_life}");
        self.doubt = Some(self.doubt_of(&what, true, Anchor { wall, at }));
    }

    fn is_plausible(&self, last_sign_of_life: Timestamp, wall: Timestamp) -> bool {
        let since = wall.duration_since(last_sign_of_life);
        let limit = if since.is_negative() { self.limits.jump } else { self.limits.silence };
        since.unsigned_abs() <= limit
    }

    /// Judges one reading of the two clocks.
    pub fn read(&mut self, wall: Timestamp, at: Instant) -> ClockReading {
        let here = Anchor { wall, at };
        let anchor = *self.anchor.get_or_insert(here);
        if let Some(by) = self.confirmed_by.take() {
            self.believe(here, format!("the clock is believed again: {by} has confirmed {wall}"));
        } else if self.doubt.is_some() {
            self.doubt_again(anchor, here);
        } else if anchor.distance(wall, at) > self.limits.jump {
            let what = format!("the clock jumped to {wall}, where {} was expected", anchor.expected(at));
            self.doubt = Some(self.doubt_of(&what, false, here));
        } else if at.saturating_duration_since(anchor.at) > ANCHOR_LASTS {
            self.anchor = Some(here);
        }
        let doubt = self.doubt.as_ref().map(|doubt| Arc::clone(&doubt.told));
        let now = match (&doubt, self.anchor) {
            (Some(_), Some(anchor)) => anchor.expected(at),
            _ => wall,
        };
        ClockReading { now, doubt, believed: self.believed.clone() }
    }

    /// A further reading while the clock is in doubt.
    fn doubt_again(&mut self, anchor: Anchor, here: Anchor) {
        let Some(doubt) = &mut self.doubt else { return };
        let Anchor { wall, at } = here;
        if doubt.steady.distance(wall, at) > self.limits.jump {
            doubt.steady = here;
        }
        let (since_start, steady_since) = (doubt.told.since_start, doubt.steady.at);
        let agrees = if since_start {
            self.is_plausible(anchor.expected(at), wall)
        } else {
            anchor.distance(wall, at) <= self.limits.jump
        };
        if agrees {
            self.believe(here, format!("the clock is believed again: it was corrected to {wall}"));
        } else if at.saturating_duration_since(steady_since) >= self.limits.steady {
            let seconds = self.limits.steady.as_secs();
            self.believe(here, format!("the clock is believed again: {wall}, after {seconds} steady seconds"));
        }
    }

    fn believe(&mut self, here: Anchor, why: String) {
        (self.anchor, self.doubt, self.believed) = (Some(here), None, Some(why.into()));
    }

    fn doubt_of(&self, what: &str, since_start: bool, steady: Anchor) -> Doubt {
        let seconds = self.limits.steady.as_secs();
        let reason = format!(
            "{what}: nothing that is due takes place until the clock has been steady for {seconds} seconds, or an \
             operator says `tributary clock confirm`"
        );
        Doubt { told: Arc::new(ClockDoubt { reason, since_start }), steady }
    }

    /// An operator says that the clock is right. The next reading believes it.
    ///
    /// # Errors
    /// [`NotInDoubt`] if there is nothing to confirm.
    pub fn confirm(&mut self, by: &str) -> Result<(), NotInDoubt> {
        if self.doubt.is_none() {
            return Err(NotInDoubt);
        }
        self.confirmed_by = Some(by.to_owned());
        Ok(())
    }
}

/// The clock is not in doubt, so there is nothing to confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the clock of this process is not in doubt, so there is nothing to confirm")]
pub struct NotInDoubt;

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// A guard and its start, for readings at seconds after it.
    fn guard() -> (ClockGuard, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        (ClockGuard::new(ClockLimits::default()), move |seconds| start + Duration::from_secs(seconds))
    }

    #[test]
    fn a_clock_that_agrees_with_the_monotonic_one_is_believed() {
        let (mut guard, at) = guard();
        assert!(guard.read(time("2026-11-19T13:00:00Z"), at(0)).doubt.is_none());
        let reading = guard.read(time("2026-11-19T14:04:59Z"), at(3600));
        assert_eq!((reading.doubt, reading.now), (None, time("2026-11-19T14:04:59Z")));
    }

    #[test]
    fn during_a_jump_the_time_goes_on_by_the_monotonic_clock() {
        let (mut guard, at) = guard();
        guard.read(time("2026-11-20T20:00:00Z"), at(0));
        let reading = guard.read(time("2030-07-01T15:05:00Z"), at(1));
        assert!(!reading.doubt.unwrap().since_start);
        assert_eq!(reading.now, time("2026-11-20T20:00:01Z"));
        assert!(guard.read(time("2030-07-01T15:05:08Z"), at(9)).doubt.is_some());
        let reading = guard.read(time("2026-11-20T20:00:10Z"), at(10));
        assert!(reading.doubt.is_none(), "it came back");
        assert!(reading.believed.unwrap().contains("corrected"));
    }

    #[test]
    fn a_clock_is_believed_after_ten_steady_minutes_and_each_jump_begins_them_again() {
        let (mut guard, at) = guard();
        guard.read(time("2026-11-20T20:00:00Z"), at(0));
        guard.read(time("2026-11-22T20:00:00Z"), at(1));
        assert!(guard.read(time("2026-11-22T20:09:00Z"), at(541)).doubt.is_some());
        guard.read(time("2026-11-24T20:00:00Z"), at(542));
        assert!(guard.read(time("2026-11-24T20:09:59Z"), at(542 + 599)).doubt.is_some());
        let reading = guard.read(time("2026-11-24T20:10:00Z"), at(542 + 600));
        assert_eq!((reading.doubt, reading.now), (None, time("2026-11-24T20:10:00Z")));
    }

    #[test]
    fn a_clock_that_goes_back_is_in_doubt_too_and_small_jumps_add_up() {
        let (mut guard, at) = guard();
        guard.read(time("2026-11-20T20:00:00Z"), at(0));
        assert!(guard.read(time("2026-11-20T20:03:00Z"), at(0)).doubt.is_none());
        assert!(guard.read(time("2026-11-20T20:06:00Z"), at(0)).doubt.is_some());
        let (mut guard, at) = self::guard();
        guard.read(time("2026-11-20T20:00:00Z"), at(0));
        assert!(guard.read(time("2026-11-20T19:00:00Z"), at(1)).doubt.is_some());
    }

    #[test]
    fn a_start_long_after_or_before_the_last_time_in_the_log_is_in_doubt() {
        let last = time("2026-11-20T20:00:00Z");
        for (now, is_believed) in [
            ("2026-12-20T20:00:00Z", true),
            ("2026-12-20T20:00:01Z", false),
            ("2026-11-20T19:55:00Z", true),
            ("2026-11-20T19:54:59Z", false),
        ] {
            let (mut guard, at) = guard();
            guard.begin(last, time(now), at(0));
            let reading = guard.read(time(now), at(0));
            assert_eq!(reading.doubt.is_none(), is_believed, "{now}");
            assert!(reading.doubt.is_none_or(|doubt| doubt.since_start));
        }
    }

    #[test]
    fn a_start_with_a_wrong_clock_ends_with_its_correction_or_a_confirmation() {
        let (mut guard, at) = guard();
        guard.begin(time("2026-11-20T20:00:00Z"), time("2030-01-01T00:00:00Z"), at(0));
        assert!(guard.read(time("2030-01-01T00:00:01Z"), at(1)).doubt.is_some());
        assert!(guard.read(time("2026-11-21T08:00:00Z"), at(2)).doubt.is_none());
        assert_eq!(guard.confirm("operator"), Err(NotInDoubt));
        guard.read(time("2030-01-01T00:00:00Z"), at(3));
        guard.confirm("operator").unwrap();
        let reading = guard.read(time("2030-01-01T00:00:01Z"), at(4));
        assert_eq!((reading.doubt, reading.now), (None, time("2030-01-01T00:00:01Z")));
        assert!(reading.believed.unwrap().contains("operator has confirmed"));
    }
}
