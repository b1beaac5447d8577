//! The state of the schedule: runs, file numbers, and what was done about due times.

use std::collections::{BTreeMap, BTreeSet};

use tributary_schemas::records::esr::FileKind;
use tributary_schemas::records::esr_state::{self, LastNumber, LastRun, LastRunByClock};
use tributary_schemas::{Date, stored};

use crate::context::Context;
use crate::format::Office;

/// Times of runs that are kept for each type and office, so that runs of a wrong clock can be forgotten (D103).
const KEPT_RUNS: usize = 14;

/// The state of the schedule.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScheduleState {
    pub(super) run: i64,
    pub(super) numbers: BTreeMap<FileKind, u64>,
    /// Times of runs, the newest last.
    pub(super) runs: BTreeMap<RunKey, Vec<i64>>,
    pub(super) last_now: Option<i64>,
    /// The last time that was right, of the last time that an operator had runs of a wrong clock forgotten.
    pub(super) forgotten_after: Option<i64>,
    /// London date of the last due time whose run was made.
    pub(super) last_by_clock: BTreeMap<FileKind, Date>,
}

stored!(ScheduleState as esr_state::ScheduleState);

/// Runs of one type for one office.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RunKey {
    pub(super) kind: FileKind,
    pub(super) office: Office,
}

impl From<&ScheduleState> for esr_state::ScheduleState {
    fn from(state: &ScheduleState) -> Self {
        let number = |(kind, number): (&FileKind, &u64)| LastNumber { kind: kind.to_string(), number: *number as i64 };
        let run = |(key, runs): (&RunKey, &Vec<i64>)| {
            let (now, earlier) = runs.split_last()?;
            Some(LastRun { kind: key.kind.to_string(), office: key.office, now: *now, earlier: earlier.to_vec() })
        };
        Self {
            run: state.run,
            numbers: state.numbers.iter().map(number).collect(),
            last_runs: state.runs.iter().filter_map(run).collect(),
            last_now: state.last_now,
            forgotten_after: state.forgotten_after,
            last_by_clock: by_kind(&state.last_by_clock),
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

fn by_kind(dates: &BTreeMap<FileKind, Date>) -> Vec<LastRunByClock> {
    dates.iter().map(|(kind, date)| LastRunByClock { kind: kind.to_string(), date: *date }).collect()
}

fn dates(records: Vec<LastRunByClock>) -> Result<BTreeMap<FileKind, Date>, UnknownKind> {
    records.into_iter().map(|LastRunByClock { kind: text, date }| Ok((kind(text)?, date))).collect()
}

impl TryFrom<esr_state::ScheduleState> for ScheduleState {
    type Error = UnknownKind;

    fn try_from(record: esr_state::ScheduleState) -> Result<Self, UnknownKind> {
        let mut state = Self {
            run: record.run,
            last_now: record.last_now,
            forgotten_after: record.forgotten_after,
            last_by_clock: dates(record.last_by_clock)?,
            ..Self::default()
        };
        for LastNumber { kind: text, number } in record.numbers {
            state.numbers.insert(kind(text)?, number.unsigned_abs());
        }
        for LastRun { kind: text, office, now, mut earlier } in record.last_runs {
            earlier.push(now);
            state.runs.insert(RunKey { kind: kind(text)?, office }, earlier);
        }
        Ok(state)
    }
}

impl ScheduleState {
    pub(super) fn next_number(&mut self, context: &Context, kind: FileKind) -> u64 {
        let first = context.settings.configuration.outbound.first_number.of(kind);
        let next = self.numbers.entry(kind).or_insert(first);
        let number = *next;
        *next += 1;
        number
    }

    pub(super) fn last_run(&self, key: RunKey) -> Option<i64> {
        self.runs.get(&key)?.last().copied()
    }

    /// Notes a run. Returns the time of the run before it.
    pub(super) fn note_run(&mut self, key: RunKey, now: i64) -> Option<i64> {
        let runs = self.runs.entry(key).or_default();
        let previous = runs.last().copied();
        runs.push(now);
        if runs.len() > KEPT_RUNS {
            runs.remove(0);
        }
        previous
    }

    /// Forgets the runs after a time, but not their file numbers (D103). Returns their types and times.
    pub(super) fn forget_runs(&mut self, after: i64) -> BTreeSet<(FileKind, i64)> {
        let mut forgotten = BTreeSet::new();
        for (key, runs) in &mut self.runs {
            let kept = runs.partition_point(|now| *now <= after);
            forgotten.extend(runs.drain(kept..).map(|now| (key.kind, now)));
        }
        self.runs.retain(|_, runs| !runs.is_empty());
        if self.last_now.is_some_and(|last| last > after) {
            self.last_now = self.runs.values().flatten().max().copied();
        }
        forgotten
    }

    /// The newest run of a type, over all offices.
    pub(super) fn newest_run(&self, kind: FileKind) -> Option<i64> {
        self.runs.iter().filter(|(key, _)| key.kind == kind).flat_map(|(_, runs)| runs).max().copied()
    }
}

/// What the schedule remembers about the time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScheduleClock {
    /// The date of the last due time about which something was done or said.
    pub(super) told: BTreeMap<FileKind, Date>,
    /// Since when a due run waits for input.
    pub(super) waiting_since: Option<i64>,
    /// When it was last seen to wait.
    pub(super) waited_at: Option<i64>,
}

stored!(ScheduleClock as esr_state::ScheduleClock);

impl From<&ScheduleClock> for esr_state::ScheduleClock {
    fn from(clock: &ScheduleClock) -> Self {
        Self { told: by_kind(&clock.told), waiting_since: clock.waiting_since, waited_at: clock.waited_at }
    }
}

impl TryFrom<esr_state::ScheduleClock> for ScheduleClock {
    type Error = UnknownKind;

    fn try_from(record: esr_state::ScheduleClock) -> Result<Self, UnknownKind> {
        let (waiting_since, waited_at) = (record.waiting_since, record.waited_at);
        Ok(Self { told: dates(record.told)?, waiting_since, waited_at })
    }
}
