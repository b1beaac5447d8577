//! Whether two schemas can read each other's data.

use apache_avro::Schema;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};

/// Reads a schema that needs no other.
pub(crate) fn parse(json: &str) -> Result<Schema, String> {
    Schema::parse_str(json).map_err(|e| e.to_string())
}

/// Checks that each of the two can read what the other wrote, as the level `FULL` of a registry does.
pub(crate) fn check_full(old: &Schema, new: &Schema) -> Result<(), String> {
    check_readable(old, new)
        .map_err(|reason| format!("the new schema cannot read what the old one wrote: {reason}"))?;
    check_readable(new, old).map_err(|reason| format!("the old schema cannot read what the new one wrote: {reason}"))
}

fn check_readable(writer: &Schema, reader: &Schema) -> Result<(), String> {
    match SchemaCompatibility::can_read(writer, reader) {
        Ok(Compatibility::Full) => Ok(()),
        Ok(Compatibility::Partial) => Err("some values would not be readable".to_owned()),
        Err(e) => Err(e.to_string()),
    }
}
