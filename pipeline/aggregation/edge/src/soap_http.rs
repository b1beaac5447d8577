//! SOAP 1.1 over HTTP, as this flow serves it: what a request must be, and how answers and faults look.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HOST, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tributary_aggregation::cache_flow::Asked;
use tributary_aggregation::caller::{CORRELATION, Header};
use tributary_aggregation::response_list::ContentType;
use tributary_aggregation::soap::{self, Fault, FaultCode};
use tributary_flow::http::{Problem, Scheme};

/// The content type of SOAP 1.1, without its charset.
const SOAP: &str = "text/xml";

/// The content type of SOAP 1.2.
const SOAP_1_2: &str = "application/soap+xml";

/// When to ask again, in seconds, while too many questions are under way.
const RETRY_SECONDS: u32 = 1;

/// How long a request may take to come whole. A caller that stalls must not keep its place.
const PATIENCE: Duration = Duration::from_secs(5);

/// A SOAP request. One that is none is answered with a fault: 415 for what is no XML or packed, 413 for what is too
/// large.
pub(crate) struct SoapRequest(pub(crate) Asked);

impl<S: Send + Sync> FromRequest<S> for SoapRequest {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let headers = request.headers().clone();
        let correlation = correlation_of(&headers);
        let refused = |status, code, text: String| fault(status, &Fault::new(code, text), correlation.as_deref());
        let charset = check_content(&headers).map_err(|(status, text)| refused(status, FaultCode::Client, text))?;
        let body = tokio::time::timeout(PATIENCE, Bytes::from_request(request, state)).await.map_err(|_| {
            let text = format!("The request did not come within {} s.", PATIENCE.as_secs());
            refused(StatusCode::REQUEST_TIMEOUT, FaultCode::Client, text)
        })?;
        let body = body.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let text = "The request is larger than is taken.".to_owned();
                refused(StatusCode::PAYLOAD_TOO_LARGE, FaultCode::Client, text)
            }
            _ => refused(StatusCode::BAD_REQUEST, FaultCode::Client, "The request ends too early.".to_owned()),
        })?;
        let value = |name: &str| headers.get(name).and_then(text_of);
        Ok(Self(Asked { soap_action: value("soapaction"), charset, body: body.into(), headers: all(&headers) }))
    }
}

/// The charset of the content type. A request without a content type is taken for SOAP 1.1.
fn check_content(headers: &HeaderMap) -> Result<Option<String>, (StatusCode, String)> {
    let unsupported = |text: String| Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    let encoding = headers.get(CONTENT_ENCODING).and_then(text_of).unwrap_or_default();
    if !matches!(encoding.trim(), "" | "identity") {
        return unsupported("A packed request is not taken: send it without Content-Encoding.".to_owned());
    }
    let Some(content_type) = headers.get(CONTENT_TYPE).and_then(text_of) else { return Ok(None) };
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == SOAP_1_2 {
        // The services are of SOAP 1.1: for their callers this is a message that cannot be read.
        let text = "A request of SOAP 1.2 is not taken: send SOAP 1.1 as text/xml.".to_owned();
        return Err((StatusCode::INTERNAL_SERVER_ERROR, text));
    }
    if essence != SOAP {
        return unsupported(format!("The Content-Type must be {SOAP}."));
    }
    Ok(ContentType::read(&content_type).charset)
}

fn all(headers: &HeaderMap) -> Vec<Header> {
    headers.iter().filter_map(|(name, value)| Some((name.as_str().to_owned(), text_of(value)?))).collect()
}

fn text_of(value: &HeaderValue) -> Option<String> {
    str::from_utf8(value.as_bytes()).ok().map(str::to_owned)
}

/// The correlation id of a request, if it has one.
pub(crate) fn correlation_of(headers: &HeaderMap) -> Option<String> {
    headers.get(CORRELATION).and_then(text_of)
}

/// A message as an answer. The correlation id of the request goes back with it.
pub(crate) fn answer(status: StatusCode, body: impl Into<Body>, correlation: Option<&str>) -> Response {
    let mut response = (status, [(CONTENT_TYPE, soap::CONTENT_TYPE)], body.into()).into_response();
    if let Some(value) = correlation.and_then(|id| HeaderValue::from_bytes(id.as_bytes()).ok()) {
        response.headers_mut().insert(CORRELATION, value);
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS.into());
    }
    response
}

/// A fault as an answer.
pub(crate) fn fault(status: StatusCode, fault: &Fault, correlation: Option<&str>) -> Response {
    answer(status, fault.write(), correlation)
}

/// A problem of a request whose message was right, such as a log that does not take it, as a fault.
pub(crate) fn problem(problem: &Problem, correlation: Option<&str>) -> Response {
    let code = if problem.status().is_client_error() { FaultCode::Client } else { FaultCode::Server };
    let mut response = fault(problem.status(), &Fault::new(code, problem.detail()), correlation);
    if let Some(seconds) = problem.retry_after_seconds() {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// Writes the problems of the server as faults. 401 and 403 keep their form, and so do paths and methods that are not
/// there: whoever asks for them is no SOAP client.
pub(crate) fn render(found: &Problem) -> Option<Response> {
    let keeps_form =
        [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED];
    (!keeps_form.contains(&found.status())).then(|| problem(found, None))
}

/// What a GET of a service asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Described {
    /// `?wsdl`
    Wsdl,
    /// `?xsd=NAME`
    Schema(String),
}

impl Described {
    /// `None` if the query asks for neither.
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        let query = uri.query().unwrap_or_default();
        let (name, value) = query.split('&').next().unwrap_or_default().split_once('=').unwrap_or((query, ""));
        match name.to_ascii_lowercase().as_str() {
            "wsdl" => Some(Self::Wsdl),
            "xsd" if !value.is_empty() => Some(Self::Schema(value.to_owned())),
            _ => None,
        }
    }
}

/// XML as a document.
pub(crate) fn document(body: impl Into<Body>) -> Response {
    ([(CONTENT_TYPE, soap::CONTENT_TYPE)], body.into()).into_response()
}

/// 405: a service is called with POST, and described with `?wsdl`.
pub(crate) fn not_allowed() -> Response {
    let detail = "a service is called with POST; a GET with ?wsdl describes it";
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
    ([(ALLOW, "POST")], problem).into_response()
}

/// The URL of a request as it was called, without its query.
pub(crate) fn called_url(scheme: Scheme, headers: &HeaderMap, uri: &Uri) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    let host = host.or_else(|| uri.authority().map(ToString::to_string)).unwrap_or_else(|| "localhost".to_owned());
    format!("{scheme}://{host}{}", uri.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(entries: &[(&'static str, &'static str)]) -> HeaderMap {
        entries.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_unpacked_xml_of_soap_1_1_is_taken() {
        let content = |entries: &[(&'static str, &'static str)]| {
            check_content(&headers(entries)).map_err(|(status, _)| status.as_u16())
        };
        assert_eq!(content(&[]), Ok(None));
        assert_eq!(content(&[("content-type", "text/xml")]), Ok(None));
        let charset = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(content(&[("content-type", "Text/XML; Charset=\"utf-16\"")]), charset("utf-16"));
        assert_eq!(content(&[("content-type", "text/xml;action=x;charset=UTF-8")]), charset("UTF-8"));
        assert_eq!(content(&[("content-type", "application/json")]), Err(415));
        assert_eq!(content(&[("content-type", "text/xml"), ("content-encoding", "gzip")]), Err(415));
        assert_eq!(content(&[("content-type", "text/xml"), ("content-encoding", "identity")]), Ok(None));
        assert_eq!(content(&[("content-type", "application/soap+xml; charset=utf-8")]), Err(500));
    }

    #[test]
    fn a_get_asks_for_a_wsdl_or_for_a_schema() {
        let described = |uri: &str| Described::of(&uri.parse().unwrap());
        for wsdl in ["/s?wsdl", "/s?WSDL", "/s?wsdl="] {
            assert_eq!(described(wsdl), Some(Described::Wsdl), "{wsdl}");
        }
        assert_eq!(described("/s?xsd=a.xsd"), Some(Described::Schema("a.xsd".to_owned())));
        for other in ["/s", "/s?", "/s?xsd", "/s?wsd"] {
            assert_eq!(described(other), None, "{other}");
        }
    }

    #[test]
    fn problems_of_the_server_are_faults_but_for_credentials_paths_and_methods() {
        let too_large = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "too large");
        assert_eq!(render(&too_large).map(|response| response.status().as_u16()), Some(413));
        let busy = Problem::unavailable("overloaded", "busy", Duration::from_secs(2));
        let response = render(&busy).unwrap();
        assert_eq!((response.status().as_u16(), response.headers()[RETRY_AFTER].to_str().unwrap()), (503, "2"));
        assert!(render(&Problem::forbidden("no role")).is_none());
        assert!(render(&Problem::unauthenticated("no token")).is_none());
    }
}
