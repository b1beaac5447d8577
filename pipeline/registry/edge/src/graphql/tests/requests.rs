//! What a good request gets.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use axum::http::header::CONTENT_TYPE;

use super::*;
use crate::graphql::world::{ANNA, ROW_ID};

#[tokio::test]
async fn a_query_answers_the_row_and_starts_nothing() {
    let world = world_with_answer();
    let query = "query($n: String!) { unzrInfoRegister(unzr: $n) { id databaseId unzr jobStatus syncedAt insertedAt \
                 insertedBy updatedAt updatedBy info { firstName lastName rnokpp documents { type number } \
                 documentList { type status } } } }";
    let answer = world.ask_with(query, number()).await;
    let json = answer.json();
    assert_eq!((answer.status.as_u16(), json.get("errors")), (200, None), "{json}");
    let expected = json!({
        // From: printf 'UnzrInfo:0b5c2f6e-8d3a-4f51-9c55-1d3f6a7b8c9d' | base64
        "id": "VW56ckluZm86MGI1YzJmNmUtOGQzYS00ZjUxLTljNTUtMWQzZjZhN2I4Yzlk",
        "databaseId": ROW_ID, "unzr": NUMBER, "jobStatus": "pending", "syncedAt": null,
        "insertedAt": "2027-01-15T08:00:00.000Z", "insertedBy": ANNA,
        "updatedAt": "2027-01-15T08:00:00.000Z", "updatedBy": ANNA,
        "info": {
            "firstName": "Oksana", "lastName": null, "rnokpp": null,
            "documents": {"type": "PASSPORT", "number": "000000001"},
            "documentList": [{"type": "PASSPORT", "status": null}, {"type": "OTHER", "status": null}],
        },
    });
    assert_eq!(json["data"]["unzrInfoRegister"], expected);
    assert_eq!(world.lookups.calls(), ["find unzr"]);
}

#[tokio::test]
async fn no_row_is_null_without_an_error() {
    let world = World::new();
    let json = world.ask_with(QUERY, number()).await.json();
    assert_eq!((&json["data"], json.get("errors")), (&json!({"unzrInfoRegister": null}), None));
}

#[tokio::test]
async fn a_mutation_answers_the_pending_row_and_needs_no_scope_to_read() {
    let world = World::new().scopes(&["unzr:write"]);
    let json = world.ask_with(MUTATION, number()).await.json();
    let expected = json!({"syncUnzrInfoRegister": {"unzrInfo": {"jobStatus": "pending"}}});
    assert_eq!((&json["data"], json.get("errors")), (&expected, None));
    assert_eq!(world.lookups.calls(), ["sync unzr at once"]);
}

#[tokio::test]
async fn the_number_reaches_the_lookup_byte_for_byte() {
    let world = World::with("number = { element = \"UNZR\", check = \"off\" }\n", LIMITS, None);
    let odd = " 19910824-00026\r\n\u{200b}";
    world.ask_with(MUTATION, json!({"n": odd})).await;
    assert_eq!(world.lookups.rows.lock().unwrap().keys().collect::<Vec<_>>(), [odd]);
    let written = r#"mutation { syncUnzrInfoRegister(input: {unzr: "\t7\u0020"}) { __typename } }"#;
    world.ask(written).await;
    assert!(world.lookups.rows.lock().unwrap().contains_key("\t7 "));
}

#[tokio::test]
async fn the_asker_is_the_user_of_the_token_and_each_request_has_an_id_of_its_own() {
    let world = World::new();
    let ids = [world.ask_with(QUERY, number()).await, world.ask_with(QUERY, number()).await]
        .map(|answer| answer.json()["extensions"]["requestId"].as_str().unwrap().to_owned());
    assert_ne!(ids[0], ids[1]);
    let askers = world.lookups.askers.lock().unwrap();
    for (asker, id) in askers.iter().zip(&ids) {
        assert_eq!((asker.user.to_string().as_str(), asker.client.as_str()), (ANNA, "admin"));
        assert_eq!(asker.request.to_string(), *id);
    }
}

#[tokio::test]
async fn a_mutation_waits_as_long_as_preferred_and_at_most_30_seconds() {
    let world = World::new();
    for (prefer, expected) in [("wait=5", "within 5 s"), ("wait=600", "within 30 s"), ("wait=0", "at once")] {
        let body = json!({"query": MUTATION, "variables": number()}).to_string();
        let request = Request::post("/graphql").header("content-type", "application/json").header("prefer", prefer);
        world.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(world.lookups.calls(), [format!("sync unzr {expected}")], "{prefer}");
    }
}

#[tokio::test]
async fn a_node_is_found_by_its_id_and_a_malformed_id_has_none() {
    let world = world_with_answer();
    let query = "query($id: ID!) { node(id: $id) { id ... on UnzrInfo { jobStatus } } }";
    let id = "VW56ckluZm86MGI1YzJmNmUtOGQzYS00ZjUxLTljNTUtMWQzZjZhN2I4Yzlk";
    let json = world.ask_with(query, json!({"id": id})).await.json();
    assert_eq!(json["data"], json!({"node": {"id": id, "jobStatus": "pending"}}), "{json}");
    assert_eq!(world.lookups.calls(), ["find_by_id unzr"]);
    // The last: printf 'Other:0b5c2f6e-8d3a-4f51-9c55-1d3f6a7b8c9d' | base64
    let other = "T3RoZXI6MGI1YzJmNmUtOGQzYS00ZjUxLTljNTUtMWQzZjZhN2I4Yzlk";
    for malformed in [json!(""), json!("!"), json!(7), json!("VW56ckluZm8="), json!(other)] {
        let json = world.ask_with(query, json!({"id": malformed})).await.json();
        assert_eq!((&json["data"], json.get("errors")), (&json!({"node": null}), None), "{malformed}");
    }
    assert!(world.lookups.calls().is_empty());
}

#[tokio::test]
async fn a_further_register_is_asked_with_its_own_names_and_scopes() {
    let world = World::with(TAX, LIMITS, None).scopes(&["tax:write"]);
    let mutation = "mutation { syncTaxInfoRegister(input: {rnokpp: \"1234567890\"}) { taxInfo { rnokpp } } }";
    let json = world.ask(mutation).await.json();
    assert_eq!(json["data"], json!({"syncTaxInfoRegister": {"taxInfo": {"rnokpp": "1234567890"}}}), "{json}");
    assert_eq!(world.lookups.calls(), ["sync tax at once"]);
}

#[tokio::test]
async fn the_answer_has_the_type_that_is_accepted() {
    let world = World::new();
    let older = "application/json";
    let newer = "application/graphql-response+json";
    for (accept, expected) in [
        ("*/*", older),
        ("application/json", older),
        ("application/graphql-response+json", newer),
        ("application/graphql-response+json, application/json;q=0.9", newer),
        ("application/graphql-response+json;q=0.5, application/json", older),
        ("application/graphql-response+json;q=0", older),
        ("text/html", older),
    ] {
        let request = Request::post("/graphql").header("content-type", "application/json; charset=utf-8");
        let body = json!({"query": "{ __typename }"}).to_string();
        let answer = world.send(request.header("accept", accept).body(Body::from(body)).unwrap()).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.headers[CONTENT_TYPE]),
            (200, &expected.parse().unwrap()),
            "{accept}"
        );
    }
}

#[tokio::test]
async fn the_type_of_the_root_is_told_although_introspection_is_off() {
    let json = World::new().ask("{ __typename }").await.json();
    assert_eq!(json["data"], json!({"__typename": "Query"}));
}

#[tokio::test]
async fn the_schema_is_told_if_introspection_is_on() {
    let world = World::with("", GraphqlSettings { introspection: true, ..LIMITS }, None);
    let json = world.ask("{ __type(name: \"UnzrInfo\") { fields { name } } }").await.json();
    let names: Vec<&str> = json["data"]["__type"]["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"jobStatus"), "{names:?}");
}

#[tokio::test]
async fn the_page_is_there_only_if_it_is_on_and_loads_nothing_from_elsewhere() {
    let get = || Request::get("/graphiql").body(Body::empty()).unwrap();
    assert_eq!(World::new().send(get()).await.status, 404);
    let world = World::with("", GraphqlSettings { graphiql: true, ..LIMITS }, None);
    let answer = world.send(get()).await;
    assert_eq!(answer.status, 200);
    assert!(answer.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    for outside in ["http:", "https:", "//", " src=", "@import", "<link"] {
        assert!(!answer.text.contains(outside), "{outside}");
    }
}

#[tokio::test]
async fn the_page_needs_no_token_and_graphql_does() {
    let graphql =
        Graphql::new(settings(""), LIMITS, None, std::sync::Arc::new(crate::graphql::world::InMemory::default()));
    let mounts = Arc::new(graphql.unwrap()).mounts();
    let flags: Vec<(bool, Option<usize>)> = mounts.iter().map(|mount| (mount.is_open, mount.max_body)).collect();
    assert_eq!(flags, [(false, Some(LIMITS.max_body)), (true, None)]);
}
