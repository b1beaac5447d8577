//! One request: who asks, what was refused, and the checks before each lookup, in the order of R 5.4.

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::dynamic::ResolverContext;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use tokio::time::Instant;
use tributary_flow::http::Caller;
use tributary_registry::configuration::{Kind, RegistrySettings};
use tributary_registry::number::Number;
use tributary_schemas::types::registry::RowId;

use super::failure::{Failed, Failure};
use crate::clients::{Clients, Refusal};
use crate::lookups::{Asker, DenialCode, Lookups, Row};

/// What all requests share.
pub(super) struct Shared {
    pub(super) settings: Arc<RegistrySettings>,
    pub(super) lookups: Arc<dyn Lookups>,
    pub(super) clients: Option<Arc<Clients>>,
}

/// One request.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) caller: Caller,
    pub(super) asker: Asker,
    /// Until when mutations wait for the end of their jobs.
    pub(super) wait_until: Option<Instant>,
    failed: Mutex<Vec<Failed>>,
}

/// A row and its kind.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) kind: Arc<Kind>,
    pub(super) row: Arc<Row>,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, caller: Caller, asker: Asker, wait_until: Option<Instant>) -> Self {
        Self { shared, caller, asker, wait_until, failed: Mutex::default() }
    }

    /// What has failed, in the order of the document.
    pub(super) fn failed(&self) -> Vec<Failed> {
        let mut failed = std::mem::take(&mut *self.failed.lock().unwrap_or_else(PoisonError::into_inner));
        failed.sort_by_key(|failed| failed.locations.first().map(|at| (at.line, at.column)));
        failed
    }

    /// Keeps a failure of a field for the answer. Its value is then null, and other fields stand.
    pub(super) fn settle<T>(&self, context: &ResolverContext<'_>, result: Result<T, Failure>) -> Option<T> {
        let failure = match result {
            Ok(value) => return Some(value),
            Err(failure) => failure,
        };
        let path = context.path_node.as_ref().and_then(|path| serde_json::to_value(path).ok());
        let path = match path {
            Some(Value::Array(path)) => path,
            _ => Vec::new(),
        };
        let failed = Failed { failure, path, locations: vec![context.item.pos] };
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).push(failed);
        None
    }

    /// The row of a number.
    pub(super) async fn find(&self, kind: &Arc<Kind>, number: Number) -> Result<Option<Found>, Failure> {
        self.admit(Some(kind), Some(&kind.scopes.read)).await?;
        kind.number.check_query(&number).map_err(|error| input(kind, error))?;
        let row = self.shared.lookups.find(&self.asker, kind, &number).await?;
        Ok(row.map(|row| Found { kind: Arc::clone(kind), row: Arc::new(row) }))
    }

    /// The row with a global id. A malformed one has none.
    pub(super) async fn node(&self, kinds: &[Arc<Kind>], global_id: &str) -> Result<Option<Found>, Failure> {
        let Some((kind, id)) = read_global_id(kinds, global_id) else {
            self.admit(None, None).await?;
            return Ok(None);
        };
        self.admit(Some(kind), Some(&kind.scopes.read)).await?;
        let row = self.shared.lookups.find_by_id(&self.asker, kind, id).await?;
        Ok(row.map(|row| Found { kind: Arc::clone(kind), row: Arc::new(row) }))
    }

    /// Starts a job, or joins it.
    pub(super) async fn sync(&self, kind: &Arc<Kind>, number: Number) -> Result<Found, Failure> {
        self.admit(Some(kind), Some(&kind.scopes.write)).await?;
        kind.number.check_request(&number).map_err(|error| input(kind, error))?;
        let left = self.wait_until.map(|until| until.saturating_duration_since(Instant::now()));
        let wait = left.filter(|left| !left.is_zero());
        let row = self.shared.lookups.sync(&self.asker, kind, &number, wait).await?;
        Ok(Found { kind: Arc::clone(kind), row: Arc::new(row) })
    }

    /// Checks scope, client and legal entity, before anything is looked at.
    async fn admit(&self, kind: Option<&Kind>, scope: Option<&str>) -> Result<(), Failure> {
        let (code, failure) = match (scope, self.client().await) {
            (Some(scope), _) if !self.caller.has_scope(scope) => {
                (DenialCode::Forbidden, Failure::Scope(scope.to_owned()))
            }
            (_, Ok(())) => return Ok(()),
            (_, Err(Refusal::Unknown)) => (DenialCode::Forbidden, Failure::Forbidden),
            (_, Err(Refusal::NotActive)) => (DenialCode::Conflict, Failure::NotActive),
        };
        self.shared.lookups.denied(&self.asker, kind, code).await;
        Err(failure)
    }

    async fn client(&self) -> Result<(), Refusal> {
        let Some(clients) = &self.shared.clients else { return Ok(()) };
        if clients.is_due() {
            let clients = Arc::clone(clients);
            // If it fails, the former clients count.
            let _ = tokio::task::spawn_blocking(move || clients.refresh()).await;
        }
        clients.check(self.caller.name())
    }
}

fn input(kind: &Kind, error: tributary_registry::number::NumberError) -> Failure {
    Failure::Input { argument: kind.graphql.argument.clone(), error }
}

/// The id of a row among all types: Base64 of the type, a colon, and the id.
pub(super) fn global_id(kind: &Kind, id: RowId) -> String {
    BASE64_STANDARD.encode(format!("{}:{id}", kind.graphql.object))
}

fn read_global_id<'k>(kinds: &'k [Arc<Kind>], global_id: &str) -> Option<(&'k Arc<Kind>, RowId)> {
    let text = String::from_utf8(BASE64_STANDARD.decode(global_id).ok()?).ok()?;
    let (object, id) = text.split_once(':')?;
    let kind = kinds.iter().find(|kind| kind.graphql.object == object)?;
    Some((kind, id.parse().ok()?))
}
