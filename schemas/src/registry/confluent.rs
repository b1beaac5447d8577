//! A Confluent-compatible registry (Confluent, Apicurio, Karapace, Redpanda) over HTTP, called from plain threads.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use schema_registry_converter::async_impl::schema_registry::{
    SrSettings, get_all_versions, get_referenced_schema, get_schema_by_id, get_schema_by_subject_and_version,
    is_compatible_schema, perform_sr_call, post_schema,
};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{RegisteredReference, SchemaType, SrCall, SuppliedSchema};
use tokio::runtime::{Builder, Handle, Runtime};

use super::{RegisteredSchema, Registry, RegistryError, without_credentials};

const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const MOST_REFERENCES: usize = 100;

/// How to reach a registry.
#[derive(Clone)]
pub struct ConfluentSettings {
    /// Its URLs, tried in order; at least one.
    pub urls: Vec<String>,
    /// User and password, if the registry asks for them.
    pub basic_credentials: Option<(String, String)>,
    /// A bearer token, if the registry asks for one.
    pub token: Option<String>,
    /// How long one call may take.
    pub timeout: Duration,
    /// The number of attempts before the registry counts as unavailable.
    pub attempts: u32,
    /// The pause before the second attempt; it doubles each time, up to 2 s.
    pub first_pause: Duration,
}

impl ConfluentSettings {
    /// The defaults for a registry at `url`, which may be several, separated by commas.
    pub fn new(url: &str) -> Self {
        Self {
            urls: url.split(',').map(|url| url.trim().trim_end_matches('/').to_owned()).collect(),
            basic_credentials: None,
            token: None,
            timeout: Duration::from_secs(5),
            attempts: 6,
            first_pause: Duration::from_millis(100),
        }
    }
}

impl fmt::Debug for ConfluentSettings {
    /// Leaves the credentials out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfluentSettings")
            .field("urls", &shown(&self.urls))
            .field("timeout", &self.timeout)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

/// A version of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisteredVersion {
    /// The version, from 1.
    pub version: u32,
    /// The id of its schema.
    pub id: u32,
}

/// A client of a Confluent-compatible registry.
pub struct ConfluentRegistry {
    settings: ConfluentSettings,
    client: SrSettings,
    /// `None` only during the drop.
    runtime: Option<Runtime>,
}

impl fmt::Debug for ConfluentRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfluentRegistry").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Drop for ConfluentRegistry {
    /// A thread of another runtime must not wait for this one to end, but may leave it to end in the background.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl ConfluentRegistry {
    /// Creates a client of the registry. It sends nothing yet.
    ///
    /// # Errors
    /// [`RegistryError::Refused`] when the settings are not usable.
    pub fn connect(settings: ConfluentSettings) -> Result<Self, RegistryError> {
        let refused = |reason: String| RegistryError::Refused {
            location: shown(&settings.urls),
            action: "connect".to_owned(),
            reason,
        };
        let Some((first, others)) = settings.urls.split_first() else {
            return Err(refused("no URL is given".to_owned()));
        };
        if let Some(url) = settings.urls.iter().find(|url| !url.starts_with("http://") && !url.starts_with("https://"))
        {
            return Err(refused(format!("{:?} is not an http:// or https:// URL", without_credentials(url))));
        }
        let mut builder = SrSettings::new_builder(first.clone());
        for url in others {
            builder.add_url(url.clone());
        }
        if let Some((user, password)) = &settings.basic_credentials {
            builder.set_basic_authorization(user, Some(password));
        }
        if let Some(token) = &settings.token {
            builder.set_token_authorization(token);
        }
        let client = builder.set_timeout(settings.timeout).build().map_err(|e| refused(reason(&e)))?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|e| refused(e.to_string()))?;
        Ok(Self { settings, client, runtime: Some(runtime) })
    }

    /// All versions of a subject; none for a subject that is not there.
    ///
    /// # Errors
    /// [`RegistryError`] when the registry refuses or does not answer.
    pub fn versions(&self, subject: &str) -> Result<Vec<RegisteredVersion>, RegistryError> {
        let action = format!("list the versions of {subject}");
        let versions = self.call(&action, || get_all_versions(&self.client, subject.to_owned()))?.unwrap_or_default();
        let mut registered = Vec::with_capacity(versions.len());
        for version in versions {
            let action = format!("give version {version} of {subject}");
            let found =
                self.call(&action, || get_schema_by_subject_and_version(&self.client, subject, Some(version)))?;
            registered.extend(found.map(|schema| RegisteredVersion { version, id: schema.id }));
        }
        Ok(registered)
    }

    /// Calls until there is an answer or the attempts are used up. `None` is the answer "not found".
    fn call<T, F>(&self, action: &str, call: impl Fn() -> F) -> Result<Option<T>, RegistryError>
    where
        T: Send,
        F: Future<Output = Result<T, SRCError>> + Send,
    {
        let mut pause = self.settings.first_pause;
        let mut attempt = 1;
        loop {
            let error = match self.wait(call()) {
                Some(Ok(answer)) => return Ok(Some(answer)),
                Some(Err(error)) => error,
                None => return Err(self.refused(action, "its client has been shut down")),
            };
            match Answer::of(&error) {
                Answer::NotFound => return Ok(None),
                Answer::Refused => return Err(self.refused(action, &reason(&error))),
                Answer::TryAgain if attempt >= self.settings.attempts => {
                    return Err(RegistryError::Unavailable {
                        location: self.location(),
                        attempts: attempt,
                        reason: reason(&error),
                    });
                }
                Answer::TryAgain => tracing::warn!(
                    "The schema registry {} could not {action} (attempt {attempt}), retrying in {pause:?}: {}",
                    self.location(),
                    reason(&error)
                ),
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
            attempt += 1;
        }
    }

    /// Waits for a call. A thread of another runtime must not block on this one, so then a new thread waits.
    fn wait<T: Send>(&self, future: impl Future<Output = T> + Send) -> Option<T> {
        let runtime = self.runtime.as_ref()?;
        if Handle::try_current().is_err() {
            return Some(runtime.block_on(future));
        }
        std::thread::scope(|scope| scope.spawn(|| runtime.block_on(future)).join().ok())
    }

    fn refused(&self, action: &str, reason: &str) -> RegistryError {
        RegistryError::Refused { location: self.location(), action: action.to_owned(), reason: reason.to_owned() }
    }

    /// The schemas that these refer to, directly or through others.
    fn references(&self, direct: Vec<RegisteredReference>) -> Result<Vec<String>, RegistryError> {
        let mut waiting = direct;
        let mut seen = Vec::new();
        let mut schemas = Vec::new();
        while let Some(reference) = waiting.pop() {
            let key = (reference.subject.clone(), reference.version);
            if seen.contains(&key) {
                continue;
            }
            seen.push(key);
            let action = format!("give version {} of {}", reference.version, reference.subject);
            if seen.len() > MOST_REFERENCES {
                return Err(self.refused(&action, "the schema refers to too many others"));
            }
            let schema = self
                .call(&action, || get_referenced_schema(&self.client, &reference))?
                .ok_or_else(|| self.refused(&action, "it is not there"))?;
            waiting.extend(schema.references);
            schemas.push(schema.schema);
        }
        Ok(schemas)
    }
}

impl Registry for ConfluentRegistry {
    fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let action = format!("register {subject}");
        let answer = self.call(&action, || post_schema(&self.client, subject.to_owned(), supplied(schema)));
        match answer {
            Ok(Some(registered)) => Ok(registered.id),
            Ok(None) => Err(self.refused(&action, "not found: the URL is not that of a schema registry")),
            Err(RegistryError::Refused { reason, .. }) if reason.contains("409") => {
                Err(RegistryError::Incompatible { subject: subject.to_owned(), reason })
            }
            Err(error) => Err(error),
        }
    }

    fn lookup(&self, subject: &str, schema: &str) -> Result<Option<u32>, RegistryError> {
        let action = format!("look {subject} up");
        let body = serde_json::json!({ "schema": schema, "schemaType": "AVRO" }).to_string();
        let found = self.call(&action, || perform_sr_call(&self.client, SrCall::PostForVersion(subject, &body)))?;
        match found.map(|found| found.id) {
            None => Ok(None),
            Some(Some(id)) => Ok(Some(id)),
            Some(None) => Err(self.refused(&action, "it answers without an id")),
        }
    }

    fn schema(&self, id: u32) -> Result<Option<RegisteredSchema>, RegistryError> {
        let action = format!("give schema {id}");
        let Some(found) = self.call(&action, || get_schema_by_id(id, &self.client))? else { return Ok(None) };
        if found.schema_type != SchemaType::Avro {
            return Err(self.refused(&action, "it is not an Avro schema"));
        }
        Ok(Some(RegisteredSchema { json: found.schema, references: self.references(found.references)? }))
    }

    fn check_compatible(&self, subject: &str, schema: &str) -> Result<(), RegistryError> {
        let action = format!("check {subject}");
        let answer = self.call(&action, || is_compatible_schema(&self.client, subject.to_owned(), supplied(schema)))?;
        // A subject without versions accepts any schema. Servers answer that with true or with "not found".
        if answer.unwrap_or(true) {
            return Ok(());
        }
        let reason = "the registry's compatibility check says no".to_owned();
        Err(RegistryError::Incompatible { subject: subject.to_owned(), reason })
    }

    fn location(&self) -> String {
        shown(&self.settings.urls)
    }
}

/// The URLs, for messages.
fn shown(urls: &[String]) -> String {
    urls.iter().map(|url| without_credentials(url)).collect::<Vec<_>>().join(", ")
}

fn supplied(schema: &str) -> SuppliedSchema {
    SuppliedSchema::new(None, SchemaType::Avro, schema.to_owned())
}

/// What an error means for the caller.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    NotFound,
    Refused,
    TryAgain,
}

impl Answer {
    /// The client gives the status only in its text.
    fn of(error: &SRCError) -> Self {
        let Some((_, status)) = error.error.split_once("failed with status ") else {
            return if error.retriable { Self::TryAgain } else { Self::Refused };
        };
        match status.get(..3).and_then(|code| code.parse::<u16>().ok()) {
            Some(404) => Self::NotFound,
            Some(408 | 425 | 429 | 500..=599) => Self::TryAgain,
            _ => Self::Refused,
        }
    }
}

/// The error with all its causes. The client's own text contains none of them.
fn reason(error: &SRCError) -> String {
    let mut text = error.error.clone();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
