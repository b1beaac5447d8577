//! What the stage receives: the codec and the settings.

use std::sync::Arc;

use tributary_flow::framed;
use tributary_runtime::{Output, ProcessError, Record, Topic};
use tributary_schemas::records::registry::{CallAnswer, CommandAction, JobCommand, LookupRequest};
use tributary_schemas::types::registry::KindName;
use tributary_schemas::{AvroRecord, Codec, Framed};

use crate::configuration::RegistrySettings;
use crate::row_key::RowKey;
use crate::topics;

/// Codec and settings, shared by all tasks.
#[derive(Clone)]
pub struct Context {
    /// Writes and reads records with the frame of the schema registry.
    pub codec: Codec,
    /// The settings of the flow.
    pub settings: Arc<RegistrySettings>,
}

impl Context {
    /// Creates a context.
    pub fn new(codec: Codec, settings: Arc<RegistrySettings>) -> Self {
        Self { codec, settings }
    }

    /// Sends a request to the stage.
    pub fn ask(&self, output: &mut Output, row: RowKey, request: &LookupRequest) {
        self.send(output, &topics::JOB, &row.to_string(), request);
    }

    /// Sends the answer of a call to the stage.
    pub fn answer(&self, output: &mut Output, row: RowKey, answer: &CallAnswer) {
        self.send(output, &topics::JOB, &row.to_string(), answer);
    }

    /// Sends a command about a row to the stage.
    pub fn command(&self, output: &mut Output, row: RowKey, command: &JobCommand) {
        self.send(output, &topics::JOB, &row.to_string(), command);
    }

    /// Sends a command about a kind to the stage.
    pub fn command_kind(&self, output: &mut Output, command: &JobCommand) {
        self.send(output, &topics::JOB, &kind_key(&command.kind), command);
    }

    /// Opens the frame of a record's value.
    pub(crate) fn open<'a>(&self, record: &Record<'a>) -> Result<Framed<'a>, ProcessError> {
        framed::open(&self.codec, record)
    }

    /// Sends a record to the partition of its key.
    pub(crate) fn send<R: AvroRecord>(&self, output: &mut Output, topic: &'static Topic, key: &str, record: &R) {
        framed::send(&self.codec, output, topic, key.as_bytes(), record);
    }
}

/// The key of commands about a kind: they stand in one partition.
fn kind_key(kind: &KindName) -> String {
    format!("kind/{kind}")
}

/// Whether a command is about a kind, and not about a row.
pub(crate) fn is_about_kind(action: CommandAction) -> bool {
    matches!(action, CommandAction::Pause | CommandAction::Resume)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::{self, NOW, key};

    #[test]
    fn what_is_about_a_row_has_its_key_and_what_is_about_a_kind_its_name() {
        let context = harness::context();
        let mut output = Output::new(4);
        context.ask(&mut output, key(1), &harness::request(1, 1, NOW));
        context.answer(&mut output, key(1), &harness::found(harness::run(1), 1, None, NOW));
        context.command(&mut output, key(1), &harness::command(CommandAction::Retry, NOW));
        context.command_kind(&mut output, &harness::command(CommandAction::Pause, NOW));
        let keys: Vec<String> =
            output.records().map(|record| String::from_utf8_lossy(record.key).into_owned()).collect();
        let row = key(1).to_string();
        assert_eq!(keys, [row.as_str(), &row, &row, "kind/unzr"]);
        assert!(output.records().all(|record| record.topic == &topics::JOB && record.value.is_some()));
        let partitions: Vec<i32> = output.records().take(3).map(|record| record.partition).collect();
        assert!(partitions.windows(2).all(|pair| pair[0] == pair[1]), "they keep their order");
    }
}
