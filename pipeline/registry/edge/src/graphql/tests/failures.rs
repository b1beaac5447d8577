//! The rows of the table.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use tributary_flow::http::Problem;

use super::*;
use crate::clients::Clients;
use crate::lookups::LookupError;

#[tokio::test]
async fn no_token() {
    let mut world = World::new();
    world.caller = None;
    for body in ["{ not read", &json!({"query": QUERY, "variables": number()}).to_string()] {
        let answer = world.post(body).await;
        assert_eq!((answer.status.as_u16(), &answer.headers["www-authenticate"]), (401, &"Bearer".parse().unwrap()));
        let error = answer.error();
        assert_eq!(
            (&error["message"], &error["extensions"]["code"]),
            (&json!("Invalid access token"), &json!("UNAUTHENTICATED"))
        );
        assert!(answer.json()["extensions"]["requestId"].is_string());
    }
    assert!(world.lookups.calls().is_empty());
}

#[tokio::test]
async fn a_wrong_token_is_refused_by_the_server_in_the_same_form() {
    let lookups = Arc::new(crate::graphql::world::InMemory::default());
    let mounts = Arc::new(Graphql::new(settings(""), LIMITS, None, lookups).unwrap()).mounts();
    let render = mounts[0].render_fault.unwrap();
    let written = async |problem: Problem| {
        let response = render(&problem).unwrap();
        let headers = response.headers().clone();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let json: Value = serde_json::from_slice(&body).unwrap();
        (status, json["errors"][0]["extensions"]["code"].as_str().unwrap().to_owned(), headers, json)
    };
    let (status, code, headers, json) = written(Problem::unauthenticated("the token 19910824-00026 is refused")).await;
    assert_eq!(
        (status, code.as_str(), &headers["www-authenticate"]),
        (401, "UNAUTHENTICATED", &"Bearer".parse().unwrap())
    );
    assert_eq!(json["errors"][0]["message"], "Invalid access token");
    assert!(!json.to_string().contains("19910824"));
    for (status, code) in
        [(403, "FORBIDDEN"), (413, "BAD_REQUEST"), (504, "SERVICE_UNAVAILABLE"), (500, "INTERNAL_SERVER_ERROR")]
    {
        let problem = Problem::new(StatusCode::from_u16(status).unwrap(), "any", "19910824-00026");
        let (found, found_code, _, json) = written(problem).await;
        assert_eq!((found, found_code.as_str()), (status, code));
        assert!(!json.to_string().contains("19910824"));
    }
    let busy = Problem::unavailable("issuer_unavailable", "", Duration::from_secs(9));
    let (status, code, headers, json) = written(busy).await;
    assert_eq!((status, code.as_str(), &headers["retry-after"]), (503, "SERVICE_UNAVAILABLE", &"9".parse().unwrap()));
    assert_eq!(json["errors"][0]["extensions"]["exception"], json!({"retryAfter": 9}));
}

#[tokio::test]
async fn not_json_or_a_batch() {
    let world = World::new();
    let one = json!({"query": QUERY, "variables": number()});
    let bodies = [
        String::new(),
        "{".to_owned(),
        "query { x }".to_owned(),
        json!([one]).to_string(),
        json!([QUERY, null, number()]).to_string(),
        json!({"variables": number()}).to_string(),
        json!({"query": 7}).to_string(),
        json!({"query": QUERY, "variables": [NUMBER]}).to_string(),
        format!("{{\"query\": \"{{ __typename }}\", \"variables\": {}1{}}}", "[".repeat(5_000), "]".repeat(5_000)),
    ];
    for body in bodies {
        let answer = world.post(body.clone()).await;
        answer.assert_malformed(&body);
        assert!(!answer.text.contains("19910824"), "{}", answer.text);
    }
    assert!(world.lookups.calls().is_empty());
}

#[tokio::test]
async fn does_not_parse_or_validate() {
    let world = World::new();
    for query in [
        "",
        "{",
        "{ }",
        "{ unzrInfoRegister }",
        "{ unzrInfoRegister(unzr: \"secret\") }",
        "{ unzrInfoRegister(unzr: \"secret\") { secret } }",
        "{ unzrInfoRegistr(unzr: \"secret\") { unzr } }",
        "{ unzrInfoRegister(unzr: \"secret\", secret: 1) { unzr } }",
        "{ unzrInfoRegister(unzr: \"secret\") { unzr ...secret } }",
        "{ unzrInfoRegister(unzr: \"secret\") { unzr @secret } }",
        "query($secret: String!) { __typename }",
        "query($n: Secret!) { unzrInfoRegister(unzr: $n) { unzr } }",
        "{ unzrInfoRegister(unzr: $secret) { unzr } }",
        "subscription { secret }",
        "query a { __typename } query b { __typename }",
        "fragment secret on UnzrInfo { unzr } { __typename }",
        "{ a: unzrInfoRegister(unzr: \"1\") { unzr } a: node(id: \"secret\") { id } }",
        "\u{0} { __typename }",
    ] {
        let answer = world.ask(query).await;
        answer.assert_malformed(query);
        assert!(!answer.text.contains("ecret") && !answer.text.contains("unzr"), "{}", answer.text);
    }
    let body = json!({"query": "query a { __typename }", "operationName": "secret"}).to_string();
    world.post(body).await.assert_malformed("another operation");
    assert!(world.lookups.calls().is_empty());
}

#[tokio::test]
async fn variable_of_a_wrong_type_or_number_absent_or_null() {
    let world = World::new();
    let whole = "mutation($i: SyncUnzrInfoRegisterInput!) { syncUnzrInfoRegister(input: $i) { __typename } }";
    let nullable = "query($n: String) { unzrInfoRegister(unzr: $n) { unzr } }";
    let default = "query($n: String = null) { unzrInfoRegister(unzr: $n) { unzr } }";
    let skipped = "query($n: String!, $s: Boolean!) { unzrInfoRegister(unzr: $n) @skip(if: $s) { unzr } }";
    let cases = [
        (QUERY, json!({})),
        (QUERY, json!({"n": null})),
        (QUERY, json!({"n": 19_910_824})),
        (QUERY, json!({"n": [NUMBER]})),
        (QUERY, json!({"n": {"unzr": NUMBER}})),
        (MUTATION, json!({})),
        (MUTATION, json!({"n": null})),
        (MUTATION, json!({"n": [NUMBER, NUMBER]})),
        (nullable, json!({"n": NUMBER})),
        (default, json!({})),
        (default, json!({"n": null})),
        (skipped, json!({"n": NUMBER, "s": "no"})),
        (skipped, json!({"n": NUMBER})),
        (whole, json!({"i": {}})),
        (whole, json!({"i": {"unzr": null}})),
        (whole, json!({"i": {"unzr": NUMBER, "more": NUMBER}})),
        (whole, json!({"i": NUMBER})),
        (whole, json!({"i": [{"unzr": NUMBER}]})),
        ("mutation { syncUnzrInfoRegister(input: {unzr: null}) { __typename } }", json!({})),
        ("mutation { syncUnzrInfoRegister(input: {}) { __typename } }", json!({})),
        ("mutation { syncUnzrInfoRegister(input: null) { __typename } }", json!({})),
        ("mutation { syncUnzrInfoRegister { __typename } }", json!({})),
        ("{ unzrInfoRegister(unzr: null) { unzr } }", json!({})),
        ("{ unzrInfoRegister { unzr } }", json!({})),
    ];
    for (query, variables) in cases {
        let answer = world.ask_with(query, variables.clone()).await;
        answer.assert_malformed(&format!("{query} {variables}"));
        assert!(!answer.text.contains("19910824"), "{}", answer.text);
    }
    let good = world.ask_with(whole, json!({"i": {"unzr": NUMBER}})).await;
    assert_eq!((good.status.as_u16(), good.json().get("errors")), (200, None), "{}", good.text);
    assert_eq!(world.lookups.calls(), ["sync unzr at once"]);
}

#[tokio::test]
async fn nothing_is_executed_if_one_of_two_mutations_is_wrong() {
    let world = World::new();
    let query = "mutation($i: SyncUnzrInfoRegisterInput!) { a: syncUnzrInfoRegister(input: {unzr: \"19910824-00026\"}) \
                 { __typename } ...more } \
                 fragment more on Mutation { b: syncUnzrInfoRegister(input: $i) { __typename } }";
    world.ask_with(query, json!({"i": {"unzr": 7}})).await.assert_malformed("the second is wrong");
    assert!(world.lookups.calls().is_empty());
}

#[tokio::test]
async fn introspection_while_off() {
    let world = World::new();
    for query in [
        "{ __schema { types { name } } }",
        "{ __type(name: \"UnzrInfo\") { name } }",
        "{ ...a } fragment a on Query { ... { b: __schema { types { name } } } }",
    ] {
        let answer = world.ask(query).await;
        answer.assert_malformed(query);
        assert!(!answer.text.contains("Unzr"), "{}", answer.text);
    }
}

#[tokio::test]
async fn scope() {
    let world = World::new().scopes(&["unzr:read", "unzr:writer", "operator"]);
    let answer = world.ask_with(MUTATION, json!({"n": "not even a number"})).await;
    let error = answer.error();
    let message = "Your scope does not allow to access this resource. Missing allowances: unzr:write";
    let extensions = json!({"code": "FORBIDDEN", "exception": {"missingAllowances": ["unzr:write"]}});
    assert_eq!((answer.status.as_u16(), &error["message"], &error["extensions"]), (200, &json!(message), &extensions));
    assert_eq!(
        (&error["path"], &error["locations"]),
        (&json!(["syncUnzrInfoRegister"]), &json!([{"line": 1, "column": 25}]))
    );
    assert_eq!(answer.json()["data"], json!({"syncUnzrInfoRegister": null}));
    let world = world.scopes(&["unzr:write"]);
    for query in [QUERY, "{ node(id: \"VW56ckluZm86MGI1YzJmNmUtOGQzYS00ZjUxLTljNTUtMWQzZjZhN2I4Yzlk\") { id } }"] {
        let variables = if query == QUERY { number() } else { json!({}) };
        let error = world.ask_with(query, variables).await.error();
        assert_eq!(error["extensions"]["exception"], json!({"missingAllowances": ["unzr:read"]}));
    }
    assert_eq!(world.lookups.calls(), ["denied unzr FORBIDDEN"; 3]);
}

/// The world with a file of clients.
fn world_of(kind: &str, status: &str) -> (tempfile::TempDir, World) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clients.toml");
    std::fs::write(&path, format!("[client.admin]\ntype = \"{kind}\"\nstatus = \"{status}\"\n")).unwrap();
    let clients = Arc::new(Clients::load(&path).unwrap());
    (folder, World::with("", LIMITS, Some(clients)))
}

#[tokio::test]
async fn client_unknown_or_not_nhs() {
    let (_folder, world) = world_of("MSP", "CLOSED");
    for (query, variables) in [(QUERY, number()), (MUTATION, number()), ("{ node(id: \"\") { id } }", json!({}))] {
        let answer = world.ask_with(query, variables).await;
        let error = answer.error();
        let message = "You don't have permission to access this resource";
        assert_eq!((answer.status.as_u16(), &error["message"]), (200, &json!(message)));
        assert_eq!(error["extensions"], json!({"code": "FORBIDDEN"}));
    }
    let calls = world.lookups.calls();
    assert_eq!(calls, ["denied unzr FORBIDDEN", "denied unzr FORBIDDEN", "denied - FORBIDDEN"]);
    // The scope comes first.
    let error = world.scopes(&[]).ask_with(QUERY, number()).await.error();
    assert!(error["extensions"]["exception"]["missingAllowances"].is_array());
}

#[tokio::test]
async fn legal_entity_not_active() {
    let (folder, world) = world_of("NHS", "SUSPENDED");
    let answer = world.ask_with(MUTATION, json!({"n": ""})).await;
    let error = answer.error();
    let message = "client_id refers to legal entity that is not active";
    assert_eq!((answer.status.as_u16(), &error["message"]), (200, &json!(message)));
    assert_eq!(error["extensions"], json!({"code": "CONFLICT"}));
    assert_eq!(world.lookups.calls(), ["denied unzr CONFLICT"]);
    let path = folder.path().join("clients.toml");
    std::fs::write(path, "[client.admin]\ntype = \"NHS\"\nstatus = \"ACTIVE\"\n").unwrap();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let answer = world.ask_with(MUTATION, number()).await;
    assert_eq!(answer.json().get("errors"), None, "{}", answer.text);
}

#[tokio::test]
async fn input() {
    let world = World::new();
    let long = "1".repeat(65);
    let cases = [
        ("", "required", "required property unzr was not present"),
        (&long, "length", "property unzr is not valid: it is longer than 64 characters"),
        ("1\u{0}", "characters", "property unzr is not valid: it has characters that cannot be sent"),
        ("19910824 00026", "format", "property unzr is not valid: it does not have the expected form"),
    ];
    for (number, rule, message) in cases {
        let answer = world.ask_with(MUTATION, json!({"n": number})).await;
        let error = answer.error();
        assert_eq!((answer.status.as_u16(), &error["message"]), (200, &json!("Validation failed")));
        assert_eq!(error["extensions"]["code"], "UNPROCESSABLE_ENTITY");
        let expected = json!({"inputErrors": [{"message": message, "options": {"rule": rule}, "path": ["unzr"]}]});
        assert_eq!(error["extensions"]["exception"], expected);
        assert!(number.is_empty() || !answer.text.contains(number), "{}", answer.text);
        let is_checked = matches!(rule, "required" | "length");
        let answer = world.ask_with(QUERY, json!({"n": number})).await.json();
        assert_eq!(answer.get("errors").is_some(), is_checked, "{rule}");
    }
    assert!(world.lookups.calls().iter().all(|call| call == "find unzr"));
    let strict = World::with("number = { check = \"strict\" }\n", LIMITS, None);
    for (number, rule) in [("20130229-00010", "date"), ("19910819-01234", "check_digit")] {
        let error = strict.ask_with(MUTATION, json!({"n": number})).await.error();
        assert_eq!(error["extensions"]["exception"]["inputErrors"][0]["options"], json!({"rule": rule}));
    }
}

#[tokio::test]
async fn max_pending_for_a_new_run() {
    let world = World::new();
    *world.lookups.trouble.lock().unwrap() = Some(LookupError::Full { retry_after: Duration::from_millis(6_001) });
    let answer = world.ask_with(MUTATION, number()).await;
    assert_eq!(answer.status.as_u16(), 200);
    let expected = json!({"code": "SERVICE_UNAVAILABLE", "exception": {"retryAfter": 7}});
    assert_eq!(answer.error()["extensions"], expected);
    *world.lookups.trouble.lock().unwrap() = Some(LookupError::Unavailable);
    assert_eq!(world.ask_with(QUERY, number()).await.error()["extensions"]["code"], "SERVICE_UNAVAILABLE");
}

#[tokio::test]
async fn other_fields_of_the_document_stand() {
    let world = world_with_answer();
    let query = format!(
        "{{ a: unzrInfoRegister(unzr: \"{NUMBER}\") {{ jobStatus }} \
         b: unzrInfoRegister(unzr: \"\") {{ jobStatus }} c: __typename }}"
    );
    let json = world.ask(&query).await.json();
    assert_eq!(json["data"], json!({"a": {"jobStatus": "pending"}, "b": null, "c": "Query"}));
    assert_eq!(json["errors"][0]["path"], json!(["b"]));
    assert_eq!(json["errors"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn body_too_large_other_content_type_or_get() {
    let world = World::new();
    let large = json!({"query": format!("{{ __typename }} # {NUMBER} {}", "x".repeat(64 * 1024))}).to_string();
    let answer = world.post(large).await;
    assert_eq!((answer.status.as_u16(), &answer.error()["extensions"]["code"]), (413, &json!("BAD_REQUEST")));
    for content_type in ["text/plain", "application/graphql", "multipart/form-data", "application/jsonp"] {
        let request = Request::post("/graphql").header("content-type", content_type);
        let answer = world.send(request.body(Body::from("{\"query\": \"{ __typename }\"}")).unwrap()).await;
        assert_eq!((answer.status.as_u16(), &answer.error()["extensions"]["code"]), (415, &json!("BAD_REQUEST")));
    }
    let get = Request::get(format!("/graphql?query={NUMBER}")).body(Body::empty());
    let answer = world.send(get.unwrap()).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["allow"]), (405, &"POST".parse().unwrap()));
    assert!(!answer.text.contains("19910824"));
    assert!(world.lookups.calls().is_empty());
}
