//! Waits, retries, deadlines, restarts, purges: what a record of the clock does.

use tributary_schemas::records::registry::{
    AuditAction, AuditEntry, CallAnswer, ErrorClass, JobStatus, ReplyOutcome, Transition,
};
use tributary_schemas::records::tributary::Clock;

use super::{Caused, check_indexes, give, only};
use crate::harness::{self, Harness, NOW, clock, error, failed, found, key, request, run, time_out, user};
use crate::job::JobStage;
use crate::job::due::MOST_AT_ONCE;

/// No jitter, so that waits are whole seconds.
const STEADY: &str = "[registry.calls]\njitter = 0.0\n";

fn stage() -> Harness<JobStage> {
    harness::stage(STEADY)
}

fn tick(stage: &mut Harness<JobStage>, now: i64) -> Caused {
    give(stage, &clock(now))
}

#[test]
fn a_failed_call_waits_and_its_row_stays_pending() {
    let mut stage = stage();
    give(&mut stage, &request(1, 1, NOW));
    let waits = give(&mut stage, &failed(run(1), 1, time_out(), NOW + 30_000));
    let row = only(&waits);
    assert_eq!((row.status, row.attempt, row.updated_at), (JobStatus::Pending, 1, NOW));
    assert_eq!((row.next_attempt_at, &row.error), (Some(NOW + 30_000 + 17_000), &Some(time_out())));
    assert_eq!((waits.ended, waits.calls.len(), waits.transitions), (1, 0, vec![Transition::Retrying]));
    assert!(tick(&mut stage, NOW + 46_999).rows.is_empty());
    let again = tick(&mut stage, NOW + 47_000);
    assert_eq!((again.calls.len(), again.calls[0].attempt, again.calls[0].run_id), (1, 2, run(1)));
    assert_eq!(only(&again).next_attempt_at, None);
    assert!(tick(&mut stage, NOW + 47_001).rows.is_empty(), "once");
    check_indexes(&mut stage);
}

#[test]
fn attempts_that_are_used_up_are_failed_with_the_last_error() {
    let mut stage = stage();
    give(&mut stage, &request(1, 1, NOW));
    let mut now = NOW;
    for attempt in 1..5 {
        now += 30_000;
        let waits = give(&mut stage, &failed(run(1), attempt, time_out(), now));
        now = only(&waits).next_attempt_at.unwrap();
        tick(&mut stage, now);
    }
    let last = error(ErrorClass::Http, "503", true);
    let ended = give(&mut stage, &failed(run(1), 5, last.clone(), now + 10));
    let row = only(&ended);
    assert_eq!((row.status, row.attempt, &row.error), (JobStatus::Failed, 5, &Some(last)));
    assert_eq!((ended.transitions.as_slice(), row.synced_at), (&[Transition::Failed][..], None));
}

#[test]
fn retry_after_is_heeded_at_most_up_to_the_cap() {
    for (asked, waited) in [(Some(60_000), 60_000), (Some(1000), 17_000), (Some(9_000_000), 300_000), (None, 17_000)] {
        let mut stage = stage();
        give(&mut stage, &request(1, 1, NOW));
        let busy = CallAnswer { retry_after: asked, ..failed(run(1), 1, error(ErrorClass::Http, "429", true), NOW) };
        assert_eq!(only(&give(&mut stage, &busy)).next_attempt_at, Some(NOW + waited), "{asked:?}");
    }
}

#[test]
fn what_cannot_be_read_is_asked_for_once_more_in_the_run_then_failed() {
    let mut stage = stage();
    give(&mut stage, &request(1, 1, NOW));
    let unreadable = error(ErrorClass::Decode, "not_xml", true);
    let first = give(&mut stage, &failed(run(1), 1, unreadable.clone(), NOW));
    assert_eq!(only(&first).status, JobStatus::Pending);
    tick(&mut stage, NOW + 20_000);
    let other = give(&mut stage, &failed(run(1), 2, time_out(), NOW + 20_000));
    assert_eq!(only(&other).status, JobStatus::Pending);
    tick(&mut stage, NOW + 60_000);
    let second = give(&mut stage, &failed(run(1), 3, unreadable.clone(), NOW + 60_000));
    assert_eq!((only(&second).status, &only(&second).error), (JobStatus::Failed, &Some(unreadable.clone())));
    give(&mut stage, &request(2, 1, NOW + 70_000));
    let of_the_next_run = give(&mut stage, &failed(run(2), 1, unreadable, NOW + 70_000));
    assert_eq!(only(&of_the_next_run).status, JobStatus::Pending, "once in each run");
}

#[test]
fn at_its_deadline_a_run_starts_again_once_and_then_has_failed_with_error() {
    let mut stage = stage();
    give(&mut stage, &request(1, 1, NOW));
    assert!(tick(&mut stage, NOW + 899_999).rows.is_empty());
    let restarted = tick(&mut stage, NOW + 900_000);
    let row = only(&restarted).clone();
    assert_eq!((row.run_id, row.attempt, row.restarts), (run(1).next(), 0, 1));
    assert_eq!((row.deadline_at, row.requested_at), (Some(NOW + 1_800_000), NOW));
    assert_eq!((restarted.calls.len(), restarted.calls[0].run_id, restarted.calls[0].attempt), (1, run(1).next(), 1));
    assert_eq!((restarted.transitions, restarted.audit.len()), (vec![Transition::Restarted], 0));
    assert_eq!(give(&mut stage, &found(run(1), 1, None, NOW)).transitions, [Transition::LateAnswer]);
    let ended = tick(&mut stage, NOW + 1_800_000);
    let row = only(&ended).clone();
    assert_eq!((row.status, row.updated_at), (JobStatus::FailedWithError, NOW + 1_800_000));
    let error = row.error.clone().unwrap();
    assert_eq!((error.error_class, error.code.as_str()), (ErrorClass::Deadline, "deadline"));
    assert_eq!((ended.ended, ended.transitions), (1, vec![Transition::FailedWithError]));
    check_indexes(&mut stage);
}

#[test]
fn asked_for_when_overdue_a_run_starts_again() {
    let mut stage = stage();
    give(&mut stage, &request(1, 1, NOW));
    let restarted = give(&mut stage, &request(2, 2, NOW + 900_000));
    let row = only(&restarted);
    assert_eq!((row.run_id, row.restarts, row.updated_by), (run(2), 1, user(2)));
    assert_eq!((row.updated_at, row.deadline_at), (NOW + 900_000, Some(NOW + 1_800_000)));
    assert_eq!((restarted.calls.len(), restarted.replies), (1, vec![ReplyOutcome::Accepted]));
    let ended = give(&mut stage, &request(3, 3, NOW + 1_800_000));
    assert_eq!(ended.transitions, [Transition::FailedWithError, Transition::Requested], "it has failed, and begins");
    let row = ended.rows.last().unwrap();
    assert_eq!((row.run_id, row.restarts, row.status, &row.error), (run(3), 0, JobStatus::Pending, &None));
    check_indexes(&mut stage);
}

#[test]
fn a_job_outlives_a_long_stop() {
    let mut stage = stage();
    give(&mut stage, &request(1, 1, NOW));
    let week = 7 * 86_400_000;
    let restarted = tick(&mut stage, NOW + week);
    assert_eq!(restarted.calls.len(), 1);
    let ended = give(&mut stage, &found(run(1).next(), 1, Some("x"), NOW + week + 50));
    assert_eq!(only(&ended).status, JobStatus::Processed);
}

#[test]
fn an_answer_after_the_deadline_counts_as_long_as_its_run_is_live() {
    let mut stage = stage();
    give(&mut stage, &request(1, 1, NOW));
    let ended = give(&mut stage, &found(run(1), 1, Some("x"), NOW + 950_000));
    assert_eq!(only(&ended).status, JobStatus::Processed);
    assert!(tick(&mut stage, NOW + 950_001).rows.is_empty());
}

#[test]
fn a_clock_in_doubt_makes_nothing_due() {
    let mut stage = stage();
    give(&mut stage, &request(1, 1, NOW));
    let doubt = Clock { held_because: Some("it jumped".to_owned()), ..clock(NOW + 900_000) };
    assert!(give(&mut stage, &doubt).sent.is_empty());
}

#[test]
fn one_record_of_the_clock_moves_a_bounded_number_of_rows() {
    let mut stage = stage();
    let count = MOST_AT_ONCE + 7;
    for number in 0..count as u32 {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&number.to_be_bytes());
        stage.give(crate::row_key::RowKey::new(hash).to_string(), &request(number, 1, NOW));
    }
    assert_eq!(tick(&mut stage, NOW + 900_000).calls.len(), MOST_AT_ONCE);
    assert_eq!(tick(&mut stage, NOW + 900_001).calls.len(), 7);
    assert_eq!(tick(&mut stage, NOW + 900_002).calls.len(), 0);
}

#[test]
fn purge_after_removes_rows_that_are_not_pending_as_a_whole() {
    let mut stage = harness::stage("[registry]\npurge_after = \"1h\"\n");
    give(&mut stage, &request(1, 1, NOW));
    give(&mut stage, &found(run(1), 1, Some("x"), NOW + 10));
    stage.give(key(2).to_string(), &request(2, 1, NOW + 10));
    assert!(tick(&mut stage, NOW + 3_600_009).ended == 0 && stage.processor.rows().count() == 2);
    let purged = tick(&mut stage, NOW + 3_600_010);
    let tombstones: Vec<String> =
        purged.sent.iter().filter(|sent| sent.value.is_none()).map(crate::harness::Sent::text_key).collect();
    assert_eq!(tombstones, [key(1).to_string()]);
    assert_eq!(purged.transitions, [Transition::Purged]);
    let entry = stage.read::<AuditEntry>(&purged.sent).pop().unwrap();
    assert_eq!((entry.action, entry.actor.as_str()), (AuditAction::Purge, "system"));
    assert_eq!((entry.resource.as_str(), entry.resource_id), ("unzr_info", Some(harness::row_id(1))));
    check_indexes(&mut stage);
    let again = give(&mut stage, &request(3, 1, NOW + 3_700_000));
    assert_eq!(only(&again).id, harness::row_id(3), "asked again it is a new row");
}

#[test]
fn register_down_for_an_hour() {
    let mut stage = harness::stage("");
    give(&mut stage, &request(1, 1, NOW));
    give(&mut stage, &found(run(1), 1, Some("old data"), NOW + 10));
    give(&mut stage, &request(2, 1, NOW + 1000));
    let hour = NOW + 3_600_000;
    let (mut now, mut open) = (NOW + 1000, true);
    while now < hour {
        let row = stage.processor.rows().next().unwrap().1.clone();
        if row.status != JobStatus::Pending {
            break;
        }
        if open {
            now += 30_000;
            give(&mut stage, &failed(row.run_id, row.attempt + 1, time_out(), now));
        } else {
            now += 1000;
            assert_eq!(row.status, JobStatus::Pending);
        }
        open = !tick(&mut stage, now).calls.is_empty();
    }
    let row = stage.processor.rows().next().unwrap().1.clone();
    assert_eq!((row.status, row.attempt, &row.error), (JobStatus::Failed, 5, &Some(time_out())));
    assert_eq!((row.info.as_deref(), row.synced_at), (Some(b"old data".as_slice()), Some(NOW + 10)));
    assert!(row.updated_at < hour, "attempts end it before the hour is over");
    let retry = harness::command(tributary_schemas::records::registry::CommandAction::Retry, hour);
    let again = give(&mut stage, &retry);
    assert_eq!(again.calls.len(), 1, "one retry afterwards");
    let ended = give(&mut stage, &found(run(900), 1, Some("new data"), hour + 50));
    assert_eq!((only(&ended).status, only(&ended).info.as_deref()), (JobStatus::Processed, Some(&b"new data"[..])));
}
