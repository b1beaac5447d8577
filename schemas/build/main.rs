//! Generates the Rust records from `avro/*/*.avsc` and `state/*/*.avsc` into `OUT_DIR/records.rs`, which
//! `src/records.rs` includes, and the contract and its released versions as data into `OUT_DIR/contract_files.rs`, which
//! `src/contract.rs` includes.

mod canonical;
mod embed;
mod folder;
mod generate;
mod model;
mod self_contained;

use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), String> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(|e| e.to_string())?);
    // Cargo would run this again in every build for a folder that is not there.
    for folder in folder::FOLDERS.into_iter().chain(["released", "build"]).filter(|folder| root.join(folder).is_dir()) {
        println!("cargo::rerun-if-changed={folder}");
    }
    let out = PathBuf::from(env::var("OUT_DIR").map_err(|e| e.to_string())?);
    let files = folder::contract(&root)?;
    let contract = model::Contract::read(&files)?;
    let write =
        |name: &str, code: String| fs::write(out.join(name), code).map_err(|e| format!("cannot write {name}: {e}"));
    write("records.rs", generate::records(&contract)?)?;
    write("contract_files.rs", embed::contract(&root, &files)?)
}
