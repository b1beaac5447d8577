//! Reads the caller from the claims of a token.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tributary_flow::http::{Caller, Roles, user_id};

use crate::http::settings::AuthSettings;

/// The longest name of a client, in bytes.
const MAX_NAME: usize = 200;

/// The names of the claims.
#[derive(Debug)]
pub(super) struct ClaimNames {
    client: String,
    roles: String,
    scopes: String,
    user: String,
}

impl ClaimNames {
    pub(super) fn new(settings: &AuthSettings) -> Self {
        Self {
            client: settings.client_claim.clone(),
            roles: settings.roles_claim.clone(),
            scopes: settings.scopes_claim.clone(),
            user: settings.user_claim.clone(),
        }
    }

    /// The caller, or why the claims do not name one.
    pub(super) fn caller(&self, claims: &Map<String, Value>) -> Result<Caller, String> {
        let name = find(claims, &self.client).and_then(Value::as_str).filter(|name| is_name(name));
        let name = name.ok_or_else(|| format!("its claim {} does not name the client", self.client))?;
        let mut roles = BTreeSet::new();
        for claim in [&self.roles, &self.scopes] {
            roles.extend(find(claims, claim).into_iter().flat_map(words).map(str::to_owned));
        }
        let mut caller = Caller::new(name, Roles::Named(roles));
        if let Some(expires) = claims.get("exp").and_then(seconds) {
            caller = caller.until(expires);
        }
        let user = find(claims, &self.user).and_then(Value::as_str).filter(|user| !user.is_empty());
        Ok(match user {
            Some(user) => caller.for_user(user_id(user)),
            None => caller,
        })
    }
}

/// The claim of exactly this name, which may have dots, or else the claim at this path.
fn find<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let mut parts = path.split('.');
    let first = claims.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}

/// A time in seconds since 1970, which may have a fraction (RFC 7519).
fn seconds(value: &Value) -> Option<Timestamp> {
    Timestamp::from_second(value.as_f64()? as i64).ok()
}

/// The words of a text, or the texts of a list.
fn words(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => text.split_whitespace().collect(),
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Names appear in logs and records, so control characters and long names are refused.
fn is_name(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= MAX_NAME && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tributary_flow::http::Role;

    use super::*;

    fn caller(claims: &Value) -> Result<Caller, String> {
        ClaimNames::new(&AuthSettings::default()).caller(claims.as_object().unwrap())
    }

    #[test]
    fn roles_and_scopes_count_together() {
        let claims = json!({"azp": "bot", "realm_access": {"roles": ["operator"]}, "scope": "openid data"});
        let bot = caller(&claims).unwrap();
        assert_eq!(bot.name(), "bot");
        assert!(bot.has(Role::OPERATOR) && bot.has(Role::VIEWER) && bot.has(Role::DATA) && !bot.has(Role::AUDITOR));
        let listed = caller(&json!({"azp": "bot", "scope": ["auditor"], "realm_access": "no map"})).unwrap();
        assert!(listed.has(Role::AUDITOR) && !listed.has(Role::VIEWER));
    }

    #[test]
    fn a_caller_is_known_until_its_token_expires() {
        let expires = |claims| caller(&claims).unwrap().expires().map(Timestamp::as_second);
        assert_eq!(expires(json!({"azp": "bot", "exp": 1_800_000_000})), Some(1_800_000_000));
        assert_eq!(expires(json!({"azp": "bot", "exp": 1_800_000_000.9})), Some(1_800_000_000));
        assert_eq!(expires(json!({"azp": "bot"})), None);
    }

    #[test]
    fn a_claim_may_have_dots_in_its_name() {
        let settings = AuthSettings { roles_claim: "https://x.example/roles".to_owned(), ..AuthSettings::default() };
        let claims = json!({"azp": "bot", "https://x.example/roles": ["viewer"]});
        assert!(ClaimNames::new(&settings).caller(claims.as_object().unwrap()).unwrap().has(Role::VIEWER));
    }

    #[test]
    fn the_client_must_be_named_and_the_user_has_an_id() {
        for claims in [json!({}), json!({"azp": 7}), json!({"azp": ""}), json!({"azp": "a\nb"}), json!({"azp": " "})] {
            assert!(caller(&claims).is_err(), "{claims}");
        }
        let id = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6";
        assert_eq!(caller(&json!({"azp": "bot", "sub": id})).unwrap().user_id().to_string(), id);
        assert_eq!(caller(&json!({"azp": "bot", "sub": "anna"})).unwrap().user_id(), user_id("anna"));
        assert_eq!(caller(&json!({"azp": "bot"})).unwrap().user_id(), user_id("bot"));
    }
}
