//! What goes wrong, as callers see it. No text repeats what was sent, except names of fields in paths.

use async_graphql::Pos;
use serde::Serialize;
use serde_json::{Value, json};
use tributary_registry::number::NumberError;
use uuid::Uuid;

use crate::lookups::LookupError;

/// A failure, with the code and the message of R 5.5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// There is no valid token.
    Unauthenticated,
    /// The request cannot be read, or asks for too much.
    Malformed,
    /// A scope is missing.
    Scope(String),
    /// The client may not look anything up.
    Forbidden,
    /// The client's legal entity is not active.
    NotActive,
    /// The number is not taken.
    Input { argument: String, error: NumberError },
    /// Not now. The seconds say when it is worth to ask again.
    Unavailable { message: &'static str, retry_after: u64 },
    /// There is nothing at this address.
    NotFound,
    /// Our own fault.
    Internal,
}

/// The seconds after which lookups that are not available may be again.
const RETRY_AFTER: u64 = 1;

/// Of a server that cannot answer now.
const NOT_AVAILABLE: &str = "Lookups are not available at the moment";

impl Failure {
    /// The server cannot answer now.
    pub(super) fn unavailable(retry_after: Option<u32>) -> Self {
        Self::Unavailable { message: NOT_AVAILABLE, retry_after: retry_after.map_or(RETRY_AFTER, u64::from) }
    }

    /// The stable name, for programs.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Malformed => "BAD_REQUEST",
            Self::Scope(_) | Self::Forbidden => "FORBIDDEN",
            Self::NotActive => "CONFLICT",
            Self::Input { .. } => "UNPROCESSABLE_ENTITY",
            Self::Unavailable { .. } => "SERVICE_UNAVAILABLE",
            Self::NotFound => "NOT_FOUND",
            Self::Internal => "INTERNAL_SERVER_ERROR",
        }
    }

    fn message(&self) -> String {
        let text = match self {
            Self::Unauthenticated => "Invalid access token",
            Self::Malformed => "Malformed request",
            Self::Scope(scope) => {
                let missing = "Your scope does not allow to access this resource. Missing allowances: ";
                return format!("{missing}{scope}");
            }
            Self::Forbidden => "You don't have permission to access this resource",
            Self::NotActive => "client_id refers to legal entity that is not active",
            Self::Input { .. } => "Validation failed",
            Self::Unavailable { message, .. } => *message,
            Self::NotFound => "Not found",
            Self::Internal => "Something went wrong",
        };
        text.to_owned()
    }

    fn exception(&self) -> Option<Value> {
        match self {
            Self::Scope(scope) => Some(json!({"missingAllowances": [scope]})),
            Self::Input { argument, error } => Some(json!({"inputErrors": [{
                "message": error.message(argument),
                "options": {"rule": error.rule()},
                "path": [argument],
            }]})),
            Self::Unavailable { retry_after, .. } => Some(json!({"retryAfter": retry_after})),
            _ => None,
        }
    }
}

impl From<LookupError> for Failure {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Full { retry_after } => Self::Unavailable {
                message: "Too many lookups are pending",
                retry_after: u64::try_from(retry_after.as_millis().div_ceil(1000).max(1)).unwrap_or(u64::MAX),
            },
            LookupError::Unavailable => Self::unavailable(None),
        }
    }
}

/// A failure, and where in the document and in the answer it is.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    pub(super) path: Vec<Value>,
    pub(super) locations: Vec<Pos>,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { failure, path: Vec::new(), locations: Vec::new() }
    }
}

/// The body of every answer.
#[derive(Serialize)]
pub(super) struct Body {
    /// Absent if nothing was executed.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<async_graphql::Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ErrorBody>,
    extensions: RequestExtensions,
}

#[derive(Serialize)]
struct ErrorBody {
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    path: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    locations: Vec<Pos>,
    extensions: ErrorExtensions,
}

#[derive(Serialize)]
struct ErrorExtensions {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    exception: Option<Value>,
}

#[derive(Serialize)]
struct RequestExtensions {
    #[serde(rename = "requestId")]
    request_id: Uuid,
}

impl Body {
    /// The body of the answer to this request.
    pub(super) fn new(request_id: Uuid, data: Option<async_graphql::Value>, failed: Vec<Failed>) -> Self {
        let error = |failed: Failed| ErrorBody {
            message: failed.failure.message(),
            path: failed.path,
            locations: failed.locations,
            extensions: ErrorExtensions { code: failed.failure.code(), exception: failed.failure.exception() },
        };
        let errors = failed.into_iter().map(error).collect();
        Self { data, errors, extensions: RequestExtensions { request_id } }
    }
}
