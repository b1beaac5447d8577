//! The registry and the queues of commands, for operators. A change is answered when it is in force everywhere.

mod case;
mod deliveries;
mod reading;
mod replay;
mod trial;
mod views;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use serde::Deserialize;
use tributary_cases::topics;
use tributary_flow::framed;
use tributary_flow::http::{Caller, FieldError, JsonBody, Mount, Problem, Role, require};
use tributary_schemas::records::cases::{self, Channel, Format, Queue, RegistryAction, RegistryRequest};
use tributary_schemas::types::cases::{CaseId, ClientName, OriginName};
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use crate::problems;
use crate::query;
use crate::service::Service;
use crate::settings::check_client_id;

/// The largest body in bytes.
const LARGEST_BODY: usize = 64 * 1024;
use crate::waiting::Awaited;

/// How long a change waits until it is in force everywhere.
const PATIENCE: Duration = Duration::from_secs(20);

/// An origin system.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PutOrigin {
    /// The client id of its token.
    client_id: String,
    /// Where its case details may be: scheme, host and port.
    details: Vec<String>,
}

/// A client.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PutClient {
    /// The client id of its token.
    client_id: String,
    /// `api` (default), `kafka` or `rabbitmq`.
    channel: Option<String>,
    /// `masstransit` (default), `raw_json` or `cloudevents`.
    format: Option<String>,
}

/// Whether a queue is held.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutQueue {
    /// A held queue takes commands and processes none.
    paused: bool,
}

#[derive(OpenApi)]
#[openapi(
    paths(
        case::case,
        reading::origins,
        reading::clients,
        reading::grants,
        reading::audit,
        reading::queues,
        deliveries::deliveries,
        deliveries::delayed,
        put_origin,
        delete_origin,
        put_client,
        delete_client,
        put_grant,
        delete_grant,
        put_case_grant,
        delete_case_grant,
        put_queue,
        trial::play,
        replay::replay
    ),
    components(schemas(
        PutOrigin,
        PutClient,
        PutQueue,
        case::CaseForOperatorsView,
        case::DeletedCaseView,
        case::ToldView,
        trial::Try,
        trial::TriedView,
        replay::ReplayWanted,
        replay::ReplayView,
        views::OriginsView,
        views::OriginView,
        views::ClientsView,
        views::ClientView,
        views::GrantsView,
        views::GrantView,
        views::AuditView,
        views::AuditEntryView,
        views::QueuesView,
        views::QueueView,
        deliveries::DeliveriesView,
        deliveries::ExternalView,
        deliveries::DeliveryView,
        deliveries::DelayedView,
        deliveries::DelayedItem
    ))
)]
struct AdminApi;

pub(crate) use trial::LONGEST_PAUSE;

type Shared = State<Arc<Service>>;

/// The paths.
pub(crate) fn mount(service: Arc<Service>) -> Mount {
    let grant = || put(put_grant).delete(delete_grant);
    let acting = Router::new()
        .route("/api/admin/cases/origins/{name}", put(put_origin).delete(delete_origin))
        .route("/api/admin/cases/clients/{name}", put(put_client).delete(delete_client))
        .route("/api/admin/cases/grants/{client}/{origin}", grant())
        .route("/api/admin/cases/grants/{client}/{origin}/{caseId}", put(put_case_grant).delete(delete_case_grant))
        .route("/api/admin/cases/queues/{queue}", put(put_queue))
        .route("/api/admin/cases/try", post(trial::play))
        .route("/api/admin/cases/replay", post(replay::replay))
        .route_layer(require(Role::OPERATOR));
    let reading = Router::new()
        .route("/api/admin/cases/cases/{id}", get(case::case))
        .route("/api/admin/cases/origins", get(reading::origins))
        .route("/api/admin/cases/clients", get(reading::clients))
        .route("/api/admin/cases/grants", get(reading::grants))
        .route("/api/admin/cases/audit", get(reading::audit))
        .route("/api/admin/cases/queues", get(reading::queues))
        .route("/api/admin/cases/deliveries", get(deliveries::deliveries))
        .route("/api/admin/cases/delayed", get(deliveries::delayed))
        .route_layer(require(Role::VIEWER));
    let mount = Mount::new(acting.merge(reading).with_state(service)).described(AdminApi::openapi());
    mount.faults(problems::QUERIES).max_body(LARGEST_BODY).deadline(PATIENCE + Duration::from_secs(15))
}

/// Adds or changes an origin system.
#[utoipa::path(put, path = "/api/admin/cases/origins/{name}", tag = "cases", request_body = PutOrigin,
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "It was there"), (status = 201, description = "It is new"),
        (status = 400, description = "`InvalidName`", body = Problem),
        (status = 409, description = "`NameTaken`", body = Problem)))]
async fn put_origin(
    State(service): Shared,
    Path(name): Path<String>,
    caller: Caller,
    JsonBody(body): JsonBody<PutOrigin>,
) -> Result<StatusCode, Problem> {
    let request = RegistryRequest {
        origin: Some(named("name", &name)?),
        client_id: Some(client_id(body.client_id)?),
        details: body.details,
        ..request(RegistryAction::OriginPut, &caller)
    };
    carry_out(&service, request).await.map(put_status)
}

/// Removes an origin system and its grants. Its cases stay.
#[utoipa::path(delete, path = "/api/admin/cases/origins/{name}", tag = "cases",
    params(("name" = String, Path, description = "Its name")),
    responses((status = 204, description = "It is removed"),
        (status = 404, description = "`UnknownOrigin`", body = Problem)))]
async fn delete_origin(
    State(service): Shared,
    Path(name): Path<String>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    let origin = Some(named("name", &name)?);
    let request = RegistryRequest { origin, ..request(RegistryAction::OriginDelete, &caller) };
    carry_out(&service, request).await.map(|_| StatusCode::NO_CONTENT)
}

/// Adds or changes a client.
#[utoipa::path(put, path = "/api/admin/cases/clients/{name}", tag = "cases", request_body = PutClient,
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "It was there"), (status = 201, description = "It is new"),
        (status = 400, description = "`InvalidName`, `NoExternalBroker`, `NoKafka`", body = Problem),
        (status = 409, description = "`NameTaken`", body = Problem)))]
async fn put_client(
    State(service): Shared,
    Path(name): Path<String>,
    caller: Caller,
    JsonBody(body): JsonBody<PutClient>,
) -> Result<StatusCode, Problem> {
    let channel = symbol("channel", body.channel.as_deref(), Channel::from_symbol)?;
    let format = symbol("format", body.format.as_deref(), Format::from_symbol)?;
    if channel == Channel::Rabbitmq && service.settings.broker.is_none() {
        let reason = "there is no external broker: [cases.rabbitmq] is not configured";
        return Err(Problem::invalid("NoExternalBroker", vec![FieldError::new("channel", reason)]));
    }
    if channel == Channel::Kafka && !service.has_kafka {
        let reason = "the log of this service is not on Kafka";
        return Err(Problem::invalid("NoKafka", vec![FieldError::new("channel", reason)]));
    }
    let request = RegistryRequest {
        client: Some(named("name", &name)?),
        client_id: Some(client_id(body.client_id)?),
        channel,
        format,
        ..request(RegistryAction::ClientPut, &caller)
    };
    carry_out(&service, request).await.map(put_status)
}

/// Removes a client, its grants and its queue.
#[utoipa::path(delete, path = "/api/admin/cases/clients/{name}", tag = "cases",
    params(("name" = String, Path, description = "Its name")),
    responses((status = 204, description = "It is removed"),
        (status = 404, description = "`UnknownClient`", body = Problem)))]
async fn delete_client(
    State(service): Shared,
    Path(name): Path<String>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    let client = Some(named("name", &name)?);
    let request = RegistryRequest { client, ..request(RegistryAction::ClientDelete, &caller) };
    carry_out(&service, request).await.map(|_| StatusCode::NO_CONTENT)
}

/// Lets a client see all cases of an origin system.
#[utoipa::path(put, path = "/api/admin/cases/grants/{client}/{origin}", tag = "cases",
    params(("client" = String, Path, description = "The client"),
        ("origin" = String, Path, description = "The origin")),
    responses((status = 200, description = "It was there"), (status = 201, description = "It is new"),
        (status = 404, description = "`UnknownClient`, `UnknownOrigin`", body = Problem)))]
async fn put_grant(
    State(service): Shared,
    Path((client, origin)): Path<(String, String)>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    let request = grant(RegistryAction::GrantAdd, &caller, (&client, &origin, None))?;
    carry_out(&service, request).await.map(put_status)
}

/// Revokes a grant on an origin system.
#[utoipa::path(delete, path = "/api/admin/cases/grants/{client}/{origin}", tag = "cases",
    params(("client" = String, Path, description = "The client"),
        ("origin" = String, Path, description = "The origin")),
    responses((status = 204, description = "It is revoked"),
        (status = 404, description = "`UnknownGrant`, `UnknownClient`, `UnknownOrigin`", body = Problem)))]
async fn delete_grant(
    State(service): Shared,
    Path((client, origin)): Path<(String, String)>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    let request = grant(RegistryAction::GrantRevoke, &caller, (&client, &origin, None))?;
    carry_out(&service, request).await.map(|_| StatusCode::NO_CONTENT)
}

/// Lets a client see one case.
#[utoipa::path(put, path = "/api/admin/cases/grants/{client}/{origin}/{caseId}", tag = "cases",
    params(("client" = String, Path, description = "The client"), ("origin" = String, Path, description = "The origin"),
        ("caseId" = String, Path, description = "The case")),
    responses((status = 200, description = "It was there"), (status = 201, description = "It is new"),
        (status = 404, description = "`UnknownClient`, `UnknownOrigin`", body = Problem)))]
async fn put_case_grant(
    State(service): Shared,
    Path((client, origin, case)): Path<(String, String, String)>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    let request = grant(RegistryAction::GrantAdd, &caller, (&client, &origin, Some(&case)))?;
    carry_out(&service, request).await.map(put_status)
}

/// Revokes a grant on one case.
#[utoipa::path(delete, path = "/api/admin/cases/grants/{client}/{origin}/{caseId}", tag = "cases",
    params(("client" = String, Path, description = "The client"), ("origin" = String, Path, description = "The origin"),
        ("caseId" = String, Path, description = "The case")),
    responses((status = 204, description = "It is revoked"),
        (status = 404, description = "`UnknownGrant`, `UnknownClient`, `UnknownOrigin`", body = Problem)))]
async fn delete_case_grant(
    State(service): Shared,
    Path((client, origin, case)): Path<(String, String, String)>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    let request = grant(RegistryAction::GrantRevoke, &caller, (&client, &origin, Some(&case)))?;
    carry_out(&service, request).await.map(|_| StatusCode::NO_CONTENT)
}

/// Holds a queue of commands, or lets it go on.
#[utoipa::path(put, path = "/api/admin/cases/queues/{queue}", tag = "cases", request_body = PutQueue,
    params(("queue" = String, Path, description = "`create`, `update`, `close` or `delete`")),
    responses((status = 200, description = "It is so in every partition"),
        (status = 404, description = "`UnknownQueue`", body = Problem)))]
async fn put_queue(
    State(service): Shared,
    Path(queue): Path<String>,
    caller: Caller,
    JsonBody(PutQueue { paused }): JsonBody<PutQueue>,
) -> Result<StatusCode, Problem> {
    let unknown = || refusal("UnknownQueue", format!("there is no queue {queue}"));
    let queue = Some(Queue::from_symbol(&queue).ok_or_else(unknown)?);
    let action = if paused { RegistryAction::QueuePause } else { RegistryAction::QueueResume };
    carry_out(&service, RegistryRequest { queue, ..request(action, &caller) }).await.map(|_| StatusCode::OK)
}

fn request(action: RegistryAction, caller: &Caller) -> RegistryRequest {
    let request = Some(Uuid::new_v4().to_string());
    RegistryRequest { action, by: caller.name().to_owned(), request, ..RegistryRequest::default() }
}

fn grant(
    action: RegistryAction,
    caller: &Caller,
    (client, origin, case): (&str, &str, Option<&str>),
) -> Result<RegistryRequest, Problem> {
    let client: ClientName = named("client", client)?;
    let origin: OriginName = named("origin", origin)?;
    let case_id: Option<CaseId> = case.map(|case| query::guid("caseId", case)).transpose()?;
    Ok(RegistryRequest { client: Some(client), origin: Some(origin), case_id, ..request(action, caller) })
}

fn named<N: std::str::FromStr<Err: ToString>>(field: &str, name: &str) -> Result<N, Problem> {
    name.parse()
        .map_err(|error: N::Err| Problem::invalid("InvalidName", vec![FieldError::new(field, error.to_string())]))
}

fn client_id(text: String) -> Result<String, Problem> {
    let wrong = |reason| Problem::invalid("InvalidName", vec![FieldError::new("clientId", reason)]);
    check_client_id(&text).map_err(wrong)?;
    Ok(text)
}

fn symbol<T: Default>(field: &str, text: Option<&str>, read: fn(&str) -> Option<T>) -> Result<T, Problem> {
    let Some(text) = text else { return Ok(T::default()) };
    read(text).ok_or_else(|| problems::invalid_query(field, format!("{text} is none")))
}

fn put_status(existed: bool) -> StatusCode {
    if existed { StatusCode::OK } else { StatusCode::CREATED }
}

/// Asks the registry, and waits until the change is in force everywhere. Returns whether what it names was there.
async fn carry_out(service: &Service, change: RegistryRequest) -> Result<bool, Problem> {
    let id = change.request.clone().unwrap_or_default();
    let write = move |context: &tributary_cases::context::Context, output: &mut tributary_runtime::Output| {
        framed::send(&context.codec, output, &topics::REGISTRY, b"request", &change);
    };
    service.intake.publish(write).await?;
    let cases::RegistryAnswer { code, existed, .. } = answer(service, id).await?;
    match code {
        None => Ok(existed),
        Some(code) => Err(refused(&code)),
    }
}

/// Waits for the answer to a request, once what it says is in force.
async fn answer(service: &Service, request: String) -> Result<cases::RegistryAnswer, Problem> {
    let awaited = Awaited::Answer(request.clone());
    let answer = service.following.wait_for(awaited, PATIENCE, |rows| rows.answer(&request).cloned()).await;
    answer.ok_or_else(|| {
        let detail = "the change is in the log, and not yet in force everywhere: it will be, or send it again";
        Problem::unavailable("NotYetInForce", detail, Duration::from_secs(5))
    })
}

/// The problem for a code of the registry.
fn refused(code: &str) -> Problem {
    match code {
        "NameTaken" => refusal("NameTaken", "another one has the name or had it, but for case, or has the client id"),
        "UnknownClient" => refusal("UnknownClient", "there is no such client"),
        "UnknownOrigin" => refusal("UnknownOrigin", "there is no such origin system"),
        "UnknownGrant" => refusal("UnknownGrant", "there is no such grant"),
        "InvalidDetails" => {
            let reason = "expected URIs such as https://esdh.example, without user part and fragment";
            Problem::invalid("InvalidDetails", vec![FieldError::new("details", reason)])
        }
        _ => Problem::invalid("InvalidName", vec![FieldError::new("clientId", "expected a name and a client id")]),
    }
}

fn refusal(code: &'static str, detail: impl Into<String>) -> Problem {
    let status = if code == "NameTaken" { StatusCode::CONFLICT } else { StatusCode::NOT_FOUND };
    Problem::new(status, code, detail)
}
