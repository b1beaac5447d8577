//! What operators want.

use tributary_schemas::records::registry::{
    AuditAction, AuditEntry, CommandAction, ErrorClass, JobCommand, JobStatus, KindState, ReplyOutcome, Transition,
};

use super::{check_indexes, give, only};
use crate::harness::{self, Harness, NOW, command, error, failed, found, request, run, user};
use crate::job::JobStage;
use crate::topics;

/// A stage with a row that has failed.
fn with_failed() -> Harness<JobStage> {
    let mut stage = harness::stage("");
    give(&mut stage, &request(1, 1, NOW));
    give(&mut stage, &failed(run(1), 1, error(ErrorClass::Fault, "Client", false), NOW + 10));
    stage
}

#[test]
fn a_retry_is_a_new_run_and_step_1_by_the_operator() {
    let mut stage = with_failed();
    let retried = give(&mut stage, &command(CommandAction::Retry, NOW + 100));
    let row = only(&retried);
    assert_eq!((row.status, row.run_id, row.updated_by), (JobStatus::Pending, run(900), user(9)));
    assert_eq!((row.inserted_by, row.updated_at), (user(1), NOW + 100));
    assert_eq!((retried.calls.len(), retried.calls[0].user), (1, user(9)));
    assert_eq!(retried.audit, [(AuditAction::Retry, "accepted".to_owned())]);
    assert_eq!(retried.replies, [ReplyOutcome::Accepted]);
    let pending = give(&mut stage, &command(CommandAction::Retry, NOW + 101));
    assert_eq!((pending.replies, pending.rows.len(), pending.calls.len()), (vec![ReplyOutcome::Conflict], 0, 0));
    check_indexes(&mut stage);
}

#[test]
fn a_bulk_retry_leaves_rows_alone_that_have_another_status_by_now() {
    let mut stage = with_failed();
    let of = |status| JobCommand { status: Some(status), ..command(CommandAction::Retry, NOW + 100) };
    assert_eq!(give(&mut stage, &of(JobStatus::FailedWithError)).replies, [ReplyOutcome::Conflict]);
    assert_eq!(give(&mut stage, &of(JobStatus::Failed)).replies, [ReplyOutcome::Accepted]);
}

#[test]
fn a_retry_without_room_is_refused() {
    let mut stage = with_failed();
    let full = JobCommand { is_full: true, ..command(CommandAction::Retry, NOW + 100) };
    let refused = give(&mut stage, &full);
    assert_eq!((refused.replies, refused.rows.len()), (vec![ReplyOutcome::Refused], 0));
    // One of many has no reply, and leaves this trace.
    let of_many = JobCommand { request_id: None, ..full };
    let denied = vec![(AuditAction::Denied, "SERVICE_UNAVAILABLE".to_owned())];
    assert_eq!((give(&mut stage, &of_many).audit, refused.audit), (denied.clone(), denied));
}

#[test]
fn cancel_ends_a_live_run_and_its_answer_is_late() {
    let mut stage = harness::stage("");
    give(&mut stage, &request(1, 1, NOW));
    let cancelled = give(&mut stage, &command(CommandAction::Cancel, NOW + 100));
    let row = only(&cancelled);
    let why = row.error.clone().unwrap();
    assert_eq!((row.status, why.error_class, row.updated_by), (JobStatus::Failed, ErrorClass::Cancelled, user(1)));
    assert_eq!((cancelled.ended, cancelled.replies), (1, vec![ReplyOutcome::Done]));
    let audit = [(AuditAction::Cancel, "cancelled".to_owned()), (AuditAction::Outcome, "failed".to_owned())];
    assert_eq!((cancelled.audit.as_slice(), cancelled.transitions), (&audit[..], vec![Transition::Cancelled]));
    let actor = &stage.read::<AuditEntry>(&cancelled.sent)[0].actor;
    assert_eq!(actor, &user(9).to_string());
    assert_eq!(give(&mut stage, &found(run(1), 1, Some("x"), NOW + 200)).transitions, [Transition::LateAnswer]);
    assert_eq!(give(&mut stage, &command(CommandAction::Cancel, NOW + 300)).replies, [ReplyOutcome::Conflict]);
    check_indexes(&mut stage);
}

#[test]
fn purge_removes_a_row_that_is_not_pending_and_the_audit_stays() {
    let mut stage = harness::stage("");
    give(&mut stage, &request(1, 1, NOW));
    assert_eq!(give(&mut stage, &command(CommandAction::Purge, NOW)).replies, [ReplyOutcome::Conflict]);
    give(&mut stage, &found(run(1), 1, Some("x"), NOW + 10));
    let purged = give(&mut stage, &command(CommandAction::Purge, NOW + 20));
    let tombstones: Vec<_> = purged.sent.iter().filter(|sent| sent.value.is_none()).collect();
    assert_eq!((tombstones.len(), tombstones[0].topic), (1, topics::ROW.name));
    assert_eq!(
        (purged.audit, purged.replies),
        (vec![(AuditAction::Purge, "purged".to_owned())], vec![ReplyOutcome::Done])
    );
    assert_eq!(stage.processor.rows().count(), 0);
    assert_eq!(give(&mut stage, &command(CommandAction::Purge, NOW + 30)).replies, [ReplyOutcome::Absent]);
    check_indexes(&mut stage);
}

#[test]
fn a_command_for_another_row_of_the_number_is_absent() {
    let mut stage = with_failed();
    let other = JobCommand { row_id: Some(harness::row_id(7)), ..command(CommandAction::Purge, NOW + 100) };
    assert_eq!(give(&mut stage, &other).replies, [ReplyOutcome::Absent]);
    let this = JobCommand { row_id: Some(harness::row_id(1)), ..other };
    assert_eq!(give(&mut stage, &this).replies, [ReplyOutcome::Done]);
}

#[test]
fn a_pause_is_kept_and_shown() {
    let mut stage = harness::stage("");
    for (action, paused) in [(CommandAction::Pause, true), (CommandAction::Resume, false)] {
        let sent = stage.give("kind/unzr", &command(action, NOW));
        let states: Vec<KindState> = stage.read(&sent);
        assert_eq!((states.len(), states[0].paused, states[0].changed_by), (1, paused, Some(user(9))));
        let kept = stage.processor.kinds.get(&harness::kind_name()).map(|state| state.paused);
        assert_eq!(kept, Some(paused));
    }
}

#[test]
fn a_request_during_a_pause_opens_a_call_that_waits_for_its_caller() {
    let mut stage = harness::stage("");
    stage.give("kind/unzr", &command(CommandAction::Pause, NOW));
    assert_eq!(give(&mut stage, &request(1, 1, NOW)).calls.len(), 1);
}

fn rekey(version: i64, number: &str, info: Option<&str>) -> JobCommand {
    JobCommand {
        version: Some(version),
        number: Some(number.as_bytes().to_vec()),
        info: info.map(|info| info.as_bytes().to_vec()),
        ..command(CommandAction::Rekey, NOW + 100)
    }
}

#[test]
fn rekey_replaces_ciphertexts_and_nothing_else() {
    let mut stage = harness::stage("");
    give(&mut stage, &request(1, 1, NOW));
    let before = give(&mut stage, &found(run(1), 1, Some("old"), NOW + 10)).rows.pop().unwrap();
    assert_eq!(give(&mut stage, &rekey(1, "n", Some("i"))).replies, [ReplyOutcome::Conflict], "it has changed since");
    assert_eq!(give(&mut stage, &rekey(before.version, "n", None)).replies, [ReplyOutcome::Conflict], "data is lost");
    let sealed = give(&mut stage, &rekey(before.version, "new number", Some("new info")));
    let row = only(&sealed).clone();
    assert_eq!((row.number.as_slice(), row.info.as_deref()), (&b"new number"[..], Some(&b"new info"[..])));
    let same = tributary_schemas::records::registry::JobRow {
        number: before.number.clone(),
        info: before.info.clone(),
        version: before.version,
        ..row
    };
    assert_eq!(same, before);
    assert_eq!((sealed.transitions.len(), sealed.audit.len(), sealed.calls.len()), (0, 0, 0));
}

#[test]
fn rekey_also_replaces_the_number_of_an_open_call() {
    let mut stage = harness::stage("");
    give(&mut stage, &request(1, 1, NOW));
    let sealed = give(&mut stage, &rekey(1, "new number", None));
    assert_eq!((sealed.calls.len(), sealed.calls[0].number.as_slice()), (1, &b"new number"[..]));
    assert_eq!((sealed.calls[0].run_id, sealed.calls[0].attempt), (run(1), 1), "the same call");
    assert_eq!(only(&give(&mut stage, &found(run(1), 1, None, NOW + 200))).status, JobStatus::Processed);
}
