//! What all stages of the flow receive: the codec and the settings.

use std::sync::Arc;

use tributary_flow::framed;
use tributary_runtime::{
    Headers, Output, ProcessError, Record, Topic, append_header, dead_letter_header, partition_for_key,
};
use tributary_schemas::records::cases::{Acknowledged, Command, RegistryApplied};
use tributary_schemas::types::cases::{CaseId, ClientName};
use tributary_schemas::{AvroRecord, Codec, Framed};

use crate::configuration::{CasesSettings, Ordering};
use crate::topics;

/// Codec and settings, shared by all tasks.
#[derive(Clone)]
pub struct Context {
    /// Writes and reads records with the frame of the schema registry.
    pub codec: Codec,
    /// The settings of the flow.
    pub settings: Arc<CasesSettings>,
}

/// Where a command was read in its queue, and its headers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) headers: Headers<'a>,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

impl Context {
    /// Creates a context.
    pub fn new(codec: Codec, settings: Arc<CasesSettings>) -> Self {
        Self { codec, settings }
    }

    /// The partition of a case, in the four queues and in the inbox of `case`.
    pub fn partition_of_case(&self, output: &Output, topic: &Topic, case: CaseId) -> i32 {
        match self.settings.ordering {
            Ordering::Strict => 0,
            Ordering::PerCase => partition_for_key(case.as_bytes(), output.partition_count(topic)),
        }
    }

    /// The partition of a client, in the inbox of `client` and in its rows.
    pub fn partition_of_client(output: &Output, topic: &Topic, client: &ClientName) -> i32 {
        partition_for_key(client.as_str().as_bytes(), output.partition_count(topic))
    }

    /// Sends a command to its queue.
    pub fn submit(&self, output: &mut Output, command: &Command) {
        let inbox = topics::inbox_of(command.queue);
        let partition = self.partition_of_case(output, inbox, command.case_id);
        self.send_to(output, inbox, partition, command.case_id.as_bytes(), command);
    }

    /// Reports to the queue of a client that it has received its notifications up to a position.
    pub fn acknowledge_for(&self, output: &mut Output, client: &ClientName, position: i64) {
        let partition = Self::partition_of_client(output, &topics::CLIENT, client);
        let record = Acknowledged { position, ..Acknowledged::of(client.clone()) };
        self.send_to(output, &topics::CLIENT, partition, client.as_str().as_bytes(), &record);
    }

    /// Opens the frame of a record's value.
    pub(crate) fn open<'a>(&self, record: &Record<'a>) -> Result<Framed<'a>, ProcessError> {
        framed::open(&self.codec, record)
    }

    /// Sends a record to the partition of its key.
    pub(crate) fn send<R: AvroRecord>(&self, output: &mut Output, topic: &'static Topic, key: &str, record: &R) {
        framed::send(&self.codec, output, topic, key.as_bytes(), record);
    }

    /// Sends a record to a partition.
    pub(crate) fn send_to<R: AvroRecord>(
        &self,
        output: &mut Output,
        topic: &'static Topic,
        partition: i32,
        key: &[u8],
        record: &R,
    ) {
        output.send_to(topic, partition, key, |buffer| framed::write(&self.codec, record, buffer));
    }

    /// Sends a record to every partition.
    pub(crate) fn broadcast<R: AvroRecord>(&self, output: &mut Output, topic: &'static Topic, key: &str, record: &R) {
        output.broadcast(topic, key.as_bytes(), |buffer| framed::write(&self.codec, record, buffer));
    }

    /// Reports to the registry that a partition has applied a change.
    pub(crate) fn acknowledge(&self, output: &mut Output, version: i64) {
        self.send(output, &topics::REGISTRY, "applied", &RegistryApplied { version });
    }

    /// Sends a rejected command to the dead letters, as if its queue had sent it there.
    pub(crate) fn dead_letter(
        &self,
        output: &mut Output,
        command: &Command,
        source: Source<'_>,
        (code, text): (&str, &str),
    ) {
        let mut headers = source.headers.as_bytes().to_vec();
        let partition = source.partition.to_string();
        let named = [
            (dead_letter_header::TOPIC, topics::inbox_of(command.queue).name),
            (dead_letter_header::PARTITION, &partition),
            (dead_letter_header::OFFSET, &source.offset.to_string()),
            (dead_letter_header::FLOW, crate::flow::GROUP),
            (dead_letter_header::TASK, &partition),
            (dead_letter_header::STAGE, command.queue.symbol()),
            (dead_letter_header::CODE, code),
            (dead_letter_header::MESSAGE, text),
        ];
        for (name, value) in named {
            append_header(&mut headers, name, value.as_bytes());
        }
        output.set_headers(Headers::from_bytes(&headers));
        framed::send(&self.codec, output, &topics::DEAD_LETTER, command.case_id.as_bytes(), command);
        output.set_headers(source.headers);
    }
}
