//! The state table and its rules, row by row.

use tributary_schemas::records::cases::{
    CaseState, CaseStatus, CheckedCommand, Command, NotificationDue, NotificationType, Outcome, Queue, Refusal,
    RegistryAction,
};
use tributary_schemas::records::tributary::Clock;

use super::*;
use crate::configuration::{CasesSettings, UpdatedPolicy};
use crate::harness::{self, DAY, Harness, NOW, Sent, checked, command, grant};
use crate::topics;

type Stage = Harness<CaseStage>;

/// A stage in which `journal` sees all cases of `a` and `b`.
fn stage() -> Stage {
    stage_with(CasesSettings::default())
}

fn stage_with(settings: CasesSettings) -> Stage {
    let mut stage = harness::stage_with(settings, CaseStage::new);
    for origin in ["a", "b"] {
        stage.give("", &grant(RegistryAction::GrantAdd, "journal", origin, None));
    }
    stage
}

fn give(stage: &mut Stage, command: Command) -> Vec<Sent> {
    stage.give("", &checked(command))
}

/// The status and code of the outcome that was sent.
fn outcome(stage: &Stage, sent: &[Sent]) -> (String, Option<String>) {
    let outcomes: Vec<Outcome> = stage.read(sent);
    let last = outcomes.last().expect("an outcome");
    (last.status.symbol().to_owned(), last.code.clone())
}

fn status(stage: &Stage, sent: &[Sent]) -> String {
    outcome(stage, sent).0
}

/// The types of the notifications that were sent.
fn told(stage: &Stage, sent: &[Sent]) -> Vec<NotificationType> {
    let due: Vec<NotificationDue> = stage.read(sent);
    due.iter().map(|due| due.notification.notification_type).collect()
}

fn dead_letters(sent: &[Sent]) -> usize {
    sent.iter().filter(|sent| sent.topic == topics::DEAD_LETTER.name).count()
}

fn row(stage: &Stage) -> Option<CaseState> {
    stage.processor.living().next().map(|living| living.row.clone())
}

fn the_four() -> [Command; 4] {
    [Queue::Create, Queue::Update, Queue::Close, Queue::Delete].map(|queue| command(queue, "a", 1, 10 + queue as u32))
}

fn orders<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for at in 0..items.len() {
        let mut rest = items.to_vec();
        let first = rest.remove(at);
        for mut order in orders(&rest) {
            order.insert(0, first.clone());
            all.push(order);
        }
    }
    all
}

#[test]
fn all_24_orders_of_the_four_commands_with_repeats_end_deleted() {
    let orders = orders(&the_four());
    assert_eq!(orders.len(), 24);
    for order in orders {
        for repeated in 0..16_u32 {
            let mut stage = stage();
            let mut told_types = Vec::new();
            for (at, command) in order.iter().enumerate() {
                let times = 1 + (repeated >> at & 1);
                for _ in 0..times {
                    let sent = give(&mut stage, command.clone());
                    told_types.extend(told(&stage, &sent));
                }
            }
            // All of them once more, after the end.
            for command in &order {
                let sent = give(&mut stage, command.clone());
                assert_eq!(told(&stage, &sent), []);
            }
            assert_eq!(row(&stage), None);
            let is_told = !told_types.is_empty();
            let mut sorted = told_types.clone();
            sorted.dedup();
            assert_eq!(sorted, told_types, "no notification comes twice");
            if is_told {
                assert_eq!(told_types.first(), Some(&NotificationType::Created), "nothing before Created");
                assert_eq!(told_types.last(), Some(&NotificationType::Deleted), "nothing after Deleted");
            }
            let create = order.iter().position(|command| command.queue == Queue::Create);
            let delete = order.iter().position(|command| command.queue == Queue::Delete);
            assert_eq!(is_told, create < delete, "only a case that lived is reported");
        }
    }
}

#[test]
fn all_6_orders_of_create_update_close_end_in_the_same_row_and_the_same_three_notifications() {
    let [create, update, close, _] = the_four();
    let mut ends = Vec::new();
    for order in orders(&[create, update, close]) {
        let mut stage = stage();
        let mut notifications = Vec::new();
        for command in order {
            let sent = give(&mut stage, command);
            let due: Vec<NotificationDue> = stage.read(&sent);
            notifications.extend(due.into_iter().map(|due| due.notification));
        }
        assert_eq!(notifications[0].notification_type, NotificationType::Created);
        notifications.sort_by_key(|notification| notification.notification_type);
        ends.push((row(&stage).unwrap(), notifications));
    }
    assert_eq!(ends.len(), 6);
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
    assert_eq!(ends[0].1.len(), 3);
    assert_eq!(ends[0].0.status, CaseStatus::Closed);
}

#[test]
fn a_create_of_an_absent_case_is_applied_with_updated_as_created() {
    let mut stage = stage();
    let create = Command { updated: Some(99), ..command(Queue::Create, "a", 1, 1) };
    let sent = give(&mut stage, create);
    assert_eq!((status(&stage, &sent).as_str(), told(&stage, &sent)), ("applied", vec![NotificationType::Created]));
    let row = row(&stage).unwrap();
    assert_eq!((row.created, row.updated, row.status), (1_000_000, 1_000_000, CaseStatus::Open));
}

#[test]
fn updates_and_closes_of_an_absent_case_are_parked_and_applied_with_the_create_in_order_of_arrival() {
    let mut stage = stage();
    for (queue, id) in [(Queue::Close, 2), (Queue::Update, 3), (Queue::Close, 4)] {
        let sent = give(&mut stage, command(queue, "a", 1, id));
        assert_eq!((status(&stage, &sent).as_str(), told(&stage, &sent)), ("parked", vec![]));
    }
    let sent = give(&mut stage, command(Queue::Create, "a", 1, 1));
    let types = [NotificationType::Created, NotificationType::Closed, NotificationType::Updated];
    assert_eq!(told(&stage, &sent), types);
    let outcomes: Vec<Outcome> = stage.read(&sent);
    let found: Vec<&str> = outcomes.iter().map(|outcome| outcome.status.symbol()).collect();
    assert_eq!(found, ["applied", "applied", "applied", "unchanged"]);
}

#[test]
fn a_101st_parked_command_is_rejected() {
    let mut stage = stage();
    for id in 0..MOST_PARKED as u32 {
        let sent = give(&mut stage, command(Queue::Update, "a", 1, id));
        assert_eq!(status(&stage, &sent), "parked");
    }
    let sent = give(&mut stage, command(Queue::Update, "a", 1, 1000));
    assert_eq!(outcome(&stage, &sent), ("rejected".to_owned(), Some("TooManyParked".to_owned())));
    let sent = give(&mut stage, command(Queue::Update, "b", 1, 1000));
    assert_eq!(status(&stage, &sent), "parked", "the limit is that of an origin and a case");
}

#[test]
fn a_parked_command_is_dropped_with_a_delete() {
    let mut stage = stage();
    give(&mut stage, command(Queue::Update, "a", 1, 2));
    let sent = give(&mut stage, command(Queue::Delete, "a", 1, 3));
    let outcomes: Vec<Outcome> = stage.read(&sent);
    let found: Vec<&str> = outcomes.iter().map(|outcome| outcome.status.symbol()).collect();
    assert_eq!((found, told(&stage, &sent)), (vec!["dropped", "unchanged"], vec![]));
}

#[test]
fn a_parked_command_is_rejected_as_case_unknown_after_park_for() {
    let mut stage = stage();
    give(&mut stage, command(Queue::Update, "a", 1, 2));
    let sent = stage.give("", &Clock { now: NOW + DAY - 1, ..Clock::default() });
    assert_eq!(sent, []);
    let sent = stage.give("", &Clock { now: NOW + DAY, ..Clock::default() });
    assert_eq!(outcome(&stage, &sent), ("rejected".to_owned(), Some("CaseUnknown".to_owned())));
    assert_eq!(dead_letters(&sent), 1);
}

#[test]
fn a_create_after_park_for_applies_nothing_that_is_overdue_even_before_the_clock_has_come() {
    let mut stage = stage();
    give(&mut stage, command(Queue::Update, "a", 1, 2));
    stage.now = NOW + DAY;
    let sent = give(&mut stage, command(Queue::Create, "a", 1, 1));
    assert_eq!(told(&stage, &sent), [NotificationType::Created]);
    assert_eq!(dead_letters(&sent), 1);
}

#[test]
fn an_update_of_a_living_case_is_reported_also_when_max_keeps_the_old_value_and_a_closed_case_stays_closed() {
    let mut stage = stage();
    give(&mut stage, command(Queue::Create, "a", 1, 5));
    give(&mut stage, command(Queue::Close, "a", 1, 6));
    let sent = give(&mut stage, command(Queue::Update, "a", 1, 2));
    assert_eq!((status(&stage, &sent).as_str(), told(&stage, &sent)), ("applied", vec![NotificationType::Updated]));
    let row = row(&stage).unwrap();
    assert_eq!((row.updated, row.status), (5_000_000, CaseStatus::Closed));
}

#[test]
fn overwrite_keeps_the_last_time_of_an_update() {
    let mut stage = stage_with(CasesSettings { updated: UpdatedPolicy::Overwrite, ..CasesSettings::default() });
    give(&mut stage, command(Queue::Create, "a", 1, 5));
    give(&mut stage, command(Queue::Update, "a", 1, 2));
    assert_eq!(row(&stage).unwrap().updated, 2_000_000);
}

#[test]
fn a_close_of_a_closed_case_is_unchanged_and_the_case_stays() {
    let mut stage = stage();
    give(&mut stage, command(Queue::Create, "a", 1, 1));
    let sent = give(&mut stage, command(Queue::Close, "a", 1, 2));
    assert_eq!((status(&stage, &sent).as_str(), told(&stage, &sent)), ("applied", vec![NotificationType::Closed]));
    let sent = give(&mut stage, command(Queue::Close, "a", 1, 3));
    assert_eq!((status(&stage, &sent).as_str(), told(&stage, &sent)), ("unchanged", vec![]));
    assert!(row(&stage).is_some());
}

#[test]
fn a_delete_removes_the_metadata_and_is_reported_to_all_who_could_see_the_case_before() {
    let mut stage = stage();
    stage.give("", &grant(RegistryAction::GrantAdd, "archive", "a", Some(1)));
    give(&mut stage, command(Queue::Create, "a", 1, 1));
    let sent = give(&mut stage, command(Queue::Delete, "a", 1, 2));
    let due: Vec<NotificationDue> = stage.read(&sent);
    let clients: Vec<String> = due[0].clients.iter().map(ToString::to_string).collect();
    assert_eq!(clients, ["archive", "journal"]);
    assert_eq!(due[0].notification.case_details_uri, None);
    let withdrawn = sent.iter().any(|sent| sent.topic == topics::STATE.name && sent.value.is_none());
    assert!(withdrawn && row(&stage).is_none());
}

#[test]
fn a_delete_of_an_absent_or_deleted_case_is_unchanged() {
    let mut stage = stage();
    for id in [1, 2] {
        let sent = give(&mut stage, command(Queue::Delete, "a", 1, id));
        assert_eq!((status(&stage, &sent).as_str(), told(&stage, &sent)), ("unchanged", vec![]));
    }
}

#[test]
fn commands_for_a_deleted_case_are_dropped_as_long_as_the_tombstone_lives() {
    let mut stage = stage();
    give(&mut stage, command(Queue::Delete, "a", 1, 1));
    for (queue, id) in [(Queue::Create, 2), (Queue::Update, 3), (Queue::Close, 4)] {
        stage.now = NOW + 30 * DAY - 1;
        let sent = give(&mut stage, command(queue, "a", 1, id));
        assert_eq!((status(&stage, &sent).as_str(), told(&stage, &sent)), ("dropped", vec![]));
    }
    stage.now = NOW + 30 * DAY;
    let sent = give(&mut stage, command(Queue::Create, "a", 1, 5));
    assert_eq!(status(&stage, &sent), "applied");
}

#[test]
fn a_tombstone_ends_with_the_clock() {
    let mut stage = stage();
    give(&mut stage, command(Queue::Delete, "a", 1, 1));
    let sent = stage.give("", &Clock { now: NOW + 30 * DAY, ..Clock::default() });
    assert!(sent.iter().any(|sent| sent.topic == topics::DELETED.name && sent.value.is_none()));
}

#[test]
fn a_second_create_of_a_living_case_is_rejected_as_already_exists() {
    let mut stage = stage();
    give(&mut stage, command(Queue::Create, "a", 1, 1));
    let sent = give(&mut stage, command(Queue::Create, "a", 1, 2));
    assert_eq!(outcome(&stage, &sent), ("rejected".to_owned(), Some("AlreadyExists".to_owned())));
    assert_eq!((dead_letters(&sent), told(&stage, &sent)), (1, vec![]));
}

#[test]
fn any_command_for_the_living_case_of_another_origin_is_rejected_as_not_owner() {
    let mut stage = stage();
    give(&mut stage, command(Queue::Create, "a", 1, 1));
    let before = row(&stage);
    for (queue, id) in [(Queue::Create, 2), (Queue::Update, 3), (Queue::Close, 4), (Queue::Delete, 5)] {
        let sent = give(&mut stage, command(queue, "b", 1, id));
        assert_eq!(outcome(&stage, &sent), ("rejected".to_owned(), Some("NotOwner".to_owned())));
        assert_eq!((dead_letters(&sent), told(&stage, &sent)), (1, vec![]));
    }
    assert_eq!(row(&stage), before);
}

#[test]
fn no_origin_can_block_the_id_of_another_by_parked_commands_or_tombstones() {
    let mut stage = stage();
    give(&mut stage, command(Queue::Update, "b", 1, 1));
    give(&mut stage, command(Queue::Delete, "b", 1, 2));
    let sent = give(&mut stage, command(Queue::Create, "a", 1, 3));
    assert_eq!((status(&stage, &sent).as_str(), told(&stage, &sent)), ("applied", vec![NotificationType::Created]));
}

#[test]
fn a_repeat_has_no_effect_and_its_outcome_stays_the_first() {
    let mut stage = stage();
    for (queue, id) in [(Queue::Create, 1), (Queue::Update, 2), (Queue::Close, 3)] {
        give(&mut stage, command(queue, "a", 1, id));
        let before = row(&stage);
        assert_eq!(give(&mut stage, command(queue, "a", 1, id)), []);
        assert_eq!(row(&stage), before);
    }
    give(&mut stage, command(Queue::Delete, "a", 1, 4));
    assert_eq!(give(&mut stage, command(Queue::Create, "a", 1, 1)), [], "dropped, and still shown as applied");
}

#[test]
fn a_living_case_remembers_its_create_command_and_the_last_63_others() {
    let mut stage = stage();
    give(&mut stage, command(Queue::Create, "a", 1, 0));
    for id in 1..=REMEMBERED as u32 {
        give(&mut stage, command(Queue::Update, "a", 1, id));
    }
    assert_eq!(give(&mut stage, command(Queue::Update, "a", 1, 2)), []);
    assert_eq!(give(&mut stage, command(Queue::Create, "a", 1, 0)), []);
    assert_ne!(give(&mut stage, command(Queue::Update, "a", 1, 1)), [], "the oldest update is forgotten");
}

#[test]
fn of_the_permitted_clients_only_the_consumers_see_a_case_from_now_on() {
    let mut stage = stage();
    stage.give("", &grant(RegistryAction::GrantAdd, "archive", "a", None));
    let clients = |stage: &mut Stage, command: Command| -> Vec<String> {
        let sent = give(stage, command);
        let due: Vec<NotificationDue> = stage.read(&sent);
        due.iter().flat_map(|due| &due.clients).map(ToString::to_string).collect()
    };
    let only = |names: &[&str]| Some(names.iter().map(|name| name.parse().unwrap()).collect());
    let create = Command { consumers: only(&["ARCHIVE", "stranger"]), ..command(Queue::Create, "a", 1, 1) };
    assert_eq!(clients(&mut stage, create), ["archive"]);
    assert_eq!(clients(&mut stage, command(Queue::Update, "a", 1, 2)), ["archive"], "absent: as it was");
    let nobody = Command { consumers: only(&[]), ..command(Queue::Update, "a", 1, 3) };
    assert_eq!(clients(&mut stage, nobody), [""; 0]);
    let anyone = Command { any_consumer: true, ..command(Queue::Update, "a", 1, 4) };
    assert_eq!(clients(&mut stage, anyone), ["archive", "journal"]);
}

#[test]
fn a_client_without_a_grant_receives_nothing() {
    let mut stage = stage();
    stage.give("", &grant(RegistryAction::GrantAdd, "archive", "a", Some(2)));
    stage.give("", &grant(RegistryAction::GrantRevoke, "journal", "a", None));
    let sent = give(&mut stage, command(Queue::Create, "a", 1, 1));
    assert_eq!(told(&stage, &sent), []);
    let sent = give(&mut stage, command(Queue::Create, "a", 2, 2));
    assert_eq!(told(&stage, &sent), [NotificationType::Created]);
}

#[test]
fn a_refused_command_is_rejected_and_a_held_one_is_accepted_until_it_comes_again() {
    let mut stage = stage();
    let refusal = Refusal { code: "UriNotAllowed".to_owned(), detail: "elsewhere".to_owned() };
    let refused = CheckedCommand { refusal: Some(refusal), ..checked(command(Queue::Create, "a", 1, 1)) };
    let sent = stage.give("", &refused);
    assert_eq!(outcome(&stage, &sent), ("rejected".to_owned(), Some("UriNotAllowed".to_owned())));
    let letter = sent.iter().find(|sent| sent.topic == topics::DEAD_LETTER.name).unwrap();
    assert_eq!(letter.header("__connect.errors.topic").as_deref(), Some("cases.create"));

    let held = CheckedCommand { held: true, ..checked(command(Queue::Create, "a", 2, 2)) };
    let sent = stage.give("", &held);
    assert_eq!(status(&stage, &sent), "accepted");
    assert_eq!(stage.give("", &held), []);
    let sent = give(&mut stage, command(Queue::Create, "a", 2, 2));
    assert_eq!(status(&stage, &sent), "applied");
}

#[test]
fn an_event_time_that_is_absent_is_created_or_updated_or_null() {
    let mut stage = stage();
    let event_time = |stage: &mut Stage, command: Command| {
        let sent = give(stage, command);
        let due: Vec<NotificationDue> = stage.read(&sent);
        due[0].notification.event_time
    };
    assert_eq!(event_time(&mut stage, command(Queue::Create, "a", 1, 1)), Some(1_000_000));
    assert_eq!(event_time(&mut stage, command(Queue::Update, "a", 1, 2)), Some(2_000_000));
    let own = Command { event_time: Some(7), ..command(Queue::Update, "a", 1, 3) };
    assert_eq!(event_time(&mut stage, own), Some(7));
    assert_eq!(event_time(&mut stage, command(Queue::Close, "a", 1, 4)), None);
}
