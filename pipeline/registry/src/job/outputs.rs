//! What the stage sends: rows, calls, events, audit entries and replies.

use tributary_runtime::{Output, Topic};
use tributary_schemas::records::registry::{
    AuditAction, AuditEntry, Call, JobEvent, JobRow, Reply, ReplyOutcome, Transition,
};
use tributary_schemas::records::registry_state::Job;
use tributary_schemas::types::registry::{KindName, RowId, UserId};

use super::JobStage;
use crate::row_key::RowKey;
use crate::topics;

/// The actor of what nobody has asked for.
const SYSTEM: &str = "system";

/// Who acts, through which client, with which HTTP request.
#[derive(Clone, Copy)]
pub(super) struct Actor<'a> {
    pub(super) user: Option<UserId>,
    pub(super) client: Option<&'a str>,
    pub(super) request: Option<&'a str>,
}

impl<'a> Actor<'a> {
    /// The flow itself.
    pub(super) const SYSTEM: Actor<'static> = Actor { user: None, client: None, request: None };

    /// Who has triggered the run.
    pub(super) fn of_run(job: &'a Job) -> Self {
        Self { user: Some(job.run_by), client: job.run_client.as_deref(), request: job.request_id.as_deref() }
    }
}

impl JobStage {
    pub(super) fn send_row(&self, key: RowKey, row: &JobRow, output: &mut Output) {
        self.context.send(output, &topics::ROW, &key.to_string(), row);
    }

    /// Opens the next call of a run. It replaces one that is open.
    pub(super) fn open_call(&self, key: RowKey, job: &Job, output: &mut Output) {
        let row = &job.row;
        let call = Call {
            attempt: row.attempt + 1,
            number: row.number.clone(),
            deadline_at: row.deadline_at.unwrap_or_default(),
            ..Call::of(row.kind.clone(), row.run_id, job.run_by)
        };
        if let Some(topic) = self.call_topic(&row.kind) {
            self.context.send(output, topic, &key.to_string(), &call);
        }
    }

    /// Ends a call, whether or not it is under way.
    pub(super) fn close_call(&self, key: RowKey, kind: &KindName, output: &mut Output) {
        if let Some(topic) = self.call_topic(kind) {
            output.tombstone(topic, key.to_string().as_bytes());
        }
    }

    /// A kind that has left the configuration has none: its calls are made by nobody. If it comes back, the answers of
    /// those that were open are late.
    fn call_topic(&self, kind: &KindName) -> Option<&'static Topic> {
        self.context.settings.kind(kind).map(|kind| kind.call_topic)
    }

    pub(super) fn event(&self, row: &JobRow, transition: Transition, at: i64, output: &mut Output) {
        let event = JobEvent {
            transition,
            row_id: Some(row.id),
            at,
            attempt: row.attempt,
            error: row.error.clone(),
            ..JobEvent::of(row.kind.clone(), row.run_id)
        };
        self.context.send(output, &topics::EVENT, &row.id.to_string(), &event);
    }

    pub(super) fn audit(
        &self,
        actor: Actor<'_>,
        row: &JobRow,
        (action, outcome, at): (AuditAction, &str, i64),
        output: &mut Output,
    ) {
        let entry = AuditEntry {
            at,
            actor: actor.user.map_or_else(|| SYSTEM.to_owned(), |user| user.to_string()),
            client: actor.client.map(str::to_owned),
            action,
            resource: format!("{}_info", row.kind),
            resource_id: Some(row.id),
            outcome: outcome.to_owned(),
            request_id: actor.request.map(str::to_owned),
        };
        self.context.send(output, &topics::AUDIT, &row.id.to_string(), &entry);
    }

    /// Tells whoever waits what has become of a request.
    pub(super) fn reply(
        &self,
        request: Option<&str>,
        (outcome, row): (ReplyOutcome, Option<RowId>),
        output: &mut Output,
    ) {
        self.send_reply(request, &Reply { outcome, row_id: row, retry_after: None }, output);
    }

    /// Tells whoever waits that there is no room. A call that is under way ends within its time, and makes room.
    pub(super) fn refuse(&self, request: Option<&str>, kind: &KindName, output: &mut Output) {
        let timeout = self.context.settings.kind(kind).map_or(1000, |kind| kind.calls.timeout);
        let retry_after = Some((timeout.saturating_add(999) / 1000).max(1));
        self.send_reply(request, &Reply { outcome: ReplyOutcome::Refused, row_id: None, retry_after }, output);
    }

    fn send_reply(&self, request: Option<&str>, reply: &Reply, output: &mut Output) {
        if let Some(request) = request {
            self.context.send(output, &topics::REPLY, request, reply);
        }
    }
}
