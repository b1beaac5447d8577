//! What is due: further calls, deadlines, purges. Time comes with records.

use tributary_runtime::{Headers, Output};
use tributary_schemas::records::registry::{AuditAction, CallError, ErrorClass, JobStatus, Transition};
use tributary_schemas::records::registry_state::Job;
use tributary_schemas::records::tributary::Clock;
use tributary_schemas::types::registry::{ErrorCode, RunId};

use super::JobStage;
use super::outputs::Actor;
use crate::row_key::RowKey;
use crate::topics;

/// Rows that one record of the clock moves, so that no transaction grows with what has gathered. The rest stays due,
/// and the next record moves it.
pub(super) const MOST_AT_ONCE: usize = 1000;

impl JobStage {
    /// Does what is due, unless the clock is in doubt.
    pub(super) fn clock(&mut self, clock: &Clock, output: &mut Output) {
        if clock.held_because.is_some() {
            return;
        }
        let now = clock.now;
        output.set_headers(Headers::default());
        let due: Vec<RowKey> = until(self.due.iter(), now).take(MOST_AT_ONCE).collect();
        for key in due {
            if let Some(job) = self.job(key) {
                self.move_on(key, job, now, output);
            }
        }
        let Some(purge_after) = self.context.settings.purge_after else { return };
        let purged: Vec<RowKey> =
            until(self.ended.iter(), now.saturating_sub(purge_after)).take(MOST_AT_ONCE).collect();
        for key in purged {
            if let Some(job) = self.job(key) {
                self.purge(key, &job, (Actor::SYSTEM, now), output);
            }
        }
    }

    fn move_on(&mut self, key: RowKey, mut job: Job, now: i64, output: &mut Output) {
        let calls = self.context.settings.kind(&job.row.kind).map(|kind| kind.calls);
        let is_overdue = job.row.deadline_at.is_none_or(|deadline| deadline <= now);
        match calls {
            // The kind has left the configuration, so nobody makes its calls.
            None => {
                let error = own_error(ErrorClass::Internal, "unknown_kind", false);
                self.end_with(key, job, error, now, output);
            }
            Some(calls) if is_overdue && job.row.restarts < calls.restarts => {
                let next = job.row.run_id.next();
                self.restart(key, job, (next, now), output);
            }
            Some(_) if is_overdue => drop(self.expire(key, job, now, output)),
            Some(_) => {
                job.row.next_attempt_at = None;
                self.open_call(key, &job, output);
                self.put(key, job, output);
            }
        }
    }

    /// Starts a run again, for the same request: with another id, all its calls and a new deadline.
    pub(super) fn restart(&mut self, key: RowKey, mut job: Job, (run, now): (RunId, i64), output: &mut Output) {
        let deadline = self.context.settings.kind(&job.row.kind).map_or(0, |kind| kind.calls.deadline);
        job.row.run_id = run;
        job.row.attempt = 0;
        job.row.restarts += 1;
        job.row.next_attempt_at = None;
        job.row.deadline_at = Some(now.saturating_add(deadline));
        job.undecoded = false;
        self.event(&job.row, Transition::Restarted, now, output);
        self.open_call(key, &job, output);
        self.put(key, job, output);
    }

    /// Ends a run whose time is over. Returns its row as it is kept.
    pub(super) fn expire(&mut self, key: RowKey, job: Job, now: i64, output: &mut Output) -> Job {
        let ended = job.clone();
        self.end_with(key, job, own_error(ErrorClass::Deadline, "deadline", true), now, output);
        self.job(key).unwrap_or(ended)
    }

    /// Ends a run with an error of our side.
    fn end_with(&mut self, key: RowKey, mut job: Job, error: CallError, now: i64, output: &mut Output) {
        job.row.error = Some(error);
        self.close_call(key, &job.row.kind, output);
        self.end(key, job, (JobStatus::FailedWithError, Transition::FailedWithError, now), output);
    }

    /// Removes a row as a whole. What was audited stays.
    pub(super) fn purge(&mut self, key: RowKey, job: &Job, (actor, now): (Actor<'_>, i64), output: &mut Output) {
        self.audit(actor, &job.row, (AuditAction::Purge, "purged", now), output);
        self.event(&job.row, Transition::Purged, now, output);
        output.tombstone(&topics::ROW, key.to_string().as_bytes());
        self.remove(key);
    }
}

/// An error that no register has told.
pub(super) fn own_error(error_class: ErrorClass, code: &str, retryable: bool) -> CallError {
    CallError { error_class, code: ErrorCode::of(code), retryable, id: None }
}

/// The rows whose time has come.
fn until<'s>(index: impl Iterator<Item = (&'s (i64, RowKey), &'s ())>, now: i64) -> impl Iterator<Item = RowKey> {
    index.map(|(key, ())| *key).take_while(move |(at, _)| *at <= now).map(|(_, key)| key)
}
