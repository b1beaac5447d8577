//! Commands of operators.

use tributary_runtime::{Output, ProcessError, Record};
use tributary_schemas::records::registry::{
    AuditAction, CommandAction, ErrorClass, JobCommand, JobStatus, KindState, ReplyOutcome, Transition,
};
use tributary_schemas::records::registry_state::Job;

use super::due::own_error;
use super::outputs::Actor;
use super::requests::Beginning;
use super::{JobStage, has_open_call};
use crate::context::is_about_kind;
use crate::row_key::RowKey;
use crate::topics;

impl JobStage {
    pub(super) fn command(
        &mut self,
        record: &Record<'_>,
        command: &JobCommand,
        output: &mut Output,
    ) -> Result<(), ProcessError> {
        if is_about_kind(command.action) {
            self.pause(command, output);
            return Ok(());
        }
        let key = RowKey::of(record)?;
        // The same number may have another row by now.
        let is_meant = |job: &Job| command.row_id.is_none_or(|id| id == job.row.id);
        let Some(job) = self.job(key).filter(is_meant) else {
            self.reply(command.request_id.as_deref(), (ReplyOutcome::Absent, None), output);
            return Ok(());
        };
        let id = job.row.id;
        let outcome = match command.action {
            CommandAction::Retry => return self.retry(key, job, command, output),
            CommandAction::Cancel => self.cancel(key, job, command, output),
            CommandAction::Purge => self.purge_now(key, &job, command, output),
            CommandAction::Rekey => self.rekey(key, job, command.clone(), output),
            CommandAction::Pause | CommandAction::Resume => ReplyOutcome::Absent,
        };
        self.reply(command.request_id.as_deref(), (outcome, Some(id)), output);
        Ok(())
    }

    /// A new run: Step 1 by the operator.
    fn retry(&mut self, key: RowKey, job: Job, command: &JobCommand, output: &mut Output) -> Result<(), ProcessError> {
        let Some(run) = command.run_id else {
            return Err(ProcessError::dead_letter("incomplete-command", "a retry needs the id of its run"));
        };
        let has_wanted = command.status.is_none_or(|status| status == job.row.status);
        if job.row.status == JobStatus::Pending || !has_wanted {
            let request = command.request_id.as_deref();
            self.reply(request, (ReplyOutcome::Conflict, Some(job.row.id)), output);
            return Ok(());
        }
        if self.context.settings.kind(&job.row.kind).is_none() || !self.has_room(&job.row.kind, command.is_full) {
            // Nobody waits for the reply to one of many retries, so the audit says it.
            let at = command.now.max(job.row.updated_at);
            self.audit(actor(command), &job.row, (AuditAction::Denied, "SERVICE_UNAVAILABLE", at), output);
            self.refuse(command.request_id.as_deref(), &job.row.kind, output);
            return Ok(());
        }
        let (actor, action) = (actor(command), AuditAction::Retry);
        let beginning = Beginning { run, user: command.by, actor, action, now: command.now };
        self.begin(key, job, &beginning, output);
        Ok(())
    }

    /// Ends a live run. Its open call is left to its time-out, and its answer will be late.
    fn cancel(&mut self, key: RowKey, mut job: Job, command: &JobCommand, output: &mut Output) -> ReplyOutcome {
        if job.row.status != JobStatus::Pending {
            return ReplyOutcome::Conflict;
        }
        let at = command.now.max(job.row.updated_at);
        self.audit(actor(command), &job.row, (AuditAction::Cancel, "cancelled", at), output);
        self.close_call(key, &job.row.kind, output);
        job.row.error = Some(own_error(ErrorClass::Cancelled, "cancelled", true));
        self.end(key, job, (JobStatus::Failed, Transition::Cancelled, at), output);
        ReplyOutcome::Done
    }

    fn purge_now(&mut self, key: RowKey, job: &Job, command: &JobCommand, output: &mut Output) -> ReplyOutcome {
        if job.row.status == JobStatus::Pending {
            return ReplyOutcome::Conflict;
        }
        self.purge(key, job, (actor(command), command.now.max(job.row.updated_at)), output);
        ReplyOutcome::Done
    }

    /// Puts in what was sealed with another key, unless the row has changed since. Nothing else changes.
    fn rekey(&mut self, key: RowKey, mut job: Job, command: JobCommand, output: &mut Output) -> ReplyOutcome {
        let has_info = job.row.info.is_some() == command.info.is_some();
        let (Some(number), true) = (command.number, has_info) else { return ReplyOutcome::Conflict };
        if command.version != Some(job.row.version) {
            return ReplyOutcome::Conflict;
        }
        job.row.number = number;
        job.row.info = command.info;
        if has_open_call(&job.row) {
            self.open_call(key, &job, output);
        }
        self.put(key, job, output);
        ReplyOutcome::Done
    }

    /// Whether calls of a kind are made. It survives restarts.
    fn pause(&mut self, command: &JobCommand, output: &mut Output) {
        let state = KindState {
            paused: command.action == CommandAction::Pause,
            changed_by: Some(command.by),
            changed_at: command.now,
            ..KindState::of(command.kind.clone())
        };
        self.context.send(output, &topics::KIND, command.kind.as_str(), &state);
        self.kinds.put(command.kind.clone(), state);
        self.reply(command.request_id.as_deref(), (ReplyOutcome::Done, None), output);
    }
}

fn actor(command: &JobCommand) -> Actor<'_> {
    let (client, request) = (command.client.as_deref(), command.request_id.as_deref());
    Actor { user: Some(command.by), client, request }
}
