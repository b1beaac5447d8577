//! What operators do. Each command goes through the inbox, and its reply says what has become of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use tributary_flow::http::{Caller, FieldError, Problem};
use tributary_registry::row_key::RowKey;
use tributary_registry::sealing::SealError;
use tributary_schemas::records::registry::{CommandAction, JobCommand, JobRow, JobStatus, ReplyOutcome};
use tributary_schemas::types::registry::{KindName, RowId, UserId};
use utoipa::ToSchema;
use uuid::Uuid;

use super::views::{CountView, JobView, KindView};
use super::{Platform, caught_up, current, filter, kind_of, unavailable, unreadable};
use crate::lookups::LookupError;
use crate::platform::Shared;
use crate::rows::Filter;
use crate::service::{full, new_run};
use crate::waiting::Subject;

/// Commands that are published in one piece.
const MOST_IN_PIECE: usize = 500;

/// Who acts.
fn user(caller: &Caller) -> UserId {
    UserId::from_bytes(*caller.user_id().as_bytes())
}

fn command_of(action: CommandAction, kind: &KindName, caller: &Caller) -> JobCommand {
    JobCommand {
        action,
        now: Timestamp::now().as_millisecond(),
        client: Some(caller.name().to_owned()),
        ..JobCommand::of(kind.clone(), user(caller))
    }
}

/// Sends a command about a row, and waits for what becomes of it.
async fn command(
    shared: &Shared,
    caller: &Caller,
    action: CommandAction,
    (key, row): (RowKey, &JobRow),
) -> Result<ReplyOutcome, Problem> {
    let request = Uuid::new_v4().to_string();
    let kind = shared.settings().kind(&row.kind);
    let command = JobCommand {
        request_id: Some(request.clone()),
        row_id: Some(row.id),
        run_id: Some(new_run()),
        is_full: kind.is_some_and(|kind| shared.service.is_full(kind)),
        ..command_of(action, &row.kind, caller)
    };
    let mut awaited = shared.service.waiting.for_reply(request, Subject::Row(key));
    let context = shared.service.context.clone();
    shared.service.intake.publish(move |output| context.command(output, key, &command)).await?;
    let replied = shared.service.reply(&mut awaited).await.ok_or_else(|| unavailable(LookupError::Unavailable))?;
    match replied.reply.outcome {
        ReplyOutcome::Absent => Err(Problem::not_found("there is no job with this id")),
        ReplyOutcome::Refused => Err(unavailable(full(&replied.reply))),
        outcome => Ok(outcome),
    }
}

fn conflict(detail: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, "conflict", detail)
}

async fn shown(shared: &Shared, id: &str) -> Result<Json<JobView>, Problem> {
    let (_, row) = current(shared, id).await?;
    Ok(Json(JobView::of(&row, &shared.settings().statuses)))
}

/// Begins a new run: Step 1 by the operator.
#[utoipa::path(post, path = "/api/admin/registry/jobs/{id}/retry", tag = "registry",
    params(("id" = String, Path, description = "The id of the row")),
    responses((status = 202, description = "The job, pending", body = JobView),
        (status = 404, description = "No such job", body = Problem),
        (status = 409, description = "It is pending", body = Problem)))]
pub(super) async fn retry(
    State(shared): Platform,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<JobView>), Problem> {
    let (key, row) = current(&shared, &id).await?;
    match command(&shared, &caller, CommandAction::Retry, (key, &row)).await? {
        ReplyOutcome::Conflict => Err(conflict("the job is pending: it runs")),
        _ => Ok((StatusCode::ACCEPTED, shown(&shared, &id).await?)),
    }
}

/// Which jobs are retried.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// The kind. Not given: all.
    kind: Option<String>,
    /// The status, as the configuration names it.
    status: String,
}

/// Begins a new run of every job of a status, as many as may be pending. Jobs that change meanwhile are left alone.
#[utoipa::path(post, path = "/api/admin/registry/jobs/retry", tag = "registry", request_body = Which,
    responses((status = 202, description = "How many are asked to", body = CountView),
        (status = 400, description = "A wrong kind or status", body = Problem),
        (status = 409, description = "The status of pending jobs", body = Problem)))]
pub(super) async fn retry_all(
    State(shared): Platform,
    caller: Caller,
    body: Bytes,
) -> Result<(StatusCode, Json<CountView>), Problem> {
    // No text repeats what was sent.
    let which: Which = serde_json::from_slice(&body).map_err(|_| wrong_body())?;
    let mut filter = filter(&shared, which.kind.as_deref(), Some(&which.status))?;
    let mut statuses = filter.status.take().unwrap_or_default();
    statuses.retain(|status| *status != JobStatus::Pending);
    if statuses.is_empty() {
        return Err(conflict("jobs that are pending run already"));
    }
    filter.status = Some(statuses);
    caught_up(&shared).await?;
    let mut room = Room::of(&shared);
    let mut commands = Vec::new();
    let mut after = None;
    loop {
        let (rows, next) = piece(&shared, &filter, after)?;
        for (key, row) in rows.into_iter().filter(|(_, row)| room.take(&row.kind)) {
            let command = JobCommand {
                row_id: Some(row.id),
                run_id: Some(new_run()),
                status: Some(row.status),
                ..command_of(CommandAction::Retry, &row.kind, &caller)
            };
            commands.push((key, command));
        }
        after = next;
        if after.is_none() {
            break;
        }
    }
    let count = send_all(&shared, commands).await?;
    Ok((StatusCode::ACCEPTED, Json(CountView { count })))
}

fn wrong_body() -> Problem {
    let reason = "expected an object with `status`, and `kind` if it is wanted";
    Problem::bad_request(vec![FieldError::new("body", reason)])
}

/// How many runs of each kind may begin.
struct Room(BTreeMap<KindName, usize>);

impl Room {
    fn of(shared: &Shared) -> Self {
        let most = usize::try_from(shared.settings().max_pending).unwrap_or(usize::MAX);
        let pending = |kind: &KindName| shared.following().look(|views| views.rows.count(kind, JobStatus::Pending));
        let kinds = shared.settings().kinds.keys();
        Self(kinds.map(|kind| (kind.clone(), most.saturating_sub(pending(kind)))).collect())
    }

    fn take(&mut self, kind: &KindName) -> bool {
        let Some(room) = self.0.get_mut(kind).filter(|room| **room > 0) else { return false };
        *room -= 1;
        true
    }
}

/// Rows with their keys, and the id after which the next piece begins.
type Piece = (Vec<(RowKey, JobRow)>, Option<RowId>);

/// A piece of the rows. Views are locked only while it is taken.
fn piece(shared: &Shared, filter: &Filter, after: Option<RowId>) -> Result<Piece, Problem> {
    let codec = shared.process.codec();
    let rows = shared.following().look(|views| views.rows.page(codec, filter, after, MOST_IN_PIECE));
    let rows = rows.map_err(|error| unreadable(&error))?;
    let next = rows.last().filter(|_| rows.len() == MOST_IN_PIECE).map(|(_, row)| row.id);
    Ok((rows, next))
}

/// Sends commands about many rows, piece by piece.
async fn send_all(shared: &Shared, commands: Vec<(RowKey, JobCommand)>) -> Result<usize, Problem> {
    let count = commands.len();
    let mut commands = commands.into_iter();
    loop {
        let piece: Vec<(RowKey, JobCommand)> = commands.by_ref().take(MOST_IN_PIECE).collect();
        if piece.is_empty() {
            return Ok(count);
        }
        let context = shared.service.context.clone();
        let publish = move |output: &mut tributary_runtime::Output| {
            for (key, command) in &piece {
                context.command(output, *key, command);
            }
        };
        shared.service.intake.publish(publish).await?;
    }
}

/// Ends a run.
#[utoipa::path(post, path = "/api/admin/registry/jobs/{id}/cancel", tag = "registry",
    params(("id" = String, Path, description = "The id of the row")),
    responses((status = 200, description = "The job, failed", body = JobView),
        (status = 404, description = "No such job", body = Problem),
        (status = 409, description = "It has ended", body = Problem)))]
pub(super) async fn cancel(
    State(shared): Platform,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<JobView>, Problem> {
    let (key, row) = current(&shared, &id).await?;
    match command(&shared, &caller, CommandAction::Cancel, (key, &row)).await? {
        ReplyOutcome::Conflict => Err(conflict("the job has ended")),
        _ => shown(&shared, &id).await,
    }
}

/// Removes a row as a whole. What was audited stays.
#[utoipa::path(delete, path = "/api/admin/registry/jobs/{id}", tag = "registry",
    params(("id" = String, Path, description = "The id of the row")),
    responses((status = 204, description = "It is gone"),
        (status = 404, description = "No such job", body = Problem),
        (status = 409, description = "It is pending", body = Problem)))]
pub(super) async fn purge(
    State(shared): Platform,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let (key, row) = current(&shared, &id).await?;
    match command(&shared, &caller, CommandAction::Purge, (key, &row)).await? {
        ReplyOutcome::Conflict => Err(conflict("the job is pending: cancel it first")),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

/// Makes no further call of a kind, in any process. Calls under way go on.
#[utoipa::path(post, path = "/api/admin/registry/kinds/{kind}/pause", tag = "registry",
    params(("kind" = String, Path, description = "The kind")),
    responses((status = 200, description = "The kind", body = KindView),
        (status = 404, description = "No such kind", body = Problem)))]
pub(super) async fn pause(
    State(shared): Platform,
    caller: Caller,
    Path(kind): Path<String>,
) -> Result<Json<KindView>, Problem> {
    switch(&shared, &caller, &kind, CommandAction::Pause).await
}

/// Calls again.
#[utoipa::path(post, path = "/api/admin/registry/kinds/{kind}/resume", tag = "registry",
    params(("kind" = String, Path, description = "The kind")),
    responses((status = 200, description = "The kind", body = KindView),
        (status = 404, description = "No such kind", body = Problem)))]
pub(super) async fn resume(
    State(shared): Platform,
    caller: Caller,
    Path(kind): Path<String>,
) -> Result<Json<KindView>, Problem> {
    switch(&shared, &caller, &kind, CommandAction::Resume).await
}

async fn switch(
    shared: &Arc<Shared>,
    caller: &Caller,
    kind: &str,
    action: CommandAction,
) -> Result<Json<KindView>, Problem> {
    let known = kind.parse::<KindName>().ok().filter(|kind| shared.settings().kind(kind).is_some());
    let kind = known.ok_or_else(|| Problem::not_found("there is no such kind in the configuration"))?;
    let request = Uuid::new_v4().to_string();
    let command = JobCommand { request_id: Some(request.clone()), ..command_of(action, &kind, caller) };
    let mut awaited = shared.service.waiting.for_reply(request, Subject::Kind(kind.clone()));
    let context = shared.service.context.clone();
    shared.service.intake.publish(move |output| context.command_kind(output, &command)).await?;
    shared.service.reply(&mut awaited).await.ok_or_else(|| unavailable(LookupError::Unavailable))?;
    Ok(Json(kind_of(shared, &kind)))
}

/// Seals every row with the first key that is not sealed with it. A row that changes meanwhile is left for the next
/// time: all are done when this answers 0.
#[utoipa::path(post, path = "/api/admin/registry/rekey", tag = "registry",
    responses((status = 202, description = "How many are to be sealed", body = CountView),
        (status = 503, description = "A row cannot be opened", body = Problem)))]
pub(super) async fn rekey(State(shared): Platform, caller: Caller) -> Result<(StatusCode, Json<CountView>), Problem> {
    caught_up(&shared).await?;
    let (by, mut after, mut count) = (user(&caller), None, 0);
    loop {
        let (rows, next) = piece(&shared, &Filter::default(), after)?;
        let sealing = Arc::clone(&shared);
        // It takes the processor for a while.
        let sealed = tokio::task::spawn_blocking(move || reseal(&sealing, &rows, by)).await;
        let commands = sealed.map_err(|error| not_opened(&error))?;
        count += send_all(&shared, commands.map_err(|error| not_opened(&error))?).await?;
        after = next;
        if after.is_none() {
            return Ok((StatusCode::ACCEPTED, Json(CountView { count })));
        }
    }
}

fn not_opened(error: &dyn std::fmt::Display) -> Problem {
    Problem::unavailable("row_not_opened", error.to_string(), std::time::Duration::from_secs(10))
}

/// The commands that seal these rows with the first key.
fn reseal(shared: &Shared, rows: &[(RowKey, JobRow)], by: UserId) -> Result<Vec<(RowKey, JobCommand)>, SealError> {
    let now = Timestamp::now().as_millisecond();
    let command = |(key, row): &(RowKey, JobRow)| {
        let command = shared.service.vault.rekey(*key, row, by, now).transpose()?;
        Some(command.map(|command| (*key, command)))
    };
    rows.iter().filter_map(command).collect()
}
