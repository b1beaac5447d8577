//! A contract as data: the files that define its types, its records as schemas that need no other, and its released
//! versions. It comes from this program, from a folder, or from anywhere else as texts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::compatibility::{self, Place};
use crate::model::{self, SchemaFile};
use crate::{folder, self_contained};

include!(concat!(env!("OUT_DIR"), "/contract_files.rs"));

/// The folders of a contract.
pub const FOLDERS: [&str; 2] = folder::FOLDERS;

/// The folder of released versions, beside those of the contract.
pub const RELEASED_FOLDER: &str = "released";

/// A file by its path, whose last two parts are namespace and type, or record and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The path, as messages show it.
    pub path: String,
    /// What it holds.
    pub text: String,
}

/// A released version of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleasedSchema {
    /// Full name of the record.
    pub record: String,
    /// Version, from 1.
    pub version: u32,
    /// Path of its file.
    pub path: String,
    /// Its schema as JSON.
    pub schema: String,
}

/// Records with their files and released versions.
#[derive(Debug, Clone, Default)]
pub struct Contract {
    /// By full name of the type.
    files: BTreeMap<String, SchemaFile>,
    /// Self-contained schemas by full name of the record.
    records: BTreeMap<String, String>,
    released: Vec<ReleasedSchema>,
    /// Whether it is a folder with [`FOLDERS`], which has its released versions beside them.
    is_root: bool,
}

/// Why a contract cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// A folder or file cannot be read.
    #[error("the contract cannot be read: {0}")]
    Unreadable(String),
    /// The schemas break a rule of `schemas/README.md`.
    #[error("the contract is not valid: {0}")]
    Invalid(String),
    /// The folder holds no schemas.
    #[error(
        "{} holds no schemas: expected a folder for each namespace with .avsc files, or for each record with its \
         released versions",
        path.display()
    )]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// A file lies where none belongs.
    #[error("{path} is not <record>/<version>.avsc")]
    Misplaced {
        /// The path of the file.
        path: String,
    },
}

impl Contract {
    /// The contract of this program, with its released versions.
    ///
    /// # Errors
    /// [`ContractError`]; not for a program that was built, because the build reads the same files.
    pub fn built_in() -> Result<Self, ContractError> {
        let file = |(path, text): &(&str, &str)| SourceFile { path: (*path).to_owned(), text: (*text).to_owned() };
        let released = RELEASED.iter().map(|(record, version, text)| SourceFile {
            path: format!("schemas/{RELEASED_FOLDER}/{record}/{version}.avsc"),
            text: (*text).to_owned(),
        });
        Self::of(FILES.iter().map(file).collect(), released.collect())
    }

    /// The contract in a folder: `schemas` or what holds it, `schemas/avro` with the folders beside it, a folder of
    /// namespaces, or a folder of released versions.
    ///
    /// # Errors
    /// [`ContractError`] when it cannot be read, is not valid, or holds nothing.
    pub fn in_folder(path: &Path) -> Result<Self, ContractError> {
        let nested = path.join("schemas");
        let is_root = |path: &Path| FOLDERS.iter().any(|folder| path.join(folder).is_dir());
        let root = match path.parent() {
            _ if is_root(path) => Some(path),
            _ if is_root(&nested) => Some(nested.as_path()),
            Some(parent) if FOLDERS.iter().any(|folder| path.ends_with(folder)) => Some(parent),
            _ => None,
        };
        let contract = match root {
            Some(root) => {
                let mut types = Vec::new();
                for folder in FOLDERS.iter().map(|folder| root.join(folder)).filter(|folder| folder.is_dir()) {
                    types.extend(files_below(&folder)?);
                }
                let released = root.join(RELEASED_FOLDER);
                let released = if released.is_dir() { files_below(&released)? } else { Vec::new() };
                Self { is_root: true, ..Self::of(types, released)? }
            }
            None => Self::of_some_folder(path)?,
        };
        if contract.records.is_empty() && contract.released.is_empty() {
            return Err(ContractError::Empty { path: path.to_owned() });
        }
        Ok(contract)
    }

    /// A folder of namespaces, or one of released versions: their files are called by numbers.
    fn of_some_folder(path: &Path) -> Result<Self, ContractError> {
        let files = files_below(path)?;
        let is_version = |file: &SourceFile| {
            Path::new(&file.path)
                .file_stem()
                .and_then(|stem| stem.to_str())
                .is_some_and(|stem| stem.parse::<u32>().is_ok())
        };
        if files.first().is_some_and(is_version) { Self::of(Vec::new(), files) } else { Self::of(files, Vec::new()) }
    }

    /// The contract of these files: those of types, and those of released versions.
    ///
    /// # Errors
    /// [`ContractError`] when it is not valid.
    pub fn of(types: Vec<SourceFile>, released: Vec<SourceFile>) -> Result<Self, ContractError> {
        let types: Vec<SchemaFile> = types.into_iter().map(|file| folder::schema_file(file.path, file.text)).collect();
        let contract = model::Contract::read(&types).map_err(ContractError::Invalid)?;
        let mut records = BTreeMap::new();
        for (name, named) in &contract.types {
            if matches!(named.shape, model::Shape::Record(_)) {
                records.insert(name.clone(), self_contained::schema(&contract, name).map_err(ContractError::Invalid)?);
            }
        }
        let files = types.into_iter().map(|file| (format!("{}.{}", file.namespace, file.name), file)).collect();
        let mut released = released.into_iter().map(released_schema).collect::<Result<Vec<_>, _>>()?;
        released.sort_by(|a, b| (&a.record, a.version).cmp(&(&b.record, b.version)));
        Ok(Self { files, records, released, is_root: false })
    }

    /// Only the released versions.
    #[must_use]
    pub fn only_released(self) -> Self {
        Self { released: self.released, ..Self::default() }
    }

    /// The records with their schemas as JSON that needs no other, by full name.
    pub fn records(&self) -> &BTreeMap<String, String> {
        &self.records
    }

    /// All released versions, by record and version.
    pub fn released(&self) -> &[ReleasedSchema] {
        &self.released
    }

    /// The released versions of a record.
    pub fn versions(&self, record: &str) -> impl Iterator<Item = &ReleasedSchema> {
        self.released.iter().filter(move |version| version.record == record)
    }

    /// Whether it should have released versions: none means that all were removed.
    pub(crate) fn should_have_released(&self) -> bool {
        self.is_root || !self.released.is_empty()
    }

    /// Whether the schema of a record differs from its newest released version.
    pub fn is_unreleased(&self, record: &str) -> bool {
        let json = |text: &str| compatibility::json(text).ok();
        let newest = self.versions(record).last().map(|newest| json(&newest.schema));
        newest != self.records.get(record).map(|schema| json(schema))
    }

    /// File and line of a place. A type without file is where its file would lie.
    pub(crate) fn location(&self, place: &Place) -> (String, u32) {
        if let Some(file) = self.files.get(&place.named) {
            return (file.path.clone(), line_of(&file.text, &place.part));
        }
        let (namespace, name) = place.named.rsplit_once('.').unwrap_or(("", &place.named));
        let sibling = self.files.values().find(|file| file.namespace == namespace);
        let path = match sibling.and_then(|file| Path::new(&file.path).parent()) {
            Some(folder) => folder.join(format!("{name}.avsc")),
            None => Path::new("schemas").join(path_of(namespace, name)),
        };
        (path.display().to_string(), 1)
    }
}

/// The path of the file of a type, from the folder that holds [`FOLDERS`].
fn path_of(namespace: &str, name: &str) -> PathBuf {
    let [of_topics, of_stores] = FOLDERS;
    let (folder, namespace) = match namespace.strip_suffix(folder::STATE_NAMESPACE) {
        Some(namespace) => (of_stores, namespace),
        None => (of_topics, namespace),
    };
    Path::new(folder).join(namespace).join(format!("{name}.avsc"))
}

/// The schema files two folders below `path`.
fn files_below(path: &Path) -> Result<Vec<SourceFile>, ContractError> {
    let mut files = Vec::new();
    for folder in folder::entries(path).map_err(ContractError::Unreadable)?.iter().filter(|entry| entry.is_dir()) {
        for file in folder::entries(folder).map_err(ContractError::Unreadable)? {
            if folder::is_schema(&file) {
                let unreadable = |error| ContractError::Unreadable(format!("{}: {error}", file.display()));
                files.push(SourceFile {
                    path: file.display().to_string(),
                    text: fs::read_to_string(&file).map_err(unreadable)?,
                });
            }
        }
    }
    Ok(files)
}

fn released_schema(file: SourceFile) -> Result<ReleasedSchema, ContractError> {
    let (record, version) = last_parts(&file.path);
    match version.parse() {
        Ok(version) => Ok(ReleasedSchema { record, version, path: file.path, schema: file.text }),
        Err(_) => Err(ContractError::Misplaced { path: file.path }),
    }
}

/// The folder and the stem of the file.
fn last_parts(path: &str) -> (String, String) {
    let path = Path::new(path);
    let text = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).unwrap_or_default().to_owned();
    (text(path.parent().and_then(Path::file_name)), text(path.file_stem()))
}

/// What gives a schema file its lines: the texts keep their place in the file.
#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow)]
    name: &'a RawValue,
    #[serde(borrow, default)]
    fields: Vec<FieldOutline<'a>>,
    #[serde(borrow, default)]
    symbols: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct FieldOutline<'a> {
    #[serde(borrow)]
    name: &'a RawValue,
}

/// The line on which a field or symbol of a schema file is named. If there is none, the line with the type's name.
fn line_of(text: &str, part: &str) -> u32 {
    let Ok(outline) = serde_json::from_str::<Outline<'_>>(text) else { return 1 };
    let fields = outline.fields.iter().map(|field| field.name);
    let is_part = |name: &&RawValue| serde_json::from_str::<String>(name.get()).is_ok_and(|name| name == part);
    let name = fields.chain(outline.symbols.iter().copied()).find(is_part).unwrap_or(outline.name);
    let offset = name.get().as_ptr().addr().saturating_sub(text.as_ptr().addr());
    let before = text.get(..offset).unwrap_or_default();
    before.bytes().filter(|byte| *byte == b'\n').count() as u32 + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::RecordType;

    #[test]
    fn the_built_in_contract_is_that_of_the_records() {
        let contract = Contract::built_in().unwrap();
        assert_eq!(contract.records().len(), RecordType::COUNT);
        for record in RecordType::ALL {
            assert_eq!(contract.records()[record.full_name()], record.schema_json());
            assert!(contract.versions(record.full_name()).count() > 0, "{record} is not released");
        }
    }

    #[test]
    fn a_folder_of_the_contract_is_found_from_all_its_sides() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let all = Contract::in_folder(root).unwrap();
        assert_eq!(all.records().len(), RecordType::COUNT);
        assert!(!all.released().is_empty());
        let of_avro = Contract::in_folder(&root.join("avro")).unwrap();
        let of_parent = Contract::in_folder(root.parent().unwrap()).unwrap();
        for other in [of_avro, of_parent] {
            assert_eq!((other.records(), other.released().len()), (all.records(), all.released().len()));
        }
        let released = Contract::in_folder(&root.join("released")).unwrap();
        assert_eq!((released.records().len(), released.released().len()), (0, all.released().len()));
        let nothing = tempfile::tempdir().unwrap();
        assert!(matches!(Contract::in_folder(nothing.path()), Err(ContractError::Empty { .. })));
    }

    #[test]
    fn a_line_is_that_of_the_name() {
        let text = "{\n  \"type\": \"record\",\n  \"name\": \"A\",\n  \"fields\": [\n    {\"type\": \"int\",\n     \
                    \"name\": \"b\"}\n  ]\n}\n";
        assert_eq!((line_of(text, "b"), line_of(text, ""), line_of(text, "gone")), (6, 3, 3));
        let symbols = "{\"type\": \"enum\",\n\"name\": \"E\", \"symbols\": [\n\"A\",\n\"B\"]}";
        assert_eq!((line_of(symbols, "B"), line_of(symbols, "")), (4, 2));
    }
}
