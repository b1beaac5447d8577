//! How schemas may change in the registry. Compacted topics keep records for good, so every schema must read the
//! records of every earlier and every later one: `FULL_TRANSITIVE`.

use std::fmt;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::without_credentials;

/// The compatibility level of every subject.
pub const LEVEL: &str = "FULL_TRANSITIVE";

const TIMEOUT: Duration = Duration::from_secs(10);

/// A subject with another compatibility level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelChange {
    /// The subject.
    pub subject: String,
    /// Its level now. Empty when it has none of its own.
    pub from: String,
}

impl fmt::Display for LevelChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = if self.from.is_empty() { "the registry's default" } else { &self.from };
        write!(f, "compatibility {} from {from} to {LEVEL}", self.subject)
    }
}

/// Why the registry did not report or change a level.
#[derive(Debug, thiserror::Error)]
pub enum CompatibilityError {
    /// The registry does not answer.
    #[error("the schema registry {url} does not answer: {error}. Start it, or correct its URL")]
    NoAnswer {
        /// The URL of the request.
        url: String,
        /// The error of the client.
        error: reqwest::Error,
    },
    /// The registry refuses.
    #[error("the schema registry refused {url} with {status}: {text}")]
    Refused {
        /// The URL of the request.
        url: String,
        /// The status of the answer.
        status: StatusCode,
        /// The body of the answer.
        text: String,
    },
    /// The HTTP client cannot be built.
    #[error("no client for the schema registry: {0}")]
    Setup(String),
}

/// The compatibility levels in one registry.
pub struct Compatibility {
    url: String,
    client: Client,
    tokio: tokio::runtime::Handle,
}

impl Compatibility {
    /// For the registry at `url`. Of several URLs, separated by commas, it takes the first. Calls block on `tokio`, so
    /// no thread of `tokio` may make them.
    ///
    /// # Errors
    /// [`CompatibilityError::Setup`].
    pub fn new(url: &str, tokio: tokio::runtime::Handle) -> Result<Self, CompatibilityError> {
        let url = url.split(',').next().unwrap_or(url).trim().trim_end_matches('/').to_owned();
        let client =
            Client::builder().timeout(TIMEOUT).build().map_err(|e| CompatibilityError::Setup(e.to_string()))?;
        Ok(Self { url, client, tokio })
    }

    /// The subjects with another level than `FULL_TRANSITIVE`.
    ///
    /// # Errors
    /// [`CompatibilityError`] when the registry refuses or does not answer.
    pub fn differences(&self, subjects: &[String]) -> Result<Vec<LevelChange>, CompatibilityError> {
        let mut changes = Vec::new();
        for subject in subjects {
            let from = self.level(subject)?;
            if from != LEVEL {
                changes.push(LevelChange { subject: subject.clone(), from });
            }
        }
        Ok(changes)
    }

    /// Sets the level of these subjects.
    ///
    /// # Errors
    /// [`CompatibilityError`] at the first subject that could not be changed.
    pub fn apply(&self, changes: &[LevelChange]) -> Result<(), CompatibilityError> {
        for change in changes {
            let url = self.config(&change.subject);
            let body = json!({ "compatibility": LEVEL }).to_string();
            let request = self.client.put(&url).header("content-type", "application/vnd.schemaregistry.v1+json");
            let (status, text) = self.answer(&url, request.body(body))?;
            if !status.is_success() {
                return Err(CompatibilityError::Refused { url: without_credentials(&url), status, text });
            }
        }
        Ok(())
    }

    /// The level in effect for a subject: its own, or the registry's default.
    ///
    /// # Errors
    /// [`CompatibilityError`] when the registry refuses or does not answer.
    pub fn level_in_effect(&self, subject: &str) -> Result<String, CompatibilityError> {
        match self.level(subject)? {
            own if !own.is_empty() => Ok(own),
            _ => self.level_at(&format!("{}/config", self.url)),
        }
    }

    fn level(&self, subject: &str) -> Result<String, CompatibilityError> {
        self.level_at(&self.config(subject))
    }

    fn level_at(&self, url: &str) -> Result<String, CompatibilityError> {
        let (status, text) = self.answer(url, self.client.get(url))?;
        if status == StatusCode::NOT_FOUND {
            return Ok(String::new());
        }
        if !status.is_success() {
            return Err(CompatibilityError::Refused { url: without_credentials(url), status, text });
        }
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        Ok(answer["compatibilityLevel"].as_str().unwrap_or_default().to_owned())
    }

    fn answer(&self, url: &str, request: reqwest::RequestBuilder) -> Result<(StatusCode, String), CompatibilityError> {
        let answer = self.tokio.block_on(async {
            let response = request.send().await?;
            Ok((response.status(), response.text().await?))
        });
        answer.map_err(|error| CompatibilityError::NoAnswer { url: without_credentials(url), error })
    }

    fn config(&self, subject: &str) -> String {
        format!("{}/config/{subject}", self.url)
    }
}
