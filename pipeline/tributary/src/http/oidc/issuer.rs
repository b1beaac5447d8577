//! Reads the issuer's discovery document and keys.

use std::error::Error;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use reqwest::{Client, Url, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// How long the issuer may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The largest answer of the issuer, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// The largest number of keys that are kept.
const MAX_KEYS: usize = 100;

/// Why the issuer or its answer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// The address is not one that tokens can be trusted to come from.
    #[error("{0:?} must be an address with https; http is accepted on loopback only")]
    Address(String),
    /// The HTTP client cannot be built.
    #[error("cannot make an HTTP client: {0}")]
    Client(#[source] reqwest::Error),
    /// The issuer does not answer.
    #[error("{address} does not answer: {}", innermost(source))]
    Away {
        /// The requested address.
        address: Url,
        /// The error of the client.
        source: reqwest::Error,
    },
    /// The issuer answers with an error.
    #[error("{address} answers {status}")]
    Status {
        /// The requested address.
        address: Url,
        /// The status of the answer.
        status: u16,
    },
    /// The answer is too large.
    #[error("the answer of {0} is larger than 1 MiB")]
    TooLarge(Url),
    /// The answer is not the expected document.
    #[error("the answer of {address} is not the document of OpenID Connect: {source}")]
    Document {
        /// The requested address.
        address: Url,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// The discovery document is that of another issuer.
    #[error("the discovery document of {expected} is that of {found}: set auth.issuer to exactly this text")]
    OtherIssuer {
        /// The configured issuer.
        expected: String,
        /// The issuer in the document.
        found: String,
    },
    /// The document has no key for an accepted signature.
    #[error("{0} lists no key that can be used here")]
    NoKeys(Url),
}

/// The last cause. The outer causes only repeat the address.
fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<Value>,
}

/// A key of the issuer.
#[derive(Clone)]
pub(super) struct SigningKey {
    kid: Option<String>,
    /// The only algorithm of this key. `None` if the key does not say.
    algorithm: Option<Algorithm>,
    pub(super) decoding: DecodingKey,
}

impl SigningKey {
    /// `None` for keys that do not check signatures, such as encryption keys.
    fn of(jwk: &Jwk) -> Option<Self> {
        let is_for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let named = jwk.common.key_algorithm.map(|name| name.to_string().parse::<Algorithm>());
        let algorithm = match (&jwk.algorithm, named) {
            (AlgorithmParameters::OctetKey(_) | AlgorithmParameters::Other(_), _) | (_, Some(Err(_))) => return None,
            (_, Some(Ok(named))) => Some(named),
            (AlgorithmParameters::EllipticCurve(curve), None) => Some(algorithm_of(&curve.curve)?),
            (_, None) => None,
        };
        let decoding = DecodingKey::from_jwk(jwk).ok()?;
        let fits = algorithm.is_none_or(|algorithm| algorithm.family() == decoding.family());
        (is_for_signatures && fits && decoding.family() != AlgorithmFamily::Hmac).then_some(())?;
        Some(Self { kid: jwk.common.key_id.clone(), algorithm, decoding })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithm.map_or(self.decoding.family() == algorithm.family(), |own| own == algorithm)
    }
}

fn algorithm_of(curve: &EllipticCurve) -> Option<Algorithm> {
    match curve {
        EllipticCurve::P256 => Some(Algorithm::ES256),
        EllipticCurve::P384 => Some(Algorithm::ES384),
        _ => None,
    }
}

/// The keys that the issuer published at one time.
#[derive(Default)]
pub(super) struct KeySet {
    keys: Vec<SigningKey>,
    read: Option<Instant>,
}

impl KeySet {
    fn of(keys: &[Value]) -> Self {
        // A key of an unknown kind does not prevent the use of the other keys.
        let jwks = keys.iter().filter_map(|key| serde_json::from_value::<Jwk>(key.clone()).ok());
        let keys = jwks.filter_map(|jwk| SigningKey::of(&jwk)).take(MAX_KEYS).collect();
        Self { keys, read: Some(Instant::now()) }
    }

    /// The key with this id. For a token without an id, the only key that fits.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<SigningKey> {
        let mut fitting = self.keys.iter().filter(|key| key.fits(algorithm));
        if let Some(kid) = kid {
            return fitting.find(|key| key.kid.as_deref() == Some(kid)).cloned();
        }
        let only = fitting.next()?;
        fitting.next().is_none().then(|| only.clone())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether they were read at this time or later.
    pub(super) fn were_read_since(&self, time: Timestamp) -> bool {
        let passed = Duration::try_from(Timestamp::now().duration_since(time)).unwrap_or_default();
        self.read.is_some_and(|read| read.elapsed() <= passed)
    }

    pub(super) fn age(&self) -> Duration {
        self.read.map_or(Duration::MAX, |read| read.elapsed())
    }
}

/// The issuer, over HTTP.
pub(super) struct Issuer {
    name: String,
    discovery: Url,
    client: Client,
}

impl Issuer {
    pub(super) fn new(name: String) -> Result<Self, IssuerError> {
        let address = format!("{}/.well-known/openid-configuration", name.trim_end_matches('/'));
        let discovery = trusted(&address).ok_or_else(|| IssuerError::Address(name.clone()))?;
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(TIMEOUT)
            .timeout(TIMEOUT)
            .build()
            .map_err(IssuerError::Client)?;
        Ok(Self { name, discovery, client })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) async fn read_keys(&self) -> Result<KeySet, IssuerError> {
        let discovery: Discovery = self.read(&self.discovery).await?;
        if discovery.issuer != self.name {
            return Err(IssuerError::OtherIssuer { expected: self.name.clone(), found: discovery.issuer });
        }
        let address = trusted(&discovery.jwks_uri).ok_or(IssuerError::Address(discovery.jwks_uri))?;
        let document: Keys = self.read(&address).await?;
        let keys = KeySet::of(&document.keys);
        if keys.is_empty() {
            return Err(IssuerError::NoKeys(address));
        }
        Ok(keys)
    }

    async fn read<T: DeserializeOwned>(&self, address: &Url) -> Result<T, IssuerError> {
        let away = |source| IssuerError::Away { address: address.clone(), source };
        let mut answer = self.client.get(address.clone()).send().await.map_err(away)?;
        if !answer.status().is_success() {
            return Err(IssuerError::Status { address: address.clone(), status: answer.status().as_u16() });
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(away)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(IssuerError::TooLarge(address.clone()));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|source| IssuerError::Document { address: address.clone(), source })
    }
}

/// The address, if nobody between here and the issuer can change its answers.
fn trusted(address: &str) -> Option<Url> {
    let url = Url::parse(address).ok()?;
    let is_loopback = match url.host_str()?.trim_matches(['[', ']']) {
        "localhost" => true,
        host => host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback()),
    };
    let is_trusted = url.scheme() == "https" || (url.scheme() == "http" && is_loopback);
    (is_trusted && url.username().is_empty() && url.password().is_none()).then_some(url)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

    #[test]
    fn only_keys_for_asymmetric_signatures_are_kept() {
        let keys = KeySet::of(&[
            json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "a", "use": "sig"}),
            json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "b", "use": "enc"}),
            json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "c", "alg": "ECDH-ES"}),
            json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "d", "alg": "HS256"}),
            json!({"kty": "oct", "k": "c2VjcmV0", "kid": "e", "alg": "HS256"}),
            json!({"kty": "new", "kid": "f"}),
            json!("no key"),
        ]);
        assert_eq!(keys.len(), 1);
        assert!(keys.find(Some("a"), Algorithm::ES256).is_some());
        assert!(keys.find(Some("a"), Algorithm::ES384).is_none());
        assert!(keys.find(Some("a"), Algorithm::RS256).is_none());
        assert!(keys.find(None, Algorithm::ES256).is_some());
    }

    #[test]
    fn a_token_without_key_id_is_ambiguous_with_two_keys() {
        let key = |kid: &str| json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": kid});
        assert!(KeySet::of(&[key("a"), key("b")]).find(None, Algorithm::ES256).is_none());
    }

    #[test]
    fn an_address_is_https_or_loopback() {
        for good in ["https://idp.example/realms/dis", "http://127.0.0.1:1/x", "http://localhost", "http://[::1]:8080"]
        {
            assert!(Issuer::new(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["http://idp.example", "idp.example", "https://user:pw@idp.example", "ftp://127.0.0.1", ""] {
            assert!(Issuer::new(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
