//! Lookups in memory, and requests to them, for tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use tower::ServiceExt;
use tributary_flow::configuration::Source;
use tributary_flow::http::{Caller, Roles};
use tributary_registry::configuration::{Kind, RegistrySettings};
use tributary_registry::number::Number;
use tributary_schemas::records::registry::JobStatus;
use tributary_schemas::types::registry::{RowId, UserId};

use super::Graphql;
use crate::clients::Clients;
use crate::lookups::{Asker, DenialCode, Later, LookupError, Lookups, Row};
use crate::settings::GraphqlSettings;

pub(crate) const NUMBER: &str = "19910824-00026";

/// Of the user `anna`, from Python: `uuid.uuid5(uuid.NAMESPACE_OID, "anna")`.
pub(crate) const ANNA: &str = "4a4df753-579f-5b27-89c1-5ed6960a5a43";

pub(crate) const ROW_ID: &str = "0b5c2f6e-8d3a-4f51-9c55-1d3f6a7b8c9d";

/// A further register: it needs nothing but its table.
pub(crate) const TAX: &str = r#"
[registry.job.tax]
graphql = { argument = "rnokpp", type = "TaxInfo", query = "taxInfoRegister", mutation = "syncTaxInfoRegister" }
scopes = { read = "tax:read", write = "tax:write" }
number = { element = "RNOKPP", check = "format", format = '^[0-9]{10}$' }
service = { member_code = "00000002", subsystem = "9_DRFO_prod", code = "InfoRNOKPPDRFO", soap = "1.1" }
answer.fields = { lastName = "LastName" }
"#;

pub(crate) fn settings(further: &str) -> Arc<RegistrySettings> {
    let text = format!("[registry.job.unzr]\nservice.member_code = \"00000001\"\n{further}");
    Arc::new(RegistrySettings::load(Some(&Source::new("registry.toml", text))).unwrap())
}

/// A row that waits for its register.
pub(crate) fn row(number: &str) -> Row {
    let user: UserId = ANNA.parse().unwrap();
    let now = Timestamp::from_millisecond(1_800_000_000_000).unwrap();
    Row {
        id: ROW_ID.parse().unwrap(),
        number: Number::new(number),
        status: JobStatus::Pending,
        info: None,
        synced_at: None,
        inserted_at: now,
        inserted_by: user,
        updated_at: now,
        updated_by: user,
    }
}

#[derive(Default)]
pub(crate) struct InMemory {
    pub(crate) rows: Mutex<BTreeMap<String, Row>>,
    /// What was asked of it: method, kind, and what else is to be seen.
    pub(crate) calls: Mutex<Vec<String>>,
    pub(crate) askers: Mutex<Vec<Asker>>,
    pub(crate) trouble: Mutex<Option<LookupError>>,
}

impl InMemory {
    fn note(&self, asker: &Asker, call: String) -> Result<(), LookupError> {
        self.calls.lock().unwrap().push(call);
        self.askers.lock().unwrap().push(asker.clone());
        match *self.trouble.lock().unwrap() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

impl Lookups for InMemory {
    fn find<'a>(
        &'a self,
        asker: &'a Asker,
        kind: &'a Kind,
        number: &'a Number,
    ) -> Later<'a, Result<Option<Row>, LookupError>> {
        Box::pin(async move {
            self.note(asker, format!("find {}", kind.name.as_str()))?;
            Ok(self.rows.lock().unwrap().get(number.expose()).cloned())
        })
    }

    fn find_by_id<'a>(
        &'a self,
        asker: &'a Asker,
        kind: &'a Kind,
        id: RowId,
    ) -> Later<'a, Result<Option<Row>, LookupError>> {
        Box::pin(async move {
            self.note(asker, format!("find_by_id {}", kind.name.as_str()))?;
            Ok(self.rows.lock().unwrap().values().find(|row| row.id == id).cloned())
        })
    }

    fn sync<'a>(
        &'a self,
        asker: &'a Asker,
        kind: &'a Kind,
        number: &'a Number,
        wait: Option<Duration>,
    ) -> Later<'a, Result<Row, LookupError>> {
        Box::pin(async move {
            let wait = wait.map_or_else(|| "at once".to_owned(), |wait| format!("within {} s", wait.as_secs() + 1));
            self.note(asker, format!("sync {} {wait}", kind.name.as_str()))?;
            let mut rows = self.rows.lock().unwrap();
            Ok(rows.entry(number.expose().to_owned()).or_insert_with(|| row(number.expose())).clone())
        })
    }

    fn denied<'a>(&'a self, asker: &'a Asker, kind: Option<&'a Kind>, code: DenialCode) -> Later<'a, ()> {
        Box::pin(async move {
            let kind = kind.map_or("-", |kind| kind.name.as_str());
            let _ = self.note(asker, format!("denied {kind} {}", code.name()));
        })
    }
}

/// GraphQL over lookups in memory.
pub(crate) struct World {
    pub(crate) lookups: Arc<InMemory>,
    pub(crate) router: Router,
    pub(crate) caller: Option<Caller>,
}

pub(crate) const LIMITS: GraphqlSettings =
    GraphqlSettings { introspection: false, graphiql: false, max_depth: 15, max_fields: 200, max_body: 64 * 1024 };

/// An answer of the server.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// The only error, checked to be the only one.
    pub(crate) fn error(&self) -> Value {
        let json = self.json();
        assert_eq!(json["errors"].as_array().map(Vec::len), Some(1), "{json}");
        json["errors"][0].clone()
    }

    /// Whether nothing was executed.
    pub(crate) fn assert_malformed(&self, what: &str) {
        assert_eq!(self.status, StatusCode::BAD_REQUEST, "{what}: {}", self.text);
        assert_eq!(self.json().get("data"), None, "{what}");
        let error = self.error();
        assert_eq!(
            (&error["message"], &error["extensions"]),
            (&json!("Malformed request"), &json!({"code": "BAD_REQUEST"}))
        );
        assert!(self.json()["extensions"]["requestId"].is_string());
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with("", LIMITS, None)
    }

    pub(crate) fn with(further: &str, limits: GraphqlSettings, clients: Option<Arc<Clients>>) -> Self {
        let lookups = Arc::new(InMemory::default());
        let graphql = Graphql::new(settings(further), limits, clients, Arc::<InMemory>::clone(&lookups)).unwrap();
        let router = Arc::new(graphql).mounts().into_iter().fold(Router::new(), |all, mount| all.merge(mount.router));
        let scopes = ["unzr:read", "unzr:write"].into_iter();
        let caller = Caller::new("admin", scopes.collect::<Roles>()).for_user(ANNA.parse().unwrap());
        Self { lookups, router, caller: Some(caller) }
    }

    /// The same with a caller who has these scopes.
    pub(crate) fn scopes(mut self, scopes: &[&str]) -> Self {
        self.caller = Some(Caller::new("admin", scopes.iter().copied().collect()));
        self
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let mut request = request;
        if let Some(caller) = &self.caller {
            request.extensions_mut().insert(caller.clone());
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    pub(crate) async fn post(&self, body: impl Into<String>) -> Answer {
        let request = Request::post("/graphql").header("content-type", "application/json");
        self.send(request.body(Body::from(body.into())).unwrap()).await
    }

    pub(crate) async fn ask(&self, query: &str) -> Answer {
        self.ask_with(query, json!({})).await
    }

    pub(crate) async fn ask_with(&self, query: &str, variables: Value) -> Answer {
        self.post(json!({"query": query, "variables": variables}).to_string()).await
    }
}
