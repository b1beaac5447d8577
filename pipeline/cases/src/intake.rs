//! The stages that take commands from the topics of origin systems. Each finds the sender, checks the form as over
//! HTTP, and hands the command to its queue.
//!
//! They have no state. Who sends a record is asked of the edge, which may wait for an issuer of tokens, so they are a
//! consumer group of their own.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::Value;
use tributary_flow::framed::unexpected;
use tributary_runtime::{Headers, Output, ProcessError, Processor, Record, StateStore, TimestampMillis, append_header};
use tributary_schemas::records::cases::Queue;
use tributary_schemas::records::dis::{CloseCaseCommand, CreateCaseCommand, DeleteCaseCommand, UpdateCaseCommand};
use tributary_schemas::types::cases::{CommandId, OriginName};
use tributary_schemas::{DecodeError, Framed};
use uuid::{Uuid, uuid};

use crate::command::{self, FieldError, Fields, Sender};
use crate::context::Context;

/// The largest command in bytes, as over HTTP.
pub const LARGEST: usize = 64 * 1024;

/// The frame of the schema registry: a zero byte and the id of the schema.
const FRAME_BYTES: usize = 5;

/// The namespace of the ids of commands that have none.
const COMMANDS: Uuid = uuid!("8f0b6a0e-5d0f-5c0b-9a57-6a2f5a3f7c11");

/// Headers that go on with a command. No other one does: a sender must not reach clients with it.
const PASSED_ON: [&str; 2] = ["correlation", "traceparent"];

/// Knows who sends a record.
pub trait Senders: Send + Sync {
    /// The origin system that sent a record with these headers at this time.
    ///
    /// # Errors
    /// [`SenderError`]. Its text never has a token in it.
    fn sender(&self, headers: Headers<'_>, sent: TimestampMillis) -> Result<OriginName, SenderError>;
}

/// Why the sender of a record is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SenderError {
    /// There are no credentials, or wrong ones.
    #[error("{0}")]
    Unauthenticated(String),
    /// Good credentials of nobody registered.
    #[error("{0} is not registered")]
    UnknownClient(String),
    /// A client, but no origin system.
    #[error("{0} is no origin system")]
    NotAnOrigin(String),
    /// It cannot be told now.
    #[error("{0}")]
    Unavailable(String),
}

impl From<SenderError> for ProcessError {
    fn from(error: SenderError) -> Self {
        let text = error.to_string();
        match error {
            SenderError::Unauthenticated(_) => Self::dead_letter("Unauthenticated", text),
            SenderError::UnknownClient(_) => Self::dead_letter("UnknownClient", text),
            SenderError::NotAnOrigin(_) => Self::dead_letter("NotAnOrigin", text),
            SenderError::Unavailable(_) => Self::Retry(text),
        }
    }
}

/// The processor of one partition of such a topic.
pub struct IntakeStage {
    context: Context,
    queue: Queue,
    senders: Arc<dyn Senders>,
}

impl IntakeStage {
    /// Creates a task.
    pub fn new(context: Context, queue: Queue, senders: Arc<dyn Senders>) -> Self {
        Self { context, queue, senders }
    }

    fn fields(&self, value: &[u8]) -> Result<Fields, ProcessError> {
        if value.len() > LARGEST {
            return Err(invalid(format!("the command has {} bytes, and at most {LARGEST} are taken", value.len())));
        }
        match json_of(value) {
            Some(json) => fields_of_json(json),
            None => self.fields_of_avro(value),
        }
    }

    fn fields_of_avro(&self, value: &[u8]) -> Result<Fields, ProcessError> {
        let framed = self.context.codec.open(value).map_err(unreadable)?;
        let fields = match self.queue {
            Queue::Create => framed.read::<CreateCaseCommand>().map(Fields::from),
            Queue::Update => framed.read::<UpdateCaseCommand>().map(Fields::from),
            Queue::Close => framed.read::<CloseCaseCommand>().map(Fields::from),
            Queue::Delete => framed.read::<DeleteCaseCommand>().map(Fields::from),
        };
        fields.map_err(|error| wrong_record(&framed, error))
    }
}

impl Processor for IntakeStage {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let origin = self.senders.sender(record.headers, record.timestamp)?;
        let Some(value) = record.value else {
            return Err(invalid("a tombstone is no command; DeleteCase removes a case".to_owned()));
        };
        let fields = self.fields(value)?;
        let place = format!("{}/{}/{}", record.origin.topic, record.origin.partition, record.offset);
        // A topic that was deleted and created again has the same places, so the time belongs to it.
        let made = Uuid::new_v5(&COMMANDS, format!("{place}/{}", record.timestamp).as_bytes());
        let sender = Sender { origin, request: Some(place), made: CommandId::from_bytes(*made.as_bytes()) };
        let command = command::check(self.queue, sender, &fields).map_err(|errors| invalid(in_words(&errors)))?;
        output.set_headers(Headers::from_bytes(&passed_on(record.headers)));
        self.context.submit(output, &command);
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        Vec::new()
    }
}

/// The JSON in a value: all of it without a frame, or what follows the frame. `None` for Avro, which never begins with
/// a brace, because that would be a text of negative length.
fn json_of(value: &[u8]) -> Option<&[u8]> {
    if value.first() != Some(&0) {
        return Some(value);
    }
    let framed = value.get(FRAME_BYTES..)?;
    (framed.trim_ascii_start().first() == Some(&b'{')).then_some(framed)
}

fn fields_of_json(json: &[u8]) -> Result<Fields, ProcessError> {
    let value = serde_json::from_slice(json).map_err(|error| invalid(format!("the command is no JSON: {error}")))?;
    let Value::Object(object) = value else {
        return Err(invalid("the command is no JSON object".to_owned()));
    };
    command::fields_of_json(object).map_err(|errors| invalid(in_words(&errors)))
}

fn passed_on(headers: Headers<'_>) -> Vec<u8> {
    let mut kept = Vec::new();
    for (name, value) in headers.iter().filter(|(name, _)| PASSED_ON.contains(name)) {
        append_header(&mut kept, name, value);
    }
    kept
}

fn invalid(text: String) -> ProcessError {
    ProcessError::dead_letter("InvalidCommand", text)
}

/// A registry that is away may be back later.
fn unreadable(error: DecodeError) -> ProcessError {
    if error.is_transient() { error.into() } else { invalid(error.to_string()) }
}

fn wrong_record(framed: &Framed<'_>, error: DecodeError) -> ProcessError {
    match error {
        DecodeError::OtherRecord { .. } => invalid(unexpected(framed).to_string()),
        error => unreadable(error),
    }
}

fn in_words(errors: &[FieldError]) -> String {
    let words: Vec<String> = errors.iter().map(|error| format!("{}: {}", error.field, error.reason)).collect();
    words.join("; ")
}
