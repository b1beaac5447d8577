//! The `report` stage: keeps the newest events about files and the newest alerts, in one order.

use serde::{Deserialize, Serialize};
use tributary_flow::framed::unexpected;
use tributary_runtime::{Output, ProcessError, Processor, Record, StateStore, Store};
use tributary_schemas::RecordType;
use tributary_schemas::records::tributary::{Alert, FileEvent, FileStatus};

use crate::context::Context;
use crate::{topics, views};

/// Number of events that are kept.
const KEPT: i64 = 20_000;

/// A kept event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// An event about a file.
    File(FileEvent),
    /// An alert, which a person should see.
    Alert(Alert),
}

/// The processor of the only partition.
pub struct Report {
    context: Context,
    events: Store<i64, Event>,
    next: Store<(), i64>,
}

impl Report {
    /// Creates a task with empty state.
    pub fn new(context: Context) -> Self {
        Self { context, events: Store::new(), next: Store::new() }
    }

    /// The number of the next event.
    pub fn next_sequence(&self) -> i64 {
        self.next.get(&()).copied().unwrap_or_default()
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
        self.next.put((), sequence + 1);
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
