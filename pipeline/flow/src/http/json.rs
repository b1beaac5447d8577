//! JSON bodies.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use super::{FieldError, Problem};

/// The body of a request, read from JSON. If it does not fit, the request ends with 400 and the path of the entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let detail = "the body must be JSON, with `Content-Type: application/json`";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
        }
        let body = Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "the body is larger than is allowed here")
            }
            _ => Problem::bad_request(vec![FieldError::new("", "the body could not be read to its end")]),
        })?;
        read(&body).map(Self).map_err(|error| Problem::bad_request(vec![error]))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, FieldError> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { path };
        FieldError::new(field, error.into_inner().to_string())
    })?;
    deserializer.end().map_err(|error| FieldError::new("", error.to_string()))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Note {
        texts: Vec<String>,
    }

    #[test]
    fn a_wrong_entry_is_named_with_its_path() {
        let error = read::<Note>(br#"{"texts": ["a", 7]}"#).unwrap_err();
        assert_eq!(error.field, "texts[1]");
        assert!(error.reason.contains("expected a string"), "{}", error.reason);
        assert_eq!(read::<Note>(b"{} {}").unwrap_err().field, "");
        assert_eq!(read::<Note>(b"{\"texts\": []} x").unwrap_err().field, "");
        assert_eq!(read::<Note>(b"{\"texts\": []}"), Ok(Note { texts: vec![] }));
    }
}
