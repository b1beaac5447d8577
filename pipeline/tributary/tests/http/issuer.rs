//! A small issuer of tokens: discovery, keys that can change, and a switch that makes it unavailable.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use tributary::http::{AuthMode, AuthSettings};

/// A signing key with its public half.
pub(crate) struct Key {
    pub(crate) kid: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) encoding: EncodingKey,
}

impl Key {
    pub(crate) fn ec(kid: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let encoding = EncodingKey::from_ec_der(key.serialized_der());
        Self { kid: kid.to_owned(), algorithm: Algorithm::ES256, encoding }
    }

    pub(crate) fn rsa(kid: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        // PKCS#8 of a key of 2048 bits contains PKCS#1 after 26 bytes.
        let encoding = EncodingKey::from_rsa_der(&key.serialized_der()[26..]);
        Self { kid: kid.to_owned(), algorithm: Algorithm::RS256, encoding }
    }

    pub(crate) fn jwk(&self) -> Jwk {
        let mut jwk = Jwk::from_encoding_key(&self.encoding, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.kid.clone());
        jwk
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(self.algorithm) };
        encode(&header, claims, &self.encoding).unwrap()
    }
}

pub(crate) struct Issuer {
    pub(crate) name: String,
    state: Arc<Published>,
}

struct Published {
    name: Mutex<String>,
    keys: Mutex<Vec<Value>>,
    reads: AtomicUsize,
    is_away: AtomicBool,
    hangs: AtomicBool,
}

impl Issuer {
    pub(crate) async fn start(keys: &[&Key]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = format!("http://{}/realms/dis", listener.local_addr().unwrap());
        let state = Arc::new(Published {
            name: Mutex::new(name.clone()),
            keys: Mutex::default(),
            reads: AtomicUsize::new(0),
            is_away: AtomicBool::new(false),
            hangs: AtomicBool::new(false),
        });
        let router = Router::new()
            .route("/realms/dis/.well-known/openid-configuration", get(discovery))
            .route("/realms/dis/certs", get(certs))
            .with_state(Arc::clone(&state));
        tokio::spawn(axum_serve(listener, router));
        let issuer = Self { name, state };
        issuer.publish(keys);
        issuer
    }

    pub(crate) fn publish(&self, keys: &[&Key]) {
        let mut published: Vec<Value> = keys.iter().map(|key| serde_json::to_value(key.jwk()).unwrap()).collect();
        // Keycloak also publishes an encryption key.
        published.push(json!({"kid": "enc", "kty": "RSA", "alg": "RSA-OAEP", "use": "enc", "n": "AQAB", "e": "AQAB"}));
        *self.state.keys.lock().unwrap() = published;
    }

    pub(crate) fn go_away(&self, is_away: bool) {
        self.state.is_away.store(is_away, Ordering::Relaxed);
    }

    /// Accepts requests from now on and never answers them.
    pub(crate) fn hang(&self) {
        self.state.hangs.store(true, Ordering::Relaxed);
    }

    pub(crate) fn rename(&self, name: &str) {
        name.clone_into(&mut self.state.name.lock().unwrap());
    }

    /// The number of requests for the keys.
    pub(crate) fn reads(&self) -> usize {
        self.state.reads.load(Ordering::Relaxed)
    }

    pub(crate) fn auth(&self) -> AuthSettings {
        AuthSettings {
            mode: AuthMode::Oidc,
            issuer: Some(self.name.clone()),
            audience: Some("tributary".to_owned()),
            ..AuthSettings::default()
        }
    }

    /// Valid claims in the form of Keycloak.
    pub(crate) fn claims(&self) -> Value {
        json!({
            "iss": self.name, "aud": ["tributary", "account"], "exp": now() + 300, "iat": now(), "typ": "Bearer",
            "azp": "bot", "sub": "f81d4fae-7dec-41d0-a765-00a0c91e6bf6",
            "realm_access": {"roles": ["viewer", "offline_access"]}, "scope": "openid data",
        })
    }

    /// Valid claims except for one.
    pub(crate) fn claims_with(&self, name: &str, value: Value) -> Value {
        let mut claims = self.claims();
        claims[name] = value;
        claims
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

async fn discovery(State(state): State<Arc<Published>>) -> Result<Json<Value>, StatusCode> {
    if state.hangs.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
    let name = state.name.lock().unwrap().clone();
    let jwks_uri = format!("{name}/certs");
    let algorithms = json!(["RS256", "HS256"]);
    let document = json!({"issuer": name, "jwks_uri": jwks_uri, "id_token_signing_alg_values_supported": algorithms});
    if state.is_away.load(Ordering::Relaxed) { Err(StatusCode::BAD_GATEWAY) } else { Ok(Json(document)) }
}

async fn certs(State(state): State<Arc<Published>>) -> Json<Value> {
    state.reads.fetch_add(1, Ordering::Relaxed);
    Json(json!({"keys": *state.keys.lock().unwrap()}))
}

/// Serves without those features of axum that the program does not use.
async fn axum_serve(listener: tokio::net::TcpListener, router: Router) {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use hyper_util::service::TowerToHyperService;
    while let Ok((stream, _)) = listener.accept().await {
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
