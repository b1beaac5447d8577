//! Framed records: reading them, sending them, and the alerts that any stage may raise.

use tributary_runtime::{Output, ProcessError, Record, Topic};
use tributary_schemas::records::tributary::{Alert, Severity};
use tributary_schemas::{AvroRecord, Codec, Framed};

use crate::events;

/// Reads the frame of a record's value.
///
/// # Errors
/// A dead letter for a tombstone, and for a value whose schema cannot be read.
pub fn open<'a>(codec: &Codec, record: &Record<'a>) -> Result<Framed<'a>, ProcessError> {
    let Some(value) = record.value else {
        return Err(ProcessError::dead_letter("unexpected-tombstone", "a tombstone has no meaning on this topic"));
    };
    Ok(codec.open(value)?)
}

/// Sends a record to the partition of its key.
pub fn send<R: AvroRecord>(codec: &Codec, output: &mut Output, topic: &'static Topic, key: &[u8], record: &R) {
    output.send(topic, key, |buffer| write(codec, record, buffer));
}

/// Appends the framed record. A test of each flow proves that every record type that a stage sends is declared on a
/// topic. A type that is not declared gets an empty value, which becomes a dead letter in the stage that reads it.
pub fn write<R: AvroRecord>(codec: &Codec, record: &R, buffer: &mut Vec<u8>) {
    if let Err(error) = codec.encode(record, buffer) {
        events::record_not_encoded(R::TYPE.full_name(), &error);
    }
}

/// The error for a record type that does not belong on the topic.
pub fn unexpected(framed: &Framed<'_>) -> ProcessError {
    let text = format!("{} does not belong on this topic", framed.record_type().full_name());
    ProcessError::dead_letter("unexpected-record-type", text)
}

/// An alert about `subject`: a file, a position, a patient. `code` is short and stable.
pub fn alert(severity: Severity, code: &str, subject: &str, text: String) -> Alert {
    Alert { severity, code: code.to_owned(), subject: subject.to_owned(), text }
}
