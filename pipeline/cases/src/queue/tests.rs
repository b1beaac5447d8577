//! Checks of commands, and queues that are held.

use tributary_runtime::{MemoryTables, Tables as _};
use tributary_schemas::records::cases::{
    CheckedCommand, Queue, QueueRelease, QueueState, RegistryAction, RegistryApplied, RegistryChange, RegistryRequest,
};

use super::*;
use crate::harness::{self, Harness, Sent, command};

type Stage = Harness<QueueStage>;

fn stage() -> Stage {
    stage_on(None)
}

/// One that keeps commands in memory, and one that keeps them in a table.
fn both() -> [Stage; 2] {
    [stage(), stage_on(Some(MemoryTables::default().create("held")))]
}

fn stage_on(table: Option<Box<dyn Table>>) -> Stage {
    let mut stage = harness::stage(|context| QueueStage::new(context, Queue::Create, 0, table));
    let change = RegistryRequest {
        action: RegistryAction::OriginPut,
        origin: Some("ESDH".parse().unwrap()),
        details: vec!["https://esdh.example".to_owned()],
        ..RegistryRequest::default()
    };
    let sent = stage.give("", &RegistryChange { version: 7, change });
    assert_eq!(stage.read::<RegistryApplied>(&sent), [RegistryApplied { version: 7 }]);
    stage
}

fn hold(stage: &mut Stage, action: RegistryAction) -> Vec<Sent> {
    let change = RegistryRequest { action, queue: Some(Queue::Create), ..RegistryRequest::default() };
    stage.give("", &RegistryChange { version: 8, change })
}

fn handed_on(stage: &Stage, sent: &[Sent]) -> Vec<CheckedCommand> {
    stage.read(sent)
}

fn code(stage: &mut Stage, command: &Command) -> Option<String> {
    let sent = stage.give("", command);
    handed_on(stage, &sent).pop().unwrap().refusal.map(|refusal| refusal.code)
}

#[test]
fn a_checked_command_is_handed_on_with_the_name_of_its_origin_as_registered() {
    let mut stage = stage();
    let sent = stage.give("", &command(Queue::Create, "esdh", 1, 1));
    let checked = handed_on(&stage, &sent).pop().unwrap();
    assert_eq!((checked.command.origin.as_str(), checked.refusal, checked.held), ("ESDH", None, false));
}

#[test]
fn a_command_of_an_unknown_origin_or_with_details_elsewhere_is_refused() {
    let mut stage = stage();
    assert_eq!(code(&mut stage, &command(Queue::Create, "other", 1, 1)).as_deref(), Some("UnknownOrigin"));
    let mut elsewhere = command(Queue::Create, "esdh", 1, 1);
    elsewhere.case_details_uri = Some("https://evil.example/".to_owned());
    assert_eq!(code(&mut stage, &elsewhere).as_deref(), Some("UriNotAllowed"));
    elsewhere.case_details_uri = None;
    assert_eq!(code(&mut stage, &elsewhere).as_deref(), Some("InvalidCommand"));
    assert_eq!(stage.dead_letter("", &command(Queue::Close, "esdh", 1, 1)), "wrong-queue");
}

#[test]
fn a_held_queue_takes_commands_and_processes_none_until_it_is_resumed() {
    for mut stage in both() {
        hold(&mut stage, RegistryAction::QueuePause);
        for id in 1..=3 {
            let sent = stage.give("", &command(Queue::Create, "esdh", id, id));
            assert!(handed_on(&stage, &sent).iter().all(|checked| checked.held));
            let row = stage.read::<QueueState>(&sent).pop().unwrap();
            assert_eq!((row.paused, row.waiting), (true, i64::from(id)));
        }
        let sent = hold(&mut stage, RegistryAction::QueueResume);
        let release = stage.read::<QueueRelease>(&sent).pop().unwrap();
        // What comes before the release is kept too, so that it does not overtake.
        stage.give("", &command(Queue::Create, "esdh", 4, 4));
        let sent = stage.give("", &release);
        let ids: Vec<String> =
            handed_on(&stage, &sent).iter().map(|checked| checked.command.case_id.to_string()).collect();
        assert_eq!(ids, (1..=4).map(harness::guid).collect::<Vec<_>>());
        assert!(handed_on(&stage, &sent).iter().all(|checked| !checked.held));
        assert_eq!(stage.give("", &release), [], "a second release finds nothing");
        let sent = stage.give("", &command(Queue::Create, "esdh", 5, 5));
        assert!(!handed_on(&stage, &sent).pop().unwrap().held);
    }
}

#[test]
fn a_long_queue_is_handed_on_in_steps_and_can_be_held_between_them() {
    for mut stage in both() {
        hold(&mut stage, RegistryAction::QueuePause);
        let count = RELEASED_AT_ONCE as u32 + 1;
        for id in 1..=count {
            stage.give("", &command(Queue::Create, "esdh", id, id));
        }
        let sent = hold(&mut stage, RegistryAction::QueueResume);
        let first = stage.read::<QueueRelease>(&sent).pop().unwrap();
        let sent = stage.give("", &first);
        assert_eq!(handed_on(&stage, &sent).len(), RELEASED_AT_ONCE as usize);
        let second = stage.read::<QueueRelease>(&sent).pop().unwrap();
        hold(&mut stage, RegistryAction::QueuePause);
        assert_eq!(stage.give("", &second), [], "it is held again");
        let sent = hold(&mut stage, RegistryAction::QueueResume);
        let third = stage.read::<QueueRelease>(&sent).pop().unwrap();
        let sent = stage.give("", &third);
        assert_eq!(handed_on(&stage, &sent).len(), 1);
    }
}
