//! Outcomes of calls: Steps 3 to 5 (R 2.3), and whether a run goes on.

use tributary_runtime::{Output, ProcessError};
use tributary_schemas::records::registry::{
    AuditAction, CallAnswer, CallError, CallOutcome, ErrorClass, JobEvent, JobStatus, Transition,
};
use tributary_schemas::records::registry_state::Job;

use super::outputs::Actor;
use super::{JobStage, has_open_call};
use crate::row_key::RowKey;
use crate::topics;
use crate::waiting::wait;

impl JobStage {
    /// What has become of a call. Only the open call of the live run counts.
    pub(super) fn answer(&mut self, key: RowKey, answer: CallAnswer, output: &mut Output) -> Result<(), ProcessError> {
        let job = self.job(key);
        let is_open = |job: &Job| {
            has_open_call(&job.row) && job.row.run_id == answer.run_id && job.row.attempt + 1 == answer.attempt
        };
        let Some(mut job) = job.clone().filter(is_open) else {
            self.late(job.as_ref(), &answer, output);
            return Ok(());
        };
        let now = answer.now.max(job.row.updated_at);
        job.row.attempt += 1;
        job.row.last_call_id = answer.call_id;
        self.close_call(key, &job.row.kind, output);
        match (answer.outcome, answer.info, answer.error) {
            (CallOutcome::Found, Some(info), _) => self.processed(key, job, Some(info), now, output),
            (CallOutcome::Empty, ..) => self.processed(key, job, None, now, output),
            (CallOutcome::Failed, _, Some(error)) => {
                self.failed(key, job, (error, answer.retry_after), answer.now, output);
            }
            (CallOutcome::Found | CallOutcome::Failed, ..) => {
                let text = "an answer has neither data nor an error";
                return Err(ProcessError::dead_letter("incomplete-answer", text));
            }
        }
        Ok(())
    }

    /// An answer of another run, of a call that has an outcome, or about a row that is gone. It is counted.
    fn late(&self, job: Option<&Job>, answer: &CallAnswer, output: &mut Output) {
        let row_id = job.map(|job| job.row.id);
        let event = JobEvent {
            transition: Transition::LateAnswer,
            row_id,
            at: answer.now,
            attempt: answer.attempt,
            ..JobEvent::of(answer.kind.clone(), answer.run_id)
        };
        let key = row_id.map_or_else(String::new, |id| id.to_string());
        self.context.send(output, &topics::EVENT, &key, &event);
    }

    /// Steps 3 and 4: data, or null also over older data.
    fn processed(&mut self, key: RowKey, mut job: Job, info: Option<Vec<u8>>, now: i64, output: &mut Output) {
        let transition = if info.is_some() { Transition::Processed } else { Transition::NotFound };
        job.row.info = info;
        job.row.synced_at = Some(now);
        job.row.error = None;
        self.end(key, job, (JobStatus::Processed, transition, now), output);
    }

    /// A call has failed: the run waits for the next one, or has failed with it.
    fn failed(
        &mut self,
        key: RowKey,
        mut job: Job,
        (error, retry_after): (CallError, Option<i64>),
        now: i64,
        output: &mut Output,
    ) {
        let is_undecoded = error.error_class == ErrorClass::Decode;
        // What cannot be read is asked for once more in a run.
        let is_last = !error.retryable || (is_undecoded && job.undecoded);
        job.undecoded |= is_undecoded;
        job.row.error = Some(error);
        let calls = self.context.settings.kind(&job.row.kind).map(|kind| kind.calls);
        let calls = calls.filter(|calls| !is_last && job.row.attempt < calls.attempts);
        let Some(calls) = calls else {
            // Step 5: the data of an earlier run stays.
            let now = now.max(job.row.updated_at);
            let is_ours = job.row.error.as_ref().is_some_and(|error| error.error_class == ErrorClass::Internal);
            let (status, transition) = if is_ours {
                (JobStatus::FailedWithError, Transition::FailedWithError)
            } else {
                (JobStatus::Failed, Transition::Failed)
            };
            self.end(key, job, (status, transition, now), output);
            return;
        };
        let asked = retry_after.unwrap_or_default().clamp(0, calls.wait_cap);
        let pause = wait(&calls, job.row.run_id, job.row.attempt).max(asked);
        job.row.next_attempt_at = Some(now.saturating_add(pause));
        self.event(&job.row, Transition::Retrying, now, output);
        self.put(key, job, output);
    }

    /// Ends a run. Returns its row as it is kept.
    pub(super) fn end(
        &mut self,
        key: RowKey,
        mut job: Job,
        (status, transition, now): (JobStatus, Transition, i64),
        output: &mut Output,
    ) {
        let row = &mut job.row;
        row.status = status;
        row.updated_at = row.updated_at.max(now);
        row.next_attempt_at = None;
        row.deadline_at = None;
        let at = row.updated_at;
        self.audit(Actor::of_run(&job), &job.row, (AuditAction::Outcome, status.symbol(), at), output);
        self.event(&job.row, transition, at, output);
        self.put(key, job, output);
    }
}
