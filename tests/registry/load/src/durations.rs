//! Times and their percentiles.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds since 1970: the clock that programs on one machine share.
pub(crate) fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}

/// Durations that are collected, and shown as percentiles.
#[derive(Debug, Default)]
pub(crate) struct Durations(Vec<Duration>);

impl Durations {
    pub(crate) fn add(&mut self, one: Duration) {
        self.0.push(one);
    }

    pub(crate) fn join(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// `p50`, `p99` and `longest` as pairs, in milliseconds, with a prefix before their names.
    pub(crate) fn pairs(mut self, prefix: &str) -> String {
        self.0.sort_unstable();
        let at = |share: usize| {
            let place = (self.0.len() * share / 100).min(self.0.len().saturating_sub(1));
            self.0.get(place).map_or(f64::NAN, |one| one.as_secs_f64() * 1000.0)
        };
        let (half, most, all) = (at(50), at(99), at(100));
        format!("{prefix}p50_ms={half:.2} {prefix}p99_ms={most:.2} {prefix}longest_ms={all:.2}")
    }
}
