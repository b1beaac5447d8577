//! The `schedule` stage: export runs with their file numbers, and the day ticks that are due.
//!
//! Each file type has one counter without gaps for all offices. Each office has one number in each run (2.3, D50). The
//! transaction that sends the run also takes its numbers.

mod actions;
mod due;
mod state;

use tributary_flow::framed::unexpected;
use tributary_runtime::{Output, ProcessError, Processor, Record, StateStore, Store};
use tributary_schemas::records::esr::{ExportRun, FileKind, NotificationCut, RunRequested};
use tributary_schemas::records::esr_state::AdminAction;
use tributary_schemas::records::tributary::{Clock, Severity};
use tributary_schemas::{Date, RecordType};

use crate::context::{Context, london_time};
use crate::format::{FileName, Office};
use crate::{topics, views};

use state::{RunKey, ScheduleClock};

pub use state::ScheduleState;

/// The processor of the only partition.
pub struct Schedule {
    context: Context,
    state: Store<(), ScheduleState>,
    clock: Store<(), ScheduleClock>,
    /// What operators have changed, by number.
    actions: Store<i64, AdminAction>,
}

impl Schedule {
    /// Creates a task with empty state.
    pub fn new(context: Context) -> Self {
        let (state, clock) = (Store::new(0, "state"), Store::new(1, "clock"));
        Self { context, state, clock, actions: Store::new(2, "actions") }
    }

    /// The time of the last run, in milliseconds since 1970. An earlier run is refused (D36).
    pub fn last_run(&self) -> Option<i64> {
        self.state.get(&()).and_then(|state| state.last_now)
    }

    fn state(&self) -> ScheduleState {
        self.state.get(&()).cloned().unwrap_or_default()
    }

    /// Whether the run of `kind` as of `now` was started for all these offices. An interrupted batch then continues
    /// after this run.
    pub fn has_run(&self, kind: FileKind, offices: &[Office], now: i64) -> bool {
        let Some(state) = self.state.get(&()) else { return false };
        offices.iter().all(|office| state.last_run(RunKey { kind, office: *office }) == Some(now))
    }

    fn run(&self, state: &mut ScheduleState, request: &RunRequested, output: &mut Output) -> Result<(), ProcessError> {
        check_kind(request.kind)?;
        let time = london_time(request.now)?;
        if state.last_now.is_some_and(|last| request.now < last) {
            let text = format!("the run of {time} lies before the last one and is refused (D36)");
            self.context.alert(output, Severity::Error, "run-before-last", request.kind.symbol(), text);
            return Ok(());
        }
        state.run += 1;
        state.last_now = Some(request.now);
        let today = Date::from_civil(time.date());
        for office in request.offices.iter().copied() {
            let number = state.next_number(&self.context, request.kind);
            let Some(name) = FileName::new(office, request.kind, today.to_civil(), number) else {
                let text = format!(
                    "number {number} does not fit into eight digits: agree on the next number with ESR, then give it \
                     with `tributary esr counter set {} NUMBER`",
                    request.kind
                );
                self.context.alert(output, Severity::Error, "file-numbers-used-up", request.kind.symbol(), text);
                continue;
            };
            let previous_run = state.note_run(RunKey { kind: request.kind, office }, request.now);
            let export_run = ExportRun {
                run: state.run,
                kind: request.kind,
                office,
                file_name: name,
                number: number as i64,
                now: request.now,
                today,
                previous_run,
                include_late: request.include_late,
            };
            let key = format!("{office}/run/{}", state.run);
            self.context.send_export(output, office, &key, &export_run);
        }
        if request.kind == FileKind::Dnc {
            self.cut(state, request, today, output);
        }
        Ok(())
    }

    fn cut(&self, state: &mut ScheduleState, request: &RunRequested, today: Date, output: &mut Output) {
        let cut = NotificationCut {
            run: state.run,
            now: request.now,
            today,
            ticks: ticks(state.last_tick, today),
            offices: request.offices.clone(),
        };
        state.last_tick = Some(today);
        output.broadcast(&topics::POST, b"run", |buffer| self.context.write(&cut, buffer));
    }
}

/// Refuses a file type that runs do not write.
fn check_kind(kind: FileKind) -> Result<(), ProcessError> {
    if matches!(kind, FileKind::App | FileKind::Dnc) {
        return Ok(());
    }
    let text = format!("{kind} files are not written in runs: ask for APP or DNC");
    Err(ProcessError::dead_letter("kind-without-runs", text))
}

/// One day tick for each date since the last run, in order. A second run on a day ticks again (D36).
fn ticks(last: Option<Date>, today: Date) -> Vec<Date> {
    let first = match last {
        Some(last) if last < today => last.plus_days(1),
        _ => today,
    };
    (first.0..=today.0).map(Date).collect()
}

impl Processor for Schedule {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let framed = self.context.open(record)?;
        let (before, remembered) = (self.state(), self.clock.get(&()).cloned().unwrap_or_default());
        let (mut state, mut memory) = (before.clone(), remembered.clone());
        match framed.record_type() {
            RecordType::TributaryClock => {
                let clock = framed.read::<Clock>()?;
                self.clock(&mut state, &mut memory, &clock, output)?;
                // Each exporter sends its counts to the view at this time.
                let time = Clock { now: clock.now, ..Clock::default() };
                output.broadcast(&topics::EXPORTS, views::CLOCK, |buffer| self.context.write(&time, buffer));
            }
            RecordType::EsrRunRequested => self.run(&mut state, &framed.read()?, output)?,
            RecordType::EsrRunsForgotten => self.forget(&mut state, &mut memory, &framed.read()?, output)?,
            RecordType::EsrCounterSet => self.set_counter(&mut state, &framed.read()?, output)?,
            _ => return Err(unexpected(&framed)),
        }
        if state != before {
            self.state.put((), state);
        }
        if memory != remembered {
            self.clock.put((), memory);
        }
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![&mut self.state, &mut self.clock, &mut self.actions]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d36_one_tick_for_each_missed_date() {
        assert_eq!(ticks(None, Date(10)), [Date(10)]);
        assert_eq!(ticks(Some(Date(10)), Date(10)), [Date(10)]);
        assert_eq!(ticks(Some(Date(7)), Date(10)), [Date(8), Date(9), Date(10)]);
    }
}

#[cfg(test)]
#[path = "schedule/tests.rs"]
mod rule_tests;
