//! Who may look numbers up: tokens with scopes, and the file of clients.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tributary_registry_sample::Register;

use crate::world::{NUMBER, PATIENCE, World, configuration, folder};

const AUTH: &str = "[auth]\nmode = \"tokens\"\ntokens_file = \"tokens.txt\"\n";

const CLIENTS: &str = "[client.panel]\ntype = \"NHS\"\nstatus = \"ACTIVE\"\n\
    [client.reader]\ntype = \"NHS\"\nstatus = \"ACTIVE\"\n[client.msp]\ntype = \"MSP\"\nstatus = \"ACTIVE\"\n";

/// A line for a token, which is the name and `-token`.
fn line(name: &str, roles: &str) -> String {
    let hash: Vec<String> = Sha256::digest(format!("{name}-token")).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name} {roles} {}\n", hash.concat())
}

async fn start() -> World {
    let register = Register::start(None).await.unwrap();
    let folder = folder(&configuration(&register, "clients = \"clients.toml\"", AUTH));
    let both = "unzr:read,unzr:write";
    let tokens = [line("panel", both), line("reader", "unzr:read"), line("msp", both), line("stranger", both)];
    std::fs::write(folder.path().join("tokens.txt"), tokens.concat() + &line("audit", "auditor,viewer")).unwrap();
    std::fs::write(folder.path().join("clients.toml"), CLIENTS).unwrap();
    World::start_in(folder, register)
}

/// The status, the headers and the body of the answer to a mutation.
async fn sync(world: &World, token: Option<&str>) -> (u16, HeaderMap, Value) {
    let document =
        format!("mutation {{ syncUnzrInfoRegister(input: {{unzr: \"{NUMBER}\"}}) {{ unzrInfo {{ jobStatus }} }} }}");
    let mut request = world.client.post(format!("{}/graphql", world.url)).json(&json!({"query": document}));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, headers, response.json().await.unwrap())
}

async fn code(world: &World, token: &str) -> String {
    let (status, _, body) = sync(world, Some(token)).await;
    assert_eq!(status, 200, "{body}");
    body["errors"][0]["extensions"]["code"].as_str().unwrap_or("none").to_owned()
}

#[tokio::test]
async fn no_token_or_a_wrong_one_is_refused_before_the_document_is_read() {
    let world = start().await;
    for token in [None, Some("other-token")] {
        let (status, headers, body) = sync(&world, token).await;
        assert_eq!(status, 401);
        assert!(headers[WWW_AUTHENTICATE].to_str().unwrap().starts_with("Bearer"));
        let error = &body["errors"][0];
        assert_eq!(error["extensions"]["code"], "UNAUTHENTICATED", "{body}");
        assert_eq!(error["message"], "Invalid access token");
        assert!(body["extensions"]["requestId"].is_string());
    }
    assert!(world.register.calls().is_empty());
}

/// Scope, client, legal entity; and a changed file of clients counts while the program runs.
#[tokio::test]
async fn scopes_and_clients_are_checked_and_refusals_are_audited() {
    let world = start().await;
    assert_eq!(code(&world, "panel-token").await, "none");
    for refused in ["reader-token", "msp-token", "stranger-token"] {
        assert_eq!(code(&world, refused).await, "FORBIDDEN", "{refused}");
    }
    std::fs::write(world.folder.path().join("clients.toml"), CLIENTS.replace("ACTIVE", "CLOSED")).unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    while code(&world, "panel-token").await != "CONFLICT" {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let path = format!("{}/api/admin/registry/audit?action=denied", world.url);
    let audit = world.client.get(&path).bearer_auth("audit-token").send().await.unwrap();
    let audit: Value = audit.json().await.unwrap();
    let outcomes: Vec<&str> =
        audit["entries"].as_array().unwrap().iter().map(|entry| entry["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes[..3], ["FORBIDDEN"; 3], "{audit}");
    assert!(outcomes[3..].iter().all(|outcome| *outcome == "CONFLICT") && outcomes.len() > 3, "{audit}");
    assert!(audit["entries"][0]["client"].is_string() && audit["entries"][0]["resource_id"].is_null());
    // The audit is for auditors.
    let refused = world.client.get(&path).bearer_auth("panel-token").send().await.unwrap();
    assert_eq!(refused.status(), 403);
}
