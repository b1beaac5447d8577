//! Tokens of an issuer over HTTP, with keys that change and an issuer that becomes unavailable.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use tokio::task::JoinSet;
use tributary::http::HttpSettings;

use crate::issuer::{Issuer, Key, now};
use crate::world::{PATIENCE, World, problem, settings};

/// A world after its keys have been read.
async fn world(issuer: &Issuer) -> World {
    let world = World::open(&settings(), &issuer.auth());
    let read = async {
        while issuer.reads() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the keys are read before the first request");
    world
}

async fn status(world: &World, token: &str) -> u16 {
    world.get("/toy/who").bearer_auth(token).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_good_token_names_client_user_roles_and_scopes() {
    let (ec, rsa) = (Key::ec("ec"), Key::rsa("rsa"));
    let issuer = Issuer::start(&[&ec, &rsa]).await;
    let world = world(&issuer).await;
    for key in [&ec, &rsa] {
        let token = key.sign(&issuer.claims());
        let who: Value = world.get("/toy/who").bearer_auth(&token).send().await.unwrap().json().await.unwrap();
        let user = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6";
        assert_eq!(who, json!({"name": "bot", "roles": [true, false, true, false], "user": user}));
        problem(world.post("/toy/act").bearer_auth(&token), 403, "forbidden").await;
        let basic = world.get("/toy/who").basic_auth("hook", Some(&token)).send().await.unwrap();
        assert_eq!(basic.status(), 200);
    }
}

#[tokio::test]
async fn claims_that_are_wrong_or_absent_are_refused() {
    let key = Key::ec("a");
    let issuer = Issuer::start(&[&key]).await;
    let world = world(&issuer).await;
    let wrong = [
        ("aud", json!("other")),
        ("aud", json!(["account"])),
        ("aud", Value::Null),
        ("iss", json!("https://other.example")),
        ("iss", json!([issuer.name])),
        ("iss", Value::Null),
        ("exp", json!(now() - 60)),
        ("exp", json!("soon")),
        ("exp", Value::Null),
        ("nbf", json!(now() + 120)),
        ("azp", Value::Null),
        ("azp", json!("a\nb")),
    ];
    for (name, value) in wrong {
        let token = key.sign(&issuer.claims_with(name, value.clone()));
        let problem = problem(world.get("/toy/who").bearer_auth(&token), 401, "unauthenticated").await;
        assert!(!problem.to_string().contains(&token), "{name} {value}: {problem}");
    }
    // Clocks may differ by 30 s.
    for (name, value) in [("exp", json!(now() - 20)), ("nbf", json!(now() + 20)), ("aud", json!("tributary"))] {
        assert_eq!(status(&world, &key.sign(&issuer.claims_with(name, value))).await, 200, "{name}");
    }
}

#[tokio::test]
async fn signatures_that_prove_nothing_are_refused() {
    let key = Key::ec("a");
    let issuer = Issuer::start(&[&key]).await;
    let world = world(&issuer).await;
    let good = key.sign(&issuer.claims());
    let (head, signature) = good.rsplit_once('.').unwrap();
    let (_, payload) = head.split_once('.').unwrap();
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());

    let none = format!("{}.{payload}.", part(json!({"alg": "none", "typ": "JWT"})));
    let symmetric = {
        let jwk = serde_json::to_value(key.jwk()).unwrap();
        let header = Header { kid: Some("a".to_owned()), ..Header::new(Algorithm::HS256) };
        let public = EncodingKey::from_secret(jwk["x"].as_str().unwrap().as_bytes());
        encode(&header, &issuer.claims(), &public).unwrap()
    };
    let claims = issuer.claims_with("realm_access", json!({"roles": ["operator"]}));
    let (forged_head, _) = key.sign(&claims).rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let forged = format!("{forged_head}.{signature}");
    let stranger = Key { kid: "a".to_owned(), ..Key::ec("b") }.sign(&issuer.claims());
    let renamed = format!("{}.{payload}.{signature}", part(json!({"alg": "RS256", "kid": "a"})));
    let critical = {
        let header =
            Header { kid: Some("a".to_owned()), crit: Some(vec!["x".to_owned()]), ..Header::new(key.algorithm) };
        encode(&header, &issuer.claims(), &key.encoding).unwrap()
    };
    let cut = good[..good.len() - 4].to_owned();
    let long = format!("{}.{}.x", part(json!({"alg": "ES256"})), "A".repeat(17_000));
    let tokens = [none, symmetric, forged, stranger, renamed, critical, cut, long, "a.b.c".to_owned(), "x".to_owned()];
    for token in tokens {
        problem(world.get("/toy/who").bearer_auth(&token), 401, "unauthenticated").await;
    }
    assert_eq!(status(&world, &good).await, 200);
}

#[tokio::test]
async fn an_unknown_key_is_looked_for_at_most_once_in_ten_seconds() {
    let (old, new) = (Key::ec("old"), Key::ec("new"));
    let issuer = Issuer::start(&[&old]).await;
    let world = world(&issuer).await;
    assert_eq!(status(&world, &old.sign(&issuer.claims())).await, 200);
    issuer.publish(&[&old, &new]);
    let before = issuer.reads();
    let token = new.sign(&issuer.claims());
    let stranger = Key::ec("stranger").sign(&issuer.claims());
    // The last read of the keys is recent, so the first of these tokens cause no request to the issuer.
    for _ in 0..20 {
        assert_eq!(status(&world, &stranger).await, 401);
    }
    assert_eq!(issuer.reads(), before);
    let rotated = async {
        while status(&world, &token).await != 200 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, rotated).await.expect("the new key is found");
    assert_eq!(issuer.reads(), before + 1);
    assert_eq!(status(&world, &old.sign(&issuer.claims())).await, 200);
}

#[tokio::test]
async fn known_keys_keep_working_while_the_issuer_is_away() {
    let key = Key::ec("a");
    let issuer = Issuer::start(&[&key]).await;
    let world = world(&issuer).await;
    issuer.go_away(true);
    let token = key.sign(&issuer.claims());
    assert_eq!(status(&world, &token).await, 200);
    assert_eq!(status(&world, &Key::ec("b").sign(&issuer.claims())).await, 401);
    assert_eq!(status(&world, &token).await, 200);
}

#[tokio::test]
async fn strangers_that_wait_for_an_issuer_that_hangs_leave_places_for_known_keys() {
    let key = Key::ec("a");
    let issuer = Issuer::start(&[&key]).await;
    let settings = HttpSettings { max_requests: 100, ..settings() };
    let world = World::open(&settings, &issuer.auth());
    let token = key.sign(&issuer.claims());
    let known = async {
        while status(&world, &token).await != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, known).await.expect("the keys are read");
    issuer.hang();
    let stranger = Key::ec("b").sign(&issuer.claims());
    let mut strangers: JoinSet<_> = (0..200).map(|_| world.get("/toy/who").bearer_auth(&stranger).send()).collect();
    // Some are refused at once: those beyond the waiting ones.
    let refused = async {
        while let Some(Ok(Ok(answer))) = strangers.join_next().await {
            if answer.status() == 503 {
                return;
            }
        }
        panic!("no stranger is refused with 503");
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("the strangers beyond the limit do not wait");
    assert_eq!(status(&world, &token).await, 200);
}

#[tokio::test]
async fn a_process_starts_while_the_issuer_is_away_and_recovers() {
    let key = Key::ec("a");
    let issuer = Issuer::start(&[&key]).await;
    issuer.go_away(true);
    let world = World::open(&settings(), &issuer.auth());
    let token = key.sign(&issuer.claims());
    problem(world.get("/toy/who").bearer_auth(&token), 503, "issuer_unavailable").await;
    assert_eq!(world.status("/livez").await, 200);
    issuer.go_away(false);
    let recovered = async {
        while status(&world, &token).await != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, recovered).await.expect("the keys are read once the issuer is back");
}

#[tokio::test]
async fn the_document_of_another_issuer_is_not_believed() {
    let key = Key::ec("a");
    let issuer = Issuer::start(&[&key]).await;
    issuer.rename("http://127.0.0.1:1/realms/other");
    let world = World::open(&settings(), &issuer.auth());
    problem(world.get("/toy/who").bearer_auth(key.sign(&issuer.claims())), 503, "issuer_unavailable").await;
    assert_eq!(issuer.reads(), 0);
}
