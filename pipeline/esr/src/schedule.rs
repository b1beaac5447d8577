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
use tributary_schemas::records::tributary::{Clock, FileRetry, Severity};
use tributary_schemas::{Date, RecordType};

use crate::context::{Context, london_date, london_time};
use crate::format::{FileName, Office};
use crate::{topics, views};

use state::{RunKey, ScheduleClock};

pub use state::ScheduleState;

/// The processor of the only partition.
pub struct Schedule {
    context: Context,
    state: Store<(), ScheduleState>,
    /// Files that the writer could not write, because another file has their name. Each is sent to the writer with the
    /// next time, and comes back if it still is not written (D63).
    retries: Store<String, FileRetry>,
    clock: Store<(), ScheduleClock>,
    /// What operators have changed, by number.
    actions: Store<i64, AdminAction>,
}

impl Schedule {
    /// Creates a task with empty state.
    pub fn new(context: Context) -> Self {
        Self {
            context,
            state: Store::new(0, "state"),
            retries: Store::new(1, "retries"),
            clock: Store::new(2, "clock"),
            actions: Store::new(3, "actions"),
        }
    }

    /// The files that wait for a retry.
    pub fn retries(&self) -> impl Iterator<Item = &str> {
        self.retries.iter().map(|(name, _)| name.as_str())
    }

    fn send_retries(&mut self, output: &mut Output) {
        let names: Vec<String> = self.retries().map(str::to_owned).collect();
        for file_name in names {
            let retry = FileRetry { file_name };
            self.context.send(output, &topics::WRITER, retry.file_name.as_bytes(), &retry);
            self.retries.delete(retry.file_name);
        }
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
        let mut first_ticks = Vec::new();
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
            first_ticks.push((office, first_tick(previous_run.or(state.forgotten_after), today)?));
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
            let (offices, first_ticks): (Vec<Office>, Vec<Date>) = first_ticks.into_iter().unzip();
            let first = first_ticks.iter().copied().min().unwrap_or(today);
            let ticks = (first.0..=today.0).map(Date).collect();
            let cut = NotificationCut { run: state.run, now: request.now, today, ticks, offices, first_ticks };
            self.send_cut(&cut, output);
            // An office that comes later has missed nothing.
            let has_run = |office: &Office| state.last_run(RunKey { kind: request.kind, office: *office }).is_some();
            if self.context.offices.iter().all(has_run) {
                state.forgotten_after = None;
            }
        }
        Ok(())
    }

    fn send_cut(&self, cut: &NotificationCut, output: &mut Output) {
        output.broadcast(&topics::POST, b"run", |buffer| self.context.write(cut, buffer));
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

/// The first date whose day tick is due for an office: the one after its last run. A second run on a day ticks again
/// (D36, D118).
///
/// # Errors
/// As [`london_date`].
fn first_tick(last_run: Option<i64>, today: Date) -> Result<Date, ProcessError> {
    let last = last_run.map(london_date).transpose()?;
    Ok(last.filter(|last| *last < today).map_or(today, |last| last.plus_days(1)))
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
                self.send_retries(output);
            }
            RecordType::TributaryFileRetry => {
                let retry = framed.read::<FileRetry>()?;
                self.retries.put(retry.file_name.clone(), retry);
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
        vec![&mut self.state, &mut self.retries, &mut self.clock, &mut self.actions]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d36_d118_ticks_begin_after_the_last_run_of_the_office() {
        let day = |day: i64| day * 86_400_000;
        assert_eq!(first_tick(None, Date(10)).unwrap(), Date(10));
        assert_eq!(first_tick(Some(day(10)), Date(10)).unwrap(), Date(10));
        assert_eq!(first_tick(Some(day(7)), Date(10)).unwrap(), Date(8));
    }
}

#[cfg(test)]
#[path = "schedule/tests.rs"]
mod rule_tests;
