//! `tributary version`: what this binary is, and what it can run and read.

use std::collections::BTreeMap;

use serde_json::json;
use tributary_flow::{Failure, LEVELS, json_text, print};
use tributary_schemas::{AvroRecord, RecordType, RecordVisitor};

use crate::cli::OutputForm;
use crate::process::RELEASE;

/// Executes the command.
pub(crate) fn execute(output: OutputForm) -> Result<(), Failure> {
    match output {
        OutputForm::Text => print(&format!("tributary {RELEASE}, levels {} to {}\n", LEVELS.min, LEVELS.max)),
        OutputForm::Json => print(&document()?),
    }
}

fn document() -> Result<String, Failure> {
    let fingerprints = |is_state: bool| -> BTreeMap<&'static str, String> {
        let records = RecordType::ALL.into_iter().filter(|record| record.is_state() == is_state);
        records.map(|record| (record.full_name(), format!("{:016x}", record.visit(Fingerprint)))).collect()
    };
    let document = json!({
        "version": RELEASE,
        "levels": {"min": LEVELS.min.0, "max": LEVELS.max.0},
        "schemas": fingerprints(false),
        "state": fingerprints(true),
    });
    json_text(&document)
}

/// The fingerprint of a record's schema: CRC-64-AVRO of its canonical form.
struct Fingerprint;

impl RecordVisitor for Fingerprint {
    type Output = u64;

    fn visit<R: AvroRecord>(self) -> u64 {
        R::FINGERPRINT
    }
}
