//! Callers that name themselves on loopback, and callers with tokens from a file.

use std::fs;
use std::path::Path;
use std::time::Duration;

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tributary::http::{AuthMode, AuthSettings};
use tributary_flow::http::user_id;

use crate::world::{PATIENCE, World, bind, problem, settings};

fn line(name: &str, roles: &str, token: &str) -> String {
    let mut line = format!("{name} {roles} ");
    for byte in Sha256::digest(token.as_bytes()) {
        line += &format!("{byte:02x}");
    }
    line + "\n"
}

fn with_tokens(file: &Path) -> AuthSettings {
    AuthSettings { mode: AuthMode::Tokens, tokens_file: Some(file.to_owned()), ..AuthSettings::default() }
}

#[tokio::test]
async fn on_loopback_a_caller_is_who_it_says_and_may_everything() {
    let world = World::plain();
    let who: Value = world.get("/toy/who").send().await.unwrap().json().await.unwrap();
    assert_eq!((&who["name"], &who["roles"]), (&json!("local"), &json!([true, true, true, true])));
    let named = world.get("/toy/who").header("Tributary-Client", "anna").send().await.unwrap();
    assert_eq!(named.json::<Value>().await.unwrap()["name"], "anna");
    problem(world.get("/toy/who").header("Origin", "https://evil.example"), 403, "forbidden").await;
    problem(world.get("/toy/who").header("Host", "evil.example"), 403, "forbidden").await;
}

#[tokio::test]
async fn a_token_names_its_caller_and_roles() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.txt");
    fs::write(&file, line("anna", "viewer", "a") + &line("bot", "operator,data", "b") + &line("nobody", "-", "n"))
        .unwrap();
    let world = World::open(&settings(), &with_tokens(&file));

    let who: Value = world.get("/toy/who").bearer_auth("b").send().await.unwrap().json().await.unwrap();
    let expected = json!({"name": "bot", "roles": [true, true, true, false], "user": user_id("bot").to_string()});
    assert_eq!(who, expected);
    let basic = world.get("/toy/who").basic_auth("anybody", Some("a")).send().await.unwrap();
    assert_eq!(basic.json::<Value>().await.unwrap()["name"], "anna");

    assert_eq!(world.post("/toy/act").bearer_auth("b").send().await.unwrap().status(), 200);
    problem(world.post("/toy/act").bearer_auth("a"), 403, "forbidden").await;
    problem(world.get("/api/admin/flows").bearer_auth("n"), 403, "forbidden").await;
    problem(world.get("/api/admin/flows"), 401, "unauthenticated").await;
    problem(world.get("/metrics"), 401, "unauthenticated").await;
    problem(world.get("/toy/who").bearer_auth("c"), 401, "unauthenticated").await;
    problem(world.get("/toy/who").header("Authorization", "Digest x"), 401, "unauthenticated").await;
    // In this mode, the header of mode `none` has no effect.
    problem(world.get("/toy/who").header("Tributary-Client", "anna"), 401, "unauthenticated").await;
    problem(world.post("/soap"), 401, "unauthenticated").await;

    for open in ["/livez", "/readyz", "/startupz", "/openapi.json", "/swagger", "/toy/canary"] {
        assert_eq!(world.status(open).await, 200, "{open}");
    }
    assert_eq!(world.get("/livez").bearer_auth("c").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_handler_receives_a_bearer_token_only_if_it_was_checked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.txt");
    fs::write(&file, line("anna", "viewer", "a")).unwrap();
    let (with_tokens, without) = (World::open(&settings(), &with_tokens(&file)), World::plain());
    let received = async |request: RequestBuilder| request.send().await.unwrap().text().await.unwrap();
    assert_eq!(received(with_tokens.get("/toy/token").bearer_auth("a")).await, "Bearer a");
    assert_eq!(received(with_tokens.get("/toy/token").basic_auth("anna", Some("a"))).await, "");
    assert_eq!(received(without.get("/toy/token").bearer_auth("a")).await, "");
}

#[tokio::test]
async fn tokens_are_read_again_and_a_broken_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.txt");
    fs::write(&file, line("anna", "viewer", "a")).unwrap();
    let world = World::open(&settings(), &with_tokens(&file));
    let becomes = async |token: &str, status: u16| {
        let change = async {
            while world.get("/toy/who").bearer_auth(token).send().await.unwrap().status() != status {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, change).await.expect("the file was read again");
    };
    becomes("a", 200).await;
    fs::write(&file, "broken").unwrap();
    // The pause is longer than the interval between two checks of the file. The file must have no effect.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    becomes("a", 200).await;
    fs::write(&file, line("bot", "viewer", "b")).unwrap();
    becomes("b", 200).await;
    becomes("a", 401).await;
}

#[tokio::test]
async fn a_file_of_tokens_that_is_wrong_or_absent_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.txt");
    let refusal = || bind("0.0.0.0:0", &settings(), &with_tokens(&file)).err().unwrap().to_string();
    assert!(refusal().contains("tokens.txt"), "{}", refusal());
    fs::write(&file, "anna viewer secret\n").unwrap();
    assert!(refusal().contains("line 1") && !refusal().contains("secret"), "{}", refusal());
    fs::write(&file, line("anna", "viewer", "a")).unwrap();
    assert!(bind("0.0.0.0:0", &settings(), &with_tokens(&file)).is_ok());
}
