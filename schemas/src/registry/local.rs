//! A registry in this process, for the embedded log and for tests. It numbers schemas from 1 in the order of
//! registration, and the same schema keeps its number. With a path, it is one small JSON file that is replaced as a
//! whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tributary_runtime::write_atomically;

use super::{RegisteredSchema, Registry, RegistryError};
use crate::compatibility;

const FORMAT: u32 = 1;

/// A registry in memory or in one file.
#[derive(Debug)]
pub struct LocalRegistry {
    path: Option<PathBuf>,
    contents: Mutex<Contents>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Contents {
    format: u32,
    /// The schema with id n is the one at n - 1.
    schemas: Vec<Value>,
    /// Ids of the versions of each subject.
    subjects: BTreeMap<String, Vec<u32>>,
}

impl LocalRegistry {
    /// A registry that ends with the process.
    pub fn in_memory() -> Self {
        Self { path: None, contents: Mutex::new(Contents::empty()) }
    }

    /// The registry in the file at `path`; a missing file is an empty registry. One process may use it at a time.
    ///
    /// # Errors
    /// [`RegistryError::File`] when the file cannot be read, is damaged, or was written by a newer version.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, RegistryError> {
        let path = path.into();
        let contents = match fs::read(&path) {
            Ok(bytes) => Contents::read(&bytes).map_err(|reason| RegistryError::File { path: path.clone(), reason })?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Contents::empty(),
            Err(e) => return Err(RegistryError::File { path, reason: format!("cannot be read: {e}") }),
        };
        Ok(Self { path: Some(path), contents: Mutex::new(contents) })
    }

    /// Changes a copy. The copy replaces the contents once it is on disk.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Contents) -> Result<(T, bool), RegistryError>,
    ) -> Result<T, RegistryError> {
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = contents.clone();
        let (result, is_changed) = change(&mut changed)?;
        if is_changed {
            if let Some(path) = &self.path {
                changed.write(path).map_err(|e| RegistryError::File {
                    path: path.clone(),
                    reason: format!("cannot be written: {e}. Check the disk and the permissions of its folder"),
                })?;
            }
            *contents = changed;
        }
        Ok(result)
    }

    fn read<T>(&self, read: impl FnOnce(&Contents) -> T) -> T {
        read(&self.contents.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Registry for LocalRegistry {
    fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        self.change(|contents| contents.register(subject, schema))
    }

    fn lookup(&self, subject: &str, schema: &str) -> Result<Option<u32>, RegistryError> {
        let schema = parse(subject, schema)?;
        Ok(self.read(|contents| contents.version(subject, &schema)))
    }

    fn schema(&self, id: u32) -> Result<Option<RegisteredSchema>, RegistryError> {
        let json = self.read(|contents| contents.schema(id).map(Value::to_string));
        Ok(json.map(|json| RegisteredSchema { json, references: Vec::new() }))
    }

    fn check_compatible(&self, subject: &str, schema: &str) -> Result<(), RegistryError> {
        let schema = parse(subject, schema)?;
        self.read(|contents| contents.check_compatible(subject, &schema))
    }

    fn register_all(&self, schemas: &[(String, &str)]) -> Result<Vec<u32>, RegistryError> {
        self.change(|contents| {
            let mut is_changed = false;
            let mut ids = Vec::with_capacity(schemas.len());
            for (subject, schema) in schemas {
                let (id, is_new) = contents.register(subject, schema)?;
                ids.push(id);
                is_changed |= is_new;
            }
            Ok((ids, is_changed))
        })
    }

    fn location(&self) -> String {
        self.path.as_ref().map_or_else(|| "in memory".to_owned(), |path| path.display().to_string())
    }
}

impl Contents {
    fn empty() -> Self {
        Self { format: FORMAT, schemas: Vec::new(), subjects: BTreeMap::new() }
    }

    fn read(bytes: &[u8]) -> Result<Self, String> {
        const ADVICE: &str = "restore it from a copy: without it the records in this state folder cannot be read";
        let json: Value = serde_json::from_slice(bytes).map_err(|e| format!("is damaged: {e}; {ADVICE}"))?;
        if let Some(format) = json.get("format").and_then(Value::as_u64)
            && format > u64::from(FORMAT)
        {
            return Err(format!("has format {format}, written by a newer version; use that version"));
        }
        let contents: Self = serde_json::from_value(json).map_err(|e| format!("is damaged: {e}; {ADVICE}"))?;
        match contents.subjects.values().flatten().find(|id| contents.schema(**id).is_none()) {
            Some(id) => Err(format!("is damaged: it has no schema {id}; {ADVICE}")),
            None => Ok(contents),
        }
    }

    fn write(&self, path: &Path) -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        write_atomically(path, &serde_json::to_vec(self)?)
    }

    fn schema(&self, id: u32) -> Option<&Value> {
        self.schemas.get(usize::try_from(id).ok()?.checked_sub(1)?)
    }

    fn version(&self, subject: &str, schema: &Value) -> Option<u32> {
        let versions = self.subjects.get(subject)?;
        versions.iter().copied().find(|id| self.schema(*id) == Some(schema))
    }

    /// The id, and whether anything changed.
    fn register(&mut self, subject: &str, schema: &str) -> Result<(u32, bool), RegistryError> {
        let schema = parse(subject, schema)?;
        if let Some(id) = self.version(subject, &schema) {
            return Ok((id, false));
        }
        self.check_compatible(subject, &schema)?;
        let position = self.schemas.iter().position(|known| *known == schema).unwrap_or_else(|| {
            self.schemas.push(schema);
            self.schemas.len() - 1
        });
        let id = position as u32 + 1;
        self.subjects.entry(subject.to_owned()).or_default().push(id);
        Ok((id, true))
    }

    /// The check of `FULL_TRANSITIVE`: in both directions, against every version.
    fn check_compatible(&self, subject: &str, schema: &Value) -> Result<(), RegistryError> {
        let invalid = |reason| RegistryError::InvalidSchema { subject: subject.to_owned(), reason };
        let new = compatibility::parse(&schema.to_string()).map_err(invalid)?;
        for id in self.subjects.get(subject).into_iter().flatten() {
            let Some(old) = self.schema(*id) else { continue };
            let old = compatibility::parse(&old.to_string()).map_err(invalid)?;
            compatibility::check_full(&old, &new).map_err(|reason| RegistryError::Incompatible {
                subject: subject.to_owned(),
                reason: format!("{reason} (against schema {id})"),
            })?;
        }
        Ok(())
    }
}

fn parse(subject: &str, schema: &str) -> Result<Value, RegistryError> {
    serde_json::from_str(schema)
        .map_err(|e| RegistryError::InvalidSchema { subject: subject.to_owned(), reason: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(fields: &str) -> String {
        format!(r#"{{"type":"record","name":"Sample","namespace":"test","fields":[{fields}]}}"#)
    }

    const ID: &str = r#"{"name":"id","type":"long"}"#;
    const NOTE: &str = r#"{"name":"note","type":["null","string"],"default":null}"#;

    #[test]
    fn the_same_schemas_in_the_same_order_have_the_same_ids() {
        let (one, two) = (schema(ID), schema(&format!("{ID},{NOTE}")));
        for _ in 0..2 {
            let registry = LocalRegistry::in_memory();
            let list = [("a-test.Sample".to_owned(), one.as_str()), ("b-test.Sample".to_owned(), two.as_str())];
            assert_eq!(registry.register_all(&list).unwrap(), [1, 2]);
            assert_eq!(registry.register("c-test.Sample", &one).unwrap(), 1);
        }
    }

    #[test]
    fn looking_up_registers_nothing() {
        let registry = LocalRegistry::in_memory();
        assert_eq!(registry.lookup("x", &schema(ID)).unwrap(), None);
        assert_eq!(registry.register("y", &schema(ID)).unwrap(), 1);
        assert_eq!(registry.lookup("x", &schema(ID)).unwrap(), None);
        assert_eq!(registry.lookup("y", &schema(ID)).unwrap(), Some(1));
        assert_eq!(registry.lookup("y", &schema(NOTE)).unwrap(), None);
    }

    #[test]
    fn ids_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state").join("schemas.json");
        let first = LocalRegistry::open(&path).unwrap();
        first.register("x", &schema(ID)).unwrap();
        first.register("x", &schema(&format!("{ID},{NOTE}"))).unwrap();
        let second = LocalRegistry::open(&path).unwrap();
        assert_eq!(second.register("x", &schema(&format!("{ID},{NOTE}"))).unwrap(), 2);
        assert_eq!(second.register("y", &schema(NOTE)).unwrap(), 3);
        let stored = second.schema(1).unwrap().unwrap();
        assert_eq!(parse("x", &stored.json).unwrap(), parse("x", &schema(ID)).unwrap());
        assert_eq!(second.schema(9).unwrap(), None);
        assert_eq!(second.schema(0).unwrap(), None);
    }

    #[test]
    fn an_incompatible_schema_is_refused_and_nothing_is_stored() {
        let registry = LocalRegistry::in_memory();
        registry.register("x", &schema(ID)).unwrap();
        let changed = schema(r#"{"name":"id","type":"string"}"#);
        let error = registry.register("x", &changed).unwrap_err();
        assert!(matches!(error, RegistryError::Incompatible { .. }), "{error}");
        assert!(error.to_string().contains('x'), "{error}");
        assert!(registry.check_compatible("x", &changed).is_err());
        assert!(registry.check_compatible("x", &schema(&format!("{ID},{NOTE}"))).is_ok());
        assert_eq!(registry.schema(2).unwrap(), None);
    }

    #[test]
    fn a_damaged_or_newer_file_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schemas.json");
        for (text, expected) in [
            ("{\"format\":1,", "damaged"),
            (r#"{"format":2,"schemas":[],"subjects":{}}"#, "newer version"),
            (r#"{"format":1,"schemas":[],"subjects":{"x":[1]}}"#, "no schema 1"),
        ] {
            fs::write(&path, text).unwrap();
            let error = LocalRegistry::open(&path).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("schemas.json"), "{error}");
        }
    }
}
