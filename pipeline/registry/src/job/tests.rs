//! What becomes of a row: Steps 1 to 5, joining, fences, waits, deadlines, and what operators want.

mod operators;
mod time;

use tributary_flow::testing::Sent;
use tributary_runtime::{Processor as _, Topic};
use tributary_schemas::records::registry::{
    AuditAction, AuditEntry, Call, CommandAction, ErrorClass, JobEvent, JobRow, JobStatus, Reply, ReplyOutcome,
    Transition,
};

use super::JobStage;
use crate::harness::{self, Harness, NOW, error, failed, found, key, request, run, time_out, user};
use crate::topics;

/// What a record has caused.
pub(super) struct Caused {
    pub(super) rows: Vec<JobRow>,
    pub(super) calls: Vec<Call>,
    /// Calls that have ended.
    pub(super) ended: usize,
    pub(super) transitions: Vec<Transition>,
    /// Actions and outcomes.
    pub(super) audit: Vec<(AuditAction, String)>,
    pub(super) replies: Vec<ReplyOutcome>,
    pub(super) sent: Vec<Sent>,
}

pub(super) fn caused(harness: &Harness<JobStage>, sent: Vec<Sent>) -> Caused {
    let call = topics::call(&harness::kind_name()).name;
    Caused {
        rows: harness.read(&sent),
        calls: harness.read(&sent),
        ended: sent.iter().filter(|sent| sent.topic == call && sent.value.is_none()).count(),
        transitions: harness.read::<JobEvent>(&sent).into_iter().map(|event| event.transition).collect(),
        audit: harness.read::<AuditEntry>(&sent).into_iter().map(|entry| (entry.action, entry.outcome)).collect(),
        replies: harness.read::<Reply>(&sent).into_iter().map(|reply| reply.outcome).collect(),
        sent,
    }
}

pub(super) fn give<R: tributary_schemas::AvroRecord>(harness: &mut Harness<JobStage>, record: &R) -> Caused {
    let sent = harness.give(key(1).to_string(), record);
    caused(harness, sent)
}

/// The only row that was sent.
pub(super) fn only(caused: &Caused) -> &JobRow {
    assert_eq!(caused.rows.len(), 1, "one row is sent");
    &caused.rows[0]
}

/// Whether the indexes agree with the rows.
pub(super) fn check_indexes(harness: &mut Harness<JobStage>) {
    let stage = &mut harness.processor;
    let pending = stage.rows().filter(|(_, row)| row.status == JobStatus::Pending).count();
    assert_eq!((stage.due.len(), stage.ended.len()), (pending, stage.jobs.len() - pending));
    assert_eq!(stage.pending(&harness::kind_name()), pending as i64);
    assert!(stage.stores().iter().all(|store| !store.has_changes()), "each record was committed");
}

#[test]
fn step_1_makes_a_row_and_sends_a_call_in_one_transaction() {
    let mut stage = harness::stage("");
    let first = give(&mut stage, &request(1, 1, NOW));
    let expected = JobRow {
        number: b"sealed number 1".to_vec(),
        inserted_at: NOW,
        updated_at: NOW,
        requested_at: NOW,
        deadline_at: Some(NOW + 900_000),
        version: 1,
        ..harness::row(1)
    };
    assert_eq!(only(&first), &expected);
    let call = Call {
        attempt: 1,
        number: b"sealed number 1".to_vec(),
        deadline_at: NOW + 900_000,
        ..Call::of(harness::kind_name(), run(1), user(1))
    };
    assert_eq!(first.calls, [call]);
    assert_eq!((first.transitions, first.replies), (vec![Transition::Requested], vec![ReplyOutcome::Accepted]));
    assert_eq!(first.audit, [(AuditAction::Sync, "accepted".to_owned())]);
    let on = |topic: &Topic| first.sent.iter().filter(|sent| sent.topic == topic.name).collect::<Vec<_>>();
    assert_eq!(on(&topics::ROW)[0].text_key(), key(1).to_string());
    assert_eq!(on(&topics::REPLY)[0].text_key(), "request-1");
    check_indexes(&mut stage);
}

#[test]
fn step_3_found_is_processed_with_data() {
    let mut stage = harness::stage("");
    give(&mut stage, &request(1, 1, NOW));
    let ended = give(&mut stage, &found(run(1), 1, Some("sealed info"), NOW + 40));
    let row = only(&ended);
    assert_eq!((row.status, row.info.as_deref()), (JobStatus::Processed, Some(b"sealed info".as_slice())));
    assert_eq!((row.synced_at, row.updated_at), (Some(NOW + 40), NOW + 40));
    assert_eq!((row.attempt, row.deadline_at, row.last_call_id), (1, None, Some(harness::call_id(1))));
    assert_eq!((ended.ended, ended.calls.len(), ended.replies.len()), (1, 0, 0));
    assert_eq!(ended.transitions, [Transition::Processed]);
    assert_eq!(ended.audit, [(AuditAction::Outcome, "processed".to_owned())]);
    check_indexes(&mut stage);
}

#[test]
fn step_4_empty_is_processed_with_null_also_over_older_data() {
    let mut stage = harness::stage("");
    give(&mut stage, &request(1, 1, NOW));
    give(&mut stage, &found(run(1), 1, Some("sealed info"), NOW + 40));
    give(&mut stage, &request(2, 2, NOW + 100));
    let ended = give(&mut stage, &found(run(2), 1, None, NOW + 140));
    let row = only(&ended);
    assert_eq!((row.status, &row.info, row.synced_at), (JobStatus::Processed, &None, Some(NOW + 140)));
    assert_eq!(ended.transitions, [Transition::NotFound]);
}

#[test]
fn step_5_failed_leaves_data_and_synced_at_untouched() {
    let mut stage = harness::stage("");
    give(&mut stage, &request(1, 1, NOW));
    give(&mut stage, &found(run(1), 1, Some("sealed info"), NOW + 40));
    give(&mut stage, &request(2, 2, NOW + 100));
    let denied = error(ErrorClass::Fault, "Server.ServerProxy.AccessDenied", false);
    let ended = give(&mut stage, &failed(run(2), 1, denied.clone(), NOW + 140));
    let row = only(&ended);
    assert_eq!((row.status, row.info.as_deref()), (JobStatus::Failed, Some(b"sealed info".as_slice())));
    assert_eq!((row.synced_at, row.updated_at, row.updated_by), (Some(NOW + 40), NOW + 140, user(2)));
    assert_eq!((&row.error, row.inserted_by), (&Some(denied), user(1)));
    assert_eq!(ended.audit, [(AuditAction::Outcome, "failed".to_owned())]);
    check_indexes(&mut stage);
}

#[test]
fn asked_again_a_row_is_pending_and_keeps_what_it_knew() {
    let mut stage = harness::stage("");
    give(&mut stage, &request(1, 1, NOW));
    give(&mut stage, &found(run(1), 1, Some("sealed info"), NOW + 40));
    let again = give(&mut stage, &request(2, 2, NOW + 100));
    let row = only(&again);
    assert_eq!((row.status, row.info.as_deref()), (JobStatus::Pending, Some(b"sealed info".as_slice())));
    assert_eq!((row.id, row.run_id, row.synced_at), (harness::row_id(1), run(2), Some(NOW + 40)));
    assert_eq!((row.inserted_by, row.updated_by, row.inserted_at), (user(1), user(2), NOW));
    assert_eq!((row.attempt, &row.error, row.last_call_id), (0, &None, None));
    assert_eq!((again.calls.len(), again.calls[0].run_id), (1, run(2)));
}

#[test]
fn two_mutations_one_call() {
    let mut stage = harness::stage("");
    give(&mut stage, &request(1, 1, NOW));
    for number in 2..=16 {
        let joined = give(&mut stage, &request(number, number, NOW + i64::from(number)));
        let row = only(&joined);
        assert_eq!((row.run_id, row.status, row.id), (run(1), JobStatus::Pending, harness::row_id(1)));
        assert_eq!((row.updated_by, row.updated_at), (user(number), NOW + i64::from(number)));
        assert_eq!((joined.calls.len(), joined.ended), (0, 0));
        assert_eq!((joined.replies, joined.transitions), (vec![ReplyOutcome::Joined], vec![Transition::Joined]));
        assert_eq!(joined.audit, [(AuditAction::Join, "accepted".to_owned())]);
    }
    let ended = give(&mut stage, &found(run(1), 1, Some("x"), NOW + 50));
    assert_eq!(only(&ended).updated_by, user(16), "who joined a running job triggered it too");
    let entry = stage.read::<AuditEntry>(&ended.sent).pop().unwrap();
    assert_eq!((entry.actor, entry.request_id), (user(1).to_string(), Some("request-1".to_owned())), "the run's");
}

#[test]
fn late_answer_is_dropped() {
    let mut stage = harness::stage("");
    give(&mut stage, &request(1, 1, NOW));
    give(&mut stage, &failed(run(1), 1, error(ErrorClass::Fault, "Client", false), NOW + 10));
    give(&mut stage, &request(2, 1, NOW + 100));
    let before = stage.processor.rows().next().unwrap().1.clone();
    let of_another_run = found(run(1), 1, Some("old"), NOW + 200);
    let of_another_call = found(run(2), 2, Some("never asked"), NOW + 200);
    for late in [of_another_run, of_another_call] {
        let caused = give(&mut stage, &late);
        assert_eq!((caused.rows.len(), caused.ended, caused.audit.len()), (0, 0, 0));
        assert_eq!(caused.transitions, [Transition::LateAnswer], "it is counted");
    }
    assert_eq!(stage.processor.rows().next().unwrap().1, &before);
    let right = found(run(2), 1, Some("new"), NOW + 300);
    assert_eq!(only(&give(&mut stage, &right)).status, JobStatus::Processed);
    assert_eq!(give(&mut stage, &right).transitions, [Transition::LateAnswer], "the same once more");
    let nobody = stage.give(key(9).to_string(), &found(run(9), 1, None, NOW));
    assert_eq!(caused(&stage, nobody).transitions, [Transition::LateAnswer], "a row that is gone");
}

#[test]
fn updated_at_never_goes_back() {
    let mut stage = harness::stage("");
    give(&mut stage, &request(1, 1, NOW));
    let joined = give(&mut stage, &request(2, 2, NOW - 5000));
    assert_eq!((only(&joined).updated_at, only(&joined).updated_by), (NOW, user(2)));
    let ended = give(&mut stage, &found(run(1), 1, Some("x"), NOW - 4000));
    assert_eq!((only(&ended).updated_at, only(&ended).synced_at), (NOW, Some(NOW)));
    let again = give(&mut stage, &request(3, 3, NOW - 3000));
    assert_eq!((only(&again).updated_at, only(&again).requested_at), (NOW, NOW - 3000));
}

#[test]
fn more_than_max_pending_are_refused_without_a_row() {
    let mut stage = harness::stage("[registry]\nmax_pending = 2\ncalls = { timeout = \"2500ms\" }\n");
    let ask = |stage: &mut Harness<JobStage>, number: u8| {
        let sent = stage.give(key(number).to_string(), &request(u32::from(number), 1, NOW));
        stage.read::<Reply>(&sent).pop().unwrap()
    };
    assert_eq!(ask(&mut stage, 1).outcome, ReplyOutcome::Accepted);
    assert_eq!(ask(&mut stage, 2).outcome, ReplyOutcome::Accepted);
    let refused = ask(&mut stage, 3);
    assert_eq!((refused.outcome, refused.retry_after, refused.row_id), (ReplyOutcome::Refused, Some(3), None));
    assert_eq!(ask(&mut stage, 2).outcome, ReplyOutcome::Joined, "only a new run needs room");
    assert_eq!(stage.processor.rows().count(), 2);
    stage.give(key(2).to_string(), &found(run(2), 1, None, NOW));
    assert_eq!(ask(&mut stage, 3).outcome, ReplyOutcome::Accepted);
    let elsewhere = tributary_schemas::records::registry::LookupRequest { is_full: true, ..request(4, 1, NOW) };
    stage.give(key(3).to_string(), &found(run(3), 1, None, NOW));
    let sent = stage.give(key(4).to_string(), &elsewhere);
    assert_eq!(stage.read::<Reply>(&sent)[0].outcome, ReplyOutcome::Refused, "other partitions are full");
    check_indexes(&mut stage);
}

#[test]
fn what_makes_no_sense_is_a_dead_letter_that_shows_no_key() {
    let mut stage = harness::stage("");
    assert_eq!(stage.dead_letter("19910824-00026", &request(1, 1, NOW)), "key-not-a-row");
    let tax =
        tributary_schemas::records::registry::LookupRequest { kind: "tax".parse().unwrap(), ..request(1, 1, NOW) };
    assert_eq!(stage.dead_letter(key(1).to_string(), &tax), "unknown-kind");
    give(&mut stage, &request(1, 1, NOW));
    let nothing =
        tributary_schemas::records::registry::CallAnswer { error: None, ..failed(run(1), 1, time_out(), NOW) };
    assert_eq!(stage.dead_letter(key(1).to_string(), &nothing), "incomplete-answer");
    let retry = tributary_schemas::records::registry::JobCommand {
        run_id: None,
        ..harness::command(CommandAction::Retry, NOW)
    };
    assert_eq!(stage.dead_letter(key(1).to_string(), &retry), "incomplete-command");
    assert_eq!(stage.dead_letter(key(1).to_string(), &harness::row(1)), "unexpected-record-type");
}
