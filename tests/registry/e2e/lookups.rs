//! The mission (R 2): what a mutation and a query answer, and which calls are made.

use std::time::Duration;

use serde_json::{Value, json};
use tributary_registry_sample::Answer;

use crate::world::{NUMBER, World};

/// Given no row, when a number is asked for, then it is pending at once, and processed with data in the end (R 5.6).
#[tokio::test]
async fn a_number_is_pending_and_then_processed_with_data() {
    let world = World::start().await;
    assert_eq!(world.row(NUMBER).await, Value::Null);
    world.register.delay(Duration::from_millis(300));
    let row = world.sync(NUMBER, None).await;
    assert_eq!((&row["jobStatus"], &row["unzr"], &row["info"]), (&json!("pending"), &json!(NUMBER), &Value::Null));
    assert_eq!(world.row(NUMBER).await, row);
    let done = world.row_with(NUMBER, "processed").await;
    assert!(done["info"]["firstName"].is_string() && done["info"]["documents"]["number"].is_string(), "{done}");
    assert_eq!((&done["syncedAt"], &done["id"]), (&done["updatedAt"], &row["id"]));
    assert_eq!(world.register.calls_of(NUMBER), 1);
    assert!(world.register.refused().is_empty());
}

/// `Prefer: wait` answers at the end of the job.
#[tokio::test]
async fn a_mutation_waits_for_the_end_of_its_job_if_it_is_asked_to() {
    let world = World::start().await;
    world.register.delay(Duration::from_millis(200));
    let row = world.sync(NUMBER, Some(20)).await;
    assert_eq!((&row["jobStatus"], row["info"].is_object()), (&json!("processed"), true));
    world.register.set(NUMBER, Answer::Hanging);
    assert_eq!(world.sync(NUMBER, Some(1)).await["jobStatus"], "pending", "the time is over");
}

/// Step 4: nothing is found, also over older data (R 2.3).
#[tokio::test]
async fn nothing_found_is_processed_with_null_also_over_older_data() {
    let world = World::start().await;
    assert!(world.sync(NUMBER, Some(20)).await["info"].is_object());
    world.register.set(NUMBER, Answer::Empty);
    let row = world.sync(NUMBER, Some(20)).await;
    assert_eq!((&row["jobStatus"], &row["info"]), (&json!("processed"), &Value::Null));
    assert!(row["syncedAt"].is_string());
}

/// Step 5: what was known stays, and so does the time of its synchronisation (R 2.3). It stays readable meanwhile.
#[tokio::test]
async fn a_failure_leaves_data_and_its_time_as_they_were() {
    let world = World::start().await;
    let found = world.sync(NUMBER, Some(20)).await;
    world.register.set(NUMBER, Answer::Fault(500, "Client.Denied".to_owned(), None));
    let pending = world.sync(NUMBER, None).await;
    assert_eq!((&pending["info"], &pending["syncedAt"]), (&found["info"], &found["syncedAt"]));
    let failed = world.row_with(NUMBER, "failed").await;
    assert_eq!((&failed["info"], &failed["syncedAt"]), (&found["info"], &found["syncedAt"]));
    assert!(failed["updatedAt"].as_str() > pending["updatedAt"].as_str());
    let job = world.job(&failed).await;
    assert_eq!((&job["error"]["class"], &job["error"]["code"]), (&json!("fault"), &json!("Client.Denied")));
}

/// Sixteen requests at once are one row and one call (R 6).
#[tokio::test]
async fn two_mutations_one_call() {
    let world = World::start().await;
    world.register.delay(Duration::from_millis(500));
    let rows = futures_util::future::join_all((0..16).map(|_| world.sync(NUMBER, None))).await;
    assert!(rows.iter().all(|row| row["jobStatus"] == "pending" && row["id"] == rows[0]["id"]), "{rows:?}");
    world.row_with(NUMBER, "processed").await;
    assert_eq!(world.register.calls_of(NUMBER), 1);
    // Two spellings are two rows (R 1.3).
    let other = world.sync("19910824-00027", Some(20)).await;
    assert_ne!(other["id"], rows[0]["id"]);
}

/// One number that hangs blocks no other.
#[tokio::test]
async fn hanging_register_blocks_nobody() {
    let world = World::start().await;
    world.register.set(NUMBER, Answer::Hanging);
    assert_eq!(world.sync(NUMBER, None).await["jobStatus"], "pending");
    for number in 0..20 {
        let row = world.sync(&format!("19910825-{number:05}"), Some(20)).await;
        assert_eq!(row["jobStatus"], "processed");
    }
    assert_eq!(world.row(NUMBER).await["jobStatus"], "pending");
}

/// A document may hold several lookups, and an object is found by its global id (R 5.2).
#[tokio::test]
async fn a_row_is_a_node() {
    let world = World::start().await;
    let row = world.sync(NUMBER, Some(20)).await;
    let document = "query($id: ID!) { node(id: $id) { id ... on UnzrInfo { unzr } } other: node(id: \"x\") { id } }";
    let answer = world.graphql(document, json!({"id": row["id"]}), None).await;
    assert_eq!(answer["data"], json!({"node": {"id": row["id"], "unzr": NUMBER}, "other": null}));
}

/// What a kind beyond the built-in one needs stands in the configuration alone.
#[tokio::test]
async fn a_further_register_is_a_further_table() {
    let (_, tax) = include_str!("../../../deploy/registry-tax.toml").split_once("[registry.job.tax]").unwrap();
    let world = World::start_with("", &format!("[registry.job.tax]{tax}")).await;
    let document = "mutation { syncTaxInfoRegister(input: {rnokpp: \"3012345678\"}) { taxInfo { rnokpp jobStatus } } }";
    world.register.otherwise(Answer::Content("<RESULT>1</RESULT>".to_owned()));
    let answer = world.graphql(document, json!({}), Some(20)).await;
    let expected = json!({"rnokpp": "3012345678", "jobStatus": "processed"});
    assert_eq!(answer["data"]["syncTaxInfoRegister"]["taxInfo"], expected, "{answer}");
}
