//! What the four queues share: their commands are checked and handed on one after the other. A held queue keeps its
//! commands, and hands on what it has kept before anything newer.

use std::borrow::Cow;

use tributary_flow::framed::unexpected;
use tributary_runtime::{Headers, Output, ProcessError, Processor, Record, SelectedStore, StateStore, Store, Table};
use tributary_schemas::RecordType;
use tributary_schemas::records::cases::{
    CheckedCommand, Command, Origin, Queue, QueueRelease, QueueState, Refusal, RegistryAction, RegistryChange,
};
use tributary_schemas::records::cases_state::{HeldCommand, QueueProgress};
use tributary_schemas::types::cases::OriginName;

use crate::context::{Context, Source};
use crate::{close, create, delete, topics, update, uri};

/// Kept commands that are handed on in one step, so that no transaction grows with the length of a pause.
const RELEASED_AT_ONCE: i64 = 500;

/// The processor of one partition of a queue.
pub struct QueueStage {
    context: Context,
    queue: Queue,
    partition: i32,
    /// Origin systems by name in lower case.
    origins: Store<String, Origin>,
    /// Kept commands in order of arrival.
    held: SelectedStore<i64, HeldCommand>,
    progress: Store<(), QueueProgress>,
}

impl QueueStage {
    /// Creates a task with empty state. It keeps commands in this table, or in memory.
    pub fn new(context: Context, queue: Queue, partition: i32, table: Option<Box<dyn Table>>) -> Self {
        Self {
            context,
            queue,
            partition,
            origins: Store::new(0, "origins"),
            held: SelectedStore::new(1, "held", table),
            progress: Store::new(2, "progress"),
        }
    }

    fn progress(&self) -> QueueProgress {
        self.progress.get(&()).cloned().unwrap_or_default()
    }

    fn command(&mut self, record: &Record<'_>, command: Command, output: &mut Output) -> Result<(), ProcessError> {
        if command.queue != self.queue {
            let text = format!("{} does not belong into the queue {}", command.queue.command(), self.queue);
            return Err(ProcessError::dead_letter("wrong-queue", text));
        }
        let source = Source { headers: record.headers, partition: self.partition, offset: record.offset };
        let mut progress = self.progress();
        if !progress.paused && progress.oldest == progress.next {
            self.hand_on(command, source, output);
            return Ok(());
        }
        self.send_checked(&checked(command.clone(), None, source, true), output);
        let headers = record.headers.as_bytes().to_vec();
        let held = HeldCommand { command, headers, partition: source.partition, offset: source.offset };
        self.held.put(progress.next, held)?;
        progress.next += 1;
        self.note(progress, output);
        Ok(())
    }

    fn hand_on(&self, mut command: Command, source: Source<'_>, output: &mut Output) {
        let refusal = match self.origins.get(&folded(&command.origin)) {
            None => Some(Refusal {
                code: "UnknownOrigin".to_owned(),
                detail: format!("{} is no origin system", command.origin),
            }),
            Some(origin) => {
                command.origin = origin.name.clone();
                self.refusal(&command, origin)
            }
        };
        self.send_checked(&checked(command, refusal, source, false), output);
    }

    fn refusal(&self, command: &Command, origin: &Origin) -> Option<Refusal> {
        match self.queue {
            Queue::Create => create::check(command, origin),
            Queue::Update => update::check(command, origin),
            Queue::Close => close::check(command, origin),
            Queue::Delete => delete::check(command, origin),
        }
    }

    fn send_checked(&self, checked: &CheckedCommand, output: &mut Output) {
        let case = checked.command.case_id;
        let partition = self.context.partition_of_case(output, &topics::CASE, case);
        self.context.send_to(output, &topics::CASE, partition, case.as_bytes(), checked);
    }

    fn release(&mut self, release: &QueueRelease, output: &mut Output) -> Result<(), ProcessError> {
        let mut progress = self.progress();
        // Only the release that belongs to the present position continues: a second one would hand on nothing more.
        if progress.paused || progress.oldest != release.oldest {
            return Ok(());
        }
        let end = progress.next.min(progress.oldest + RELEASED_AT_ONCE);
        for number in progress.oldest..end {
            let Some(held) = self.held.get(&number)?.map(Cow::into_owned) else { continue };
            let headers = Headers::from_bytes(&held.headers);
            output.set_headers(headers);
            self.hand_on(held.command, Source { headers, partition: held.partition, offset: held.offset }, output);
            self.held.delete(number)?;
        }
        output.set_headers(Headers::default());
        progress.oldest = end;
        if progress.oldest < progress.next {
            self.continue_release(&progress, output);
        }
        self.note(progress, output);
        Ok(())
    }

    fn continue_release(&self, progress: &QueueProgress, output: &mut Output) {
        let release = QueueRelease { oldest: progress.oldest };
        let inbox = topics::inbox_of(self.queue);
        self.context.send_to(output, inbox, self.partition, b"release", &release);
    }

    fn change(&mut self, registry: &RegistryChange, output: &mut Output) {
        let change = &registry.change;
        match (change.action, &change.origin) {
            (RegistryAction::OriginPut, Some(name)) => {
                let origin = Origin {
                    client_id: change.client_id.clone().unwrap_or_default(),
                    details: change.details.clone(),
                    ..Origin::of(name.clone())
                };
                self.origins.put(folded(name), origin);
            }
            (RegistryAction::OriginDelete, Some(name)) => self.origins.delete(folded(name)),
            (RegistryAction::QueuePause | RegistryAction::QueueResume, _) if change.queue == Some(self.queue) => {
                let mut progress = self.progress();
                progress.paused = change.action == RegistryAction::QueuePause;
                if !progress.paused && progress.oldest < progress.next {
                    self.continue_release(&progress, output);
                }
                self.note(progress, output);
            }
            _ => {}
        }
        self.context.acknowledge(output, registry.version);
    }

    fn note(&mut self, progress: QueueProgress, output: &mut Output) {
        let row = QueueState {
            queue: self.queue,
            partition: self.partition,
            paused: progress.paused,
            waiting: progress.next - progress.oldest,
        };
        let key = format!("queue/{}/{}", self.queue, self.partition);
        self.context.send(output, &topics::REGISTRY_ROWS, &key, &row);
        self.progress.put((), progress);
    }
}

impl Processor for QueueStage {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let framed = self.context.open(record)?;
        match framed.record_type() {
            RecordType::CasesCommand => return self.command(record, framed.read()?, output),
            RecordType::CasesRegistryChange => self.change(&framed.read()?, output),
            RecordType::CasesQueueRelease => return self.release(&framed.read()?, output),
            _ => return Err(unexpected(&framed)),
        }
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![&mut self.origins, self.held.state(), &mut self.progress]
    }
}

fn checked(command: Command, refusal: Option<Refusal>, source: Source<'_>, held: bool) -> CheckedCommand {
    CheckedCommand { command, refusal, held, partition: source.partition, offset: source.offset }
}

/// Names differ in more than their case.
fn folded(name: &OriginName) -> String {
    name.as_str().to_ascii_lowercase()
}

/// Refuses a URI that is not where case details of the origin may be.
pub(crate) fn check_uri(text: &str, origin: &Origin) -> Option<Refusal> {
    let refused = |detail| Some(Refusal { code: "UriNotAllowed".to_owned(), detail });
    match uri::is_listed(text, &origin.details) {
        Ok(true) => None,
        Ok(false) => refused(format!("caseDetailsUri is not at a place that {} lists", origin.name)),
        Err(error) => refused(format!("caseDetailsUri is refused: {error}")),
    }
}

/// The refusal of a command that lacks a field.
pub(crate) fn invalid(field: &str) -> Refusal {
    Refusal { code: "InvalidCommand".to_owned(), detail: format!("the field {field} is missing") }
}

#[cfg(test)]
mod tests;
