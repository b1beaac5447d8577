//! A command as a JSON object: the body of a request, or the value of a record.

use serde_json::{Map, Value};

use super::{Consumers, FieldError, Fields};

/// Reads the fields of a command. Unknown ones are ignored. Null is as good as absent, except for `consumers`.
///
/// # Errors
/// Every field that is of another type.
pub fn fields(mut object: Map<String, Value>) -> Result<Fields, Vec<FieldError>> {
    let mut errors = Vec::new();
    let consumers = match object.remove("consumers") {
        None => Consumers::AsItWas,
        Some(Value::Null) => Consumers::Anyone,
        Some(Value::Array(names)) => {
            let texts: Option<Vec<String>> = names.iter().map(|name| name.as_str().map(str::to_owned)).collect();
            texts.map_or_else(|| wrong(&mut errors, "consumers", "expected client names"), Consumers::Only)
        }
        Some(_) => wrong(&mut errors, "consumers", "expected a list of client names, or null"),
    };
    let mut text = |field: &'static str| match object.remove(field) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        Some(_) => wrong(&mut errors, field, "expected a text"),
    };
    let fields = Fields {
        case_id: text("caseId"),
        command_id: text("commandId"),
        created: text("created"),
        updated: text("updated"),
        case_details_uri: text("caseDetailsUri"),
        event_time: text("eventTime"),
        correlation_id: text("correlationId"),
        consumers,
    };
    if errors.is_empty() { Ok(fields) } else { Err(errors) }
}

fn wrong<T: Default>(errors: &mut Vec<FieldError>, field: &'static str, reason: &str) -> T {
    errors.push(FieldError { field, reason: reason.to_owned() });
    T::default()
}
