//! Times and their percentiles.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// Durations that are collected, and shown as percentiles.
#[derive(Debug, Default)]
pub(crate) struct Durations(Vec<Duration>);

impl Durations {
    pub(crate) fn add(&mut self, one: Duration) {
        self.0.push(one);
    }

    /// `count`, `p50`, `p99` and `longest` as pairs, in milliseconds, with a prefix before their names.
    pub(crate) fn pairs(mut self, prefix: &str) -> String {
        self.0.sort_unstable();
        let at = |share: usize| {
            let place = (self.0.len() * share / 100).min(self.0.len().saturating_sub(1));
            self.0.get(place).map_or(f64::NAN, |one| one.as_secs_f64() * 1000.0)
        };
        format!(
            "{prefix}count={} {prefix}p50_ms={:.1} {prefix}p99_ms={:.1} {prefix}longest_ms={:.1}",
            self.0.len(),
            at(50),
            at(99),
            at(100)
        )
    }
}
