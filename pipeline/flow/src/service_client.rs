//! A running service, as commands ask it over HTTP.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder, StatusCode, Url, redirect};
use serde_json::Value;
use tokio::runtime::Handle;

use crate::http::MAX_LIMIT;
use crate::{Failure, Site};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most bytes of an answer that are read.
const MOST_BYTES: usize = 64 << 20;

/// A running service.
pub struct ServiceClient {
    url: Url,
    token: Option<String>,
    client: Client,
    tokio: Handle,
}

/// A list of the service, put together from its pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The entries.
    pub items: Vec<Value>,
    /// Up to when the first page was complete, where the service says so: RFC 3339.
    pub as_of: Option<String>,
}

/// An answer as it came.
struct Received {
    status: StatusCode,
    as_of: Option<String>,
    body: Vec<u8>,
}

/// An answer that is no refusal.
struct Answered {
    status: StatusCode,
    as_of: Option<String>,
    /// `None` when it is no JSON.
    body: Option<Value>,
}

impl ServiceClient {
    /// The service that the command line names.
    ///
    /// # Errors
    /// [`Failure::Refused`] when none is named, or its URL is wrong.
    pub fn of(site: &Site<'_>) -> Result<Self, Failure> {
        let Some(url) = &site.server else {
            return Err(Failure::refused(
                "this command asks a running service, and none is known: add --server URL, or --state DIR with the \
                 state folder of a service that runs with --http ADDRESS",
            ));
        };
        let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let Some(url) = parsed else {
            return Err(Failure::refused(format!(
                "--server {url} is not the URL of a service, such as http://HOST:PORT"
            )));
        };
        let client = Client::builder().no_proxy().redirect(redirect::Policy::none()).timeout(PATIENCE).build();
        Ok(Self {
            url,
            token: site.token.clone(),
            client: client.map_err(Failure::unfinished)?,
            tokio: site.tokio.clone(),
        })
    }

    /// The list at `path`, all pages of it, or the first `most` entries.
    ///
    /// # Errors
    /// [`Failure::Refused`] when the service refuses (4xx), [`Failure::Unfinished`] when it does not answer or cannot.
    pub fn list(&self, path: &str, most: usize) -> Result<Answer, Failure> {
        let mut answer = Answer { items: Vec::new(), as_of: None };
        let mut cursor: Option<String> = None;
        loop {
            let limit = MAX_LIMIT.min(most - answer.items.len()).to_string();
            let mut query = vec![("limit", limit.as_str())];
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let (as_of, mut page) = self.tokio.block_on(self.page(path, &query))?;
            answer.as_of = answer.as_of.or(as_of);
            let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) else {
                return Err(Failure::unfinished(format!("{} answers without a list to {path}", self.url)));
            };
            let is_last = items.is_empty();
            answer.items.extend(items);
            let next = page.get("next").and_then(Value::as_str).map(str::to_owned);
            if next.is_some() && next == cursor {
                return Err(Failure::unfinished(format!("{} answers the same piece of {path} again", self.url)));
            }
            cursor = next;
            if cursor.is_none() || is_last || answer.items.len() >= most {
                answer.items.truncate(most);
                return Ok(answer);
            }
        }
    }

    /// The answer to `body`, posted to `path`.
    ///
    /// # Errors
    /// As [`ServiceClient::list`].
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let content = serde_json::to_vec(body).map_err(Failure::unfinished)?;
        let request = self.client.post(self.url_of(path)).header(CONTENT_TYPE, "application/json").body(content);
        self.tokio.block_on(self.document(path, request))
    }

    /// The document at `path`.
    ///
    /// # Errors
    /// As [`ServiceClient::list`].
    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        let mut url = self.url_of(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.tokio.block_on(self.document(path, self.client.get(url)))
    }

    /// The answer to a message in another form than JSON: its status and its text, also if the service refuses it.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when it does not answer. [`Failure::Refused`] for 401 and 403.
    pub fn post_text(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<(StatusCode, String), Failure> {
        let mut request = self.client.post(self.url_of(path)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let Received { status, body, .. } = self.tokio.block_on(self.receive(path, request))?;
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(self.refusal(status, serde_json::from_slice(&body).ok().as_ref()));
        }
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    /// Puts something at `path`, with `body` or without. Returns whether it is new (201).
    ///
    /// # Errors
    /// As [`ServiceClient::list`].
    pub fn put(&self, path: &str, body: Option<&Value>) -> Result<bool, Failure> {
        let mut request = self.client.put(self.url_of(path));
        if let Some(body) = body {
            let content = serde_json::to_vec(body).map_err(Failure::unfinished)?;
            request = request.header(CONTENT_TYPE, "application/json").body(content);
        }
        Ok(self.tokio.block_on(self.answer(path, request))?.status == StatusCode::CREATED)
    }

    /// Deletes what is at `path`.
    ///
    /// # Errors
    /// As [`ServiceClient::list`].
    pub fn delete(&self, path: &str) -> Result<(), Failure> {
        self.tokio.block_on(self.answer(path, self.client.delete(self.url_of(path)))).map(drop)
    }

    fn url_of(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        // A proxy may serve it below a path.
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        url
    }

    async fn page(&self, path: &str, query: &[(&str, &str)]) -> Result<(Option<String>, Value), Failure> {
        let mut url = self.url_of(path);
        url.query_pairs_mut().extend_pairs(query);
        let answered = self.answer(path, self.client.get(url)).await?;
        let as_of = answered.as_of.clone();
        Ok((as_of, self.read(path, answered)?))
    }

    async fn document(&self, path: &str, request: RequestBuilder) -> Result<Value, Failure> {
        let answered = self.answer(path, request).await?;
        self.read(path, answered)
    }

    fn read(&self, path: &str, answered: Answered) -> Result<Value, Failure> {
        answered.body.ok_or_else(|| Failure::unfinished(format!("{} answers without JSON to {path}", self.url)))
    }

    async fn answer(&self, path: &str, request: RequestBuilder) -> Result<Answered, Failure> {
        let Received { status, as_of, body } = self.receive(path, request).await?;
        let body: Option<Value> = serde_json::from_slice(&body).ok();
        if !status.is_success() {
            return Err(self.refusal(status, body.as_ref()));
        }
        Ok(Answered { status, as_of, body })
    }

    async fn receive(&self, path: &str, mut request: RequestBuilder) -> Result<Received, Failure> {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let unreachable = |error: reqwest::Error| {
            let reason = innermost(&error.without_url());
            Failure::unfinished(format!(
                "{} does not answer: {reason}; a service that runs with --http answers",
                self.url
            ))
        };
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let as_of = response.headers().get("x-as-of").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MOST_BYTES {
                let reason = format!("{} answers {path} with more than {MOST_BYTES} bytes", self.url);
                return Err(Failure::unfinished(reason));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Received { status, as_of, body })
    }

    fn refusal(&self, status: StatusCode, body: Option<&Value>) -> Failure {
        let detail = body.and_then(|body| body.get("detail")).and_then(Value::as_str).unwrap_or("no reason is given");
        let hint = match (status, &self.token) {
            (StatusCode::UNAUTHORIZED, None) => "; the token is taken from TRIBUTARY_TOKEN",
            _ => "",
        };
        let text = format!("{} answers {}: {detail}{hint}", self.url, status.as_u16());
        if status.is_client_error() { Failure::refused(text) } else { Failure::unfinished(text) }
    }
}

/// The cause that says most: the client's own words only say that a request failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
