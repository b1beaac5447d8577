//! The outcomes of the last commands. The first outcome of a command stays; a repeat changes nothing.

use tributary_runtime::{Output, StateStore, Store};
use tributary_schemas::records::cases::{Command, CommandStatus, Outcome};
use tributary_schemas::records::cases_state::{CaseProgress, KnownOutcome, OutcomeKey};
use tributary_schemas::types::cases::{CommandId, OriginName};

use crate::context::Context;
use crate::topics;

/// Outcomes that a partition keeps.
pub const MOST_OUTCOMES: i64 = 100_000;

/// Codes of rejected commands that queues decide.
const QUEUE_CODES: [&str; 3] = ["InvalidCommand", "UnknownOrigin", "UriNotAllowed"];

pub(super) struct Outcomes {
    known: Store<(OriginName, CommandId), KnownOutcome>,
    order: Store<i64, OutcomeKey>,
}

impl Outcomes {
    pub(super) const fn new(known: u8, order: u8) -> Self {
        Self { known: Store::new(known, "outcomes"), order: Store::new(order, "outcome_order") }
    }

    pub(super) fn stores(&mut self) -> [&mut dyn StateStore; 2] {
        [&mut self.known, &mut self.order]
    }

    /// Notes what became of a command.
    pub(super) fn note(
        &mut self,
        context: &Context,
        command: &Command,
        (status, code, detail): (CommandStatus, Option<&'static str>, &str),
        progress: &mut CaseProgress,
        output: &mut Output,
    ) {
        let detail = code.map(|_| detail.to_owned());
        let outcome = Outcome { status, code: code.map(str::to_owned), detail, ..outcome_of(command) };
        self.put(context, outcome, progress, output);
    }

    /// Notes that a repeat has come. It is the outcome if the first one is not kept any more.
    pub(super) fn note_repeat(
        &mut self,
        context: &Context,
        command: &Command,
        first: CommandStatus,
        progress: &mut CaseProgress,
        output: &mut Output,
    ) {
        if let Some(known) = self.known.get(&(command.origin.clone(), command.command_id)) {
            send_repeat(context, &known.outcome, command.request.clone(), output);
            return;
        }
        let outcome = Outcome { status: first, duplicate: true, ..outcome_of(command) };
        self.put(context, outcome, progress, output);
    }

    fn put(&mut self, context: &Context, outcome: Outcome, progress: &mut CaseProgress, output: &mut Output) {
        let key = (outcome.origin.clone(), outcome.command_id);
        let number = match self.known.get(&key) {
            Some(known) if !is_open(&known.outcome, &outcome) => {
                send_repeat(context, &known.outcome, outcome.request, output);
                return;
            }
            Some(known) => known.number,
            None => {
                let number = progress.next_outcome;
                progress.next_outcome += 1;
                self.order.put(number, OutcomeKey { origin: key.0.clone(), command_id: key.1 });
                number
            }
        };
        context.send(output, &topics::OUTCOME, &row_key(&key.0, key.1), &outcome);
        self.known.put(key, KnownOutcome { number, outcome });
        if progress.next_outcome - progress.oldest_outcome > MOST_OUTCOMES {
            self.forget(progress.oldest_outcome, output);
            progress.oldest_outcome += 1;
        }
    }

    fn forget(&mut self, number: i64, output: &mut Output) {
        let Some(oldest) = self.order.get(&number).cloned() else { return };
        self.order.delete(number);
        output.tombstone(&topics::OUTCOME, row_key(&oldest.origin, oldest.command_id).as_bytes());
        self.known.delete((oldest.origin, oldest.command_id));
    }
}

/// Says that an attempt has changed nothing, so that whoever waits for it need not wait longer.
fn send_repeat(context: &Context, first: &Outcome, repeat: Option<String>, output: &mut Output) {
    if repeat.is_some() && repeat != first.request {
        let row = Outcome { repeat, ..first.clone() };
        context.send(output, &topics::OUTCOME, &row_key(&row.origin, row.command_id), &row);
    }
}

/// Whether a later outcome replaces the known one: the command waits, was rejected and is sent once more, or its id was
/// used for another case.
fn is_open(known: &Outcome, later: &Outcome) -> bool {
    let waits = matches!(known.status, CommandStatus::Accepted | CommandStatus::Parked);
    let is_first = later.status != CommandStatus::Accepted;
    known.case_id != later.case_id || (is_first && (waits || known.status == CommandStatus::Rejected))
}

fn outcome_of(command: &Command) -> Outcome {
    Outcome {
        queue: command.queue,
        request: command.request.clone(),
        ..Outcome::of(command.origin.clone(), command.case_id, command.command_id)
    }
}

/// The key of an outcome in its topic.
fn row_key(origin: &OriginName, command: CommandId) -> String {
    format!("{origin}/{command}")
}

/// The code of a refusal as a constant. Codes are few, because they are labels of metrics.
pub(super) fn known_code(code: &str) -> &'static str {
    let own = ["NotOwner", "AlreadyExists", "CaseUnknown", "TooManyParked"];
    QUEUE_CODES.into_iter().chain(own).find(|known| *known == code).unwrap_or("Refused")
}
