//! Adds the schemas that changed to `schemas/released`, each with a fixture. Run it after a change in `schemas/avro`:
//!
//! ```text
//! cargo run -p tributary-schemas --bin release-schemas
//! ```

use std::path::Path;
use std::process::ExitCode;

use tributary_schemas::release;

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("released");
    match release::release(&folder) {
        Ok(added) if added.is_empty() => println!("Every schema is released already."),
        Ok(added) => added.iter().for_each(|version| println!("{} version {}", version.record, version.version)),
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
