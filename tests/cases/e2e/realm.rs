//! The realm in Keycloak: tokens, and what an administrator of it does.
#![allow(unreachable_pub, reason = "a module of a test")]

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tributary_harness::Keycloak;

pub struct Realm<'a> {
    keycloak: &'a Keycloak,
    http: Client,
}

/// A key whose private half the tests know too.
pub struct Key {
    pair: KeyPair,
    pub kid: String,
    component: String,
}

impl<'a> Realm<'a> {
    pub fn new(keycloak: &'a Keycloak) -> Self {
        // Tests stop Keycloak, so a connection of before may be dead.
        let http = Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        Self { keycloak, http }
    }

    pub fn issuer(&self) -> String {
        format!("{}/realms/dis", self.keycloak.url)
    }

    /// A token by client credentials, or why there is none.
    pub async fn ask_for_token(&self, client: &str) -> Result<String, StatusCode> {
        let form =
            format!("grant_type=client_credentials&client_id={client}&client_secret=invented-secret-of-{client}");
        self.token_by("dis", form).await
    }

    pub async fn token(&self, client: &str) -> String {
        self.ask_for_token(client).await.unwrap()
    }

    async fn token_by(&self, realm: &str, form: String) -> Result<String, StatusCode> {
        let url = format!("{}/realms/{realm}/protocol/openid-connect/token", self.keycloak.url);
        let request = self.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(form);
        let response = request.send().await.unwrap();
        if !response.status().is_success() {
            return Err(response.status());
        }
        let document: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        Ok(document["access_token"].as_str().unwrap().to_owned())
    }

    /// Calls the administration of the realm. Gives the answer, or the id of what was made.
    async fn administer(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let Keycloak { url, admin, password, .. } = self.keycloak;
        let form = format!("grant_type=password&client_id=admin-cli&username={admin}&password={password}");
        let token = self.token_by("master", form).await.unwrap();
        let request = self.http.request(method, format!("{url}/admin/realms/dis{path}")).bearer_auth(token);
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        };
        let response = request.send().await.unwrap();
        let (status, location) = (response.status(), response.headers().get("location").cloned());
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        match location {
            Some(location) => location.to_str().unwrap().rsplit('/').next().unwrap().into(),
            None => serde_json::from_str(&text).unwrap_or_default(),
        }
    }

    async fn id_of(&self, client: &str) -> Option<String> {
        let found = self.administer(Method::GET, &format!("/clients?clientId={client}"), None).await;
        found[0]["id"].as_str().map(str::to_owned)
    }

    /// Adds a client as those of the realm, with a mapper for this audience.
    pub async fn add_client(&self, name: &str, audience: &str) {
        if self.id_of(name).await.is_some() {
            return;
        }
        let config = json!({"included.custom.audience": audience, "access.token.claim": "true"});
        let mapper = json!({"name": "audience", "protocol": "openid-connect",
            "protocolMapper": "oidc-audience-mapper", "config": config});
        let client = json!({"clientId": name, "secret": format!("invented-secret-of-{name}"), "publicClient": false,
            "serviceAccountsEnabled": true, "standardFlowEnabled": false, "protocolMappers": [mapper]});
        self.administer(Method::POST, "/clients", Some(client)).await;
    }

    pub async fn enable(&self, client: &str, is_enabled: bool) {
        let id = self.id_of(client).await.unwrap();
        let change = json!({"clientId": client, "enabled": is_enabled});
        self.administer(Method::PUT, &format!("/clients/{id}"), Some(change)).await;
    }

    /// Adds a key with which Keycloak signs from now on. Its other keys stay listed.
    pub async fn rotate(&self) -> Key {
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let realm = self.administer(Method::GET, "", None).await;
        // The newest key signs, also beside those that other tests have added.
        let priority = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().to_string();
        let config = json!({"priority": [priority], "enabled": ["true"], "active": ["true"], "algorithm": ["RS256"],
            "privateKey": [pair.serialize_pem()]});
        let key = json!({"name": "of the tests", "providerId": "rsa", "providerType": "org.keycloak.keys.KeyProvider",
            "parentId": realm["id"], "config": config});
        let component = self.administer(Method::POST, "/components", Some(key)).await.as_str().unwrap().to_owned();
        let listed = self.administer(Method::GET, "/keys", None).await;
        let own = listed["keys"].as_array().unwrap().iter().find(|key| key["providerId"] == component.as_str());
        let kid = own.unwrap()["kid"].as_str().unwrap().to_owned();
        Key { pair, kid, component }
    }

    /// Removes a key, so that it is no longer listed.
    pub async fn remove(&self, key: &Key) {
        self.administer(Method::DELETE, &format!("/components/{}", key.component), None).await;
    }
}

impl Key {
    /// Signs what Keycloak would not sign.
    pub fn sign(&self, header: Header, claims: &Value) -> String {
        // PKCS#8 of a key of 2048 bits has PKCS#1 after 26 bytes.
        let encoding = EncodingKey::from_rsa_der(&self.pair.serialized_der()[26..]);
        encode(&Header { kid: Some(self.kid.clone()), ..header }, claims, &encoding).unwrap()
    }

    /// An HMAC whose secret is the public key, which everybody has.
    pub fn sign_symmetric(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::HS256) };
        encode(&header, claims, &EncodingKey::from_secret(self.pair.public_key_pem().as_bytes())).unwrap()
    }
}

/// A key that Keycloak does not have.
pub fn stranger() -> Key {
    let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    Key { pair, kid: "of-a-stranger".to_owned(), component: String::new() }
}
