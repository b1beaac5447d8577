//! Identifies the sender of a request: by certificate, by token, or, on loopback, by a header.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tributary_flow::http::{BearerToken, Caller, Problem, Roles};

use super::HttpError;
use super::certificates::{Certificates, Subject};
use super::oidc::{Oidc, Presented};
use super::reload::{NamedFile, Reloaded};
use super::settings::{AuthMode, AuthSettings};
use super::tokens::Tokens;

/// The header that names the caller in mode `none`. Without it, the name is [`LOCAL_CLIENT`].
const CLIENT_HEADER: &str = "tributary-client";
const LOCAL_CLIENT: &str = "local";

/// The longest name in [`CLIENT_HEADER`], in bytes.
const MAX_CLIENT: usize = 200;

/// Identifies the sender of a request.
pub(super) struct Authenticator {
    mode: Mode,
    certificates: Certificates,
}

enum Mode {
    None,
    Tokens(Reloaded<Tokens>),
    Oidc(Arc<Oidc>),
}

impl Authenticator {
    pub(super) fn new(settings: &AuthSettings) -> Result<Self, HttpError> {
        let certificates = Certificates::new(&settings.certificates)?;
        let mode = match settings.mode {
            AuthMode::None => Mode::None,
            AuthMode::Oidc => Mode::Oidc(Arc::new(Oidc::new(settings)?)),
            AuthMode::Tokens => {
                let missing = HttpError::Incomplete { mode: "tokens", entry: "tokens_file" };
                let path = settings.tokens_file.clone().ok_or(missing)?;
                let parse = |contents: &[Vec<u8>]| Ok(Tokens::parse(&contents.concat())?);
                Mode::Tokens(Reloaded::load(vec![NamedFile { path, entry: "auth.tokens_file" }], Box::new(parse))?)
            }
        };
        Ok(Self { mode, certificates })
    }

    /// In mode `none` every caller may do everything, so the address must not be reachable from outside.
    pub(super) fn check_address(&self, address: SocketAddr, configured: &str) -> Result<(), HttpError> {
        if matches!(self.mode, Mode::None) && !address.ip().is_loopback() {
            return Err(HttpError::NotLoopback { address: configured.to_owned() });
        }
        Ok(())
    }

    /// Reads changed files. This call blocks.
    pub(super) fn refresh_files(&self) {
        if let Mode::Tokens(tokens) = &self.mode {
            tokens.refresh();
        }
    }

    /// Reads what the first request needs.
    pub(super) async fn prepare(&self) {
        if let Mode::Oidc(oidc) = &self.mode {
            Arc::clone(oidc).read_first_keys().await;
        }
    }

    /// The caller of a message that was sent at this time.
    async fn sender(&self, authorization: &str, sent: Timestamp) -> Result<Caller, Problem> {
        let token = token_of(authorization)?;
        match &self.mode {
            Mode::None => Err(Problem::unauthenticated("auth.mode is \"none\": no token is checked")),
            Mode::Tokens(tokens) => known_caller(&tokens.current(), &token),
            Mode::Oidc(oidc) => oidc.caller(&token, Presented::At(sent)).await,
        }
    }

    /// The caller. `None` without credentials. A certificate takes precedence over a token.
    ///
    /// # Errors
    /// 401 for wrong credentials, 503 when they cannot be checked now.
    pub(super) async fn caller(&self, headers: &HeaderMap, peer: Option<&Subject>) -> Result<Option<Caller>, Problem> {
        if let Some(caller) = peer.and_then(|subject| self.certificates.caller(subject)) {
            return Ok(Some(caller.clone()));
        }
        match &self.mode {
            Mode::None => local_caller(headers).map(Some),
            Mode::Tokens(tokens) => {
                let Some(token) = token(headers)? else { return Ok(None) };
                known_caller(&tokens.current(), &token).map(Some)
            }
            Mode::Oidc(oidc) => match token(headers)? {
                None => Ok(None),
                Some(token) => oidc.caller(&token, Presented::Now).await.map(Some),
            },
        }
    }

    /// The bearer token of an identified sender, if the token is what identifies it. In mode `none` nobody has checked
    /// it.
    pub(super) fn bearer(&self, headers: &HeaderMap, peer: Option<&Subject>) -> Option<BearerToken> {
        if matches!(self.mode, Mode::None) || peer.is_some_and(|subject| self.certificates.caller(subject).is_some()) {
            return None;
        }
        headers.get(AUTHORIZATION).and_then(BearerToken::of)
    }
}

/// Checks the credentials of messages that came over another way than this port.
pub(super) struct MessageAuthenticator {
    authenticator: Arc<Authenticator>,
    tokio: Handle,
}

impl MessageAuthenticator {
    pub(super) fn new(authenticator: &Arc<Authenticator>, tokio: &Handle) -> Self {
        Self { authenticator: Arc::clone(authenticator), tokio: tokio.clone() }
    }
}

impl tributary_flow::Authenticator for MessageAuthenticator {
    fn is_open(&self) -> bool {
        matches!(self.authenticator.mode, Mode::None)
    }

    fn caller(&self, authorization: &str, sent: Timestamp) -> Result<Caller, Problem> {
        self.tokio.block_on(self.authenticator.sender(authorization, sent))
    }
}

/// The token: a bearer token, or the password of HTTP Basic for webhooks that can send nothing else.
fn token(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::unauthenticated("the request has more than one header `Authorization`"));
    }
    token_of(value.to_str().unwrap_or_default()).map(Some)
}

/// The token in a value of `Authorization`.
fn token_of(authorization: &str) -> Result<String, Problem> {
    let wrong = || Problem::unauthenticated("the header `Authorization` must be `Bearer TOKEN` or HTTP Basic");
    let (scheme, credentials) = authorization.split_once(' ').ok_or_else(wrong)?;
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !credentials.is_empty() {
        return Ok(credentials.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(wrong());
    }
    let decoded = BASE64_STANDARD.decode(credentials).map_err(|_| wrong())?;
    let text = String::from_utf8(decoded).map_err(|_| wrong())?;
    let (_, password) = text.split_once(':').ok_or_else(wrong)?;
    Ok(password.to_owned())
}

fn known_caller(tokens: &Tokens, token: &str) -> Result<Caller, Problem> {
    tokens.caller(token).cloned().ok_or_else(|| Problem::unauthenticated("the token is not known"))
}

/// In mode `none`, anyone on this machine may call, but a browser page from another site may not.
fn local_caller(headers: &HeaderMap) -> Result<Caller, Problem> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    if !host.is_none_or(is_local) {
        return Err(Problem::forbidden("auth.mode is \"none\": only requests to a loopback name are answered"));
    }
    let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
    if !origin.is_none_or(|origin| origin.split_once("://").is_some_and(|(_, host)| is_local(host))) {
        return Err(Problem::forbidden("auth.mode is \"none\": pages of other sites are not answered"));
    }
    let name = match headers.get(CLIENT_HEADER).map(HeaderValue::to_str) {
        None => LOCAL_CLIENT,
        Some(Ok(name)) if !name.trim().is_empty() && name.len() <= MAX_CLIENT => name.trim(),
        Some(_) => return Err(Problem::unauthenticated("the header `Tributary-Client` does not name a client")),
    };
    Ok(Caller::new(name, Roles::All))
}

/// Whether `host[:port]` names this machine.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(entries: &[(&'static str, &'static str)]) -> HeaderMap {
        let entry = |(name, value): &(&'static str, &'static str)| (name.parse().unwrap(), value.parse().unwrap());
        entries.iter().map(entry).collect()
    }

    #[test]
    fn a_token_is_a_bearer_or_the_password_of_basic() {
        let token = |value| token(&headers(&[("authorization", value)]));
        assert_eq!(token("Bearer abc"), Ok(Some("abc".to_owned())));
        assert_eq!(token("bearer  abc "), Ok(Some("abc".to_owned())));
        // From: printf 'hook:a:b' | base64
        assert_eq!(token("Basic aG9vazphOmI="), Ok(Some("a:b".to_owned())));
        for wrong in ["abc", "Bearer ", "Digest x", "Basic !", "Basic YWJj"] {
            assert!(token(wrong).is_err(), "{wrong}");
        }
        assert_eq!(super::token(&HeaderMap::new()), Ok(None));
        assert!(super::token(&headers(&[("authorization", "Bearer a"), ("authorization", "Bearer b")])).is_err());
    }

    #[test]
    fn without_authentication_a_page_of_another_site_is_refused() {
        let caller = |entries: &[(&'static str, &'static str)]| local_caller(&headers(entries));
        assert_eq!(caller(&[("host", "127.0.0.1:8080")]).unwrap().name(), "local");
        assert_eq!(caller(&[("host", "[::1]:8080"), ("tributary-client", "anna")]).unwrap().name(), "anna");
        assert!(caller(&[("host", "localhost"), ("origin", "http://localhost:8080")]).is_ok());
        assert!(caller(&[("host", "evil.example:8080")]).is_err());
        assert!(caller(&[("host", "127.0.0.1.evil.example")]).is_err());
        assert!(caller(&[("host", "localhost"), ("origin", "https://evil.example")]).is_err());
        assert!(caller(&[("host", "localhost"), ("origin", "null")]).is_err());
        assert!(caller(&[("host", "localhost"), ("tributary-client", " ")]).is_err());
    }
}
