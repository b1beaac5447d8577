//! The age of an answer that comes from a view.

use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponseParts, ResponseParts};
use jiff::Timestamp;

/// The header `X-As-Of`: RFC 3339, UTC, milliseconds.
static X_AS_OF: HeaderName = HeaderName::from_static("x-as-of");

/// The time up to which the view is complete: the log time of its oldest partition. It is part of an answer:
/// `(AsOf(time), Json(list))`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AsOf(pub Timestamp);

impl IntoResponseParts for AsOf {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Self::Error> {
        // A time has only characters that a header value allows.
        if let Ok(value) = HeaderValue::from_str(&format!("{:.3}", self.0)) {
            response.headers_mut().insert(X_AS_OF.clone(), value);
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    #[test]
    fn the_time_is_written_in_utc_with_milliseconds() {
        let response = (AsOf(Timestamp::from_millisecond(1_700_000_000_000).unwrap()), "x").into_response();
        assert_eq!(response.headers()["X-As-Of"], "2023-11-14T22:13:20.000Z");
    }
}
