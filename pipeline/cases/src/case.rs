//! The `case` stage: the state table of commands, the metadata of cases, and who receives a notification.
//!
//! A case id has one living owner, the origin whose create command came first. Parked commands and tombstones belong to
//! an origin and a case id. State, outcome and notifications of a command are one transaction.

mod apply;
mod expiry;
mod granted;
mod outcomes;
mod parked;
mod state;
#[cfg(test)]
mod tests;

use tributary_flow::framed::unexpected;
use tributary_runtime::{Headers, Output, ProcessError, Processor, Record, StateStore, Store};
use tributary_schemas::RecordType;
use tributary_schemas::records::cases::{CheckedCommand, Command, CommandStatus, Queue, RegistryChange};
use tributary_schemas::records::cases_state::{CaseProgress, LivingCase, ParkedCommand, Tombstone};
use tributary_schemas::records::tributary::Clock;
use tributary_schemas::types::cases::{CaseId, OriginName};

use crate::context::{Context, Source};
use granted::Granted;
use outcomes::Outcomes;
use state::ParkedKey;

pub use outcomes::MOST_OUTCOMES;
pub use parked::MOST_PARKED;

/// Commands that a living case remembers.
pub const REMEMBERED: usize = 64;

/// The processor of one partition.
pub struct CaseStage {
    context: Context,
    cases: Store<CaseId, LivingCase>,
    parked: Store<ParkedKey, ParkedCommand>,
    /// Parked commands by the time of their arrival.
    parked_since: Store<(i64, ParkedKey), ()>,
    tombstones: Store<(CaseId, OriginName), Tombstone>,
    /// Tombstones by the time of the delete command.
    deleted_at: Store<(i64, (CaseId, OriginName)), ()>,
    granted: Granted,
    outcomes: Outcomes,
    progress: Store<(), CaseProgress>,
}

/// A command with what the stage knows about its record.
#[derive(Clone, Copy)]
struct Given<'a> {
    command: &'a Command,
    source: Source<'a>,
    /// The time of the partition, in milliseconds since 1970.
    now: i64,
}

/// What becomes of a command, if it is not applied.
struct Verdict {
    status: CommandStatus,
    code: Option<&'static str>,
    detail: String,
}

impl Verdict {
    fn of(status: CommandStatus) -> Self {
        Self { status, code: None, detail: String::new() }
    }

    fn rejected(code: &'static str, detail: String) -> Self {
        Self { status: CommandStatus::Rejected, code: Some(code), detail }
    }
}

impl CaseStage {
    /// Creates a task with empty state.
    pub fn new(context: Context) -> Self {
        Self {
            context,
            cases: Store::new(0, "cases"),
            parked: Store::new(1, "parked"),
            parked_since: Store::new(2, "parked_since"),
            tombstones: Store::new(3, "tombstones"),
            deleted_at: Store::new(4, "deleted_at"),
            granted: Granted::new(5, 6),
            outcomes: Outcomes::new(7, 8),
            progress: Store::new(9, "progress"),
        }
    }

    /// The living cases.
    pub fn living(&self) -> impl Iterator<Item = &LivingCase> {
        self.cases.iter().map(|(_, living)| living)
    }

    fn progress(&self) -> CaseProgress {
        self.progress.get(&()).cloned().unwrap_or_default()
    }

    fn command(&mut self, record: &Record<'_>, checked: &CheckedCommand, output: &mut Output) {
        let command = &checked.command;
        let source = Source { headers: record.headers, partition: checked.partition, offset: checked.offset };
        let given = Given { command, source, now: record.timestamp.max(self.progress().clock) };
        if checked.held {
            self.conclude(given, Verdict::of(CommandStatus::Accepted), output);
            return;
        }
        if let Some(refusal) = &checked.refusal {
            self.reject(given, &refusal.code, &refusal.detail, output);
            return;
        }
        // What is overdue is overdue whether or not the clock has come since.
        self.expire_parked_of(command.case_id, &command.origin, given.now, output);
        output.set_headers(source.headers);
        self.expire_tombstone_of(command.case_id, &command.origin, given.now, output);
        self.judge(given, output);
    }

    /// The state table.
    fn judge(&mut self, given: Given<'_>, output: &mut Output) {
        let command = given.command;
        let Some(living) = self.cases.get(&command.case_id).cloned() else {
            self.judge_absent(given, output);
            return;
        };
        if living.row.origin_system != command.origin {
            let text = format!("the case {} belongs to another origin system", command.case_id);
            self.reject(given, "NotOwner", &text, output);
            return;
        }
        if let Some(first) = living.remembered.iter().find(|known| known.command_id == command.command_id) {
            self.repeated(given, first.status, output);
            return;
        }
        self.judge_living(given, living, output);
    }

    fn judge_absent(&mut self, given: Given<'_>, output: &mut Output) {
        let command = given.command;
        let is_deleted = self.tombstones.get(&(command.case_id, command.origin.clone())).is_some();
        match (command.queue, is_deleted) {
            (Queue::Delete, true) => self.conclude(given, Verdict::of(CommandStatus::Unchanged), output),
            (_, true) => self.conclude(given, Verdict::of(CommandStatus::Dropped), output),
            (Queue::Delete, false) => {
                self.drop_parked_of(command.case_id, &command.origin, output);
                output.set_headers(given.source.headers);
                self.bury(given, Vec::new(), output);
                self.conclude(given, Verdict::of(CommandStatus::Unchanged), output);
            }
            (Queue::Create, false) => self.create(given, output),
            (Queue::Update | Queue::Close, false) => self.park(given, output),
        }
    }

    /// Sends the outcome of a command. A rejected one is a dead letter too.
    fn conclude(&mut self, given: Given<'_>, verdict: Verdict, output: &mut Output) {
        let mut progress = self.progress();
        let Verdict { status, code, detail } = verdict;
        self.outcomes.note(&self.context, given.command, (status, code, &detail), &mut progress, output);
        self.note_progress(progress);
        if status == CommandStatus::Rejected {
            self.context.dead_letter(output, given.command, given.source, (code.unwrap_or_default(), &detail));
        }
    }

    fn reject(&mut self, given: Given<'_>, code: &str, detail: &str, output: &mut Output) {
        let code = outcomes::known_code(code);
        self.conclude(given, Verdict::rejected(code, detail.to_owned()), output);
    }

    /// A repeat has no effect. Its outcome is shown if the first one is not kept any more.
    fn repeated(&mut self, given: Given<'_>, first: CommandStatus, output: &mut Output) {
        let mut progress = self.progress();
        self.outcomes.note_repeat(&self.context, given.command, first, &mut progress, output);
        self.note_progress(progress);
    }

    fn note_progress(&mut self, progress: CaseProgress) {
        if self.progress.get(&()) != Some(&progress) {
            self.progress.put((), progress);
        }
    }

    fn change(&mut self, registry: &RegistryChange, output: &mut Output) {
        self.granted.apply(&registry.change);
        self.context.acknowledge(output, registry.version);
    }

    fn clock(&mut self, clock: &Clock, output: &mut Output) {
        let mut progress = self.progress();
        progress.clock = progress.clock.max(clock.now);
        let now = progress.clock;
        self.note_progress(progress);
        output.set_headers(Headers::default());
        self.expire(now, output);
    }
}

impl Processor for CaseStage {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let framed = self.context.open(record)?;
        match framed.record_type() {
            RecordType::CasesCheckedCommand => self.command(record, &framed.read()?, output),
            RecordType::CasesRegistryChange => self.change(&framed.read()?, output),
            RecordType::TributaryClock => self.clock(&framed.read()?, output),
            _ => return Err(unexpected(&framed)),
        }
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        let [origins, cases] = self.granted.stores();
        let [known, order] = self.outcomes.stores();
        vec![
            &mut self.cases,
            &mut self.parked,
            &mut self.parked_since,
            &mut self.tombstones,
            &mut self.deleted_at,
            origins,
            cases,
            known,
            order,
            &mut self.progress,
        ]
    }
}
