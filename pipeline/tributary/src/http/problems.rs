//! The last step of every answer: errors become problems with the id of the request.

use axum::body::to_bytes;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tributary_flow::http::{Correlation, FieldError, Problem, RenderFault};

/// The header that returns the id of the request.
static X_CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// The largest part of a plain text that a problem keeps, in bytes.
const MAX_TEXT: usize = 4 * 1024;

/// Adds the id of the request. Writes errors as problems, or in the form of `render`.
pub(super) async fn finish(response: Response, correlation: &Correlation, render: Option<RenderFault>) -> Response {
    let mut response = as_problem(response).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = rendered(problem.correlated(correlation.id()), &response, render);
    }
    // A header value allows all hexadecimal digits.
    if let Ok(id) = HeaderValue::from_str(correlation.id()) {
        response.headers_mut().insert(X_CORRELATION_ID.clone(), id);
    }
    let nosniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(HeaderName::from_static("x-content-type-options"), nosniff);
    response
}

fn rendered(problem: Problem, former: &Response, render: Option<RenderFault>) -> Response {
    let fault = render.and_then(|render| render(&problem));
    let mut response = fault.unwrap_or_else(|| problem.clone().into_response());
    let headers = response.headers_mut();
    // Headers such as `Allow`, `Retry-After`, and those that the handler has set.
    for (name, value) in former.headers() {
        let is_of_the_body = [CONTENT_TYPE, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name);
        if !is_of_the_body && !headers.contains_key(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
    // The log reads the problem from here, because a fault may not contain it.
    response.extensions_mut().insert(problem);
    response
}

/// Turns an error without a form into a problem, such as those of axum's extractors and bare statuses.
async fn as_problem(response: Response) -> Response {
    let status = response.status();
    if status.as_u16() < 400 || response.extensions().get::<Problem>().is_some() || !is_plain(&response) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = to_bytes(body, MAX_TEXT).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    let mut response = Response::from_parts(parts, axum::body::Body::empty());
    response.extensions_mut().insert(problem_of(status, &text));
    response
}

fn is_plain(response: &Response) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.is_none_or(|value| value.starts_with(b"text/plain"))
}

fn problem_of(status: StatusCode, text: &str) -> Problem {
    let or = |detail| if text.is_empty() { detail } else { text };
    match status {
        // A well-formed body that does not fit is also a bad request, as in all flows.
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
            Problem::bad_request(vec![FieldError::new("", or("the request is not well formed"))])
        }
        StatusCode::UNAUTHORIZED => Problem::unauthenticated(or("the request carries no good credentials")),
        StatusCode::FORBIDDEN => Problem::forbidden(or("the caller may not do this")),
        StatusCode::NOT_FOUND => Problem::not_found(or("there is nothing at this address")),
        StatusCode::METHOD_NOT_ALLOWED => {
            let detail = "this address does not know the method; the header `Allow` names those it knows";
            Problem::new(status, "method_not_allowed", detail)
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(status, "body_too_large", "the body is larger than is allowed here")
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Problem::new(status, "unsupported_media_type", or("the type of the body is not known here"))
        }
        // The text of a server error may hold anything, so it is only for the log.
        _ if status.is_server_error() => Problem::new(status, "server_error", "the request failed on the server"),
        _ => Problem::new(status, "refused", or("the request was refused")),
    }
}
