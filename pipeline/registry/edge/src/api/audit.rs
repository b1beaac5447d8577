//! The audit, read from its topic when it is asked for.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use tributary_flow::Process;
use tributary_flow::http::{FieldError, Page, Problem};
use tributary_registry::topics;
use tributary_runtime::{LogError, TopicFollower, TopicPartition};
use tributary_schemas::records::registry::{AuditAction, AuditEntry};
use tributary_schemas::types::registry::RowId;
use utoipa::IntoParams;

use super::views::AuditList;
use super::{Platform, parsed};

/// Entries of a partition that one request looks through.
const MOST_LOOKED_THROUGH: usize = 50_000;

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// The id of a row.
    resource_id: Option<String>,
    /// A user, or `system`.
    actor: Option<String>,
    /// What was done.
    action: Option<String>,
}

struct Wanted {
    row: Option<RowId>,
    actor: Option<String>,
    action: Option<AuditAction>,
}

impl Wanted {
    fn of(asked: Asked) -> Result<Self, Problem> {
        let row = asked.resource_id.map(|text| parsed("resource_id", &text)).transpose()?;
        let action = asked.action.map(|text| {
            AuditAction::from_symbol(&text).ok_or_else(|| {
                let known: Vec<&str> = AuditAction::ALL.iter().map(|action| action.symbol()).collect();
                let reason = format!("expected one of {}", known.join(", "));
                Problem::bad_request(vec![FieldError::new("action", reason)])
            })
        });
        Ok(Self { row, actor: asked.actor, action: action.transpose()? })
    }

    fn fits(&self, entry: &AuditEntry) -> bool {
        self.row.is_none_or(|row| entry.resource_id == Some(row))
            && self.actor.as_ref().is_none_or(|actor| entry.actor == *actor)
            && self.action.is_none_or(|action| entry.action == action)
    }
}

/// Who has done what, from the oldest.
#[utoipa::path(get, path = "/api/admin/registry/audit", tag = "registry", params(Asked, Page),
    responses((status = 200, description = "A piece of the audit. It may be short although there is a next one",
            body = AuditList),
        (status = 400, description = "A wrong parameter", body = Problem)))]
pub(super) async fn list(
    State(shared): Platform,
    Query(asked): Query<Asked>,
    page: Page,
) -> Result<Json<AuditList>, Problem> {
    let wanted = Wanted::of(asked)?;
    let offsets = offsets_of(page.cursor.as_deref(), shared.process.flow_partitions())?;
    let process = std::sync::Arc::clone(&shared.process);
    let reading = tokio::task::spawn_blocking(move || read(&*process, &wanted, offsets, page.limit));
    let failed = |reason: String| Problem::unavailable("audit_unreadable", reason, std::time::Duration::from_secs(1));
    let list = reading.await.map_err(|error| failed(error.to_string()))?;
    Ok(Json(list.map_err(|error| failed(error.to_string()))?))
}

/// A cursor has the next offset of each partition.
fn offsets_of(cursor: Option<&str>, partitions: i32) -> Result<Vec<i64>, Problem> {
    let count = usize::try_from(partitions).unwrap_or_default();
    let Some(cursor) = cursor else { return Ok(vec![0; count]) };
    let offsets: Result<Vec<i64>, Problem> = cursor.split('.').map(|offset| parsed("cursor", offset)).collect();
    let offsets = offsets?;
    if offsets.len() != count || offsets.iter().any(|offset| *offset < 0) {
        return Err(Problem::bad_request(vec![FieldError::new("cursor", "it does not have the form")]));
    }
    Ok(offsets)
}

/// The entries of a partition that fit, with the offset after each.
struct Piece {
    entries: VecDeque<(AuditEntry, i64)>,
    /// The offset after all that was looked through.
    after: i64,
    /// Whether there is more beyond it.
    has_more: bool,
}

fn read(process: &dyn Process, wanted: &Wanted, offsets: Vec<i64>, most: usize) -> Result<AuditList, LogError> {
    let follower = process.follower()?;
    let numbered = (0..).zip(offsets);
    let pieces = numbered.map(|(number, from)| piece(process, &*follower, wanted, (number, from, most)));
    let mut pieces: Vec<Piece> = pieces.collect::<Result<_, _>>()?;
    let first = |index: usize, piece: &Piece| piece.entries.front().map(|(entry, _)| Reverse((entry.at, index)));
    let mut oldest: BinaryHeap<_> =
        pieces.iter().enumerate().filter_map(|(index, piece)| first(index, piece)).collect();
    let mut entries = Vec::new();
    // What a partition has beyond may be older than what others have.
    let is_unknown = pieces.iter().any(|piece| piece.entries.is_empty() && piece.has_more);
    while !is_unknown
        && entries.len() < most
        && let Some(Reverse((_, index))) = oldest.pop()
    {
        let piece = &mut pieces[index];
        entries.extend(piece.entries.pop_front().map(|(entry, _)| entry.into()));
        match first(index, piece) {
            Some(next) => oldest.push(next),
            // What follows may be older than what other partitions have.
            None if piece.has_more => break,
            None => {}
        }
    }
    let is_last = pieces.iter().all(|piece| piece.entries.is_empty() && !piece.has_more);
    let next = pieces.iter().map(|piece| piece.next().to_string()).collect::<Vec<_>>().join(".");
    Ok(AuditList { entries, next: (!is_last).then_some(next) })
}

impl Piece {
    /// From where the next request goes on.
    fn next(&self) -> i64 {
        self.entries.front().map_or(self.after, |(_, offset)| *offset)
    }
}

fn piece(
    process: &dyn Process,
    follower: &dyn TopicFollower,
    wanted: &Wanted,
    (number, from, most): (i32, i64, usize),
) -> Result<Piece, LogError> {
    let partition = TopicPartition { topic: topics::AUDIT.name, partition: number };
    let mut piece = Piece { entries: VecDeque::new(), after: from, has_more: false };
    let mut looked_through = 0;
    let read = follower.read_from(partition, from, &mut |record| {
        if looked_through == MOST_LOOKED_THROUGH || piece.entries.len() == most {
            piece.has_more = true;
            return Err(LogError::unavailable("enough was read"));
        }
        looked_through += 1;
        piece.after = record.offset + 1;
        let entry: Option<AuditEntry> = record.value.and_then(|value| process.codec().open(value).ok()?.read().ok());
        piece.entries.extend(entry.filter(|entry| wanted.fits(entry)).map(|entry| (entry, record.offset)));
        Ok(())
    });
    match read {
        // What stood there has left the log.
        Err(LogError::Truncated(_) | LogError::OffsetOutOfRange(_)) if from > 0 => {
            self::piece(process, follower, wanted, (number, 0, most))
        }
        Err(error) if !piece.has_more => Err(error),
        _ => Ok(piece),
    }
}
