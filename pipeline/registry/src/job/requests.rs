//! Requests: Step 1 (R 2.1), and what a request for a live run does (R 6).

use tributary_runtime::{Output, ProcessError};
use tributary_schemas::records::registry::{AuditAction, JobRow, JobStatus, LookupRequest, ReplyOutcome, Transition};
use tributary_schemas::records::registry_state::Job;
use tributary_schemas::types::registry::{KindName, RunId, UserId};

use super::JobStage;
use super::outputs::Actor;
use crate::configuration::CallSettings;
use crate::row_key::RowKey;

/// What begins a run.
pub(super) struct Beginning<'a> {
    pub(super) run: RunId,
    pub(super) user: UserId,
    pub(super) actor: Actor<'a>,
    pub(super) action: AuditAction,
    pub(super) now: i64,
}

impl JobStage {
    /// A person asks for a number.
    pub(super) fn request(
        &mut self,
        key: RowKey,
        request: &LookupRequest,
        output: &mut Output,
    ) -> Result<(), ProcessError> {
        let calls = self.calls_of(&request.kind)?;
        let Some(job) = self.job(key) else {
            if self.has_room(&request.kind, request.is_full) {
                let job = new_job(request);
                self.begin(key, job, &beginning(request), output);
            } else {
                self.refuse(request.request_id.as_deref(), &request.kind, output);
            }
            return Ok(());
        };
        check_kind(&job.row, &request.kind)?;
        let is_overdue = job.row.deadline_at.is_some_and(|deadline| deadline <= request.now);
        match (job.row.status, is_overdue) {
            (JobStatus::Pending, false) => self.join(key, job, request, output),
            (JobStatus::Pending, true) if job.row.restarts < calls.restarts => {
                let actor = actor(request);
                let mut job = Job { run_by: request.user, ..job };
                job.run_client.clone_from(&request.client);
                job.request_id.clone_from(&request.request_id);
                job.row.updated_by = request.user;
                job.row.updated_at = job.row.updated_at.max(request.now);
                self.audit(actor, &job.row, (AuditAction::Sync, "accepted", request.now), output);
                self.reply(actor.request, (ReplyOutcome::Accepted, Some(job.row.id)), output);
                self.restart(key, job, (request.run_id, request.now), output);
            }
            (JobStatus::Pending, true) => {
                let ended = self.expire(key, job, request.now, output);
                self.ask_again(key, ended, request, output);
            }
            _ => self.ask_again(key, job, request, output),
        }
        Ok(())
    }

    /// Step 1 for a row that is not pending.
    fn ask_again(&mut self, key: RowKey, job: Job, request: &LookupRequest, output: &mut Output) {
        if !self.has_room(&request.kind, request.is_full) {
            self.refuse(request.request_id.as_deref(), &request.kind, output);
            return;
        }
        let mut job = job;
        job.row.number.clone_from(&request.number);
        self.begin(key, job, &beginning(request), output);
    }

    /// The second request for a live run: who asks has triggered the row last, and nothing else changes.
    fn join(&mut self, key: RowKey, mut job: Job, request: &LookupRequest, output: &mut Output) {
        job.row.updated_by = request.user;
        job.row.updated_at = job.row.updated_at.max(request.now);
        let (actor, at) = (actor(request), job.row.updated_at);
        self.audit(actor, &job.row, (AuditAction::Join, "accepted", at), output);
        self.event(&job.row, Transition::Joined, at, output);
        self.reply(actor.request, (ReplyOutcome::Joined, Some(job.row.id)), output);
        self.put(key, job, output);
    }

    /// Step 1: the row is pending, and keeps what it knew (R 2.1). Its first call is open at once.
    pub(super) fn begin(&mut self, key: RowKey, mut job: Job, beginning: &Beginning<'_>, output: &mut Output) {
        let Beginning { run, user, actor, action, now } = *beginning;
        let deadline = self.context.settings.kind(&job.row.kind).map_or(0, |kind| kind.calls.deadline);
        let row = &mut job.row;
        row.status = JobStatus::Pending;
        row.run_id = run;
        row.updated_by = user;
        row.updated_at = row.updated_at.max(now);
        row.requested_at = now;
        row.attempt = 0;
        row.restarts = 0;
        row.next_attempt_at = None;
        row.deadline_at = Some(now.saturating_add(deadline));
        row.last_call_id = None;
        row.error = None;
        job.run_by = user;
        job.run_client = actor.client.map(str::to_owned);
        job.request_id = actor.request.map(str::to_owned);
        job.undecoded = false;
        let at = job.row.updated_at;
        self.audit(actor, &job.row, (action, "accepted", at), output);
        self.event(&job.row, Transition::Requested, at, output);
        self.reply(actor.request, (ReplyOutcome::Accepted, Some(job.row.id)), output);
        self.open_call(key, &job, output);
        self.put(key, job, output);
    }

    /// Whether one more row of a kind may be pending. The sender knows how many are in other partitions.
    pub(super) fn has_room(&self, kind: &KindName, is_full: bool) -> bool {
        !is_full && self.pending(kind) < self.context.settings.max_pending
    }

    fn calls_of(&self, kind: &KindName) -> Result<CallSettings, ProcessError> {
        let known = self.context.settings.kind(kind).map(|kind| kind.calls);
        known.ok_or_else(|| {
            ProcessError::dead_letter("unknown-kind", format!("[registry.job.{kind}] is not in the configuration"))
        })
    }
}

/// The kind is part of what the key is a hash of.
fn check_kind(row: &JobRow, kind: &KindName) -> Result<(), ProcessError> {
    if row.kind == *kind {
        return Ok(());
    }
    let text = format!("the row is of the kind {}, and the request of the kind {kind}", row.kind);
    Err(ProcessError::dead_letter("other-kind", text))
}

fn actor(request: &LookupRequest) -> Actor<'_> {
    let (client, id) = (request.client.as_deref(), request.request_id.as_deref());
    Actor { user: Some(request.user), client, request: id }
}

fn beginning(request: &LookupRequest) -> Beginning<'_> {
    let LookupRequest { run_id: run, user, now, .. } = *request;
    Beginning { run, user, actor: actor(request), action: AuditAction::Sync, now }
}

fn new_job(request: &LookupRequest) -> Job {
    let LookupRequest { row_id, run_id, user, now, .. } = *request;
    let row = JobRow {
        number: request.number.clone(),
        inserted_at: now,
        updated_at: now,
        ..JobRow::of(request.kind.clone(), row_id, run_id, user, user)
    };
    Job::of(row, user)
}
