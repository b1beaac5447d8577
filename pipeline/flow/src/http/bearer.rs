//! The token of a request, for handlers that call another system in the name of their caller.

use std::fmt;

use axum::http::HeaderValue;

/// The bearer token by which the server has identified the caller. The server puts it into the request. There is none
/// without authentication, and none for callers with a certificate or HTTP Basic.
#[derive(Clone)]
pub struct BearerToken(HeaderValue);

impl BearerToken {
    /// The token of an `Authorization` header. `None` if the header has another scheme.
    pub fn of(authorization: &HeaderValue) -> Option<Self> {
        let (scheme, token) = authorization.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }

    /// The value of an `Authorization` header. Its debug form hides the token.
    pub fn authorization(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("BearerToken(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_is_one_and_it_is_not_shown() {
        let of = |text: &'static str| BearerToken::of(&HeaderValue::from_static(text));
        let token = of("bearer  abc").unwrap();
        assert_eq!(token.authorization(), "Bearer abc");
        let shown = format!("{token:?} {:?}", token.authorization());
        assert!(!shown.contains("abc"), "{shown}");
        assert!(of("Basic YTpi").is_none() && of("abc").is_none());
    }
}
