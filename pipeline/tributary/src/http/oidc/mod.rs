//! Access tokens of an OpenID Connect issuer.

mod claims;
mod issuer;

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
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

/// When a token was presented.
#[derive(Debug, Clone, Copy)]
pub(super) enum Presented {
    /// With a request that waits for an answer.
    Now,
    /// With a message that was sent at this time.
    At(Timestamp),
}

impl Presented {
    /// No message was sent later than now, whatever clock says so.
    fn until_now(self) -> Self {
        match self {
            Self::Now => Self::Now,
            Self::At(time) => Self::At(time.min(Timestamp::now())),
        }
    }
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
    /// 401 for a token that is not valid. 503 when the issuer's keys have never been read, or, if it was presented
    /// earlier, when its key is not known and the keys could not be read since then.
    pub(super) async fn caller(self: &Arc<Self>, token: &str, presented: Presented) -> Result<Caller, Problem> {
        let presented = presented.until_now();
        let claims = self.verified_claims(token, presented).await?;
        self.claims.caller(&claims).map_err(refused)
    }

    async fn verified_claims(
        self: &Arc<Self>,
        token: &str,
        presented: Presented,
    ) -> Result<Map<String, Value>, Problem> {
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
        let key = self.key(header.kid.as_deref(), header.alg, presented).await?;
        let validation = self.validation(header.alg, presented);
        let decoded = decode::<Map<String, Value>>(token, &key.decoding, &validation)
            // The kind of the error names the claim, never its value.
            .map_err(|error| refused(format!("it is not valid here: {error}")))?;
        if decoded.claims.get("iss").and_then(Value::as_str) != Some(self.issuer.name()) {
            return Err(refused("it is of another issuer"));
        }
        if let Presented::At(time) = presented {
            check_times(&decoded.claims, time)?;
        }
        Ok(decoded.claims)
    }

    fn validation(&self, algorithm: Algorithm, presented: Presented) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_SECONDS;
        // The library compares with the time of now only.
        let is_now = matches!(presented, Presented::Now);
        validation.validate_exp = is_now;
        validation.validate_nbf = is_now;
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[self.issuer.name()]);
        validation.set_audience(&[&self.audience]);
        validation
    }

    async fn key(
        self: &Arc<Self>,
        kid: Option<&str>,
        algorithm: Algorithm,
        presented: Presented,
    ) -> Result<SigningKey, Problem> {
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
        if let Some(key) = keys.find(kid, algorithm) {
            return Ok(key);
        }
        // The issuer may have a newer key. Who waits for an answer asks again; a message has to be tried again.
        if let Presented::At(time) = presented
            && !keys.were_read_since(time)
        {
            let detail = "the token cannot be checked: its key (`kid`) is not known, and the keys of the issuer could \
                          not be read since it was sent";
            return Err(Problem::unavailable("issuer_unavailable", detail, READ_AGAIN_AFTER));
        }
        Err(refused("its key (`kid`) is not one of the issuer's"))
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

/// Whether the token was valid at this time.
fn check_times(claims: &Map<String, Value>, time: Timestamp) -> Result<(), Problem> {
    let seconds = time.as_second() as f64;
    let leeway = LEEWAY_SECONDS as f64;
    let number = |claim: &str| claims.get(claim).map(|value| value.as_f64().filter(|number| number.is_finite()));
    match number("exp") {
        Some(Some(expires)) if expires >= seconds - leeway => {}
        Some(Some(_)) => return Err(refused("it had expired when it was sent")),
        _ => return Err(refused("it has no time `exp`")),
    }
    match number("nbf") {
        None => Ok(()),
        Some(Some(begins)) if begins <= seconds + leeway => Ok(()),
        Some(Some(_)) => Err(refused("it was not yet valid when it was sent")),
        Some(None) => Err(refused("its `nbf` is no time")),
    }
}

fn refused(reason: impl std::fmt::Display) -> Problem {
    Problem::unauthenticated(format!("the token is refused: {reason}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_has_the_token_that_was_valid_when_it_was_sent() {
        let sent = Timestamp::from_second(1_800_000_000).unwrap();
        let check = |claims: Value| check_times(claims.as_object().unwrap(), sent);
        assert_eq!(check(json!({"exp": 1_799_999_970, "nbf": 1_800_000_030.0})), Ok(()));
        for wrong in [
            json!({}),
            json!({"exp": "1900000000"}),
            json!({"exp": 1_799_999_969}),
            json!({"exp": 1_900_000_000, "nbf": 1_800_000_031}),
            json!({"exp": 1_900_000_000, "nbf": "now"}),
        ] {
            assert!(check(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_message_was_sent_later_than_now() {
        let later = Timestamp::MAX;
        assert!(matches!(Presented::At(later).until_now(), Presented::At(time) if time < later));
    }
}
