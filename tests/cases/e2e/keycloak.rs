//! The distribution of cases with tokens of a real Keycloak, whose realm is the example in `deploy/cases`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod realm;
mod service;

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Header, decode_header};
use realm::Realm;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use service::{Answer, Folder, Service, problem};
use tokio::sync::{Mutex, MutexGuard};
use tributary_harness::Keycloak;

const CASE: &str = "6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e";

/// A token of Keycloak is for all services of its realm, and so is a change of the realm: one test at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

struct World<'a> {
    realm: Realm<'a>,
    service: Service,
    _alone: MutexGuard<'static, ()>,
}

impl<'a> World<'a> {
    async fn new(keycloak: &'a Keycloak) -> Self {
        Self::alone(keycloak, ONE_AT_A_TIME.lock().await).await
    }

    /// The world of a test that is alone already, because it has changed the realm before.
    async fn alone(keycloak: &'a Keycloak, alone: MutexGuard<'static, ()>) -> Self {
        let realm = Realm::new(keycloak);
        let issuer = realm.issuer();
        let service = Service::start(Folder::new(&format!(
            r#"
            [auth]
            mode = "oidc"
            issuer = "{issuer}"
            audience = "tributary"
            [cases.origins.esdh-a]
            client_id = "esdh-a"
            details = ["https://esdh-a.example"]
            [cases.origins.esdh-b]
            client_id = "esdh-b"
            details = ["https://esdh-b.example"]
            [cases.clients.journal-1]
            client_id = "journal-1"
            sees = ["esdh-a"]
            [cases.clients.journal-2]
            client_id = "journal-2"
            "#
        )));
        let world = Self { realm, service, _alone: alone };
        let operator = world.realm.token("operator-1").await;
        let audit = || world.get("/api/admin/cases/audit", &operator);
        let is_filled = |answer: &Answer| answer.body["entries"].as_array().is_some_and(|all| all.len() == 5);
        world.service.wait_until("the registry is filled", audit, is_filled).await;
        world
    }

    fn send(&self, method: Method, path: &str, token: &str, body: &Value) -> RequestBuilder {
        let request = self.service.request(method, path).bearer_auth(token).header("prefer", "wait=10");
        request.header("content-type", "application/json").body(body.to_string())
    }

    fn get(&self, path: &str, token: &str) -> RequestBuilder {
        self.service.request(Method::GET, path).bearer_auth(token)
    }

    fn command(&self, kind: &str, token: &str, body: &Value) -> RequestBuilder {
        self.send(Method::POST, &format!("/api/Commands/{kind}"), token, body)
    }

    async fn status(&self, path: &str, token: &str) -> u16 {
        Answer::of(self.get(path, token)).await.status
    }
}

#[tokio::test]
async fn a_case_lives_and_its_client_acknowledges_with_tokens_of_keycloak() {
    let Some(keycloak) = Keycloak::find() else { return };
    let mut world = World::new(&keycloak).await;
    let (origin, client) = (world.realm.token("esdh-a").await, world.realm.token("journal-1").await);
    let uri = "https://esdh-a.example/cases/1";
    let commands = [
        ("CreateCase", json!({"caseId": CASE, "created": "2026-11-20T10:00:00Z", "caseDetailsUri": uri})),
        ("UpdateCase", json!({"caseId": CASE, "updated": "2026-11-20T11:00:00Z"})),
        ("CloseCase", json!({"caseId": CASE})),
        ("DeleteCase", json!({"caseId": CASE})),
    ];
    for (kind, body) in commands {
        let answer = Answer::of(world.command(kind, &origin, &body)).await;
        assert_eq!((answer.status, answer.body["status"].as_str()), (200, Some("applied")), "{kind}: {}", answer.body);
    }
    let told = Answer::of(world.get("/api/Notifications?after=3&wait=30", &client)).await.body;
    assert_eq!(told["items"][0]["notificationType"], 3, "{told}");
    let told = Answer::of(world.get("/api/Notifications", &client)).await.body;
    let types: Vec<i64> =
        told["items"].as_array().unwrap().iter().map(|item| item["notificationType"].as_i64().unwrap()).collect();
    assert_eq!(types, [0, 1, 2, 3], "{told}");
    let last = json!({"position": told["items"][3]["position"]});
    let acknowledged = world.send(Method::PUT, "/api/Notifications/Acknowledged", &client, &last);
    assert_eq!(Answer::of(acknowledged).await.status, 200);
    let rest = Answer::of(world.get("/api/Notifications", &client)).await.body;
    assert_eq!(rest["items"], json!([]), "{rest}");
    let other = world.realm.token("journal-2").await;
    assert_eq!(Answer::of(world.get("/api/Notifications", &other)).await.body["items"], json!([]));
    let said = world.service.process.said();
    for token in [origin, client, other] {
        assert!(!said.contains(token.rsplit('.').next().unwrap()), "a token is in the log");
    }
}

#[tokio::test]
async fn a_good_token_is_not_enough() {
    let Some(keycloak) = Keycloak::find() else { return };
    let world = World::new(&keycloak).await;
    world.realm.add_client("elsewhere-1", "another-service").await;
    world.realm.add_client("nobody-1", "tributary").await;
    let token = |name: &'static str| world.realm.token(name);
    let (elsewhere, nobody, operator) =
        (token("elsewhere-1").await, token("nobody-1").await, token("operator-1").await);
    let (origin, client) = (token("esdh-a").await, token("journal-1").await);
    let delete = json!({"caseId": CASE});
    for path in ["/api/Cases", "/api/Notifications", &format!("/api/Commands/{CASE}"), "/api/admin/cases/grants"] {
        problem(world.get(path, &elsewhere), 401, "Unauthenticated", path).await;
    }
    for path in ["/api/Cases", &format!("/api/Cases/{CASE}"), "/api/Notifications", &format!("/api/Commands/{CASE}")] {
        problem(world.get(path, &nobody), 403, "UnknownClient", path).await;
    }
    problem(world.command("DeleteCase", &nobody, &delete), 403, "UnknownClient", "a command of nobody").await;
    problem(world.command("DeleteCase", &client, &delete), 403, "NotAnOrigin", "a command of a consumer").await;
    problem(world.get("/api/Notifications", &origin), 403, "NotAClient", "notifications of an origin").await;
    let position = json!({"position": 0});
    let acknowledge = world.send(Method::PUT, "/api/Notifications/Acknowledged", &origin, &position);
    problem(acknowledge, 403, "NotAClient", "acknowledgement of an origin").await;
    problem(world.get(&format!("/api/Commands/{CASE}"), &client), 404, "CommandNotFound", "no origin").await;

    let grant = "/api/admin/cases/grants/journal-2/esdh-a";
    for token in [&origin, &client, &nobody] {
        problem(world.get("/api/admin/cases/grants", token), 403, "Forbidden", "reading without a role").await;
        problem(world.send(Method::PUT, grant, token, &Value::Null), 403, "Forbidden", "acting without one").await;
    }
    assert_eq!(Answer::of(world.send(Method::PUT, grant, &operator, &Value::Null)).await.status, 201);
    let grants = Answer::of(world.get("/api/admin/cases/grants", &operator)).await.body;
    assert_eq!(grants["grants"].as_array().map(Vec::len), Some(2), "{grants}");
    assert_eq!(Answer::of(world.service.request(Method::GET, "/api/Canary")).await.status, 200);
}

#[tokio::test]
async fn a_token_that_proves_nothing_is_401() {
    let Some(keycloak) = Keycloak::find() else { return };
    // A test that kills Keycloak here would take a key away that it has not yet written to its disk.
    let alone = ONE_AT_A_TIME.lock().await;
    let key = Realm::new(&keycloak).rotate().await;
    let world = World::alone(&keycloak, alone).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let good = json!({"iss": world.realm.issuer(), "aud": "tributary", "azp": "journal-1", "exp": now + 300});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let rs256 = || Header::new(Algorithm::RS256);
    let sign = |claims: &Value| key.sign(rs256(), claims);
    // Clocks may differ by 30 s.
    for claims in [&good, &with("exp", json!(now - 20)), &with("nbf", json!(now + 20))] {
        assert_eq!(world.status("/api/Notifications", &sign(claims)).await, 200, "{claims}");
    }
    let without_end = {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove("exp");
        claims
    };
    let token = sign(&good);
    let (head, signature) = token.rsplit_once('.').unwrap();
    let other_claims = BASE64_URL_SAFE_NO_PAD.encode(with("azp", json!("esdh-a")).to_string());
    let no_algorithm = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let bad = [
        ("expired", sign(&with("exp", json!(now - 40)))),
        ("not yet valid", sign(&with("nbf", json!(now + 60)))),
        ("no exp", sign(&without_end)),
        ("other issuer", sign(&with("iss", json!("https://idp.example/realms/dis")))),
        ("other audience", sign(&with("aud", json!(["account"])))),
        ("alg none", format!("{no_algorithm}.{}.", head.split_once('.').unwrap().1)),
        ("symmetric", key.sign_symmetric(&good)),
        ("other claims", format!("{}.{other_claims}.{signature}", head.split_once('.').unwrap().0)),
        ("cut", token[..token.len() - 4].to_owned()),
        ("unknown key", realm::stranger().sign(rs256(), &good)),
        ("no token at all", "x".to_owned()),
    ];
    for (about, token) in &bad {
        let answer = problem(world.get("/api/Notifications", token), 401, "Unauthenticated", about).await;
        assert!(!answer.body.to_string().contains(token.as_str()), "{about}: {}", answer.body);
        let command = world.command("DeleteCase", token, &json!({"caseId": CASE}));
        problem(command, 401, "Unauthenticated", about).await;
        problem(world.get("/api/admin/cases/grants", token), 401, "Unauthenticated", about).await;
    }
    for path in ["/api/Cases", "/api/Notifications", "/api/Commands/x", "/api/admin/cases/audit"] {
        problem(world.service.request(Method::GET, path), 401, "Unauthenticated", path).await;
    }
    world.realm.remove(&key).await;
}

#[tokio::test]
async fn a_new_key_of_the_realm_is_found() {
    let Some(keycloak) = Keycloak::find() else { return };
    let world = World::new(&keycloak).await;
    let before = world.realm.token("journal-1").await;
    let key = world.realm.rotate().await;
    let after = world.realm.token("journal-1").await;
    let kids = [&before, &after].map(|token| decode_header(token).unwrap().kid);
    assert_ne!(kids[0], kids[1]);
    // The keys are read at most once in ten seconds.
    let is_good = |answer: &Answer| answer.status == 200;
    world.service.wait_until("the new key is known", || world.get("/api/Notifications", &after), is_good).await;
    assert_eq!(world.status("/api/Notifications", &before).await, 200);
    world.realm.remove(&key).await;
}

#[tokio::test]
async fn a_disabled_client_gets_no_new_token() {
    let Some(keycloak) = Keycloak::find() else { return };
    let world = World::new(&keycloak).await;
    let token = world.realm.token("journal-2").await;
    world.realm.enable("journal-2", false).await;
    let refused = world.realm.ask_for_token("journal-2").await.err();
    // The token that it has is good until it ends, because nobody asks Keycloak about it.
    let status = world.status("/api/Notifications", &token).await;
    world.realm.enable("journal-2", true).await;
    assert!(refused.is_some_and(|status| status.is_client_error()), "{refused:?}");
    assert_eq!(status, 200);
    // What ends it at once is the registry.
    let operator = world.realm.token("operator-1").await;
    let removed = world.send(Method::DELETE, "/api/admin/cases/clients/journal-2", &operator, &Value::Null);
    assert_eq!(Answer::of(removed).await.status, 204);
    problem(world.get("/api/Notifications", &token), 403, "UnknownClient", "a removed client").await;
}

#[tokio::test]
async fn known_keys_keep_working_while_keycloak_is_stopped() {
    let Some(keycloak) = Keycloak::find() else { return };
    let world = World::new(&keycloak).await;
    let token = world.realm.token("journal-1").await;
    let claims = json!({"iss": world.realm.issuer(), "aud": "tributary", "azp": "journal-1", "exp": 4_000_000_000_u64});
    let unknown = realm::stranger().sign(Header::new(Algorithm::RS256), &claims);
    let stopped = keycloak.stop();
    for _ in 0..3 {
        assert_eq!(world.status("/api/Notifications", &token).await, 200);
        problem(world.get("/api/Notifications", &unknown), 401, "Unauthenticated", "an unknown key").await;
    }
    drop(stopped);
    let again = world.realm.token("journal-1").await;
    assert_eq!(world.status("/api/Notifications", &again).await, 200);
}
