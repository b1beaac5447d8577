//! Requests and answers: a test for each row of the table of failures, named after it, in its order.

mod failures;
mod requests;

use std::path::Path;

use serde_json::{Value, json};

use super::world::{LIMITS, NUMBER, TAX, World, row, settings};
use super::{Graphql, schema_text};
use crate::settings::GraphqlSettings;

const QUERY: &str = "query($n: String!) { unzrInfoRegister(unzr: $n) { unzr jobStatus } }";
const MUTATION: &str = "mutation($n: String!) { syncUnzrInfoRegister(input: {unzr: $n}) { unzrInfo { jobStatus } } }";

/// `TRIBUTARY_GOLDEN=write` replaces the file. Read the difference before you commit it.
#[test]
fn the_schema_is_the_one_in_the_tree() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.graphql");
    let text = schema_text(&settings("")).unwrap();
    if std::env::var("TRIBUTARY_GOLDEN").is_ok_and(|value| value == "write") {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap());
}

#[test]
fn a_further_register_adds_its_own_types_and_changes_no_other() {
    let (without, with) = (schema_text(&settings("")).unwrap(), schema_text(&settings(TAX)).unwrap());
    for name in ["type TaxInfo implements Node", "type TaxInfoDetails", "input SyncTaxInfoRegisterInput"] {
        assert!(with.contains(name) && !without.contains(name), "{name}");
    }
    for line in ["taxInfoRegister(rnokpp: String!): TaxInfo", "taxInfo: TaxInfo", "rnokpp: String!"] {
        assert!(with.contains(line), "{line}");
    }
    assert!(without.lines().all(|line| with.lines().any(|other| other == line)));
}

#[test]
fn a_number_may_not_be_named_as_another_field_of_a_row() {
    let text = TAX.replace("argument = \"rnokpp\"", "argument = \"info\"");
    let error = schema_text(&settings(&text)).unwrap_err().to_string();
    assert_eq!(error, "expected another name at job.tax.graphql.argument: every row has a field info");
}

/// The world with a row that has an answer.
fn world_with_answer() -> World {
    let world = World::new();
    let info = json!({
        "firstName": "Oksana", "rnokpp": null, "unknown": "kept",
        "documents": [{"type": "PASSPORT", "number": "000000001"}, {"type": "OTHER"}],
    });
    let row = crate::lookups::Row { info: Some(info), ..row(NUMBER) };
    world.lookups.rows.lock().unwrap().insert(NUMBER.to_owned(), row);
    world
}

fn number() -> Value {
    json!({"n": NUMBER})
}
