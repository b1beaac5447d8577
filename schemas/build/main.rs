//! Generates the Rust records from `avro/*.avsc` into `OUT_DIR/records.rs`, which `src/records.rs` includes.

mod generate;
mod model;
mod self_contained;

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-changed=avro");
    println!("cargo::rerun-if-changed=build");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(|e| e.to_string())?);
    let out = PathBuf::from(env::var("OUT_DIR").map_err(|e| e.to_string())?);
    let contract = model::Contract::read(&files(&root.join("avro"))?)?;
    let code = generate::records(&contract)?;
    fs::write(out.join("records.rs"), code).map_err(|e| format!("cannot write the generated records: {e}"))
}

/// The schema files, by name, so that the generated code does not depend on the order of the file system.
fn files(folder: &Path) -> Result<Vec<(String, String)>, String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| format!("cannot list {}: {e}", folder.display()))? {
        let path = entry.map_err(|e| e.to_string())?.path();
        if path.extension().is_none_or(|extension| extension != "avsc") {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        files.push((stem.to_owned(), text));
    }
    files.sort();
    Ok(files)
}
