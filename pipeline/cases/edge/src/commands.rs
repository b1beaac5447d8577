//! Commands of origin systems, and what became of them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::Value;
use tributary_cases::command::{self, Sender};
use tributary_cases::uri::{self, UriError};
use tributary_flow::http::{Caller, FieldError, JsonBody, Mount, Problem, Wait};
use tributary_schemas::records::cases::{Command, CommandStatus, Origin, Outcome, Queue};
use tributary_schemas::types::cases::CommandId;
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use crate::problems;
use crate::query;
use crate::service::Service;
use crate::waiting::Awaited;

/// The largest command in bytes.
const LARGEST: usize = 64 * 1024;

/// When to send a command again that a held queue has no room for.
const HELD_RETRY: Duration = Duration::from_secs(30);

/// The longest wait for an outcome.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A command that is in the log.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AcceptedView {
    /// The command.
    command_id: String,
    /// The case.
    case_id: String,
    /// `accepted`.
    status: &'static str,
}

/// What became of a command.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OutcomeView {
    /// The command.
    command_id: String,
    /// The case.
    case_id: String,
    /// `CreateCase`, `UpdateCase`, `CloseCase` or `DeleteCase`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: &'static str,
    /// `accepted`, `applied`, `parked`, `unchanged`, `dropped` or `rejected`.
    #[schema(value_type = String)]
    status: &'static str,
    /// Why it was rejected, as a short stable code.
    code: Option<String>,
    /// The same in words.
    detail: Option<String>,
    /// Whether this answers a repeat.
    duplicate: bool,
}

impl OutcomeView {
    pub(crate) fn new(outcome: Outcome) -> Self {
        Self {
            command_id: outcome.command_id.to_string(),
            case_id: outcome.case_id.to_string(),
            kind: outcome.queue.command(),
            status: outcome.status.symbol(),
            code: outcome.code,
            detail: outcome.detail,
            duplicate: outcome.duplicate,
        }
    }

    pub(crate) fn accepted(command: &Command) -> Self {
        Self {
            command_id: command.command_id.to_string(),
            case_id: command.case_id.to_string(),
            kind: command.queue.command(),
            status: CommandStatus::Accepted.symbol(),
            code: None,
            detail: None,
            duplicate: false,
        }
    }
}

#[derive(OpenApi)]
#[openapi(paths(create, update, close, delete, outcome), components(schemas(AcceptedView, OutcomeView)))]
struct CommandsApi;

type Body = JsonBody<Value>;
type Shared = State<Arc<Service>>;

/// The paths.
pub(crate) fn mount(service: Arc<Service>) -> Mount {
    let router = Router::new()
        .route("/api/Commands/CreateCase", post(create))
        .route("/api/Commands/UpdateCase", post(update))
        .route("/api/Commands/CloseCase", post(close))
        .route("/api/Commands/DeleteCase", post(delete))
        .route("/api/Commands/{id}", get(outcome))
        .with_state(service);
    let mount = Mount::new(router).described(CommandsApi::openapi()).max_body(LARGEST).faults(problems::COMMANDS);
    mount.deadline(LONGEST_WAIT + Duration::from_secs(15))
}

/// Creates a case.
#[utoipa::path(post, path = "/api/Commands/CreateCase", tag = "cases",
    responses((status = 202, description = "It is in the log", body = AcceptedView),
        (status = 200, description = "Its outcome, with `Prefer: wait=SECONDS`", body = OutcomeView),
        (status = 400, description = "`InvalidCommand`, `UriNotAllowed`", body = Problem),
        (status = 403, description = "`UnknownClient`, `NotAnOrigin`", body = Problem)))]
async fn create(State(service): Shared, caller: Caller, wait: Wait, body: Body) -> Result<Response, Problem> {
    send(&service, &caller, wait, Queue::Create, body).await
}

/// Updates a case.
#[utoipa::path(post, path = "/api/Commands/UpdateCase", tag = "cases",
    responses((status = 202, description = "It is in the log", body = AcceptedView),
        (status = 200, description = "Its outcome, with `Prefer: wait=SECONDS`", body = OutcomeView),
        (status = 400, description = "`InvalidCommand`, `UriNotAllowed`", body = Problem),
        (status = 403, description = "`UnknownClient`, `NotAnOrigin`", body = Problem)))]
async fn update(State(service): Shared, caller: Caller, wait: Wait, body: Body) -> Result<Response, Problem> {
    send(&service, &caller, wait, Queue::Update, body).await
}

/// Closes a case.
#[utoipa::path(post, path = "/api/Commands/CloseCase", tag = "cases",
    responses((status = 202, description = "It is in the log", body = AcceptedView),
        (status = 200, description = "Its outcome, with `Prefer: wait=SECONDS`", body = OutcomeView),
        (status = 400, description = "`InvalidCommand`", body = Problem),
        (status = 403, description = "`UnknownClient`, `NotAnOrigin`", body = Problem)))]
async fn close(State(service): Shared, caller: Caller, wait: Wait, body: Body) -> Result<Response, Problem> {
    send(&service, &caller, wait, Queue::Close, body).await
}

/// Deletes a case.
#[utoipa::path(post, path = "/api/Commands/DeleteCase", tag = "cases",
    responses((status = 202, description = "It is in the log", body = AcceptedView),
        (status = 200, description = "Its outcome, with `Prefer: wait=SECONDS`", body = OutcomeView),
        (status = 400, description = "`InvalidCommand`", body = Problem),
        (status = 403, description = "`UnknownClient`, `NotAnOrigin`", body = Problem)))]
async fn delete(State(service): Shared, caller: Caller, wait: Wait, body: Body) -> Result<Response, Problem> {
    send(&service, &caller, wait, Queue::Delete, body).await
}

/// What became of a command, for its origin system.
#[utoipa::path(get, path = "/api/Commands/{id}", tag = "cases", params(("id" = String, Path, description = "A GUID")),
    responses((status = 200, description = "What became of it", body = OutcomeView),
        (status = 404, description = "`CommandNotFound`", body = Problem)))]
async fn outcome(
    State(service): Shared,
    id: Result<Path<String>, PathRejection>,
    caller: Caller,
) -> Result<Json<OutcomeView>, Problem> {
    // A segment that is no UTF-8 is no GUID either.
    let id: CommandId = query::guid("id", id.as_deref().map_or("", |id| id.as_str()))?;
    let viewer = service.viewer(&caller).await?;
    let not_found = || {
        Problem::new(StatusCode::NOT_FOUND, "CommandNotFound", format!("no command {id} of this caller is remembered"))
    };
    let origin = viewer.origin.ok_or_else(not_found)?;
    let known = || service.following.rows().outcomes.get(&(origin.clone(), id)).cloned();
    if let Some(known) = known() {
        return Ok(Json(OutcomeView::new(known)));
    }
    // Whichever process has taken it, a command that is in the log is known.
    let accepted = service.accepted.find(&origin, id).await?;
    service.following.catch_up().await?;
    known().or(accepted).map(|outcome| Json(OutcomeView::new(outcome))).ok_or_else(not_found)
}

async fn send(
    service: &Service,
    caller: &Caller,
    Wait(wait): Wait,
    queue: Queue,
    JsonBody(body): Body,
) -> Result<Response, Problem> {
    let wait = wait.min(LONGEST_WAIT);
    let origin = service.origin(caller).await?;
    let command = checked(queue, &origin, body)?;
    if let Some(outcome) = submit(service, &command, wait).await? {
        let applied = [(HeaderName::from_static("preference-applied"), format!("wait={}", wait.as_secs()))];
        return Ok((applied, Json(OutcomeView::new(outcome))).into_response());
    }
    let location = [(LOCATION, format!("/api/Commands/{}", command.command_id))];
    let accepted = AcceptedView {
        command_id: command.command_id.to_string(),
        case_id: command.case_id.to_string(),
        status: CommandStatus::Accepted.symbol(),
    };
    Ok((StatusCode::ACCEPTED, location, Json(accepted)).into_response())
}

/// Puts a command into the log. Returns its outcome, if there is one within the time.
///
/// # Errors
/// 429 or 503 when the log does not take it.
pub(crate) async fn submit(service: &Service, command: &Command, wait: Duration) -> Result<Option<Outcome>, Problem> {
    check_room(service, command.queue)?;
    let sent = command.clone();
    service.intake.publish(move |context, output| context.submit(output, &sent)).await?;
    if wait.is_zero() {
        return Ok(None);
    }
    let awaited = Awaited::Outcome(command.origin.clone(), command.command_id);
    let found = service.following.wait_for(awaited, wait, |rows| {
        let known = rows.outcomes.get(&(command.origin.clone(), command.command_id))?;
        own_outcome(command, known)
    });
    Ok(found.await)
}

/// A held queue keeps its commands in the state, which is in memory.
fn check_room(service: &Service, queue: Queue) -> Result<(), Problem> {
    if service.following.rows().held(queue) < service.settings.most_held {
        return Ok(());
    }
    let detail =
        format!("the queue {queue} is held and keeps {} commands, as many as it may", service.settings.most_held);
    Err(Problem::unavailable("QueueFull", detail, HELD_RETRY))
}

/// What the known outcome says about this attempt. `None` while this attempt may still change it.
fn own_outcome(command: &Command, known: &Outcome) -> Option<Outcome> {
    use CommandStatus::{Accepted, Parked, Rejected};
    if known.case_id != command.case_id || known.status == Accepted {
        return None;
    }
    if known.request == command.request {
        return Some(known.clone());
    }
    let is_repeat = known.repeat.is_some() && known.repeat == command.request;
    let is_open = matches!(known.status, Parked | Rejected) && !is_repeat;
    (!is_open).then(|| Outcome { duplicate: true, ..known.clone() })
}

pub(crate) fn checked(queue: Queue, origin: &Origin, body: Value) -> Result<Command, Problem> {
    let invalid = |errors: Vec<FieldError>| Problem::invalid("InvalidCommand", errors);
    let Value::Object(object) = body else {
        return Err(invalid(vec![FieldError::new("", "expected a JSON object")]));
    };
    let fields = command::fields_of_json(object).map_err(|errors| invalid(named(errors)))?;
    let has_uri = matches!(queue, Queue::Create | Queue::Update);
    if let Some(uri) = fields.case_details_uri.as_deref().filter(|_| has_uri) {
        check_place(uri, origin)?;
    }
    let sender = Sender {
        origin: origin.name.clone(),
        request: Some(Uuid::new_v4().to_string()),
        made: CommandId::from_bytes(*Uuid::new_v4().as_bytes()),
    };
    command::check(queue, sender, &fields).map_err(|errors| invalid(named(errors)))
}

fn named(errors: Vec<command::FieldError>) -> Vec<FieldError> {
    errors.into_iter().map(|error| FieldError::new(error.field, error.reason)).collect()
}

/// A URI that is elsewhere, however it is spelled. What is no URI at all is a malformed field.
fn check_place(uri: &str, origin: &Origin) -> Result<(), Problem> {
    let reason = match uri::is_listed(uri, &origin.details) {
        Ok(true) | Err(UriError::Malformed | UriError::TooLong(_)) => return Ok(()),
        Ok(false) => format!("is not at a place that {} lists", origin.name),
        Err(error @ (UriError::OddCharacter | UriError::Part(_))) => error.to_string(),
    };
    Err(Problem::invalid("UriNotAllowed", vec![FieldError::new("caseDetailsUri", reason)]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn origin() -> Origin {
        Origin { details: vec!["https://esdh.example".to_owned()], ..Origin::of("esdh-a".parse().unwrap()) }
    }

    fn body(uri: &str) -> Value {
        let case = "6B1F3C1E-0F5B-4A53-9D0C-1D2A3B4C5D6E";
        json!({"caseId": case, "created": "2026-11-20T14:30:00+01:00", "caseDetailsUri": uri, "more": 1})
    }

    #[test]
    fn a_command_in_json_is_checked() {
        let command = checked(Queue::Create, &origin(), body("https://esdh.example/1")).unwrap();
        assert_eq!(command.case_id.to_string(), "6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e");
        assert!(!command.any_consumer && command.consumers.is_none());
    }

    #[test]
    fn a_uri_elsewhere_is_not_allowed_whatever_its_spelling() {
        for uri in ["https://evil.example/", "https://esdh.example@evil.example/", "https://esdh.example:444/"] {
            assert_eq!(checked(Queue::Create, &origin(), body(uri)).unwrap_err().code(), "UriNotAllowed", "{uri}");
        }
        let malformed = checked(Queue::Create, &origin(), body("esdh")).unwrap_err();
        assert_eq!((malformed.code(), malformed.errors()[0].field.as_str()), ("InvalidCommand", "caseDetailsUri"));
    }

    #[test]
    fn every_wrong_field_is_named() {
        let wrong = checked(Queue::Create, &origin(), json!({"caseId": 1, "consumers": "x"})).unwrap_err();
        let fields: Vec<&str> = wrong.errors().iter().map(|error| error.field.as_str()).collect();
        assert_eq!((wrong.code(), fields), ("InvalidCommand", vec!["consumers", "caseId"]));
        assert_eq!(checked(Queue::Delete, &origin(), json!([])).unwrap_err().code(), "InvalidCommand");
    }

    #[test]
    fn a_repeat_answers_with_the_first_outcome() {
        let command = checked(Queue::Create, &origin(), body("https://esdh.example/1")).unwrap();
        let outcome = Outcome {
            queue: Queue::Create,
            status: CommandStatus::Applied,
            request: Some("first".to_owned()),
            ..Outcome::of(command.origin.clone(), command.case_id, command.command_id)
        };
        assert!(own_outcome(&command, &outcome).unwrap().duplicate);
        let own = Outcome { request: command.request.clone(), ..outcome.clone() };
        assert!(!own_outcome(&command, &own).unwrap().duplicate);
        let open = Outcome { status: CommandStatus::Rejected, ..outcome };
        assert_eq!(own_outcome(&command, &open), None);
        let repeated = Outcome { repeat: command.request.clone(), ..open };
        assert!(own_outcome(&command, &repeated).unwrap().duplicate);
    }
}
