//! Notifications of a client, and what it has acknowledged.

mod stream;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tributary_flow::http::{Caller, FieldError, JsonBody, Mount, Problem};
use tributary_schemas::records::cases::Channel;
use tributary_schemas::types::cases::ClientName;
use utoipa::{IntoParams, OpenApi, ToSchema};

use crate::kept_queues::Entry;
use crate::problems::{self, invalid_query};
use crate::query::{optional, shown};
use crate::rows::folded;
use crate::service::Service;
use crate::waiting::Awaited;

const DEFAULT_LIMIT: usize = 100;
const LARGEST_LIMIT: usize = 1_000;
const LONGEST_WAIT: u64 = 30;

/// The largest body in bytes. It holds one number.
const LARGEST_BODY: usize = 4 * 1024;

/// How long an acknowledgement waits until it is in force.
const PATIENCE: Duration = Duration::from_secs(10);

/// A notification.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NotificationView {
    /// Its position in the queue of the client.
    position: i64,
    /// The same for repeats, formats and replays.
    message_id: String,
    /// The case.
    id: String,
    /// Created 0, Updated 1, Closed 2, Deleted 3.
    notification_type: i32,
    /// Where the contents are. Null if the case is deleted.
    case_details_uri: Option<String>,
    /// RFC 3339.
    #[schema(value_type = Option<String>, format = DateTime)]
    event_time: Option<Timestamp>,
    /// The origin system.
    origin_system: String,
}

impl NotificationView {
    fn new(entry: &Entry) -> Self {
        let told = &entry.notification;
        Self {
            position: entry.position,
            message_id: told.message_id.to_string(),
            id: told.id.to_string(),
            notification_type: told.notification_type.number(),
            case_details_uri: told.case_details_uri.clone(),
            event_time: told.event_time.map(shown),
            origin_system: told.origin_system.to_string(),
        }
    }
}

/// Notifications of a client.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NotificationsView {
    /// By position.
    items: Vec<NotificationView>,
    /// Up to which position the client has acknowledged.
    acknowledged: i64,
}

/// Up to which position the client has acknowledged.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AcknowledgedView {
    /// The position.
    acknowledged: i64,
}

/// What a client acknowledges.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Acknowledge {
    /// The last position that it has received.
    position: i64,
}

/// Which notifications.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// A position. By default what is acknowledged.
    after: Option<String>,
    /// 1 to 1000, by default 100.
    limit: Option<String>,
    /// Seconds to wait for a first one, up to 30.
    wait: Option<String>,
}

#[derive(OpenApi)]
#[openapi(
    paths(notifications, acknowledge, stream::notification_stream),
    components(schemas(NotificationView, NotificationsView, AcknowledgedView, Acknowledge))
)]
struct NotificationsApi;

type Shared = State<Arc<Service>>;

/// The paths.
pub(crate) fn mount(service: Arc<Service>) -> Mount {
    let router = Router::new()
        .route("/api/Notifications", get(notifications))
        .route("/api/Notifications/Acknowledged", put(acknowledge))
        .route("/api/Notifications/Stream", get(stream::notification_stream))
        .with_state(service);
    let mount = Mount::new(router).described(NotificationsApi::openapi()).faults(problems::QUERIES);
    mount.max_body(LARGEST_BODY).deadline(Duration::from_secs(LONGEST_WAIT + 15))
}

/// The notifications of the calling client. Reading does not acknowledge.
#[utoipa::path(get, path = "/api/Notifications", tag = "cases", params(Asked),
    responses((status = 200, description = "Notifications by position", body = NotificationsView),
        (status = 400, description = "`InvalidQuery`", body = Problem),
        (status = 403, description = "`UnknownClient`, `NotAClient`", body = Problem)))]
async fn notifications(
    State(service): Shared,
    caller: Caller,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<NotificationsView>, Problem> {
    let asked = asked.map_err(|_| invalid_query("", "each parameter may be given once"))?.0;
    let after = position("after", asked.after.as_deref())?;
    let limit = optional("limit", asked.limit.as_deref(), "a whole number")?.unwrap_or(DEFAULT_LIMIT);
    if !(1..=LARGEST_LIMIT).contains(&limit) {
        return Err(invalid_query("limit", format!("expected a number from 1 to {LARGEST_LIMIT}")));
    }
    let wait = optional("wait", asked.wait.as_deref(), "a number of seconds")?.unwrap_or(0_u64);
    if wait > LONGEST_WAIT {
        return Err(invalid_query("wait", format!("expected at most {LONGEST_WAIT} seconds")));
    }
    let client = service.client(&caller).await?;
    if wait > 0 {
        let _place = service.places.take(&client)?;
        service.following.wait_for_notification(&client, after, Duration::from_secs(wait)).await?;
        // Meanwhile the client may have been removed.
        if service.following.rows().viewer(caller.name()).and_then(|viewer| viewer.client).as_ref() != Some(&client) {
            return Err(problems::unknown_client(&caller));
        }
    }
    let acknowledged = service.following.rows().position(&client).acknowledged;
    let found = service.following.notifications(&client, after.unwrap_or(acknowledged), limit).await?;
    Ok(Json(NotificationsView { items: found.iter().map(NotificationView::new).collect(), acknowledged }))
}

/// A position that a client names.
fn position(field: &str, text: Option<&str>) -> Result<Option<i64>, Problem> {
    let expected = "a position, a whole number from 0";
    match optional(field, text, expected)? {
        Some(position) if position < 0 => Err(invalid_query(field, format!("expected {expected}"))),
        position => Ok(position),
    }
}

/// Acknowledges notifications up to a position. A smaller one changes nothing.
#[utoipa::path(put, path = "/api/Notifications/Acknowledged", tag = "cases", request_body = Acknowledge,
    responses((status = 200, description = "Up to where", body = AcknowledgedView),
        (status = 400, description = "`PositionUnknown`", body = Problem),
        (status = 409, description = "`NotAcknowledgedHere`", body = Problem)))]
async fn acknowledge(
    State(service): Shared,
    caller: Caller,
    JsonBody(Acknowledge { position }): JsonBody<Acknowledge>,
) -> Result<Json<AcknowledgedView>, Problem> {
    let client = service.client(&caller).await?;
    let (queue, channel) = {
        let rows = service.following.rows();
        (rows.position(&client), rows.clients.get(&folded(&client)).map(|client| client.channel))
    };
    if channel.is_some_and(|channel| channel != Channel::Api) {
        let detail = format!("{client} is on a broker: its notifications are acknowledged by their delivery");
        return Err(Problem::new(StatusCode::CONFLICT, "NotAcknowledgedHere", detail));
    }
    if position > queue.last || position < 0 {
        let reason = format!("the last position of {client} is {}", queue.last);
        return Err(Problem::invalid("PositionUnknown", vec![FieldError::new("position", reason)]));
    }
    if position > queue.acknowledged {
        publish(&service, &client, position).await?;
    }
    let acknowledged = service.following.wait_for(Awaited::Queue(client.clone()), PATIENCE, |rows| {
        let acknowledged = rows.position(&client).acknowledged;
        (acknowledged >= position).then_some(acknowledged)
    });
    let late = || {
        let detail = "the position is in the log, and not yet acknowledged: send it again";
        Problem::unavailable("NotYetInForce", detail, Duration::from_secs(1))
    };
    let acknowledged = acknowledged.await.ok_or_else(late)?;
    Ok(Json(AcknowledgedView { acknowledged }))
}

async fn publish(service: &Service, client: &ClientName, position: i64) -> Result<(), Problem> {
    let client = client.clone();
    service.intake.publish(move |context, output| context.acknowledge_for(output, &client, position)).await
}
