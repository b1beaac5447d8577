//! `Prefer: wait=SECONDS` (RFC 7240).

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

/// How long the caller prefers to wait for an outcome. Zero when the request does not say. The deadline of the request
/// limits it, so a handler answers before the deadline with what it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait(pub Duration);

impl<S: Sync> FromRequestParts<S> for Wait {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(Duration::from_secs(preferred_seconds(&parts.headers))))
    }
}

/// Preferences in another form are ignored, as the RFC requires.
fn preferred_seconds(headers: &HeaderMap) -> u64 {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split([',', ';']));
    let wait = |preference: &str| {
        let (name, seconds) = preference.split_once('=')?;
        let is_wait = name.trim().eq_ignore_ascii_case("wait");
        is_wait.then(|| seconds.trim().trim_matches('"').parse::<u32>().ok()).flatten()
    };
    preferences.find_map(wait).map_or(0, u64::from)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_first_wait_that_is_understood_counts() {
        let seconds = |value: &'static str| {
            preferred_seconds(&HeaderMap::from_iter([("prefer".parse().unwrap(), HeaderValue::from_static(value))]))
        };
        assert_eq!(seconds("wait=5"), 5);
        assert_eq!(seconds("respond-async, Wait = \"7\"; x"), 7);
        assert_eq!(seconds("wait=soon, wait=3"), 3);
        assert_eq!(seconds("wait=-1"), 0);
        assert_eq!(preferred_seconds(&HeaderMap::new()), 0);
    }
}
