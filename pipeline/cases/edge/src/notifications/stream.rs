//! The notifications of a client as server-sent events.
//!
//! Each event is made when the connection takes it: from the rows as they are then, with the permissions of that
//! moment. So nothing is kept for a client that reads slowly, and a revocation holds for all that is not yet sent.
//! The server closes a connection whose client does not read.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use jiff::Timestamp;
use serde::Deserialize;
use tributary_flow::http::{Caller, Problem};
use tributary_schemas::records::cases::NotificationType;
use tributary_schemas::types::cases::ClientName;
use utoipa::IntoParams;

use super::{NotificationView, Shared, position};
use crate::kept_queues::Entry;
use crate::places::Place;
use crate::problems::invalid_query;
use crate::rows::{Rows, folded};
use crate::service::Service;
use crate::waiting::{Awaited, Waiter};

/// How often a stream without events has a comment, so that proxies keep its connection.
const COMMENT_EVERY: Duration = Duration::from_secs(15);

/// How often a stream without events looks whether its token is still good.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// The header with the position after which a client continues.
const LAST_EVENT_ID: &str = "last-event-id";

/// Where a stream begins.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Begin {
    /// A position. By default what is acknowledged. The header `Last-Event-ID` comes before it.
    after: Option<String>,
}

/// The notifications of the calling client as server-sent events: `id` is the position, `event` is `created`,
/// `updated`, `closed` or `deleted`, `data` is an item as in `GET /api/Notifications`. It ends with the token.
#[utoipa::path(get, path = "/api/Notifications/Stream", tag = "cases",
    params(Begin, ("Last-Event-ID" = Option<i64>, Header, description = "The last position that the client has")),
    responses((status = 200, description = "Events by position", content_type = "text/event-stream", body = String),
        (status = 400, description = "`InvalidQuery`", body = Problem),
        (status = 403, description = "`UnknownClient`, `NotAClient`", body = Problem),
        (status = 429, description = "`TooManyStreams`: of this client", body = Problem),
        (status = 503, description = "`TooManyStreams`: of all clients", body = Problem)))]
pub(super) async fn notification_stream(
    State(service): Shared,
    caller: Caller,
    headers: HeaderMap,
    begin: Result<Query<Begin>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let Query(begin) = begin.map_err(|_| invalid_query("after", "may be given once"))?;
    let after = position("after", begin.after.as_deref())?;
    let last = headers.get(LAST_EVENT_ID).map(|last| last.to_str().unwrap_or("?").trim());
    // A browser sends it empty when it has had no event with an id.
    let last = position("Last-Event-ID", last.filter(|last| !last.is_empty()))?;
    if !caller.is_current(Timestamp::now()) {
        return Err(Problem::unauthenticated("the token has expired: a stream needs one that is still good"));
    }
    let client = service.client(&caller).await?;
    let place = service.places.take(&client)?;
    let waiter = service.following.waiter(Awaited::Queue(client.clone()));
    let after = last.or(after).unwrap_or_else(|| service.following.rows().position(&client).acknowledged);
    let open = OpenStream { service, caller, client, after, waiter, _place: place };
    let events = Sse::new(unfold(open, OpenStream::next)).keep_alive(KeepAlive::new().interval(COMMENT_EVERY));
    // A proxy such as nginx would else keep events back until it has many.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"))];
    Ok((unbuffered, events).into_response())
}

/// A stream that a client reads.
struct OpenStream {
    service: Arc<Service>,
    caller: Caller,
    client: ClientName,
    /// The position up to which the client has all.
    after: i64,
    waiter: Waiter,
    _place: Place,
}

/// What a look at the rows finds.
enum Found {
    Notification(Entry),
    Nothing,
    /// The client is removed, or its queue cannot be read.
    End,
}

impl OpenStream {
    /// The next event, when there is one. `None` ends the stream.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        let mut is_fresh = false;
        loop {
            if !self.caller.is_current(Timestamp::now()) {
                return None;
            }
            match self.look().await {
                Found::End => return None,
                Found::Notification(entry) if is_fresh || self.service.following.is_fresh() => {
                    self.after = entry.position;
                    return Some((Ok(event(&entry)), self));
                }
                // The rows are old, so a revocation may be missing. The log may be away: then nothing is told.
                Found::Notification(_) => {
                    self.service.following.catch_up().await.ok()?;
                    is_fresh = true;
                    continue;
                }
                Found::Nothing => is_fresh = false,
            }
            let pause = self.pause();
            tokio::select! {
                () = self.waiter.changed() => {}
                () = tokio::time::sleep(pause) => {}
                () = self.service.following.ending() => return None,
            }
        }
    }

    async fn look(&self) -> Found {
        let following = &self.service.following;
        let Ok(mut found) = following.notifications(&self.client, self.after, 1).await else { return Found::End };
        if !is_registered(&following.rows(), &self.client, &self.caller) {
            return Found::End;
        }
        found.pop().map_or(Found::Nothing, Found::Notification)
    }

    /// How long to wait at most: until the token may have expired.
    fn pause(&self) -> Duration {
        let left = self.caller.expires().map(|expires| Timestamp::now().duration_until(expires));
        let left = left.and_then(|left| Duration::try_from(left).ok());
        left.map_or(CHECK_EVERY, |left| left.min(CHECK_EVERY))
    }
}

/// Whether the client still belongs to the caller.
fn is_registered(rows: &Rows, client: &ClientName, caller: &Caller) -> bool {
    rows.clients.get(&folded(client)).is_some_and(|known| known.client_id == caller.name())
}

fn event(entry: &Entry) -> Event {
    let kind = match entry.notification.notification_type {
        NotificationType::Created => "created",
        NotificationType::Updated => "updated",
        NotificationType::Closed => "closed",
        NotificationType::Deleted => "deleted",
    };
    // Texts in JSON have no line breaks, which an event could not hold.
    let data = serde_json::to_string(&NotificationView::new(entry)).unwrap_or_default();
    Event::default().id(entry.position.to_string()).event(kind).data(data)
}
