//! Errors as `application/problem+json` (RFC 9457).

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// The seconds that a caller waits before a retry if the problem names no time.
const RETRY_AFTER_DEFAULT: u32 = 1;

/// The answer to a failed request. Many functions return it as their error, so it is small.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// The URI of this kind of problem: `urn:tributary:problem:` and the code.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: Box<str>,
    /// The reason phrase of the status.
    #[schema(value_type = String)]
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What happened, to what, why, and what to do.
    #[schema(value_type = String)]
    detail: Box<str>,
    /// The stable name of this kind of problem, for programs.
    #[schema(value_type = String)]
    code: &'static str,
    /// The id of this request in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    correlation_id: Option<Box<str>>,
    /// The entries that were refused. Present with status 400.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<FieldError>>,
    /// The value of `Retry-After`, in seconds.
    #[serde(skip)]
    retry_after: Option<u32>,
}

/// One refused entry of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The entry: a path in the body (`notes[0].text`) or the name of a parameter. Empty for the whole request.
    pub field: String,
    /// Why it was refused.
    pub reason: String,
}

impl FieldError {
    /// A refused entry and the reason.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

impl Problem {
    /// A problem with a status, a stable code in snake case, and a text for people.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:tributary:problem:{code}").into(),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into().into(),
            code,
            correlation_id: None,
            errors: (status == StatusCode::BAD_REQUEST).then(Vec::new),
            retry_after: None,
        }
    }

    /// 400, with the wrong entries.
    pub fn bad_request(errors: Vec<FieldError>) -> Self {
        Self::invalid("bad_request", errors)
    }

    /// 400 under the stable name of a flow, with the wrong entries.
    pub fn invalid(code: &'static str, errors: Vec<FieldError>) -> Self {
        let list: Vec<String> = errors
            .iter()
            .map(|error| match error.field.as_str() {
                "" => error.reason.clone(),
                field => format!("{field}: {}", error.reason),
            })
            .collect();
        let mut problem = Self::new(StatusCode::BAD_REQUEST, code, list.join("; "));
        problem.errors = Some(errors);
        problem
    }

    /// 401: missing or wrong credentials.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    }

    /// 403: the caller is known but lacks a role.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 404: there is no such resource.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// 503: not possible now. `retry_after` is rounded up to seconds.
    pub fn unavailable(code: &'static str, detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(retry_after)
    }

    /// Sets when the caller may retry, rounded up to seconds.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        let seconds = after.as_millis().div_ceil(1000).max(1);
        self.retry_after = Some(u32::try_from(seconds).unwrap_or(u32::MAX));
        self
    }

    /// Sets the id of this request in the server's log.
    #[must_use]
    pub fn correlated(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into().into());
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The stable name, for programs.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The text for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The id of this request in the server's log. `None` until the server has set it.
    pub fn correlation_id(&self) -> Option<&str> {
        self.correlation_id.as_deref()
    }

    /// The entries that were refused.
    pub fn errors(&self) -> &[FieldError] {
        self.errors.as_deref().unwrap_or_default()
    }

    /// The seconds of `Retry-After`: as set, and at least 1 for 429 and 503.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        let is_busy = matches!(self.status, 429 | 503);
        self.retry_after.or(is_busy.then_some(RETRY_AFTER_DEFAULT))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == 401 {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_seconds() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        // The server adds the correlation id, and may write the problem in the form of the flow's protocol.
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_carries_the_members_of_rfc_9457_and_ours() {
        let problem = Problem::bad_request(vec![FieldError::new("limit", "is not a number")]).correlated("abc");
        let json: serde_json::Value = serde_json::to_value(&problem).unwrap();
        let expected = serde_json::json!({
            "type": "urn:tributary:problem:bad_request", "title": "Bad Request", "status": 400,
            "detail": "limit: is not a number", "code": "bad_request", "correlation_id": "abc",
            "errors": [{"field": "limit", "reason": "is not a number"}],
        });
        assert_eq!(json, expected);
        let not_found = serde_json::to_value(Problem::not_found("no case 7")).unwrap();
        assert_eq!(not_found.get("errors"), None);
    }

    #[test]
    fn headers_say_how_to_authenticate_and_when_to_come_back() {
        let response = Problem::unauthenticated("no token").into_response();
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let busy = Problem::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", "the queue is full").into_response();
        assert_eq!(busy.headers()[RETRY_AFTER], "1");
        let away = Problem::unavailable("away", "TCS is away", Duration::from_millis(2_500)).into_response();
        assert_eq!(away.headers()[RETRY_AFTER], "3");
        assert_eq!(Problem::not_found("").into_response().headers().get(RETRY_AFTER), None);
    }
}
