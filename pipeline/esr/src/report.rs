//! The `report` stage: keeps the newest events about files and the newest alerts, in one order.

use tributary_flow::framed::unexpected;
use tributary_runtime::{Output, ProcessError, Processor, Record, StateStore, Store};
use tributary_schemas::records::esr_state::{NextEvent, ReportedEvent};
use tributary_schemas::records::tributary::{Alert, FileEvent, FileStatus};
use tributary_schemas::{RecordType, stored};

use crate::context::Context;
use crate::{topics, views};

/// Number of events that are kept.
const KEPT: i64 = 20_000;

/// A kept event.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An event about a file.
    File(FileEvent),
    /// An alert, which a person should see.
    Alert(Alert),
}

stored!(Event as ReportedEvent);

impl From<&Event> for ReportedEvent {
    fn from(event: &Event) -> Self {
        match event.clone() {
            Event::File(file) => Self { file: Some(Box::new(file)), alert: None },
            Event::Alert(alert) => Self { file: None, alert: Some(Box::new(alert)) },
        }
    }
}

/// A record that holds neither event, or both.
#[derive(Debug, thiserror::Error)]
#[error("it holds no event, or two")]
pub struct NotOneEvent;

impl TryFrom<ReportedEvent> for Event {
    type Error = NotOneEvent;

    fn try_from(record: ReportedEvent) -> Result<Self, NotOneEvent> {
        match (record.file, record.alert) {
            (Some(file), None) => Ok(Self::File(*file)),
            (None, Some(alert)) => Ok(Self::Alert(*alert)),
            _ => Err(NotOneEvent),
        }
    }
}

/// The processor of the only partition.
pub struct Report {
    context: Context,
    events: Store<i64, Event>,
    next: Store<(), NextEvent>,
}

impl Report {
    /// Creates a task with empty state.
    pub fn new(context: Context) -> Self {
        Self { context, events: Store::new(0, "events"), next: Store::new(1, "next") }
    }

    /// The number of the next event.
    pub fn next_sequence(&self) -> i64 {
        self.next.get(&()).map_or(0, |next| next.sequence)
    }

    /// The events with this number and later numbers.
    pub fn events_since(&self, sequence: i64) -> impl Iterator<Item = &Event> {
        self.events.range(sequence..).map(|(_, event)| event)
    }
}

impl Report {
    /// Sends an event to its view: a file that was written, or an alert, which stays as long as this stage keeps it.
    /// The row of a file from ESR comes from its ledger, because an event may be about a second delivery of the file.
    fn show(&self, sequence: i64, event: &Event, output: &mut Output) {
        match event {
            Event::File(file) if file.status == FileStatus::Written => {
                self.context.send(output, &topics::VIEW, views::file_key(&file.file_name).as_bytes(), file);
            }
            Event::Alert(alert) => {
                self.context.send(output, &topics::VIEW, views::alert_key(sequence).as_bytes(), alert);
            }
            Event::File(_) => {}
        }
    }
}

impl Processor for Report {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let framed = self.context.open(record)?;
        let event = match framed.record_type() {
            RecordType::TributaryFileEvent => Event::File(framed.read()?),
            RecordType::TributaryAlert => Event::Alert(framed.read()?),
            _ => return Err(unexpected(&framed)),
        };
        let sequence = self.next_sequence();
        self.show(sequence, &event, output);
        self.events.put(sequence, event);
        self.next.put((), NextEvent { sequence: sequence + 1 });
        if let Some(Event::Alert(_)) = self.events.get(&(sequence - KEPT)) {
            output.tombstone(&topics::VIEW, views::alert_key(sequence - KEPT).as_bytes());
        }
        self.events.delete(sequence - KEPT);
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![&mut self.events, &mut self.next]
    }
}

#[cfg(test)]
mod tests;
