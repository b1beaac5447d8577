//! Access tokens of an OpenID Connect issuer.

mod claims;
mod issuer;

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tributary_connectors::trouble::Troubles;
use tributary_flow::http::{Caller, Problem};

use super::HttpError;
use super::settings::AuthSettings;
use crate::events;
use claims::ClaimNames;
use issuer::{Issuer, KeySet, SigningKey};

pub(super) use issuer::IssuerError;

/// Accepted signatures. Symmetric ones are refused: the issuer's public key would be their secret.
const ALGORITHMS: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// How far clocks may differ, in seconds.
const LEEWAY_SECONDS: u64 = 30;

/// The longest token that is read, in bytes.
const MAX_TOKEN: usize = 16 * 1024;

/// The shortest time between two reads of the keys.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// The shortest time between two reads while no keys are known: nobody can call, and the issuer may just be starting.
const FIRST_READ_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Callers that may wait for a read of the keys at one time. While the issuer hangs, tokens with unknown keys must not
/// take the places of callers whose keys are known.
const MAX_WAITING: usize = 64;

/// The age at which keys are read again, so that a withdrawn key does not stay in use.
const MAX_AGE: Duration = Duration::from_mins(5);

/// Checks access tokens of one issuer.
pub(super) struct Oidc {
    issuer: Issuer,
    audience: String,
    claims: ClaimNames,
    keys: RwLock<Arc<KeySet>>,
    /// The time of the last read or attempt. Locked while keys are read.
    last_attempt: tokio::sync::Mutex<Option<Instant>>,
    waiting: Semaphore,
    troubles: Mutex<Troubles>,
}

impl Oidc {
    pub(super) fn new(settings: &AuthSettings) -> Result<Self, HttpError> {
        let needed = |value: &Option<String>, entry| match value.as_deref() {
            None | Some("") => Err(HttpError::Incomplete { mode: "oidc", entry }),
            Some(value) => Ok(value.to_owned()),
        };
        let issuer = Issuer::new(needed(&settings.issuer, "issuer")?)?;
        let audience = needed(&settings.audience, "audience")?;
        let (keys, last_attempt) = (RwLock::default(), tokio::sync::Mutex::default());
        let claims = ClaimNames::new(settings);
        Ok(Self {
            issuer,
            audience,
            claims,
            keys,
            last_attempt,
            waiting: Semaphore::new(MAX_WAITING),
            troubles: Mutex::default(),
        })
    }

    /// Reads the keys before the first token arrives, so that they are known if the issuer becomes unavailable later.
    /// Retries until it succeeds.
    pub(super) async fn read_first_keys(self: Arc<Self>) {
        while self.keys().is_empty() {
            self.refresh().await;
            tokio::time::sleep(FIRST_READ_AGAIN_AFTER).await;
        }
    }

    /// The caller that this token names.
    ///
    /// # Errors
    /// 401 for a token that is not valid. 503 when the issuer's keys have never been read.
    pub(super) async fn caller(self: &Arc<Self>, token: &str) -> Result<Caller, Problem> {
        let claims = self.verified_claims(token).await?;
        self.claims.caller(&claims).map_err(refused)
    }

    async fn verified_claims(self: &Arc<Self>, token: &str) -> Result<Map<String, Value>, Problem> {
        if token.len() > MAX_TOKEN {
            return Err(refused("it is longer than 16 KiB"));
        }
        let header = decode_header(token).map_err(|_| refused("it is not a signed JWT of a known algorithm"))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(refused("its algorithm is symmetric; only asymmetric ones are accepted"));
        }
        if header.crit.is_some() {
            return Err(refused("it has critical extensions (`crit`), which are not known here"));
        }
        let key = self.key(header.kid.as_deref(), header.alg).await?;
        let validation = self.validation(header.alg);
        let decoded = decode::<Map<String, Value>>(token, &key.decoding, &validation)
            // The kind of the error names the claim, never its value.
            .map_err(|error| refused(format!("it is not valid here: {error}")))?;
        if decoded.claims.get("iss").and_then(Value::as_str) != Some(self.issuer.name()) {
            return Err(refused("it is of another issuer"));
        }
        Ok(decoded.claims)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[self.issuer.name()]);
        validation.set_audience(&[&self.audience]);
        validation
    }

    async fn key(self: &Arc<Self>, kid: Option<&str>, algorithm: Algorithm) -> Result<SigningKey, Problem> {
        let keys = self.keys();
        if let Some(key) = keys.find(kid, algorithm) {
            if keys.age() > MAX_AGE {
                self.refresh_in_background();
            }
            return Ok(key);
        }
        let Ok(_waiting) = self.waiting.try_acquire() else {
            let detail = "the token cannot be checked: too many callers wait for the keys of the issuer";
            return Err(Problem::unavailable("issuer_unavailable", detail, FIRST_READ_AGAIN_AFTER));
        };
        // The read continues if this caller goes away, because other callers need it too.
        let _ = self.refresh_in_background().await;
        let keys = self.keys();
        if keys.is_empty() {
            let detail = "the token cannot be checked: the keys of the issuer could not be read yet";
            return Err(Problem::unavailable("issuer_unavailable", detail, FIRST_READ_AGAIN_AFTER));
        }
        keys.find(kid, algorithm).ok_or_else(|| refused("its key (`kid`) is not one of the issuer's"))
    }

    fn refresh_in_background(self: &Arc<Self>) -> tokio::task::JoinHandle<()> {
        let oidc = Arc::clone(self);
        tokio::spawn(async move { oidc.refresh().await })
    }

    /// Reads the keys, unless the last attempt is too recent.
    async fn refresh(&self) {
        let mut last_attempt = self.last_attempt.lock().await;
        let pause = if self.keys().is_empty() { FIRST_READ_AGAIN_AFTER } else { READ_AGAIN_AFTER };
        if last_attempt.is_some_and(|last| last.elapsed() < pause) {
            return;
        }
        match self.issuer.read_keys().await {
            Ok(keys) => {
                events::keys_read(self.issuer.name(), keys.len());
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
                self.note(None);
            }
            Err(error) => self.note(Some(error.to_string())),
        }
        *last_attempt = Some(Instant::now());
    }

    /// Reports what has changed about reading the keys.
    fn note(&self, failure: Option<String>) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let report = match failure {
            Some(text) => troubles.note(self.issuer.name(), text, Instant::now()),
            None => troubles.end(self.issuer.name(), Instant::now()),
        };
        report.iter().for_each(events::keys_trouble);
    }

    fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn refused(reason: impl std::fmt::Display) -> Problem {
    Problem::unauthenticated(format!("the token is refused: {reason}"))
}
