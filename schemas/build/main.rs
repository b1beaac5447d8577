//! Generates the Rust records from `avro/*/*.avsc` and `state/*/*.avsc` into `OUT_DIR/records.rs`, which
//! `src/records.rs` includes.

mod canonical;
mod generate;
mod model;
mod self_contained;

use std::path::{Path, PathBuf};
use std::{env, fs};

use model::SchemaFile;

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-changed=avro");
    println!("cargo::rerun-if-changed=state");
    println!("cargo::rerun-if-changed=build");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(|e| e.to_string())?);
    let out = PathBuf::from(env::var("OUT_DIR").map_err(|e| e.to_string())?);
    let mut all = files(&root.join("avro"), "")?;
    all.extend(files(&root.join("state"), STATE)?);
    let contract = model::Contract::read(&all)?;
    let code = generate::records(&contract)?;
    fs::write(out.join("records.rs"), code).map_err(|e| format!("cannot write the generated records: {e}"))
}

/// What the namespaces of records of state end with.
const STATE: &str = ".state";

/// The schema files of the folders of `folder`, whose namespaces are the names of the folders and `suffix`, sorted by namespace and name, so that the generated code does not depend on the file system.
fn files(folder: &Path, suffix: &str) -> Result<Vec<SchemaFile>, String> {
    let mut files = Vec::new();
    for namespace in entries(folder)? {
        if !namespace.is_dir() {
            return Err(format!("{} is not in the folder of a namespace", namespace.display()));
        }
        for path in entries(&namespace)? {
            if path.extension().is_none_or(|extension| extension != "avsc") {
                continue;
            }
            let text = fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
            let path_in_tree = path.strip_prefix(folder.parent().unwrap_or(folder)).unwrap_or(&path).to_owned();
            let namespace = format!("{}{suffix}", stem(&namespace));
            files.push(SchemaFile { namespace, name: stem(&path), path: path_in_tree.display().to_string(), text });
        }
    }
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let cannot_list = |e: std::io::Error| format!("cannot list {}: {e}", folder.display());
    let list = fs::read_dir(folder).map_err(cannot_list)?;
    let mut paths =
        list.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(cannot_list)?;
    paths.sort();
    Ok(paths)
}

fn stem(path: &Path) -> String {
    path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned()
}
