//! Released schemas: `released/<record>/<version>.avsc` with a body written under it in `<version>.bin`.
//!
//! Topics are always read from their start, so what was once released must stay readable, and programs of any released
//! version must be able to read today's records. The tests of this crate check both against this folder. After a change
//! in `avro/`, `cargo run -p tributary-schemas --bin release-schemas` adds the new versions. Released files are never
//! edited.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use apache_avro::Schema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;

use crate::compatibility;
use crate::records::RecordType;

/// One version of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleasedVersion {
    /// Full name of the record.
    pub record: String,
    /// Version, from 1.
    pub version: u32,
    /// Its schema as JSON.
    pub schema: String,
    /// A body written under it.
    pub body: Vec<u8>,
}

/// Why the released versions cannot be read or extended.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The path of the file or folder.
        path: PathBuf,
        /// The error of the file system.
        source: io::Error,
    },
    /// A file in the folder does not belong there.
    #[error("{} is not <record>/<version>.avsc", path.display())]
    Misplaced {
        /// The path of the file.
        path: PathBuf,
    },
    /// Today's schema and a released version cannot read each other.
    #[error("{record} cannot be released: it does not fit version {version}: {reason}")]
    Incompatible {
        /// The record.
        record: RecordType,
        /// The released version.
        version: u32,
        /// What does not fit.
        reason: String,
    },
    /// A schema is not usable.
    #[error("the schema of {record} cannot be used: {reason}")]
    Schema {
        /// The record.
        record: String,
        /// Why it is not usable.
        reason: String,
    },
}

/// All released versions in `folder`, by record and version.
///
/// # Errors
/// [`ReleaseError`] when a file cannot be read or does not belong there.
pub fn released(folder: &Path) -> Result<Vec<ReleasedVersion>, ReleaseError> {
    let mut versions = Vec::new();
    for record in entries(folder)? {
        for path in entries(&record)? {
            if path.extension().is_some_and(|extension| extension == "avsc") {
                versions.push(read_version(&path)?);
            }
        }
    }
    versions.sort_by(|a, b| (&a.record, a.version).cmp(&(&b.record, b.version)));
    Ok(versions)
}

/// The records whose schema differs from their newest released version.
///
/// # Errors
/// As [`released`].
pub fn unreleased(folder: &Path) -> Result<Vec<RecordType>, ReleaseError> {
    let versions = released(folder)?;
    let mut records = Vec::new();
    for record in RecordType::ALL {
        let newest = versions.iter().rfind(|version| version.record == record.full_name());
        if !newest.is_some_and(|newest| is_same_json(&newest.schema, record.schema_json())) {
            records.push(record);
        }
    }
    Ok(records)
}

/// Checks that `newer` and `older` can read each other's records.
///
/// # Errors
/// A sentence that says what does not fit.
pub fn check_compatible(older: &str, newer: &str) -> Result<(), String> {
    let (_, problems) = compatibility::compare(older, newer)?;
    match problems.first() {
        Some(problem) => Err(format!("{problem}. {}", problem.instead)),
        None => Ok(()),
    }
}

/// Adds a version of every record that changed since its newest version, and returns the added versions.
///
/// # Errors
/// [`ReleaseError::Incompatible`] before anything is written, when a change would break readers of released versions.
pub fn release(folder: &Path) -> Result<Vec<ReleasedVersion>, ReleaseError> {
    fs::create_dir_all(folder).map_err(|source| ReleaseError::File { path: folder.to_owned(), source })?;
    let versions = released(folder)?;
    let mut added = Vec::new();
    for record in unreleased(folder)? {
        let earlier = versions.iter().filter(|version| version.record == record.full_name());
        let mut newest = 0;
        for ReleasedVersion { version, schema, .. } in earlier {
            check_compatible(schema, record.schema_json()).map_err(|reason| ReleaseError::Incompatible {
                record,
                version: *version,
                reason,
            })?;
            newest = *version;
        }
        added.push(new_version(record, newest + 1)?);
    }
    for version in &added {
        write_version(folder, version)?;
    }
    Ok(added)
}

fn new_version(record: RecordType, version: u32) -> Result<ReleasedVersion, ReleaseError> {
    let name = record.full_name();
    let unusable = |reason: String| ReleaseError::Schema { record: name.to_owned(), reason };
    let json: serde_json::Value = serde_json::from_str(record.schema_json()).map_err(|e| unusable(e.to_string()))?;
    let schema = compatibility::parse(record.schema_json()).map_err(unusable)?;
    let writer = GenericDatumWriter::builder(&schema).build().map_err(|e| unusable(e.to_string()))?;
    let mut known = Vec::new();
    let value = example(&schema, name, &mut known).map_err(unusable)?;
    let body = writer.write_value_to_vec(value).map_err(|e| unusable(e.to_string()))?;
    Ok(ReleasedVersion { record: name.to_owned(), version, schema: format!("{json:#}\n"), body })
}

/// A value with every optional part present. Its fields differ from each other as far as their types allow.
fn example(schema: &Schema, path: &str, known: &mut Vec<Schema>) -> Result<Value, String> {
    let number = path.bytes().fold(7_i32, |sum, byte| sum.wrapping_mul(31).wrapping_add(i32::from(byte)));
    Ok(match schema {
        Schema::Null => Value::Null,
        Schema::Boolean => Value::Boolean(true),
        Schema::Int => Value::Int(number),
        Schema::Long => Value::Long(i64::from(number) * 1_000_003),
        Schema::Double => Value::Double(f64::from(number) / 4.0),
        Schema::Date => Value::Date(number % 40_000),
        Schema::String => Value::String(format!("{path} \u{e9}")),
        Schema::Bytes => Value::Bytes(path.as_bytes().to_vec()),
        Schema::Array(array) => {
            let items = (0..2).map(|index| example(&array.items, &format!("{path}.{index}"), known));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        Schema::Union(union) => {
            let last = union.variants().last().ok_or("has an empty union")?;
            Value::Union(union.variants().len() as u32 - 1, Box::new(example(last, path, known)?))
        }
        Schema::Enum(symbols) => {
            known.push(schema.clone());
            let last = symbols.symbols.last().ok_or("has an enum without symbols")?;
            Value::Enum(symbols.symbols.len() as u32 - 1, last.clone())
        }
        Schema::Record(record) => {
            known.push(schema.clone());
            let fields = record.fields.iter().map(|field| {
                let of_type = field.custom_attributes.get("tributary.type").and_then(serde_json::Value::as_str);
                let value = match of_type.and_then(example_of_type) {
                    Some(value) => shaped(&field.schema, value),
                    None => example(&field.schema, &format!("{path}.{}", field.name), known)?,
                };
                Ok((field.name.clone(), value))
            });
            Value::Record(fields.collect::<Result<_, String>>()?)
        }
        Schema::Ref { name } => {
            let found = known.iter().find(|candidate| candidate.name() == Some(name)).cloned();
            example(&found.ok_or_else(|| format!("does not hold {name:?}"))?, path, known)?
        }
        other => return Err(format!("uses {other:?}")),
    })
}

/// A value of a type of `src/types` that allows only some values of its Avro type.
fn example_of_type(name: &str) -> Option<Value> {
    match name {
        "esr.NotificationType" => Some(Value::Int(4)),
        "esr.Office" => Some(Value::String("EOE".to_owned())),
        "esr.FileName" => Some(Value::String("DE_EOE_RMC_20261120_0000017.DAT".to_owned())),
        "cases.CaseId" | "cases.CommandId" | "cases.MessageId" => {
            Some(Value::String("6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e".to_owned()))
        }
        "cases.OriginName" => Some(Value::String("esdh-a".to_owned())),
        "cases.ClientName" => Some(Value::String("journal-1".to_owned())),
        "aggregation.Address" => Some(Value::String("SE2321000016-1ABC".to_owned())),
        "aggregation.InstanceId" => Some(Value::String("visit-7".to_owned())),
        "aggregation.PatientId" => Some(Value::String("191212121212".to_owned())),
        "aggregation.Stamp" => Some(Value::String("20261120143000".to_owned())),
        "registry.CallId" | "registry.RowId" | "registry.RunId" | "registry.UserId" => {
            Some(Value::String("0d2a6f50-7c4e-4b1a-8f3d-2e9b5c7a1d46".to_owned()))
        }
        "registry.KindName" => Some(Value::String("unzr".to_owned())),
        "registry.ErrorCode" => Some(Value::String("Server.ClientProxy.NetworkError".to_owned())),
        "tributary.Digest" => Some(Value::Bytes((1..=17).collect())),
        _ => None,
    }
}

/// `value` as a field of `schema` holds it: itself, present, or as the one item.
fn shaped(schema: &Schema, value: Value) -> Value {
    match schema {
        Schema::Union(union) => {
            let last = union.variants().len() - 1;
            Value::Union(last as u32, Box::new(shaped(&union.variants()[last], value)))
        }
        Schema::Array(array) => Value::Array(vec![shaped(&array.items, value)]),
        _ => value,
    }
}

fn read_version(path: &Path) -> Result<ReleasedVersion, ReleaseError> {
    let misplaced = || ReleaseError::Misplaced { path: path.to_owned() };
    let version = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok()).ok_or_else(misplaced)?;
    let record = path.parent().and_then(|folder| folder.file_name()?.to_str()).ok_or_else(misplaced)?.to_owned();
    let schema = fs::read_to_string(path).map_err(|source| ReleaseError::File { path: path.to_owned(), source })?;
    let body_path = path.with_extension("bin");
    let body = fs::read(&body_path).map_err(|source| ReleaseError::File { path: body_path, source })?;
    Ok(ReleasedVersion { record, version, schema, body })
}

fn write_version(folder: &Path, version: &ReleasedVersion) -> Result<(), ReleaseError> {
    let folder = folder.join(&version.record);
    let write = |path: PathBuf, bytes: &[u8]| {
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(&path, bytes))
            .map_err(|source| ReleaseError::File { path, source })
    };
    write(folder.join(format!("{}.bin", version.version)), &version.body)?;
    write(folder.join(format!("{}.avsc", version.version)), version.schema.as_bytes())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, ReleaseError> {
    let failed = |source| ReleaseError::File { path: folder.to_owned(), source };
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        entries.push(entry.map_err(failed)?.path());
    }
    Ok(entries)
}

fn is_same_json(one: &str, other: &str) -> bool {
    let parse = |text| serde_json::from_str::<serde_json::Value>(text).ok();
    parse(one).is_some_and(|one| parse(other) == Some(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releasing_twice_adds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let added = release(folder.path()).unwrap();
        assert_eq!(added.len(), RecordType::COUNT);
        assert!(unreleased(folder.path()).unwrap().is_empty());
        assert!(release(folder.path()).unwrap().is_empty());
        assert_eq!(released(folder.path()).unwrap(), added);
    }

    #[test]
    fn a_changed_schema_is_released_as_the_next_version() {
        let folder = tempfile::tempdir().unwrap();
        release(folder.path()).unwrap();
        let path = folder.path().join("tributary.Clock").join("1.avsc");
        let with_less = fs::read_to_string(&path).unwrap().replace("\"doc\"", "\"formerly\"");
        fs::write(&path, with_less).unwrap();
        assert_eq!(unreleased(folder.path()).unwrap(), [RecordType::TributaryClock]);
        let added = release(folder.path()).unwrap();
        assert_eq!(added.iter().map(|version| version.version).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_breaking_change_is_not_released() {
        let folder = tempfile::tempdir().unwrap();
        release(folder.path()).unwrap();
        let path = folder.path().join("tributary.Clock").join("1.avsc");
        let mut schema: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let gone = serde_json::json!({"name": "gone", "type": "string"});
        schema["fields"].as_array_mut().unwrap().push(gone);
        fs::write(&path, schema.to_string()).unwrap();
        let error = release(folder.path()).unwrap_err();
        assert!(
            matches!(error, ReleaseError::Incompatible { record: RecordType::TributaryClock, version: 1, .. }),
            "{error}"
        );
    }
}
