//! The `schedule` stage: export runs with their file numbers, and the day ticks that are due.
//!
//! Each file type has one counter without gaps for all offices. Each office has one number in each run (2.3, D50). The
//! transaction that sends the run also takes its numbers.

use std::collections::BTreeMap;

use tributary_flow::framed::unexpected;
use tributary_runtime::{Output, ProcessError, Processor, Record, StateStore, Store};
use tributary_schemas::records::esr::{ExportRun, FileKind, NotificationCut, RunRequested};
use tributary_schemas::records::esr_state::{self, LastNumber, LastRun, LastRunByClock};
use tributary_schemas::records::tributary::{Clock, Severity};
use tributary_schemas::{Date, RecordType, stored};

use crate::context::{Context, london_date, london_time};
use crate::format::{FileName, Office};
use crate::{topics, views};

/// The state of the schedule.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScheduleState {
    run: i64,
    numbers: BTreeMap<FileKind, u64>,
    last_runs: BTreeMap<RunKey, i64>,
    last_now: Option<i64>,
    /// London date of the last run by the clock.
    last_by_clock: BTreeMap<FileKind, Date>,
}

stored!(ScheduleState as esr_state::ScheduleState);

impl From<&ScheduleState> for esr_state::ScheduleState {
    fn from(state: &ScheduleState) -> Self {
        let number = |(kind, number): (&FileKind, &u64)| LastNumber { kind: kind.to_string(), number: *number as i64 };
        let run = |(key, now): (&RunKey, &i64)| LastRun { kind: key.kind.to_string(), office: key.office, now: *now };
        let by_clock = |(kind, date): (&FileKind, &Date)| LastRunByClock { kind: kind.to_string(), date: *date };
        Self {
            run: state.run,
            numbers: state.numbers.iter().map(number).collect(),
            last_runs: state.last_runs.iter().map(run).collect(),
            last_now: state.last_now,
            last_by_clock: state.last_by_clock.iter().map(by_clock).collect(),
        }
    }
}

/// A text that is not the type of a file.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not the type of a file that this release knows")]
pub struct UnknownKind(String);

fn kind(text: String) -> Result<FileKind, UnknownKind> {
    FileKind::from_symbol(&text).ok_or(UnknownKind(text))
}

impl TryFrom<esr_state::ScheduleState> for ScheduleState {
    type Error = UnknownKind;

    fn try_from(record: esr_state::ScheduleState) -> Result<Self, UnknownKind> {
        let mut state = Self { run: record.run, last_now: record.last_now, ..Self::default() };
        for LastNumber { kind: text, number } in record.numbers {
            state.numbers.insert(kind(text)?, number.unsigned_abs());
        }
        for LastRun { kind: text, office, now } in record.last_runs {
            state.last_runs.insert(RunKey { kind: kind(text)?, office }, now);
        }
        for LastRunByClock { kind: text, date } in record.last_by_clock {
            state.last_by_clock.insert(kind(text)?, date);
        }
        Ok(state)
    }
}

/// Runs of one type for one office.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct RunKey {
    kind: FileKind,
    office: Office,
}

/// The processor of the only partition.
pub struct Schedule {
    context: Context,
    state: Store<(), ScheduleState>,
}

impl Schedule {
    /// Creates a task with empty state.
    pub fn new(context: Context) -> Self {
        Self { context, state: Store::new(0, "state") }
    }

    /// The time of the last run, in milliseconds since 1970. An earlier run is refused (D36).
    pub fn last_run(&self) -> Option<i64> {
        self.state.get(&()).and_then(|state| state.last_now)
    }

    /// Whether the run of `kind` as of `now` was started for all these offices. An interrupted batch then continues
    /// after this run.
    pub fn has_run(&self, kind: FileKind, offices: &[Office], now: i64) -> bool {
        let Some(state) = self.state.get(&()) else { return false };
        offices.iter().all(|office| state.last_runs.get(&RunKey { kind, office: *office }) == Some(&now))
    }

    fn clock(&self, state: &mut ScheduleState, now: i64, output: &mut Output) -> Result<(), ProcessError> {
        let times = &self.context.settings.configuration.schedule;
        let due = [(FileKind::App, times.applicants), (FileKind::Dnc, times.notifications)];
        let (today, time) = (london_date(now)?, london_time(now)?.time());
        for (kind, run_time) in due {
            let past = time >= run_time.0;
            let Some(last) = state.last_by_clock.get(&kind) else {
                // If the first start is after the time of today's run, the first run is tomorrow's.
                state.last_by_clock.insert(kind, if past { today } else { today.plus_days(-1) });
                continue;
            };
            let missed = *last < today.plus_days(-1);
            if *last < today && (past || missed) {
                // A missed run takes place once, for any number of missed dates (D36).
                let request = RunRequested { now, kind, offices: self.context.offices.to_vec(), include_late: false };
                self.run(state, &request, output)?;
                state.last_by_clock.insert(kind, if past { today } else { today.plus_days(-1) });
            }
        }
        Ok(())
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
                let text = format!("number {number} does not fit into eight digits: restart the counter with ESR");
                self.context.alert(output, Severity::Error, "file-numbers-used-up", request.kind.symbol(), text);
                continue;
            };
            let previous_run = state.last_runs.insert(RunKey { kind: request.kind, office }, request.now);
            first_ticks.push((office, first_tick(previous_run, today)?));
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

impl ScheduleState {
    fn next_number(&mut self, context: &Context, kind: FileKind) -> u64 {
        let first = context.settings.configuration.outbound.first_number.of(kind);
        let next = self.numbers.entry(kind).or_insert(first);
        let number = *next;
        *next += 1;
        number
    }
}

impl Processor for Schedule {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let framed = self.context.open(record)?;
        let before = self.state.get(&()).cloned().unwrap_or_default();
        let mut state = before.clone();
        match framed.record_type() {
            RecordType::TributaryClock => {
                let clock = framed.read::<Clock>()?;
                self.clock(&mut state, clock.now, output)?;
                // Each exporter sends its counts to the view at this time.
                output.broadcast(&topics::EXPORTS, views::CLOCK, |buffer| self.context.write(&clock, buffer));
            }
            RecordType::EsrRunRequested => self.run(&mut state, &framed.read()?, output)?,
            _ => return Err(unexpected(&framed)),
        }
        if state != before {
            self.state.put((), state);
        }
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![&mut self.state]
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
