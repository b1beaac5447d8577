//! The `.avsc` files of a contract: `avro` holds the records of topics, `state` those of stores. Each namespace is a
//! folder in one of them. The namespaces in `state` end with `.state`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::model::SchemaFile;

/// What the namespaces of records of stores end with.
pub(crate) const STATE_NAMESPACE: &str = ".state";

/// The folder of the records of stores.
const STATE: &str = "state";

/// The folders of a contract.
pub(crate) const FOLDERS: [&str; 2] = ["avro", STATE];

/// The schema files in the folders of `root`, sorted by path, so that nothing depends on the file system.
pub(crate) fn contract(root: &Path) -> Result<Vec<SchemaFile>, String> {
    let mut files = Vec::new();
    for folder in FOLDERS.iter().map(|folder| root.join(folder)).filter(|folder| folder.is_dir()) {
        files.extend(namespaces(&folder)?);
    }
    Ok(files)
}

/// The schema files of the namespaces in `folder`.
pub(crate) fn namespaces(folder: &Path) -> Result<Vec<SchemaFile>, String> {
    let mut files = Vec::new();
    for namespace in entries(folder)? {
        if !namespace.is_dir() {
            return Err(format!("{} is not in the folder of a namespace", namespace.display()));
        }
        for path in entries(&namespace)?.into_iter().filter(|path| is_schema(path)) {
            let text = fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
            files.push(schema_file(path.display().to_string(), text));
        }
    }
    Ok(files)
}

/// The file at `path`, with the namespace and the name that its path gives it.
pub(crate) fn schema_file(path: String, text: String) -> SchemaFile {
    let of = Path::new(&path);
    let folder = of.parent();
    let is_of_state = folder.and_then(Path::parent).is_some_and(|folder| folder.ends_with(STATE));
    let suffix = if is_of_state { STATE_NAMESPACE } else { "" };
    let namespace = format!("{}{suffix}", name(folder.and_then(Path::file_name)));
    SchemaFile { namespace, name: name(of.file_stem()), path, text }
}

/// What lies in `folder`, sorted by name.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let cannot_list = |e: std::io::Error| format!("cannot list {}: {e}", folder.display());
    let list = fs::read_dir(folder).map_err(cannot_list)?;
    let mut paths =
        list.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(cannot_list)?;
    paths.sort();
    Ok(paths)
}

/// Whether the file is named as a schema.
pub(crate) fn is_schema(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "avsc")
}

fn name(part: Option<&std::ffi::OsStr>) -> String {
    part.and_then(|part| part.to_str()).unwrap_or_default().to_owned()
}
