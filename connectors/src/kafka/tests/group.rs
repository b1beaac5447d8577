//! Members that join and leave, and who gets the partitions.

use std::time::{Duration, Instant};

use tributary_runtime::conformance::word_count;
use tributary_runtime::{Log as _, Poll, TopicPartition};

use super::super::{KafkaConfiguration, KafkaLog};
use super::{SESSION_TIMEOUT, configuration, create_topics, kafka};

#[test]
fn a_worker_that_restarts_gets_its_partitions_at_once() {
    let Some(broker) = kafka() else { return };
    let configuration = configuration(&broker);
    create_topics(&configuration, &word_count::TOPICS);
    for life in 0..3 {
        let started = Instant::now();
        let mut log = KafkaLog::open(&configuration, "conformance", "0", &word_count::INBOXES).unwrap();
        let opened = started.elapsed();
        let assigned = loop {
            if let Poll::Assigned(partitions) = log.poll(Duration::from_millis(20), 10, &mut |_| {}).unwrap() {
                break partitions;
            }
            assert!(started.elapsed() < SESSION_TIMEOUT, "no partitions in life {life}");
        };
        assert_eq!(assigned.len(), 2 * word_count::PARTITIONS as usize);
        let taken = started.elapsed();
        drop(log);
        eprintln!("life {life}: open {opened:?}, assigned {taken:?}, closed {:?}", started.elapsed());
    }
}

/// Kills a process with two workers at the moment when the first has to give partitions up and has not done so yet.
/// Then no member of the group has them.
fn die_during_a_rebalance(configuration: &KafkaConfiguration) {
    let open = |slot| KafkaLog::open(configuration, "conformance", slot, &word_count::INBOXES).unwrap();
    let poll = |log: &mut KafkaLog| log.poll(Duration::from_millis(20), 10, &mut |_| {}).unwrap();
    let mut first = open("0");
    while !matches!(poll(&mut first), Poll::Assigned(_)) {}
    let mut second = open("1");
    let started = Instant::now();
    let mut second_has_joined = false;
    let mut first_is_asked = false;
    while !(second_has_joined && first_is_asked) {
        // A worker carries an event out at its next poll, and the first worker polls no more.
        if !first_is_asked {
            first_is_asked = matches!(poll(&mut first), Poll::Revoked(_));
        }
        second_has_joined |= matches!(poll(&mut second), Poll::Assigned(_));
        assert!(started.elapsed() < 2 * SESSION_TIMEOUT, "no rebalance");
    }
    first.kill();
    second.kill();
}

/// Polls once, follows the decision of the group, and keeps `held` up to date. Returns whether there was a decision.
fn take_and_release(log: &mut KafkaLog, held: &mut Vec<TopicPartition>) -> bool {
    match log.poll(Duration::from_millis(5), 10, &mut |_| {}).unwrap() {
        Poll::Assigned(partitions) => held.extend(partitions),
        Poll::Revoked(partitions) => {
            held.retain(|partition| !partitions.contains(partition));
            log.release(&partitions).unwrap();
        }
        Poll::Lost(partitions) => panic!("{partitions:?} were lost"),
        Poll::Records(_) | Poll::Idle => return false,
    }
    true
}

#[test]
fn partitions_that_a_restart_during_a_rebalance_orphaned_get_a_member() {
    let Some(broker) = kafka() else { return };
    let mut configuration = configuration(&broker);
    // The session must not expire during the test.
    configuration.session_timeout = Duration::from_mins(1);
    create_topics(&configuration, &word_count::TOPICS);
    die_during_a_rebalance(&configuration);
    let mut logs: Vec<KafkaLog> = ["0", "1"]
        .iter()
        .map(|slot| KafkaLog::open(&configuration, "conformance", slot, &word_count::INBOXES).unwrap())
        .collect();
    let mut held = vec![Vec::<TopicPartition>::new(), Vec::new()];
    let started = Instant::now();
    let all = 2 * word_count::PARTITIONS as usize;
    while held.iter().map(Vec::len).sum::<usize>() < all || held.iter().any(|held| held.len() > all / 2 + 1) {
        for (log, held) in logs.iter_mut().zip(&mut held) {
            take_and_release(log, held);
        }
        assert!(started.elapsed() < Duration::from_secs(30), "partitions stay orphaned: {held:?}");
    }
    eprintln!("all partitions have a worker after {:?}", started.elapsed());
}

#[test]
fn a_group_with_more_members_than_partitions_becomes_stable() {
    let Some(broker) = kafka() else { return };
    let configuration = configuration(&broker);
    create_topics(&configuration, &word_count::TOPICS);
    let partitions = word_count::PARTITIONS as usize;
    let open = |slot: usize| KafkaLog::open(&configuration, "conformance", &slot.to_string(), &[&word_count::LINES]);
    let mut logs: Vec<KafkaLog> = (0..partitions + 2).map(|slot| open(slot).unwrap()).collect();
    let mut held = vec![Vec::new(); logs.len()];
    let (started, mut moved) = (Instant::now(), Instant::now());
    // A new member that gets nothing joins once more. If it did so each time, the group would never become stable.
    while held.iter().map(Vec::len).sum::<usize>() < partitions || moved.elapsed() < Duration::from_secs(2) {
        assert!(started.elapsed() < 3 * SESSION_TIMEOUT, "the group does not become stable: {held:?}");
        for (log, held) in logs.iter_mut().zip(&mut held) {
            if take_and_release(log, held) {
                moved = Instant::now();
            }
        }
    }
    assert!(held.iter().all(|held| held.len() <= 1), "{held:?}");
}

#[test]
fn a_newcomer_knows_what_other_members_have_before_it_joins() {
    let Some(broker) = kafka() else { return };
    let configuration = configuration(&broker);
    create_topics(&configuration, &word_count::TOPICS);
    let open = |slot| KafkaLog::open(&configuration, "conformance", slot, &word_count::INBOXES).unwrap();
    let all = 2 * word_count::PARTITIONS as usize;
    let (mut first, mut held) = (open("0"), Vec::new());
    assert_eq!(first.held_by_others().unwrap(), []);
    let started = Instant::now();
    while held.len() < all {
        take_and_release(&mut first, &mut held);
        assert!(started.elapsed() < SESSION_TIMEOUT, "no partitions");
    }
    let mut second = open("1");
    assert_eq!(second.held_by_others().unwrap().len(), all);
    // It has not joined yet, so no partition moves.
    let opened = Instant::now();
    while opened.elapsed() < Duration::from_secs(1) {
        assert!(!take_and_release(&mut first, &mut held), "partitions move");
    }
    let mut second_held = Vec::new();
    while held.len() + second_held.len() < all || second_held.is_empty() {
        take_and_release(&mut first, &mut held);
        take_and_release(&mut second, &mut second_held);
        assert!(opened.elapsed() < 2 * SESSION_TIMEOUT, "no partitions for the newcomer");
    }
    // It gets its own partitions back, so it need not read the state of others.
    second.kill();
    assert_eq!(open("1").held_by_others().unwrap(), []);
}
