//! Commands from Kafka and notifications to Kafka, while processes are killed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::foreign::{OriginSystem, read};
use crate::member::{Namespace, TOKEN};

/// Cases that are created.
const CASES: u32 = 120;

fn case(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

fn create(number: u32) -> String {
    let (case, uri) = (case(number), "https://esdh.example/1");
    format!("{{\"caseId\": \"{case}\", \"created\": \"2026-11-20T14:30:00+01:00\", \"caseDetailsUri\": \"{uri}\"}}")
}

#[test]
fn each_command_is_told_once_though_the_process_that_copies_is_killed() {
    let Some(namespace) = Namespace::new() else { return };
    let mut first = namespace.start("a");
    let second = namespace.start("b");
    let origin = OriginSystem::new(&namespace);
    let topic = namespace.topic("dis-CreateCaseCommand");
    let bearer = format!("Bearer {TOKEN}");
    let send = |numbers: std::ops::Range<u32>| {
        for number in numbers {
            origin.send(&topic, &case(number), &create(number), &bearer);
        }
    };
    origin.send(&topic, "bad", &create(0), "Bearer another-secret");
    send(0..CASES / 3);
    first.kill();
    send(CASES / 3..CASES / 2);
    first = namespace.start("a");
    send(CASES / 2..2 * CASES / 3);
    second.kill();
    send(2 * CASES / 3..CASES);

    let told =
        read(&namespace, &namespace.topic("dis_notifications_journal-1"), 1, CASES as usize, Duration::from_secs(10));
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for record in &told {
        *counts.entry(&record.key).or_default() += 1;
        assert_eq!(record.header("ce_type"), Some("dk.egdw.dis.case.created.v1"));
        assert_eq!(record.header("authorization"), None);
    }
    let wrong: Vec<_> = (0..CASES).map(case).filter(|id| counts.get(id.as_str()) != Some(&1)).collect();
    assert!(wrong.is_empty() && told.len() == CASES as usize, "not once: {wrong:?} of {}", told.len());

    let refused = read(&namespace, &namespace.topic("cases.dead-letter"), 2, 1, Duration::from_secs(2));
    let codes: Vec<_> = refused.iter().map(|record| record.header("__connect.errors.exception.class.name")).collect();
    assert_eq!(codes, [Some("Unauthenticated")]);
    assert_eq!(refused[0].header("authorization"), Some("***"));
    for instance in ["a", "b"] {
        assert!(!namespace.logged(instance).contains("secret"), "a token stands in the log of {instance}");
    }
    drop(first);
}
