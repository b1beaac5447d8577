//! The problems of this flow, under the names that its callers know.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::time::Duration;
use tributary_flow::http::{Caller, FieldError, Problem, RenderFault};

/// 403: a good token of nobody in the registry.
pub(crate) fn unknown_client(caller: &Caller) -> Problem {
    forbidden(
        "UnknownClient",
        format!("the registry has no origin system and no client with the client id {}", caller.name()),
    )
}

/// 403: a command of a consumer.
pub(crate) fn not_an_origin(caller: &Caller) -> Problem {
    forbidden("NotAnOrigin", format!("{} is no origin system, and only those send commands", caller.name()))
}

/// 403: notifications for an origin system.
pub(crate) fn not_a_client(caller: &Caller) -> Problem {
    forbidden("NotAClient", format!("{} is no client, and only those have notifications", caller.name()))
}

/// 404: no such case, or none that the caller may see.
pub(crate) fn case_not_found(id: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "CaseNotFound", format!("there is no case {id}"))
}

/// 400: a parameter that is wrong.
pub(crate) fn invalid_query(field: &str, reason: impl Into<String>) -> Problem {
    Problem::invalid("InvalidQuery", vec![FieldError::new(field, reason)])
}

fn forbidden(code: &'static str, detail: String) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, code, detail)
}

/// Writes the problems of the server under the names of this flow.
pub(crate) const COMMANDS: RenderFault = |problem| renamed(problem, "InvalidCommand");

/// As [`COMMANDS`], for paths whose bad requests are wrong queries.
pub(crate) const QUERIES: RenderFault = |problem| renamed(problem, "InvalidQuery");

fn renamed(problem: &Problem, bad_request: &'static str) -> Option<Response> {
    let code = match problem.code() {
        "bad_request" => bad_request,
        "unauthenticated" => "Unauthenticated",
        "forbidden" => "Forbidden",
        "not_found" => "NotFound",
        "method_not_allowed" => "MethodNotAllowed",
        "body_too_large" => "TooLarge",
        "unsupported_media_type" => "UnsupportedMediaType",
        "refused" => "Refused",
        "overloaded" => "Overloaded",
        "issuer_unavailable" => "IssuerUnavailable",
        "deadline_exceeded" => "DeadlineExceeded",
        "panic" | "server_error" => "ServerError",
        _ => return None,
    };
    let mut named = match problem.status() {
        StatusCode::BAD_REQUEST => Problem::invalid(code, problem.errors().to_vec()),
        status => Problem::new(status, code, problem.detail()),
    };
    if let Some(id) = problem.correlation_id() {
        named = named.correlated(id);
    }
    if let Some(seconds) = problem.retry_after_seconds() {
        named = named.retry_after(Duration::from_secs(u64::from(seconds)));
    }
    Some(named.into_response())
}
