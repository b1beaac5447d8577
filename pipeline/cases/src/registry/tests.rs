//! Versions, refusals, targets of changes, and when a change is in force.

use tributary_schemas::records::cases::{
    self, Grant, RegistryAction, RegistryAnswer, RegistryApplied, RegistryChange, RegistryFill, RegistryRequest,
    RegistryVersion,
};
use tributary_schemas::records::tributary::{Alert, Clock};

use super::*;
use crate::configuration::{CasesSettings, Ordering};
use crate::harness::{self, Harness, Sent, guid};

type Stage = Harness<RegistryStage>;

fn stage() -> Stage {
    let mut stage = harness::stage(RegistryStage::new).partitions(4);
    stage.give("", &origin("a", "a-id"));
    stage.give("", &client("journal", "journal-id"));
    stage
}

fn request(action: RegistryAction) -> RegistryRequest {
    RegistryRequest { action, by: "operator".to_owned(), request: Some("r".to_owned()), ..RegistryRequest::default() }
}

fn origin(name: &str, id: &str) -> RegistryRequest {
    RegistryRequest {
        origin: Some(name.parse().unwrap()),
        client_id: Some(id.to_owned()),
        details: vec!["https://esdh.example".to_owned()],
        ..request(RegistryAction::OriginPut)
    }
}

fn client(name: &str, id: &str) -> RegistryRequest {
    RegistryRequest {
        client: Some(name.parse().unwrap()),
        client_id: Some(id.to_owned()),
        ..request(RegistryAction::ClientPut)
    }
}

fn grant(action: RegistryAction, client: &str, origin: &str, case: Option<u32>) -> RegistryRequest {
    RegistryRequest { request: Some("r".to_owned()), ..harness::grant(action, client, origin, case).change }
}

fn answer(stage: &mut Stage, request: &RegistryRequest) -> (Option<String>, bool, i64) {
    let sent = stage.give("", request);
    let answer = stage.read::<RegistryAnswer>(&sent).pop().unwrap();
    (answer.code, answer.existed, answer.version)
}

/// The topics that received changes, with the number of their partitions.
fn targets(sent: &[Sent], topic: &str) -> usize {
    sent.iter().filter(|sent| sent.topic == topic && sent.key == b"registry").count()
}

#[test]
fn names_and_client_ids_are_unique_without_regard_to_case() {
    let mut stage = stage();
    let taken = (Some("NameTaken".to_owned()), false, 2);
    assert_eq!(answer(&mut stage, &client("JOURNAL", "journal-id")), taken);
    assert_eq!(answer(&mut stage, &client("archive", "journal-id")), taken);
    assert_eq!(answer(&mut stage, &origin("A", "other")), taken);
    // One may be origin and client.
    assert_eq!(answer(&mut stage, &client("archive", "a-id")), (None, false, 3));
    assert_eq!(answer(&mut stage, &client("archive", "a-id")), (None, true, 3), "the same changes nothing");
}

#[test]
fn a_removed_name_comes_back_only_as_it_was_written_because_its_cases_and_positions_stay() {
    let mut stage = stage();
    let remove = |action| RegistryRequest {
        client: Some("JOURNAL".parse().unwrap()),
        origin: Some("A".parse().unwrap()),
        ..request(action)
    };
    for action in [RegistryAction::ClientDelete, RegistryAction::OriginDelete] {
        assert_eq!(answer(&mut stage, &remove(action)).0, None);
    }
    for other in [client("Journal", "new-id"), origin("A", "new-id")] {
        assert_eq!(answer(&mut stage, &other).0.as_deref(), Some("NameTaken"));
    }
    for same in [client("journal", "new-id"), origin("a", "new-id")] {
        let (code, existed, _) = answer(&mut stage, &same);
        assert_eq!((code, existed), (None, false));
    }
}

#[test]
fn what_the_registry_does_not_take_from_the_configuration_is_reported_and_the_rest_is_taken() {
    let fill = RegistryFill {
        origins: vec![Origin { client_id: "a-id".to_owned(), ..Origin::of("a".parse().unwrap()) }],
        grants: vec![Grant::of("journal".parse().unwrap(), "a".parse().unwrap())],
        ..RegistryFill::default()
    };
    let mut stage = harness::stage(RegistryStage::new);
    let sent = stage.give("", &fill);
    let alert = stage.read::<Alert>(&sent).pop().unwrap();
    assert_eq!((alert.code.as_str(), alert.subject.as_str()), ("registry-entry-refused", "journal on a"));
    assert!(alert.text.contains("UnknownClient"), "{}", alert.text);
    assert_eq!(stage.read::<Origin>(&sent).len(), 1);
}

#[test]
fn a_grant_for_an_unknown_client_or_origin_is_refused() {
    let mut stage = stage();
    let add = |client, origin| grant(RegistryAction::GrantAdd, client, origin, None);
    assert_eq!(answer(&mut stage, &add("stranger", "a")).0.as_deref(), Some("UnknownClient"));
    assert_eq!(answer(&mut stage, &add("journal", "b")).0.as_deref(), Some("UnknownOrigin"));
    assert_eq!(answer(&mut stage, &add("Journal", "A")), (None, false, 3));
    assert_eq!(answer(&mut stage, &add("journal", "a")), (None, true, 3));
    let revoke = grant(RegistryAction::GrantRevoke, "journal", "a", Some(1));
    assert_eq!(answer(&mut stage, &revoke).0.as_deref(), Some("UnknownGrant"));
}

#[test]
fn each_change_goes_to_every_partition_that_needs_it() {
    let mut stage = harness::stage_with(
        CasesSettings { ordering: Ordering::PerCase, ..CasesSettings::default() },
        RegistryStage::new,
    )
    .partitions(4);
    let sent = stage.give("", &origin("a", "a-id"));
    let queues = ["cases.create", "cases.update", "cases.close", "cases.delete"];
    assert!(queues.iter().all(|queue| targets(&sent, queue) == 4));
    let sent = stage.give("", &client("journal", "journal-id"));
    assert_eq!((targets(&sent, "cases.client"), targets(&sent, "cases.case")), (1, 0));
    let sent = stage.give("", &grant(RegistryAction::GrantAdd, "journal", "a", None));
    assert_eq!((targets(&sent, "cases.client"), targets(&sent, "cases.case")), (1, 4));
    let sent = stage.give("", &grant(RegistryAction::GrantAdd, "journal", "a", Some(1)));
    assert_eq!((targets(&sent, "cases.client"), targets(&sent, "cases.case")), (1, 1));
}

#[test]
fn a_change_is_in_force_when_every_partition_has_applied_it() {
    let mut stage = stage();
    let in_force = |stage: &mut Stage, version: i64, times: usize| {
        let sent: Vec<Sent> = (0..times).flat_map(|_| stage.give("", &RegistryApplied { version })).collect();
        stage.read::<RegistryVersion>(&sent).pop().map(|row| (row.version, row.in_force))
    };
    // The client is known everywhere before the origin is.
    assert_eq!(in_force(&mut stage, 2, 1), Some((2, 0)));
    assert_eq!(in_force(&mut stage, 1, 15), None);
    assert_eq!(in_force(&mut stage, 1, 1), Some((2, 2)));
}

#[test]
fn the_first_record_settles_the_ordering_and_another_one_is_refused() {
    let mut stage = harness::stage(RegistryStage::new);
    let sent = stage.give("", &Clock::default());
    let rows = stage.read::<RegistryVersion>(&sent);
    assert_eq!(rows.iter().map(|row| row.ordering).collect::<Vec<_>>(), [Some(cases::Ordering::Strict)]);
    // The same state in a process with another setting.
    let settings = CasesSettings { ordering: Ordering::PerCase, ..CasesSettings::default() };
    stage.processor.context = harness::context_with(settings);
    let refused = stage.try_give("", &Clock::default()).unwrap_err();
    assert!(matches!(&refused, ProcessError::Stop(text) if text.contains("\"strict\"")), "{refused}");
}

#[test]
fn the_grants_of_a_client_end_with_it() {
    let mut stage = stage();
    stage.give("", &grant(RegistryAction::GrantAdd, "journal", "a", None));
    stage.give("", &grant(RegistryAction::GrantAdd, "journal", "a", Some(1)));
    let delete = RegistryRequest { client: Some("journal".parse().unwrap()), ..request(RegistryAction::ClientDelete) };
    let sent = stage.give("", &delete);
    let to_client: Vec<RegistryAction> = stage
        .read::<RegistryChange>(&sent.iter().filter(|sent| sent.topic == "cases.client").cloned().collect::<Vec<_>>())
        .iter()
        .map(|change| change.change.action)
        .collect();
    assert_eq!(to_client, [RegistryAction::GrantRevoke, RegistryAction::GrantRevoke, RegistryAction::ClientDelete]);
    let withdrawn: Vec<String> = sent.iter().filter(|sent| sent.value.is_none()).map(Sent::text_key).collect();
    assert_eq!(withdrawn, ["grant/journal/a", &format!("grant/journal/a/{}", guid(1)), "client/journal"]);
}

#[test]
fn the_configuration_fills_only_an_empty_registry_so_a_restart_undoes_no_revocation() {
    let fill = RegistryFill {
        by: "dis.toml".to_owned(),
        origins: vec![Origin { client_id: "a-id".to_owned(), ..Origin::of("a".parse().unwrap()) }],
        clients: vec![Client { client_id: "j-id".to_owned(), ..Client::of("journal".parse().unwrap()) }],
        grants: vec![Grant::of("journal".parse().unwrap(), "a".parse().unwrap())],
    };
    let mut stage = harness::stage(RegistryStage::new);
    let sent = stage.give("", &fill);
    assert_eq!(stage.read::<Grant>(&sent).len(), 1);
    stage.give("", &grant(RegistryAction::GrantRevoke, "journal", "a", None));
    assert_eq!(stage.give("", &fill), []);
}

#[test]
fn the_audit_names_who_has_changed_what_and_the_newest_comes_first() {
    let mut stage = stage();
    let sent = stage.give("", &grant(RegistryAction::GrantAdd, "journal", "a", Some(1)));
    let newest = sent.iter().find(|sent| sent.text_key().starts_with("audit/")).unwrap().text_key();
    let entry = stage.read::<AuditEntry>(&sent).pop().unwrap();
    assert_eq!((entry.version, entry.action, entry.time), (3, RegistryAction::GrantAdd, harness::NOW));
    assert!(entry.case_id.is_some() && entry.client.is_some() && entry.origin.is_some());
    let sent = stage.give("", &client("archive", "archive-id"));
    let newer = sent.iter().find(|sent| sent.text_key().starts_with("audit/")).unwrap().text_key();
    assert!(newer < newest);
}

#[test]
fn the_clock_reaches_every_partition_of_cases_and_clients() {
    let mut stage = stage();
    let sent = stage.give("", &Clock { now: 5, ..Clock::default() });
    let count = |topic: &str| sent.iter().filter(|sent| sent.topic == topic).count();
    assert_eq!((count("cases.case"), count("cases.client")), (4, 4));
}
