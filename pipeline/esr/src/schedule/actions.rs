//! What operators change in the schedule: each change is kept, with who made it (D103).

use tributary_runtime::{Output, ProcessError};
use tributary_schemas::records::esr::{CounterSet, FileKind, RunsForgotten};
use tributary_schemas::records::esr_state::AdminAction;
use tributary_schemas::records::tributary::Severity;

use super::state::{ScheduleClock, ScheduleState};
use super::{Schedule, check_kind};
use crate::context::london_time;
use crate::format::FileName;
use crate::topics;

impl Schedule {
    /// The changes by operators, the oldest first.
    pub fn actions(&self) -> impl Iterator<Item = &AdminAction> {
        self.actions.iter().map(|(_, action)| action)
    }

    /// Forgets runs of a wrong clock. Their file numbers are not given out again. What these runs made of dates and
    /// placements is repaired by the post stage.
    pub(super) fn forget(
        &mut self,
        state: &mut ScheduleState,
        memory: &mut ScheduleClock,
        forgotten: &RunsForgotten,
        output: &mut Output,
    ) -> Result<(), ProcessError> {
        let RunsForgotten { after, now, by } = forgotten;
        let time = london_time(*after)?;
        let had_runs = state.runs.len();
        let runs = state.forget_runs(*after);
        // An office that never had a run has missed nothing.
        if state.runs.len() < had_runs {
            state.forgotten_after = Some(*after);
        }
        for kind in [FileKind::App, FileKind::Dnc] {
            let due = self.due_date(kind, state.newest_run(kind).unwrap_or(*after))?;
            if let Some(last) = state.last_by_clock.get_mut(&kind) {
                *last = due.min(*last);
            }
        }
        *memory = ScheduleClock::default();
        let text =
            format!("{by} has set the last right time to {time}, London time: {} later runs are forgotten", runs.len());
        self.note(*now, by, "runs-forgotten", "runs", text, output);
        output.broadcast(&topics::POST, b"forget-runs", |buffer| self.context.write(forgotten, buffer));
        Ok(())
    }

    /// Sets the next file number of a type (D50).
    pub(super) fn set_counter(
        &mut self,
        state: &mut ScheduleState,
        set: &CounterSet,
        output: &mut Output,
    ) -> Result<(), ProcessError> {
        let CounterSet { kind, number, now, by } = set;
        check_kind(*kind)?;
        let Some(next) = u64::try_from(*number).ok().filter(|number| (1..=FileName::MAX_NUMBER).contains(number))
        else {
            let text = format!("{number} is not a file number: give one from 1 to {}", FileName::MAX_NUMBER);
            return Err(ProcessError::dead_letter("not-a-file-number", text));
        };
        let before = state.numbers.insert(*kind, next);
        let before = before.map_or_else(|| "the configured one".to_owned(), |before| before.to_string());
        let text = format!("{by} has set the next number of {kind} files to {next}; it was {before}");
        self.note(*now, by, "counter-set", kind.symbol(), text, output);
        Ok(())
    }

    fn note(&mut self, at: i64, by: &str, code: &str, subject: &str, text: String, output: &mut Output) {
        self.context.alert(output, Severity::Warning, code, subject, text.clone());
        let number = self.actions.iter().map(|(number, _)| number + 1).max().unwrap_or_default();
        self.actions.put(number, AdminAction { at, by: by.to_owned(), text });
    }
}
