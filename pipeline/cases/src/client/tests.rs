//! Positions, acknowledgements, revocations and what is dropped with time.

use tributary_runtime::{MemoryTables, TableFaults, Tables as _};
use tributary_schemas::records::cases::{
    Acknowledged, Channel, Notification, NotificationDue, QueueDrop, QueueEntry, QueuePosition, RegistryAction,
    RegistryAnswer, Replay,
};
use tributary_schemas::records::tributary::{Alert, Clock};
use tributary_schemas::types::cases::MessageId;

use super::*;
use crate::harness::{self, DAY, Harness, NOW, Sent, grant, guid};

type Stage = Harness<ClientStage>;

fn stage() -> Stage {
    stage_on(ClientTables::default())
}

fn stage_on(tables: ClientTables) -> Stage {
    let mut stage = harness::stage(|context| ClientStage::new(context, tables));
    stage.give("", &grant(RegistryAction::GrantAdd, "journal", "a", None));
    stage.give("", &grant(RegistryAction::GrantAdd, "journal", "b", None));
    stage
}

fn due(clients: &[&str], origin: &str, case: u32) -> NotificationDue {
    let (origin, case) = (origin.parse().unwrap(), guid(case).parse().unwrap());
    let id = MessageId::of(&origin, case, guid(0).parse().unwrap());
    let clients = clients.iter().map(|client| client.parse().unwrap()).collect();
    NotificationDue { clients, notification: Notification::of(id, case, origin) }
}

fn positions(stage: &Stage, sent: &[Sent]) -> Vec<i64> {
    stage.read::<QueueEntry>(sent).iter().map(|entry| entry.position).collect()
}

fn acknowledge(stage: &mut Stage, position: i64) -> Vec<Sent> {
    stage.give("", &Acknowledged { position, ..Acknowledged::of("journal".parse().unwrap()) })
}

fn state(stage: &Stage, sent: &[Sent]) -> (i64, i64, i64, i64) {
    let row = stage.read::<QueuePosition>(sent).pop().unwrap();
    (row.last, row.acknowledged, row.waiting, row.unread)
}

#[test]
fn positions_begin_at_1_grow_and_belong_to_one_client() {
    let mut stage = stage();
    stage.give("", &grant(RegistryAction::GrantAdd, "archive", "a", None));
    for expected in 1..=3 {
        let sent = stage.give("", &due(&["journal"], "a", 1));
        assert_eq!(positions(&stage, &sent), [expected]);
    }
    let sent = stage.give("", &due(&["archive", "journal"], "a", 1));
    assert_eq!(positions(&stage, &sent), [1, 4]);
}

#[test]
fn a_smaller_acknowledgement_changes_nothing_and_one_beyond_the_last_is_refused() {
    let mut stage = stage();
    for _ in 0..3 {
        stage.give("", &due(&["journal"], "a", 1));
    }
    let sent = acknowledge(&mut stage, 2);
    assert_eq!(state(&stage, &sent), (3, 2, 1, 0));
    assert_eq!(acknowledge(&mut stage, 1), []);
    let beyond = Acknowledged { position: 4, ..Acknowledged::of("journal".parse().unwrap()) };
    assert_eq!(stage.dead_letter("", &beyond), "position-unknown");
}

#[test]
fn a_revoked_client_gets_nothing_more_and_what_it_has_not_received_is_dropped() {
    let mut stage = stage();
    for origin in ["a", "a", "b", "a"] {
        stage.give("", &due(&["journal"], origin, 1));
    }
    acknowledge(&mut stage, 1);
    let sent = stage.give("", &grant(RegistryAction::GrantRevoke, "journal", "a", None));
    let dropped: Vec<String> = sent.iter().filter(|sent| sent.value.is_none()).map(Sent::text_key).collect();
    let key = |position: i64| format!("entry/journal/{position:020}");
    assert_eq!(dropped, [key(2), key(4)]);
    assert_eq!(state(&stage, &sent), (4, 1, 1, 0));
    // Made before the revocation, and on its way.
    assert_eq!(stage.give("", &due(&["journal"], "a", 1)), []);
    let sent = stage.give("", &due(&["journal"], "b", 1));
    assert_eq!(positions(&stage, &sent), [5]);
}

#[test]
fn a_revocation_drops_nothing_that_is_acknowledged() {
    let mut stage = stage();
    stage.give("", &due(&["journal"], "a", 1));
    acknowledge(&mut stage, 1);
    let sent = stage.give("", &grant(RegistryAction::GrantRevoke, "journal", "a", None));
    assert!(sent.iter().all(|sent| sent.value.is_some()));
}

#[test]
fn a_grant_on_the_case_outlives_that_on_its_origin() {
    let mut stage = stage();
    stage.give("", &grant(RegistryAction::GrantAdd, "journal", "a", Some(1)));
    stage.give("", &due(&["journal"], "a", 1));
    stage.give("", &due(&["journal"], "a", 2));
    let sent = stage.give("", &grant(RegistryAction::GrantRevoke, "journal", "a", None));
    assert_eq!(state(&stage, &sent), (2, 0, 1, 0));
    let sent = stage.give("", &due(&["journal"], "a", 1));
    assert_eq!(positions(&stage, &sent), [3]);
}

#[test]
fn the_positions_of_a_removed_client_are_never_used_again() {
    let mut stage = stage();
    stage.give("", &due(&["journal"], "a", 1));
    let mut change = grant(RegistryAction::ClientDelete, "journal", "a", None);
    change.change.origin = None;
    let sent = stage.give("", &change);
    assert_eq!(sent.iter().filter(|sent| sent.value.is_none()).count(), 2, "the entry and the row of the client");
    change.change.action = RegistryAction::ClientPut;
    let sent = stage.give("", &change);
    assert_eq!(state(&stage, &sent), (1, 1, 0, 0));
    let sent = stage.give("", &due(&["journal"], "a", 1));
    assert_eq!(positions(&stage, &sent), [2]);
}

#[test]
fn acknowledged_notifications_are_kept_for_7_days_and_unread_ones_for_30() {
    let mut stage = stage();
    for _ in 0..3 {
        stage.give("", &due(&["journal"], "a", 1));
    }
    acknowledge(&mut stage, 1);
    let mut tick = |days: i64| {
        let sent = stage.give("", &Clock { now: NOW + days * DAY, ..Clock::default() });
        let withdrawn = sent.iter().filter(|sent| sent.value.is_none()).count();
        (withdrawn, stage.read::<Alert>(&sent).len(), sent)
    };
    assert_eq!(tick(6).0, 0);
    assert_eq!(tick(7).0, 1);
    assert_eq!(tick(29).0, 0);
    let (withdrawn, alerts, sent) = tick(30);
    assert_eq!((withdrawn, alerts), (2, 1), "never read: dropped, counted and reported");
    assert_eq!(state(&stage, &sent), (3, 1, 0, 2));
}

#[test]
fn what_waits_for_a_broker_is_never_dropped_as_unread() {
    let mut stage = stage();
    let mut put = grant(RegistryAction::ClientPut, "journal", "a", None);
    put.change.origin = None;
    put.change.channel = Channel::Rabbitmq;
    stage.give("", &put);
    stage.give("", &due(&["journal"], "a", 1));
    let year = Clock { now: NOW + 365 * DAY, ..Clock::default() };
    assert_eq!(stage.give("", &year), [], "the broker may be away for long");
    // From now on its client reads by itself.
    put.change.channel = Channel::Api;
    stage.give("", &put);
    let sent = stage.give("", &year);
    assert_eq!((tombstones(&sent), state(&stage, &sent)), (1, (1, 0, 0, 1)));
}

#[test]
fn what_is_told_again_often_is_told_once_by_the_next_replay_when_the_first_one_is_gone() {
    let mut stage = stage();
    stage.give("", &due(&["journal"], "a", 1));
    stage.now = NOW + DAY;
    stage.give("", &replay(None));
    stage.give("", &replay(None));
    acknowledge(&mut stage, 3);
    let sent = stage.give("", &Clock { now: NOW + 7 * DAY, ..Clock::default() });
    assert_eq!(tombstones(&sent), 1, "the first one was kept long enough");
    let sent = stage.give("", &replay(None));
    assert_eq!(positions(&stage, &sent), [4]);
}

/// Gives the stage what it sends to itself, until nothing is left. Returns all that is sent.
fn finish<R: tributary_schemas::AvroRecord>(stage: &mut Stage, sent: Vec<Sent>) -> Vec<Sent> {
    let mut all = sent;
    let mut seen = 0;
    loop {
        let steps = stage.read::<R>(&all[seen..]);
        let Some(step) = steps.last() else { return all };
        seen = all.len();
        all.extend(stage.give("", step));
    }
}

fn tombstones(sent: &[Sent]) -> usize {
    sent.iter().filter(|sent| sent.value.is_none()).count()
}

#[test]
fn a_revocation_drops_a_long_queue_in_steps_whatever_is_granted_meanwhile() {
    let mut stage = stage();
    for number in 0..2_500 {
        stage.give("", &due(&["journal"], if number % 2 == 0 { "a" } else { "b" }, 1));
    }
    let first = stage.give("", &grant(RegistryAction::GrantRevoke, "journal", "a", None));
    assert_eq!(tombstones(&first), 500, "a step looks at 1,000");
    let again = stage.give("", &grant(RegistryAction::GrantAdd, "journal", "a", None));
    assert_eq!(tombstones(&again), 0);
    stage.give("", &due(&["journal"], "a", 1));
    let sent = finish::<QueueDrop>(&mut stage, first);
    assert_eq!(tombstones(&sent), 1_250, "what was made before the revocation");
    assert_eq!(state(&stage, &sent), (2_501, 0, 1_251, 0));
}

#[test]
fn what_is_acknowledged_between_two_steps_of_a_revocation_stays() {
    let mut stage = stage();
    for _ in 0..2_000 {
        stage.give("", &due(&["journal"], "a", 1));
    }
    let first = stage.give("", &grant(RegistryAction::GrantRevoke, "journal", "a", None));
    acknowledge(&mut stage, 1_500);
    let sent = finish::<QueueDrop>(&mut stage, first);
    assert_eq!(tombstones(&sent), 1_500);
    assert_eq!(state(&stage, &sent), (2_000, 1_500, 0, 0));
}

#[test]
fn a_long_queue_of_a_removed_client_goes_in_steps_and_its_successor_begins_behind_it() {
    let mut stage = stage();
    for _ in 0..2_500 {
        stage.give("", &due(&["journal"], "a", 1));
    }
    let mut change = grant(RegistryAction::ClientDelete, "journal", "a", None);
    change.change.origin = None;
    let first = stage.give("", &change);
    assert_eq!(tombstones(&first), 1_001, "the row of the client, and 1,000 notifications");
    change.change.action = RegistryAction::ClientPut;
    let sent = stage.give("", &change);
    let row = stage.read::<QueuePosition>(&sent).pop().unwrap();
    assert_eq!((row.last, row.begins), (2_500, 2_500));
    assert_eq!(stage.give("", &replay(None)).len(), 1, "only the answer: nothing of the former client is told again");
    let sent = finish::<QueueDrop>(&mut stage, first);
    assert_eq!(tombstones(&sent), 2_501);
    assert!(stage.read::<QueuePosition>(&sent).is_empty(), "the row of the client does not come back");
}

fn replay(case: Option<u32>) -> Replay {
    let case_id = case.map(|case| guid(case).parse().unwrap());
    Replay { request: "r".to_owned(), case_id, ..Replay::of("journal".parse().unwrap()) }
}

#[test]
fn a_replay_tells_again_what_is_kept_under_the_same_message_ids_at_the_end_of_the_queue() {
    let mut stage = stage();
    for (origin, case) in [("a", 1), ("a", 2), ("b", 1), ("a", 1)] {
        stage.give("", &due(&["journal"], origin, case));
    }
    acknowledge(&mut stage, 2);
    stage.now = NOW + DAY;
    let sent = stage.give("", &replay(Some(1)));
    let again = stage.read::<QueueEntry>(&sent);
    let found: Vec<(i64, Option<i64>)> = again.iter().map(|entry| (entry.position, entry.original)).collect();
    assert_eq!(found, [(5, Some(1)), (6, Some(3)), (7, Some(4))]);
    let of = |origin: &str| due(&[], origin, 1).notification.message_id;
    assert_eq!(again.iter().map(|entry| entry.notification.message_id).collect::<Vec<_>>(), ["a", "b", "a"].map(of));
    assert!(again.iter().all(|entry| entry.made == NOW + DAY));
    assert_eq!(state(&stage, &sent), (7, 2, 5, 0));
    assert_eq!(stage.read::<RegistryAnswer>(&sent)[0].request, "r");
    // A second replay tells each of them once more, not twice.
    let sent = stage.give("", &replay(Some(1)));
    assert_eq!(positions(&stage, &sent), [8, 9, 10]);
}

#[test]
fn a_replay_of_an_interval_tells_what_was_made_in_it_and_may_still_be_seen() {
    let mut stage = stage();
    for day in 0..4 {
        stage.now = NOW + day * DAY;
        stage.give("", &due(&["journal"], if day == 2 { "b" } else { "a" }, 1));
    }
    acknowledge(&mut stage, 4);
    let micros = |day: i64| Some((NOW + day * DAY) * 1_000);
    let interval = Replay { from: micros(1), to: micros(3), ..replay(None) };
    let originals = |stage: &Stage, sent: &[Sent]| {
        stage.read::<QueueEntry>(sent).iter().map(|entry| entry.original.unwrap()).collect::<Vec<i64>>()
    };
    let sent = stage.give("", &interval);
    assert_eq!(originals(&stage, &sent), [2, 3]);
    stage.give("", &grant(RegistryAction::GrantRevoke, "journal", "a", None));
    let sent = stage.give("", &interval);
    assert_eq!(originals(&stage, &sent), [3]);
}

#[test]
fn a_long_replay_goes_in_steps_and_tells_what_was_there_when_it_began() {
    let mut stage = stage();
    for _ in 0..1_200 {
        stage.give("", &due(&["journal"], "a", 1));
    }
    let first = stage.give("", &replay(None));
    assert_eq!(positions(&stage, &first).len(), 500);
    assert!(stage.read::<RegistryAnswer>(&first).is_empty(), "answered when all is told");
    stage.give("", &due(&["journal"], "a", 1));
    let sent = finish::<Replay>(&mut stage, first);
    assert_eq!(positions(&stage, &sent).len(), 1_200);
    assert_eq!(stage.read::<RegistryAnswer>(&sent).len(), 1);
    assert_eq!(state(&stage, &sent), (2_401, 0, 2_401, 0));
}

/// Gives the record until the tables answer.
fn give_patiently<R: tributary_schemas::AvroRecord>(stage: &mut Stage, record: &R) -> Vec<Sent> {
    for _ in 0..10_000 {
        match stage.try_give("", record) {
            Ok(sent) => return sent,
            Err(ProcessError::Retry(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    panic!("it never succeeds");
}

#[test]
fn on_tables_that_fail_it_sends_what_it_sends_in_memory() {
    let tables = MemoryTables::failing(TableFaults { seed: 1, read: 0.02, write: 0.5 });
    let on_tables = ClientTables { entries: Some(tables.create("entries")), copies: Some(tables.create("copies")) };
    let (mut memory, mut table) = (stage(), stage_on(on_tables));
    let mut sent = 0;
    let mut give = |record: &dyn Fn(&mut Stage) -> Vec<Sent>| {
        let expected = record(&mut memory);
        assert_eq!(record(&mut table), expected);
        sent += expected.len();
    };
    for number in 0..120 {
        let origin = if number % 3 == 0 { "b" } else { "a" };
        give(&|stage| give_patiently(stage, &due(&["journal"], origin, number % 5)));
    }
    let acknowledged = Acknowledged { position: 40, ..Acknowledged::of("journal".parse().unwrap()) };
    give(&|stage| give_patiently(stage, &acknowledged));
    give(&|stage| give_patiently(stage, &replay(Some(1))));
    give(&|stage| give_patiently(stage, &replay(None)));
    give(&|stage| give_patiently(stage, &grant(RegistryAction::GrantRevoke, "journal", "b", None)));
    for days in [3, 7, 30] {
        give(&|stage| give_patiently(stage, &Clock { now: NOW + days * DAY, ..Clock::default() }));
    }
    assert!(sent > 400 && tables.failed() > 100, "{sent} sent, {} failed calls", tables.failed());
}
