//! Commands as origin systems send them, checked for their form. The same fields come as JSON and as Avro.

mod json;
#[cfg(test)]
mod tests;

use tributary_schemas::records::cases::{Command, Queue};
use tributary_schemas::records::dis::{CloseCaseCommand, CreateCaseCommand, DeleteCaseCommand, UpdateCaseCommand};
use tributary_schemas::types::cases::{ClientName, CommandId, OriginName};

use crate::time::micros;
use crate::uri;

pub use json::fields as fields_of_json;

/// Names in the `consumers` of one command.
pub const MOST_CONSUMERS: usize = 1000;

/// Characters of a correlation id.
pub const LONGEST_CORRELATION: usize = 256;

/// The fields of a command as they were sent. A field that the type of the command does not have is ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    /// `caseId`.
    pub case_id: Option<String>,
    /// `commandId`.
    pub command_id: Option<String>,
    /// `created`.
    pub created: Option<String>,
    /// `updated`.
    pub updated: Option<String>,
    /// `caseDetailsUri`.
    pub case_details_uri: Option<String>,
    /// `consumers`.
    pub consumers: Consumers,
    /// `eventTime`.
    pub event_time: Option<String>,
    /// `correlationId`.
    pub correlation_id: Option<String>,
}

/// The field `consumers`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Consumers {
    /// Absent: as it was.
    #[default]
    AsItWas,
    /// Null: no limit.
    Anyone,
    /// Of the permitted clients only these.
    Only(Vec<String>),
}

/// A field that is missing or malformed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Its name.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

/// Who sends a command, and which attempt it is.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The origin system.
    pub origin: OriginName,
    /// Names the attempt. A repeat is another attempt.
    pub request: Option<String>,
    /// The id of the command if the sender gives none.
    pub made: CommandId,
}

/// Checks the form of a command.
///
/// # Errors
/// Every field that is missing or malformed.
pub fn check(queue: Queue, sender: Sender, fields: &Fields) -> Result<Command, Vec<FieldError>> {
    let mut errors = Errors::default();
    let is_create = queue == Queue::Create;
    let has_content = matches!(queue, Queue::Create | Queue::Update);
    let case_id = errors.required("caseId", fields.case_id.as_deref(), str::parse);
    let command_id = errors.optional("commandId", fields.command_id.as_deref(), str::parse);
    let created = is_create.then(|| errors.required("created", fields.created.as_deref(), micros)).flatten();
    let updated = match queue {
        Queue::Update => errors.required("updated", fields.updated.as_deref(), micros),
        Queue::Close => errors.optional("updated", fields.updated.as_deref(), micros),
        Queue::Create | Queue::Delete => None,
    };
    let uri = fields.case_details_uri.as_deref().filter(|_| has_content);
    let case_details_uri = if is_create {
        errors.required("caseDetailsUri", uri, details)
    } else {
        errors.optional("caseDetailsUri", uri, details)
    };
    let consumers = if has_content { errors.consumers(&fields.consumers) } else { None };
    let event_time = errors.optional("eventTime", fields.event_time.as_deref(), micros);
    let correlation_id = errors.optional("correlationId", fields.correlation_id.as_deref(), correlation);
    match case_id {
        Some(case_id) if errors.0.is_empty() => Ok(Command {
            queue,
            request: sender.request,
            created,
            updated,
            case_details_uri,
            consumers,
            any_consumer: has_content && fields.consumers == Consumers::Anyone,
            event_time,
            correlation_id,
            ..Command::of(sender.origin, case_id, command_id.unwrap_or(sender.made))
        }),
        _ => Err(errors.0),
    }
}

#[derive(Default)]
struct Errors(Vec<FieldError>);

impl Errors {
    fn required<T, E: ToString>(
        &mut self,
        field: &'static str,
        text: Option<&str>,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        if text.is_none() {
            self.0.push(FieldError { field, reason: "is missing".to_owned() });
        }
        self.optional(field, text, read)
    }

    fn optional<T, E: ToString>(
        &mut self,
        field: &'static str,
        text: Option<&str>,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let wrong = |error: E| FieldError { field, reason: error.to_string() };
        text.and_then(|text| read(text).map_err(|error| self.0.push(wrong(error))).ok())
    }

    fn consumers(&mut self, consumers: &Consumers) -> Option<Vec<ClientName>> {
        let Consumers::Only(names) = consumers else { return None };
        if names.len() > MOST_CONSUMERS {
            let reason = format!("has {} names, and at most {MOST_CONSUMERS} are taken", names.len());
            self.0.push(FieldError { field: "consumers", reason });
            return None;
        }
        Some(names.iter().filter_map(|name| self.optional("consumers", Some(name), str::parse)).collect())
    }
}

fn details(text: &str) -> Result<String, uri::UriError> {
    uri::place(text).map(|_| text.to_owned())
}

fn correlation(text: &str) -> Result<String, String> {
    if text.chars().count() <= LONGEST_CORRELATION && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(format!("expected at most {LONGEST_CORRELATION} characters without control characters"))
}

fn consumers(names: Option<Vec<String>>, anyone: bool) -> Consumers {
    match names {
        Some(names) => Consumers::Only(names),
        None if anyone => Consumers::Anyone,
        None => Consumers::AsItWas,
    }
}

impl From<CreateCaseCommand> for Fields {
    fn from(sent: CreateCaseCommand) -> Self {
        Self {
            case_id: Some(sent.case_id),
            command_id: sent.command_id,
            created: Some(sent.created),
            case_details_uri: Some(sent.case_details_uri),
            consumers: consumers(sent.consumers, sent.any_consumer),
            event_time: sent.event_time,
            correlation_id: sent.correlation_id,
            ..Self::default()
        }
    }
}

impl From<UpdateCaseCommand> for Fields {
    fn from(sent: UpdateCaseCommand) -> Self {
        Self {
            case_id: Some(sent.case_id),
            command_id: sent.command_id,
            updated: Some(sent.updated),
            case_details_uri: sent.case_details_uri,
            consumers: consumers(sent.consumers, sent.any_consumer),
            event_time: sent.event_time,
            correlation_id: sent.correlation_id,
            ..Self::default()
        }
    }
}

impl From<CloseCaseCommand> for Fields {
    fn from(sent: CloseCaseCommand) -> Self {
        Self {
            case_id: Some(sent.case_id),
            command_id: sent.command_id,
            updated: sent.updated,
            event_time: sent.event_time,
            correlation_id: sent.correlation_id,
            ..Self::default()
        }
    }
}

impl From<DeleteCaseCommand> for Fields {
    fn from(sent: DeleteCaseCommand) -> Self {
        Self {
            case_id: Some(sent.case_id),
            command_id: sent.command_id,
            event_time: sent.event_time,
            correlation_id: sent.correlation_id,
            ..Self::default()
        }
    }
}
