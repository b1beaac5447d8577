//! Whether two schemas can read each other's data, and if not, why, and what to do instead.
//!
//! A registry answers with yes or no, and some add a reason. The reasons here say field, rule, reader and a way that
//! works. The verdict is that of Avro's schema resolution in both directions, so it is the verdict of a registry under
//! `FULL`, with a few rules of Tributary's own on top ([`Rule::is_of_avro`]).

mod changes;
mod instead;
mod named;
mod primitives;
mod problem;
mod records;
mod walk;
mod within;

use apache_avro::Schema;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use serde::Serialize;
use serde_json::Value;

pub use changes::{Change, changes};
pub(crate) use problem::{Found, Place};
pub use problem::{Problem, Reader, Rule};

/// What a check says of two versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The same JSON.
    Same,
    /// Each reads what the other wrote.
    Compatible,
    /// There are problems.
    Incompatible,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(match self {
            Self::Same => "same",
            Self::Compatible => "compatible",
            Self::Incompatible => "incompatible",
        })
    }
}

/// Compares two versions of a schema, given as JSON that needs no other schema.
///
/// # Errors
/// A sentence that says why one of the two is not JSON, or the old one is not an Avro schema.
pub fn compare(old: &str, new: &str) -> Result<(Verdict, Vec<Problem>), String> {
    let (verdict, found) = find(&json(old)?, &json(new)?)?;
    Ok((verdict, found.into_iter().map(|found| found.problem).collect()))
}

/// The problems within one schema: wrong defaults, ambiguous aliases, and what is not Avro.
pub(crate) fn problems_within(schema: &Value) -> Vec<Found> {
    within::check(schema)
}

/// Compares two versions of a schema.
pub(crate) fn find(old: &Value, new: &Value) -> Result<(Verdict, Vec<Found>), String> {
    if old == new {
        return Ok((Verdict::Same, Vec::new()));
    }
    let within = problems_within(new);
    if !within.is_empty() {
        return Ok((Verdict::Incompatible, within));
    }
    let mut found = walk::problems(old, new);
    if found.is_empty() {
        let (parsed_old, parsed_new) = (parse(&old.to_string())?, parse(&new.to_string())?);
        found.extend(unexplained(Reader::New, &parsed_old, &parsed_new, new));
        found.extend(unexplained(Reader::Old, &parsed_new, &parsed_old, new));
    }
    Ok((if found.is_empty() { Verdict::Compatible } else { Verdict::Incompatible }, found))
}

/// What Avro's own check objects to, after ours has found nothing.
fn unexplained(reader: Reader, written: &Schema, read: &Schema, new: &Value) -> Option<Found> {
    let reason = check_readable(written, read).err()?;
    let problem = Problem {
        field: String::new(),
        rule: Rule::NotReadable,
        reader,
        why: format!("cannot resolve the other version: {reason}"),
        instead: "Undo the change, and add a field with a default instead.".to_owned(),
    };
    let place = Place { named: full_name(new).unwrap_or_default(), part: String::new() };
    Some(Found { problem, place })
}

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
    match can_read(writer, reader)? {
        Compatibility::Full => Ok(()),
        Compatibility::Partial => Err("some values would not be readable".to_owned()),
    }
}

/// Whether `reader` reads all or some of what `writer` wrote.
pub(crate) fn can_read(writer: &Schema, reader: &Schema) -> Result<Compatibility, String> {
    SchemaCompatibility::can_read(&written_out(writer), &written_out(reader)).map_err(|e| e.to_string())
}

/// The schema with each type written out wherever it is used. apache-avro compares a definition with a reference as two
/// different types, so that a removed field would matter that was the first to use a type.
fn written_out(schema: &Schema) -> Schema {
    let mut known: Vec<Schema> = Vec::new();
    let mut out = schema.clone();
    write_out(&mut out, &mut known, 0);
    out
}

fn write_out(schema: &mut Schema, known: &mut Vec<Schema>, depth: usize) {
    /// A type that contains itself ends here.
    const DEEPEST: usize = 32;
    if depth > DEEPEST {
        return;
    }
    match schema {
        Schema::Ref { name } => {
            if let Some(found) = known.iter().find(|other| other.name() == Some(name)) {
                *schema = found.clone();
            }
        }
        Schema::Record(record) => {
            for field in &mut record.fields {
                write_out(&mut field.schema, known, depth + 1);
            }
            known.push(schema.clone());
        }
        Schema::Enum(_) | Schema::Fixed(_) => known.push(schema.clone()),
        Schema::Array(array) => write_out(&mut array.items, known, depth + 1),
        Schema::Map(map) => write_out(&mut map.types, known, depth + 1),
        Schema::Union(union) => {
            let mut branches = union.variants().to_vec();
            for branch in &mut branches {
                write_out(branch, known, depth + 1);
            }
            if let Ok(written_out) = apache_avro::schema::UnionSchema::new(branches) {
                *union = written_out;
            }
        }
        _ => {}
    }
}

/// Reads JSON.
pub(crate) fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|e| format!("is not JSON: {e}"))
}

/// The full name of a schema, if it has one.
pub(crate) fn full_name(schema: &Value) -> Option<String> {
    let name = schema.get("name")?.as_str()?;
    match schema.get("namespace").and_then(Value::as_str) {
        Some(namespace) if !name.contains('.') => Some(format!("{namespace}.{name}")),
        _ => Some(name.to_owned()),
    }
}

/// The path of a field within another.
fn inner_path(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}
