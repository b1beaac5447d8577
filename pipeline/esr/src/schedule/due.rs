//! Runs by the clock: what is due, what it waits for, and what is said when it is not made (10.1, D36, D103, D104).

use jiff::civil::Time;
use tributary_runtime::{Output, ProcessError};
use tributary_schemas::Date;
use tributary_schemas::records::esr::{FileKind, RunRequested};
use tributary_schemas::records::tributary::{Clock, Severity};

use super::Schedule;
use super::state::{ScheduleClock, ScheduleState};
use crate::context::{london_date, london_time};

/// A clock that goes back by no more than this needs no word: the run was made within this time of its due time.
const SMALL_STEP_MS: i64 = 5 * 60 * 1000;

/// After a longer silence, a run that waits for input waits for the whole time again: another process runs the rounds
/// now, or this one was started again.
const LONGEST_SILENCE_MS: i64 = 5 * 60 * 1000;

/// The due time of one type that came last.
#[derive(Debug, Clone, Copy)]
struct Due {
    kind: FileKind,
    date: Date,
    /// The date of the last due time whose run was made.
    last: Date,
}

/// What becomes of a due run.
enum Fate {
    Made,
    /// It stays due, and this is said once.
    NotMade {
        code: &'static str,
        text: String,
    },
    /// It stays due for a short time.
    Waits,
}

impl Schedule {
    /// The types of files that the clock starts, with their times.
    fn times(&self) -> [(FileKind, Time); 2] {
        let times = &self.context.settings.configuration.schedule;
        [(FileKind::App, times.applicants.0), (FileKind::Dnc, times.notifications.0)]
    }

    /// The date of the last due time of a type, up to this time.
    ///
    /// # Errors
    /// As [`london_time`].
    pub(super) fn due_date(&self, kind: FileKind, now: i64) -> Result<Date, ProcessError> {
        let (today, time) = (london_date(now)?, london_time(now)?.time());
        let has_come = self.times().iter().any(|(timed, at)| *timed == kind && time >= *at);
        Ok(if has_come { today } else { today.plus_days(-1) })
    }

    /// Makes the runs that are due, or says why not. No due time passes without a run or a word.
    pub(super) fn clock(
        &self,
        state: &mut ScheduleState,
        memory: &mut ScheduleClock,
        clock: &Clock,
        output: &mut Output,
    ) -> Result<(), ProcessError> {
        let mut waits = false;
        for (kind, _) in self.times() {
            let date = self.due_date(kind, clock.now)?;
            let Some(last) = state.last_by_clock.get(&kind).copied() else {
                // If the first start is after the time of today's run, the first run is tomorrow's.
                state.last_by_clock.insert(kind, date);
                memory.told.insert(kind, date);
                continue;
            };
            let due = Due { kind, date, last };
            if last >= date {
                self.passed(state, memory, due, clock.now, output);
                continue;
            }
            match self.due(state, memory, due, clock, output)? {
                Fate::Made => {
                    state.last_by_clock.insert(kind, date);
                    memory.told.insert(kind, date);
                }
                Fate::NotMade { code, text } => {
                    if memory.told.insert(kind, date) != Some(date) {
                        self.context.alert(output, Severity::Error, code, kind.symbol(), text);
                    }
                }
                Fate::Waits => waits = true,
            }
        }
        if !waits {
            (memory.waiting_since, memory.waited_at) = (None, None);
        }
        Ok(())
    }

    fn due(
        &self,
        state: &mut ScheduleState,
        memory: &mut ScheduleClock,
        due: Due,
        clock: &Clock,
        output: &mut Output,
    ) -> Result<Fate, ProcessError> {
        let Due { kind, date, last } = due;
        if let Some(reason) = &clock.held_because {
            let text = format!("the {kind} run of {date} waits: {reason}");
            return Ok(Fate::NotMade { code: "run-held", text });
        }
        if let Some(ahead) = state.last_now.filter(|last| *last > clock.now) {
            if ahead - clock.now <= SMALL_STEP_MS {
                return Ok(Fate::Waits);
            }
            return Ok(Fate::NotMade { code: "run-before-last", text: not_before(due, ahead) });
        }
        if !clock.waits_for.is_empty() {
            if self.has_patience(memory, clock.now) {
                return Ok(Fate::Waits);
            }
            let text = not_waited_for(due, &clock.waits_for);
            self.context.alert(output, Severity::Warning, "input-not-waited-for", kind.symbol(), text);
        }
        if last.plus_days(1) < date {
            let (first, until) = (last.plus_days(1), date.plus_days(-1));
            let text = format!("the {kind} runs from {first} to {until} were missed: one run makes up for them (D36)");
            self.context.alert(output, Severity::Warning, "runs-missed", kind.symbol(), text);
        }
        // A missed run takes place once, for any number of missed dates (D36).
        let offices = self.context.offices.to_vec();
        self.run(state, &RunRequested { now: clock.now, kind, offices, include_late: false }, output)?;
        Ok(Fate::Made)
    }

    /// Says so if a due time passes although the run of its date, or of a later one, was made before: with a clock that
    /// was set back since.
    fn passed(&self, state: &ScheduleState, memory: &mut ScheduleClock, due: Due, now: i64, output: &mut Output) {
        let Some(told) = memory.told.get(&due.kind).copied() else {
            memory.told.insert(due.kind, due.date);
            return;
        };
        if told == due.date {
            return;
        }
        let ahead = state.last_now.filter(|last| *last > now);
        if told > due.date && ahead.is_none_or(|last| last - now <= SMALL_STEP_MS) {
            return;
        }
        memory.told.insert(due.kind, due.date);
        let Due { kind, date, last } = due;
        let text = match ahead {
            Some(ahead) => not_before(due, ahead),
            None => format!(
                "the {kind} run of {date} is not made again: one of {last} was made, and the clock was set back since. \
                 If that run was wrong, `tributary esr forget-runs --after TIME` makes the run due again"
            ),
        };
        let code = if ahead.is_some() { "run-before-last" } else { "run-not-made" };
        self.context.alert(output, Severity::Error, code, kind.symbol(), text);
    }

    /// Whether a due run still waits for input: until what has just come has settled, and a time to read it (D95).
    fn has_patience(&self, memory: &mut ScheduleClock, now: i64) -> bool {
        let configuration = &self.context.settings.configuration;
        let seconds = i64::from(configuration.inbound.settle_seconds) + i64::from(configuration.schedule.wait_seconds);
        let patience = seconds * 1000;
        let goes_on = |last: i64| (0..=patience.max(LONGEST_SILENCE_MS)).contains(&(now - last));
        let since = memory.waiting_since.filter(|_| memory.waited_at.is_some_and(goes_on)).unwrap_or(now);
        (memory.waiting_since, memory.waited_at) = (Some(since), Some(now));
        now - since < patience
    }
}

/// The words about a run that would lie before the last one.
fn not_before(Due { kind, date, .. }: Due, last: i64) -> String {
    let last = jiff::Timestamp::from_millisecond(last).map_or_else(|_| last.to_string(), |last| last.to_string());
    format!(
        "the {kind} run of {date} is not made: the last run was as of {last}, which lies after now. Correct the clock; \
         if the clock of that run was wrong, `tributary esr forget-runs --after TIME` makes runs due again (D103)"
    )
}

fn not_waited_for(Due { kind, date, .. }: Due, names: &[String]) -> String {
    let names = names.join(", ");
    format!("the {kind} run of {date} does not wait longer for input that is known to be there: {names}")
}
