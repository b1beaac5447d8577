//! What the rounds say about the time: the clock, whether it is in doubt, and the input for which a due run waits
//! (D95, D103).

use std::time::{Duration, Instant};

use tributary_esr::topics;
use tributary_flow::framed::alert;
use tributary_flow::{ClockReading, Failure};
use tributary_schemas::records::tributary::{Clock, Severity};

use crate::exchange::Exchange;
use crate::sign_of_life;

/// Names of input in one record of the time.
const MOST_NAMES: usize = 10;

/// How long each round publishes the time while a run may wait for input. An entry that stays must not cause a record
/// in each round for good.
const HURRY: Duration = Duration::from_mins(2);

/// What one process has said about the time.
#[derive(Default)]
pub(crate) struct DueWork {
    /// Whether the alert about the doubt was raised.
    told_doubt: bool,
    /// Since when input is known to be there.
    waits_since: Option<Instant>,
    /// The last sign of life that was noted in a shared log, in milliseconds since 1970.
    noted: Option<i64>,
}

impl DueWork {
    /// Whether each round publishes the time, so that a run that waits for input goes once it is taken in.
    pub(crate) fn hurries(&self) -> bool {
        self.waits_since.is_some_and(|since| since.elapsed() < HURRY)
    }

    /// Raises an alert when a doubt about the clock begins and when it ends.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the log does not accept it.
    pub(crate) fn tell_doubt(&mut self, exchange: &Exchange, clock: &ClockReading) -> Result<(), Failure> {
        let (severity, code, text) = match (&clock.doubt, &clock.believed) {
            (Some(doubt), _) if !self.told_doubt => (Severity::Error, "clock-in-doubt", doubt.reason.clone()),
            (None, Some(why)) if self.told_doubt => (Severity::Warning, "clock-believed", why.to_string()),
            _ => return Ok(()),
        };
        let record = alert(severity, code, "clock", text);
        exchange.publish_record(&topics::EVENT, b"clock", clock.now.as_millisecond(), &record)?;
        self.told_doubt = clock.doubt.is_some();
        Ok(())
    }

    /// Publishes the time, with what keeps due runs from taking place.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the log does not accept it.
    pub(crate) fn publish_clock(
        &mut self,
        exchange: &Exchange,
        clock: &ClockReading,
        mut waits_for: Vec<String>,
    ) -> Result<(), Failure> {
        match exchange.process.is_idle() {
            Ok(true) => {}
            Ok(false) => waits_for.push("records on the topics".to_owned()),
            Err(error) => waits_for.push(format!("records on the topics ({error})")),
        }
        self.waits_since = (!waits_for.is_empty()).then(|| self.waits_since.unwrap_or_else(Instant::now));
        let more = waits_for.len().saturating_sub(MOST_NAMES);
        waits_for.truncate(MOST_NAMES);
        waits_for.extend((more > 0).then(|| format!("{more} more")));
        let held_because = clock.doubt.as_ref().map(|doubt| doubt.reason.clone());
        let now = clock.now.as_millisecond();
        let is_new = |noted: i64| now.abs_diff(noted) >= sign_of_life::INTERVAL_MILLIS;
        let sign = Some(now).filter(|_| self.noted.is_none_or(is_new));
        exchange.publish_schedule(now, &Clock { now, held_because, waits_for }, sign)?;
        self.noted = sign.or(self.noted);
        Ok(())
    }
}
