//! What operators see. Nothing has a number or an answer of a register.

use jiff::Timestamp;
use serde::Serialize;
use tributary_registry::caller::BreakerState;
use tributary_registry::configuration::StatusNames;
use tributary_schemas::records::registry::{AuditEntry, CallError, JobRow};
use tributary_schemas::types::registry::KindName;
use utoipa::ToSchema;

use crate::calling::CallsOfKind;

/// A time as RFC 3339, with milliseconds.
fn time(at: i64) -> String {
    Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |at| format!("{at:.3}"))
}

/// A job.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobView {
    /// The id of its row.
    id: String,
    /// Its kind.
    kind: String,
    /// Its status, as the configuration names it.
    status: String,
    /// Calls of the run that have ended.
    attempt: i32,
    /// The id of its run.
    run: String,
    /// How often the run has started again.
    restarts: i32,
    /// When the run was asked for.
    requested_at: String,
    /// When the next call is due. Null while a call is open, and after the end.
    next_attempt_at: Option<String>,
    /// When the run ends at the latest. Null after the end.
    deadline_at: Option<String>,
    /// When the register has answered last.
    synced_at: Option<String>,
    /// When the row has changed.
    updated_at: String,
    /// Who has made the row.
    inserted_by: String,
    /// Who has triggered or joined its run last.
    updated_by: String,
    /// The id of the last call, as the register knows it.
    request_id: Option<String>,
    /// The error of the last call, or of the run.
    error: Option<ErrorView>,
}

/// An error.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorView {
    /// Where it comes from.
    class: &'static str,
    /// What it is.
    code: String,
    /// Whether another call may succeed.
    retryable: bool,
    /// The id under which the security server knows it.
    id: Option<String>,
}

impl ErrorView {
    fn of(error: &CallError) -> Self {
        Self {
            class: error.error_class.symbol(),
            code: error.code.to_string(),
            retryable: error.retryable,
            id: error.id.as_ref().map(ToString::to_string),
        }
    }
}

impl JobView {
    pub(super) fn of(row: &JobRow, statuses: &StatusNames) -> Self {
        Self {
            id: row.id.to_string(),
            kind: row.kind.to_string(),
            status: statuses.name(row.status).to_owned(),
            attempt: row.attempt,
            run: row.run_id.to_string(),
            restarts: row.restarts,
            requested_at: time(row.requested_at),
            next_attempt_at: row.next_attempt_at.map(time),
            deadline_at: row.deadline_at.map(time),
            synced_at: row.synced_at.map(time),
            updated_at: time(row.updated_at),
            inserted_by: row.inserted_by.to_string(),
            updated_by: row.updated_by.to_string(),
            request_id: row.last_call_id.map(|id| id.to_string()),
            error: row.error.as_ref().map(ErrorView::of),
        }
    }
}

/// A piece of the list of jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobList {
    /// The jobs.
    pub(super) jobs: Vec<JobView>,
    /// The cursor of the next piece. Null after the last.
    pub(super) next: Option<String>,
}

/// A kind of jobs. Breaker and calls are those of the process that answers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KindView {
    /// Its name.
    kind: String,
    /// Whether an operator has stopped its calls.
    paused: bool,
    /// `closed`, `open` or `half_open`.
    breaker: &'static str,
    /// Calls under way.
    in_flight: usize,
    /// Rows that are pending.
    pending: usize,
}

impl KindView {
    pub(super) fn new(kind: &KindName, paused: bool, pending: usize, calls: Option<&CallsOfKind>) -> Self {
        let breaker = match calls.map(|calls| calls.breaker) {
            None | Some(BreakerState::Closed) => "closed",
            Some(BreakerState::Open) => "open",
            Some(BreakerState::HalfOpen) => "half_open",
        };
        let in_flight = calls.map_or(0, |calls| calls.in_flight);
        Self { kind: kind.to_string(), paused, breaker, in_flight, pending }
    }
}

/// How many rows are acted on.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CountView {
    /// Rows.
    pub(super) count: usize,
}

/// An entry of the audit.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditView {
    /// When.
    at: String,
    /// The user, or `system`.
    actor: String,
    /// The client.
    client: Option<String>,
    /// What was done.
    action: &'static str,
    /// What it was done to.
    resource: String,
    /// The id of the row.
    resource_id: Option<String>,
    /// What has become of it.
    outcome: String,
    /// The request.
    request_id: Option<String>,
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        Self {
            at: time(entry.at),
            actor: entry.actor,
            client: entry.client,
            action: entry.action.symbol(),
            resource: entry.resource,
            resource_id: entry.resource_id.map(|id| id.to_string()),
            outcome: entry.outcome,
            request_id: entry.request_id,
        }
    }
}

/// A piece of the audit.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditList {
    /// The entries, from the oldest.
    pub(super) entries: Vec<AuditView>,
    /// The cursor of the next piece. Null after the last.
    pub(super) next: Option<String>,
}
