//! An invented case of a test origin, played through its life, so that a consumer can test its side.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tributary_cases::command::{self, Fields, Sender};
use tributary_cases::permission::Grants;
use tributary_flow::http::{Caller, FieldError, JsonBody, Problem};
use tributary_schemas::records::cases::{Command, CommandStatus, Origin, Queue};
use tributary_schemas::types::cases::{CaseId, CommandId, OriginName};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{named, refusal};
use crate::commands::{OutcomeView, submit};
use crate::events;
use crate::problems::invalid_query;
use crate::rows::folded;
use crate::service::Service;

/// The longest pause between two commands in seconds.
pub(crate) const LONGEST_PAUSE: u64 = 5;

/// How long all commands together wait for their outcomes.
const PATIENCE: Duration = Duration::from_secs(10);

/// The life of a case.
const LIFE: [Queue; 4] = [Queue::Create, Queue::Update, Queue::Close, Queue::Delete];

/// Which origin system is tried.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Try {
    /// An origin system with `test = true` in the configuration.
    origin: String,
    /// Seconds between two commands, 0 to 5: time for a consumer to read the case. By default 0.
    #[serde(default)]
    pause_seconds: u64,
}

/// What became of an invented case.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TriedView {
    /// The origin system.
    origin: String,
    /// The invented case.
    case_id: String,
    /// The clients with permission: they are told of each command that is applied.
    clients: Vec<String>,
    /// The four commands. One whose outcome is not there in time is `accepted`.
    commands: Vec<OutcomeView>,
}

/// Plays an invented case of a test origin through its life: create, update, close, delete.
#[utoipa::path(post, path = "/api/admin/cases/try", tag = "cases", request_body = Try,
    responses((status = 200, description = "What became of it", body = TriedView),
        (status = 400, description = "`InvalidName`, `InvalidQuery`", body = Problem),
        (status = 404, description = "`UnknownOrigin`", body = Problem),
        (status = 409, description = "`NotATestOrigin`, `NoDetails`", body = Problem)))]
pub(super) async fn play(
    State(service): State<Arc<Service>>,
    caller: Caller,
    JsonBody(asked): JsonBody<Try>,
) -> Result<Json<TriedView>, Problem> {
    let name: OriginName = named("origin", &asked.origin)?;
    if asked.pause_seconds > LONGEST_PAUSE {
        return Err(invalid_query("pauseSeconds", format!("expected a number from 0 to {LONGEST_PAUSE}")));
    }
    service.following.catch_up_cases().await?;
    let origin = service.following.rows().origins.get(&folded(&name)).cloned();
    let origin = origin.ok_or_else(|| refusal("UnknownOrigin", format!("there is no origin system {name}")))?;
    let place = checked_place(&service, &origin)?;
    let case = CaseId::from_bytes(*Uuid::new_v4().as_bytes());
    events::tried(&origin.name, &case, caller.name());
    let commands = life(&service, &origin, case, place, Duration::from_secs(asked.pause_seconds)).await?;
    let rows = service.following.rows();
    let clients = rows.clients.values().filter(|client| rows.cover(&client.name, &origin.name, case));
    Ok(Json(TriedView {
        origin: origin.name.to_string(),
        case_id: case.to_string(),
        clients: clients.map(|client| client.name.to_string()).collect(),
        commands,
    }))
}

/// Where the contents of an invented case would be, if the origin system may be tried.
fn checked_place<'a>(service: &Service, origin: &'a Origin) -> Result<&'a str, Problem> {
    let conflict = |code, detail| Problem::new(StatusCode::CONFLICT, code, detail);
    if !service.settings.test_origins.contains(&folded(&origin.name)) {
        let detail = format!(
            "{0} is no test origin: only with `test = true` in [cases.origins.{0}] of the configuration of the service \
             may its cases be invented",
            origin.name
        );
        return Err(conflict("NotATestOrigin", detail));
    }
    let no_details = || conflict("NoDetails", format!("{} lists no place for case details", origin.name));
    origin.details.first().map(String::as_str).ok_or_else(no_details)
}

/// All commands are sent, whatever becomes of one, so that no invented case stays.
async fn life(
    service: &Service,
    origin: &Origin,
    case: CaseId,
    place: &str,
    pause: Duration,
) -> Result<Vec<OutcomeView>, Problem> {
    let mut patience = PATIENCE;
    let mut views = Vec::with_capacity(LIFE.len());
    for queue in LIFE {
        if queue != Queue::Create {
            tokio::time::sleep(pause).await;
        }
        let command = invented(queue, origin, case, place)?;
        let begun = Instant::now();
        let outcome = submit(service, &command, patience).await?;
        patience = patience.saturating_sub(begun.elapsed());
        let is_open = outcome.as_ref().is_none_or(|outcome| outcome.status == CommandStatus::Parked);
        // A held queue would be waited for once more by each command.
        if is_open {
            patience = Duration::ZERO;
        }
        views.push(outcome.map_or_else(|| OutcomeView::accepted(&command), OutcomeView::new));
    }
    Ok(views)
}

fn invented(queue: Queue, origin: &Origin, case: CaseId, place: &str) -> Result<Command, Problem> {
    let now = Some(Timestamp::now().to_string());
    let fields = Fields {
        case_id: Some(case.to_string()),
        created: now.clone(),
        updated: now.clone(),
        event_time: now,
        case_details_uri: Some(format!("{}/tributary-try/{case}", place.trim_end_matches('/'))),
        ..Fields::default()
    };
    let sender = Sender {
        origin: origin.name.clone(),
        request: Some(Uuid::new_v4().to_string()),
        made: CommandId::from_bytes(*Uuid::new_v4().as_bytes()),
    };
    command::check(queue, sender, &fields).map_err(|errors| {
        let errors = errors.into_iter().map(|error| FieldError::new(error.field, error.reason));
        Problem::invalid("InvalidCommand", errors.collect())
    })
}
