//! The last time at which a process was at work, as the log says. A clock that is far from it is in doubt (D103).
//!
//! On the embedded log this process has all partitions, and their state says it. On a shared log it may have none of
//! them. There it is a note beside those of the baseline, which the process that runs the rounds renews.

use std::time::Instant;

use jiff::Timestamp;
use tributary_esr::exporter::Exporter;
use tributary_esr::schedule::Schedule;
use tributary_esr::topics;
use tributary_flow::{ClockGuard, ClockLimits, Failure, Process};
use tributary_runtime::{LogError, Output, TimestampMillis};

use crate::exchange::Exchange;

/// The key of the note.
const ALIVE: &[u8] = b"alive";

/// The note is renewed when the time differs from it by this.
pub(crate) const INTERVAL_MILLIS: u64 = 60_000;

/// The last time at which a process was at work. `None` in a new log.
///
/// # Errors
/// [`Failure::Unfinished`] when the workers or the log do not answer.
pub(crate) fn last(exchange: &Exchange) -> Result<Option<Timestamp>, Failure> {
    let process = &exchange.process;
    if process.is_shared() {
        return noted(&**process).map_err(Failure::unfinished);
    }
    let now = Timestamp::now().as_millisecond();
    let shown = process.inspect(Exporter::shown_at)?.into_iter().flatten();
    // A batch may have made a run for a time to come.
    let runs = process.inspect(Schedule::last_run)?.into_iter().flatten().filter(|run| *run <= now);
    Ok(shown.chain(runs).max().and_then(|last| Timestamp::from_millisecond(last).ok()))
}

/// Whether the clock can be believed before the process has compared it with the log.
///
/// # Errors
/// [`LogError`] when the log does not answer.
pub(crate) fn is_near(process: &dyn Process, now: Timestamp) -> Result<bool, LogError> {
    let Some(last) = noted(process)? else { return Ok(true) };
    let (mut guard, at) = (ClockGuard::new(ClockLimits::default()), Instant::now());
    guard.begin(last, now, at);
    Ok(guard.read(now, at).doubt.is_none())
}

/// The note in a shared log, as far as it is committed.
fn noted(process: &dyn Process) -> Result<Option<Timestamp>, LogError> {
    let mut last = None;
    process.reader()?.read(&topics::BASELINE, process.flow_partitions(), &mut |key, value| {
        if key == ALIVE {
            last = value.and_then(read);
        }
    })?;
    Ok(last)
}

fn read(value: &[u8]) -> Option<Timestamp> {
    Timestamp::from_millisecond(std::str::from_utf8(value).ok()?.parse().ok()?).ok()
}

/// Adds the note that a process is at work.
pub(crate) fn note(output: &mut Output, now: TimestampMillis) {
    output.send(&topics::BASELINE, ALIVE, |buffer| buffer.extend_from_slice(now.to_string().as_bytes()));
}
