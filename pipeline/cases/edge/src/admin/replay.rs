//! Notifications that a client is told again, because it has lost them.

use std::collections::HashSet;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tributary_cases::client::is_wanted;
use tributary_cases::context::Context;
use tributary_cases::topics;
use tributary_flow::framed;
use tributary_flow::http::{Caller, JsonBody, Problem};
use tributary_runtime::TableError;
use tributary_schemas::records::cases::Replay;
use tributary_schemas::types::cases::ClientName;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Shared, answer, named, refusal};
use crate::events;
use crate::query::{guid, interval, micros};
use crate::rows::{Rows, folded};
use crate::service::Service;

/// Notifications that are counted while changes of the rows wait.
const COUNTED_AT_ONCE: usize = 5_000;

/// Which notifications are told again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ReplayWanted {
    /// The client.
    client: String,
    /// Those of this case. By default those of all cases.
    case_id: Option<String>,
    /// Those made at this time or later: RFC 3339.
    from: Option<String>,
    /// Those made before this time: RFC 3339.
    to: Option<String>,
    /// Only counts.
    #[serde(default)]
    dry_run: bool,
}

/// What is told again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayView {
    /// The number of notifications.
    count: usize,
}

/// Tells a client again what its queue keeps and what it may still see, acknowledged or not: at the end of the queue,
/// under the same message ids.
#[utoipa::path(post, path = "/api/admin/cases/replay", tag = "cases", request_body = ReplayWanted,
    responses((status = 200, description = "They are at the end of the queue, or would be", body = ReplayView),
        (status = 400, description = "`InvalidName`, `InvalidQuery`", body = Problem),
        (status = 404, description = "`UnknownClient`", body = Problem)))]
pub(super) async fn replay(
    State(service): Shared,
    caller: Caller,
    JsonBody(wanted): JsonBody<ReplayWanted>,
) -> Result<Json<ReplayView>, Problem> {
    let client: ClientName = named("client", &wanted.client)?;
    let case_id = wanted.case_id.as_deref().map(|case| guid("caseId", case)).transpose()?;
    let (from, to) = (micros("from", wanted.from.as_deref())?, micros("to", wanted.to.as_deref())?);
    interval("from", from, to)?;
    service.following.catch_up().await?;
    let known = service.following.rows().clients.get(&folded(&client)).map(|known| known.name.clone());
    let client = known.ok_or_else(|| refusal("UnknownClient", format!("there is no client {client}")))?;
    let replay = Replay { request: Uuid::new_v4().to_string(), case_id, from, to, ..Replay::of(client) };
    let count = count(&service, &replay).await?;
    if wanted.dry_run || count == 0 {
        return Ok(Json(ReplayView { count }));
    }
    events::told_again(caller.name(), &replay.client, count);
    let request = replay.request.clone();
    let write = move |context: &Context, output: &mut tributary_runtime::Output| {
        let partition = Context::partition_of_client(output, &topics::CLIENT, &replay.client);
        let key = replay.client.as_str().as_bytes();
        output.send_to(&topics::CLIENT, partition, key, |buffer| framed::write(&context.codec, &replay, buffer));
    };
    service.intake.publish(write).await?;
    answer(&service, request).await?;
    Ok(Json(ReplayView { count }))
}

/// How many notifications are told again.
async fn count(service: &Service, replay: &Replay) -> Result<usize, Problem> {
    let mut counting = Counting { replay: replay.clone(), seen: HashSet::new(), count: 0, after: 0, is_end: false };
    while !counting.is_end {
        counting = service.following.look(move |rows| counting.go_on(rows)).await?;
    }
    Ok(counting.count)
}

/// The count so far.
struct Counting {
    replay: Replay,
    /// Where the notifications that were passed stood first. Of one that was told again before, the first that is kept
    /// counts.
    seen: HashSet<i64>,
    count: usize,
    after: i64,
    is_end: bool,
}

impl Counting {
    fn go_on(mut self, rows: &Rows) -> Result<Self, TableError> {
        let client = &self.replay.client;
        let mut passed = 0;
        for entry in rows.entries_after(client, self.after).take(COUNTED_AT_ONCE) {
            let entry = entry?;
            passed += 1;
            self.after = entry.position;
            let is_first = self.seen.insert(entry.original.unwrap_or(entry.position));
            if is_first && is_wanted(&self.replay, entry.made, &entry.notification) && rows.is_visible(client, &entry) {
                self.count += 1;
            }
        }
        self.is_end = passed < COUNTED_AT_ONCE;
        Ok(self)
    }
}
