//! Generates the Rust records from `avro/*/*.avsc` into `OUT_DIR/records.rs`, which `src/records.rs` includes.

mod generate;
mod model;
mod self_contained;

use std::path::{Path, PathBuf};
use std::{env, fs};

use model::SchemaFile;

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-changed=avro");
    println!("cargo::rerun-if-changed=build");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(|e| e.to_string())?);
    let out = PathBuf::from(env::var("OUT_DIR").map_err(|e| e.to_string())?);
    let contract = model::Contract::read(&files(&root.join("avro"))?)?;
    let code = generate::records(&contract)?;
    fs::write(out.join("records.rs"), code).map_err(|e| format!("cannot write the generated records: {e}"))
}

/// The schema files, sorted by namespace and name, so that the generated code does not depend on the file system.
fn files(folder: &Path) -> Result<Vec<SchemaFile>, String> {
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
            files.push(SchemaFile { namespace: stem(&namespace), name: stem(&path), text });
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
