//! Positions, acknowledgements, revocations and what is dropped with time.

use tributary_schemas::records::cases::{
    Acknowledged, Notification, NotificationDue, QueueEntry, QueuePosition, RegistryAction,
};
use tributary_schemas::records::tributary::{Alert, Clock};
use tributary_schemas::types::cases::MessageId;

use super::*;
use crate::harness::{self, DAY, Harness, NOW, Sent, grant, guid};

type Stage = Harness<ClientStage>;

fn stage() -> Stage {
    let mut stage = harness::stage(ClientStage::new);
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
